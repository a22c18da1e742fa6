from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.consumers.virtual.detectors import fit, parse_detector
from livem.viewer.models.detectors import (
    PENDING_SECONDS,
    DetectorBook,
    detector_of,
    geometry_of,
    parameter_value,
)
from livem.viewer.models.geometry import Geometry, Grip, dragged, grip_at, pick

FRAME = (256, 200)
ANNULUS = {"kind": "annulus", "center": [127.5, 99.5], "inner": 40.0, "outer": 95.0}
DISK = {"kind": "disk", "center": [127.5, 99.5], "radius": 18.0}
COM = {"kind": "com", "center": [127.5, 99.5], "radius": 30.0}
RECTANGLE = {"kind": "rectangle", "center": [24.5, 39.5], "size": [30.0, 40.0]}

coordinates = st.floats(-1e4, 1e4)
points = st.tuples(coordinates, coordinates)


@pytest.mark.parametrize("attrs", [ANNULUS, DISK, COM, RECTANGLE])
def test_attrs_to_geometry_and_back(attrs: dict[str, Any]) -> None:
    geometry = geometry_of(attrs)
    assert geometry is not None
    assert parameter_value(geometry) == attrs


@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"kind": "com", "center": [1, 2]},
        {"kind": "disk"},
        {"kind": "disk", "center": None, "radius": 3},
        {"kind": "disk", "center": [1], "radius": 3},
        {"kind": "annulus", "center": [1, 2], "inner": "wide", "outer": 3},
        {"kind": ["disk"]},
    ],
)
def test_what_cannot_be_drawn_is_no_detector(attrs: dict[str, Any]) -> None:
    assert geometry_of(attrs) is None


@pytest.mark.parametrize("attrs", [ANNULUS, DISK, COM, RECTANGLE])
def test_what_a_drag_asks_for_is_a_detector_of_the_consumer(attrs: dict[str, Any]) -> None:
    geometry = geometry_of(attrs)
    assert geometry is not None
    grip: Grip = "corner" if geometry.kind == "rectangle" else "outer"
    smallest = dragged(geometry, grip, (0, 0), geometry.center, FRAME)
    spec = parse_detector("test", parameter_value(smallest))
    assert geometry_of(fit(spec, FRAME).attrs) == smallest


def test_a_detector_knows_its_parameter() -> None:
    detector = detector_of("vd.haadf", ANNULUS)
    assert detector is not None
    assert (detector.consumer, detector.parameter) == ("vd", "detectors.haadf")
    assert detector_of("status", ANNULUS) is None


@pytest.mark.parametrize(
    ("point", "grip"),
    [
        ((127.5, 99.5 + 40), "inner"),
        ((127.5 - 95, 99.5), "outer"),
        ((127.5, 99.5 + 67), "move"),
        ((127.5, 99.5), None),
        ((0, 0), None),
    ],
)
def test_grips_of_an_annulus(point: tuple[float, float], grip: Grip | None) -> None:
    geometry = geometry_of(ANNULUS)
    assert geometry is not None
    assert grip_at(geometry, point, 4.0) == grip


def test_a_thin_annulus_can_still_be_moved() -> None:
    thin = Geometry("annulus", (50, 50), inner=20, outer=26)
    assert grip_at(thin, (50, 73), 4.0) == "move"


def test_edges_come_before_insides_and_small_before_large() -> None:
    large = Geometry("disk", (50, 50), outer=40)
    small = Geometry("disk", (50, 50), outer=20)
    both = {"large": large, "small": small}
    assert pick(both, (50, 52), 3.0) == ("small", "move")
    assert pick(both, (50, 80), 3.0) == ("large", "move")
    assert pick(both, (50, 70), 3.0) == ("small", "outer")
    assert pick(both, (99, 99), 3.0) is None


