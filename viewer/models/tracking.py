"""All that a tracker tells of the newest series, and which particle the user has marked. Knows no window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.results import Result
from .happenings import Happenings, happenings_of
from .particles import Particles, Tails, particles_of, tails_of

HISTORY, SIZES = "history", "sizes"
"""Outputs of a tracker that are curves and belong beside its particles."""


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
        self.tails: Tails | None = None
        self._histories: dict[str, History] = {}
        self.happenings = Happenings()
        self.marked: int | None = None
        """The particle that the user looks at."""

    def see(self, result: Result) -> bool:
        """Take a result; True when it is a tracker's and shown with its particles."""
        consumer, _, output = result.topic.partition(".")
        if self.consumer and consumer != self.consumer:
            return False
        if (particles := particles_of(result)) is not None:
            self.consumer, self.particles = consumer, particles
            return True
        if (tails := tails_of(result)) is not None:
            self.tails = tails
            return True
        if (happenings := happenings_of(result)) is not None:
            self.happenings.see(happenings)
            return True
        if output == HISTORY and (history := history_of(result)) is not None:
            self._histories[consumer] = history
        return self.owns(result.topic)

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
        self.particles = self.tails = self.marked = None
        self._histories.clear()
        self.happenings.clear()

    def forget(self, consumer: str) -> None:
        """The tracker is no more."""
        if consumer == self.consumer:
            self.begin()
            self.consumer = ""

    def mark(self, identity: int | None) -> None:
        """Look at this particle; at none."""
        self.marked = identity


def history_of(result: Result) -> History | None:
    """From a curve whose attribute "names" tells its channels, or a table; None from anything else."""
    if result.kind == "curve":
        return _of_curve(result)
    columns = result.arrays
    x = next((name for name in ("time", "frame") if name in columns), None)
    if result.kind != "table" or x is None:
        return None
    lines = tuple(
        Line(name.replace("_", " "), np.asarray(values, np.float64), result.units.get(name, ""))
        for name, values in columns.items()
        if name not in ("time", "frame") and values.dtype.kind in "iuf"
    )
    return History(np.asarray(columns[x], np.float64), x, result.units.get(x, ""), lines) if lines else None


def _of_curve(result: Result) -> History | None:
    x, y = result.arrays.get("x"), result.arrays.get("y")
    if x is None or y is None or x.ndim != 1 or y.ndim not in (1, 2) or len(x) != len(y):
        return None
    channels = np.asarray(y, np.float64).reshape(len(x), 1 if y.ndim == 1 else y.shape[1])
    names, units = (_words(result.attrs, key, channels.shape[1]) for key in ("names", "channel_units"))
    lines = [
        Line(name, values, unit or result.units.get("y", ""))
        for name, unit, values in zip(names, units, channels.T, strict=True)
    ]
    label = str(result.attrs.get("x_label", "frame"))
    return History(np.asarray(x, np.float64), label, result.units.get("x", ""), tuple(lines))


def _words(attrs: Mapping[str, Any], key: str, count: int) -> list[str]:
    said = attrs.get(key)
    words = [str(word) for word in said] if isinstance(said, (list, tuple)) else []
    return (words + [""] * count)[:count]
