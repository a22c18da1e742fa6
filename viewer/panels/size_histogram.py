"""How large the particles are: a histogram of their radii, with mean and median."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout

from .. import theme
from ..models.numbers import level_text
from ..models.particles import SizeHistogram
from .plots import plain_plot

FILL = 110
HEAD_ROOM = 1.15


class SizeHistogramPanel(QFrame):
    """Bars and two upright lines: mean (whole) and median (dashed)."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("pane")
        self._shown: SizeHistogram | None = None
        self.title = theme.named(QLabel("Radius"), "title")
        self.plot = plain_plot()
        colour = QColor(theme.curve_colour(0))
        fill = QColor(colour)
        fill.setAlpha(FILL)
        self.bars = pg.PlotCurveItem(
            [0, 1], [0], stepMode="center", fillLevel=0, brush=fill, pen=pg.mkPen(colour)
        )
        self.plot.addItem(self.bars)
        self.mean, self.median = (
            pg.InfiniteLine(angle=90, pen=pg.mkPen(theme.curve_colour(number), width=2, style=style))
            for number, style in ((1, Qt.PenStyle.SolidLine), (3, Qt.PenStyle.DashLine))
        )
        for line in (self.mean, self.median):
            self.plot.addItem(line)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.addWidget(self.title)
        layout.addWidget(self.plot, 1)

    def show_sizes(self, sizes: SizeHistogram | None) -> None:
        """Draw these; none leaves the last ones."""
        if sizes is None or sizes == self._shown:
            return
        self._shown = sizes
        self.bars.setData(np.array(sizes.edges), np.array(sizes.counts))
        self.mean.setValue(sizes.mean)
        self.median.setValue(sizes.median)
        self.plot.setXRange(sizes.edges[0], sizes.edges[-1], padding=0.0)
        self.plot.setYRange(0.0, HEAD_ROOM * max(sizes.counts), padding=0.0)
        self.plot.setLabel("bottom", "radius", sizes.unit)
        self.title.setText(
            f"Radius   mean {level_text(sizes.mean)}   median {level_text(sizes.median)} {sizes.unit}"
        )
