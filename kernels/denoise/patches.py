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
class Shrunk:
    """What patches say of an image, per pixel."""

    values: Image
    variance: Image
    """Of the noise left: an upper bound, as patches share pixels."""


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches of one size."""

    side: int
    """8, 16 or 32."""
    step: int
    """Divides the side."""

    def cut(self, layers: Stack, noise: Image, workers: Workers = ALONE) -> Shrunk:
        """What is left when cosines below `THRESHOLD` times the noise are dropped.

        Parameters
        ----------
        layers : (n, h, w) float32, whose sum is the image; the last holds its mean and keeps every patch's.
        noise : (n,) float32, standard deviation in each.
        """
        return self._shrink(layers, NOTHING, noise, workers)

    def weigh(self, layers: Stack, pilot: Stack, noise: Image, workers: Workers = ALONE) -> Shrunk:
        """What Wiener weights p^2 / (p^2 + noise^2) leave, p the cosines of ``pilot``.

        Parameters
        ----------
        layers, noise : as for `cut`.
        pilot : like ``layers``, what they are believed to be without noise.
        """
        return self._shrink(layers, pilot, noise, workers)

    def _shrink(self, layers: Stack, pilot: Stack, noise: Image, workers: Workers) -> Shrunk:
        side, step, shape = self.side, self.step, layers.shape[1:]
        wide, guide = mirrored(layers, side, step, workers), pilot
        if pilot.size:
            guide = mirrored(pilot, side, step, workers)
        across = (places(shape[1], side, step) - side) // step + 1

        def shrink(band: slice) -> Stack:
            fields = np.zeros((3, band.stop - band.start, wide.shape[2]), np.float32)
            first = band.start
            add_windows(
                wide, guide, noise, THRESHOLD, FLOOR, False, _window(side), step, across, first, fields
            )
            return fields

        bands = self._bands(wide.shape[1])
        parts = workers.map(shrink, bands)
        found = Shrunk(np.empty(shape, np.float32), np.empty(shape, np.float32))
        workers.map(lambda k: _join(bands, parts, k, side - step, found), range(len(bands)))
        return found

    def _bands(self, places: int) -> list[slice]:
        """Places whose patches are shrunk together; as many for any number of threads, so that sums agree."""
        tops = range(0, places - self.side + 1, self.step)
        each = -(-len(tops) // BANDS)
        parts = [tops[i : i + each] for i in range(0, len(tops), each)]
        return [slice(part[0], part[-1] + self.side) for part in parts]


def _join(bands: list[slice], parts: list[Stack], k: int, margin: int, found: Shrunk) -> None:
    """Means of the rows from where a band begins to where the next one does; those before reach into them."""
    first = bands[k].start
    stop = bands[k + 1].start if k + 1 < len(bands) else bands[k].stop
    own = parts[k][:, : stop - first]
    for band, part in zip(bands[:k], parts, strict=False):
        if band.stop > first:
            rest = part[:, first - band.start : stop - band.start]
            own[:, : rest.shape[1]] += rest
    height, width = found.values.shape
    above, below = max(first, margin), min(stop, margin + height)
    if above >= below:
        return  # rows around the image alone
    rows = slice(above - margin, below - margin)
    sums = own[:, above - first : below - first, margin : margin + width]
    np.divide(sums[0], sums[1], out=found.values[rows])
    np.divide(sums[2], sums[1], out=found.variance[rows])


@lru_cache(maxsize=4)
def _window(side: int) -> Image:
    """(side,) weight of a patch's pixels along an axis: its border knows less."""
    return np.kaiser(side, 2.0).astype(np.float32)
