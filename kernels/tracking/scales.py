"""Frames at one scale: Gaussians, separable and row by row, on frames halved where the scale is large."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from .lanes import LANES, summing

Values = npt.NDArray[np.float32]

WIDEST = 3.2
"""Standard deviation, px, from which a frame is halved first."""
REACH = 3.0
"""Half width of a Gaussian's taps, in standard deviations."""


def taps(sigma: float) -> Values:
    """Middle and one half of a Gaussian, of unit sum: (reach + 1,) float32."""
    at = np.arange(1 + math.ceil(REACH * sigma))
    half = np.exp(-(at**2) / (2 * sigma**2))
    return np.asarray(half / (2 * half.sum() - 1), np.float32)


def white_spread(half: Values) -> float:
    """Standard deviation of white noise of variance 1 after filtering by these taps along both axes."""
    squares = half.astype(np.float64) ** 2
    return float(2 * squares.sum() - squares[0])


def halvings(sigma: float) -> int:
    """How often a frame is halved before a Gaussian of ``sigma`` px."""
    return max(0, math.ceil(math.log2(sigma / WIDEST))) if sigma > WIDEST else 0


BLOCKS = 8
"""Vectors that are summed together: one alone waits for its own last sum."""
_wide, _narrow = summing(1, BLOCKS), summing(1, 1)


@njit("void(f4[:,::1], i8, i8, i8, f4[::1], i8, i8, f4[::1], i8)", nogil=True, cache=True)
def _filtered(
    values: Values,
    start: int,
    stride: int,
    rows: int,
    weights: Values,
    first: int,
    w: int,
    out: Values,
    to: int,
) -> None:
    """``out[to + x]``: sum over ``rows`` j of ``weights[first + j]`` times what is at ``start + j stride +
    x`` of the values, for x below ``w``."""
    wide = LANES * BLOCKS
    for x in range(0, w - wide + 1, wide):
        _wide(values, start + x, stride, rows, weights, first, 0, out, to + x, 0)
    for x in range(w // wide * wide, w - LANES + 1, LANES):
        _narrow(values, start + x, stride, rows, weights, first, 0, out, to + x, 0)
    flat = values.ravel()
    for x in range(w // LANES * LANES, w):
        total = np.float32(0)
        for j in range(rows):
            total += weights[first + j] * flat[start + j * stride + x]
        out[to + x] = total


@njit("void(f4[:,::1], f4[::1], f4[:,::1])", nogil=True, cache=True)
def blur(values: Values, half: Values, out: Values) -> None:
    """Gaussian of a frame (h, w) whose surroundings are 0: each row along, while its columns are hot."""
    h, w = values.shape
    reach = half.size - 1
    weights = np.concatenate((half[::-1], half[1:]))
    column = np.zeros((1, w + 2 * reach), np.float32)
    line, flat = column.ravel(), out.ravel()
    for y in range(h):
        top, bottom = max(y - reach, 0), min(y + reach + 1, h)
        _filtered(values, top * w, w, bottom - top, weights, reach - (y - top), w, line, reach)
        _filtered(column, 0, 1, 2 * reach + 1, weights, 0, w, flat, y * w)


@njit("void(f4[:,::1], f4[:,::1])", nogil=True, cache=True)
def halve(values: Values, out: Values) -> None:
    """Sums of 2 x 2 pixels, halved: white noise keeps its variance. (h, w) to (h // 2, w // 2)."""
    for y in range(out.shape[0]):
        top, bottom, line = values[2 * y], values[2 * y + 1], out[y]
        for x in range(out.shape[1]):
            line[x] = np.float32(0.5) * (top[2 * x] + top[2 * x + 1] + bottom[2 * x] + bottom[2 * x + 1])
