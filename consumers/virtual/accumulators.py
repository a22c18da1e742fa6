"""What virtual detectors build up: scan images by frame identity, and traces of a movie.

Every value is placed by the index of its own frame, so order of arrival does not matter and merging the same
frames twice changes nothing. Several channels (detectors) are placed at once: a block costs the same for one
as for ten. Knows numbers only; what they mean is the consumer's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...stream.results import Kind
from ...stream.series import IndexArray, Scan
from ..frame_set import FrameSet

Values = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
TRACE_POINTS = 1 << 20
COARSE = 2.0**20
FINE = 2.0**56
"""Centres of mass are summed in two parts, multiples of 2^-20 and of 2^-56 px, each exact in float64 for
131,072 visits of a pixel: no order of arrival can change the mean."""


class Accumulator(Protocol):
    """State of some channels over a series."""

    kind: Kind

    def add(self, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        """Place values (n, c) of frames ``indices`` (n,), increasing, in scan ``pixels`` (n,)."""

    def keep(self, channels: IndexArray) -> None:
        """Forget all channels but these, which are numbered anew."""

    def arrays(self, channels: slice) -> Arrays:
        """What results show of one channel, or of two that are a vector; valid until the next ``add``."""

    def attrs(self) -> Mapping[str, Any]:
        """What is to be said about the state."""


class NewestImages:
    """Raster or serpentine images: each pixel shows the newest frame (highest index) that fell on it."""

    kind: Kind = "image"

    def __init__(self, shape: tuple[int, int], channels: int) -> None:
        pixels = shape[0] * shape[1]
        self._shape = shape
        self._images = np.full((channels, pixels), np.nan)
        self._newest = np.full(pixels, -1, np.int64)

    def add(self, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        assert pixels is not None
        fresh = (pixels >= 0) & (indices >= self._newest[pixels])
        if not fresh.all():
            pixels, indices, values = pixels[fresh], indices[fresh], values[fresh]
        # Several passes within one block: indices increase and the last assignment to a pixel stays.
        self._newest[pixels] = indices
        for image, channel in zip(self._images, values.T, strict=True):
            image[pixels] = channel

    def keep(self, channels: IndexArray) -> None:
        self._images = self._images[channels]

    def arrays(self, channels: slice) -> Arrays:
        return shown(self._images[channels], self._shape)

    def attrs(self) -> Mapping[str, Any]:
        return {}


class MeanImages:
    """Each pixel shows the mean of all frames that fell on it: explicit positions, or all passes of a scan.

    Where some pixel was visited more than once there is a map ``visits`` (ny, nx) int32.
    ``vectors``: how many of the channels, the first ones, are no whole numbers (see COARSE). Sums of integer
    frames are exact to 2^53; those of floats are rounded as the frames come.
    """

    kind: Kind = "image"

    def __init__(self, shape: tuple[int, int], channels: int, vectors: int = 0) -> None:
        pixels = shape[0] * shape[1]
        self._shape, self._vectors = shape, vectors
        self._sums = np.zeros((channels, pixels))
        self._rest = np.zeros((vectors, pixels))
        self._visits = np.zeros((channels, pixels), np.int32)
        self._seen = FrameSet()

    def add(self, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        assert pixels is not None
        use = self._seen.add(indices) & (pixels >= 0)
        place, values = pixels[use], values[use]
        finite = np.isfinite(values)
        values = np.where(finite, values, 0.0)
        vectors = values[:, : self._vectors]
        coarse = np.rint(vectors * COARSE) / COARSE
        fine = np.rint((vectors - coarse) * FINE) / FINE
        values[:, : self._vectors] = coarse
        _add(self._sums, place, values)
        _add(self._rest, place, fine)
        _add(self._visits, place, finite)

    def keep(self, channels: IndexArray) -> None:
        self._rest = self._rest[channels[channels < self._vectors]]
        self._vectors = len(self._rest)
        self._sums, self._visits = self._sums[channels], self._visits[channels]

    def arrays(self, channels: slice) -> Arrays:
        sums, visits = self._sums[channels], self._visits[channels]
        if channels.start < self._vectors:
            sums = sums + self._rest[channels]
        with np.errstate(invalid="ignore"):
            arrays = shown(np.where(visits > 0, sums / visits, np.nan), self._shape)
        if not (visits > 1).any():
            return arrays
        return {**arrays, "visits": visits[0].reshape(self._shape)}

    def totals(self, channel: int) -> tuple[Values, npt.NDArray[np.int32]]:
        """(pixels,) sums over all visits, and how many those were: views."""
        return self._sums[channel], self._visits[channel]

    def clear(self, channel: int) -> None:
        """Begin a channel at 0; frames that were seen stay seen."""
        self._sums[channel] = 0
        self._visits[channel] = 0

    def attrs(self) -> Mapping[str, Any]:
        return {}


class Trace:
    """Values over the frame index; NaN where a frame is missing. Keeps the newest 2^20 frames."""

    kind: Kind = "curve"

    def __init__(self, channels: int, capacity: int = TRACE_POINTS) -> None:
        self._capacity = capacity
        self._x = np.empty(0, np.int64)
        self._y = np.empty((0, channels))
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
        self._y[indices[kept] - self._base] = np.where(np.isfinite(values[kept]), values[kept], np.nan)

    def keep(self, channels: IndexArray) -> None:
        self._y = self._y[:, channels]

    def arrays(self, channels: slice) -> Arrays:
        rows = slice(self._start - self._base, self._top - self._base)
        y = self._y[rows, channels]
        return {"x": self._x[rows], "y": y[:, 0] if y.shape[1] == 1 else y}

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


def _add(images: npt.NDArray[Any], place: IndexArray, values: npt.NDArray[Any]) -> None:
    """(n, c) values to (c, pixels) images; a place may come several times."""
    for image, channel in zip(images, values.T, strict=True):
        np.add.at(image, place, channel)


def accumulator(scan: Scan | None, channels: int, vectors: int, mean: bool) -> Accumulator:
    """The right one for a scan; ``mean``: of all passes of a raster, instead of the newest."""
    if scan is None:
        return Trace(channels)
    if mean or scan.order == "positions":
        return MeanImages(scan.shape, channels, vectors)
    return NewestImages(scan.shape, channels)


def shown(channels: Values, shape: tuple[int, int]) -> Arrays:
    """One channel (1, pixels) as an image (ny, nx), several as a vector (ny, nx, c); and where known."""
    if len(channels) == 1:
        image = channels[0].reshape(shape)
        return {"image": image, "valid": np.isfinite(image)}
    image = np.stack([channel.reshape(shape) for channel in channels], axis=-1)
    return {"image": image, "valid": np.isfinite(image).all(axis=-1)}
