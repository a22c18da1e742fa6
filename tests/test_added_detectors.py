"""Detectors added and removed while a session runs: topics come and go, pictures are as from the start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.session import Session, SessionOptions
from livem.stream.results import Result, is_removed

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import a_pipeline, load, run, step_until

pytestmark = pytest.mark.timeout(300)

SCAN = "sim:4dstem?shape=64x64&scan=24x24"
FIRST = {"kind": "disk", "radius": 5.0}
SECOND = {"kind": "annulus", "inner": 8.0, "outer": 25.0, "center": [30.0, 33.0]}


def consumers(**detectors: Any) -> list[dict[str, Any]]:
    return [{"name": "vd", "type": "virtual_detectors", "detectors": detectors}]


def ask(session: Session, name: str, value: Any) -> dict[str, Any]:
    replies: list[Any] = []
    session._answer({"do": "set", "consumer": "vd", "name": name, "value": value}).then(replies.append)
    answer: dict[str, Any] = step_until(session, lambda: replies)[0]
    return answer


def test_a_second_annulus_in_the_middle_of_a_scan(tmp_path):
    whole = run(SCAN, tmp_path / "whole", a_pipeline(consumers=consumers(second=SECOND)))["series"][0]
    session = Session(
        a_pipeline(consumers=consumers(first=FIRST)), SessionOptions(f"{SCAN}&fps=400", out=tmp_path / "out")
    )
    newest: dict[str, Result] = {}
    with session:
        take = session.settling.take

        def hear(result: Result) -> None:
            newest[result.topic] = result
            take(result)

        session.hub._on_result = hear
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 100)
        refused = ask(session, "detectors.second", SECOND | {"inner": 77.0})
        assert (refused["ok"], refused["code"]) == (False, 2)
        assert "inner = 77" in refused["error"]
        assert ask(session, "detectors.second", SECOND)["parameters"]["detectors.second.outer"] == 25.0
        step_until(session, lambda: "vd.second" in newest)
        assert "detectors.first" not in ask(session, "detectors.first", None)["parameters"]
        step_until(session, lambda: is_removed(newest["vd.first"]))
        assert "detectors.first" in ask(session, "detectors.first", None)["error"]
        step_until(session, lambda: session.settling.settled)
        session.stop("seen")
        session.finish()
    (account,) = session.settling.settled
    assert account["state"] == "complete"
    assert not session.alarms
    assert set(account["results"]) == {"vd.second", "vd.pattern"}
    np.testing.assert_array_equal(load(account, "vd.second"), load(whole, "vd.second"))
