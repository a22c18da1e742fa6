"""Maps of what was measured, laid over pictures in the real window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from livem.viewer.models.commands import Change
from livem.viewer.models.sampling import DOUBTFUL, MEASURED, MISSING
from livem.viewer.panels.map_overlay import OPACITY

SHAPE = (64, 64)


def estimate(make: Any, topic: str = "cs.image", shape: tuple[int, int] = SHAPE, **maps: Any) -> Any:
    """A flat grey estimate: 1 at the lower edge, which gives levels, 0.5 elsewhere."""
    image = np.full(shape, 0.5)
    image[-2:] = [[0.0], [1.0]]
    result = make.scan(topic, image, estimate=True)
    result.arrays.update(maps)
    return result


def blended(ground: tuple[int, int, int], colour: str) -> np.ndarray:
    over = np.array(QColor(colour).getRgb()[:3])
    return (1 - OPACITY) * np.array(ground) + OPACITY * over


def test_m_shows_what_was_measured_of_an_estimate(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    sampled, fine = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    sampled[10:20, 10:20] = fine[30:40, 30:50] = True
    show(estimate(make, sampled=sampled, too_fine=fine))
    view = window.images.panes["cs.image"].view
    grey = colour_at(view, 50, 20)
    assert colour_at(view, 15, 15) == colour_at(view, 35, 40) == grey
    QTest.keyClick(window, Qt.Key.Key_M)
    show()
    np.testing.assert_allclose(colour_at(view, 15, 15), blended(grey, MEASURED), atol=4)
    np.testing.assert_allclose(colour_at(view, 35, 40), blended(grey, DOUBTFUL), atol=4)
    for y, x in ((50, 20), (9, 15), (20, 15), (15, 9), (15, 20), (29, 40), (35, 50)):
        assert colour_at(view, y, x) == grey
    words = [each.words for each in window.images.panes["cs.image"].maps._maps]
    assert words == ["measured 2.4 %", "finer than samples tell 4.9 %"]
    QTest.keyClick(window, Qt.Key.Key_M)
    show()
    assert colour_at(view, 15, 15) == colour_at(view, 35, 40) == grey


def test_the_legend_stands_in_the_picture(window: Any, show: Any, make: Any) -> None:
    show(estimate(make, sampled=np.eye(64, dtype=bool)))
    pane = window.images.panes["cs.image"]
    plain = pane.view.grab().toImage()
    QTest.keyClick(window, Qt.Key.Key_M)
    show()
    drawn = pane.view.grab().toImage()
    corner = pane.view.to_screen(-0.5, -0.5).toPoint()
    square = drawn.pixelColor(corner.x() + 18, corner.y() + 18)
    assert square.name() == MEASURED
    white = [
        drawn.pixelColor(corner.x() + x, corner.y() + y).lightness() > 250
        and plain.pixelColor(corner.x() + x, corner.y() + y).lightness() < 200
        for x in range(28, 110)
        for y in range(10, 28)
    ]
    assert sum(white) > 25


def test_many_pixels_a_screen_pixel_are_as_strong_as_their_share(
    window: Any, show: Any, make: Any, colour_at: Any
) -> None:
    shape, rng = (2048, 2048), np.random.default_rng(4)
    sampled = rng.random(shape) < np.where(np.arange(2048) < 1024, 0.04, 0.64)
    show(estimate(make, shape=shape, sampled=sampled))
    view = window.images.panes["cs.image"].view
    before = [np.array(colour_at(view, 1000, x), float) for x in (500, 1500)]
    QTest.keyClick(window, Qt.Key.Key_M)
    show()
    picture = view.grab().toImage()
    middle = [view.to_screen(1000, x).toPoint() for x in (500, 1500)]
    reds = [
        np.mean([picture.pixelColor(at.x() + dx, at.y() + dy).red() for dx in range(20) for dy in range(20)])
        for at in middle
    ]
    weak, strong = reds[0] - before[0][0], reds[1] - before[1][0]
    assert weak > 3
    assert strong > 3 * weak


def test_a_zoomed_map_lies_on_its_pixels(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    sampled = np.zeros(SHAPE, bool)
    sampled[31, 33] = True
    show(estimate(make, sampled=sampled))
    QTest.keyClick(window, Qt.Key.Key_M)
    view = window.images.panes["cs.image"].view
    view.show_part((28.0, 26.0, 12.0, 12.0))
    show()
    grey = colour_at(view, 34, 36)
    for y, x in ((30.6, 32.6), (31.4, 33.4), (31, 33)):
        np.testing.assert_allclose(colour_at(view, y, x), blended(grey, MEASURED), atol=4)
    for y, x in ((30.4, 33), (31.6, 33), (31, 32.4), (31, 33.6)):
        assert colour_at(view, y, x) == grey


def test_of_a_scan_with_a_gap_the_gap_is_shown(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    valid = np.ones(SHAPE, bool)
    valid[40:50] = False
    show(make.scan("vd.bf", np.ones(SHAPE), valid))
    view = window.images.panes["vd.bf"].view
    hole = colour_at(view, 45, 30)
    QTest.keyClick(window, Qt.Key.Key_M)
    show()
    np.testing.assert_allclose(colour_at(view, 45, 30), blended(hole, MISSING), atol=6)
    assert window.images.panes["vd.bf"].maps._maps[0].words == "not measured 15.6 %"


def test_an_image_that_comes_later_has_its_map_and_a_theme_changes_nothing(
    window: Any, show: Any, make: Any, colour_at: Any
) -> None:
    from livem.viewer import theme

    show(estimate(make, sampled=np.ones(SHAPE, bool)))
    QTest.keyClick(window, Qt.Key.Key_M)
    show(estimate(make, "cs.other", sampled=np.ones(SHAPE, bool)))
    before = theme.name_in_use()
    try:
        for _ in range(2):
            red, _, blue = colour_at(window.images.panes["cs.other"].view, 30, 30)
            assert red > blue + 60
            window.actions_by_name["theme"]()
            show()
    finally:
        theme.use(before)


@pytest.mark.parametrize("key", ["M", "Shift+M"])
def test_without_anything_to_tell_the_key_is_for_the_frame(
    window: Any, show: Any, make: Any, commands: Any, key: str
) -> None:
    frame = make.frame(np.zeros(SHAPE, np.uint8), pixel_mask=True)
    show(frame, make.scan("vd.bf", np.ones(SHAPE)))
    shift = Qt.KeyboardModifier.ShiftModifier if "Shift" in key else Qt.KeyboardModifier.NoModifier
    QTest.keyClick(window, Qt.Key.Key_M, shift)
    assert commands.asked == [Change("preview", "pixel_mask", False)]
    assert not window.images.shows_maps
