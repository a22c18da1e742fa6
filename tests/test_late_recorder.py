"""A session that began without a recorder is told to record: files, accounts, and a ring that went on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from session_tools import a_pipeline, identity_holds, step_until

from livem.session import Session, SessionOptions

SLOW = "sim:4dstem?shape=32x32&scan=16x16&fps=1000"
PATIENCE_S = 240.0
"""For processes that start while others compile."""
ON = {"do": "set", "consumer": "recorder", "name": "recording", "value": True}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "recordings"


def started(session: Session) -> Session:
    session.start()
    step_until(session, lambda: session.accounts.series_count(), PATIENCE_S)
    return session


def frames_in(path: Any) -> np.ndarray:
    with h5py.File(path) as file:
        return file["entry/data/data"][:]


def test_the_open_series_is_kept_from_its_start(folder: Path, tmp_path: Path) -> None:
    from livem.session.requests import answer

    stack = np.random.default_rng(5).integers(1, 99, (20, 32, 32)).astype(np.uint16)
    np.save(tmp_path / "movie.npy", stack)
    sender = {"rate": 20.0, "repeat": 5000}  # the ring holds minutes of it
    with Session(a_pipeline(), SessionOptions(str(tmp_path / "movie.npy"), sender=sender)) as session:
        started(session)
        assert "recorder" not in session.status()["edges"]
        assert answer(session, ON) == {"ok": True, "starting": True}
        assert answer(session, ON) == {"ok": True, "starting": True}
        step_until(session, lambda: session.status()["recording"].get("frames", 0) > 10, PATIENCE_S)
        session.stop("enough")
        session.finish()
        (account,) = session.summary()["series"]
    assert identity_holds(account)
    edge = account["edges"]["recorder"]
    assert (edge["processed"], edge["dropped"]) == (account["received"], {})
    (path,) = account["recordings"]
    assert Path(path).parent == folder
    frames = frames_in(path)
    assert len(frames) == account["received"]
    np.testing.assert_array_equal(frames, stack[np.arange(len(frames)) % 20])


def test_of_a_series_that_is_over_nothing_is_kept_and_its_account_says_so(folder: Path) -> None:
    from livem.session.requests import answer

    with Session(a_pipeline(), SessionOptions(SLOW, end_with_source=False)) as session:
        started(session)
        step_until(session, lambda: session.accounts.is_over(0), PATIENCE_S)
        answer(session, ON)
        step_until(session, lambda: "recorder" in session.ready, PATIENCE_S)
        step_until(session, lambda: session.settling.done, PATIENCE_S)
        edge = session.status()["edges"]["recorder"]
        assert (edge["processed"], edge["dropped"], edge["in_flight"]) == (0, {"not_recorded": 256}, 0)
        step_until(session, lambda: session.status()["recording"].get("state") == "idle")
        assert answer(session, {**ON, "name": "keep_last", "value": 1.0}).reply is None
        session.finish()
    assert not list(folder.glob("*.h5"))


def test_other_requests_to_a_recorder_that_is_not_there_are_refused(folder: Path) -> None:
    from livem.session.requests import answer

    with Session(a_pipeline(), SessionOptions(SLOW)) as session:
        said = answer(session, {**ON, "value": False})
        assert said["ok"] is False
        assert "no consumer 'recorder'" in said["error"]
