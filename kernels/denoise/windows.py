"""Overlapping windows in cosines of a stack of images that add up to one: shrunk, and summed up by weight.

Windows of one strip share the transforms of their columns, there and back (`window_code`). Knows neither
frames nor movies.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from .window_code import MOST_LANES, add_cosines, add_values, cut_window, weigh_window
from .workers import ALONE, Workers

Plane = npt.NDArray[np.float32]
"""(h, w)"""
Stack = npt.NDArray[np.float32]
"""(n, h, w)"""
Index = npt.NDArray[np.int32]
NOTHING = np.zeros((0, 0, 0), np.float32)
"""No pilot."""


def mirrored(images: Stack, side: int, step: int, workers: Workers = ALONE) -> Stack:
    """Images that go on by their mirror images, so that as many windows cover a border as the middle.

    Their own first pixel is at (side - step, side - step); there are `places` columns, and zeros up to a
    multiple of `MOST_LANES`.
    """
    count, height, width = images.shape
    rows, columns = (_mirrored(n, side - step, step) for n in (height, width))
    out = np.empty((count, rows.size, -(-columns.size // MOST_LANES) * MOST_LANES), np.float32)
    workers.map(lambda n: _spread(images[n], rows, columns, side - step, out[n]), range(count))
    return out


def places(width: int, side: int, step: int) -> int:
    """Columns of mirrored images that windows stand on."""
    return _mirrored(width, side - step, step).size


@lru_cache(maxsize=32)
def _mirrored(n: int, margin: int, step: int) -> Index:
    """Pixel of each place of an axis that goes on by its mirror images, as long as a multiple of the step."""
    axis = np.arange(-margin, n + margin + (-n) % step)
    folded = np.abs((axis + 0.5) % (2 * n) - n)
    return np.asarray((n - 0.5 - folded).round(), np.int32)


@njit("void(f4[:,:], i4[::1], i4[::1], i8, f4[:,::1])", nogil=True, cache=True)
def _spread(image: Plane, rows: Index, columns: Index, margin: int, out: Plane) -> None:
    width = image.shape[1]
    for y in range(rows.size):
        row, wide = image[rows[y]], out[y]
        wide[margin : margin + width] = row
        for x in range(margin):
            wide[x] = row[columns[x]]
        for x in range(margin + width, columns.size):
            wide[x] = row[columns[x]]
        wide[columns.size :] = 0


@njit(
    "void(f4[:,:,::1], f4[:,:,::1], f4[::1], f4, f4, b1, f4[::1], i8, i8, i8, f4[:,:,::1])",
    nogil=True,
    cache=True,
)
def add_windows(
    layers: Stack,
    pilots: Stack,
    noise: Plane,
    threshold: float,
    floor: float,
    squares: bool,
    taper: Plane,
    step: int,
    across: int,
    first: int,
    sums: Stack,
) -> None:
    """All windows of a band of rows to ``sums``.

    Parameters
    ----------
    layers : (k, h, w) float32, `mirrored`; they add up to the image, and the last has its mean.
    pilots : like ``layers``: cosines are weighed by Wiener factors; `NOTHING`: they are cut at ``threshold``.
    noise : (k,) float32 standard deviation in each.
    floor : added to the variance that is left in a window, before its inverse is the window's weight.
    squares : by the squares of Wiener factors, else by the factors.
    taper : (side,) float32 weight of a window's pixels along an axis.
    across : windows side by side.
    first : row of the layers that is the first of ``sums``.
    sums : (3, rows, w) float32: values, weights, variances left, all weighted.
    """
    side, width, count = taper.size, layers.shape[2], layers.shape[0]
    columns = np.empty((count, width, side), np.float32)
    guides = np.empty((len(pilots), width, side), np.float32)
    added, told = np.empty((width, side), np.float32), np.zeros((width, 2), np.float32)
    along = np.empty((2, width), np.float32)
    for top in range(0, sums.shape[1] - side + 1, step):
        for n in range(count):
            add_cosines(layers[n], first + top, columns[n])
        for n in range(len(pilots)):
            add_cosines(pilots[n], first + top, guides[n])
        added[:] = 0
        along[:] = 0
        for left in range(0, across * step, step):
            if len(pilots) == 0:
                cut_window(columns, left, noise, threshold, floor, taper, added, told)
            else:
                weigh_window(columns, guides, left, noise, squares, floor, taper, added, told)
            weight, variance = told[left]
            for k in range(side):
                along[0, left + k] += taper[k] * weight
                along[1, left + k] += taper[k] * weight * variance
        add_values(added, taper, sums[0], top)
        for k in range(side):
            weights, variances, factor = sums[1, top + k], sums[2, top + k], taper[k]
            for x in range(width):
                weights[x] += factor * along[0, x]
                variances[x] += factor * along[1, x]
