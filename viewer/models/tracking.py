"""All that a tracker tells of the newest series, and which particle the user has marked. Knows no window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.results import Result
from .captions import made_by
from .happenings import Happenings, happenings_of
from .layout import Calibration, calibration_in
from .numbers import count_text, level_text, value_text
from .particles import Particles, TailBook, Tails, particles_of

HISTORY, SIZES = "history", "sizes"
"""Outputs of a tracker that are curves and belong beside its particles."""
SHOWN = ("count", "mean_radius", "median_radius")
"""Of the quantities of a history, which are plotted."""
COMPARED = ("particles", "matched", "missed", "false", "switches", "f1", "mota", "error")
"""Columns of a tracker's comparison with the truth of a simulation."""
FIGURES = ("diffusion", "growth", "neighbour_distance", "coverage")
"""Of a tracker's figures, which are said."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One quantity over time."""

    name: str
    values: npt.NDArray[np.float64]
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Quantities of all particles over time, (n,) each."""

    x: npt.NDArray[np.float64]
    x_label: str
    x_unit: str
    lines: tuple[Line, ...]

    @property
    def units(self) -> tuple[str, ...]:
        """Of the lines, each once: what has one unit has one plot."""
        return tuple(dict.fromkeys(line.unit for line in self.lines))


class TrackingBook:
    """The newest tables of the tracker that was heard first; those of others are results like any."""

    def __init__(self) -> None:
        self.consumer = ""
        self.particles: Particles | None = None
        self.figures = ""
        """What all frames so far have told, in words."""
        self.score = ""
        """How near the tracks are to the truth of a simulation, in words."""
        self.made_by = ""
        """The tracker's algorithm and version."""
        self._tails = TailBook()
        self._histories: dict[str, History] = {}
        self.happenings = Happenings()
        self.marked: int | None = None
        """The particle that the user looks at."""

    def see(self, result: Result) -> bool:
        """Take a result; True when it is a tracker's and shown with its particles."""
        consumer, _, output = result.topic.partition(".")
        if self.consumer and consumer != self.consumer:
            return False
        if result.kind == "table":
            self.made_by = made_by(result.attrs) or self.made_by
        if (particles := particles_of(result)) is not None:
            self.consumer, self.particles = consumer, particles
            self._tails.see(particles)
            return True
        if (happenings := happenings_of(result)) is not None:
            self.happenings.see(happenings)
            return True
        self.figures = figures_text(result) or self.figures
        self.score = score_text(result) or self.score
        if output == HISTORY and (history := history_of(result)) is not None:
            self._histories[consumer] = history
        return self.owns(result.topic)

    @property
    def tails(self) -> Tails | None:
        """Where the particles were."""
        return self._tails.tails

    @property
    def history(self) -> History | None:
        """Of the particles."""
        return self._histories.get(self.consumer)

    def owns(self, topic: str) -> bool:
        """Whether what has this topic is shown with the particles and nowhere else."""
        consumer, _, output = topic.partition(".")
        return bool(self.consumer) and consumer == self.consumer and output in (HISTORY, SIZES)

    def begin(self) -> None:
        """Another series: nothing of the last one is true any more."""
        self.particles = self.marked = None
        self.figures = self.score = self.made_by = ""
        self._tails.clear()
        self._histories.clear()
        self.happenings.clear()

    def at(self, tables: Iterable[Result], frame: int) -> TrackingBook:
        """What was known at a frame: its particles where one of the ``tables`` is of it, tails of those
        before, events up to it. Histories are as they are now."""
        book = TrackingBook()
        book.consumer, book.marked, book.figures = self.consumer, self.marked, self.figures
        for table in tables:
            book.see(table)
        if book.particles is not None and book.particles.frame != frame:
            book.particles = None
            book._tails.clear()
        if self.consumer and book.particles is None:
            book.figures = f"no tracks of frame {count_text(frame)} are there"
        book.happenings.see(one for one in self.happenings.since(0) if one.frame <= frame)
        book._histories.update(self._histories)
        return book

    def forget(self, consumer: str) -> None:
        """The tracker is no more."""
        if consumer == self.consumer:
            self.begin()
            self.consumer = ""

    def mark(self, identity: int | None) -> None:
        """Look at this particle; at none."""
        self.marked = identity


def history_of(result: Result) -> History | None:
    """From a curve whose attribute "names" tells its channels; None from anything else.

    Radii are in px and become what the attributes say of a pixel.
    """
    x, y, names = result.arrays.get("x"), result.arrays.get("y"), result.attrs.get("names")
    if result.kind != "curve" or x is None or y is None or not isinstance(names, (list, tuple)):
        return None
    if x.ndim != 1 or y.shape != (len(x), len(names)):
        return None
    size = calibration_in(result.attrs)
    lines = tuple(
        _line(name, np.asarray(values, np.float64), size)
        for name, values in zip(names, y.T, strict=True)
        if name in SHOWN
    )
    unit = result.units.get("x", "")
    label = "time" if unit == "s" else "frame"
    return History(np.asarray(x, np.float64), label, unit, lines) if lines else None


def _line(name: str, values: npt.NDArray[np.float64], size: Calibration) -> Line:
    is_length = name.endswith("radius")
    return Line(
        name.replace("_", " "), values * size.size if is_length else values, size.unit if is_length else ""
    )


def figures_text(result: Result) -> str:
    """Figures of a tracker in a line; empty where a result has none."""
    columns = result.arrays
    if result.kind != "table" or FIGURES[0] not in columns or len(columns[FIGURES[0]]) != 1:
        return ""
    said = [_figure(result, name) for name in FIGURES if name in columns and _is_known(columns[name])]
    trouble = result.attrs.get("trouble")
    if isinstance(trouble, list | tuple) and trouble:
        said.append("trouble: " + ", ".join(str(word).replace("_", " ") for word in trouble))
    return "   ".join(said)


def score_text(result: Result) -> str:
    """A comparison with the truth in a line; empty where a result is none."""
    columns = result.arrays
    if result.kind != "table" or not all(name in columns and len(columns[name]) == 1 for name in COMPARED):
        return ""
    values = {name: float(column[0]) for name, column in columns.items() if column.dtype.kind in "iuf"}
    if not values.get("frames", 0) > 0:
        return ""
    gate = result.attrs.get("gate")
    within = f" within {gate:g} px" if isinstance(gate, int | float) else ""
    seen, there = values.get("newest_matched", 0), values.get("newest_particles", 0)
    return "   ".join((
        f"truth, frame {values.get('newest_frame', -1):,.0f}: {seen:.0f} of {there:.0f} particles{within}",
        f"{values['frames']:,.0f} frames: F1 {values['f1']:.3f}",
        f"MOTA {values['mota']:.3f}",
        f"error {level_text(values['error'])} px",
        f"{values['switches']:,.0f} mixed up",
    ))  # fmt: skip


def _is_known(column: npt.NDArray[Any]) -> bool:
    return column.dtype.kind in "iuf" and bool(np.isfinite(column[0]))


def _figure(result: Result, name: str) -> str:
    """Name, value, its error where that is told, unit."""
    value, error = float(result.arrays[name][0]), result.arrays.get(f"{name}_error")
    if name == "coverage":
        return f"coverage {value_text(100 * value)} %"
    doubt = (
        "" if error is None or not _is_known(error) else f" \N{PLUS-MINUS SIGN} {level_text(float(error[0]))}"
    )
    unit = result.units.get(name, "").replace("^2", "\N{SUPERSCRIPT TWO}")
    return f"{name.replace('_', ' ')} {level_text(value)}{doubt} {unit}".rstrip()
