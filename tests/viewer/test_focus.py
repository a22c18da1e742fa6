"""Everything in the window by keyboard: what Tab goes to, in which order; tool tips for all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QWidget,
)

from livem.viewer.panels.connect import ConnectDialog
from livem.viewer.panels.picture_view import PictureView

ACTIVE = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView)


def table(make: Any, *ids: int) -> Any:
    columns = {"particle": np.array(ids), "y": 10.0 * np.array(ids), "x": 10.0 * np.array(ids)}
    arrays = {**columns, "radius": np.full(len(ids), 4.0), "provisional": np.zeros(len(ids), bool)}
    attrs = {"of_frame": True, "index": 50}
    return make._result("follow.tracks", "table", arrays=arrays, attrs=attrs)


@pytest.fixture
def full(window: Any, show: Any, make: Any) -> Any:
    """Frame, images, curves, particles, stages; alarms, a recorder and a replay."""
    window.resize(1500, 1000)
    status = make.status(
        state="running",
        alarms=["the disk is full"],
        recording={"state": "idle"},
        stages=[{"name": "preview", "type": "preview", "is_there": True, "enabled": True}],
        source={"url": "a.h5", "replay": {"index": 40, "count": 100, "duration": 4.0}},
    )
    frame = make.frame(np.full((128, 128), 100, np.uint16), index=50)
    scans = [make.scan(topic, np.ones((64, 64))) for topic in ("vd.bf", "vd.df")]
    show(frame, status, *scans, make.curve("a.b", *np.ones((2, 9))), table(make, 3, 5, 8))
    window.toggle_panel("pipeline")
    show()
    window.activateWindow()
    return window


def active(window: Any) -> list[QWidget]:
    """What can be used and seen."""
    found = [w for kind in ACTIVE for w in window.body.findChildren(kind)]
    return [w for w in found if not w.visibleRegion().isEmpty() and not isinstance(w, QHeaderView)]


def tabbed(window: Any) -> list[QWidget]:
    """What Tab goes to from the window itself, until it is back."""
    window.body.setFocus()
    gone: list[QWidget] = []
    for _ in range(100):
        QTest.keyClick(QApplication.focusWidget() or window, Qt.Key.Key_Tab)
        here = QApplication.focusWidget()
        if here is None or here is window.body or here in gone:
            return gone
        gone.append(here)
    raise AssertionError("it never comes back")


def test_all_that_can_be_used_can_be_gone_to(full: Any) -> None:
    gone = tabbed(full)
    missing = [w for w in active(full) if w not in gone and w.isEnabled()]
    assert missing == []
    assert {pane.view for pane in full.named_panes().values()} <= set(gone)


def test_it_goes_from_left_to_right_and_then_down_the_bars(full: Any) -> None:
    gone = [w for w in tabbed(full) if w.objectName() not in ("float", "close")]

    def first(part: QWidget) -> int:
        return next(place for place, w in enumerate(gone) if part is w or part.isAncestorOf(w))

    panes = [full.frame.pane, full.images.panes["vd.bf"], full.images.panes["vd.df"]]
    bars = [full.record, full.timeline, full.transport]
    places = [first(part) for part in (full.banner, *panes, full.tracking.table, *bars)]
    assert places == sorted(places)
    rows = [w.mapTo(full, QPoint(0, 0)).x() for w in gone if full.transport.isAncestorOf(w)]
    assert rows == sorted(rows)


def test_all_that_can_be_used_has_a_tool_tip(full: Any) -> None:
    assert [w for w in active(full) if not w.toolTip()] == []
    assert full.timeline.track.toolTip()
    assert all(pane.view.accessibleName() == pane.title.text() for pane in full.panes)


def test_the_dialog_has_tool_tips(qapp: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    dialog = ConnectDialog()
    try:
        found = [w for kind in ACTIVE for w in dialog.findChildren(kind) if w.isVisibleTo(dialog)]
        assert len(found) >= 6
        assert [w for w in found if not w.toolTip()] == []
    finally:
        dialog.deleteLater()


def test_space_is_the_windows_until_a_button_was_gone_to(full: Any, commands: Any) -> None:
    played: list[str] = []
    commands.play = lambda action, value=None: played.append(action)
    QTest.keyClick(full, Qt.Key.Key_Space)
    QTest.mouseClick(full.transport.on, Qt.MouseButton.LeftButton)
    QTest.keyClick(QApplication.focusWidget() or full, Qt.Key.Key_Space)
    assert played == ["pause", "step", "pause"]
    full.transport.start.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(full.transport.start, Qt.Key.Key_Space)
    assert played[3:] == ["seek"]
    QTest.keyClick(full.transport.start, Qt.Key.Key_Right)
    assert played[4:] == ["step"]


def test_keys_in_the_table_go_from_particle_to_particle(full: Any, show: Any) -> None:
    view = full.tracking.table.view
    view.setFocus(Qt.FocusReason.TabFocusReason)
    for expected in (3, 5, 8, 8):
        QTest.keyClick(view, Qt.Key.Key_Down)
        assert full.session.tracking.marked == expected
    QTest.keyClick(view, Qt.Key.Key_Up)
    assert full.session.tracking.marked == 5
    head = view.horizontalHeader()
    where = QPoint(head.sectionViewportPosition(0) + 30, head.height() // 2)
    QTest.mouseClick(head.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert [full.tracking.table.rows.table.id_at(row) for row in range(3)] == [8, 5, 3]
    assert [row.row() for row in view.selectionModel().selectedRows()] == [1]


def test_a_picture_that_was_gone_to_is_marked_and_only_then(full: Any, show: Any) -> None:
    frame, bright = full.frame.pane, full.images.panes["vd.bf"]
    assert isinstance(bright.view, PictureView)
    assert not any(pane.title.property("here") for pane in full.panes)
    bright.view.setFocus(Qt.FocusReason.TabFocusReason)
    show()
    assert (bright.title.property("here"), bool(frame.title.property("here"))) == (True, False)
    QTest.keyClick(bright.view, Qt.Key.Key_G)
    assert (bright.transfer, frame.transfer) == ("sqrt", "linear")
