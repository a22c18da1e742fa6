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

BAND = 32
"""Rows whose pairs are made before those of others: they stay in the cache."""
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
        plane = np.ascontiguousarray(np.pad(frame, reach, mode="symmetric"))
        guide = np.ascontiguousarray(np.pad(pilot, reach + 1, mode="symmetric"))
        sums = np.zeros((2, *plane.shape), np.float32)
        _add_alike(plane, guide, reach, np.float32(1 / (9 * self.furthest)), sums)
        values, weights = sums[:, reach : reach + ny, reach : reach + nx]
        return Estimate(values / weights, np.float32(FOLLOWS) / weights)


@njit("void(f4[::1], f4[::1], f4[::1])", nogil=True, cache=True)
def _squares(here: Plane, there: Plane, out: Plane) -> None:
    """Squared differences, summed over three neighbours: one fewer at either end."""
    for x in range(out.size):
        a, b, c = here[x] - there[x], here[x + 1] - there[x + 1], here[x + 2] - there[x + 2]
        out[x] = (a * a + b * b) + c * c


@njit("void(f4[::1], f4[::1], f4[::1], f4[::1])", nogil=True, cache=True)
def _add_row(shares: Plane, there: Plane, values: Plane, weights: Plane) -> None:
    for x in range(shares.size):
        values[x] += shares[x] * there[x]
        weights[x] += shares[x]


@njit("void(f4[:,::1], f4, f4[::1])", nogil=True, cache=True)
def _weigh(squares: Plane, scale: float, shares: Plane) -> None:
    """Biweights of three rows' squared differences."""
    for x in range(shares.size):
        left = np.float32(1) - scale * ((squares[0, x] + squares[1, x]) + squares[2, x])
        left = max(np.float32(0), left)
        shares[x] = left * left


@njit(
    "void(f4[:,::1], f4[:,::1], i8, i8, i8, i8, f4, f4[:,::1], f4[::1], f4[:,:,::1])", nogil=True, cache=True
)
def _add_pairs(
    plane: Plane,
    guide: Plane,
    dy: int,
    dx: int,
    first: int,
    last: int,
    scale: float,
    squares: Plane,
    shares: Plane,
    sums: npt.NDArray[np.float32],
) -> None:
    """Adds the pairs of the rows ``first`` to ``last`` - 1 with those (dy, dx) away, to both of them."""
    left, right = max(0, -dx), min(plane.shape[1], plane.shape[1] - dx)
    shares = shares[: right - left]
    for y in range(first, last + 2):
        here, there = guide[y, left : right + 2], guide[y + dy, left + dx : right + dx + 2]
        _squares(here, there, squares[y % 3, : right - left])
        top = y - 2
        if top < first:
            continue
        _weigh(squares, scale, shares)
        here, there = plane[top, left:right], plane[top + dy, left + dx : right + dx]
        _add_row(shares, there, sums[0, top, left:right], sums[1, top, left:right])
        below = top + dy
        _add_row(shares, here, sums[0, below, left + dx : right + dx], sums[1, below, left + dx : right + dx])


@njit("void(f4[:,::1], f4[:,::1], i8, f4, f4[:,:,::1])", nogil=True, cache=True)
def _add_alike(plane: Plane, guide: Plane, reach: int, scale: float, sums: npt.NDArray[np.float32]) -> None:
    """Adds values and weights of all pairs; each is met once and serves both its pixels."""
    height, width = plane.shape
    sums[0] += plane
    sums[1] += np.float32(1)
    squares, shares = np.empty((3, width), np.float32), np.empty(width, np.float32)
    for first in range(0, height, BAND):
        for dy in range(reach + 1):
            last = min(first + BAND, height - dy)
            across = int(math.sqrt((reach + 0.5) ** 2 - dy * dy))
            for dx in range(-across if dy else 1, across + 1):
                _add_pairs(plane, guide, dy, dx, first, last, scale, squares, shares, sums)
