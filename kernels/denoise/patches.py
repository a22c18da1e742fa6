"""Overlapping patches in cosines: noise taken out of a stack of images that add up to one.

Every patch of a side of 8 or 16 pixels, a quarter of its side apart, is transformed (DCT-II, orthonormal) in
each layer of the stack, its terms are cut or weighed by the layer's own noise, the layers are added up, and
one inverse gives the patch (Yu & Sapiro, IPOL 1 (2011) 109, for one image; empirical Wiener weights as in
Ghael, Sayeed & Baraniuk, Proc. SPIE 3169 (1997) 389). Patches count by the inverse of the noise left in them
(Guleryuz, IEEE Trans. Image Process. 16 (2007) 3020). Knows no time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .windows import NOTHING, add_windows, mirrored, places
from .workers import ALONE, Workers

Image = npt.NDArray[np.float32]
Stack = npt.NDArray[np.float32]
"""(n, h, w)"""

BANDS = 4
THRESHOLD = 2.7
"""Standard deviations that a cosine must exceed to stay; 3.2 lost 0.1 to 0.3 dB."""
FLOOR = 0.01
"""Noise variance of a patch, in whole cosines of variance 1, below which patches count alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What patches of all sizes add up to, per pixel."""

    values: Image
    variances: Image
    weights: Image

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Sums:
        return cls(*(np.zeros(shape, np.float32) for _ in range(3)))

    def means(self) -> tuple[Image, Image]:
        """Estimate, and the variance of the noise left in it (an upper bound: patches share pixels)."""
        return self.values / self.weights, self.variances / self.weights


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches of one size."""

    side: int
    """8, 16 or 32."""
    step: int
    """Divides the side."""

    def cut(self, layers: Stack, noise: Image, sums: Sums, workers: Workers = ALONE) -> None:
        """Add to ``sums`` what is left when cosines below `THRESHOLD` times the noise are dropped.

        Parameters
        ----------
        layers : (n, h, w) float32, whose sum is the image; the last holds its mean and keeps every patch's.
        noise : (n,) float32, standard deviation in each.
        """
        self._shrink(layers, NOTHING, noise, sums, workers)

    def weigh(self, layers: Stack, pilot: Stack, noise: Image, sums: Sums, workers: Workers = ALONE) -> None:
        """Add to ``sums`` what Wiener weights p^2 / (p^2 + noise^2) leave, p the cosines of ``pilot``.

        Parameters
        ----------
        layers, noise : as for `cut`.
        pilot : like ``layers``, what they are believed to be without noise.
        """
        self._shrink(layers, pilot, noise, sums, workers)

    def _shrink(self, layers: Stack, pilot: Stack, noise: Image, sums: Sums, workers: Workers) -> None:
        side, step, (height, width) = self.side, self.step, layers.shape[1:]
        wide, guide = mirrored(layers, side, step), pilot
        if pilot.size:
            guide = mirrored(pilot, side, step)
        across = (places(width, side, step) - side) // step + 1

        def shrink(band: slice) -> Stack:
            fields = np.zeros((3, band.stop - band.start, wide.shape[2]), np.float32)
            first = band.start
            add_windows(
                wide, guide, noise, THRESHOLD, FLOOR, False, _window(side), step, across, first, fields
            )
            return fields

        bands = self._bands(wide.shape[1])
        fields = np.zeros((3, *wide.shape[1:]), np.float32)
        for band, part in zip(bands, workers.map(shrink, bands), strict=True):
            fields[:, band] += part
        margin = side - step
        inside = fields[:, margin : margin + height, margin : margin + width]
        for total, field in zip((sums.values, sums.weights, sums.variances), inside, strict=True):
            total += field

    def _bands(self, places: int) -> list[slice]:
        """Places whose patches are shrunk together; as many for any number of threads, so that sums agree."""
        tops = range(0, places - self.side + 1, self.step)
        each = -(-len(tops) // BANDS)
        parts = [tops[i : i + each] for i in range(0, len(tops), each)]
        return [slice(part[0], part[-1] + self.side) for part in parts]


@lru_cache(maxsize=4)
def _window(side: int) -> Image:
    """(side,) weight of a patch's pixels along an axis: its border knows less."""
    return np.kaiser(side, 2.0).astype(np.float32)
