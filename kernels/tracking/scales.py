"""Frames at one scale: Gaussians, separable and row by row, on frames halved where the scale is large."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

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


@njit("void(f4[:,::1], f4[::1], f4[:,::1])", nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def blur(values: Values, half: Values, out: Values) -> None:
    """Gaussian of a frame (h, w) whose surroundings are 0: each row along, while its columns are hot."""
    h, w = values.shape
    reach = half.size - 1
    padded = np.zeros(w + 2 * reach, np.float32)
    column = padded[reach : reach + w]
    nothing = np.zeros(w, np.float32)
    for y in range(h):
        middle = values[y]
        for x in range(w):
            column[x] = half[0] * middle[x]
        for k in range(1, reach + 1, 2):
            up = values[y - k] if y >= k else nothing
            down = values[y + k] if y + k < h else nothing
            a = half[k]
            if k + 1 <= reach:
                up2 = values[y - k - 1] if y >= k + 1 else nothing
                down2 = values[y + k + 1] if y + k + 1 < h else nothing
                b = half[k + 1]
                for x in range(w):
                    column[x] += a * (up[x] + down[x]) + b * (up2[x] + down2[x])
            else:
                for x in range(w):
                    column[x] += a * (up[x] + down[x])
        line = out[y]
        for x in range(w):
            line[x] = half[0] * column[x]
        for k in range(1, reach + 1, 2):
            left, right = padded[reach - k : reach - k + w], padded[reach + k : reach + k + w]
            a = half[k]
            if k + 1 <= reach:
                left2 = padded[reach - k - 1 : reach - k - 1 + w]
                right2 = padded[reach + k + 1 : reach + k + 1 + w]
                b = half[k + 1]
                for x in range(w):
                    line[x] += a * (left[x] + right[x]) + b * (left2[x] + right2[x])
            else:
                for x in range(w):
                    line[x] += a * (left[x] + right[x])


@njit("void(f4[:,::1], f4[:,::1])", nogil=True, cache=True)
def halve(values: Values, out: Values) -> None:
    """Sums of 2 x 2 pixels, halved: white noise keeps its variance. (h, w) to (h // 2, w // 2)."""
    for y in range(out.shape[0]):
        top, bottom, line = values[2 * y], values[2 * y + 1], out[y]
        for x in range(out.shape[1]):
            line[x] = np.float32(0.5) * (top[2 * x] + top[2 * x + 1] + bottom[2 * x] + bottom[2 * x + 1])
