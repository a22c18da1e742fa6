"""livem bench replay on a tiny recording: it is played, processed and counted; at any speed."""

from __future__ import annotations

import pytest

from livem.benchmarks import replay
from livem.benchmarks.replay import DECODING, READING, Spent

pytestmark = pytest.mark.timeout(300)


def test_a_recording_is_played_over_and_over_and_all_its_frames_are_processed() -> None:
    measured = replay.measure(replay.Plan(1, 2, (64, 64), (8, 8), ring_bytes=16 << 20))
    assert measured["title"].startswith("Replay at full speed: 8x8 frames of 64x64 uint16")
    assert [row["what"] for row in measured["rows"]] == [*replay.WHAT.values(), "session"]


@pytest.mark.parametrize(("reading_us", "ok"), [(6.6, True), (15.0, False)])
def test_its_gate_is_on_reading_beside_decoding(
    monkeypatch: pytest.MonkeyPatch, reading_us: float, ok: bool
) -> None:
    spent = Spent({READING: reading_us, DECODING: 14.5}, 1e5)
    monkeypatch.setattr(replay, "record", lambda path, plan: 1e4)
    monkeypatch.setattr(replay, "replayed", lambda path, plan: [spent] * 3)
    measured = replay.measure(replay.QUICK)
    (gate,) = measured["gates"]
    assert (gate["value"], gate["limit"], gate["ok"]) == (reading_us, 14.5, ok)
    assert measured["rows"][0]["CPU us/frame"] == f"{reading_us:.3g}"
