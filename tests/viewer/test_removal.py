"""Detectors that come and go while the window is open: panes, circles and menus follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from livem.stream.results import Result, removed
from livem.viewer.models.choices import free_name
from livem.viewer.models.commands import Change
from livem.viewer.models.geometry import Geometry
from livem.viewer.models.session import Session
from livem.viewer.panels.detector_menu import detector_menu

IMAGE, FRAME = np.ones((8, 8)), np.zeros((64, 64), np.uint8)
RING = {"kind": "segments", "center": [32, 32], "inner": 5.0, "outer": 20.0, "directions": [0.0, 180.0]}


def gone(result: Result) -> Result:
    return replace(removed(result.topic, result.series), t_ns=result.t_ns + 1_000)


@pytest.fixture
def shown(show: Any, make: Any) -> list[Result]:
    results = [make.frame(FRAME), make.disk(IMAGE, (32, 32), 9), make.annulus(IMAGE, (32, 32), 12, 20)]
    show(*results)
    return results


def test_a_detector_that_is_added_gets_a_pane_and_a_circle(
    window: Any, show: Any, make: Any, shown: Any
) -> None:
    show(make.scan("vd.haadf2", IMAGE, kind="annulus", center=[30, 30], inner=3.0, outer=6.0))
    assert list(window.images.panes) == ["vd.bf", "vd.haadf", "vd.haadf2"]
    assert window.frame.overlay.geometries["vd.haadf2"].outer == 6


def test_a_detector_that_is_removed_leaves_no_pane_and_no_circle(window: Any, show: Any, shown: Any) -> None:
    show(gone(shown[2]))
    assert list(window.images.panes) == ["vd.bf"]
    assert set(window.frame.overlay.geometries) == {"vd.bf"}
    show(gone(shown[1]))
    assert not window.images.panes
    assert not window.images.isVisible()


def test_it_may_be_removed_out_of_the_users_hand(window: Any, show: Any, shown: Any, commands: Any) -> None:
    window.frame.overlay.held.emit("vd.bf")
    show(gone(shown[1]))
    window.frame.overlay.moved.emit("vd.bf", Geometry("disk", (20, 20), outer=9))
    window.frame.overlay.held.emit(None)
    assert commands.asked == [], "asking for it would add it again"


def test_a_curve_that_is_removed_leaves_no_plot(window: Any, show: Any, make: Any) -> None:
    curve = make.curve("vd.profile", np.arange(4.0), np.arange(4.0), kind="profile")
    show(curve)
    assert list(window.curves.panes) == ["vd.profile"]
    show(gone(curve))
    assert not window.curves.panes


def test_a_detector_in_segments_goes_with_its_last_segment(make: Any) -> None:
    session = Session()
    parts = [make.scan(f"vd.q.s{k}", IMAGE, segment=k, **RING) for k in range(2)]
    session.take({part.topic: part for part in parts})
    session.take({parts[0].topic: gone(parts[0])})
    assert "vd.q" in session.detectors.geometries(0.0)
    session.take({parts[1].topic: gone(parts[1])})
    assert session.detectors.geometries(0.0) == {}
    assert session.images == ()


def test_a_past_series_keeps_what_it_was_measured_with(make: Any) -> None:
    session = Session()
    last = replace(make.disk(IMAGE, (32, 32), 9), final=True)
    session.take({last.topic: last})
    session.keep([last])
    session.take({last.topic: gone(last)})
    assert session.images == ()
    (past,) = session.archive.series
    assert list(past.results) == ["vd.bf"]


def test_the_menu_adds_another_one_and_removes_it(window: Any, shown: Any, commands: Any) -> None:
    menu = detector_menu(window, window.session, commands, "vd.haadf")
    assert menu is not None
    for action in menu.actions():
        if action.text() in ("Another one like it", "Remove it"):
            action.trigger()
    ring = {"kind": "annulus", "center": [32, 32], "inner": 12, "outer": 20}
    assert commands.asked == [
        Change("vd", "detectors.haadf2", ring),
        Change("vd", "detectors.haadf", "remove"),
    ]


@pytest.mark.parametrize(
    ("name", "known", "free"),
    [("bf", ["bf"], "bf2"), ("bf2", ["bf", "bf2"], "bf3"), ("7", ["7", "72"], "73")],
)
def test_a_free_name_is_like_the_one_that_is_there(name: str, known: list[str], free: str) -> None:
    assert free_name(name, dict.fromkeys(known, "disk")) == free
