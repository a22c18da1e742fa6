from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from livem.viewer.colour import BLIND_COLOUR
from livem.viewer.models.commands import Change, Outcome
from livem.viewer.models.contrast import Levels

LEFT = Qt.MouseButton.LeftButton
SHAPE = (256, 256)
CENTRE = (127.5, 127.5)


def bright_disk(y: float, x: float, radius: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.where(np.hypot(rows - y, columns - x) < radius, 200, 5).astype(np.uint16)


@pytest.fixture
def drag(window: Any) -> Callable[..., None]:
    """Drag with a real mouse, from and to points (y, x) of the frame, in several movements."""
    view = window.frame.pane.view

    def at(point: tuple[float, float]) -> QPoint:
        where: QPoint = view.to_screen(*point).toPoint()
        return where

    def go(start: tuple[float, float], *stops: tuple[float, float]) -> None:
        target = view.viewport()
        QTest.mouseMove(target, at(start))
        QTest.mousePress(target, LEFT, pos=at(start))
        for stop in stops:
            QTest.mouseMove(target, at(stop))
        QTest.mouseRelease(target, LEFT, pos=at(stops[-1]))

    return go


@pytest.mark.parametrize("factor", [1, 4])
def test_a_bright_disk_is_where_it_was_measured(
    window: Any, show: Any, make: Any, colour_at: Any, factor: int
) -> None:
    image = bright_disk(40, 180, 20)[::factor, ::factor]
    show(make.frame(image, factor=factor, shape=SHAPE))
    view = window.frame.pane.view
    for y, x in ((40, 180), (28, 180), (40, 192)):
        assert min(colour_at(view, y, x)) > 250
    for y, x in ((180, 40), (40, 210), (70, 180), (100, 100)):
        assert max(colour_at(view, y, x)) < 5


def test_pixels_stand_on_integer_coordinates(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    image = np.zeros((8, 8), np.uint8)
    image[2, 5] = 255
    show(make.frame(image))
    view = window.frame.pane.view
    assert min(colour_at(view, 2, 5)) > 250
    for y, x in ((1.6, 4.6), (2.4, 5.4)):
        assert min(colour_at(view, y, x)) > 250
    for y, x in ((1.4, 5), (2.6, 5), (2, 4.4), (2, 5.6)):
        assert max(colour_at(view, y, x)) < 5


def test_the_caption_and_the_read_out(window: Any, show: Any, make: Any) -> None:
    show(make.frame(bright_disk(40, 180, 20), index=12345))
    pane = window.frame.pane
    assert pane.reading.text() == "frame 12,345   256 x 256 px"
    pane.view.pointed.emit(40.2, 179.8)
    assert pane.reading.text() == "y 40  x 180   200 counts"
    show(make.frame(bright_disk(40, 180, 20) + 1))
    assert pane.reading.text() == "y 40  x 180   201 counts"
    pane.view.left.emit()
    assert pane.reading.text().startswith("frame 41")


@pytest.fixture
def half_blind(make: Any) -> Any:
    """A bright disk on a detector with a dead module gap, a dead block and dead single pixels."""
    image = bright_disk(127.5, 127.5, 90)
    valid = np.ones(SHAPE, bool)
    valid[126:130] = valid[200:220, 30:60] = False
    valid[60, 80] = valid[60, 84] = False
    image[~valid] = 0
    return make.frame(
        image, pixel_mask=True, masked_pixels=int((~valid).sum()), saturated_pixels=7, saturation=4000.0
    ), valid


def with_map(result: Any, valid: Any) -> Any:
    return replace(result, arrays={**result.arrays, "valid": valid})


def test_where_the_detector_is_blind_has_a_colour_of_its_own(
    window: Any, show: Any, half_blind: Any, colour_at: Any
) -> None:
    frame, valid = half_blind
    show(with_map(frame, valid))
    view, blind = window.frame.pane.view, tuple(BLIND_COLOUR[:3])
    for y, x in ((127.5, 40), (127.5, 128), (210, 45)):
        assert colour_at(view, y, x) == blind
    assert min(colour_at(view, 100, 128)) > 250
    assert max(colour_at(view, 10, 10)) < 5


def test_contrast_does_not_see_masked_pixels(window: Any, show: Any, half_blind: Any) -> None:
    frame, valid = half_blind
    show(with_map(frame, valid))
    clean = window.frame.pane.contrast.levels
    frame.arrays["image"][~valid] = 65_535
    show(with_map(frame, valid))
    assert window.frame.pane.contrast.levels == clean


def test_the_caption_says_what_not_to_trust(window: Any, show: Any, half_blind: Any, make: Any) -> None:
    frame, valid = half_blind
    show(with_map(frame, valid))
    pane = window.frame.pane
    assert pane.reading.text() == "frame 41   256 x 256 px   7 saturated   1,626 masked"
    pane.view.pointed.emit(127, 40)
    assert pane.reading.text() == "y 127  x 40   masked"
    pane.view.left.emit()
    show(make.frame(bright_disk(9, 9, 5), pixel_mask=False, masked_pixels=3, saturated_pixels=0))
    assert pane.reading.text() == "frame 41   256 x 256 px   RAW, mask off"
    show(make.frame(bright_disk(9, 9, 5), masked_pixels="many", saturated_pixels=[1]))
    assert pane.reading.text() == "frame 41   256 x 256 px"


def test_a_key_shows_the_raw_counts_and_masks_them_again(
    window: Any, show: Any, half_blind: Any, make: Any, commands: Any
) -> None:
    show(make.frame(bright_disk(9, 9, 5)))
    QTest.keyClick(window, Qt.Key.Key_M)
    assert commands.asked == []
    frame, valid = half_blind
    for present in (True, False):
        show(replace(with_map(frame, valid), attrs={**frame.attrs, "pixel_mask": present}))
        QTest.keyClick(window, Qt.Key.Key_M)
        assert commands.asked[-1] == Change("preview", "pixel_mask", not present)


def test_not_finite_and_masked_pixels_look_different(
    window: Any, show: Any, make: Any, colour_at: Any
) -> None:
    image, valid = np.ones((64, 64), np.float32), np.ones((64, 64), bool)
    image[:20], valid[40:] = np.nan, False
    image[40:] = np.nan
    show(with_map(make.frame(image), valid))
    view = window.frame.pane.view
    r, g, b = colour_at(view, 10, 30)
    assert b > r + 20
    assert b > g + 10
    assert colour_at(view, 50, 30) == tuple(BLIND_COLOUR[:3])


def test_zoomed_out_areas_are_blind_only_where_all_of_them_is(
    window: Any, show: Any, make: Any, colour_at: Any
) -> None:
    image, valid = np.full((2048, 2048), 100, np.uint16), np.ones((2048, 2048), bool)
    image[:, :300] = 0
    valid[::2, ::2] = valid[1000:1100, 1000:1100] = False
    show(with_map(make.frame(image), valid))
    view = window.frame.pane.view
    assert colour_at(view, 1050, 1050) == tuple(BLIND_COLOUR[:3])
    assert min(colour_at(view, 400, 400)) > 250


def test_detectors_are_drawn_where_they_are(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    frame, image = np.zeros(SHAPE, np.uint8), np.ones((8, 8))
    show(make.frame(frame), make.annulus(image, CENTRE, 40, 90), make.disk(image, (60, 60), 20))
    view = window.frame.pane.view
    on_ring, in_ring, between = colour_at(view, 127.5 + 90, 127.5), colour_at(view, 190, 127.5), None
    between = colour_at(view, 127.5, 127.5)
    assert max(between) < 10
    assert max(in_ring) > max(between)
    assert max(on_ring) > 100
    assert set(window.frame.overlay.geometries) == {"vd.haadf", "vd.bf"}


def test_dragging_the_annulus_asks_for_its_new_radius(
    window: Any, show: Any, make: Any, commands: Any, drag: Any
) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)), make.annulus(np.ones((8, 8)), CENTRE, 40, 90))
    drag((127.5, 127.5 + 90), (127.5, 127.5 + 95), (127.5, 127.5 + 110))
    change = commands.asked[-1]
    assert (change.consumer, change.name) == ("vd", "detectors.haadf")
    assert change.value["kind"] == "annulus"
    assert change.value["outer"] == pytest.approx(110, abs=1)
    assert (change.value["inner"], change.value["center"]) == (40.0, [127.5, 127.5])
    assert len(commands.asked) == 2
    assert window.frame.overlay.geometries["vd.haadf"].outer == pytest.approx(change.value["outer"], abs=0.01)


