"""The frame with its disk, its mean pattern, segments, corrected fields and menus, in the real window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu

from livem.viewer.models.commands import Change
from livem.viewer.panels.detector_menu import detector_menu
from livem.viewer.panels.detector_overlay import handles_of, outline_of

SHAPE = (256, 256)
FRAME = np.zeros(SHAPE, np.uint8)
DISK = {"disk_center": [120.0, 130.0], "disk_radius": 60.0, "disk_confidence": 0.99, "frames": 64}
ANGLES = {"mrad_per_px": 0.5, "semi_convergence_mrad": 30.0}
SEGMENTS = {
    "kind": "segments",
    "center": [127.5, 127.5],
    "inner": 20.0,
    "outer": 90.0,
    "count": 4,
    "rotation": 0.0,
    "directions": [0.0, 90.0, 180.0, 270.0],
}


def pattern(make: Any, **attrs: Any) -> Any:
    image = np.full(SHAPE, 2.0)
    return make.scan("vd.pattern", image, **DISK, **attrs)


def test_the_disk_is_a_thin_dashed_circle(window: Any, show: Any, make: Any) -> None:
    show(make.frame(FRAME), pattern(make))
    view = window.frame.pane.view
    picture = view.grab().toImage()
    around = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    points = [view.to_screen(120 + 60 * np.sin(a), 130 + 60 * np.cos(a)).toPoint() for a in around]
    near = [QPoint(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    bright = [any(picture.pixelColor(at + by).red() > 120 for by in near) for at in points]
    assert 0.3 < np.mean(bright) < 0.95
    assert window.images.panes == {}


def test_the_caption_says_the_angle_and_the_bar_is_in_mrad(window: Any, show: Any, make: Any) -> None:
    show(make.frame(FRAME), pattern(make, **ANGLES))
    pane = window.frame.pane
    assert pane.reading.text().endswith("α 30 mrad")
    assert pane.view.calibration.unit == "mrad"


def test_a_disk_of_an_earlier_series_is_not_drawn(window: Any, show: Any, make: Any) -> None:
    frame = make.frame(FRAME)
    assert frame.series is not None
    show(replace(pattern(make), series=replace(frame.series, number=1)), frame)
    assert window.frame.circle.disk is None
    assert "disk" not in window.frame.pane.reading.text()


def test_why_there_is_no_disk_is_said(window: Any, show: Any, make: Any) -> None:
    show(make.frame(FRAME), make.scan("vd.pattern", np.ones(SHAPE), no_disk="no edge stands out", frames=9))
    assert "no bright-field disk: no edge stands out" in window.frame.pane.reading.text()
    assert window.frame.circle.disk is None


def test_a_key_shows_the_mean_pattern_and_the_frame_again(window: Any, show: Any, make: Any) -> None:
    show(make.frame(FRAME))
    assert not window.frame.mean.isVisible()
    QTest.keyClick(window, Qt.Key.Key_D)
    assert not window.frame.mean.isChecked()
    show(pattern(make))
    pane = window.frame.pane
    for title in ("Mean pattern", "Live frame"):
        QTest.keyClick(window, Qt.Key.Key_D)
        show()
        assert pane.title.text() == title
    QTest.mouseClick(window.frame.mean, Qt.MouseButton.LeftButton)
    show(make.frame(FRAME + 1))
    assert (pane.title.text(), window.pacing.shown) == ("Mean pattern", 2)


def test_segments_are_one_detector_with_spokes(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    image = np.ones((8, 8))
    show(
        make.frame(FRAME),
        *[make.scan(f"vd.q.s{i}", image, **SEGMENTS, segment=i, direction=90.0 * i) for i in range(4)],
    )
    (geometry,) = window.frame.overlay.geometries.values()
    along = 50 / np.sqrt(2)
    view = window.frame.pane.view
    assert max(colour_at(view, 127.5 + along, 127.5 + along)) > 100
    assert max(colour_at(view, 127.5, 127.5 + 50)) < 60
    assert len(handles_of(geometry)) == 2
    assert outline_of(geometry).contains(QPointF(127.5 + 50, 127.5))
    assert not outline_of(geometry).contains(QPointF(127.5, 127.5))
    styles = {pane.title.styleSheet() for pane in window.images.panes.values()}
    assert len(styles) == 1
    assert "border-left" in styles.pop()


def test_dragging_segments_keeps_their_number(window: Any, show: Any, make: Any, commands: Any) -> None:
    show(make.frame(FRAME), make.scan("vd.q.s0", np.ones((8, 8)), **SEGMENTS, segment=0))
    view = window.frame.pane.view
    start, end = (view.to_screen(127.5, 127.5 + r).toPoint() for r in (90, 70))
    QTest.mousePress(view.viewport(), Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(view.viewport(), end)
    QTest.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, pos=end)
    change = commands.asked[-1]
    assert change.name == "detectors.q"
    assert change.value["outer"] == pytest.approx(70, abs=1)
    assert (change.value["kind"], change.value["count"]) == ("segments", 4)


def test_a_detector_that_becomes_another_leaves_nothing_behind(window: Any, show: Any, make: Any) -> None:
    image = np.ones((8, 8))
    show(make.frame(FRAME), *[make.scan(f"vd.q.s{i}", image, **SEGMENTS, segment=i) for i in range(4)])
    show(make.scan("vd.q", image, kind="disk", center=[127.5, 127.5], radius=30.0))
    assert list(window.images.panes) == ["vd.q"]
    show(make.scan("vd.q.s0", image, **SEGMENTS, segment=0))
    assert list(window.images.panes) == ["vd.q.s0"]


def test_what_lies_beyond_the_frame_is_not_drawn(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    image = np.ones((8, 8))
    show(
        make.frame(FRAME),
        make.scan("vd.haadf", image, kind="annulus", center=[127.5, 127.5], inner=90, outer=140),
    )
    view = window.frame.pane.view
    outside = colour_at(view, 127.5 - 140, 127.5)
    assert outside == colour_at(view, 127.5 - 150, 127.5)
    assert max(max(colour_at(view, 127.5 - 90 + shift, 127.5)) for shift in (-0.7, 0.0, 0.7)) > 100


def test_under_the_mouse_a_detector_says_how_large_it_is(window: Any, show: Any, make: Any) -> None:
    attrs = {"kind": "disk", "center": [127.5, 127.5], "radius": 40.0, "mrad": {"radius": 20.0}}
    show(make.frame(FRAME), make.scan("vd.bf", np.ones((8, 8)), **attrs))
    assert window.session.detectors.text("vd.bf", window.frame.overlay.geometries["vd.bf"]) == "bf r 20 mrad"


FIELD = np.zeros((8, 8, 2))


def test_a_key_shows_the_field_as_it_was_measured(window: Any, show: Any, make: Any) -> None:
    show(
        make.scan("vd.com", FIELD, kind="com", rotation_deg=12.0),
        make.scan("vd.com.raw", FIELD + 1, kind="com"),
    )
    assert list(window.images.panes) == ["vd.com"]
    pane = window.images.panes["vd.com"]
    assert "rotated 12" in pane.reading.text()
    assert pane.bar.is_wheel
    QTest.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ShiftModifier)
    show()
    assert (pane.title.text(), list(window.images.panes)) == ("vd.com.raw", ["vd.com"])
    assert pane.picture.image[0, 0, 0] == 1
    QTest.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ShiftModifier)
    show()
    assert pane.title.text() == "vd.com"


def test_a_topic_called_raw_is_an_image_like_any_other(window: Any, show: Any, make: Any) -> None:
    show(make.scan("cam.raw", np.zeros((8, 8))), make.scan("cam.flat.raw", np.zeros((8, 8))))
    assert len(window.images.panes) == 2


def test_divergences_are_white_at_zero(window: Any, show: Any, make: Any, colour_at: Any) -> None:
    image = np.zeros((16, 16))
    image[:4], image[12:] = -5.0, 5.0
    show(make.scan("vd.d", image, kind="dcom"))
    view = window.images.panes["vd.d"].view
    (r, g, b), below, above = colour_at(view, 8, 8), colour_at(view, 1, 8), colour_at(view, 14, 8)
    assert min(r, g, b) > 220
    assert below[2] > below[0] + 80
    assert above[0] > above[2] + 80
    show(make.scan("vd.d", image, kind="icom"))
    r, g, b = colour_at(view, 8, 8)
    assert r == g == b


def texts(menu: QMenu) -> list[str]:
    return [action.text().split()[0] for action in menu.actions() if action.text() and action.isEnabled()]


def test_the_menu_of_a_detector_makes_it_another(window: Any, show: Any, make: Any, commands: Any) -> None:
    disk = {"kind": "disk", "center": [127.5, 127.5], "radius": 40.0}
    com = make.scan("vd.com", FIELD, kind="com", center=[127.5, 127.5])
    show(make.frame(FRAME), make.scan("vd.bf", np.ones((8, 8)), **disk), com, pattern(make))
    menu = detector_menu(window, window.session, commands, "vd.bf")
    assert menu is not None
    assert {"bf", "abf", "adf", "haadf", "df", "segments", "com", "icom", "Centre", "Find"} <= set(
        texts(menu)
    )
    for action in menu.actions():
        if action.text().split()[:1] in (["haadf"], ["icom"], ["Centre"], ["Find"]):
            action.trigger()
    assert commands.asked == [
        Change("vd", "detectors.bf", {"preset": "haadf"}),
        Change("vd", "detectors.bf", {"kind": "icom", "of": "com"}),
        Change("vd", "detectors.bf.center", "auto"),
        Change("vd", "calibrate", True),
    ]
    assert detector_menu(window, window.session, commands, "vd.nobody") is None


def right_click(view: Any, where: QPoint) -> None:
    """pyqtgraph's scene wants the position on the screen, which QTest does not send."""
    for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
        at = QPointF(view.viewport().mapToGlobal(where))
        button = Qt.MouseButton.RightButton
        held = button if kind == QEvent.Type.MouseButtonPress else Qt.MouseButton.NoButton
        event = QMouseEvent(kind, QPointF(where), at, button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(view.viewport(), event)


@pytest.mark.parametrize("pane", ["frame", "scan"])
def test_the_right_button_opens_the_menu(window: Any, show: Any, make: Any, pane: str) -> None:
    disk = {"kind": "disk", "center": [127.5, 127.5], "radius": 40.0}
    show(make.frame(FRAME), make.scan("vd.bf", np.ones((8, 8)), **disk))
    on_frame = pane == "frame"
    view = window.frame.pane.view if on_frame else window.images.panes["vd.bf"].view
    right_click(view, view.to_screen(*(127.5, 127.5) if on_frame else (4, 4)).toPoint())
    (menu,) = [menu for menu in window.findChildren(QMenu) if menu.isVisible()]
    assert menu.actions()[0].text() == "Make bf (disk) ..."
    menu.close()
    QApplication.processEvents()


def test_beside_all_detectors_the_menu_is_the_pictures(window: Any, show: Any, make: Any) -> None:
    disk = {"kind": "disk", "center": [127.5, 127.5], "radius": 40.0}
    show(make.frame(FRAME), make.scan("vd.bf", np.ones((8, 8)), **disk))
    view = window.frame.pane.view
    right_click(view, view.to_screen(20, 20).toPoint())
    (menu,) = [menu for menu in window.findChildren(QMenu) if menu.isVisible()]
    assert texts(menu)[:2] == ["Colours", "Tones"]
    assert menu.actions()[0].text() == "Live frame"
    menu.close()


def test_a_profile_is_a_curve_in_its_unit(window: Any, show: Any, make: Any) -> None:
    radii = make.curve(
        "vd.rings", np.arange(9.0), np.arange(9.0), kind="profile", frames=4096, x_label="scattering angle"
    )
    show(replace(radii, units={"x": "mrad", "y": "counts"}))
    pane = window.curves.panes["vd.rings"]
    assert pane.title.text() == "vd.rings   mean of 4,096 frames"
    assert "mrad" in pane.plot.getAxis("bottom").labelString()
    assert "scattering angle" in pane.plot.getAxis("bottom").labelString()
