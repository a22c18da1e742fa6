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
FOLLOWS = 1.2
"""Divergence of the second stage in that with given factors: they follow the noise themselves. Fitted on
pictures whose truth is known."""
FOLLOWS_AGAIN = 1.4
"""The same where the pilot comes out of the second stage."""
MEAN = np.float32(1e18)
"""Stands for the window's mean where coefficients are judged: it always stays."""
LANES = 128
"""Of windows that are transformed together."""
NO_PILOT = np.zeros((0, 0), np.float32)
Halves = npt.NDArray[np.float32]
"""(2, n / 2, lanes): even and odd frequencies, or sums and differences of opposite values."""


@dataclass(frozen=True, slots=True)
class CosineWindows:
    """Square windows on a grid.

    Parameters
    ----------
    side : px, 8, 16, 32, 64 or 128.
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

    def shrunk(self, frame: Plane, pilot: Plane, follows: float = FOLLOWS) -> Part:
        """Coefficients times p^2 / (p^2 + 1), p those of the ``pilot``, which is like ``frame``.

        ``follows`` multiplies the divergence that there would be with given factors.
        """
        part = self._filtered(frame, pilot, 0.0)
        return Part(part.values, part.weights, np.float32(follows) * part.freedom)

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


@njit("void(f4[:,::1], f4[:,::1], f4[:,::1])", nogil=True, cache=True, fastmath={"contract"})
def _product(matrix: Plane, values: Plane, out: Plane) -> None:
    """(n, n) times (n, lanes), n a multiple of 4. Two rows at a time: each value read serves both."""
    for v in range(0, matrix.shape[0], 2):
        row, next_row, m, n = out[v], out[v + 1], matrix[v], matrix[v + 1]
        for k in range(0, m.size, 4):
            m0, m1, m2, m3 = m[k], m[k + 1], m[k + 2], m[k + 3]
            n0, n1, n2, n3 = n[k], n[k + 1], n[k + 2], n[k + 3]
            at, bt, ct, dt = values[k], values[k + 1], values[k + 2], values[k + 3]
            if k == 0:
                for u in range(row.size):
                    a, b, c, d = at[u], bt[u], ct[u], dt[u]
                    row[u] = (m0 * a + m1 * b) + (m2 * c + m3 * d)
                    next_row[u] = (n0 * a + n1 * b) + (n2 * c + n3 * d)
            else:
                for u in range(row.size):
                    a, b, c, d = at[u], bt[u], ct[u], dt[u]
                    row[u] += (m0 * a + m1 * b) + (m2 * c + m3 * d)
                    next_row[u] += (n0 * a + n1 * b) + (n2 * c + n3 * d)


@njit("void(f4[:,::1], i8, i8, f4[:,:,::1], f4[:,:,::1], f4[:,:,::1])", nogil=True, cache=True)
def _forward(values: Plane, windows: int, step: int, bases: Halves, folded: Halves, cosines: Halves) -> None:
    """Cosines along the first axis of windows of (n, lanes), ``step`` rows apart, side by side."""
    lanes, last = values.shape[1], 2 * folded.shape[1] - 1
    for k in range(folded.shape[1]):
        for j in range(windows):
            near, far = values[step * j + k], values[step * j + last - k]
            total = folded[0, k, lanes * j : lanes * j + lanes]
            difference = folded[1, k, lanes * j : lanes * j + lanes]
            for u in range(lanes):
                total[u] = near[u] + far[u]
                difference[u] = near[u] - far[u]
    _product(bases[0], folded[0], cosines[0])
    _product(bases[1], folded[1], cosines[1])


@njit("void(f4[:,:,::1], i8, i8, f4[:,:,::1], f4[:,:,::1], f4[:,::1], f4[:,::1])", nogil=True, cache=True)
def _add_back(
    cosines: Halves, windows: int, step: int, bases: Halves, folded: Halves, factors: Plane, out: Plane
) -> None:
    """Adds the values of the windows to ``out``, each row times its factor (windows, n)."""
    _product(bases[2], cosines[0], folded[0])
    _product(bases[3], cosines[1], folded[1])
    lanes, last = out.shape[1], factors.shape[1] - 1
    for k in range(folded.shape[1]):
        for j in range(windows):
            even, odd = (
                folded[0, k, lanes * j : lanes * j + lanes],
                folded[1, k, lanes * j : lanes * j + lanes],
            )
            near, far = out[step * j + k], out[step * j + last - k]
            upper, lower = factors[j, k], factors[j, last - k]
            for u in range(lanes):
                near[u] += upper * (even[u] + odd[u])
                far[u] += lower * (even[u] - odd[u])


@njit("void(f4[:,:,::1], i8, f4, f4[:,::1])", nogil=True, cache=True)
def _threshold(cosines: Halves, side: int, threshold: float, lanes: Plane) -> None:
    """What is below becomes 0, but for each window's mean. Lanes: how many stay, twice."""
    lanes[0] = 0
    for half in range(2):
        for v in range(cosines.shape[1]):
            row, count = cosines[half, v], lanes[0]
            if half + v == 0:
                lanes[1] = row
                row[::side] = MEAN
            for u in range(row.size):
                is_kept = abs(row[u]) > threshold
                row[u] = row[u] if is_kept else np.float32(0)
                count[u] += np.float32(1) if is_kept else np.float32(0)
    cosines[0, 0, ::side] = lanes[1, ::side]
    lanes[1] = lanes[0]