def test_dragging_the_inside_moves_the_disk_and_not_the_view(
    window: Any, show: Any, make: Any, commands: Any, drag: Any
) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)), make.disk(np.ones((8, 8)), (100, 100), 40))
    before = window.frame.pane.view.box.viewRect()
    drag((100, 110), (110, 130), (120, 150))
    value = commands.asked[-1].value
    assert value["center"] == pytest.approx([120, 140], abs=1)
    assert value["radius"] == 40.0
    assert window.frame.pane.view.box.viewRect() == before


def test_a_drag_out_of_the_frame_stops_at_its_edge(show: Any, make: Any, commands: Any, drag: Any) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)), make.disk(np.ones((8, 8)), (100, 100), 40))
    drag((100, 100), (90, 50), (100, -60))
    assert commands.asked[-1].value["center"] == pytest.approx([100, 0], abs=1)


def test_a_drag_beside_all_detectors_asks_for_nothing(show: Any, make: Any, commands: Any, drag: Any) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)), make.disk(np.ones((8, 8)), (100, 100), 20))
    drag((200, 200), (210, 210))
    assert commands.asked == []


def test_a_refused_drag_springs_back_and_says_why(
    window: Any, show: Any, make: Any, commands: Any, drag: Any
) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)), make.disk(np.ones((8, 8)), (100, 100), 20))
    drag((100, 120), (100, 150))
    commands.answers = [Outcome(commands.asked[-1], "radius 50 is too large")]
    window.tick()
    assert window.frame.overlay.geometries["vd.bf"].outer == 20
    assert window.status.message.text() == "radius 50 is too large"


