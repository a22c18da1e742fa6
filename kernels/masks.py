"""Detector shapes as pixel masks, and masks as row runs.

Geometry in the words of the detector: pixel centres are integers, (y, x), origin top left. Knows no files
and no frames; a mask that misses the frame is simply empty here, and the consumer says so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float64]
Shape = tuple[int, int]
Center = tuple[float, float]


def frame_center(shape: Shape) -> Center:
    """Default centre (y, x) of a frame: ((h-1)/2, (w-1)/2)."""
    return (shape[0] - 1) / 2, (shape[1] - 1) / 2


def disk(shape: Shape, radius: float, center: Center | None = None) -> Mask:
    """Pixels with r < radius.

    Parameters
    ----------
    shape : (h, w) of the frame in pixels.
    radius : px.
    center : (y, x) in px; default the middle of the frame.

    Returns
    -------
    (h, w) bool
    """
    y, x = _squared_distances(shape, center)
    return x[None, :] < (_square(radius) - y)[:, None]


def annulus(shape: Shape, inner: float, outer: float, center: Center | None = None) -> Mask:
    """Pixels with inner <= r < outer (px), as (h, w) bool; ``center`` as for `disk`."""
    return disk(shape, outer, center) & ~disk(shape, inner, center)


def rectangle(shape: Shape, top: float, left: float, height: float, width: float) -> Mask:
    """Pixels with top <= y < top + height and left <= x < left + width, as (h, w) bool."""
    y, x = np.arange(shape[0]), np.arange(shape[1])
    rows = (y >= top) & (y < top + height)
    columns = (x >= left) & (x < left + width)
    return rows[:, None] & columns[None, :]


def row_runs(mask: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Horizontal runs of a mask, so that reducing with a small detector touches its own pixels only.

    Parameters
    ----------
    mask : (h, w), true where a pixel counts.

    Returns
    -------
    (n, 3) int32
        y, x0, x1 of each run (half-open), by rising y and x0; (0, 3) for an empty mask.
    """
    selected = np.asarray(mask, bool)
    padded = np.zeros((selected.shape[0], selected.shape[1] + 2), np.int8)
    padded[:, 1:-1] = selected
    steps = np.diff(padded, axis=1)
    y, x0 = np.nonzero(steps == 1)
    x1 = np.nonzero(steps == -1)[1]
    return np.stack([y, x0, x1], axis=1).astype(np.int32)


def _square(radius: float) -> float:
    return max(radius, 0.0) ** 2


def _squared_distances(shape: Shape, center: Center | None) -> tuple[Distances, Distances]:
    """Along y (h,) and x (w,): no table of radii, which for 8192 x 8192 pixels would take 512 MiB."""
    cy, cx = frame_center(shape) if center is None else center
    y = np.arange(shape[0], dtype=np.float64) - cy
    x = np.arange(shape[1], dtype=np.float64) - cx
    return y * y, x * x
