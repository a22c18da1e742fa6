"""Frames made small enough to show, and their contrast. Knows arrays only, no windows and no colours.

Zooming out is by the mean or maximum of whole areas, never by picking pixels: the mean does not turn a fine
lattice into moire fringes, and the maximum keeps single-electron events that a mean would bury.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import from_dtype, njit, types

Mode = Literal["mean", "max"]
MODES: tuple[str, ...] = get_args(Mode)


def reduce_for_display(
    frame: npt.NDArray[Any], max_shape: tuple[int, int] = (512, 512), mode: Mode = "mean"
) -> tuple[npt.NDArray[Any], int]:
    """Shrink a frame by the smallest integer factor that fits ``max_shape``.

    Parameters
    ----------
    frame : (h, w) of a type of `reduce.DTYPES`; may be read-only.
    max_shape : largest (h, w) of the image.
    mode : "mean" or "max" of each factor x factor area; areas at the right and lower edge may be smaller.

    Returns
    -------
    image : (ceil(h / factor), ceil(w / factor))
        A copy in the frame's own type when the factor is 1, and for "max"; float32 for "mean". Pixels that
        are not finite are left out; an area without any other is NaN.
    factor : int, frame pixels per image pixel in each direction.
    """
    if mode not in MODES:
        raise ValueError(f"display mode {mode!r}: one of {', '.join(MODES)}")
    if frame.ndim != 2 or min(max_shape) < 1:
        raise ValueError(
            f"frame of shape {frame.shape} for a display of {max_shape}: wants (h, w), at least (1, 1)"
        )
    h, w = frame.shape
    factor = max(1, -(-h // max_shape[0]), -(-w // max_shape[1]))
    if factor == 1:
        return frame.copy(), 1
    image = np.empty((-(-h // factor), -(-w // factor)), np.float32 if mode == "mean" else frame.dtype)
    if mode == "mean":
        _area_mean(_read_only(frame), factor, image)
        return image, factor
    lowest = _lowest(frame.dtype)
    _area_max(_read_only(frame), factor, lowest, image)
    if frame.dtype.kind == "f":
        image[image == lowest] = np.nan
    return image, factor


def warm_up(dtype: npt.DTypeLike, mode: Mode = "mean") -> None:
    """Compile what `reduce_for_display` needs for one pixel type, or load it from numba's cache."""
    pixel = from_dtype(np.dtype(dtype))
    frame = types.Array(pixel, 2, "C", readonly=True)
    if mode == "mean":
        _area_mean.compile((frame, types.int64, types.Array(types.float32, 2, "C")))
    else:
        _area_max.compile((frame, types.int64, pixel, types.Array(pixel, 2, "C")))


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


def _lowest(dtype: np.dtype[Any]) -> Any:
    """A value that no finite pixel is below: what an area without finite pixels keeps."""
    return dtype.type(-np.inf) if dtype.kind == "f" else dtype.type(np.iinfo(dtype).min)


# Both kernels go down the columns first and then along the row: 4096 x 4096 uint16 take 7 ms (mean) and 5 ms
# (max); area by area they took 15 and 14 ms.
@njit(nogil=True, cache=True)
def _area_mean(frame, factor, image):  # type: ignore[no-untyped-def]
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
                finite = value - value == 0.0
                sums[x] += value if finite else 0.0
                counts[x] += finite
        for j in range(image.shape[1]):
            area = slice(j * factor, min(w, (j + 1) * factor))
            count = counts[area].sum()
            image[i, j] = sums[area].sum() / count if count else np.nan


@njit(nogil=True, cache=True)
def _area_max(frame, factor, lowest, image):  # type: ignore[no-untyped-def]
    h, w = frame.shape
    peaks = np.empty(w, frame.dtype)
    for i in range(image.shape[0]):
        peaks[:] = lowest
        for y in range(i * factor, min(h, (i + 1) * factor)):
            row = frame[y]
            for x in range(w):
                value = row[x]
                finite = np.float64(value) - np.float64(value) == 0.0
                peaks[x] = value if finite and value > peaks[x] else peaks[x]
        for j in range(image.shape[1]):
            image[i, j] = peaks[j * factor : min(w, (j + 1) * factor)].max()