def test_a_detector_follows_its_results(window: Any, show: Any, make: Any) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)), make.disk(np.ones((8, 8)), (100, 100), 20))
    show(make.disk(np.ones((8, 8)), (90, 80), 25))
    geometry = window.frame.overlay.geometries["vd.bf"]
    assert (geometry.center, geometry.outer) == ((90, 80), 25)


def test_contrast_does_not_flicker_on_poisson_noise(
    window: Any, make: Any, feed: Any, clock: Any, show: Any
) -> None:
    rng = np.random.default_rng(5)
    mean = bright_disk(100, 100, 40) / 10.0 + 1
    show(make.frame(rng.poisson(mean)))
    seen = set()
    for _ in range(30):
        feed.give(make.frame(rng.poisson(mean)))
        clock.forward(1 / 30)
        window.tick()
        seen.add(window.frame.pane.contrast.levels)
    assert len(seen) == 1


def test_a_diffraction_pattern_gets_its_colours_and_a_movie_stays_grey(
    window: Any, show: Any, make: Any, colour_at: Any
) -> None:
    image = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    show(make.frame(image))
    r, g, b = colour_at(window.frame.pane.view, 30, 128)
    assert r == g == b
    show(make.frame(image), make.disk(np.ones((8, 8)), (200, 200), 20))
    assert window.frame.pane.transfer == "sqrt"
    r, g, b = colour_at(window.frame.pane.view, 30, 128)
    assert r > b


@pytest.mark.parametrize("size", [700, 1500, 2048])
def test_zooming_out_loses_no_event(window: Any, show: Any, make: Any, size: int) -> None:
    places = np.random.default_rng(size).integers(10, size - 10, (40, 2))
    frame = np.zeros((size, size), np.float32)
    frame[places[:, 0], places[:, 1]] = 1000
    show(make.frame(frame))
    view = window.frame.pane.view
    window.frame.pane.contrast.levels = Levels(0.0, 20.0)
    window.frame.pane.lock_contrast(True)
    window.tick()
    picture = view.grab().toImage()
    for y, x in places:
        spot = view.to_screen(y, x).toPoint()
        near = [picture.pixelColor(spot.x() + i, spot.y() + j).red() for i in (-1, 0, 1) for j in (-1, 0, 1)]
        assert max(near) > 40


def test_zooming_out_makes_no_moire(window: Any, show: Any, make: Any) -> None:
    rows = np.indices((2048, 2048))[0]
    lattice = 100 + 100 * np.cos(2 * np.pi * rows / 4.2)
    show(make.frame(lattice))
    view = window.frame.pane.view
    picture = view.grab().toImage()
    top, bottom = view.visible_rows()
    column = [picture.pixelColor(picture.width() // 2, y).red() for y in range(int(top) + 5, int(bottom) - 5)]
    assert np.ptp(column) < 0.12 * 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_shapes_are_shown(window: Any, show: Any, make: Any, shape: tuple[int, int]) -> None:
    show(make.frame(np.arange(shape[0] * shape[1]).reshape(shape)))
    assert window.frame.pane.view.image.shown is not None


def test_a_frame_of_nan_is_all_checker(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    show(make.frame(np.full((64, 64), np.nan, np.float32)))
    r, _, b = colour_at(window.frame.pane.view, 20, 20)
    assert b > r + 20
