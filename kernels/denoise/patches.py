"""Overlapping patches in cosines: noise taken out of a stack of images that add up to one.

Every patch of a side of 8 or 16 pixels, a quarter of its side apart, is transformed (DCT-II, orthonormal) in
each layer of the stack, its terms are cut or weighed by the layer's own noise, the layers are added up, and
one inverse gives the patch (Yu & Sapiro, IPOL 1 (2011) 109, for one image; empirical Wiener weights as in
Ghael, Sayeed & Baraniuk, Proc. SPIE 3169 (1997) 389). Patches count by the inverse of the noise left in them
(Guleryuz, IEEE Trans. Image Process. 16 (2007) 3020). Knows no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from .workers import ALONE, Workers

Image = npt.NDArray[np.float32]
Stack = npt.NDArray[np.float32]
"""(n, h, w)"""
Index = npt.NDArray[np.int32]

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
        self._shrink(layers, layers, noise, False, sums, workers)

    def weigh(self, layers: Stack, pilot: Stack, noise: Image, sums: Sums, workers: Workers = ALONE) -> None:
        """Add to ``sums`` what Wiener weights p^2 / (p^2 + noise^2) leave, p the cosines of ``pilot``.

        Parameters
        ----------
        layers, noise : as for `cut`.
        pilot : like ``layers``, what they are believed to be without noise.
        """
        self._shrink(layers, pilot, noise, True, sums, workers)

    def _shrink(
        self, layers: Stack, pilot: Stack, noise: Image, weigh: bool, sums: Sums, workers: Workers
    ) -> None:
        height, width = layers.shape[1:]
        margin = self.side - self.step
        rows, columns = (_mirrored(n, margin, self.step) for n in (height, width))
        even, odd = _cosines(self.side)
        window = _window(self.side)

        def shrink(band: slice) -> Stack:
            fields = np.zeros((3, band.stop - band.start, len(columns)), np.float32)
            _shrink(layers, pilot, noise, weigh, rows[band], columns, even, odd, window, self.step, fields)
            return fields

        bands = self._bands(len(rows))
        fields = np.zeros((3, len(rows), len(columns)), np.float32)
        for band, part in zip(bands, workers.map(shrink, bands), strict=True):
            fields[:, band] += part
        inside = fields[:, margin : margin + height, margin : margin + width]
        for total, field in zip((sums.values, sums.variances, sums.weights), inside, strict=True):
            total += field

    def _bands(self, places: int) -> list[slice]:
        """Places whose patches are shrunk together; as many for any number of threads, so that sums agree."""
        tops = range(0, places - self.side + 1, self.step)
        each = -(-len(tops) // BANDS)
        parts = [tops[i : i + each] for i in range(0, len(tops), each)]
        return [slice(part[0], part[-1] + self.side) for part in parts]


@lru_cache(maxsize=32)
def _mirrored(n: int, margin: int, step: int) -> Index:
    """Pixel of each place of an axis that goes on by its mirror images, as long as a multiple of the step."""
    places = np.arange(-margin, n + margin + (-n) % step)
    folded = np.abs((places + 0.5) % (2 * n) - n)
    return np.asarray((n - 0.5 - folded).round(), np.int32)


@lru_cache(maxsize=4)
def _cosines(side: int) -> tuple[Image, Image]:
    """(side / 2, side / 2) even and odd rows of the DCT-II; their other halves are mirror images."""
    k, i = np.arange(side)[:, None], np.arange(side // 2)
    waves = np.sqrt(2 / side) * np.cos(np.pi * k * (2 * i + 1) / (2 * side))
    waves[0] *= math.sqrt(0.5)
    return waves[::2].astype(np.float32), waves[1::2].astype(np.float32)


@lru_cache(maxsize=4)
def _window(side: int) -> Image:
    """(side,) weight of a patch's pixels along an axis: its border knows less."""
    return np.kaiser(side, 2.0).astype(np.float32)


