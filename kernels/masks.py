"""Detector shapes as pixel masks, and masks as row runs.

Geometry in the words of the detector: pixel centres are integers, (y, x), origin top left. Knows no files
and no frames; a mask that misses the frame is simply empty here, and the consumer says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float64]
Shape = tuple[int, int]
Center = tuple[float, float]
MAX_BINS = 65_536
"""Of a profile: a frame has no more rings of one pixel than the longest diagonal."""


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


@dataclass(frozen=True, slots=True, eq=False)
class RadialBins:
    """Which pixels make each value of a radial profile."""

    index: npt.NDArray[np.int32]
    """(h, w) the bin of each pixel; -1 for pixels that are in none."""
    count: int

    def __post_init__(self) -> None:
        if self.index.ndim != 2 or self.index.dtype != np.int32:
            raise ValueError(f"bins are {self.index.dtype} of shape {self.index.shape}: wants int32 (h, w)")
        low, high = int(self.index.min(initial=-1)), int(self.index.max(initial=-1))
        if low < -1 or high >= self.count or not 0 < self.count <= MAX_BINS:
            raise ValueError(
                f"bins from {low} to {high} of {self.count}: wants -1 (none) to below the count, which is 1 "
                f"to {MAX_BINS}"
            )

    @property
    def pixels(self) -> npt.NDArray[np.int64]:
        """(count,) pixels of each bin: a profile divided by them is the mean count of a pixel."""
        return np.bincount(self.index[self.index >= 0], minlength=self.count).astype(np.int64)


def radial_bins(
    shape: Shape, center: Center | None = None, width: float = 1.0, live: Mask | None = None
) -> RadialBins:
    """Rings around a point, each ``width`` px wide: bin i has the pixels with i <= r / width < i + 1.

    Parameters
    ----------
    shape : (h, w) of the frame in pixels.
    center : (y, x) in px; default the middle of the frame.
    width : px, greater than 0; a wider one where there would be more than `MAX_BINS` rings.
    live : (h, w) bool, optional; the others are in no ring.
    """
    if not width > 0:
        raise ValueError(f"rings of {width} px: they must be wider than 0")
    y, x = _squared_distances(shape, center)
    radius = np.sqrt(y[:, None] + x[None, :])
    width = max(width, float(radius.max(initial=0.0)) / (MAX_BINS - 1))
    index = np.floor(radius / width).astype(np.int32)
    count = int(index.max(initial=0)) + 1
    return RadialBins(index if live is None else np.where(live, index, np.int32(-1)), count)


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
