"""From the pixels of an image to the bytes of a picture, in one pass: crop, mean or maximum, levels, curve.

Zooming out never picks pixels. The mean is taken under a tent, twice as wide as what it stands for: the
fringes that areas side by side still make of a fine lattice are then the square of themselves (of 4.2 px, at
five to one, 3 % and not 16 %). The maximum of an area keeps single events that a mean would bury. Knows
arrays only, no windows and no colours.

A byte from `FIRST` on is a value on its way through the curve. 0 and 1 are the two tones of the checker that
stands for "no value here", `BLIND` is an area of which the detector sees nothing.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from .bands import banded
from .tone_loops import BLIND, DTYPES, FIRST, SHORT, colour, max_all, max_some, mean_all, mean_some

__all__ = [
    "AREAS",
    "BLIND",
    "DTYPES",
    "FIRST",
    "PLACES",
    "STEPS",
    "Areas",
    "Bytes",
    "Part",
    "Words",
    "coloured",
    "tent",
    "tones",
]

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint32]
Part = tuple[int, int, int, int]
"""Top, left, bottom and right of a part of an image: rows top..bottom - 1, columns left..right - 1."""
Areas = Literal["mean", "max"]
AREAS: tuple[str, ...] = get_args(Areas)

STEPS = 256 - FIRST
PLACES = 1 << 16
"""Entries of a curve. Over three decades of a logarithm the darkest of them is half a byte wide."""
BEYOND = 1e6
"""Spans from the levels at which values are as good as at any other distance, once their sums overflow."""
NARROWEST = 1e-300
BAND = 1 << 20
"""Pixels of the image that a thread takes at a time: 0.2 ms, the longest that one waits for the other."""


def tones(
    image: npt.NDArray[Any],
    levels: tuple[float, float],
    curve: Bytes,
    *,
    part: Part | None = None,
    factor: tuple[int, int] = (1, 1),
    areas: Areas = "mean",
    valid: Flags | None = None,
    is_masked: bool = False,
    cell: int = 4,
    helper: Executor | None = None,
) -> Bytes:
    """Bytes of a part of an image.

    Parameters
    ----------
    image : (h, w) real; may be read-only. Types beyond `DTYPES` are taken as float64.
    levels : values of the first and of the last entry of the curve, low < high.
    curve : (PLACES,) bytes from FIRST on, by the place of a value between the levels.
    part : what is wanted; None = all. Areas begin at its top left corner; a mean knows what lies around it.
    factor : pixels of the image along y and x of an area; those at the lower and right edge may be smaller.
    areas : "mean" under the tent of `tent` about each area, or "max" of its pixels.
    valid : (h, w) bool; None = all. Others are left out, as values that are not finite are.
    is_masked : whether pixels that are not valid are blind ones of a detector, which is said by `BLIND`.
    cell : bytes along a square of the checker, which stands still where a part begins at a whole area.
    helper : whose thread takes bands of rows of a large part, as long as it has time; never waited for longer
        than one band takes.

    Returns
    -------
    (ceil(height of part / factor), ceil(width / factor)) uint8. An area without a value is the checker, or
    `BLIND` where none of its pixels is valid.

    Raises
    ------
    ValueError
        For levels that are not finite or not rising, a part outside of the image, and arrays that do not fit.
    """
    top, left, bottom, right = _checked(image, levels, curve, part, factor, areas, valid)
    if image.dtype == bool:
        image = image.view(np.uint8)
    elif image.dtype.name not in DTYPES or not image.dtype.isnative:
        image = image.astype(np.float64)
    image = np.ascontiguousarray(image)
    made = np.empty((-(-(bottom - top) // factor[0]), -(-(right - left) // factor[1])), np.uint8)
    if made.size:
        window = (top, left, bottom, right, *factor)
        _fill(_Order(image, areas, None, False, window, levels, curve, cell), valid, is_masked, made, helper)
    return made


def coloured(pixels: Bytes, words: Words) -> Words:
    """Each byte's colour: (h, w) uint8 and (256,) uint32 to (h, w) uint32.

    Notes
    -----
    0.3 ms for 820 x 820. Qt draws 32-bit colours six times as fast as bytes with a table.
    """
    made = np.empty(pixels.shape, np.uint32)
    colour(np.ascontiguousarray(pixels), words, made)
    return made


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """What is wanted of an image."""

    image: npt.NDArray[Any]
    areas: Areas
    mask: Flags | None
    is_masked: bool
    window: tuple[int, ...]
    """A part, and the factor down and across."""
    levels: tuple[float, float]
    curve: Bytes
    cell: int


def _fill(order: _Order, valid: Flags | None, is_masked: bool, made: Bytes, helper: Executor | None) -> None:
    """Without a mask there is a shorter way, until a value turns up that is not finite."""
    mask = valid
    if mask is None:
        if _made(order, made, helper):
            return
        mask = np.isfinite(order.image)
    is_masked &= valid is not None
    order = replace(order, mask=np.ascontiguousarray(mask), is_masked=is_masked)
    if not _made(order, made, helper):
        low, high = order.levels
        with np.errstate(all="ignore"):
            places = (0.5 * order.image.astype(np.float64) - 0.5 * low) / (0.5 * high - 0.5 * low)
        places = np.clip(places, -BEYOND, BEYOND)
        _made(replace(order, image=places, levels=(0.0, 1.0)), made, helper)


def _made(order: _Order, made: Bytes, helper: Executor | None) -> bool:
    """Whether all sums were finite; if not, the picture is of no use."""
    image, levels = order.image, order.levels
    real = np.dtype(np.float32 if image.dtype.name in SHORT else np.float64)
    with np.errstate(over="ignore"):
        # Halves, since the distance between the largest floats is none.
        slope = 0.5 / max(0.5 * levels[1] - 0.5 * levels[0], NARROWEST)
        line = np.array([levels[0], slope, PLACES - 1, 0.5]).astype(real)
    top, left, bottom, right, down, across = order.window
    shares: list[npt.NDArray[Any]] = []
    if order.areas == "mean" and order.mask is None:
        sides = zip((top, left), (down, across), made.shape, image.shape, strict=True)
        shares = [_shares(*side, real) for side in sides]

    def rows(begin: int, end: int) -> bool:
        window = (top + begin * down, left, min(bottom, top + end * down), right, down, across)
        part = made[begin:end]
        if order.mask is not None:
            how = (order.is_masked, window, line, order.curve, order.cell, part)
            if order.areas == "max":
                return bool(max_some(image, order.mask, *how))
            return bool(mean_some(image, order.mask.view(np.uint8), *how))
        if order.areas == "max":
            return bool(max_all(image, window, line, order.curve, part))
        return bool(mean_all(image, window, shares[0][begin:end], shares[1], line, order.curve, part))

    return banded(rows, len(made), max(1, BAND // (down * (right - left))), helper)


def tent(factor: int) -> npt.NDArray[np.int64]:
    """Weights of the pixels about the middle of an area of ``factor`` pixels.

    (2 factor,) of an even number: 1, 2, ... factor, factor, ... 1, (2 factor - 1,) of an odd one: 1, 2, ...
    factor, ... 1. That is a box under another one: it lets as much through of a period as a box does squared.
    The first pixel is factor // 2 before the area.
    """
    return np.convolve(np.ones(factor, np.int64), np.ones(factor + 1 - factor % 2, np.int64))


@lru_cache(maxsize=16)
def _shares(begin: int, factor: int, count: int, size: int, real: np.dtype[Any]) -> npt.NDArray[Any]:
    """One over the weight of the pixels that the image has under the tent of each area along a side."""
    taps = tent(factor)
    places = begin - factor // 2 + np.arange(count)[:, None] * factor + np.arange(len(taps))
    made = (1.0 / (((places >= 0) & (places < size)) @ taps)).astype(real)
    made.flags.writeable = False
    return made


def _checked(
    image: npt.NDArray[Any],
    levels: tuple[float, float],
    curve: Bytes,
    part: Part | None,
    factor: tuple[int, int],
    areas: str,
    valid: Flags | None,
) -> Part:
    if image.ndim != 2 or image.dtype.kind not in "buif":
        raise ValueError(f"tones of {image.dtype} {image.shape}: wants real values (h, w)")
    if valid is not None and (valid.shape != image.shape or valid.dtype != bool):
        raise ValueError(f"valid pixels {valid.dtype} {valid.shape} for an image of shape {image.shape}")
    if not (np.isfinite(levels).all() and levels[0] < levels[1]):
        raise ValueError(f"levels {levels[0]}..{levels[1]}: wants finite low < high")
    if curve.shape != (PLACES,) or curve.dtype != np.uint8:
        raise ValueError(f"a curve is uint8 ({PLACES},); this is {curve.dtype} {curve.shape}")
    if areas not in AREAS or min(factor) < 1:
        raise ValueError(f"areas {areas!r} of {factor} pixels: one of {', '.join(AREAS)}, at least (1, 1)")
    h, w = image.shape
    top, left, bottom, right = part or (0, 0, h, w)
    if not (0 <= top <= bottom <= h and 0 <= left <= right <= w):
        raise ValueError(f"part {part} of an image of shape {image.shape}")
    return top, left, bottom, right
