"""Frames made small enough to show, and their contrast. Knows arrays only, no windows and no colours.

Zooming out is by the mean or maximum of whole areas, never by picking pixels: the mean does not turn a fine
lattice into moire fringes, and the maximum keeps single-electron events that a mean would bury.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import from_dtype, njit, types

from .masks import Mask

Mode = Literal["mean", "max"]
MODES: tuple[str, ...] = get_args(Mode)


def display_factor(shape: tuple[int, int], max_shape: tuple[int, int]) -> int:
    """Frame pixels along one image pixel: the smallest whole number that fits (h, w) into ``max_shape``."""
    return max(1, -(-shape[0] // max_shape[0]), -(-shape[1] // max_shape[1]))


def reduce_for_display(
    frame: npt.NDArray[Any],
    max_shape: tuple[int, int] = (512, 512),
    mode: Mode = "mean",
    live: Mask | None = None,
) -> tuple[npt.NDArray[Any], int]:
    """Shrink a frame by the smallest integer factor that fits ``max_shape``.

    Parameters
    ----------
    frame : (h, w) of a type of `reduce.DTYPES`; may be read-only.
    max_shape : largest (h, w) of the image.
    mode : "mean" or "max" of each factor x factor area; areas at the right and lower edge may be smaller.
    live : (h, w) bool, optional; what the others hold makes no difference.

    Returns
    -------
    image : (ceil(h / factor), ceil(w / factor))
        A copy in the frame's own type when the factor is 1, and for "max"; float32 for "mean". Pixels that
        are not finite, or not live, are left out; an area without any other is NaN, or 0 in an integer type.
    factor : int, frame pixels per image pixel in each direction.
    """
    if mode not in MODES:
        raise ValueError(f"display mode {mode!r}: one of {', '.join(MODES)}")
    if frame.ndim != 2 or min(max_shape) < 1:
        raise ValueError(
            f"frame of shape {frame.shape} for a display of {max_shape}: wants (h, w), at least (1, 1)"
        )
    if live is not None and (live.shape != frame.shape or live.dtype != bool):
        raise ValueError(f"live pixels {live.dtype} {live.shape} for a frame of shape {frame.shape}")
    h, w = frame.shape
    factor = display_factor((h, w), max_shape)
    if factor == 1:
        return frame.copy() if live is None else np.where(live, frame, _nothing(frame.dtype)), 1
    image = np.empty((-(-h // factor), -(-w // factor)), np.float32 if mode == "mean" else frame.dtype)
    if mode == "mean":
        _area_mean(_read_only(frame), _shown(live), factor, image)
    else:
        _area_max(_read_only(frame), _shown(live), factor, _lowest(frame.dtype), _nothing(frame.dtype), image)
    return image, factor


def live_areas(live: Mask, factor: int) -> Mask:
    """Which image pixels of `reduce_for_display` have a live pixel: (ceil(h / factor), ceil(w / factor))."""
    rows = np.logical_or.reduceat(live, range(0, live.shape[0], factor), axis=0)
    return np.asarray(np.logical_or.reduceat(rows, range(0, live.shape[1], factor), axis=1))


def warm_up(dtype: npt.DTypeLike) -> None:
    """Compile what frames of one pixel type need here, or load it from numba's cache.

    With and without a mask, since one may come with any series: 0.3 s a kernel to compile, 3 ms to load.
    """
    pixel = from_dtype(np.dtype(dtype))
    frame = types.Array(pixel, 2, "C", readonly=True)
    for live in (types.none, types.Array(types.boolean, 2, "C", readonly=True)):
        _area_mean.compile((frame, live, types.int64, types.Array(types.float32, 2, "C")))
        _area_max.compile((frame, live, types.int64, pixel, pixel, types.Array(pixel, 2, "C")))


def levels(image: npt.NDArray[Any], low: float = 0.1, high: float = 99.9) -> tuple[float, float]:
    """Contrast limits: percentiles of the finite pixels, always with lo < hi.

    Where the percentiles coincide (few events on an empty frame) the extremes are taken, and (v, v + 1) for
    a constant image; (0, 1) for one without finite pixels.
    """
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        lo, hi = (float(value) for value in np.percentile(finite, [low, high]))
    if not lo < hi:
        lo, hi = float(finite.min()), float(finite.max())
    if lo < hi:
        return lo, hi
    step = max(1.0, abs(lo) * 1e-6)
    return (lo, lo + step) if np.isfinite(lo + step) else (lo - step, lo)


def to_uint8(image: npt.NDArray[Any], lo: float, hi: float, gamma: float = 1.0) -> npt.NDArray[np.uint8]:
    """Grey values 0..255 of an image between its limits; NaN is 0.

    ``255 * t ** gamma`` with t the place between lo and hi: a gamma below 1 brings out the dark parts.
    """
    if not (np.isfinite(lo) and np.isfinite(hi) and lo < hi and gamma > 0):
        raise ValueError(f"contrast limits {lo}..{hi} with gamma {gamma}: wants finite lo < hi and gamma > 0")
    place = np.asarray(image, np.float64) / (hi - lo) - lo / (hi - lo)
    place = np.clip(np.nan_to_num(place, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    if gamma != 1.0:
        place **= gamma
    return np.asarray(place * 255.0 + 0.5, np.uint8)


def _read_only(frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = np.ascontiguousarray(frame).view()
    view.flags.writeable = False
    return view


def _shown(live: Mask | None) -> Mask | None:
    return None if live is None else _read_only(live)


def _lowest(dtype: np.dtype[Any]) -> Any:
    """A value that no finite pixel is below."""
    return dtype.type(-np.inf) if dtype.kind == "f" else dtype.type(np.iinfo(dtype).min)


def _nothing(dtype: np.dtype[Any]) -> Any:
    """What an area without a pixel that counts shows."""
    return dtype.type(np.nan if dtype.kind == "f" else 0)


# The kernels are compiled with live = None and with a mask; numba drops the untaken branch of "is None".
# The two of areas go down the columns first and then along the row: 4096 x 4096 uint16 take 7 ms (mean) and
# 5 ms (max); area by area they took 15 and 14 ms.
@njit(nogil=True, cache=True)
def _area_mean(frame, live, factor, image):  # type: ignore[no-untyped-def]
    h, w = frame.shape
    sums = np.empty(w, np.float64)
    counts = np.empty(w, np.int64)
    for i in range(image.shape[0]):
        sums[:] = 0.0
        counts[:] = 0
        for y in range(i * factor, min(h, (i + 1) * factor)):
            row = frame[y]
            for x in range(w):
                value = np.float64(row[x])
                counted = value - value == 0.0
                if live is not None:
                    counted = counted & live[y, x]
                sums[x] += value if counted else 0.0
                counts[x] += counted
        for j in range(image.shape[1]):
            area = slice(j * factor, min(w, (j + 1) * factor))
            count = counts[area].sum()
            image[i, j] = sums[area].sum() / count if count else np.nan


@njit(nogil=True, cache=True)
def _area_max(frame, live, factor, lowest, nothing, image):  # type: ignore[no-untyped-def]
    h, w = frame.shape
    peaks = np.empty(w, frame.dtype)
    counted = np.empty(w, np.bool_)
    for i in range(image.shape[0]):
        peaks[:] = lowest
        counted[:] = False
        for y in range(i * factor, min(h, (i + 1) * factor)):
            row = frame[y]
            for x in range(w):
                value = row[x]
                counts = np.float64(value) - np.float64(value) == 0.0
                if live is not None:
                    counts = counts & live[y, x]
                peaks[x] = value if counts and value > peaks[x] else peaks[x]
                counted[x] |= counts
        for j in range(image.shape[1]):
            area = slice(j * factor, min(w, (j + 1) * factor))
            image[i, j] = peaks[area].max() if counted[area].any() else nothing
