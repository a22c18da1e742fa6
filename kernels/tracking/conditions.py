"""What is to be known of a frame before its particles are believed. Knows no method that finds any."""

from __future__ import annotations

import math
from enum import IntFlag

import numpy as np
import numpy.typing as npt
from numba import njit

from .table import Detections

Values = npt.NDArray[np.float32]

SATURATED_SHARE = 1e-3
"""Of the pixels: fewer are hot pixels and X-ray hits."""
COVERED_SHARE = 0.5
"""Of the field under particles, from which on they may be the background, and the rest the particles."""


class Condition(IntFlag):
    """Of a frame."""

    BLANK = 1
    """Nothing varies: empty, constant, saturated everywhere, or no pixel finite. It shows no particles."""
    INVALID_PIXELS = 2
    """Pixels that are not known to be dead are not finite."""
    SATURATED = 4
    """More than a thousandth of the pixels are saturated: particles may hide in them, and look smaller."""
    COVERED = 8
    """More than half of the field is taken for particles."""
    MOST = 16
    """As many particles as a detector gives at most: there may be more."""


@njit("UniTuple(i8, 3)(f4[:,::1], f4)", nogil=True, cache=True)
def look_over(values: Values, saturation: float) -> tuple[int, int, int]:
    """How many finite pixels of a frame (h, w) differ from the first one of them, how many pixels are not
    finite, and how many saturated."""
    infinite = np.float32(np.inf)
    first = np.float32(np.nan)
    for value in values.ravel():
        if abs(value) < infinite:
            first = value
            break
    other, good, top = 0, 0, 0
    for y in range(values.shape[0]):
        line = values[y]
        a = b = c = np.int32(0)
        for x in range(values.shape[1]):
            is_good = abs(line[x]) < infinite
            a += np.int32(is_good & (line[x] != first))
            b += np.int32(is_good)
            c += np.int32(is_good & (line[x] >= saturation))
        other, good, top = other + int(a), good + int(b), top + int(c)
    return other, values.size - good, top


def condition_of(values: Values, found: Detections, dead: int, saturation: float, most: int) -> Condition:
    """Of a frame and what was found in it.

    Parameters
    ----------
    values : (h, w) float32, NaN where a pixel is dead.
    dead : how many are.
    saturation : counts from which a pixel is saturated; inf: not known.
    most : detections that are given at most.
    """
    other, bad, top = look_over(values, saturation)
    flags = Condition(0)
    if not other:
        flags |= Condition.BLANK
    if bad > dead:
        flags |= Condition.INVALID_PIXELS
    if top > SATURATED_SHARE * values.size:
        flags |= Condition.SATURATED
    if float((found["radius"].astype(np.float64) ** 2).sum()) * math.pi > COVERED_SHARE * values.size:
        flags |= Condition.COVERED
    if len(found) >= most:
        flags |= Condition.MOST
    return flags