@given(points, points)
def test_a_moved_detector_keeps_its_size_and_its_centre_in_the_frame(
    start: tuple[float, float], point: tuple[float, float]
) -> None:
    geometry = Geometry("annulus", (100, 100), inner=10, outer=30)
    moved = dragged(geometry, "move", start, point, FRAME)
    assert (moved.inner, moved.outer) == (10, 30)
    assert 0 <= moved.center[0] <= 255
    assert 0 <= moved.center[1] <= 199


@given(st.sampled_from(["inner", "outer"]), points)
def test_an_annulus_never_turns_inside_out(grip: Grip, point: tuple[float, float]) -> None:
    after = dragged(Geometry("annulus", (100, 100), inner=10, outer=30), grip, (0, 0), point, FRAME)
    assert 0 <= after.inner <= after.outer - 1
    assert after.outer <= math.hypot(*FRAME)


@given(points)
def test_disks_and_rectangles_never_vanish(point: tuple[float, float]) -> None:
    assert dragged(Geometry("disk", (9, 9), outer=3), "outer", (0, 0), point, FRAME).outer >= 1
    box = dragged(Geometry("rectangle", (9, 9), half=(3, 3)), "corner", (0, 0), point, FRAME)
    assert min(box.half) >= 1


def test_dragging_edges() -> None:
    disk = Geometry("disk", (100, 100), outer=10)
    assert dragged(disk, "outer", (100, 110), (100, 125), FRAME).outer == 25
    box = Geometry("rectangle", (100, 100), half=(5, 5))
    assert dragged(box, "corner", (105, 105), (110, 120), FRAME).half == (10, 20)


def test_the_book_shows_a_wish_until_a_result_confirms_it() -> None:
    book = DetectorBook()
    book.see("vd.bf", DISK)
    wanted = Geometry("disk", (127.5, 99.5), outer=30)
    asked = book.wish("vd.bf", wanted, 10.0)
    assert asked is not None
    assert asked.parameter == "detectors.bf"
    book.see("vd.bf", DISK)
    assert book.geometries(10.5) == {"vd.bf": wanted}
    book.see("vd.bf", DISK | {"radius": 30.0})
    book.see("vd.bf", DISK | {"radius": 31.0})
    assert book.geometries(10.6)["vd.bf"].outer == 31


def test_a_wish_that_nobody_confirms_springs_back_unless_it_is_held() -> None:
    book = DetectorBook()
    book.see("vd.bf", DISK)
    book.wish("vd.bf", Geometry("disk", (1, 1), outer=30), 10.0)
    book.held = "vd.bf"
    assert book.geometries(11 + PENDING_SECONDS)["vd.bf"].outer == 30
    book.held = None
    assert book.geometries(11 + PENDING_SECONDS)["vd.bf"].outer == 18


def test_a_refused_wish_springs_back_at_once() -> None:
    book = DetectorBook()
    book.see("vd.bf", DISK)
    book.wish("vd.bf", Geometry("disk", (1, 1), outer=30), 10.0)
    book.refused("vd", "detectors.haadf")
    assert book.geometries(10.0)["vd.bf"].outer == 30
    book.refused("vd", "detectors.bf")
    assert book.geometries(10.0)["vd.bf"].outer == 18


def test_a_topic_that_is_no_detector_any_more_disappears_and_keeps_its_number() -> None:
    book = DetectorBook()
    book.see("vd.bf", DISK)
    book.see("vd.haadf", ANNULUS)
    book.see("vd.bf", {})
    assert set(book.geometries(0.0)) == {"vd.haadf"}
    assert book.number("vd.bf") is None
    book.see("vd.bf", DISK)
    assert (book.number("vd.bf"), book.number("vd.haadf")) == (0, 1)


def test_what_is_taken_away_out_of_the_hand_is_not_asked_for() -> None:
    book = DetectorBook()
    book.see("vd.bf", DISK)
    book.held = "vd.bf"
    book.wish("vd.bf", Geometry("disk", (1, 1), outer=30), 10.0)
    book.forget("vd.bf")
    assert book.geometries(10.0) == {}
    assert book.wish("vd.bf", Geometry("disk", (1, 1), outer=30), 10.0) is None
