"""Means over pixels around that look alike, where a pilot is asked what looks alike.

Non-local means (Buades, Coll & Morel, Multiscale Model. Simul. 4 (2005) 490) whose patches are compared in a
denoised pilot, so that 3 x 3 pixels are enough and edges stay sharp. The weight is Tukey's biweight of the
patches' distance: it ends, and needs no exponential.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .overlap import Estimate, Plane
from .pairs import DEEP, LANES, add_deep_pairs, add_pairs

TILE = 32
"""px a side, whose pairs are made before those of others: they stay in the cache."""
FURTHEST, SLOPE, MOST = 0.24, 7.0, 0.44
"""Of patches that are alike, by the noise that is left in the pilot: the more, the farther are those apart
that show the same. Fitted like `FOLLOWS`."""
FOLLOWS = 1.2
"""Divergence in that of weights taken as given: they follow the noise of the pilot. Fitted on pictures whose
truth is known."""


@dataclass(frozen=True, slots=True)
class AlikeNeighbours:
    """Pixels of a disk around each."""

    reach: int = 10
    """px, radius of the disk; half a pixel more still counts."""
    furthest: float = 0.37
    """Mean squared difference of two patches, in variances of the noise, from which the weight is 0."""

    @classmethod
    def by(cls, freedom: float) -> AlikeNeighbours:
        """For a pilot of so many degrees of freedom a pixel."""
        return cls(furthest=min(FURTHEST + SLOPE * freedom, MOST))

    def mean(self, frame: Plane, pilot: Plane) -> Estimate:
        """Weighted means of the frame.

        Parameters
        ----------
        frame : (ny, nx) float32, C-contiguous, finite, with noise of variance 1.
        pilot : like ``frame``, with little noise.
        """
        reach, (ny, nx) = self.reach, frame.shape
        inside = reach + 1
        margins = ((inside, inside), (inside, inside + reach + LANES))
        planes = np.empty((4, ny + 2 * inside, nx + 2 * inside + reach + LANES), np.float32)
        planes[0] = planes[2] = np.pad(frame, margins, mode="symmetric")
        planes[1] = np.pad(pilot, margins, mode="symmetric")
        planes[3] = 1
        _add_alike(planes, reach, ny, nx, np.float32(1 / (9 * self.furthest)))
        values, weights = planes[2:, inside : inside + ny, inside : inside + nx]
        return Estimate(values / weights, np.float32(FOLLOWS) / weights)


@njit("void(f4[:,:,::1], i8, i8, i8, f4)", nogil=True, cache=True)
def _add_alike(planes: npt.NDArray[np.float32], reach: int, ny: int, nx: int, scale: float) -> None:
    """Adds values and weights of all pairs; each is met once and serves both its pixels.

    Planes as those of `add_pairs`, with so much around the frame that steps may go beyond: sums there are
    nobody's.
    """
    inside, pitch = reach + 1, planes.shape[2]
    bottom, right = inside + ny, inside + nx
    for top in range(inside - reach, bottom, TILE):
        last = min(top + TILE, bottom)
        for left in range(inside - reach, right + reach, TILE):
            for dx in range(-reach, reach + 1):
                down = int(math.sqrt((reach + 0.5) ** 2 - dx * dx))
                dy = 0 if dx > 0 else 1
                while dy <= down:
                    deep = DEEP if dy > 0 and dy + DEEP <= down + 1 else 1
                    first = max(top, inside - dy - deep + 1)
                    for x in range(left, min(left + TILE, right + reach), LANES):
                        if first >= last or x + LANES <= inside - max(dx, 0) or x >= right - min(dx, 0):
                            continue
                        start, away = first * pitch + x, dy * pitch + dx
                        if deep > 1:
                            add_deep_pairs(planes, start, away, last - first, scale)
                        else:
                            add_pairs(planes, start, away, last - first, scale)
                    dy += deep
