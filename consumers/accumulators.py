"""What virtual detectors build up: scan images by frame identity, and traces of a movie.

Every value is placed by the index of its own frame, so order of arrival does not matter and merging the same
frames twice changes nothing. Knows numbers only; what they mean is the consumer's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..stream.results import Kind
from ..stream.series import IndexArray, Scan
from .frame_set import FrameSet

Values = npt.NDArray[np.float64]
TRACE_POINTS = 1 << 20


class Accumulator(Protocol):
    """State of one detector over a series."""

    kind: Kind

    def add(self, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        """Place values (n,) or (n, c) of frames ``indices`` (n,), increasing, in scan ``pixels`` (n,)."""

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Views of the state, valid until the next ``add``."""

    def attrs(self) -> Mapping[str, Any]:
        """What is to be said about the state."""


def accumulator(scan: Scan | None, channels: tuple[int, ...]) -> Accumulator:
    """The right one for a scan; ``channels`` is () for a number and (c,) for a vector per frame."""
    if scan is None:
        return Trace(channels)
    if scan.order == "positions":
        return AverageImage(scan.shape, channels)
    return NewestImage(scan.shape, channels)


class NewestImage:
    """A raster or serpentine image: each pixel shows the newest frame (highest index) that fell on it."""

    kind: Kind = "image"

    def __init__(self, shape: tuple[int, int], channels: tuple[int, ...]) -> None:
        pixels = shape[0] * shape[1]
        self._shape = (*shape, *channels)
        self._image = np.full((pixels, *channels), np.nan)
        self._valid = np.zeros(pixels, bool)
        self._newest = np.full(pixels, -1, np.int64)

    def add(self, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        assert pixels is not None
        fresh = (pixels >= 0) & (indices >= self._newest[pixels])
        place = pixels[fresh]
        finite = _finite(values[fresh])
        # Several passes within one block: indices increase and the last assignment to a pixel stays.
        self._newest[place] = indices[fresh]
        self._image[place] = _where(finite, values[fresh])
        self._valid[place] = finite

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"image": self._image.reshape(self._shape), "valid": self._valid.reshape(self._shape[:2])}

    def attrs(self) -> Mapping[str, Any]:
        return {}


class AverageImage:
    """An image from explicit positions: each pixel shows the mean of all frames that fell on it."""

    kind: Kind = "image"

    def __init__(self, shape: tuple[int, int], channels: tuple[int, ...]) -> None:
        pixels = shape[0] * shape[1]
        self._shape = (*shape, *channels)
        self._image = np.full((pixels, *channels), np.nan)
        self._sum = np.zeros((pixels, *channels))
        self._count = np.zeros(pixels, np.int64)
        self._valid = np.zeros(pixels, bool)
        self._seen = FrameSet()

    def add(self, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        assert pixels is not None
        use = self._seen.add(indices) & (pixels >= 0) & _finite(values)
        place = pixels[use]
        np.add.at(self._sum, place, values[use])
        np.add.at(self._count, place, 1)
        count = self._count[place].reshape(-1, *(1,) * (self._sum.ndim - 1))
        self._image[place] = self._sum[place] / count
        self._valid[place] = True

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"image": self._image.reshape(self._shape), "valid": self._valid.reshape(self._shape[:2])}

    def attrs(self) -> Mapping[str, Any]:
        return {}


class Trace:
    """Values over the frame index; NaN where a frame is missing. Keeps the newest 2^20 frames."""

    kind: Kind = "curve"

    def __init__(self, channels: tuple[int, ...], capacity: int = TRACE_POINTS) -> None:
        self._capacity = capacity
        self._x = np.empty(0, np.int64)
        self._y = np.empty((0, *channels))
        self._low = self._top = 0
        """Half-open range of the frames placed so far."""

    def add(self, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        if not len(indices):
            return
        first, stop = int(indices[0]), int(indices[-1]) + 1
        self._low = first if self._top == self._low else min(self._low, first)
        self._top = max(self._top, stop)
        self._make_room()
        kept = indices >= self._base
        self._y[indices[kept] - self._base] = _where(_finite(values[kept]), values[kept])

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        shown = slice(self._start - self._base, self._top - self._base)
        return {"x": self._x[shown], "y": self._y[shown]}

    def attrs(self) -> Mapping[str, Any]:
        forgotten = self._start - self._low
        bounded = {"forgotten": forgotten, "newest_frames": self._capacity} if forgotten else {}
        return {"x_label": "frame", **bounded}

    @property
    def _base(self) -> int:
        """Frame index of the first place of the buffer."""
        return int(self._x[0]) if len(self._x) else 0

    @property
    def _start(self) -> int:
        return max(self._low, self._top - self._capacity)

    def _make_room(self) -> None:
        """Let the buffer hold [start, top); it grows by doubling, so moving costs little per frame."""
        start, base = self._start, self._base
        if len(self._x) and base <= start and self._top <= base + len(self._x):
            return
        x = np.arange(start, start + min(max(1024, 2 * (self._top - start)), 2 * self._capacity))
        y = np.full((len(x), *self._y.shape[1:]), np.nan)
        low, high = max(base, start), min(base + len(self._x), self._top)
        if low < high:
            y[low - start : high - start] = self._y[low - base : high - base]
        self._x, self._y = x, y


def _finite(values: Values) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def _where(finite: npt.NDArray[np.bool_], values: Values) -> Values:
    return np.where(finite.reshape(-1, *(1,) * (values.ndim - 1)), values, np.nan)
