"""What a denoised frame leaves of the measured one: noise alone, if the estimate invents and loses nothing.

Knows no filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from ..noise import NoiseModel

Image = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]
NEAREST = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Lags (y, x) px that are looked at; the others of the eight are these backwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Observed less estimated, in standard deviations of the noise."""

    values: Image
    """(h, w); NaN where either is not known."""
    spread: float
    """Standard deviation: 1 where the estimate is the truth, less by what it follows of the noise; NaN where
    nothing is known."""
    correlation: float
    """Of neighbouring pixels: that of the eight nearest lags which is furthest from 0; NaN without pairs. Of
    n pixels of white noise it is within 3 / sqrt(n). Above, something of the picture is left; below, the
    estimate follows the noise."""


def residual_of(observed: npt.NDArray[np.floating], estimate: Image, noise: NoiseModel) -> Residual:
    """What is left of a frame (h, w) by its estimate, both in values of ``noise``.

    Where the estimate is below a tenth of an electron and there is no read noise, that much is taken for the
    variance: a count where none is expected is no infinite surprise.
    """
    read = noise.read_noise**2
    values = np.empty(np.shape(observed), np.float32)
    frames = (np.ascontiguousarray(one, np.float32) for one in (observed, estimate))
    known, mean = _standardise(*frames, noise.gain, noise.offset, read, read + 0.1 * noise.gain**2, values)
    if not known:
        return Residual(values, math.nan, math.nan)
    centred = np.zeros(values.shape)
    square = _centre(values, mean, centred)
    is_whole = known == values.size
    found = [_products(values, centred, *lag, is_whole) for lag in NEAREST] if square > 0 else []
    told = [total / pairs / (square / known) for total, pairs in found if pairs]
    return Residual(values, math.sqrt(square / known), max(told, key=abs) if told else math.nan)


@njit("UniTuple(f8, 2)(f4[:,::1], f4[:,::1], f8, f8, f8, f8, f4[:,::1])", nogil=True, cache=True)
def _standardise(
    observed: Image, estimate: Image, gain: float, offset: float, read: float, least: float, values: Image
) -> tuple[float, float]:
    """Differences in standard deviations of the noise; how many are finite, and their mean."""
    known, total = 0, 0.0
    for y in range(values.shape[0]):
        row, measured, believed = values[y], observed[y], estimate[y]
        for x in range(row.size):
            variance = gain * max(believed[x] - offset, 0.0) + read
            row[x] = (measured[x] - believed[x]) / np.sqrt(max(variance, least))
        for x in range(row.size):
            is_known = np.isfinite(row[x])
            known += is_known
            total += row[x] if is_known else 0.0
    return float(known), total / max(known, 1)


@njit("f8(f4[:,::1], f8, f8[:,::1])", nogil=True, cache=True)
def _centre(values: Image, mean: float, centred: Wide) -> float:
    """Values less their mean, 0 where they are not known; the sum of their squares."""
    squares = np.zeros(values.shape[1])
    for y in range(values.shape[0]):
        row, out = values[y], centred[y]
        for x in range(row.size):
            off = row[x] - mean
            out[x] = off if np.isfinite(row[x]) else 0.0
            squares[x] += out[x] * out[x]
    total: float = squares.sum()
    return total


@njit("Tuple((f8, i8))(f4[:,::1], f8[:,::1], i8, i8, b1)", nogil=True, cache=True)
def _products(values: Image, centred: Wide, dy: int, dx: int, is_whole: bool) -> tuple[float, int]:
    """Sum of products of pixels that far apart, and how many pairs are known; whole: all of them."""
    height, width = values.shape
    left, right = max(0, -dx), width - max(0, dx)
    sums, pairs = np.zeros(width), 0
    for y in range(height - dy):
        here, there, known, others = centred[y], centred[y + dy], values[y], values[y + dy]
        for x in range(left, right):
            sums[x] += here[x] * there[x + dx]
        if is_whole:
            pairs += max(right - left, 0)
            continue
        for x in range(left, right):
            pairs += np.isfinite(known[x]) & np.isfinite(others[x + dx])
    return sums.sum(), pairs