@njit("void(f4[:,:,::1], f4[:,:,::1], i8, f4[:,::1])", nogil=True, cache=True)
def _shrink(cosines: Halves, pilot: Halves, side: int, lanes: Plane) -> None:
    """Times the Wiener factors. Lanes: sums of the factors' squares, and of the factors."""
    pilot[0, 0, ::side] = MEAN
    lanes[:] = 0
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
    _forward(plane[top : top + 2 * half], 1, 0, bases, folded, cosines)
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
    side, group = 2 * half, LANES // (2 * half)
    folded = np.empty((2, half, width), np.float32)
    strip_cosines = np.empty((2, half, width), np.float32)
    small = np.zeros((2, half, LANES), np.float32)
    cosines = np.zeros((2, half, LANES), np.float32)
    guide = np.zeros((2, half, LANES), np.float32)
    columns = np.empty((width, side), np.float32)
    pilot_columns = np.empty((width, side), np.float32)
    added = np.empty((width, side), np.float32)
    along = np.empty((2, width), np.float32)
    lanes = np.empty((2, LANES), np.float32)
    factors = np.empty((group, side), np.float32)
    down = taper.copy().reshape(1, side)
    has_pilot, values, across = pilot.size > 0, sums[0], (width - side) // step + 1
    for top in range(0, height - side + 1, step):
        _strip(plane, top, bases, folded, strip_cosines, columns)
        if has_pilot:
            _strip(pilot, top, bases, folded, strip_cosines, pilot_columns)
        added[:] = 0
        along[:] = 0
        for first in range(0, across, group):
            windows, left = min(group, across - first), first * step
            _forward(columns[left:], windows, step, bases, small, cosines)
            if has_pilot:
                _forward(pilot_columns[left:], windows, step, bases, small, guide)
                _shrink(cosines, guide, side, lanes)
            else:
                _threshold(cosines, side, threshold, lanes)
            for j in range(windows):
                weight = np.float32(1) / lanes[0, j * side : j * side + side].sum()
                freedom = lanes[1, j * side : j * side + side].sum() / np.float32(side * side)
                for k in range(side):
                    factors[j, k] = taper[k] * weight
                    along[0, left + j * step + k] += factors[j, k]
                    along[1, left + j * step + k] += factors[j, k] * freedom
            _add_back(cosines, windows, step, bases, small, factors, added[left:])
        for x in range(width):
            for k in range(half):
                strip_cosines[0, k, x] = added[x, k]
                strip_cosines[1, k, x] = added[x, half + k]
        _add_back(strip_cosines, 1, 0, bases, folded, down, values[top : top + side])
        for k in range(side):
            weights, freedoms, factor = sums[1, top + k], sums[2, top + k], taper[k]
            for x in range(width):
                weights[x] += factor * along[0, x]
                freedoms[x] += factor * along[1, x]
