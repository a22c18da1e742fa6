"""Pixel mask, flatfield and count rates of a DECTRIS detector, as a user's own consumer gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dectris_tools import Detector
from session_tools import a_pipeline, identity_holds, load, run, step_until
from simplon_tools import Pictures, random_frames, speech

from livem.session import Session, SessionOptions
from livem.stream.files.recordings import open_recording
from livem.stream.messages import COUNTRATE, FLATFIELD, PIXEL_MASK
from livem.stream.simulate.dectris_dialect import Dectris1, Dectris2
from livem.stream.sources.replay.source import ReplayOptions, replay_plan

pytestmark = pytest.mark.timeout(300)

PIPELINE = a_pipeline(consumers=[{"name": "tell", "type": "awkward_consumers:Telling"}])


def some_tables(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        PIXEL_MASK: rng.integers(0, 2, (12, 16), np.uint32),
        FLATFIELD: rng.random((12, 16), np.float32),
        COUNTRATE: rng.random((2, 50), np.float32),
    }


def assert_told(account: dict[str, Any], tables: dict[str, np.ndarray]) -> None:
    assert account["edges"]["tell"]["processed"] == 6
    assert identity_holds(account)
    assert set(account["results"]) >= {f"tell.{name}" for name in tables}
    for name, table in tables.items():
        told = load(account, f"tell.{name}")
        assert told.dtype == table.dtype
        np.testing.assert_array_equal(told, table)


def test_consumers_see_the_tables_of_both_streams_live_replayed_and_sent_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    sent = [some_tables(1), some_tables(2)]
    detector = Detector()
    options = SessionOptions(
        f"dectris://{detector.endpoint.host}:{detector.endpoint.port}",
        out=tmp_path / "out",
        record=tmp_path / "kept",
        series=2,
    )
    with Session(PIPELINE, options) as session:
        session.start()
        for dialect, tables in zip((Dectris1(), Dectris2()), sent, strict=True):
            pictures = Pictures(random_frames(6, (12, 16)), tables=tables)
            detector.send(*(message.parts for message in dialect.messages(speech(pictures))))
        step_until(session, session.over)
        session.finish()
    detector.close()
    first, second = session.summary()["series"]
    sent[1][COUNTRATE] = sent[1][COUNTRATE].reshape(1, -1)  # stream v2 has it as a row of numbers
    assert_told(first, sent[0])
    assert_told(second, sent[1])
    (path,) = first["recordings"]
    plan = replay_plan(ReplayOptions(path, speed=float("inf")))
    (again,) = run(path, tmp_path / "again", PIPELINE, plan=plan)["series"]
    assert_told(again, sent[0])
    (sent_again,) = run(path, tmp_path / "live", PIPELINE)["series"]
    assert_told(sent_again, sent[0])
    kept = open_recording(second["recordings"][0])
    assert {name: np.atleast_2d(table).tolist() for name, table in kept.tables().items()} == {
        name: table.tolist() for name, table in sent[1].items()
    }
    kept.close()
