"""The item that a picture's bytes are drawn by: no more than an image and where it stands."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from ...kernels.tones import Words, coloured


class Pixels(pg.GraphicsObject):
    """Bytes with their colours, or colours, in a rectangle of the view."""

    def __init__(self) -> None:
        super().__init__()
        self._area = QRectF()
        self._image = QImage()
        self._bytes: npt.NDArray[np.uint8] | None = None
        self._drawn: npt.NDArray[np.uint8] | Words | None = None

    @property
    def shown(self) -> npt.NDArray[np.uint8] | None:
        """What is drawn; None before the first picture."""
        return self._bytes

    def draw(self, pixels: npt.NDArray[np.uint8], table: npt.NDArray[np.uint8] | None, area: QRectF) -> None:
        """Draw bytes (ny, nx) in the colours of a table (256, 4), or RGB (ny, nx, 3) without one."""
        h, w = pixels.shape[:2]
        self._bytes = pixels = np.ascontiguousarray(pixels)
        # Of bytes with a table Qt looks up each screen pixel, in threads of its own: six times as long.
        self._drawn, form = pixels, QImage.Format.Format_RGB888
        if table is not None:
            words, is_opaque = _words(table.tobytes())
            self._drawn = coloured(pixels, words)
            formats = QImage.Format
            form = formats.Format_RGB32 if is_opaque else formats.Format_ARGB32_Premultiplied
        self._image = QImage(self._drawn.data, w, h, self._drawn.strides[0], form)
        if area != self._area:
            self.prepareGeometryChange()
            self._area = area
        self.update()

    def boundingRect(self) -> QRectF:
        return self._area

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        if self._bytes is not None:
            painter.drawImage(self._area, self._image)


@lru_cache(maxsize=64)
def _words(table: bytes) -> tuple[Words, bool]:
    """Colours of (256, 4) bytes as Qt has them, 0xAARRGGBB times their opacity; whether all are opaque."""
    colours = np.frombuffer(table, np.uint8).reshape(256, 4).astype(np.uint32)
    alpha = colours[:, 3]
    red, green, blue = (colours[:, :3].T * alpha + 127) // 255
    words = alpha << 24 | red << 16 | green << 8 | blue
    return np.ascontiguousarray(words.astype(np.uint32)), bool((alpha == 255).all())
