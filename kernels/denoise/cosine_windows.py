"""Overlapping windows in cosines: what stands out of noise of variance 1 is kept.

A hard threshold finds a pilot; empirical Wiener factors of that pilot are the second stage (Ghael, Sayeed &
Baraniuk, Proc. SPIE 3169 (1997) 389). A window counts by the inverse of its variance, tapered with a Kaiser
window, as in Dabov et al., IEEE Trans. Image Process. 16 (2007) 2080.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .overlap import Part, Plane
from .windows import NOTHING, Stack, add_windows, mirrored, places

TAPER = 2.0
"""Beta of the Kaiser window."""
THRESHOLD = 2.7
"""Standard deviations."""
FOLLOWS = 1.2
"""Divergence of the second stage in that with given factors: they follow the noise themselves. Fitted on
pictures whose truth is known."""
FOLLOWS_AGAIN = 1.4
"""The same where the pilot comes out of the second stage."""
NOISE = np.ones(1, np.float32)


@dataclass(frozen=True, slots=True)
class CosineWindows:
    """Square windows on a grid.

    Parameters
    ----------
    side : px, 8, 16 or 32.
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
        return self._filtered(frame, NOTHING, threshold)

    def shrunk(self, frame: Plane, pilot: Plane, follows: float = FOLLOWS) -> Part:
        """Coefficients times p^2 / (p^2 + 1), p those of the ``pilot``, which is like ``frame``.

        ``follows`` multiplies the divergence that there would be with given factors.
        """
        part = self._filtered(frame, mirrored(pilot[None], self.side, self.step), 0.0)
        return Part(part.values, part.weights, np.float32(follows) * part.freedom)

    def _filtered(self, frame: Plane, pilot: Stack, threshold: float) -> Part:
        side, step = self.side, self.step
        layers = mirrored(frame[None], side, step)
        sums = np.zeros((3, *layers.shape[1:]), np.float32)
        across = (places(frame.shape[1], side, step) - side) // step + 1
        add_windows(layers, pilot, NOISE, threshold, 0.0, True, _taper(side), step, across, 0, sums)
        return Part.inside(sums, side - step, frame.shape)


@cache
def _taper(side: int) -> npt.NDArray[np.float32]:
    return np.kaiser(side, TAPER).astype(np.float32)
