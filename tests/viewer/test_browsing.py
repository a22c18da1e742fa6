"""Going back to series that are over while the next one runs: the bar, its keys, and what is marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from livem.stream.series import SeriesKey

SHAPE = (64, 64)


def series(number: int) -> SeriesKey:
    return SeriesKey(b"\x01" * 8, number)


@pytest.fixture
def run(feed: Any, make: Any, show: Any) -> Callable[[int], None]:
    """One series: its images bright as its number, and its last results."""

    def go(number: int, state: str = "complete") -> None:
        image = np.tile(np.linspace(0, 10.0 * number, 64), (64, 1))
        result = make.scan("vd.bf", image, series=series(number), kind="disk", center=[32, 32], radius=9.0)
        frame = replace(make.frame(np.zeros(SHAPE, np.uint8)), series=series(number))
        feed.ended.append(replace(result, final=True))
        epoch = series(number).epoch.hex()
        account = {"series": number, "epoch": epoch, "state": state, "reason": "the sender fell silent"}
        show(make.status(state="running", series=account), frame, result)

    return go


@pytest.fixture
def three(run: Callable[..., None]) -> None:
    run(1)
    run(2, "incomplete")
    run(3)


def reading(window: Any) -> str:
    return str(window.images.panes["vd.bf"].reading.text())


def test_there_is_no_bar_before_there_is_a_past(window: Any, run: Callable[..., None]) -> None:
    run(1)
    assert not window.series.isVisible()
    run(2)
    assert window.series.isVisible()
    assert window.series.pill.text() == "NEWEST"
    assert window.series.text.text() == "series 2"
    assert window.series.count.text() == "1 earlier"


def test_keys_go_back_and_live(window: Any, show: Any, three: None) -> None:
    bar = window.series
    QTest.keyClick(window, Qt.Key.Key_PageUp)
    show()
    assert bar.pill.text() == "PAST, NOT LIVE"
    assert bar.text.text().startswith("series 2   ")
    assert bar.text.text().endswith("incomplete")
    assert bar.text.toolTip() == "the sender fell silent"
    assert bar.count.text() == "2 of 2 earlier"
    QTest.keyClick(window, Qt.Key.Key_PageUp)
    show()
    assert not bar.back.isEnabled()
    assert window.images.panes["vd.bf"].picture.image.max() == 10.0
    QTest.keyClick(window, Qt.Key.Key_L)
    show()
    assert bar.pill.text() == "NEWEST"
    assert window.images.panes["vd.bf"].picture.image.max() == 30.0


def test_buttons_do_the_same(window: Any, show: Any, three: None) -> None:
    QTest.mouseClick(window.series.back, Qt.MouseButton.LeftButton)
    show()
    assert "series 2" in reading(window)
    QTest.mouseClick(window.series.on, Qt.MouseButton.LeftButton)
    show()
    assert "series" not in reading(window)
    QTest.mouseClick(window.series.back, Qt.MouseButton.LeftButton)
    show()
    QTest.mouseClick(window.series.live, Qt.MouseButton.LeftButton)
    show()
    assert window.series.pill.text() == "NEWEST"
    assert not window.series.live.isVisible()


def test_a_past_series_stays_while_the_next_one_runs(
    window: Any, show: Any, three: None, run: Callable[..., None]
) -> None:
    window.session.browser.older()
    show()
    before = window.images.panes["vd.bf"].picture.image
    run(4)
    assert window.images.panes["vd.bf"].picture.image is before
    assert window.frame.pane.reading.text().startswith("frame")
    assert not window.frame.pane.view.veiled
    window.session.browser.live()
    show()
    assert window.images.panes["vd.bf"].picture.image.max() == 40.0


def test_the_past_is_marked_and_not_dimmed(window: Any, show: Any, three: None) -> None:
    window.session.browser.older()
    show()
    pane = window.images.panes["vd.bf"]
    edge = pane.grab().toImage().pixelColor(1, pane.height() // 2)
    assert edge.red() > 200
    assert edge.blue() < 120
    assert not pane.view.veiled
    window.session.browser.live()
    show()
    assert pane.grab().toImage().pixelColor(1, pane.height() // 2).red() < 60


def test_a_change_is_said_to_apply_to_the_newest(window: Any, show: Any, commands: Any, three: None) -> None:
    window.session.browser.older()
    show()
    view = window.frame.pane.view
    start, end = (view.to_screen(32, 32 + r).toPoint() for r in (9, 20))
    QTest.mouseMove(view.viewport(), start)
    QTest.mousePress(view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(view.viewport(), end)
    QTest.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, pos=end)
    window.tick()
    assert commands.asked[-1].name == "detectors.bf"
    assert window.status.message.text() == "changes apply to series 3, the newest; series 2 stays as it is"


def test_live_changes_are_not_explained(window: Any, show: Any, three: None) -> None:
    window.frame.overlay.held.emit("vd.bf")
    window.tick()
    assert "apply" not in window.status.message.text()


def test_what_had_to_leave_is_said(window: Any, show: Any, run: Callable[..., None]) -> None:
    window.session.archive.limit = 3 * 64 * 64 * 8
    for number in range(1, 6):
        run(number)
    assert window.series.count.text().startswith("2 earlier, 2 older ones left (98.3 kB")


def test_a_menu_of_a_past_image_changes_the_newest(window: Any, show: Any, three: None) -> None:
    window.session.browser.older()
    show()
    window._open_menu("vd.bf", "vd.bf", QPoint(10, 10))
    window.tick()
    assert "series 3" in window.status.message.text()
    window.activateWindow()
    for menu in window.findChildren(type(window.createPopupMenu() or object)):
        menu.close()
