"""The strip beside a picture that says which value has which colour."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QWidget

from ...kernels.tones import FIRST
from .. import theme
from ..colour import Transfer, colour_wheel, place_of
from ..models.contrast import Levels
from ..models.numbers import level_text

WIDTH = 80
STRIP = 10
MARGIN = 8
BACKING = 200
"""Opacity of the ground under the bar: it lies over the picture when that is zoomed in."""
WHEEL = 48
FOOT_LINES = 3
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def value_at(height: float, levels: Levels, transfer: Transfer) -> float:
    """The value drawn in the colour at `height` (0 bottom, 1 top) of the strip."""
    return float(levels.low + place_of(height, transfer) * levels.span)


def wheel_image(hues: npt.NDArray[np.uint8], size: int = WHEEL) -> QImage:
    """The legend of a vector picture: each direction in its colour, transparent outside the circle."""
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    field = np.stack([y, x], axis=-1)
    inside = np.hypot(y, x) <= (size - 1) / 2
    rgba = np.zeros((size, size, 4), np.uint8)
    rgba[..., :3] = colour_wheel(field, np.ones((size, size), bool), (size - 1) / 2, hues)
    rgba[..., 3] = np.where(inside, 255, 0)
    return QImage(rgba.tobytes(), size, size, 4 * size, QImage.Format.Format_RGBA8888).copy()


class ColourBar(QWidget):
    """Strip and values, or the wheel of a vector picture."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._levels = Levels(0.0, 1.0)
        self._transfer: Transfer = "linear"
        self._unit = ""
        self._locked = False
        self._reach = (0.0, 1e6)
        self._strip = QImage()
        self._wheel: QImage | None = None
        self._pixmap: QPixmap | None = None
        self._painted_of: tuple[Any, ...] = ()

    def set_colours(self, table: npt.NDArray[np.uint8]) -> None:
        """Take the palette of the picture, (256, 4)."""
        column = np.ascontiguousarray(table[FIRST:][::-1])
        self._strip = QImage(column.tobytes(), 1, len(column), 4, QImage.Format.Format_RGBA8888).copy()
        self._wheel = None
        self.update()

    def set_wheel(self, hues: npt.NDArray[np.uint8]) -> None:
        """Show directions instead of values."""
        self._wheel = wheel_image(hues, math.ceil(WHEEL * self.devicePixelRatioF()))
        self.update()

    @property
    def is_wheel(self) -> bool:
        """Whether directions are shown instead of values."""
        return self._wheel is not None

    def set_levels(self, levels: Levels, transfer: Transfer, unit: str, locked: bool) -> None:
        """Say what the ends of the strip stand for."""
        if (levels, transfer, unit, locked) != (self._levels, self._transfer, self._unit, self._locked):
            self._levels, self._transfer, self._unit, self._locked = levels, transfer, unit, locked
            self.update()

    def set_reach(self, top: float, bottom: float) -> None:
        """Stand beside the picture: from `top` to `bottom`, in pixels of this widget."""
        if (top, bottom) != self._reach:
            self._reach = (top, bottom)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._painted())
        painter.end()

    def _painted(self) -> QPixmap:
        """The bar as it is: it lies over a picture that changes 60 times a second, and seldom does itself."""
        state = (self._levels, self._transfer, self._unit, self._locked, self._reach, self._strip.cacheKey())
        wheel = None if self._wheel is None else self._wheel.cacheKey()
        look = (self.size(), self.devicePixelRatioF(), self.font().key(), theme.PANEL, theme.MUTED)
        if self._pixmap is None or (*state, wheel, *look) != self._painted_of:
            self._painted_of = (*state, wheel, *look)
            self._pixmap = QPixmap(self.size() * self.devicePixelRatioF())
            self._pixmap.setDevicePixelRatio(self.devicePixelRatioF())
            backing = QColor(theme.PANEL)
            backing.setAlpha(BACKING)
            self._pixmap.fill(backing)
            painter = QPainter(self._pixmap)
            painter.setFont(self.font())
            if self._wheel is None:
                self._paint_strip(painter)
            else:
                self._paint_wheel(painter, self._wheel)
            painter.end()
        return self._pixmap

    def _paint_strip(self, painter: QPainter) -> None:
        metrics = QFontMetricsF(painter.font())
        line = metrics.height()
        area = self._strip_area(line)
        painter.drawImage(area, self._strip)
        painter.setPen(QColor(theme.MUTED))
        painter.drawRect(area.adjusted(-1.0, -1.0, 0.0, 0.0))
        crowded = area.height() < len(TICKS) * line
        for height in (TICKS[0], TICKS[-1]) if crowded else TICKS:
            y = area.bottom() - height * area.height()
            painter.drawLine(int(area.right()), int(y), int(area.right()) + 3, int(y))
            text = level_text(value_at(height, self._levels, self._transfer)).replace("e-0", "e-")
            painter.drawText(
                QRectF(area.right() + 6, y - line / 2, WIDTH, line), Qt.AlignmentFlag.AlignVCenter, text
            )
        foot = QRectF(MARGIN, area.bottom() + 0.6 * line, WIDTH - MARGIN, FOOT_LINES * line)
        painter.drawText(foot, Qt.AlignmentFlag.AlignLeft, "\n".join(self._foot()))

    def _strip_area(self, line: float) -> QRectF:
        """Beside the picture, with room for half a number above and for the foot below."""
        top = max(self._reach[0], line / 2)
        bottom = min(self._reach[1], self.height() - (FOOT_LINES + 0.6) * line)
        return QRectF(MARGIN, top, STRIP, max(1.0, bottom - top))

    def _foot(self) -> list[str]:
        words = [self._unit, "" if self._transfer == "linear" else self._transfer]
        return [word for word in (*words, "locked" if self._locked else "") if word][:FOOT_LINES]

    def _paint_wheel(self, painter: QPainter, wheel: QImage) -> None:
        line = QFontMetricsF(painter.font()).height()
        top = self._reach[0]
        painter.drawImage(QRectF(MARGIN + 2, top, WHEEL, WHEEL), wheel)
        painter.setPen(QColor(theme.MUTED))
        text = f"{level_text(self._levels.high)} {self._unit}"
        painter.drawText(QRectF(0, top + WHEEL + 4, WIDTH, line), Qt.AlignmentFlag.AlignHCenter, text)
