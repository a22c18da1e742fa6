"""Figures of all particles together, frame by frame, in memory that does not grow with the frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, njit, void

from .diffusion import FULL_SHUTTER, Diffusion, Displacements
from .nearby import MOST, lay_out, nearest
from .tracks import EventKind, Rows

BINS = 64
POINTS = 4096
"""Of a series against time; with more, neighbours are put together."""


@njit(void(float64[::1], float64[::1], float64[::1]), nogil=True, cache=True)
def nearest_neighbours(y: Any, x: Any, distance: Any) -> None:
    """Distance of each point from the nearest other, px; NaN where there is no other.

    Parameters
    ----------
    y, x : (n,) px.
    distance : (n,) filled.
    """
    n = len(y)
    if n < 2:
        distance[:] = np.nan
        return
    extent = max(y.max() - y.min(), x.max() - x.min(), 1e-9)
    side = max(extent / math.sqrt(n), 1e-9)
    grid, first, order = np.empty(5), np.empty(4 * n + 65, np.int32), np.empty(n, np.int32)
    lay_out(y, x, side, grid, first, order)
    near, square = np.empty(MOST, np.int32), np.empty(MOST)
    for i in range(n):
        reach, count = grid[2], 0
        while count < 2 and reach < 4 * extent:
            count = nearest(y[i], x[i], reach, y, x, grid, first, order, near, square)
            reach *= 2
        distance[i] = math.sqrt(square[1]) if count > 1 else np.nan


class Series:
    """A figure against time: the mean of each of at most POINTS stretches of frames, all of one length."""

    def __init__(self, columns: int) -> None:
        self._sums = np.zeros((POINTS, columns))
        self._counts = np.zeros((POINTS, columns), np.int64)
        self._first: int | None = None
        self.stretch = 1
        """Frames that are one point."""
        self._points = 0

    def add(self, frame: int, values: npt.ArrayLike) -> None:
        """(columns,) of a frame, its number not below earlier ones'; NaN: not known."""
        if self._first is None:
            self._first = frame
        while (frame - self._first) // self.stretch >= POINTS:
            half = POINTS // 2
            for array in (self._sums, self._counts):
                array[:half] = array[0::2] + array[1::2]
                array[half:] = 0
            self.stretch *= 2
            self._points = (self._points + 1) // 2
        k = (frame - self._first) // self.stretch
        array = np.asarray(values, np.float64)
        known = np.isfinite(array)
        self._sums[k][known] += array[known]
        self._counts[k] += known
        self._points = max(self._points, k + 1)

    @property
    def frames(self) -> npt.NDArray[np.float64]:
        """(n,) middle of each stretch, in frame numbers."""
        middle = (self._first or 0) + (self.stretch - 1) / 2
        return np.asarray(middle + self.stretch * np.arange(self._points), np.float64)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """(n, columns), NaN where no frame told."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self._sums[: self._points] / self._counts[: self._points])


COLUMNS = (
    "count", "mean_radius", "median_radius", "neighbour_distance", "coverage", "drift_y", "drift_x", "growth",
)  # fmt: skip
"""Of the series; px, px per frame, coverage as a part of the frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """What the frames so far have told; px and frames."""

    frame: int
    now: Mapping[str, float]
    """Of the newest final frame, by name of `COLUMNS`."""
    diffusion: Diffusion
    events: Mapping[str, int]
    """How many of each kind, by its name in small letters."""


class Statistics:
    """Figures of all particles, from final rows.

    Parameters
    ----------
    shape : (h, w) of the frames, px.
    largest : px, the highest radius of the histogram.
    shutter : see `diffusion.Displacements`.
    """

    def __init__(self, shape: tuple[int, int], largest: float = 40.0, shutter: float = FULL_SHUTTER) -> None:
        self._area = float(shape[0] * shape[1])
        self.largest = largest
        self.series = Series(len(COLUMNS))
        self.displacements = Displacements(shutter)
        self.histogram = np.zeros(BINS, np.int64)
        """(BINS,) particles of the newest frame by radius, 0 to `largest` px; larger ones are in the last."""
        self._events = dict.fromkeys(EventKind, 0)
        self._frame, self._now = -1, dict.fromkeys(COLUMNS, math.nan)

    def add(self, frame: int, rows: Rows, place: tuple[float, float], growth: float = math.nan) -> None:
        """Final rows of a frame.

        Parameters
        ----------
        rows : (n,) of `tracks.TRACK`.
        place : px (y, x), where the field is then.
        growth : px per frame, mean rate of all particles.
        """
        n = len(rows)
        radius = rows["radius"][np.isfinite(rows["radius"])].astype(np.float64)
        self.histogram = np.bincount(
            np.clip(radius * BINS / self.largest, 0, BINS - 1).astype(np.int64), minlength=BINS
        )
        distance = np.empty(n)
        nearest_neighbours(np.ascontiguousarray(rows["y"]), np.ascontiguousarray(rows["x"]), distance)
        known = distance[np.isfinite(distance)]
        values = (
            float(n),
            float(radius.mean()) if radius.size else math.nan,
            float(np.median(radius)) if radius.size else math.nan,
            float(known.mean()) if known.size else math.nan,
            min(float(math.pi * (radius**2).sum()) / self._area, 1.0),
            *place,
            growth,
        )
        self.series.add(frame, values)
        self.displacements.add(frame, rows, place)
        self._frame, self._now = frame, dict(zip(COLUMNS, values, strict=True))

    def count(self, events: Rows) -> None:
        """Take (n,) of `tracks.EVENT` into the counts."""
        for kind in events["kind"].tolist():
            self._events[EventKind(kind)] += 1

    def figures(self) -> Figures:
        """What all frames so far have told."""
        told = {kind.name.lower(): n for kind, n in self._events.items()}
        return Figures(self._frame, self._now, self.displacements.diffusion(), told)
