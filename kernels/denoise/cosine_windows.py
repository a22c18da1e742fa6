"""Overlapping windows in cosines: what stands out of noise of variance 1 is kept.

A hard threshold finds a pilot; empirical Wiener factors of that pilot are the second stage (Ghael, Sayeed &
Baraniuk, Proc. SPIE 3169 (1997) 389). A window counts by the inverse of its variance, tapered with a Kaiser
window, as in Dabov et al., IEEE Trans. Image Process. 16 (2007) 2080.

Windows of one strip share the transforms of their columns, there and back: a window costs two transforms
along x, whose lanes are the strip's vertical frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from .overlap import Part, Plane, padded

TAPER = 2.0
"""Beta of the Kaiser window."""
THRESHOLD = 2.7
"""Standard deviations."""
FOLLOWS = 1.1
"""Divergence of the second stage in that of its factors taken as given: they follow the noise themselves.
Fitted on pictures whose truth is known."""
MEAN = np.float32(1e18)
"""Stands for the window's mean where coefficients are judged: it always stays."""
NO_PILOT = np.zeros((0, 0), np.float32)
Halves = npt.NDArray[np.float32]
"""(2, n / 2, lanes): even and odd frequencies, or sums and differences of opposite values."""


@dataclass(frozen=True, slots=True)
class CosineWindows:
    """Square windows on a grid.

    Parameters
    ----------
    side : px, a multiple of 8.
    step : px from window to window, a divisor of the side.
    """

    side: int
    step: int

    def kept(self, frame: Plane, threshold: float = THRESHOLD) -> Part:
        """Coefficients above the threshold, and each window's mean.

        Parameters
        ----------
        frame : (ny, nx) float32, C-contiguous, finite, with noise of variance 1.
        """
        return self._filtered(frame, NO_PILOT, threshold)

    def shrunk(self, frame: Plane, pilot: Plane) -> Part:
        """Coefficients times p^2 / (p^2 + 1), p those of the ``pilot``, which is like ``frame``."""
        part = self._filtered(frame, pilot, 0.0)
        return Part(part.values, part.weights, np.float32(FOLLOWS) * part.freedom)

    def _filtered(self, frame: Plane, pilot: Plane, threshold: float) -> Part:
        side, step = self.side, self.step
        plane = padded(frame, side, step)
        guide = padded(pilot, side, step) if pilot.size else pilot
        sums = np.zeros((3, *plane.shape), np.float32)
        _filter(plane, guide, _bases(side), _taper(side), step, threshold, sums)
        return Part.inside(sums, side - step, frame.shape)


