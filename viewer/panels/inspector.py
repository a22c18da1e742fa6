"""Tools on the live frame: a line, a region and the spectrum, each with its own pane beside the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ...stream.results import Result
from .. import theme
from ..models.commands import Commands
from ..models.contrast import ContrastRule
from ..models.geometry import Point
from ..models.inspection import (
    Original,
    Region,
    RegionTrace,
    line_profile,
    original_of,
    spectrum,
    wanted_size,
)
from ..models.numbers import count_text, level_text
from ..models.picture import Picture
from ..models.session import Session
from .image_pane import ImagePane
from .picture_view import PictureView
from .plots import add_line, plain_plot, set_ranges

SPACING = 8
SPECTRUM_RULE = ContrastRule(low_percent=5.0, high_percent=99.99)
PERIOD_S = 0.2
"""Five times a second is as fast as a plot can be read."""
LINE, REGION = 3, 0
"""Places in the theme's colours: over the picture, and on the panels."""
REDUCED = "of a frame that was made smaller there is nothing to measure"


class PlotPane(QFrame):
    """A plot with a title."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.setObjectName("pane")
        colour = theme.curve_colour(number)
        self.title = theme.named(QLabel(), "title")
        self.title.setStyleSheet(f"border-left: 4px solid {colour}; padding-left: 6px;")
        self.plot = plain_plot()
        self.line = add_line(self.plot, number)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.addWidget(self.title)
        layout.addWidget(self.plot, 1)

    def show_values(self, x: np.ndarray, y: np.ndarray, label: str, unit: str) -> None:
        """Draw y against x (n,)."""
        self.line.setData(x, y)
        set_ranges(self.plot, x, y)
        self.plot.setLabel("bottom", label, unit or None)


class Inspector(QWidget):
    """What the tools show. Each is off until its key; while one is on, the frame is asked for in full."""

    def __init__(self, session: Session, view: PictureView, commands: Commands) -> None:
        super().__init__()
        self._session, self._view, self._commands = session, view, commands
        self._next = 0.0
        self._drawn: object = None
        self._asked: tuple[str, int] | None = None
        self._trace = RegionTrace()
        self.profile, self.region = PlotPane(LINE), PlotPane(REGION)
        self.spectrum = ImagePane("inferno", SPECTRUM_RULE)
        self.spectrum.set_transfer("log")
        self.line: pg.LineSegmentROI | None = None
        self.box: pg.RectROI | None = None
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        for layout in (column, row):
            layout.setSpacing(SPACING)
        column.addWidget(self.spectrum, 3)
        column.addLayout(row, 2)
        for plot in (self.profile, self.region):
            row.addWidget(plot, 1)
        for pane in (self.spectrum, self.profile, self.region):
            pane.hide()

    @property
    def is_on(self) -> bool:
        """Whether any tool is."""
        return bool(self.line or self.box) or not self.spectrum.isHidden()

    def toggle_spectrum(self) -> None:
        """Show the periods of the frame, or no more."""
        self.spectrum.setVisible(self.spectrum.isHidden())
        self._changed()

    def toggle_profile(self) -> None:
        """A line to drag by its ends, and the values along it; or no more."""
        if self.line is not None:
            self._remove(self.line)
            self.line = None
        else:
            (top, left), (height, width) = self._middle()
            y = top + 0.5 * height
            ends = [(left, y), (left + width, y)]
            self.line = pg.LineSegmentROI(
                ends, pen=pg.mkPen(theme.TRACK_COLOURS[LINE], width=2), hoverPen=theme.WARN
            )
            self._add(self.line)
        self.profile.setVisible(self.line is not None)
        self._changed()

    def toggle_region(self) -> None:
        """A rectangle to drag, and its mean over time; or no more."""
        if self.box is not None:
            self._remove(self.box)
            self.box = None
        else:
            (top, left), (height, width) = self._middle()
            pen = pg.mkPen(theme.TRACK_COLOURS[REGION], width=2)
            self.box = pg.RectROI((left, top), (width, height), pen=pen, hoverPen=theme.WARN)
            self._add(self.box)
        self.region.setVisible(self.box is not None)
        self._changed()

    def put_away(self) -> tuple[str, ...]:
        """Switch all tools off; which were on, for `take_out`."""
        on = {"spectrum": not self.spectrum.isHidden(), "profile": bool(self.line), "region": bool(self.box)}
        tools = tuple(name for name, is_on in on.items() if is_on)
        self.take_out(tools)
        return tools

    def take_out(self, tools: Iterable[str]) -> None:
        """Switch these tools over: "spectrum", "profile", "region"."""
        for name in tools:
            getattr(self, f"toggle_{name}")()

    def update_from(self, now: float) -> None:
        """Take the newest frame, five times a second."""
        frame = self._session.frame
        if frame is None or not self.is_on:
            return
        self._ask_for(frame)
        original = original_of(frame)
        if original is not None and self.box is not None and self._session.held is None:
            self._trace.see(original, _region(self.box))
        if now < self._next and self._drawn is not None:
            return
        self._next, self._drawn = now + PERIOD_S, frame
        for pane, draw in self._tools():
            if original is None:
                pane.title.setText(REDUCED)
            else:
                draw(original, now)

    def settle(self) -> None:
        """Draw all at the next update."""
        self._next = 0.0

    def _tools(self) -> list[tuple[PlotPane | ImagePane, Callable[[Original, float], None]]]:
        tools: list[tuple[PlotPane | ImagePane, Callable[[Original, float], None]]] = []
        if not self.spectrum.isHidden():
            tools.append((self.spectrum, self._draw_spectrum))
        if self.line is not None:
            tools.append((self.profile, self._draw_profile))
        if self.box is not None:
            tools.append((self.region, self._draw_region))
        return tools

    def _draw_spectrum(self, original: Original, now: float) -> None:
        found = spectrum(original)
        if found is None:
            return
        caption = f"frame {count_text(original.index)}   {found.side} x {found.side} px"
        picture = Picture(found.amplitude, None, "Spectrum", caption, calibration=found.size)
        # Levels from the maxima of 2 x 2: a sample of the pixels would miss the spots.
        half = found.side // 2
        peaks = replace(picture, image=found.amplitude.reshape(half, 2, half, 2).max(axis=(1, 3)))
        self.spectrum.show_picture(picture, now, peaks)

    def _draw_profile(self, original: Original, now: float) -> None:
        assert self.line is not None
        start, end = _ends(self.line)
        found = line_profile(original, start, end)
        self.profile.show_values(found.distance, found.values, "distance", found.unit)
        length = f"{level_text(float(found.distance[-1]))} {found.unit}"
        self.profile.title.setText(f"Profile   {length}   frame {count_text(original.index)}")

    def _draw_region(self, original: Original, now: float) -> None:
        assert self.box is not None
        inside = _region(self.box).pixels(original)
        if not len(inside):
            self.region.title.setText("Region   no pixel in it")
            return
        rows = self._trace.rows
        self.region.show_values(rows[:, 0], rows[:, 1], "frame", "")
        mean, scatter = (level_text(float(value)) for value in (inside.mean(), inside.std()))
        words = f"Region   mean {mean} \N{PLUS-MINUS SIGN} {scatter} {original.unit}".rstrip()
        held = "" if self._session.held is None else f"   frame {count_text(original.index)}"
        self.region.title.setText(words + held)

    def _ask_for(self, frame: Result) -> None:
        """Original pixels, where the preview gives smaller ones: once, and as before when no tool is on."""
        size = wanted_size(frame)
        if size is not None and self._asked is None:
            consumer = frame.topic.partition(".")[0]
            self._asked = (consumer, max(frame.arrays["image"].shape))
            self._commands.set(consumer, "max_size", size)

    def _changed(self) -> None:
        self._drawn = None
        if not self.is_on and self._asked is not None:
            consumer, before = self._asked
            self._asked = None
            self._commands.set(consumer, "max_size", before)

    def _middle(self) -> tuple[Point, Point]:
        """Half of what is seen: its corner (y, x) and its extent."""
        seen = self._view.box.viewRect().intersected(self._view.picture_area())
        corner = (seen.top() + 0.25 * seen.height(), seen.left() + 0.25 * seen.width())
        return corner, (0.5 * seen.height(), 0.5 * seen.width())

    def _add(self, tool: pg.ROI) -> None:
        tool.setZValue(11)
        # pyqtgraph makes a menu without an owner for every handle: it would outlive the window.
        for handle in tool.getHandles():
            handle.menu.setParent(self, handle.menu.windowFlags())
        tool.sigRegionChanged.connect(self.settle)
        self._view.box.addItem(tool, ignoreBounds=True)

    def _remove(self, tool: pg.ROI) -> None:
        self._view.box.removeItem(tool)
        for handle in tool.getHandles():
            handle.menu.deleteLater()


def _ends(line: pg.LineSegmentROI) -> tuple[Point, Point]:
    """(y, x) of both ends of a line."""
    first, second = (line.mapToParent(place) for _, place in line.getLocalHandlePositions())
    return (first.y(), first.x()), (second.y(), second.x())


def _region(box: pg.RectROI) -> Region:
    corner, size = box.pos(), box.size()
    return Region(corner.y(), corner.x(), size.y(), size.x())
