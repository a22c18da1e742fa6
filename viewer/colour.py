"""Colours of a picture's bytes, and pictures of vectors: numpy only, no window.

A picture is one byte a pixel, made by `kernels.tones`. Bytes 0 and 1 are the two tones of the checker that
stands for "nothing measured here", byte 2 is a pixel where the detector is blind; bytes 3..255 run through
the colour map. So no value, however dark, looks like a hole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..kernels.tones import BLIND, FIRST, PLACES, STEPS
from .models.contrast import stride

Bytes = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float64]
Transfer = Literal["linear", "gamma 0.7", "sqrt", "gamma 0.3", "log", "gamma 1.5"]
TRANSFERS: tuple[Transfer, ...] = ("linear", "sqrt", "log")
"""Those that a key goes through."""
GAMMAS: Mapping[Transfer, float] = {
    "linear": 1.0,
    "gamma 0.7": 0.7,
    "sqrt": 0.5,
    "gamma 0.3": 0.3,
    "gamma 1.5": 1.5,
}
DECADES = 3
"""Of the logarithm, from its darkest tone to its brightest."""

# Blue, since a grey hole would pass for a dark pixel of a grey picture.
CHECKER: Bytes = np.array([[23, 34, 58, 255], [29, 42, 70, 255]], np.uint8)
# In none of the colour maps, and neither the checker's nor a drawn detector's.
BLIND_COLOUR: Bytes = np.array([16, 112, 104, 255], np.uint8)
CHECKER_CELL = 4
"""Most picture pixels along a checker square; fewer in small pictures, so that the pattern still shows."""


def tone_of(place: Reals, transfer: Transfer) -> Reals:
    """How bright values are drawn, 0..1, by their place between the levels, 0..1."""
    if transfer == "log":
        return np.asarray(np.log1p(place * (10.0**DECADES - 1.0)) / (DECADES * math.log(10.0)))
    return np.asarray(place ** GAMMAS[transfer])


def place_of(tone: float, transfer: Transfer) -> float:
    """The other way round."""
    if transfer == "log":
        return float((10.0 ** (DECADES * tone) - 1.0) / (10.0**DECADES - 1.0))
    return float(tone ** (1.0 / GAMMAS[transfer]))


@cache
def curve(transfer: Transfer) -> Bytes:
    """What `kernels.tones` takes: the byte of each place, (PLACES,)."""
    places = np.linspace(0.0, 1.0, PLACES)
    made = np.asarray(tone_of(places, transfer) * (STEPS - 1) + (FIRST + 0.5), np.uint8)
    made.flags.writeable = False
    return made


def checker_cell(shape: tuple[int, int]) -> int:
    """Drawn pixels along a checker square of a picture of (ny, nx) of them."""
    return max(1, min(CHECKER_CELL, min(shape) // 16))


def checker(shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """0 and 1 in squares, (ny, nx)."""
    cell = checker_cell(shape)
    y, x = (np.arange(n) // cell % 2 for n in shape)
    return (y[:, None] ^ x[None, :]).astype(np.uint8)


def palette(colours: npt.NDArray[np.uint8]) -> Bytes:
    """The (256, 4) table of a picture's bytes from a colour map of (n, 3) or (n, 4) bytes."""
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
    field: npt.NDArray[Any], valid: npt.NDArray[np.bool_], factor: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Mean of a vector field (ny, nx, 2) over factor x factor pixels, of the valid ones only, and where there
    are any; areas at the far edges may be smaller."""
    if factor <= 1:
        return field, valid
    totals = _block_sums(np.where(valid[..., None], field, 0), factor)
    weights = _block_sums(valid, factor).astype(totals.dtype)
    return totals / np.maximum(weights, 1)[..., None], weights > 0


def _block_sums(values: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Sums over factor x factor blocks, by strided additions: np.add.reduceat takes 20 times as long."""
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
