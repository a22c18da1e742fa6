"""Curves: values against frame number, time or radius, one plot a topic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from ...stream.results import Result
from .. import theme
from ..models.captions import badge_of, made_by
from ..models.numbers import count_text, value_text
from ..models.session import Session
from .plots import add_line, plain_plot, set_ranges

SPACING = 8


class CurvePane(QFrame):
    """One plot, its ranges set by us: linked or automatic ranges jump while data arrive."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("pane")
        self._past = False
        self.title = theme.named(QLabel(title), "title")
        self.plot = plain_plot()
        self.lines: list[pg.PlotDataItem] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.addWidget(self.title)
        layout.addWidget(self.plot, 1)

    def show_curve(self, result: Result) -> None:
        """Draw x (n,) against y (n,) or (n, c)."""
        x = np.asarray(result.arrays["x"], np.float64)
        y = np.asarray(result.arrays["y"], np.float64)
        channels = y.reshape(len(x), -1) if len(x) else np.zeros((0, 1))
        self._have_lines(channels.shape[1])
        for line, values in zip(self.lines, channels.T, strict=True):
            line.setData(x, values)
        set_ranges(self.plot, x, channels)
        self._label(result, channels)

    def set_past(self, past: bool) -> None:
        """Mark, or no longer, a curve of a series that is over and was gone back to."""
        if past != self._past:
            self._past = past
            self.setProperty("past", past)
            self.style().unpolish(self)
            self.style().polish(self)

    def _have_lines(self, count: int) -> None:
        while len(self.lines) > count:
            self.plot.removeItem(self.lines.pop())
        while len(self.lines) < count:
            self.lines.append(add_line(self.plot, len(self.lines)))

    def _label(self, result: Result, y: npt.NDArray[Any]) -> None:
        units = result.units
        self.plot.setLabel("bottom", str(result.attrs.get("x_label", "frame")), units.get("x") or None)
        estimate = f"{badge_of(result.attrs)} {made_by(result.attrs)}".strip()
        self.title.setText("   ".join(filter(None, (result.topic, _said(result, y).rstrip(), estimate))))


def _said(result: Result, y: npt.NDArray[Any]) -> str:
    """The newest value of a trace; of a profile, which has none, of how many frames it is the mean."""
    if result.attrs.get("kind") == "profile":
        frames = result.attrs.get("frames")
        return f"mean of {count_text(frames)} frames" if isinstance(frames, int) else ""
    last = y[-1][np.isfinite(y[-1])] if len(y) else y
    values = ", ".join(value_text(float(v)) for v in last.ravel())
    return f"{values} {result.units.get('y', '')}"


class CurvesPanel(QWidget):
    """The plots, one below the other."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.panes: dict[str, CurvePane] = {}
        self._drawn: dict[str, Result] = {}
        self._stack = QVBoxLayout(self)
        self._stack.setContentsMargins(0, 0, 0, 0)
        self._stack.setSpacing(SPACING)

    def update_from(self, now: float) -> None:
        """Take what changed."""
        curves = {result.topic: result for result in self._session.curves}
        for topic in [t for t in self.panes if t not in curves]:
            pane = self.panes.pop(topic)
            del self._drawn[topic]
            self._stack.removeWidget(pane)
            pane.deleteLater()
        for topic, result in curves.items():
            pane = self.panes.get(topic) or self._add(topic)
            pane.set_past(self._session.browser.shown is not None)
            if self._drawn.get(topic) is not result:
                self._drawn[topic] = result
                pane.show_curve(result)

    def _add(self, topic: str) -> CurvePane:
        pane = CurvePane(topic)
        self.panes[topic] = pane
        self._stack.addWidget(pane, 1)
        return pane
