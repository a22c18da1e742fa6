"""Detectors drawn over the frame, to be moved and resized by hand.

Edges resize, insides move. The item reports drags; what they mean is models/detectors.py's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import (
    QGraphicsSceneHoverEvent,
    QGraphicsSceneMouseEvent,
    QStyleOptionGraphicsItem,
    QWidget,
)

from .. import theme
from ..models.geometry import RINGS, Geometry, Grip, Point, dragged, pick
from .picture_view import PictureView, outlined_text

GRAB_PIXELS = 8.0
"""Screen pixels around an edge in which the mouse takes hold of it."""
HANDLE_PIXELS = 7.0
FILL = 12
FILL_HOVER = 48

CURSORS: Mapping[Grip, Qt.CursorShape] = {
    "move": Qt.CursorShape.SizeAllCursor,
    "inner": Qt.CursorShape.SizeHorCursor,
    "outer": Qt.CursorShape.SizeHorCursor,
    "corner": Qt.CursorShape.SizeFDiagCursor,
}


@dataclass(frozen=True, slots=True)
class _Hold:
    topic: str
    grip: Grip
    start: Point
    geometry: Geometry


class DetectorOverlay(pg.GraphicsObject):
    """All detectors of the frame in one item, so that a click finds the right one among nested ones."""

    moved = Signal(str, object)
    """(topic, Geometry) while the mouse drags it."""
    held = Signal(object)
    """Topic taken in hand, or None when let go."""

    def __init__(self, view: PictureView) -> None:
        super().__init__()
        self.setAcceptHoverEvents(True)
        self.setAcceptedMouseButtons(Qt.MouseButton.LeftButton)
        self.setZValue(10)
        self._view = view
        self._geometries: dict[str, Geometry] = {}
        self._colours: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._frame = (1, 1)
        self._hold: _Hold | None = None
        self._hovered: str | None = None
        view.decorations.append(self._draw_names)

    @property
    def geometries(self) -> Mapping[str, Geometry]:
        """What is drawn, by topic."""
        return self._geometries

    def show_detectors(
        self,
        geometries: Mapping[str, Geometry],
        colours: Mapping[str, str],
        frame: tuple[int, int],
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Draw these detectors over a frame of (h, w) pixels; ``texts`` are said of one under the mouse."""
        self._texts = dict(texts or {})
        if (dict(geometries), dict(colours), frame) == (self._geometries, self._colours, self._frame):
            return
        self.prepareGeometryChange()
        self._geometries, self._colours, self._frame = dict(geometries), dict(colours), frame
        self.update()
        self._view.viewport().update()

    def boundingRect(self) -> QRectF:
        area = self._frame_area()
        for geometry in self._geometries.values():
            area = area.united(_box(geometry))
        return area

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for topic, geometry in self._geometries.items():
            self._paint_one(painter, geometry, QColor(self._colours[topic]), topic == self._active())

    def _paint_one(self, painter: QPainter, geometry: Geometry, colour: QColor, active: bool) -> None:
        """What lies beyond the frame counts nothing: only the edge of one under the mouse is drawn there."""
        outline = outline_of(geometry)
        fill = QColor(colour)
        fill.setAlpha(FILL_HOVER if active else FILL)
        painter.setClipRect(self._frame_area())
        painter.fillPath(outline, fill)
        painter.setClipping(not active)
        pen = QPen(colour, 2.4 if active else 1.6)
        pen.setCosmetic(True)
        painter.setPen(pen)
        painter.drawPath(outline)
        size = HANDLE_PIXELS * self._view.units_per_screen_pixel()
        for y, x in handles_of(geometry):
            painter.fillRect(QRectF(x - size / 2, y - size / 2, size, size), colour)
        painter.setClipping(False)

    def _frame_area(self) -> QRectF:
        return QRectF(-0.5, -0.5, self._frame[1], self._frame[0])

    def _draw_names(self, painter: QPainter, view: PictureView) -> None:
        taken: list[QRectF] = []
        for topic, geometry in self._geometries.items():
            top = view.to_screen(geometry.center[0] - self._height_of_name(geometry), geometry.center[1])
            name = topic.partition(".")[2] or topic
            if topic == self._active():
                name = self._texts.get(topic, name)
            area = painter.fontMetrics().boundingRect(name).toRectF()
            area.moveBottomLeft(QPointF(top.x() - area.width() / 2, max(14.0, top.y() - 6)))
            while any(area.intersects(other) for other in taken):
                area.translate(0.0, -area.height())
            taken.append(area)
            place = area.bottomLeft()
            outlined_text(painter, place, name, QColor(self._colours[topic]))

    def _height_of_name(self, geometry: Geometry) -> float:
        """Above the centre: at the outer edge, or at the inner one of a ring that the frame cuts off."""
        is_cut = geometry.kind in RINGS and geometry.outer > geometry.center[0] + 0.5
        return geometry.inner if is_cut else geometry.reach[0]

    def _active(self) -> str | None:
        return self._hold.topic if self._hold else self._hovered

    def _pick(self, point: Point) -> tuple[str, Grip] | None:
        return pick(self._geometries, point, GRAB_PIXELS * self._view.units_per_screen_pixel())

    def at(self, point: Point) -> str | None:
        """The topic of the detector that a click at (y, x) would take."""
        found = self._pick(point)
        return None if found is None else found[0]

    def hoverMoveEvent(self, event: QGraphicsSceneHoverEvent) -> None:
        found = self._pick(_point(event.pos()))
        self._hover(found[0] if found else None)
        if found:
            self.setCursor(CURSORS[found[1]])
        else:
            self.unsetCursor()

    def hoverLeaveEvent(self, event: QGraphicsSceneHoverEvent) -> None:
        self._hover(None)
        self.unsetCursor()

    def _hover(self, topic: str | None) -> None:
        if topic != self._hovered:
            self._hovered = topic
            self.update()
            self._view.viewport().update()

    def mousePressEvent(self, event: QGraphicsSceneMouseEvent) -> None:
        point = _point(event.pos())
        found = self._pick(point)
        if found is None:
            event.ignore()
            return
        event.accept()
        self._hold = _Hold(found[0], found[1], point, self._geometries[found[0]])
        self.held.emit(found[0])
        self.update()

    def mouseMoveEvent(self, event: QGraphicsSceneMouseEvent) -> None:
        hold = self._hold
        if hold is None:
            return
        geometry = dragged(hold.geometry, hold.grip, hold.start, _point(event.pos()), self._frame)
        self.moved.emit(hold.topic, geometry)

    def mouseReleaseEvent(self, event: QGraphicsSceneMouseEvent) -> None:
        self._hold = None
        self.held.emit(None)
        self.update()


