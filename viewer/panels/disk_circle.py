"""The bright-field disk that was found, as a thin dashed circle on the frame. The mouse passes through it."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QStyleOptionGraphicsItem, QWidget

from ..models.bright_field import BrightField

DASHES = (5.0, 4.0)
"""Screen pixels drawn and left out."""
COLOUR = "#ffffff"
CROSS = 4.0
"""Half arms of the mark at the centre, in screen pixels."""


class DiskCircle(pg.GraphicsObject):
    """Circle and centre; nothing while there is no disk."""

    def __init__(self) -> None:
        super().__init__()
        self.setZValue(11)  # over the detectors: a bright-field detector has the same rim
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self.disk: BrightField | None = None

    def show_disk(self, disk: BrightField | None) -> None:
        """Draw this disk, or none."""
        shown = disk if disk is not None and disk.radius is not None else None
        if shown != self.disk:
            self.prepareGeometryChange()
            self.disk = shown
            self.update()

    def boundingRect(self) -> QRectF:
        if self.disk is None or self.disk.radius is None:
            return QRectF()
        (y, x), r = self.disk.center, self.disk.radius
        return QRectF(x - r, y - r, 2 * r, 2 * r).adjusted(-CROSS, -CROSS, CROSS, CROSS)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        if self.disk is None or self.disk.radius is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor(COLOUR), 1.0)
        pen.setCosmetic(True)
        pen.setDashPattern(DASHES)
        painter.setPen(pen)
        (y, x), radius = self.disk.center, self.disk.radius
        painter.drawEllipse(QPointF(x, y), radius, radius)
        pen.setStyle(Qt.PenStyle.SolidLine)
        painter.setPen(pen)
        arm = CROSS / max(1e-6, painter.worldTransform().m11())
        painter.drawLine(QPointF(x - arm, y), QPointF(x + arm, y))
        painter.drawLine(QPointF(x, y - arm), QPointF(x, y + arm))
