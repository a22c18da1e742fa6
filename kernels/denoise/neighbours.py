"""Means over pixels around that look alike, where a pilot is asked what looks alike.

Non-local means (Buades, Coll & Morel, Multiscale Model. Simul. 4 (2005) 490) whose patches are compared in a
denoised pilot, so that 3 x 3 pixels are enough and edges stay sharp. The weight is Tukey's biweight of the
patches' distance: it ends, and needs no exponential.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .overlap import Estimate, Plane

FOLLOWS = 1.2
"""Divergence in that of weights taken as given: they follow the noise of the pilot. Fitted on pictures whose
truth is known."""


@dataclass(frozen=True, slots=True)
class AlikeNeighbours:
    """Pixels at most ``reach`` rows and columns away."""

    reach: int = 10
    furthest: float = 0.4
    """Mean squared difference of two patches, in variances of the noise, from which the weight is 0."""

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


@njit("void(f4[:,::1], f4[:,::1], i8, f4, f4[:,:,::1])", nogil=True, cache=True)
def _add_alike(plane: Plane, guide: Plane, reach: int, scale: float, sums: npt.NDArray[np.float32]) -> None:
    """Adds values and weights of all pairs; each is met once and serves both its pixels."""
    height, width = plane.shape
    values, weights = sums[0], sums[1]
    values += plane
    weights += np.float32(1)
    rows = np.empty((3, width), np.float32)
    alike = np.empty(width, np.float32)
    for dy in range(reach + 1):
        for dx in range(-reach if dy else 1, reach + 1):
            left, right = max(0, -dx), min(width, width - dx)
            n = right - left
            for y in range(height + 2 - dy):
                _squares(
                    guide[y, left : right + 2], guide[y + dy, left + dx : right + dx + 2], rows[y % 3, :n]
                )
                if y < 2:
                    continue
                top = y - 2
                for x in range(n):
                    share = max(
                        np.float32(0), np.float32(1) - scale * ((rows[0, x] + rows[1, x]) + rows[2, x])
                    )
                    alike[x] = share * share
                here, there = plane[top, left:right], plane[top + dy, left + dx : right + dx]
                to_here, of_here = values[top, left:right], weights[top, left:right]
                for x in range(n):
                    to_here[x] += alike[x] * there[x]
                    of_here[x] += alike[x]
                to_there, of_there = (
                    values[top + dy, left + dx : right + dx],
                    weights[top + dy, left + dx : right + dx],
                )
                for x in range(n):
                    to_there[x] += alike[x] * here[x]
                    of_there[x] += alike[x]
