"""livem bench stalled on a tiny session: a stopped window loses nothing, and its gates tell good from bad."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from livem.benchmarks import SUITE, stalled
from livem.benchmarks.stalled import Plan, Seen

pytest.importorskip("PySide6")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
def test_frames_are_analysed_beside_a_stopped_window() -> None:
    seen = stalled.watched(Plan(1, 0.5, 100, (16, 16), 1 << 20))
    assert seen.lost == 0
    assert all(histogram.sum() > 0 for histogram in (*seen.running, *seen.stalled))


@pytest.mark.parametrize(("slower", "ok"), [(0, True), (3, False)])
def test_its_gates(monkeypatch: pytest.MonkeyPatch, slower: int, ok: bool) -> None:
    assert SUITE["stalled"] == "livem.benchmarks.stalled:run"
    running, stopped = np.zeros((2, 256), np.uint64)
    running[40], stopped[40 + slower] = 100, 100
    monkeypatch.setattr(stalled, "watched", lambda plan: Seen([stopped], [running], 0))
    measured = stalled.measure(Plan(1, 1.0))
    assert [gate["ok"] for gate in measured["gates"]] == [ok, True]
