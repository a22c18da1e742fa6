"""Holes of an image bridged from their surroundings, where a method wants every pixel.

Knows arrays only. What is bridged is a guess: whoever calls marks it as not measured in what it gives out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Image = npt.NDArray[np.float64]
Known = npt.NDArray[np.bool_]


def bridge(image: npt.ArrayLike, known: Known | None = None) -> Image:
    """A copy whose holes hold what lies around them.

    Each hole takes the mean of the nearest known pixels above, below, left and right of it, weighted by
    1 / distance: linear between two sides of a gap, constant beyond an edge. Holes without any such pixel
    (rows and columns that are wholly unknown) are done from the bridged ones in a second pass; 0 when nothing
    is known.

    Parameters
    ----------
    image : (h, w)
    known : (h, w) bool, optional
        False in holes; pixels that are not finite are holes anyway.

    Returns
    -------
    (h, w) float64
    """
    values = np.array(image, np.float64, order="C")
    sound = np.isfinite(values)
    if known is not None:
        sound &= known
    if sound.all():
        return values
    values[~sound] = 0.0
    while sound.any() and not sound.all():
        _bridge(values, sound)
    return values


def _bridge(values: Image, sound: Known) -> None:
    weighted, weights = np.zeros_like(values), np.zeros_like(values)
    _spread(values, sound, weighted, weights)
    reached = ~sound & (weights > 0)
    values[reached] = weighted[reached] / weights[reached]
    sound |= reached


@njit(nogil=True, cache=True)
def _spread(values, sound, weighted, weights):  # type: ignore[no-untyped-def]
    h, w = values.shape
    for y in range(h):
        _along(values[y], sound[y], weighted[y], weights[y])
        _along(values[y, ::-1], sound[y, ::-1], weighted[y, ::-1], weights[y, ::-1])
    for x in range(w):
        _along(values[:, x], sound[:, x], weighted[:, x], weights[:, x])
        _along(values[::-1, x], sound[::-1, x], weighted[::-1, x], weights[::-1, x])


@njit(nogil=True, cache=True)
def _along(values, sound, weighted, weights):  # type: ignore[no-untyped-def]
    """Give every hole the last known value before it, by 1 / distance."""
    last = -1
    for i in range(values.size):
        if sound[i]:
            last = i
        elif last >= 0:
            weighted[i] += values[last] / (i - last)
            weights[i] += 1.0 / (i - last)
