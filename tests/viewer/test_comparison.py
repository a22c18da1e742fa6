"""Measured and processed frames held against each other; linked views; changes that are taken back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtTest import QTest

from livem.viewer.models.comparison import BLINK_S, Comparison, pair_of
from livem.viewer.models.view_history import KEPT, REST_S, ViewHistory

LEFT = Qt.MouseButton.LeftButton
SHAPE = (64, 64)


class Denoiser:
    """Results as of a consumer that denoises: measured dark on the left, the estimate dark on the right."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def measured(self, index: int, **more: Any) -> Any:
        image = np.where(np.arange(64) < 32, 10, 200) * np.ones((64, 1))
        return self._image("quiet.raw", image, index, **more)

    def estimate(self, index: int, **more: Any) -> Any:
        image = np.where(np.arange(64) < 32, 200, 10) * np.ones((64, 1))
        return self._image("quiet.image", image, index, estimate=True, **more)

    def residual(self, index: int) -> Any:
        result = self._make.scan(
            "quiet.residual", np.zeros(SHAPE), of_frame=True, index=index, kind="residual"
        )
        result.units["image"] = "sigma"
        return result

    def _image(self, topic: str, image: Any, index: int, **more: Any) -> Any:
        return self._make.scan(topic, image, of_frame=True, index=index, **more)


@pytest.fixture
def denoiser(make: Any) -> Denoiser:
    return Denoiser(make)


@pytest.fixture
def both(make: Any, denoiser: Any) -> tuple[Any, ...]:
    frame = make.frame(np.full(SHAPE, 100, np.uint16), index=8)
    return frame, denoiser.measured(7), denoiser.estimate(7), denoiser.residual(7)


def test_only_pictures_of_one_frame_are_paired(make: Any, denoiser: Any) -> None:
    estimate, residual = denoiser.estimate(7), denoiser.residual(7)
    assert pair_of([residual, estimate]) is None
    assert pair_of([denoiser.measured(6), estimate]) is None
    assert pair_of([denoiser.measured(7, factor=2), estimate]) is None
    pair = pair_of([residual, estimate, denoiser.measured(7)])
    assert pair is not None
    assert (pair.measured.topic, pair.processed.topic) == ("quiet.raw", "quiet.image")
    preview = make.frame(np.zeros(SHAPE), index=7)
    mine = pair_of([preview, estimate, denoiser.measured(7)])
    assert mine is not None
    assert mine.measured.topic == "quiet.raw"
    other = pair_of([preview, estimate])
    assert other is not None
    assert other.measured is preview


def test_a_pair_stays_until_both_of_the_next_frame_are_there(denoiser: Any) -> None:
    book, raw, estimate = Comparison(), denoiser.measured(7), denoiser.estimate(7)
    book.see([raw, estimate])
    first = book.pair
    book.see([denoiser.measured(8), estimate])
    assert book.pair is first
    book.see([raw, estimate])
    assert book.pair is first
    book.see([raw])
    assert book.pair is None


def test_a_difference_is_estimate_less_measured_where_both_are_known(denoiser: Any) -> None:
    book, raw, estimate = Comparison(), denoiser.measured(7), denoiser.estimate(7)
    estimate.arrays["image"][0, 0] = np.nan
    book.see([raw, estimate])
    book.toggle("difference")
    picture = book.picture(0.0)
    assert picture is not None
    assert picture.is_signed
    assert picture.image[5, 5] == 190
    assert picture.image[5, 60] == -190
    assert picture.valid is not None
    assert (picture.valid.sum(), picture.valid[0, 0]) == (64 * 64 - 1, False)


def test_the_line_shows_measured_on_its_left_and_the_estimate_on_its_right(
    window: Any, show: Any, both: Any, colour_at: Any
) -> None:
    show(*both)
    view = window.frame.pane.view
    assert not view.line.isVisible()
    QTest.keyClick(window, Qt.Key.Key_S)
    show()
    assert view.line.isVisible()
    assert [max(colour_at(view, 40, x)) > 128 for x in (10, 28, 36, 55)] == [False, False, False, False]
    assert "measured: quiet.raw" in window.frame.pane.title.text()
    line = view.to_screen(40, 31.5).toPoint()
    QTest.mouseMove(view.viewport(), line)
    QTest.mousePress(view.viewport(), LEFT, pos=line)
    for x in (28, 20, 15.5):
        QTest.mouseMove(view.viewport(), view.to_screen(40, x).toPoint())
    QTest.mouseRelease(view.viewport(), LEFT, pos=view.to_screen(40, 15.5).toPoint())
    show()
    assert window.frame.comparison.share == pytest.approx(0.25, abs=0.02)
    assert [max(colour_at(view, 40, x)) > 128 for x in (10, 20, 28, 55)] == [False, True, True, False]
    QTest.keyClick(window, Qt.Key.Key_S)
    show()
    assert not view.line.isVisible()
    assert window.frame.pane.title.text() == "Live frame"