@cache
def _bases(side: int) -> Halves:
    """(4, n / 2, n / 2) orthonormal DCT-II: even and odd frequencies of folded values; both transposed."""
    k, places = np.arange(side)[:, None], np.arange(side // 2)
    waves = np.cos(np.pi / (2 * side) * k * (2 * places + 1)) * np.where(k > 0, 2 / side, 1 / side) ** 0.5
    return np.stack([waves[::2], waves[1::2], waves[::2].T, waves[1::2].T]).astype(np.float32)


@cache
def _taper(side: int) -> npt.NDArray[np.float32]:
    return np.kaiser(side, TAPER).astype(np.float32)


@njit("void(f4[:,::1], f4[:,::1], f4[:,::1])", nogil=True, cache=True)
def _product(matrix: Plane, values: Plane, out: Plane) -> None:
    """(n, n) times (n, lanes), n a multiple of 4."""
    for v in range(matrix.shape[0]):
        row, factors = out[v], matrix[v]
        for k in range(0, factors.size, 4):
            a, b, c, d = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
            at, bt, ct, dt = values[k], values[k + 1], values[k + 2], values[k + 3]
            if k == 0:
                for u in range(row.size):
                    row[u] = (a * at[u] + b * bt[u]) + (c * ct[u] + d * dt[u])
            else:
                for u in range(row.size):
                    row[u] += (a * at[u] + b * bt[u]) + (c * ct[u] + d * dt[u])


@njit("void(f4[:,::1], f4[:,:,::1], f4[:,:,::1], f4[:,:,::1])", nogil=True, cache=True)
def _forward(values: Plane, bases: Halves, folded: Halves, cosines: Halves) -> None:
    """Cosines along the first axis of (n, lanes)."""
    last = values.shape[0] - 1
    for k in range(folded.shape[1]):
        near, far, total, difference = values[k], values[last - k], folded[0, k], folded[1, k]
        for u in range(near.size):
            total[u] = near[u] + far[u]
            difference[u] = near[u] - far[u]
    _product(bases[0], folded[0], cosines[0])
    _product(bases[1], folded[1], cosines[1])


@njit("void(f4[:,:,::1], f4[:,:,::1], f4[:,:,::1], f4[::1], f4[:,::1])", nogil=True, cache=True)
def _add_back(cosines: Halves, bases: Halves, folded: Halves, factors: Plane, out: Plane) -> None:
    """Adds the values (n, lanes), each row times its factor."""
    _product(bases[2], cosines[0], folded[0])
    _product(bases[3], cosines[1], folded[1])
    last = factors.size - 1
    for k in range(folded.shape[1]):
        even, odd, near, far, factor = folded[0, k], folded[1, k], out[k], out[last - k], factors[k]
        for u in range(even.size):
            near[u] += factor * (even[u] + odd[u])
            far[u] += factor * (even[u] - odd[u])


@njit("void(f4[:,:,::1], f4, f4[:,::1])", nogil=True, cache=True)
def _threshold(cosines: Halves, threshold: float, lanes: Plane) -> None:
    """What is below becomes 0. Lanes: how many stay, twice."""
    mean = cosines[0, 0, 0]
    cosines[0, 0, 0] = MEAN
    for half in range(2):
        for v in range(cosines.shape[1]):
            row, count = cosines[half, v], lanes[0]
            for u in range(row.size):
                is_kept = abs(row[u]) > threshold
                row[u] = row[u] if is_kept else np.float32(0)
                count[u] += np.float32(1) if is_kept else np.float32(0)
    cosines[0, 0, 0] = mean
    lanes[1] = lanes[0]


@njit("void(f4[:,:,::1], f4[:,:,::1], f4[:,::1])", nogil=True, cache=True)
def _shrink(cosines: Halves, pilot: Halves, lanes: Plane) -> None:
    """Times the Wiener factors. Lanes: sums of the factors' squares, and of the factors."""
    pilot[0, 0, 0] = MEAN
    for half in range(2):
        for v in range(cosines.shape[1]):
            row, guide, squares, factors = cosines[half, v], pilot[half, v], lanes[0], lanes[1]
            for u in range(row.size):
                power = guide[u] * guide[u]
                factor = power / (power + np.float32(1))
                row[u] *= factor
                squares[u] += factor * factor
                factors[u] += factor


@njit("void(f4[:,::1], i8, f4[:,:,::1], f4[:,:,::1], f4[:,:,::1], f4[:,::1])", nogil=True, cache=True)
def _strip(plane: Plane, top: int, bases: Halves, folded: Halves, cosines: Halves, out: Plane) -> None:
    """Vertical cosines (columns, n) of the n rows from ``top`` on; frequencies in the order of `Halves`."""
    half = bases.shape[1]
    _forward(plane[top : top + 2 * half], bases, folded, cosines)
    for x in range(plane.shape[1]):
        for k in range(half):
            out[x, k] = cosines[0, k, x]
            out[x, half + k] = cosines[1, k, x]


@njit(
    "void(f4[:,::1], f4[:,::1], f4[:,:,::1], f4[::1], i8, f4, f4[:,:,::1])",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def _filter(
    plane: Plane, pilot: Plane, bases: Halves, taper: Plane, step: int, threshold: float, sums: Halves
) -> None:
    """Adds all windows' values, weights and freedoms to ``sums`` (3, h, w); no pilot: the threshold."""
    (height, width), half = plane.shape, bases.shape[1]
    side = 2 * half
    folded = np.empty((2, half, width), np.float32)
    strip_cosines = np.empty((2, half, width), np.float32)
    small = np.empty((2, half, side), np.float32)
    cosines = np.empty((2, half, side), np.float32)
    guide = np.empty((2, half, side), np.float32)
    columns = np.empty((width, side), np.float32)
    pilot_columns = np.empty((width, side), np.float32)
    added = np.empty((width, side), np.float32)
    along = np.empty((2, width), np.float32)
    lanes = np.empty((2, side), np.float32)
    has_pilot, values = pilot.size > 0, sums[0]
    for top in range(0, height - side + 1, step):
        _strip(plane, top, bases, folded, strip_cosines, columns)
        if has_pilot:
            _strip(pilot, top, bases, folded, strip_cosines, pilot_columns)
        added[:] = 0
        along[:] = 0
        for left in range(0, width - side + 1, step):
            _forward(columns[left : left + side], bases, small, cosines)
            lanes[:] = 0
            if has_pilot:
                _forward(pilot_columns[left : left + side], bases, small, guide)
                _shrink(cosines, guide, lanes)
            else:
                _threshold(cosines, threshold, lanes)
            weight = np.float32(1) / lanes[0].sum()
            freedom = lanes[1].sum() / np.float32(side * side)
            factors = taper * weight
            _add_back(cosines, bases, small, factors, added[left : left + side])
            for k in range(side):
                along[0, left + k] += factors[k]
                along[1, left + k] += factors[k] * freedom
        for x in range(width):
            for k in range(half):
                strip_cosines[0, k, x] = added[x, k]
                strip_cosines[1, k, x] = added[x, half + k]
        _add_back(strip_cosines, bases, folded, taper, values[top : top + side])
        for k in range(side):
            weights, freedoms, factor = sums[1, top + k], sums[2, top + k], taper[k]
            for x in range(width):
                weights[x] += factor * along[0, x]
                freedoms[x] += factor * along[1, x]
