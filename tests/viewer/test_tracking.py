"""Particles in the window: circles, tails, numbers, marks; table, events, sizes and plots beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from livem.stream.series import SeriesKey
from livem.viewer import theme
from livem.viewer.panels.event_marks import KINDS_DRAWN, event_icon

LEFT = Qt.MouseButton.LeftButton
NEXT = SeriesKey(b"\x01" * 8, 4)
FRAME = 50


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))


def is_near(view: Any, y: float, x: float, colour: str) -> bool:
    """Whether a screen pixel at the point (y, x) of a picture, or beside it, has about this colour."""
    where, picture = view.to_screen(y, x).toPoint(), view.grab().toImage()
    near = [picture.pixelColor(where.x() + i, where.y() + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return any(np.abs(np.subtract(pixel.getRgb()[:3], rgb(colour))).max() < 70 for pixel in near)


class Tracker:
    """Results as a tracker publishes them: particles at places, each with a straight tail from the left."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def _table(self, name: str, columns: dict[str, Any], **more: Any) -> Any:
        arrays = {key: np.asarray(values) for key, values in columns.items()}
        return self._make._result(f"follow.{name}", "table", arrays=arrays, **more)

    def particles(
        self,
        *rows: tuple[int, float, float, float],
        provisional: Any = (),
        index: int | None = None,
        **more: Any,
    ) -> Any:
        ids, y, x, radius = (list(part) for part in zip(*rows, strict=True)) if rows else ([], [], [], [])
        columns = {
            "particle": np.array(ids, np.int64),
            "y": np.array(y, float),
            "x": np.array(x, float),
            "radius": np.array(radius, float),
            "provisional": np.isin(ids, provisional),
        }
        attrs = {"of_frame": True, "index": FRAME if index is None else index}
        return self._table("tracks", columns, units={"radius": "px"}, attrs=attrs, **more)

    def walk(self, identity: int, y: float, x: float, radius: float) -> list[Any]:
        """Tables of 30 frames in which a particle comes to (y, x) from the left, 1 px a frame."""
        return [self.particles((identity, y, x - k, radius), index=FRAME - k) for k in range(29, -1, -1)]

    def events(self, *rows: tuple[int, str, float, float, int]) -> Any:
        names = ("frame", "type", "y", "x", "particle")
        columns = dict(zip(names, (list(part) for part in zip(*rows, strict=True)), strict=True))
        return self._table("events", columns)

    def history(self, n: int) -> Any:
        x = np.arange(n, dtype=float)
        y = np.stack([10 + x, 8 + 0.2 * x, 6 + 0.2 * x, 0 * x], axis=1)
        names = ["count", "mean_radius", "median_radius", "growth"]
        attrs = {"names": names, "pixel_size": 0.5, "pixel_unit": "nm"}
        return self._make._result("follow.history", "curve", arrays={"x": x, "y": y}, attrs=attrs)


@pytest.fixture
def tracker(make: Any) -> Tracker:
    return Tracker(make)


@pytest.fixture
def frame(make: Any) -> Any:
    return make.frame(np.full((128, 128), 100, np.uint16), pixel_size=0.5, pixel_unit="nm", index=FRAME)


@pytest.fixture
def click(window: Any) -> Callable[[float, float], None]:
    """With a real mouse, at (y, x) of the frame."""
    view = window.frame.pane.view

    def at(y: float, x: float) -> None:
        where: QPoint = view.to_screen(y, x).toPoint()
        QTest.mouseMove(view.viewport(), where)
        QTest.mouseClick(view.viewport(), LEFT, pos=where)

    return at


def test_a_circle_of_its_radius_is_around_each_particle(
    window: Any, show: Any, tracker: Any, frame: Any, colour_at: Any
) -> None:
    show(frame)
    view = window.frame.pane.view
    plain = colour_at(view, 40, 60)
    show(tracker.particles((7, 40, 60, 10), (8, 90, 60, 14)))
    for identity, y, radius in ((7, 40, 10), (8, 90, 14)):
        wanted = theme.TRACK_COLOURS[identity % len(theme.TRACK_COLOURS)]
        for dy, dx in ((0, -radius), (radius, 0), (0, radius)):
            assert is_near(view, y + dy, 60 + dx, wanted)
            assert not is_near(view, y + 0.7 * dy, 60 + 0.7 * dx, wanted)
        assert colour_at(view, y, 60) == plain


def test_provisional_tracks_are_dashed(
    window: Any, show: Any, tracker: Any, frame: Any, colour_at: Any
) -> None:
    show(frame)
    view = window.frame.pane.view
    plain = colour_at(view, 60, 40)
    show(tracker.particles((7, 60, 60, 20), provisional=[7]))
    angle = np.radians(22.5)
    assert colour_at(view, 60, 40) != plain
    assert colour_at(view, 60 + 20 * np.sin(angle), 60 - 20 * np.cos(angle)) == plain