def test_blinking_shows_each_in_turn_with_the_same_levels(
    window: Any, show: Any, both: Any, clock: Any, colour_at: Any
) -> None:
    show(*both)
    view = window.frame.pane.view
    QTest.keyClick(window, Qt.Key.Key_B)
    seen, levels = [], set()
    for _ in range(4):
        show()
        seen.append(max(colour_at(view, 40, 10)) > 128)
        levels.add(window.frame.pane.contrast.levels)
        clock.forward(BLINK_S)
    assert seen in ([False, True, False, True], [True, False, True, False])
    assert len(levels) == 1


def test_the_difference_has_colours_about_nothing(window: Any, show: Any, both: Any, colour_at: Any) -> None:
    show(*both)
    QTest.keyClick(window, Qt.Key.Key_X)
    show()
    view = window.frame.pane.view
    more, less = colour_at(view, 40, 10), colour_at(view, 40, 55)
    assert more[0] > more[2] + 40
    assert less[2] > less[0] + 40
    assert window.frame.pane.contrast.levels.low == -window.frame.pane.contrast.levels.high


def test_without_an_estimate_the_keys_change_nothing(window: Any, show: Any, make: Any) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)))
    for key in (Qt.Key.Key_S, Qt.Key.Key_B, Qt.Key.Key_X):
        QTest.keyClick(window, key)
        show()
        assert window.frame.pane.title.text() == "Live frame"
        assert not window.frame.pane.view.line.isVisible()


def wheel(view: Any) -> None:
    """What pyqtgraph does when the wheel turns over a view."""
    view.box.scaleBy((0.5, 0.5))
    view.box.sigRangeChangedManually.emit([True, True])


def test_pictures_of_the_same_pixels_are_zoomed_together(
    window: Any, show: Any, make: Any, both: Any
) -> None:
    show(*both, make.scan("vd.bf", np.ones(SHAPE)))
    views = {name: pane.view for name, pane in window.images.panes.items()}
    whole = views["vd.bf"].box.viewRect()
    wheel(window.frame.pane.view)
    part = window.frame.pane.view.box.viewRect()
    for name in ("quiet", "quiet.image", "quiet.residual"):
        assert views[name].box.viewRect().contains(part.adjusted(0.01, 0.01, -0.01, -0.01))
        assert views[name].box.viewRect().width() < 0.75 * whole.width()
    assert views["vd.bf"].box.viewRect() == whole
    wheel(views["quiet"])
    centre = views["quiet"].box.viewRect().center()
    assert window.frame.pane.view.box.viewRect().center() == centre


def test_changes_of_the_views_are_taken_back_one_by_one(
    window: Any, show: Any, make: Any, clock: Any
) -> None:
    show(make.frame(np.zeros(SHAPE, np.uint8)))
    pane = window.frame.pane

    def rest() -> None:
        clock.forward(2 * REST_S)
        window.tick()

    rest()
    whole = pane.view.box.viewRect()
    wheel(pane.view)
    rest()
    once = QRectF(pane.view.box.viewRect())
    QTest.keyClick(window, Qt.Key.Key_G)
    rest()
    wheel(pane.view)
    rest()
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert pane.view.box.viewRect() == once
    assert pane.transfer == "sqrt"
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert pane.transfer == "linear"
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert pane.view.box.viewRect() == whole


def test_a_turn_of_the_wheel_is_one_change() -> None:
    history: ViewHistory[int] = ViewHistory()
    for now, state in ((0.0, 1), (5.0, 2), (5.1, 3), (5.2, 4), (9.0, 4)):
        history.note(state, now)
    assert [history.back(), history.back()] == [1, None]
    for state in range(3 * KEPT):
        history.note(state, 100.0 + state)
    assert sum(history.back() is not None for _ in range(3 * KEPT)) == KEPT
