"""Overlapping windows in waves: lattices stand out of noise of variance 1 as few and strong ones.

A window as large as several unit cells finds what no small one can: the mean of all cells. Hard threshold,
sine windows on the way there and back, averaged like those of `cosine_windows`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import fft

from .overlap import Part, Plane, padded

THRESHOLD = 2.8
"""In the root of the noise's mean power: of its waves 1 in 2,500 passes."""
FOLLOWS = 2.0
"""Divergence in that of waves taken as chosen: which of them pass follows the noise. Fitted on pictures whose
truth is known."""
Windows = npt.NDArray[np.float32]
Waves = npt.NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class FourierWindows:
    """Square windows on a grid.

    Parameters
    ----------
    side : px, even.
    step : px from window to window, a divisor of the side, at most half of it.
    """

    side: int
    step: int

    def kept(self, frame: Plane, threshold: float = THRESHOLD) -> Part:
        """Waves above the threshold, and each window's mean.

        Parameters
        ----------
        frame : (ny, nx) float32, C-contiguous, finite, with noise of variance 1.
        """
        side, step, taper = self.side, self.step, _taper(self.side)
        mean = np.float32(frame.mean())
        plane = padded(frame - mean, side, step)
        bound = np.float32(threshold * np.sqrt((taper * taper).sum()))
        sums = np.zeros((3, *plane.shape), np.float32)
        places = np.lib.stride_tricks.sliding_window_view(plane, (side, side))[::step, ::step]
        counts = np.empty(places.shape[1], np.float32)
        for k, row in enumerate(places):  # all rows at once: page faults of the memory take as long
            waves = fft.rfft2(row * taper, workers=1)
            _threshold(waves, bound, counts)
            windows = fft.irfft2(waves, s=(side, side), workers=1)
            _overlap(windows, counts, taper, step, sums[:, k * step : k * step + side])
        sums[0] += mean * sums[1]
        sums[2] *= np.float32(FOLLOWS)
        return Part.inside(sums, side - step, frame.shape)


@cache
def _taper(side: int) -> Plane:
    arch = np.sin(np.pi * (np.arange(side) + 0.5) / side)
    return np.outer(arch, arch).astype(np.float32)


@njit("void(c8[:,:,::1], f4, f4[::1])", nogil=True, cache=True)
def _threshold(waves: Waves, threshold: float, counts: Plane) -> None:
    """Waves of half spectra (n, side, side / 2 + 1) below become 0; how many of the whole spectra stay."""
    power, last = threshold * threshold, waves.shape[2] - 1
    for i in range(len(waves)):
        mean, count = waves[i, 0, 0], np.int64(1)
        waves[i, 0, 0] = 0
        for row in waves[i]:
            for k in range(row.size):
                if row[k].real * row[k].real + row[k].imag * row[k].imag > power:
                    count += 2 if 0 < k < last else 1
                else:
                    row[k] = 0
        waves[i, 0, 0] = mean
        counts[i] = count


@njit("void(f4[:,:,::1], f4[::1], f4[:,::1], i8, f4[:,:,:])", nogil=True, cache=True)
def _overlap(windows: Windows, counts: Plane, taper: Plane, step: int, sums: Windows) -> None:
    """Adds a row of windows to ``sums`` (3, side, w)."""
    for i in range(len(windows)):
        weight, freedom = np.float32(1) / (np.float32(1) + counts[i]), counts[i] / np.float32(taper.size)
        for y in range(taper.shape[0]):
            row, arch = windows[i, y], taper[y]
            values, weights, freedoms = sums[0, y], sums[1, y], sums[2, y]
            for x in range(row.size):
                own = weight * arch[x]
                square = own * arch[x]
                values[step * i + x] += own * row[x]
                weights[step * i + x] += square
                freedoms[step * i + x] += square * freedom