def test_tails_fade_with_age(window: Any, show: Any, tracker: Any, frame: Any, colour_at: Any) -> None:
    show(frame)
    view = window.frame.pane.view
    plain = np.array(colour_at(view, 60, 60))
    for result in tracker.walk(7, 60, 90, 3):
        window.session.take({result.topic: result})
    show()
    strength = [np.abs(np.array(colour_at(view, 60, x)) - plain).sum() for x in (84, 76, 68, 62, 50)]
    assert strength[0] > strength[1] > strength[2] > strength[3] > 0
    assert strength[4] == 0


def test_numbers_stand_beside_their_circles(
    window: Any, show: Any, tracker: Any, frame: Any, colour_at: Any
) -> None:
    show(frame)
    view = window.frame.pane.view
    before = view.grab().toImage()
    show(tracker.particles((888, 60, 60, 5)))
    after, corner = view.grab().toImage(), view.to_screen(60 - 3.5, 60 + 3.5).toPoint()
    spots = [(corner.x() + i, corner.y() - j) for i in range(30) for j in range(12)]
    changed = [after.pixelColor(*spot) for spot in spots if after.pixel(*spot) != before.pixel(*spot)]
    assert any(min(colour.getRgb()[:3]) > 220 for colour in changed)
    assert any(max(colour.getRgb()[:3]) < 50 for colour in changed)


def test_the_overlay_follows_the_zoom(
    window: Any, show: Any, tracker: Any, frame: Any, colour_at: Any
) -> None:
    show(frame, tracker.particles((7, 40, 60, 10)))
    view = window.frame.pane.view
    view.box.setRange(xRange=(45, 75), yRange=(25, 55), padding=0)
    show()
    assert is_near(view, 40, 50, theme.TRACK_COLOURS[0])
    drawings = window.frame.particles.drawings
    show()
    assert window.frame.particles.drawings == drawings


def test_a_key_hides_and_shows_the_tracks(
    window: Any, show: Any, tracker: Any, frame: Any, colour_at: Any
) -> None:
    show(frame)
    view = window.frame.pane.view
    plain = colour_at(view, 40, 50)
    show(tracker.particles((7, 40, 60, 10)))
    seen = colour_at(view, 40, 50)
    assert seen != plain
    for wanted in (plain, seen):
        QTest.keyClick(window, Qt.Key.Key_T)
        assert colour_at(view, 40, 50) == wanted


