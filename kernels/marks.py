"""Rings and numbers at places, drawn straight into the pixels of an overlay.

Pixels and colours are those of tails.py.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from .tails import Overlay, _check, _same_length, strengthen


def draw_rings(
    overlay: Overlay,
    y: npt.ArrayLike,
    x: npt.ArrayLike,
    radius: npt.ArrayLike,
    colour: npt.ArrayLike,
    dashed: npt.ArrayLike,
    width: float = 1.5,
) -> None:
    """Draw circles around points.

    Parameters
    ----------
    overlay : changed in place.
    y, x, radius : (n,) px; rings of which one is not finite are left out.
    colour : (n,) uint32 ARGB.
    dashed : (n,) bool; eight dashes with gaps of the same length.
    width : px. A pixel is covered by width / 2 + 1/2 less its distance to the circle, between 0 and 1.

    Raises
    ------
    ValueError
        For arrays of different lengths, and an overlay of another type or order.
    """
    arrays = _same_length(y=y, x=x, radius=radius, colour=colour, dashed=dashed)
    _check(overlay)
    _rings(
        overlay,
        np.array(arrays[0], np.float64),
        np.array(arrays[1], np.float64),
        np.array(arrays[2], np.float64),
        np.array(arrays[3], np.uint32),
        np.array(arrays[4], np.bool_),
        0.5 * width + 0.5,
    )


def draw_numbers(
    overlay: Overlay,
    y: npt.ArrayLike,
    x: npt.ArrayLike,
    numbers: npt.ArrayLike,
    digits: npt.NDArray[np.uint32],
    colour: npt.ArrayLike,
) -> int:
    """Write whole numbers over what is there; one that would touch an earlier one is left out.

    Parameters
    ----------
    overlay : changed in place.
    y, x : (n,) px, lower left corner of each number.
    numbers : (n,) integers from 0 on; others are left out.
    digits : (10, gh, gw) uint32, pictures of 0 to 9: the coverage by the digit in the lowest byte, that by it
        and its dark rim in the next.
    colour : (n,) uint32 ARGB of the digits; the rim is black.

    Returns
    -------
    int : how many were written.

    Raises
    ------
    ValueError
        For arrays of different lengths, pictures of another shape, an overlay of another type or order.
    """
    arrays = _same_length(y=y, x=x, numbers=numbers, colour=colour)
    _check(overlay)
    if digits.dtype != np.uint32 or digits.ndim != 3 or len(digits) != 10:
        raise ValueError(f"digits are uint32 (10, gh, gw); these are {digits.dtype} {digits.shape}")
    return int(
        _numbers(
            overlay,
            np.array(arrays[0], np.float64),
            np.array(arrays[1], np.float64),
            np.array(arrays[2], np.int64),
            np.ascontiguousarray(digits),
            np.array(arrays[3], np.uint32),
        )
    )


@njit("void(u4[:,::1], i8, f8, f8, f8, f8, f8, u4, b1, f8)", nogil=True, cache=True)
def _arc(overlay, row, low, high, y, x, radius, colour, dashed, reach):  # type: ignore[no-untyped-def]
    """The pixels of one row between two columns."""
    first = max(0.0, math.ceil(low))
    final = min(overlay.shape[1] - 1.0, math.floor(high))
    dy = row - y
    for column in range(int(first), int(final) + 1):
        dx = column - x
        square = dy * dy + dx * dx
        coverage = reach - abs(math.sqrt(square) - radius)
        if dashed and square > 0.0:
            # cos 8 phi from cos 2 phi, by two doublings
            once = (dx * dx - dy * dy) / square
            twice = 2.0 * once * once - 1.0
            if 2.0 * twice * twice - 1.0 < 0.0:
                coverage = 0.0
        strengthen(overlay, row, column, colour, coverage)


@njit("void(u4[:,::1], f8[::1], f8[::1], f8[::1], u4[::1], b1[::1], f8)", nogil=True, cache=True)
def _rings(overlay, y, x, radius, colour, dashed, reach):  # type: ignore[no-untyped-def]
    for i in range(len(y)):
        total = y[i] + x[i] + radius[i]
        if total - total != 0.0:
            continue
        outer, inner = radius[i] + reach, radius[i] - reach
        first = max(0.0, math.ceil(y[i] - outer))
        final = min(overlay.shape[0] - 1.0, math.floor(y[i] + outer))
        for row in range(int(first), int(final) + 1):
            dy = row - y[i]
            far = math.sqrt(max(outer * outer - dy * dy, 0.0))
            near = -1.0 if inner <= abs(dy) else math.sqrt(inner * inner - dy * dy)
            args = (y[i], x[i], radius[i], colour[i], dashed[i], reach)
            if near < 0.5:
                _arc(overlay, row, x[i] - far, x[i] + far, *args)
            else:
                _arc(overlay, row, x[i] - far, x[i] - near, *args)
                _arc(overlay, row, x[i] + near, x[i] + far, *args)


@njit("u4(u4, u4, u4)", nogil=True, cache=True)
def _lettered(below, colour, coverage):  # type: ignore[no-untyped-def]
    """A pixel under a rimmed digit: what was there, black, and the colour, as far as each is seen."""
    strength = np.int64(colour >> 24)
    fill = (np.int64(coverage & 255) * strength + 127) // 255
    both = (np.int64((coverage >> 8) & 255) * strength + 127) // 255
    rest = 255 - both
    alpha = both + (np.int64(below >> 24) * rest + 127) // 255
    red = (np.int64((colour >> 16) & 255) * fill + np.int64((below >> 16) & 255) * rest + 127) // 255
    green = (np.int64((colour >> 8) & 255) * fill + np.int64((below >> 8) & 255) * rest + 127) // 255
    blue = (np.int64(colour & 255) * fill + np.int64(below & 255) * rest + 127) // 255
    return np.uint32((alpha << 24) | (red << 16) | (green << 8) | blue)


@njit("void(u4[:,::1], i8, i8, u4[:,::1], u4)", nogil=True, cache=True)
def _stamp(overlay, top, left, picture, colour):  # type: ignore[no-untyped-def]
    h, w = overlay.shape
    for i in range(max(0, -top), min(picture.shape[0], h - top)):
        for j in range(max(0, -left), min(picture.shape[1], w - left)):
            if picture[i, j]:
                overlay[top + i, left + j] = _lettered(overlay[top + i, left + j], colour, picture[i, j])


@njit("i8(u4[:,::1], f8[::1], f8[::1], i8[::1], u4[:,:,::1], u4[::1])", nogil=True, cache=True)
def _numbers(overlay, y, x, numbers, digits, colour):  # type: ignore[no-untyped-def]
    h, w = overlay.shape
    gh, gw = digits.shape[1], digits.shape[2]
    boxes = np.empty((len(y), 3), np.int64)
    written = 0
    for i in range(len(y)):
        # Off the overlay first: far places do not fit an integer.
        if not (numbers[i] >= 0 and -h < y[i] < 2 * h and -w < x[i] < 2 * w):
            continue
        count, rest = 1, numbers[i] // 10
        while rest:
            count, rest = count + 1, rest // 10
        top, left = math.floor(y[i]) - gh + 1, math.floor(x[i])
        right = left + count * gw
        free = top < h and top + gh > 0 and left < w and right > 0
        for k in range(written):
            apart = abs(boxes[k, 0] - top) >= gh or boxes[k, 1] >= right or boxes[k, 2] <= left
            free = free and apart
        if not free:
            continue
        boxes[written, 0], boxes[written, 1], boxes[written, 2] = top, left, right
        written += 1
        rest = numbers[i]
        for place in range(count - 1, -1, -1):
            _stamp(overlay, top, left + place * gw, digits[rest % 10], colour[i])
            rest //= 10
    return written
