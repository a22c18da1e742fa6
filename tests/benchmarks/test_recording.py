"""The recording benchmark on tiny sizes: a recorder's process keeps every frame. No speed is asserted."""

from __future__ import annotations

from livem.benchmarks import SUITE, recording


def test_recording():
    measured = recording.measure(recording.Plan(4 << 20, 64, 1, batch=16, shape=(32, 32)))
    assert SUITE["recording"] == "livem.benchmarks.recording:run"
    assert {row["way"] for row in measured["rows"]} == {
        "memcpy",
        "write() to a file",
        "recording, raw",
        "recording, bslz4",
    }
    kept = next(gate for gate in measured["gates"] if gate["name"] == "frames not recorded")
    assert (kept["value"], kept["ok"]) == (0, True)
