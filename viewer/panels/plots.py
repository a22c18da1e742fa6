"""A plot as all panels have it: our colours, no menus, ranges set by us."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import Qt

from .. import theme

MARGIN = 0.06
"""Room above and below a curve, in shares of its height."""


def plain_plot() -> pg.PlotWidget:
    """An empty plot; linked or automatic ranges jump while data arrive, so it has none."""
    plot = pg.PlotWidget(background=theme.PANEL, enableMenu=False)
    plot.getPlotItem().hideButtons()
    plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # there is nothing in it for keys
    # pyqtgraph makes seven menus without an owner for every plot: they would outlive it.
    menu = plot.getPlotItem().ctrlMenu
    menu.setParent(plot, menu.windowFlags())
    plot.showGrid(x=True, y=True, alpha=0.15)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.enableAutoSIPrefix(False)
        axis.setPen(theme.BORDER)
        axis.setTextPen(theme.MUTED)
    return plot


def add_line(plot: pg.PlotWidget, number: int) -> pg.PlotDataItem:
    """A line in the colour of its number; of many points the extremes stay."""
    line = plot.plot(pen=pg.mkPen(theme.curve_colour(number), width=1), connect="finite")
    # "peak" keeps the extremes that a plain stride would lose.
    line.setDownsampling(auto=True, method="peak")
    line.setClipToView(True)
    return line


def set_ranges(plot: pg.PlotWidget, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> None:
    """Show all finite values; nothing changes where there are none."""
    horizontal, vertical = span(x), span(y)
    if horizontal is None or vertical is None:
        return
    room = MARGIN * (vertical[1] - vertical[0])
    plot.setXRange(*horizontal, padding=0.0)
    plot.setYRange(vertical[0] - room, vertical[1] + room, padding=0.0)


def span(values: npt.NDArray[Any]) -> tuple[float, float] | None:
    """Smallest and largest finite value, apart; None where there are none."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return None
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