def outline_of(geometry: Geometry) -> QPainterPath:
    """The area of a detector as a path; an annulus has its hole."""
    path = QPainterPath()
    path.setFillRule(Qt.FillRule.OddEvenFill)
    if geometry.kind == "rectangle":
        path.addRect(_box(geometry))
        return path
    centre = QPointF(geometry.center[1], geometry.center[0])
    path.addEllipse(centre, geometry.outer, geometry.outer)
    if geometry.inner > 0:
        path.addEllipse(centre, geometry.inner, geometry.inner)
    for spoke in geometry.spokes:
        along = QPointF(math.cos(math.radians(spoke)), math.sin(math.radians(spoke)))
        path.moveTo(centre + along * geometry.inner)
        path.lineTo(centre + along * geometry.outer)
    return path


def handles_of(geometry: Geometry) -> list[Point]:
    """Where to show that an edge can be taken, (y, x)."""
    y, x = geometry.center
    if geometry.kind == "rectangle":
        dy, dx = geometry.half
        return [(y - dy, x - dx), (y - dy, x + dx), (y + dy, x - dx), (y + dy, x + dx)]
    radii = (geometry.inner, geometry.outer) if geometry.kind in RINGS else (geometry.outer,)
    return [(y, x + radius) for radius in radii if radius > 0]


def _box(geometry: Geometry) -> QRectF:
    (y, x), (dy, dx) = geometry.center, geometry.reach
    return QRectF(x - dx, y - dy, 2 * dx, 2 * dy)


def _point(position: QPointF) -> Point:
    return (position.y(), position.x())


def colour_of(number: int | None) -> str:
    """The colour of a detector's number."""
    return theme.DETECTOR_COLOURS[(number or 0) % len(theme.DETECTOR_COLOURS)]
