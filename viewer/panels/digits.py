"""Pictures of the digits, for numbers that are written by the hundred."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QImage, QPainter, QPainterPath, QPen

RIM = 2.2
"""px of the dark line around a digit, half of it outside."""


def digit_pictures(font: QFont, ratio: float = 1.0) -> npt.NDArray[np.uint32]:
    """0 to 9 as `marks.draw_numbers` takes them: (10, gh, gw) uint32, ``ratio`` screen pixels a pixel."""
    metrics = QFontMetricsF(font)
    wide = math.ceil((max(metrics.horizontalAdvance(digit) for digit in "0123456789") + 1.0) * ratio)
    high = math.ceil((metrics.tightBoundingRect("0123456789").height() + 2 * RIM) * ratio)
    pictures = np.empty((10, high, wide), np.uint32)
    for number in range(10):
        path = QPainterPath()
        path.addText(QPointF(0.5, high / ratio - RIM), font, str(number))
        fill = _coverage(path, wide, high, ratio, rim=False)
        pictures[number] = np.maximum(fill, _coverage(path, wide, high, ratio, rim=True)) << 8 | fill
    return pictures


def _coverage(path: QPainterPath, wide: int, high: int, ratio: float, rim: bool) -> npt.NDArray[np.uint32]:
    picture = QImage(wide, high, QImage.Format.Format_Grayscale8)
    picture.fill(0)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(ratio, ratio)
    painter.fillPath(path, Qt.GlobalColor.white)
    if rim:
        painter.strokePath(path, QPen(Qt.GlobalColor.white, RIM))
    painter.end()
    rows = np.frombuffer(picture.constBits(), np.uint8).reshape(high, picture.bytesPerLine())
    return rows[:, :wide].astype(np.uint32)
