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
ON = {"do": "set", "consumer": "recorder", "name": "recording", "value": True}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "recordings"


def started(session: Session) -> Session:
    session.start()
    step_until(session, lambda: session.state == "running")
    return session


def frames_in(path: Any) -> np.ndarray:
    with h5py.File(path) as file:
        return file["entry/data/data"][:]


def test_the_open_series_is_kept_from_its_start(folder: Path) -> None:
    from livem.session.requests import answer

    url = "sim:4dstem?shape=32x32&scan=256x256&fps=50"  # the ring holds minutes of it
    with Session(a_pipeline(), SessionOptions(url)) as session:
        started(session)
        assert "recorder" not in session.status()["edges"]
        assert answer(session, ON) == {"ok": True, "starting": True}
        assert answer(session, ON) == {"ok": True, "starting": True}
        step_until(session, lambda: session.status()["recording"].get("frames", 0) > 10, 240.0)
        session.stop("enough")
        session.finish()
        (account,) = session.summary()["series"]
    assert identity_holds(account)
    edge = account["edges"]["recorder"]
    assert (edge["processed"], edge["dropped"]) == (account["received"], {})
    (path,) = account["recordings"]
    assert Path(path).parent == folder.relative_to(Path.cwd()) or Path(path).parent == folder
    frames = frames_in(path)
    assert frames[0].any()
    assert frames[account["received"] - 1].any()


def test_of_a_series_that_is_over_nothing_is_kept_and_its_account_says_so(folder: Path) -> None:
    from livem.session.requests import answer

    with Session(a_pipeline(), SessionOptions(SLOW, end_with_source=False)) as session:
        started(session)
        step_until(session, lambda: session.accounts.is_over(0))
        answer(session, ON)
        step_until(session, lambda: "recorder" in session.ready)
        step_until(session, lambda: session.settling.done)
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
