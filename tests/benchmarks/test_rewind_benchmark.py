"""livem bench rewind on a tiny session: frames are shown, and its gates tell good from bad; at any speed."""

from __future__ import annotations

import numpy as np
import pytest

from livem.benchmarks import rewind
from livem.benchmarks.rewind import Plan, Seen


def test_frames_are_shown_while_others_come() -> None:
    seen = Seen()
    while not seen.shown_ms:  # until the process for it has begun
        seen = rewind.watched(Plan(1, 1.0, 200, (16, 16), 1 << 20))
    assert seen.lost == 0
    assert all(histogram.sum() > 0 for histogram in (*seen.calm, *seen.looking))


@pytest.mark.parametrize(("slower", "ok"), [(0, True), (3, False)])
def test_its_gates(monkeypatch: pytest.MonkeyPatch, slower: int, ok: bool) -> None:
    calm, looking = np.zeros((2, 256), np.uint64)
    calm[40], looking[40 + slower] = 100, 100
    seen = Seen([looking], [calm], [5.0, 9.0], 0, 0)
    monkeypatch.setattr(rewind, "watched", lambda plan: seen)
    measured = rewind.measure(Plan(1, 1.0))
    assert [gate["ok"] for gate in measured["gates"]] == [ok, True, True]
    (row,) = measured["rows"]
    assert row["looks"] == 2
