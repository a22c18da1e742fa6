"""Peaks of a heat map: where each is between the pixels, how high, how wide.

For what a model or a filter draws: one bump a particle or atomic column, its height the score. Knows neither
which model drew it nor what the bumps stand for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

HeatMap = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.int32]

LEVEL = 0.5
"""Of a peak's height, down to which pixels are its own."""
VOLUME_OF_LEVEL = 2 * math.pi * (1 - LEVEL + LEVEL * math.log(LEVEL))
"""Of a Gaussian of height 1 and width 1 px, what lies above the level."""
NARROW = 16
"""px^2: a smaller peak is told by a paraboloid, a larger one by its centroid and volume. On Gaussians that is
exact, and the centroid 0.08 px off at a width of 1 px; with noise, from 2 px on the centroid is better."""
PIXEL = 0.28
"""px^2 by which the highest pixel, lower than the true top, makes the variance of a wide Gaussian seem larger
(measured)."""

REACH = 2.0
"""Widths of a peak within which a lower one may be noise upon it."""


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Peaks, from the top of the frame to the bottom; arrays (n,)."""

    y: npt.NDArray[np.float64]
    """px; the centre of a pixel is a whole number."""
    x: npt.NDArray[np.float64]
    score: npt.NDArray[np.float32]
    """Value of the highest pixel."""
    area: npt.NDArray[np.float32]
    """px^2 that belong to the peak: connected with it, above `LEVEL` of its score, below it."""
    width: npt.NDArray[np.float32]
    """px, standard deviation of the round Gaussian with the curvature (small peaks), or the volume above that
    level, of this one."""

    def __len__(self) -> int:
        return len(self.y)

    def above(self, score: float) -> Peaks:
        """Those with a higher score."""
        kept = self.score > score
        return Peaks(*(values[kept] for values in self.columns().values()))

    def columns(self) -> Mapping[str, npt.NDArray[Any]]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


def find_peaks(heat: HeatMap, threshold: float, radius: float = 1.5, valley: float = 0.8) -> Peaks:
    """Pixels above ``threshold`` that no other within ``radius`` exceeds, each with what belongs to it.

    A peak that no ``valley`` parts from a higher one within `REACH` of its widths is a part of that.

    Of equal pixels the first is the peak. Regions grow from all peaks at once, through the four sides of
    pixels; where they meet, a pixel belongs to the peak that is fewer steps away. Place and width of small
    peaks are those of a paraboloid through the logarithms of 3 x 3 pixels; of large ones, and of those beside
    the frame's rim or a pixel without value, of what rises above `LEVEL`.

    Parameters
    ----------
    heat : (h, w) float32, C-contiguous; a pixel that is not finite is no peak and belongs to none.
    threshold : score that a peak has to exceed, >= 0.
    radius : px, how near the higher of two peaks suppresses the lower (>= 1).
    valley : share of the lower peak's score below which the map falls on the line between two (0 to 1).

    Raises
    ------
    ValueError
        A negative threshold, a radius below 1 px, a valley that is no share, an array of other dimensions.
    """
    if heat.ndim != 2:
        raise ValueError(f"the heat map is {heat.shape}: give one plane (h, w)")
    if not threshold >= 0:
        raise ValueError(f"threshold is {threshold}: give a score of 0 or more")
    if not 1 <= radius < math.inf:
        raise ValueError(f"radius is {radius}: give 1 px or more")
    if not 0 <= valley <= 1:
        raise ValueError(f"valley is {valley}: give a share from 0 to 1")
    heat = np.ascontiguousarray(heat, np.float32)
    h, w = heat.shape
    found = np.empty(((h + 1) // 2) * ((w + 1) // 2), np.int32)
    count = _peaks(heat, threshold, disk(radius), found)
    places, table = _measured(heat, found[:count])
    kept = np.ones(count, np.bool_)
    _join(heat, places, table, valley, kept)
    if not kept.all():
        places, table = _measured(heat, places[kept])
    y, x, variance, area = table
    width = np.sqrt(variance).astype(np.float32)
    return Peaks(y, x, heat.reshape(-1)[places], area.astype(np.float32), width)


def _measured(heat: HeatMap, places: Pixels) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """The places as they are, and (4, n) y, x, variance, area."""
    sums, table = np.zeros((len(places), 4)), np.empty((4, len(places)))
    _grow(heat, places, np.full(heat.size, -1, np.int32), np.empty(heat.size, np.int32), sums)
    _measure(heat, places, sums, table)
    return places, table


def disk(radius: float) -> npt.NDArray[np.int64]:
    """(n, 2) steps (dy, dx) to the other pixels within ``radius`` px, the nearest first."""
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    square = y * y + x * x
    inside = (square > 0) & (square <= radius * radius)
    order = np.argsort(square[inside], kind="stable")
    return np.ascontiguousarray(np.stack([y[inside][order], x[inside][order]], axis=1), np.int64)


@njit("i8(f4[:,::1], f8, i8[:,::1], i4[::1])", nogil=True, cache=True)
def _peaks(heat: HeatMap, threshold: float, steps: npt.NDArray[np.int64], found: Pixels) -> int:
    """Writes the flat places of peaks, top to bottom, and counts them."""
    h, w = heat.shape
    count = 0
    for y in range(h):
        row = heat[y]
        for x in range(w):
            value = row[x]
            if not value > threshold or value == np.inf:
                continue
            highest = True
            for i in range(steps.shape[0]):
                v, u = y + steps[i, 0], x + steps[i, 1]
                if v < 0 or v >= h or u < 0 or u >= w:
                    continue
                other = heat[v, u]
                if other == np.inf:
                    continue
                if other > value or (other == value and v * w + u < y * w + x):
                    highest = False
                    break
            if highest:
                found[count] = y * w + x
                count += 1
    return count


@njit("void(f4[:,::1], i4[::1], i4[::1], i4[::1], f8[:,::1])", nogil=True, cache=True)
def _grow(heat: HeatMap, places: Pixels, owner: Pixels, queue: Pixels, sums: npt.NDArray[np.float64]) -> None:
    """Adds to each peak's (pixels, excess, excess * dy, excess * dx), excess over its level."""
    h, w = heat.shape
    flat = heat.reshape(-1)
    for k in range(places.size):
        owner[places[k]] = k
        queue[k] = places[k]
    first, last = 0, places.size
    while first < last:
        place = queue[first]
        first += 1
        k = owner[place]
        y, x = place // w, place % w
        top = places[k]
        level = np.float32(LEVEL) * flat[top]
        excess = np.float64(flat[place] - level)
        sums[k, 0] += 1
        sums[k, 1] += excess
        sums[k, 2] += excess * (y - top // w)
        sums[k, 3] += excess * (x - top % w)
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if v < 0 or v >= h or u < 0 or u >= w:
                continue
            next_to = v * w + u
            if owner[next_to] < 0 and flat[next_to] > level and flat[next_to] <= flat[top]:
                owner[next_to] = k
                queue[last] = next_to
                last += 1


@njit("UniTuple(f8, 3)(f4[:,::1], i8, i8)", nogil=True, cache=True)
def _paraboloid(heat: HeatMap, y: int, x: int) -> tuple[float, float, float]:
    """Step (dy, dx) to the vertex of the least-squares paraboloid of 3 x 3 logarithms, and the variance of a
    round Gaussian like it; variance 0 where there is none."""
    h, w = heat.shape
    none = (0.0, 0.0, 0.0)
    if y < 1 or x < 1 or y > h - 2 or x > w - 2:
        return none
    gy = gx = syy = sxx = syx = 0.0
    for v in range(-1, 2):
        for u in range(-1, 2):
            value = heat[y + v, x + u]
            if not value > 0 or value == np.inf:
                return none
            a = math.log(value)
            gy += v * a / 6
            gx += u * a / 6
            syy += (3 * v * v - 2) * a / 3
            sxx += (3 * u * u - 2) * a / 3
            syx += v * u * a / 4
    turn = syy * sxx - syx * syx
    if not (syy < 0 and turn > 0):
        return none
    dy, dx = (syx * gx - sxx * gy) / turn, (syx * gy - syy * gx) / turn
    return (dy, dx, -2 / (syy + sxx)) if abs(dy) <= 1 and abs(dx) <= 1 else none


@njit("void(f4[:,::1], i4[::1], f8[:,::1], f8[:,::1])", nogil=True, cache=True)
def _measure(
    heat: HeatMap, places: Pixels, sums: npt.NDArray[np.float64], table: npt.NDArray[np.float64]
) -> None:
    """y, x, variance and area of each peak."""
    w = heat.shape[1]
    for k in range(places.size):
        y, x = places[k] // w, places[k] % w
        dy = dx = variance = 0.0
        if sums[k, 0] < NARROW:
            dy, dx, variance = _paraboloid(heat, y, x)
        if variance == 0:
            dy, dx = sums[k, 2] / sums[k, 1], sums[k, 3] / sums[k, 1]
            variance = max(sums[k, 1] / (heat[y, x] * VOLUME_OF_LEVEL) - PIXEL, 0.0)
        table[0, k], table[1, k], table[2, k], table[3, k] = y + dy, x + dx, variance, sums[k, 0]


@njit("b1(f4[:,::1], i8, i8, i8, i8, f8)", nogil=True, cache=True)
def _parted(heat: HeatMap, y: int, x: int, v: int, u: int, level: float) -> bool:
    """Whether a pixel on the line from (y, x) to (v, u) is not above the level."""
    steps = max(abs(v - y), abs(u - x))
    for step in range(1, steps):
        dy = (2 * (v - y) * step + steps) // (2 * steps)
        dx = (2 * (u - x) * step + steps) // (2 * steps)
        if not heat[y + dy, x + dx] > level:
            return True
    return False


@njit("void(f4[:,::1], i4[::1], f8[:,::1], f8, b1[::1])", nogil=True, cache=True)
def _join(
    heat: HeatMap, places: Pixels, table: npt.NDArray[np.float64], valley: float, kept: npt.NDArray[np.bool_]
) -> None:
    """Unmarks peaks that are part of a higher one. Those of a row follow each other, and rows, too."""
    w = heat.shape[1]
    flat = heat.reshape(-1)
    for i in range(places.size):
        y, x, square = places[i] // w, places[i] % w, REACH * REACH * table[2, i]
        for way in (-1, 1):
            j = i + way
            while 0 <= j < places.size:
                dy, dx = places[j] // w - y, places[j] % w - x
                if dy * dy > square:
                    break
                lower = flat[places[j]] < flat[places[i]] or (flat[places[j]] == flat[places[i]] and j > i)
                if lower and kept[j] and dy * dy + dx * dx <= square:
                    kept[j] = _parted(heat, y, x, y + dy, x + dx, valley * flat[places[j]])
                j += way