def test_a_measured_picture_with_tracks_over_it_says_that_these_are_estimates(
    window: Any, show: Any, tracker: Tracker, frame: Any
) -> None:
    show(frame)
    badge, pane = window.frame.tracked, window.frame.pane
    assert not badge.isVisible()
    found = tracker.particles((1, 60, 60, 8.0))
    found.attrs.update(estimate=True, algorithm="particles found and linked", version=1)
    show(frame, found)
    assert badge.isVisible()
    assert badge.toolTip() == "particles found and linked v1"
    drawn = pane.grab(badge.geometry()).toImage()
    assert drawn.pixelColor(3, drawn.height() // 2).name() == QColor(theme.WARN).name()
    assert badge.geometry().right() < pane.reading.geometry().left()
    QTest.keyClick(window, Qt.Key.Key_T)
    show()
    assert not badge.isVisible()
    QTest.keyClick(window, Qt.Key.Key_T)
    show(frame, tracker.particles(series=NEXT))
    assert badge.isVisible()


def test_a_click_in_the_picture_selects_the_row(
    window: Any, show: Any, tracker: Any, frame: Any, click: Any, colour_at: Any
) -> None:
    show(frame, tracker.particles(*[(k, 10 + 4 * k, 60, 2) for k in range(25)], (70, 20, 100, 8)))
    click(20, 98)
    show()
    assert window.session.tracking.marked == 70
    rows = window.tracking.table.view.selectionModel().selectedRows()
    assert [window.tracking.table.rows.table.id_at(row.row()) for row in rows] == [70]
    view = window.frame.pane.view
    reach = 8 + 4 * view.units_per_screen_pixel()
    assert is_near(view, 20, 100 - reach, "#ffffff")
    click(110, 20)
    show()
    assert window.session.tracking.marked is None
    assert not window.tracking.table.view.selectionModel().hasSelection()


def test_a_click_in_the_table_marks_the_particle(
    window: Any, show: Any, tracker: Any, frame: Any, clock: Any
) -> None:
    show(frame, tracker.particles((3, 20, 20, 5), (9, 60, 60, 2), (12, 90, 90, 7)))
    table = window.tracking.table
    table.view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    where = table.view.visualRect(table.rows.index(0, 1)).center()
    QTest.mouseClick(table.view.viewport(), LEFT, pos=where)
    assert window.session.tracking.marked == 12
    clock.forward(1.0)
    show(tracker.particles((3, 20, 20, 9), (9, 60, 60, 2), (12, 90, 90, 7)))
    assert [table.rows.table.id_at(row) for row in range(3)] == [3, 12, 9]
    assert [row.row() for row in table.view.selectionModel().selectedRows()] == [1]
    assert window.session.tracking.marked == 12


def test_events_are_listed_marked_and_lead_to_their_particle(
    window: Any, show: Any, tracker: Any, frame: Any, colour_at: Any
) -> None:
    show(frame, tracker.particles((7, 60, 60, 4)))  # with particles the window has another arrangement
    view = window.frame.pane.view
    where = view.to_screen(60, 60)
    above = (where.y() - 14 - view.to_screen(0, 0).y()) / (
        view.to_screen(1, 0).y() - view.to_screen(0, 0).y()
    )
    plain = colour_at(view, above, 60)
    events = [(5, "exit", 30.0, 30.0, 2), (FRAME, "nucleation", 60.0, 60.0, 7)]
    show(tracker.particles((7, 60, 60, 4)), tracker.events(*events))
    listed = window.tracking.events.list
    assert [listed.topLevelItem(k).text(0) for k in range(2)] == ["nucleation", "exit"]
    r, g, _ = colour_at(view, above, 60)
    assert colour_at(view, above, 60) != plain
    assert g > r + 60
    listed.itemClicked.emit(listed.topLevelItem(0), 0)
    assert window.session.tracking.marked == 7


def test_every_kind_of_event_has_a_shape_of_its_own(window: Any) -> None:
    pictures = {kind: event_icon(kind).pixmap(16, 16).toImage() for kind in (*KINDS_DRAWN, "other")}
    masks = {
        tuple(picture.pixelColor(x, y).alpha() > 100 for y in range(16) for x in range(16))
        for picture in pictures.values()
    }
    assert len(masks) == len(pictures) == 8
    assert all(any(mask) for mask in masks)


def test_sizes_and_times_are_plotted_in_calibrated_units(
    window: Any, show: Any, tracker: Any, frame: Any
) -> None:
    rows = [(k, 10.0 + k, 20.0, 4.0 + 0.1 * k) for k in range(40)]
    events = [(3, "nucleation", 1.0, 1.0, 1), (12, "exit", 1.0, 1.0, 2)]
    show(frame, tracker.particles(*rows), tracker.history(20), tracker.events(*events))
    panel = window.tracking
    assert panel.sizes.title.text() == "Radius   mean 2.98   median 2.98 nm"
    assert panel.sizes.bars.getData()[1].sum() == 40
    assert panel.sizes.mean.value() == pytest.approx(0.5 * np.mean([row[3] for row in rows]))
    first, second = panel.plots.plots
    assert first.title.text() == "count 29"
    assert second.title.text() == "mean radius 5.9   median radius 4.9 nm"
    assert [spot.pos().x() for spot in first.marks.points()] == [12, 3]
    assert window.curves.panes == {}


def test_another_series_begins_with_nothing(
    window: Any, show: Any, make: Any, tracker: Any, frame: Any
) -> None:
    show(frame, tracker.particles((7, 40, 60, 10)), tracker.events((5, "exit", 30.0, 30.0, 2)))
    assert window.tracking.isVisible()
    window.session.tracking.mark(7)
    show(tracker.particles((1, 40, 60, 10), series=NEXT))
    book = window.session.tracking
    assert (book.marked, len(book.happenings), list(book.particles.ids)) == (None, 0, [1])
    assert window.tracking.events.list.topLevelItemCount() == 0


def test_a_tracker_that_is_taken_away_leaves_nothing(
    window: Any, show: Any, make: Any, tracker: Any, frame: Any, feed: Any
) -> None:
    from livem.stream.results import removed

    result = tracker.particles((7, 40, 60, 10))
    show(frame, result)
    show(removed(result.topic, result.series))
    assert window.session.tracking.particles is None
    assert not window.tracking.isVisible()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e12])
def test_strange_places_do_no_harm(window: Any, show: Any, tracker: Any, frame: Any, bad: float) -> None:
    for index in (1, 2):
        show(frame, tracker.particles((1, bad, 5, 5), (2, 5, 5, bad), (3, 60, 60, 0), index=index))
    window.session.tracking.mark(1)
    show()
    assert len(window.tracking.table.rows.table) == 3
    assert window.frame.particles.at(60, 60) == 3


def test_nobody_there_is_an_empty_table(window: Any, show: Any, tracker: Any, frame: Any) -> None:
    show(frame, tracker.particles(), tracker.history(0))
    assert window.tracking.isVisible()
    assert window.tracking.table.title.text() == "Particles   0"


def test_beside_a_simulation_it_says_how_near_the_tracks_are_to_the_truth(
    window: Any, show: Any, tracker: Any, frame: Any
) -> None:
    show(frame, tracker.particles((7, 40, 60, 10)))
    assert not window.tracking.score.isVisible()
    counts = {"frames": 120, "particles": 500, "matched": 480, "missed": 20, "false": 3, "switches": 2}
    newest = {"newest_frame": 44, "newest_particles": 24, "newest_matched": 23}
    shares = {"f1": 0.9766, "mota": 0.95, "error": 0.312}
    columns = {name: [value] for name, value in {**counts, **newest, **shares}.items()}
    show(tracker._table("score", columns, attrs={"gate": 3.0}))
    text = window.tracking.score.text()
    assert window.tracking.score.isVisible()
    for part in (
        "frame 44: 23 of 24 particles within 3 px",
        "120 frames: F1 0.977",
        "MOTA 0.950",
        "2 mixed up",
    ):
        assert part in text
    assert "error 0.31" in text
