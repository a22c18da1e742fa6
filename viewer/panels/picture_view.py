"""The drawing area of one picture: image, scale bar, zoom and pan in measured coordinates.

One unit of the view is one full-frame (or scan) pixel, pixel centres are integers, y points down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from ...kernels.cutouts import Cutout
from .. import theme
from ..models.layout import Calibration, scale_bar
from .pixels import Pixels

EDGE = 14.0
BAR_THICKNESS = 4.0
ASIDE = 80
"""Screen pixels kept free at the right of a fitted picture, for its colour bar."""
SWIPE, SWIPE_HELD = "#ffffff", "#f2a93b"
LONG = 50
"""Times as long as wide is a picture whose true shape would be a hair."""
LOST_DIM = 150
"""Opacity of the veil over pictures that are no longer live."""

BY_ITSELF = (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.OtherFocusReason)

Decoration = Callable[[QPainter, "PictureView"], None]


class PictureView(pg.GraphicsView):
    """One image in an aspect-locked view, with a scale bar that follows the zoom."""

    pointed = Signal(float, float)
    """The mouse is over (y, x), in view units."""
    left = Signal()
    picked = Signal(float, float)
    """The left button was clicked at (y, x), in view units."""
    asked = Signal(float, float, QPoint)
    """The right button was clicked at (y, x), in view units, and there on the screen."""
    zoomed = Signal()
    """The view shows another range, or has another size."""
    moved = Signal()
    """It was zoomed or moved by hand."""
    swiped = Signal(float)
    """The line between two pictures was dragged to this share of the width."""

    def __init__(self) -> None:
        super().__init__(background=theme.PANEL)
        self.box = pg.ViewBox(lockAspect=True, invertY=True, enableMenu=False, border=None)
        self.setCentralItem(self.box)
        # The background covers all of it: what lies behind need not be painted first.
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.image = Pixels()
        self.box.addItem(self.image)
        self.beside = Pixels()
        self.beside.setZValue(1)
        self.line = pg.InfiniteLine(angle=90, movable=True, pen=pg.mkPen(SWIPE, width=2), hoverPen=SWIPE_HELD)
        self.line.setZValue(12)
        for item in (self.beside, self.line):
            self.box.addItem(item, ignoreBounds=True)
            item.hide()
        self.line.sigDragged.connect(self._swipe)
        self.calibration = Calibration()
        self.decorations: list[Decoration] = []
        self.veiled = False
        self.gone_to = False
        """Whether the user went here with the mouse or a key, and not the window by itself."""
        self._extent = (0, 0)
        self._fitted = True
        self.box.sigRangeChanged.connect(self._range_changed)
        self.box.sigRangeChangedManually.connect(self._zoomed_by_hand)
        self.scene().sigMouseMoved.connect(self._mouse_moved)
        self.scene().sigMouseClicked.connect(self._mouse_clicked)

    def draw(self, pixels: npt.NDArray[np.uint8], table: npt.NDArray[np.uint8] | None, area: QRectF) -> None:
        """Draw bytes (ny, nx) in the colours of a table, or RGB (ny, nx, 3), in an area in view units."""
        self.image.draw(pixels, table, area)

    def draw_beside(
        self, pixels: npt.NDArray[np.uint8] | None, table: npt.NDArray[np.uint8], area: QRectF, share: float
    ) -> None:
        """Draw bytes (ny, nx) over the picture, right of a line at this share of its width; or no more. The
        line stands between two pixels."""
        self.beside.setVisible(pixels is not None)
        self.line.setVisible(pixels is not None)
        if pixels is None:
            return
        line, unit = share * self._extent[1] - 0.5, area.width() / pixels.shape[1]
        column = min(max(round((line - area.left()) / unit), 0), pixels.shape[1] - 1)
        area.setLeft(area.left() + column * unit)
        self.beside.draw(pixels[:, column:], table, area)
        self.line.setPos(line)

    def _swipe(self, line: pg.InfiniteLine) -> None:
        self.swiped.emit(min(max((line.value() + 0.5) / max(self._extent[1], 1), 0.0), 1.0))

    def smooth(self, smooth: bool) -> None:
        """Blend neighbours where more than one picture pixel falls on a screen pixel; else show squares."""
        self.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)

    def set_extent(self, extent: tuple[int, int]) -> None:
        """Show a picture of (h, w) view units; zoom and pan stay as long as it stays the same."""
        if extent != self._extent:
            self._extent = extent
            self.box.setAspectLocked(not self.is_stretched)
            self.fit()

    @property
    def is_stretched(self) -> bool:
        """Whether the picture is too long to be seen as it is: it then fills the view both ways."""
        h, w = self._extent
        return max(h, w) > LONG * max(1, min(h, w))

    def fit(self) -> None:
        """Show all of the picture, as large as it can be beside its colour bar, now and after a resize."""
        self._fitted = True
        h, w = max(self._extent[0], 1), max(self._extent[1], 1)
        width, height = max(self.width(), ASIDE + 1), max(self.height(), 1)
        across, down = w / (width - ASIDE), h / height
        if not self.is_stretched:
            across = down = max(across, down)
        left = -0.5 - ((width - ASIDE) * across - w) / 2
        top = -0.5 - (height * down - h) / 2
        self.box.setRange(QRectF(left, top, width * across, height * down), padding=0.0)

    def one_to_one(self) -> None:
        """One view unit on one pixel of the screen, about the same middle."""
        ratio = self.devicePixelRatioF()
        part = QRectF(0.0, 0.0, self.box.width() * ratio, self.box.height() * ratio)
        part.moveCenter(self.box.viewRect().center())
        self.look_at(part)

    def look_at(self, part: QRectF) -> None:
        """Show a part of the picture, in view units, until `fit`."""
        self._fitted = False
        self.box.setRange(part, padding=0.0)

    def show_part(self, part: tuple[float, float, float, float] | None) -> None:
        """Look at what `part` said, or at all."""
        if part is None:
            self.fit()
        else:
            self.look_at(QRectF(*part))

    @property
    def part(self) -> tuple[float, float, float, float] | None:
        """Left, top, width and height of what the user looks at; None while all of the picture is fitted."""
        return None if self._fitted else self.box.viewRect().getRect()

    def cutout(self) -> Cutout:
        """What is seen of the picture, and how fine."""
        left, top, width, height = self.box.viewRect().getRect()
        part = (left + 0.5, top + 0.5, width, height)
        return Cutout.of_view(self._extent, part, self.units_per_screen_pixel())

    def units_per_screen_pixel(self) -> float:
        """View units along one pixel of the screen, across."""
        return self.crowding()[1]

    def crowding(self) -> tuple[float, float]:
        """View units along one pixel of the screen, down and across."""
        seen, ratio = self.box.viewRect(), self.devicePixelRatioF()
        down, across = seen.height() / max(1.0, self.box.height()), seen.width() / max(1.0, self.box.width())
        return float(down / ratio), float(across / ratio)

    def seen(self) -> QRectF:
        """What of the picture is in view, in view units."""
        seen: QRectF = self.box.viewRect().intersected(self.picture_area())
        return seen

    def to_screen(self, y: float, x: float) -> QPointF:
        """Where a point of the picture is in this widget."""
        return QPointF(self.box.mapViewToScene(QPointF(x, y)))

    def place_beside(self, aside: QWidget) -> None:
        """Put a child widget of width ASIDE at the picture's right edge, or at this widget's own."""
        edge = self.to_screen(0.0, self._extent[1] - 0.5).x()
        left = int(min(max(edge, 0.0), float(self.width() - ASIDE)))
        aside.setGeometry(left, 0, ASIDE, self.height())

    def picture_area(self) -> QRectF:
        """Where the picture is, in view units."""
        return QRectF(-0.5, -0.5, self._extent[1], self._extent[0])

    def visible_rows(self) -> tuple[float, float]:
        """Top and bottom of the picture in this widget, as far as they are in view."""
        top, bottom = self.to_screen(-0.5, 0).y(), self.to_screen(self._extent[0] - 0.5, 0).y()
        return max(0.0, top), min(float(self.height()), bottom)

    def drawForeground(self, painter: QPainter, rect: Any) -> None:
        if self.image.shown is None:
            return
        if self.veiled:
            veil = QColor(theme.PANEL)
            veil.setAlpha(LOST_DIM)
            painter.fillRect(rect, veil)
        for decoration in self.decorations:
            decoration(painter, self)
        self._draw_scale_bar(painter)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # pyqtgraph resizes once in its own __init__, before there is anything to fit.
        if getattr(self, "_fitted", False):
            self.fit()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.gone_to |= event.reason() not in BY_ITSELF

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.left.emit()

    def _mouse_moved(self, where: QPointF) -> None:
        point = self.box.mapSceneToView(where)
        self.pointed.emit(point.y(), point.x())

    def _mouse_clicked(self, event: Any) -> None:
        point = self.box.mapSceneToView(event.scenePos())
        if event.button() == Qt.MouseButton.LeftButton:
            self.picked.emit(point.y(), point.x())
        if event.button() == Qt.MouseButton.RightButton:
            where = self.mapToGlobal(self.mapFromScene(event.scenePos()))
            self.asked.emit(point.y(), point.x(), where)

    def _zoomed_by_hand(self) -> None:
        self._fitted = False
        self.moved.emit()

    def _range_changed(self) -> None:
        self.zoomed.emit()

    def _draw_scale_bar(self, painter: QPainter) -> None:
        visible = self.seen()
        if visible.width() <= 0 or visible.height() <= 0:
            return
        bar = scale_bar(visible.width(), self.calibration)
        corner = self.to_screen(visible.bottom(), visible.left())
        length = self.to_screen(0, bar.pixels).x() - self.to_screen(0, 0).x()
        strip = QRectF(corner.x() + EDGE, corner.y() - EDGE - BAR_THICKNESS, length, BAR_THICKNESS)
        shadow = QColor(0, 0, 0, 170)
        painter.fillRect(strip.adjusted(-1.5, -1.5, 1.5, 1.5), shadow)
        painter.fillRect(strip, QColor("white"))
        outlined_text(painter, QPointF(strip.left(), strip.top() - 5), bar.text, QColor("white"))


def outlined_text(painter: QPainter, where: QPointF, text: str, colour: QColor) -> None:
    """Text with a dark rim, readable on any picture; `where` is the left end of its base line."""
    painter.setPen(QPen(QColor(0, 0, 0, 200)))
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        painter.drawText(where + QPointF(dx, dy), text)
    painter.setPen(QPen(colour))
    painter.drawText(where, text)
