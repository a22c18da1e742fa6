"""Pixels of a picture from values, levels and validity: numpy only, no window.

A picture is one byte a pixel. Bytes 0 and 1 are the two tones of the checker that stands for "nothing
measured here", byte 2 is a pixel where the detector is blind; bytes 3..255 run through the colour map. So no
value, however dark, looks like a hole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .models.contrast import Levels, stride

Bytes = npt.NDArray[np.uint8]
Transfer = Literal["linear", "sqrt", "log"]
TRANSFERS: tuple[Transfer, ...] = ("linear", "sqrt", "log")

BLIND = 2
FIRST = 3
STEPS = 256 - FIRST
# Blue, since a grey hole would pass for a dark pixel of a grey picture.
CHECKER: Bytes = np.array([[23, 34, 58, 255], [29, 42, 70, 255]], np.uint8)
# In none of the colour maps, and neither the checker's nor a drawn detector's.
BLIND_COLOUR: Bytes = np.array([16, 112, 104, 255], np.uint8)
CHECKER_CELL = 4
"""Most picture pixels along a checker square; fewer in small pictures, so that the pattern still shows."""


def _log(scaled: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """0..1 to 0..1 over three decades."""
    return np.asarray(np.log1p(scaled * np.float32(999.0)) / np.float32(math.log(1000.0)), np.float32)


CURVES: dict[Transfer, Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]] = {
    "linear": lambda scaled: scaled,
    "sqrt": lambda scaled: np.sqrt(scaled),
    "log": _log,
}


def checker(shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """0 and 1 in squares, (ny, nx)."""
    cell = max(1, min(CHECKER_CELL, min(shape) // 16))
    y, x = (np.arange(n) // cell % 2 for n in shape)
    return (y[:, None] ^ x[None, :]).astype(np.uint8)


def to_indices(
    image: npt.NDArray[Any],
    valid: npt.NDArray[np.bool_] | None,
    levels: Levels,
    transfer: Transfer = "linear",
    blind: npt.NDArray[np.bool_] | None = None,
) -> Bytes:
    """Palette indices (ny, nx) of an image (ny, nx); invalid pixels become the checker, blind ones their own
    colour."""
    with np.errstate(over="ignore", invalid="ignore"):
        above = np.subtract(image, levels.low, dtype=_working_type(image))
        scaled = np.multiply(above, 1.0 / levels.span, dtype=above.dtype).astype(np.float32)
    # fmax/fmin drop NaN: what is marked valid but is not finite is black rather than undefined.
    np.fmax(scaled, np.float32(0.0), out=scaled)
    np.fmin(scaled, np.float32(1.0), out=scaled)
    indices = (CURVES[transfer](scaled) * np.float32(STEPS - 1) + np.float32(FIRST + 0.5)).astype(np.uint8)
    if valid is not None and not valid.all():
        indices = np.where(valid, indices, checker((image.shape[0], image.shape[1])))
    return indices if blind is None else np.where(blind, np.uint8(BLIND), indices)


def palette(colours: npt.NDArray[np.uint8]) -> Bytes:
    """The (256, 4) table for `to_indices` from a colour map of (n, 3) or (n, 4) bytes."""
    rows = np.linspace(0, len(colours) - 1, STEPS).round().astype(int)
    table = np.full((256, 4), 255, np.uint8)
    table[:BLIND], table[BLIND] = CHECKER, BLIND_COLOUR
    table[FIRST:, :3] = colours[rows, :3]
    return table


GREY: Bytes = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def about_median(
    vectors: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A vector field (ny, nx, 2) less the median of (a sample of) its valid pixels; and that median."""
    step = stride(valid.size)
    some = vectors[::step, ::step][valid[::step, ::step]]
    middle = np.median(some, axis=0) if len(some) else np.zeros(2)
    return vectors - middle, middle


def colour_wheel(
    vectors: npt.NDArray[Any], valid: npt.NDArray[np.bool_], full: float, hues: npt.NDArray[np.uint8]
) -> Bytes:
    """A vector field (ny, nx, 2) (y, x) as hue (direction) and brightness (length, `full` = brightest).

    Returns
    -------
    (ny, nx, 3) uint8; invalid pixels are the checker.
    """
    angle = np.arctan2(vectors[..., 0], vectors[..., 1]) / (2 * np.pi)
    length = np.hypot(vectors[..., 0], vectors[..., 1]) / max(full, 1e-30)
    safe = np.where(valid, np.nan_to_num(angle), 0.0)
    value = np.clip(np.where(valid, np.nan_to_num(length), 0.0), 0.0, 1.0)
    rows = np.floor(safe * len(hues)).astype(int) % len(hues)
    rgb = (hues[rows, :3] * value[..., None]).astype(np.uint8)
    holes = CHECKER[checker((vectors.shape[0], vectors.shape[1]))][..., :3]
    return np.where(valid[..., None], rgb, holes)


def area_mean(
    image: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None, factor: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Mean over factor x factor pixels, of the valid ones only; blocks at the far edges may be smaller.

    A picture drawn smaller than it is would otherwise lose what falls between the pixels of the screen.
    """
    if factor <= 1:
        return image, valid
    if valid is None or valid.all():
        totals = _block_sums(image, factor)
        rows, columns = (np.minimum(factor, n - np.arange(0, n, factor)) for n in image.shape[:2])
        weights = np.outer(rows, columns)
    else:
        spread = valid if image.ndim == 2 else valid[..., None]
        totals = _block_sums(np.where(spread, image, 0), factor)
        weights = _block_sums(valid, factor).astype(np.int64)
    divisor = np.maximum(weights, 1).astype(totals.dtype)
    mean = totals / (divisor if image.ndim == 2 else divisor[..., None])
    return mean, None if valid is None else weights > 0


def area_blind(
    blind: npt.NDArray[np.bool_] | None, valid: npt.NDArray[np.bool_] | None, factor: int
) -> npt.NDArray[np.bool_] | None:
    """Areas of `area_mean` without a valid pixel that have a blind one; ``valid`` is that of the areas."""
    if blind is None or valid is None or factor <= 1:
        return blind
    return (_block_sums(blind, factor) > 0) & ~valid


def _block_sums(values: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Sums over factor x factor blocks, by strided additions.

    A display tick of a 2048 x 2048 frame takes 5 ms so, and 97 ms with np.add.reduceat.
    """
    rows = values[::factor].astype(_working_type(values))
    for offset in range(1, factor):
        part = values[offset::factor]
        rows[: len(part)] += part
    sums = rows[:, ::factor].copy()
    for offset in range(1, factor):
        part = rows[:, offset::factor]
        sums[:, : part.shape[1]] += part
    return sums


def _working_type(values: npt.NDArray[Any]) -> np.dtype[Any]:
    """float32 where it holds every value exactly, else float64."""
    return np.result_type(values.dtype, np.float32)
