"""livem bench viewer: how pictures are judged, its gates, and a tiny run of all of it."""

from __future__ import annotations

import numpy as np
import pytest

from livem.benchmarks import viewer
from livem.benchmarks.viewer import Plan, Seen
from livem.benchmarks.viewer_scenes import EVENTS, electrons, fringes, lattice, share_seen


def test_electrons_are_seen_where_they_are_and_missed_where_pixels_are_picked() -> None:
    frame, places = electrons(1024)
    assert len(places) == EVENTS // 16
    assert (frame[places[:, 0], places[:, 1]] > 0).all()
    assert np.count_nonzero(frame) == len(places)
    areas = 80 * frame.reshape(256, 4, 256, 4).max(axis=(1, 3)).astype(np.uint8)
    assert share_seen(areas, places, 4) == 1.0
    assert share_seen(80 * frame[::4, ::4].astype(np.uint8), places, 4) < 0.2
    assert share_seen(np.zeros((256, 256), np.uint8), places, 4) == 0.0


def test_fringes_are_what_is_left_of_a_lattice() -> None:
    waves = lattice(840)
    tones = (252.0 * (waves - 500.0) / 2000.0).astype(np.uint8)
    assert fringes(tones[::4, ::4], 252.0) > 0.8
    assert fringes(np.full((200, 200), 99, np.uint8), 252.0) == 0.0


@pytest.mark.parametrize("good", [True, False])
def test_its_gates(monkeypatch: pytest.MonkeyPatch, good: bool) -> None:
    scale = 1.0 if good else 100.0
    seen = Seen(
        {"livem": [5.0 * scale] * 3, "pyqtgraph": [17.0] * 3},
        {"livem": 1.0 / scale, "pyqtgraph": 0.05},
        {"livem": 0.01 * scale, "pyqtgraph": 0.9},
        0.0 if good else 1.0,
        [20.0 * scale] * 5,
        5.0 * scale,
    )
    gates = list(viewer._gates(seen))
    assert len(gates) == 7
    assert all(gate["ok"] is good for gate in gates)


def test_a_tiny_run() -> None:
    pytest.importorskip("PySide6")
    measured = viewer.measure(Plan(side=512, rounds=2, ticks=3, tracks=20, window_side=64, starts=0))
    ways = [row["way"] for row in measured["rows"]]
    assert ways[:3] == ["livem", "pyqtgraph", "copy of the frame"]
    gates = {gate["name"]: gate for gate in measured["gates"]}
    assert gates["events seen"]["ok"]
    assert gates["levels off numpy's percentiles"]["ok"]
