"""The shapes that stand for what happens to particles: in the picture, in plots and in lists the same.

Told apart by their form, so that no colour has to be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

from .. import theme

Strokes = list[list[tuple[float, float]]]
"""Lines through points (x, y) in the square from -1 to 1, y down."""
SHAPES: Mapping[str, Strokes] = {
    "nucleation": [[(-1, 0), (1, 0)], [(0, -1), (0, 1)]],
    "dissolution": [[(-0.8, -0.8), (0.8, 0.8)], [(-0.8, 0.8), (0.8, -0.8)]],
    "coalescence": [[(-1, -0.9), (0, 0), (-1, 0.9)], [(0, 0), (1, 0)]],
    "splitting": [[(1, -0.9), (0, 0), (1, 0.9)], [(0, 0), (-1, 0)]],
    "entry": [[(-1, 0), (0.9, 0)], [(0.3, -0.6), (0.9, 0), (0.3, 0.6)], [(1, -1), (1, 1)]],
    "exit": [[(-0.9, 0), (1, 0)], [(0.4, -0.6), (1, 0), (0.4, 0.6)], [(-1, -1), (-1, 1)]],
    "lost": [[(-0.5, -0.5), (0, -1), (0.5, -0.5), (0, 0), (0, 0.4)], [(0, 0.85), (0, 1)]],
}
KINDS_DRAWN = tuple(SHAPES)
OTHER: Strokes = [[(-0.7, 0), (0, -0.7), (0.7, 0), (0, 0.7), (-0.7, 0)]]
NUMBERS: Mapping[str, int] = {"nucleation": 2, "dissolution": 5, "coalescence": 1, "splitting": 0}
"""Places in the theme's colours; the other kinds are grey."""
PLAIN = "#c0c8d4"
ICON = 16


def colour_of_event(kind: str) -> QColor:
    """Its colour over a picture, which only helps: the shape tells."""
    return QColor(theme.TRACK_COLOURS[NUMBERS[kind]] if kind in NUMBERS else PLAIN)


def panel_colour_of_event(kind: str) -> QColor:
    """Its colour in lists and plots."""
    return QColor(theme.curve_colour(NUMBERS[kind]) if kind in NUMBERS else theme.MUTED)


def event_path(kind: str, size: float = 1.0) -> QPainterPath:
    """The shape of a kind of event, from -size to size."""
    path = QPainterPath()
    for stroke in SHAPES.get(kind, OTHER):
        path.moveTo(QPointF(*stroke[0]) * size)
        for point in stroke[1:]:
            path.lineTo(QPointF(*point) * size)
    return path


def draw_event(painter: QPainter, kind: str, where: QPointF, size: float, strength: float = 1.0) -> None:
    """Draw a mark of half width ``size`` at a point, with a dark rim; ``strength`` from 0 to 1."""
    path = event_path(kind, size).translated(where)
    colour = colour_of_event(kind)
    colour.setAlphaF(strength)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for pen in (QPen(QColor(0, 0, 0, round(200 * strength)), 4.0), QPen(colour, 2.0)):
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawPath(path)


def event_icon(kind: str, ratio: float = 1.0) -> QIcon:
    """The mark in a list; ``ratio`` screen pixels a pixel."""
    picture = QPixmap(QSize(math.ceil(ICON * ratio), math.ceil(ICON * ratio)))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    middle = QRectF(0, 0, ICON, ICON).center()
    painter.setPen(QPen(panel_colour_of_event(kind), 1.8))
    painter.drawPath(event_path(kind, 0.36 * ICON).translated(middle))
    painter.end()
    return QIcon(picture)
