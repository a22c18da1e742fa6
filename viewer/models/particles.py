"""Particles that are followed, as a tracker publishes them: which there are, where they were, what is picked.

A tracker may have any name: its tables are known by their columns, the time by its frame numbers. Read
tolerantly; knows no window.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.results import Result

Reals = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
IDENTITY = "particle"
"""The column that names a particle."""
PLACES = ("y", "x", "radius")
TAIL_FRAMES = 30
"""Frames, and tables, in which a tail fades away."""


@dataclass(frozen=True, slots=True, eq=False)
class Particles:
    """Live tracks of one frame; all arrays (n,)."""

    topic: str
    frame: int
    ids: Numbers
    y: Reals
    x: Reals
    radius: Reals
    """px of the frame."""
    provisional: npt.NDArray[np.bool_]
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """All of the table, in its order."""
    units: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, identity: int | None) -> int | None:
        """Where in the arrays a particle is; None where it is not."""
        if identity is None:
            return None
        found = np.flatnonzero(self.ids == identity)
        return int(found[0]) if len(found) else None

    def at(self, y: float, x: float, tolerance: float) -> int | None:
        """The particle that a click at (y, x) means; None beside all.

        Its circle, widened by ``tolerance`` px, has the point in it; of several, the one whose centre is
        nearest in terms of its radius.
        """
        reach = self.radius + tolerance
        far = np.hypot(self.y - y, self.x - x) / np.where((reach > 0) & (reach < np.inf), reach, np.nan)
        if not np.any(far <= 1):
            return None
        return int(self.ids[np.nanargmin(far)])


@dataclass(frozen=True, slots=True, eq=False)
class Tails:
    """Places of the last frames; all arrays (n,), by track and within a track oldest first."""

    ids: Numbers
    frame: Numbers
    y: Reals
    x: Reals

    @property
    def freshness(self) -> Reals:
        """(n,) from 1 at the newest frame down to 0 before the oldest, or `TAIL_FRAMES` ago."""
        newest = self.frame.max(initial=0)
        span = max(TAIL_FRAMES, newest - self.frame.min(initial=newest) + 1)
        return np.asarray(1.0 - (newest - self.frame) / span, np.float64)


class TailBook:
    """Keeps where particles were in the last `TAIL_FRAMES` tables that came."""

    def __init__(self) -> None:
        self._seen: deque[Particles] = deque(maxlen=TAIL_FRAMES)
        self._tails: Tails | None = None

    def see(self, particles: Particles) -> None:
        """Take the next ones; frames that begin again (a replay went back) begin new tails."""
        if self._seen and particles.frame < self._seen[-1].frame:
            self._seen.clear()
        if self._seen and particles.frame == self._seen[-1].frame:
            self._seen.pop()
        self._seen.append(particles)
        self._tails = None

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()
        self._tails = None

    @property
    def tails(self) -> Tails | None:
        """Of all particles that were there; None before the first table."""
        if self._tails is None and self._seen:
            self._tails = _joined(list(self._seen))
        return self._tails


def _joined(seen: list[Particles]) -> Tails:
    ids = np.concatenate([one.ids for one in seen])
    frame = np.repeat([one.frame for one in seen], [len(one) for one in seen])
    order = np.argsort(ids, kind="stable")
    y, x = (np.concatenate([getattr(one, name) for one in seen]) for name in ("y", "x"))
    return Tails(ids[order], frame[order].astype(np.int64), y[order], x[order])


def particles_of(result: Result) -> Particles | None:
    """The live tracks in a table about one frame; None in one of something else."""
    columns, frame = result.arrays, result.attrs.get("index")
    if result.kind != "table" or not isinstance(frame, int) or not _has(columns, IDENTITY, *PLACES):
        return None
    y, x, radius = (np.asarray(columns[part], np.float64) for part in PLACES)
    ids = np.asarray(columns[IDENTITY], np.int64)
    provisional = np.asarray(columns.get("provisional", np.zeros(len(ids))), bool)
    return Particles(result.topic, frame, ids, y, x, radius, provisional, columns, result.units)


def _has(columns: Mapping[str, npt.NDArray[Any]], *names: str) -> bool:
    return all(name in columns and columns[name].dtype.kind in "iuf" for name in names)


@dataclass(frozen=True, slots=True)
class SizeHistogram:
    """How many particles are how large."""

    edges: tuple[float, ...]
    """Ends of the bins, one more than ``counts``."""
    counts: tuple[int, ...]
    mean: float
    median: float
    unit: str


MOST_BINS = 40
SMALL_BINS = 8
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def size_histogram(particles: Particles, size: float = 1.0, unit: str = "px") -> SizeHistogram | None:
    """Of the radii of confirmed particles; None where there are none.

    Bins are 1, 2, 2.5 or 5 times a power of ten wide, at least as wide as the rule of Freedman and Diaconis
    says (Z. Wahrsch. verw. Geb. 57 (1981) 453), and begin at multiples of their width, so that they stay
    while radii change.

    Parameters
    ----------
    particles : the live tracks.
    size, unit : of a pixel.
    """
    radii = particles.radius[~particles.provisional] * size
    radii = radii[np.isfinite(radii)]
    if not len(radii):
        return None
    low, high = float(radii.min()), float(radii.max())
    quarter, three = np.percentile(radii, (25, 75))
    wanted = max(2.0 * float(three - quarter) / len(radii) ** (1 / 3), (high - low) / MOST_BINS)
    width = _nice(wanted if wanted > 0 else max(high, 1e-12) / SMALL_BINS)
    first, last = math.floor(low / width), math.floor(high / width) + 1
    edges = np.arange(first, last + 1) * width
    places = np.clip(np.floor(radii / width).astype(int) - first, 0, last - first - 1)
    counts = np.bincount(places, minlength=last - first)
    return SizeHistogram(
        tuple(float(edge) for edge in edges),
        tuple(int(count) for count in counts),
        float(radii.mean()),
        float(np.median(radii)),
        unit,
    )


def _nice(width: float) -> float:
    decade = 10.0 ** math.floor(math.log10(width))
    return next(step * decade for step in STEPS if step * decade >= width * (1 - 1e-9))
