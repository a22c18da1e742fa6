"""Panels of the real window: moved, laid over each other, taken out, closed, brought back by menu and key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest

LEFT = Qt.MouseButton.LeftButton
ALT = Qt.KeyboardModifier.AltModifier


@pytest.fixture
def full(window: Any, show: Any, make: Any) -> Any:
    """The window with a frame, an image and a curve."""
    show(
        make.frame(np.tile(np.arange(64, dtype=np.uint8), (64, 1))),
        make.disk(np.ones((32, 32)), (30, 30), 9.0),
        make.curve("a.b", np.arange(9.0), np.arange(9.0)),
    )
    return window


def dock(window: Any, name: str) -> Any:
    return window.docks.dock(name)


def click(button: Any) -> None:
    QTest.mouseClick(button, LEFT)


def button(window: Any, name: str, which: str) -> Any:
    from livem.viewer.panels.transport import ShapeButton

    return dock(window, name).titleBarWidget().findChild(ShapeButton, which)


def menu_action(window: Any, words: str) -> Any:
    """An action of the menu View, with its tick as the user would see it."""
    window.view_menu.menu.aboutToShow.emit()
    found = [action for action, _ in window.view_menu._ticks if action.text().startswith(words)]
    assert len(found) == 1
    return found[0]


def test_each_panel_has_a_dock_with_a_name_that_stays(window: Any) -> None:
    names = [panel.name for panel in window.panels]
    assert len(set(names)) == len(names)
    assert {dock(window, name).objectName() for name in names} == {f"dock-{name}" for name in names}


def test_what_has_something_to_show_is_there_with_its_share(full: Any) -> None:
    shown = {panel.name for panel in full.panels if dock(full, panel.name).isVisible()}
    assert shown == {"frame", "images", "curves"}
    frame, images, curves = (dock(full, name).geometry() for name in ("frame", "images", "curves"))
    assert frame.width() / images.width() == pytest.approx(9 / 11, rel=0.02)
    assert images.height() / curves.height() == pytest.approx(3, rel=0.05)
    assert frame.right() < images.left()
    assert images.bottom() < curves.top()


def test_shares_stay_when_the_window_gets_another_size(full: Any, show: Any) -> None:
    full.resize(1500, 800)
    show()
    frame, images = dock(full, "frame"), dock(full, "images")
    assert frame.width() / images.width() == pytest.approx(9 / 11, rel=0.02)


def test_a_panel_is_closed_by_its_button_and_brought_back_by_menu_and_key(full: Any, show: Any) -> None:
    click(button(full, "curves", "close"))
    show()
    assert not dock(full, "curves").isVisible()
    tick = menu_action(full, "Curves")
    assert not tick.isChecked()
    tick.trigger()
    show()
    assert dock(full, "curves").isVisible()
    assert menu_action(full, "Curves").isChecked()
    QTest.keyClick(full, Qt.Key.Key_3, ALT)
    show()
    assert not dock(full, "curves").isVisible()
    QTest.keyClick(full, Qt.Key.Key_3, ALT)
    show()
    assert dock(full, "curves").isVisible()
    assert dock(full, "curves").geometry().top() > dock(full, "images").geometry().bottom()


def test_a_panel_is_a_window_of_its_own_and_goes_back(full: Any, show: Any) -> None:
    images = dock(full, "images")
    place = images.geometry()
    click(button(full, "images", "float"))
    show()
    assert images.isFloating()
    assert images.isVisible()
    assert full.workspace.is_moved
    assert np.ptp(_colours(full.images.panes["vd.bf"])) > 0
    click(button(full, "images", "float"))
    show()
    assert not images.isFloating()
    assert images.geometry().center().x() == pytest.approx(place.center().x(), abs=30)


def _colours(widget: Any) -> list[int]:
    picture = widget.grab().toImage()
    return [picture.pixelColor(x, picture.height() // 2).lightness() for x in range(0, picture.width(), 7)]


def test_panels_are_laid_over_each_other(full: Any, show: Any) -> None:
    full.docks.tabifyDockWidget(dock(full, "images"), dock(full, "curves"))
    show()
    assert full.workspace.is_moved
    assert dock(full, "curves") in full.docks.tabifiedDockWidgets(dock(full, "images"))


def test_what_the_user_moved_stays_when_more_comes(full: Any, show: Any, qapp: Any) -> None:
    border = dock(full, "frame").geometry().right() + 3
    place = QPoint(border, full.docks.height() // 2)
    QTest.mousePress(full.docks, LEFT, pos=place)
    for x in range(border, border - 200, -20):
        QTest.mouseMove(full.docks, QPoint(x, place.y()))
        qapp.processEvents()
    QTest.mouseRelease(full.docks, LEFT, pos=QPoint(border - 180, place.y()))
    show()
    assert full.workspace.is_moved
    width = dock(full, "frame").width()
    assert width == pytest.approx(border - 180, abs=25)
    QTest.keyClick(full, Qt.Key.Key_F)  # the spectrum: a panel that was not there
    show()
    assert dock(full, "tools").isVisible()
    assert dock(full, "frame").width() == width
    QTest.keyClick(full, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    show()
    assert not full.workspace.is_moved
    assert dock(full, "frame").width() / dock(full, "images").width() == pytest.approx(9 / 11, rel=0.02)


def test_a_click_on_a_panel_moves_nothing(full: Any) -> None:
    for label in (
        full.frame.pane.title,
        full.images.panes["vd.bf"].reading,
        dock(full, "frame").titleBarWidget(),
    ):
        QTest.mouseClick(label, LEFT)
    assert not full.workspace.is_moved


def test_modes_are_chosen_by_key_and_the_fitting_one_comes_back(full: Any, show: Any) -> None:
    control = Qt.KeyboardModifier.ControlModifier
    assert full.workspace.mode.name == "4d-stem"
    QTest.keyClick(full, Qt.Key.Key_3, control)
    show()
    assert full.workspace.mode.name == "sparse"
    assert menu_action(full, "Sparse scan").isChecked()
    assert dock(full, "images").geometry().right() < dock(full, "frame").geometry().left()
    QTest.keyClick(full, Qt.Key.Key_0, control)
    show()
    assert full.workspace.mode.name == "4d-stem"
    assert dock(full, "images").geometry().left() > dock(full, "frame").geometry().right()


def test_an_annulus_is_dragged_in_a_panel_that_floats(full: Any, show: Any, commands: Any) -> None:
    click(button(full, "frame", "float"))
    show()
    view = full.frame.pane.view
    start, end = (QPointF(view.to_screen(y, x)).toPoint() for y, x in ((30.0, 39.0), (30.0, 45.0)))
    QTest.mouseMove(view.viewport(), start)
    QTest.mousePress(view.viewport(), LEFT, pos=start)
    QTest.mouseMove(view.viewport(), QPoint((start.x() + end.x()) // 2, start.y()))
    QTest.mouseMove(view.viewport(), end)
    QTest.mouseRelease(view.viewport(), LEFT, pos=end)
    assert commands.asked
    assert commands.asked[-1].name == "detectors.bf"
