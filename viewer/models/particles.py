"""Particles that are followed, as a tracker publishes them: which there are, where they were, what is picked.

A tracker may have any name: its tables are known by their columns, the time by its frame numbers. Read
tolerantly; knows no window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.results import Result

Reals = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
IDENTITIES = ("id", "particle")
"""Columns that name a particle; the first that is there counts."""
PLACES = ("y", "x")
PROVISIONAL = ("provisional", "is_provisional")
"""Columns that say that a track is not confirmed yet; or a column "state" says it."""
TENTATIVE = 0
TAIL_FRAMES = 30
"""Frames in which a tail fades away."""


@dataclass(frozen=True, slots=True, eq=False)
class Particles:
    """Live tracks of one frame; all arrays (n,)."""

    topic: str
    frame: int
    """Its number; -1 where the tracker does not say."""
    ids: Numbers
    y: Reals
    x: Reals
    radius: Reals
    """px of the frame."""
    provisional: npt.NDArray[np.bool_]
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """All of the table, in its order."""
    units: Mapping[str, str] = field(default_factory=dict)
    identity: str = "id"
    """Which of the columns names a particle."""

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
    def newest(self) -> int:
        """Number of the last frame; -1 where there are no points."""
        return int(self.frame.max(initial=-1))

    def freshness(self, frames: int = TAIL_FRAMES) -> Reals:
        """(n,) from 1 at the newest frame down to 0 so many frames ago."""
        return np.clip(1.0 - (self.newest - self.frame) / frames, 0.0, 1.0)


def particles_of(result: Result) -> Particles | None:
    """The live tracks in a table; None in one of something else."""
    columns, name = result.arrays, identity_of(result)
    if result.kind != "table" or name is None or not _has(columns, *PLACES, "radius") or "kind" in columns:
        return None
    y, x, radius = (np.asarray(columns[part], np.float64) for part in (*PLACES, "radius"))
    ids, provisional = np.asarray(columns[name], np.int64), _provisional(columns, len(y))
    return Particles(
        result.topic, frame_of(result), ids, y, x, radius, provisional, columns, result.units, name
    )


def tails_of(result: Result) -> Tails | None:
    """The tails in a table; None in one of something else."""
    columns, name = result.arrays, identity_of(result)
    if result.kind != "table" or name is None or not _has(columns, *PLACES, "frame"):
        return None
    if {"kind", "radius"} & columns.keys():
        return None
    ids, frame = (np.asarray(columns[part], np.int64) for part in (name, "frame"))
    y, x = (np.asarray(columns[part], np.float64) for part in PLACES)
    order = np.lexsort((frame, ids))
    return Tails(ids[order], frame[order], y[order], x[order])


def frame_of(result: Result) -> int:
    """Number of the frame that a table is of: as it says itself, else the last one that it has seen."""
    said = result.attrs.get("frame", result.attrs.get("index"))
    return said if isinstance(said, int) else result.frames[1] - 1


def identity_of(result: Result) -> str | None:
    """The column that names particles; None where there is none of whole numbers."""
    columns = result.arrays
    return next((one for one in IDENTITIES if one in columns and columns[one].dtype.kind in "iu"), None)


def _has(columns: Mapping[str, npt.NDArray[Any]], *names: str) -> bool:
    return all(name in columns and columns[name].dtype.kind in "iuf" for name in names)


def _provisional(columns: Mapping[str, npt.NDArray[Any]], n: int) -> npt.NDArray[np.bool_]:
    for name in PROVISIONAL:
        if name in columns:
            return columns[name].astype(bool)
    if "state" in columns and columns["state"].dtype.kind in "iu":
        return np.asarray(columns["state"] == TENTATIVE)
    return np.zeros(n, bool)


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
