"""The peer table's row of a slow receiver: nothing is lost, and the user is told that the detector waits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livem.session import Session, SessionOptions

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import a_pipeline, identity_holds, step_until

pytestmark = pytest.mark.timeout(300)


def test_peer_fault_slow_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.02 s a block on a ring of 16 MiB, and a detector that floods it with four times as much."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    slow = {"name": "slow", "type": "awkward_consumers:Slow", "seconds": 0.02, "policy": "lossless"}
    url = "sim:4dstem?shape=128x128&scan=32x64&fps=20000"
    with Session(a_pipeline(consumers=[slow]), SessionOptions(url, out=tmp_path, series=1)) as session:
        session.start()
        step_until(session, lambda: "made to wait for 'slow' (lossless)" in session.status()["message"])
        step_until(session, session.over, timeout=90)
        session.finish()
        summary = session.summary()
    (account,) = summary["series"]
    assert (account["state"], account["received"]) == ("complete", 2048)
    assert account["edges"]["slow"]["processed"] == 2048
    assert summary["ring"]["waited_s"] > 0
    assert identity_holds(account)
