"""Frames that stay on disk: slices of an array of 3 or 4 dimensions, read in pieces that suit its chunks.

Knows arrays (HDF5, Zarr, dask, memory maps) and no file format.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import SourceError
from ..series import IndexArray
from .acquisition import Array

SLAB_BYTES = 128 << 20
"""One piece read at a time and kept: a chunk of many frames is decoded once, not once a message."""


class LazyStack:
    """Frames (k, h, w) of an array (k, h, w) or (ny, nx, h, w), read when they are asked for.

    Parameters
    ----------
    data : array-like
        With ``shape``, ``dtype`` and slices; ``chunks`` where it is stored in such.
    dtype : numpy.dtype, optional
        Of the frames; must hold every value of ``data``. None = as it is.
    name : str, optional
        For the error when the data cannot be read (SourceError).
    """

    def __init__(self, data: Any, dtype: np.dtype[Any] | None = None, name: str = "the data") -> None:
        self._data, self._name = data, name
        self._line = data.shape[1] if data.ndim == 4 else 1
        self.shape: tuple[int, ...] = (data.shape[0] * self._line, *data.shape[-2:])
        self.dtype = dtype or data.dtype
        self._lines, self._columns = _piece(data, self._line)
        self._kept: tuple[tuple[int, int], Array] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice | IndexArray) -> Array:
        if not isinstance(which, slice):
            return np.concatenate([self[index : index + 1] for index in which.tolist()])
        start, stop, _ = which.indices(len(self))
        if start >= stop:
            return np.empty((0, *self.shape[1:]), self.dtype)
        pieces = []
        while start < stop:
            (first, end), frames = self._slab_of(start)
            pieces.append(frames[start - first : min(stop, end) - first])
            start = min(stop, end)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _slab_of(self, frame: int) -> tuple[tuple[int, int], Array]:
        """The piece with this frame: its half-open range of frames, and them."""
        if self._kept is None or not self._kept[0][0] <= frame < self._kept[0][1]:
            try:
                self._kept = self._read(frame)
            except Exception as error:  # whatever a library makes of damaged bytes
                raise SourceError(
                    f"{self._name}: the frames from {frame} on cannot be read: {error}"
                ) from error
        return self._kept

    def _read(self, frame: int) -> tuple[tuple[int, int], Array]:
        line, column = divmod(frame, self._line)
        if self._columns < self._line:
            column -= column % self._columns
            part = self._data[line, column : column + self._columns]
            first = line * self._line + column
        else:
            line -= line % self._lines
            part = self._data[line : line + self._lines]
            first = line * self._line
        frames = np.ascontiguousarray(part, self.dtype).reshape(-1, *self.shape[1:])
        return (first, first + len(frames)), frames


def _piece(data: Any, line: int) -> tuple[int, int]:
    """Lines and columns of one piece: whole chunks, as many as fit SLAB_BYTES, at least one."""
    frame_bytes = math.prod(data.shape[-2:]) * data.dtype.itemsize
    lines, columns = (_chunk_length(data, axis) for axis in (0, 1))
    if data.ndim == 3:
        return max(1, SLAB_BYTES // (lines * frame_bytes)) * lines, 1
    if lines * line * frame_bytes <= SLAB_BYTES:
        return max(1, SLAB_BYTES // (lines * line * frame_bytes)) * lines, line
    if line * frame_bytes <= SLAB_BYTES:
        return max(1, SLAB_BYTES // (line * frame_bytes)), line
    return 1, min(line, max(1, SLAB_BYTES // (columns * frame_bytes)) * columns)


def _chunk_length(data: Any, axis: int) -> int:
    """Longest chunk along an axis; 1 where the array is not chunked. dask says all of them, others one."""
    chunks = getattr(data, "chunks", None)
    if not chunks:
        return 1
    along = chunks[axis]
    return max(1, max(along) if isinstance(along, tuple) else int(along))
