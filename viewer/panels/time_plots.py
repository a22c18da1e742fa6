"""Quantities of all particles over time, one plot a unit, with a mark for each event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout

from .. import theme
from ..models.happenings import Happening
from ..models.numbers import value_text
from ..models.tracking import History, Line
from .event_marks import event_path, panel_colour_of_event
from .plots import MARGIN, add_line, plain_plot, set_ranges, span

MARKS = 300
"""Events that are marked in a plot, the newest."""
MARK_SIZE = 11.0
"""Screen pixels."""
LANE = 0.16
"""Share of the height below the curves where the marks are."""


class TimePlot(QFrame):
    """The quantities of one unit."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("pane")
        self.title = theme.named(QLabel(), "title")
        self.plot = plain_plot()
        self.lines: list[pg.PlotDataItem] = []
        self.marks = pg.ScatterPlotItem(pxMode=True, size=MARK_SIZE, brush=None)
        self.plot.addItem(self.marks)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.addWidget(self.title)
        layout.addWidget(self.plot, 1)

    def show_lines(self, history: History, lines: Sequence[Line]) -> None:
        """Draw these of the history."""
        while len(self.lines) > len(lines):
            self.plot.removeItem(self.lines.pop())
        while len(self.lines) < len(lines):
            self.lines.append(add_line(self.plot, len(self.lines)))
        for item, line in zip(self.lines, lines, strict=True):
            item.setData(history.x, line.values)
        set_ranges(self.plot, history.x, np.concatenate([line.values for line in lines]))
        self.plot.setLabel("bottom", history.x_label, history.x_unit or None)
        said = "   ".join(_said(line) for line in lines)
        self.title.setText(f"{said} {lines[0].unit}".rstrip())

    def show_marks(self, history: History, happenings: Sequence[Happening]) -> None:
        """Mark these below the curves."""
        across, up = span(history.x), span(np.concatenate([line.values for line in history.lines[:1]]))
        if across is None or up is None:
            return
        height = up[1] - up[0]
        y = up[0] - LANE * height
        self.plot.setYRange(y - LANE * height, up[1] + MARGIN * height, padding=0.0)
        places = [(_place(one, history), one.kind) for one in happenings]
        spots = [
            {
                "pos": (x, y),
                "symbol": event_path(kind, 0.45),
                "pen": pg.mkPen(panel_colour_of_event(kind), width=1.5),
            }
            for x, kind in places
            if x is not None and across[0] <= x <= across[1]
        ]
        self.marks.setData(spots)


def _said(line: Line) -> str:
    finite = line.values[np.isfinite(line.values)]
    return f"{line.name} {value_text(float(finite[-1]))}" if len(finite) else line.name


def _place(happening: Happening, history: History) -> float | None:
    return happening.time if history.x_label == "time" else float(happening.frame)


class TimePlots(QFrame):
    """One plot below the other; events are marked in the first."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[object, ...] = ()
        self.plots: list[TimePlot] = []
        self._stack = QVBoxLayout(self)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.setSpacing(8)

    def show_history(self, history: History | None, happenings: Sequence[Happening]) -> None:
        """Take what changed; there is nothing to see without a history."""
        self.setVisible(history is not None)
        if history is None or (history, len(happenings)) == self._shown:
            return
        self._shown = (history, len(happenings))
        while len(self.plots) < len(history.units):
            self.plots.append(TimePlot())
            self._stack.addWidget(self.plots[-1], 1)
        while len(self.plots) > len(history.units):
            gone = self.plots.pop()
            self._stack.removeWidget(gone)
            gone.deleteLater()
        for plot, unit in zip(self.plots, history.units, strict=True):
            plot.show_lines(history, [line for line in history.lines if line.unit == unit])
        self.plots[0].show_marks(history, happenings[:MARKS])