@njit("void(f4[:, ::1], f4[::1], f4[::1])", nogil=True, cache=True)
def _dot(rows: Image, weights: Image, out: Image) -> None:
    """out = weights . rows; as many as a multiple of 4, four in one pass."""
    n = out.size
    for r in range(0, weights.size, 4):
        a, b, c, d = rows[r], rows[r + 1], rows[r + 2], rows[r + 3]
        wa, wb, wc, wd = weights[r], weights[r + 1], weights[r + 2], weights[r + 3]
        if r == 0:
            for i in range(n):
                out[i] = (wa * a[i] + wb * b[i]) + (wc * c[i] + wd * d[i])
        else:
            for i in range(n):
                out[i] += (wa * a[i] + wb * b[i]) + (wc * c[i] + wd * d[i])


@njit(
    "void(f4[:, ::1], i4[::1], i8, i4[::1], f4[:, ::1], f4[:, ::1], i8, f4[:, :, ::1])",
    nogil=True,
    cache=True,
)
def _transform(
    image: Image, rows: Index, top: int, columns: Index, even: Image, odd: Image, step: int, out: Stack
) -> None:
    """Cosines (side, side, count) of the patches of one row, which begins at place ``top``.

    Along x the places are taken apart by their phase in a step, so that all patches of the row are next to
    each other and are transformed in one vector loop.
    """
    half, count = even.shape[0], out.shape[2]
    side, width = 2 * half, columns.size
    across = np.empty((2, half, width), np.float32)
    for j in range(half):
        above, below = image[rows[top + j]], image[rows[top + side - 1 - j]]
        plus, minus = across[0, j], across[1, j]
        for phase in range(step):
            for q in range(width // step):
                c = columns[q * step + phase]
                plus[phase * (width // step) + q] = above[c] + below[c]
                minus[phase * (width // step) + q] = above[c] - below[c]
    line = np.empty(width, np.float32)
    pairs = np.empty((2, half, count), np.float32)
    for k in range(side):
        if k % 2 == 0:
            _dot(across[0], even[k // 2], line)
        else:
            _dot(across[1], odd[k // 2], line)
        for i in range(half):
            left = (i % step) * (width // step) + i // step
            other = side - 1 - i
            right = (other % step) * (width // step) + other // step
            plus, minus = pairs[0, i], pairs[1, i]
            for p in range(count):
                plus[p] = line[left + p] + line[right + p]
                minus[p] = line[left + p] - line[right + p]
        for m in range(half):
            _dot(pairs[0], even[m], out[k, 2 * m])
            _dot(pairs[1], odd[m], out[k, 2 * m + 1])


@njit(
    "void(f4[:, :, ::1], f4[::1], f4[::1], f4[::1], i8, i8, f4[:, ::1], f4[:, ::1], i8, f4[:, :, ::1])",
    nogil=True,
    cache=True,
)
def _place(
    terms: Stack,
    weights: Image,
    spread: Image,
    window: Image,
    top: int,
    width: int,
    even: Image,
    odd: Image,
    step: int,
    fields: Stack,
) -> None:
    """Add the patches of a row to the fields: the inverse of `_transform`, by weights and window.

    ``even`` and ``odd`` are transposed here: (side / 2 pixels, side / 2 cosines).
    """
    half, count = even.shape[0], terms.shape[2]
    side, long = 2 * half, width // step
    lines = np.zeros((2, half, width), np.float32)
    halves = np.empty((2, half, count), np.float32)
    sums = np.empty((2, count), np.float32)
    for k in range(side):
        line = lines[k % 2, k // 2]
        for m in range(half):
            first, second, plus, minus = halves[0, m], halves[1, m], terms[k, 2 * m], terms[k, 2 * m + 1]
            for p in range(count):
                first[p] = plus[p] * weights[p]
                second[p] = minus[p] * weights[p]
        for i in range(half):
            _dot(halves[0], even[i], sums[0])
            _dot(halves[1], odd[i], sums[1])
            other = side - 1 - i
            left = (i % step) * long + i // step
            right = (other % step) * long + other // step
            share, plus, minus = window[i], sums[0], sums[1]
            for p in range(count):
                line[left + p] += share * (plus[p] + minus[p])
            for p in range(count):
                line[right + p] += share * (plus[p] - minus[p])
    shares = np.zeros((2, width), np.float32)
    for i in range(side):
        left = (i % step) * long + i // step
        for p in range(count):
            shares[0, left + p] += window[i] * weights[p] * spread[p]
            shares[1, left + p] += window[i] * weights[p]
    both = np.empty((2, width), np.float32)
    for j in range(half):
        _dot(lines[0], even[j], both[0])
        _dot(lines[1], odd[j], both[1])
        share, above, below = window[j], top + j, top + side - 1 - j
        for phase in range(step):
            for q in range(long):
                x, at = q * step + phase, phase * long + q
                fields[0, above, x] += share * (both[0, at] + both[1, at])
                fields[0, below, x] += share * (both[0, at] - both[1, at])
                for f in range(2):
                    fields[1 + f, above, x] += share * shares[f, at]
                    fields[1 + f, below, x] += share * shares[f, at]


@njit("void(f4[:, :, ::1], f4, b1, f4[:, :, ::1], f4[::1])", nogil=True, cache=True)
def _cut(terms: Stack, variance: float, whole: bool, total: Stack, left: Image) -> None:
    """Add terms above the threshold to ``total``, their noise to ``left``."""
    least = np.float32(THRESHOLD * THRESHOLD) * variance
    for k in range(terms.shape[0]):
        for m in range(terms.shape[1]):
            row, sums = terms[k, m], total[k, m]
            bound = np.float32(-1) if whole and k == 0 and m == 0 else least
            for p in range(row.size):
                kept = row[p] * row[p] > bound
                sums[p] += row[p] if kept else np.float32(0)
                left[p] += variance if kept else np.float32(0)


@njit("void(f4[:, :, ::1], f4[:, :, ::1], f4, b1, f4[:, :, ::1], f4[::1])", nogil=True, cache=True)
def _weigh(terms: Stack, believed: Stack, variance: float, whole: bool, total: Stack, left: Image) -> None:
    """Add terms by their Wiener weights to ``total``, the noise left to ``left``."""
    for k in range(terms.shape[0]):
        for m in range(terms.shape[1]):
            row, wanted, sums = terms[k, m], believed[k, m], total[k, m]
            noise = np.float32(0) if whole and k == 0 and m == 0 else variance
            for p in range(row.size):
                power = wanted[p] * wanted[p] + np.float32(1e-20)
                share = power / (power + noise)
                sums[p] += share * row[p]
                left[p] += share * variance


@njit(
    "void(f4[:, :, ::1], f4[:, :, ::1], f4[::1], b1, i4[::1], i4[::1], f4[:, ::1], f4[:, ::1], f4[::1], i8, "
    "f4[:, :, ::1])",
    nogil=True,
    cache=True,
)
def _shrink(
    layers: Stack,
    pilot: Stack,
    noise: Image,
    weigh: bool,
    rows: Index,
    columns: Index,
    even: Image,
    odd: Image,
    window: Image,
    step: int,
    fields: Stack,
) -> None:
    """All patches of a stack into the fields (values, variances, weights)."""
    side = 2 * even.shape[0]
    count = (columns.size - side) // step + 1
    work = np.empty((3, side, side, count), np.float32)
    terms, believed, total = work[0], work[1], work[2]
    left, weights = np.empty(count, np.float32), np.empty(count, np.float32)
    pixels = np.ascontiguousarray(even.T), np.ascontiguousarray(odd.T)
    for top in range(0, rows.size - side + 1, step):
        total[:] = 0
        left[:] = 0
        for n in range(noise.size):
            variance = noise[n] * noise[n]
            whole = n == noise.size - 1
            _transform(layers[n], rows, top, columns, even, odd, step, terms)
            if weigh:
                _transform(pilot[n], rows, top, columns, even, odd, step, believed)
                _weigh(terms, believed, variance, whole, total, left)
            else:
                _cut(terms, variance, whole, total, left)
        for p in range(count):
            weights[p] = 1 / (left[p] + FLOOR)
            left[p] /= side * side
        _place(total, weights, left, window, top, columns.size, pixels[0], pixels[1], step, fields)
