"""One recording while it is written: frames go in as they were received, each to the place of its own index.

What ``flush`` has returned for is in the file whatever becomes of this process. Knows no ring, no policy and
no disk space: what HDF5 and the disk refuse is raised.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5s

from ..checksum import checksums
from ..files.recording_layout import (
    ACCOUNTS,
    ACCOUNTS_BYTES,
    DATA,
    FRAMES,
    HEADERS_MADE,
    POSITION,
    POSITION_SUM,
    SMALL_FRAME,
    frames_per_chunk,
    position_sums,
)
from ..messages import BSLZ4_HEADER
from ..series import Series
from . import nexus
from .chunk_driver import NAME as DRIVER
from .chunk_driver import find_driver
from .chunk_writer import ChunkWriter
from .chunks import Compressor

Bytes = npt.NDArray[np.uint8]
Rows = dict[str, npt.NDArray[Any]]
BSLZ4_BLOCK = 8192
"""What a payload that came without its header was made with: bitshuffle's choice for all pixel types."""
MAX_INDEX = 1 << 31
"""HDF5's index of chunks has room for 2^32; a frame beyond this is a fault of its sender."""


class RecordingFile:
    """An open recording.

    Parameters
    ----------
    path : path
        Must not exist.
    series : Series
        As announced.
    compress : bool, optional
        Whether frames that come raw are stored as bslz4; those below 4 KiB never are.

    Raises
    ------
    OSError
        When the file cannot be made. Every other method may raise it too, and RuntimeError: both as HDF5
        says it. What was flushed before stays readable.
    """

    def __init__(self, path: Path, series: Series, compress: bool = False) -> None:
        self.path, self.series = path, series
        worth_it = series.encoding == "raw" and series.frame_bytes >= SMALL_FRAME
        self._compressor = Compressor(series) if compress and worth_it else None
        self.encoding = "bslz4" if self._compressor else series.encoding
        driver = find_driver()
        self._file = nexus.create(path, series, self.encoding, None if driver is None else DRIVER)
        self._data = self._file[DATA]
        self._columns = {name: _Column(dataset) for name, dataset in self._file[FRAMES].items()}
        self._per_chunk = frames_per_chunk(series, self.encoding)
        self._chunks = ChunkWriter(self._data, path, driver)
        self._telling = _telling_byte(series.frame_bytes)
        self._waiting: list[Rows] = []
        self._interval_ns = round(float(series.meta.get("frame_time", 0)) * 1e9)
        self.frames = 0
        """Written so far."""
        self.flushed = 0
        """Of these, in the file for good."""
        self.bytes = 0
        """Of their payloads."""
        self.headers_made = 0
        self.waiting_bytes = 0
        """Of payloads that were appended since the last flush."""
        self._extent = self._length = 0
        self._named = False

    @property
    def waiting(self) -> int:
        """Frames that were appended since the last flush."""
        return self.frames - self.flushed

    def append(
        self,
        first: int,
        count: int,
        payload: Bytes,
        sizes: npt.NDArray[np.int64] | None,
        positions: npt.NDArray[np.float32] | None = None,
        time_ns: int | None = None,
    ) -> None:
        """Write consecutive frames (see series.Block); frames behind others, late ones, as well.

        Raises ValueError when an index is beyond MAX_INDEX.
        """
        if first + count > MAX_INDEX:
            raise ValueError(f"frame {first + count - 1} is beyond {MAX_INDEX - 1}, the last that a file has")
        stored, sizes = self._as_stored(payload, sizes, count)
        ends = np.cumsum(sizes)
        self._set_extent(max(self._extent, first + count))
        if self._per_chunk == 1:
            self._chunks.write(first, stored, ends)
        else:
            frames = stored.view(self.series.numpy_dtype).reshape(-1, *self.series.shape)
            _Column(self._data).put(first, frames, self._extent)
        indices = np.arange(first, first + count, dtype=np.int64)
        rows: Rows = {
            "index": indices,
            "valid": np.ones(count, np.uint8),
            "timestamp": self._times(indices, time_ns),
            "size": np.array(sizes, np.int64),
            "xxh64": checksums(stored, ends),
        }
        if positions is not None:
            rows[POSITION] = np.array(positions, np.float32)
            rows[POSITION_SUM] = position_sums(rows[POSITION])
        self._waiting.append(rows)
        self.frames += count
        self.bytes += stored.nbytes
        self.waiting_bytes += stored.nbytes

    def forget(self) -> None:
        """Take back the last ``append``: its frames stay absent."""
        rows = self._waiting.pop()
        nbytes = int(rows["size"].sum())
        self.frames -= len(rows["index"])
        self.bytes -= nbytes
        self.waiting_bytes -= nbytes

    def _as_stored(
        self, payload: Bytes, sizes: npt.NDArray[np.int64] | None, count: int
    ) -> tuple[Bytes, npt.NDArray[np.int64]]:
        """The payloads as the file takes them, and the bytes of each."""
        if self._compressor is not None:
            return self._compressor.compress(payload)
        if sizes is None:
            return payload, np.full(count, self.series.frame_bytes, np.int64)
        return (self._with_headers(payload, sizes) if self.encoding == "bslz4" else payload), sizes

    def _set_extent(self, stop: int) -> None:
        if stop != self._extent:
            self._data.id.set_extent((stop, *self.series.shape))
            self._extent = stop

    def _times(self, indices: npt.NDArray[np.int64], time_ns: int | None) -> npt.NDArray[np.int64]:
        """A message tells the time of its first frame; the others follow at the announced interval."""
        if time_ns is None:
            return np.zeros(len(indices), np.int64)
        times: npt.NDArray[np.int64] = time_ns + (indices - indices[0]) * self._interval_ns
        return times

    def _with_headers(self, payload: Bytes, sizes: npt.NDArray[np.int64]) -> Bytes:
        """The payloads; a true bslz4 header where one has zeros (LiberTEM's simulated detector).

        HDF5 cannot decode the frame otherwise.
        """
        starts = np.cumsum(sizes) - sizes
        # One byte that a true header never has as 0 tells at once: 12 of each cost 0.3 us a frame.
        missing = starts[payload[starts + self._telling] == 0]
        missing = missing[~payload[missing[:, None] + np.arange(BSLZ4_HEADER.size)].any(axis=1)]
        if not len(missing):
            return payload
        mended = payload.copy()
        header = np.frombuffer(BSLZ4_HEADER.pack(self.series.frame_bytes, BSLZ4_BLOCK), np.uint8)
        mended[missing[:, None] + np.arange(BSLZ4_HEADER.size)] = header
        self.headers_made += len(missing)
        self._data.attrs.modify(HEADERS_MADE, self.headers_made)
        return mended

    def flush(self) -> None:
        """Put all that was appended into the file, so that a reader beside or after this process has it."""
        for rows in _runs(self._waiting):
            first = int(rows["index"][0])
            self._length = max(self._length, first + len(rows["index"]))
            for name, values in rows.items():
                self._columns[name].put(first, values, self._length)
        self._waiting.clear()
        self._file.flush()
        self.flushed, self.waiting_bytes = self.frames, 0

    def write_accounts(self, accounts: Mapping[str, Any]) -> None:
        """Enter how the series ended (JSON values), and when."""
        text = json.dumps(accounts)
        if len(text) > ACCOUNTS_BYTES:
            text = json.dumps({"state": accounts.get("state"), "reason": "the accounts are too long to keep"})
        self._file[ACCOUNTS][()] = text.encode()
        self._file["entry/end_time"][()] = nexus.now().encode()

    def close(self) -> None:
        """Flush and close. The file is valid for every reader then, and for good."""
        try:
            self.flush()
            if self._extent > self._length:  # what was begun when the disk refused: half a chunk, maybe
                self._set_extent(self._length)
        finally:
            self._chunks.close()
            self._data, self._columns = None, {}
            self._file.close()

    def sync(self) -> None:
        """Wait until the disk has what was flushed. May be called from another thread."""
        _sync(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        if not self._named and os.name == "posix":
            _sync(self.path.parent, os.O_RDONLY)  # its name in the folder too
            self._named = True


def _telling_byte(frame_bytes: int) -> int:
    """Which byte of a bslz4 header of such frames is not 0."""
    return int(np.flatnonzero(np.frombuffer(BSLZ4_HEADER.pack(frame_bytes, BSLZ4_BLOCK), np.uint8))[0])


def _sync(path: Path, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _runs(appended: Sequence[Rows]) -> list[Rows]:
    """Rows joined where they follow each other: each data set is then written once a flush."""
    runs: list[list[Rows]] = []
    for rows in appended:
        follows = runs and runs[-1][-1]["index"][-1] + 1 == rows["index"][0]
        runs[-1].append(rows) if follows else runs.append([rows])
    return [{name: np.concatenate([rows[name] for rows in run]) for name in run[0]} for run in runs]


class _Column:
    """A growing data set whose rows are put in by the low-level calls: h5py's own cost 50 us more each."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._id, self._type = dataset.id, dataset.id.get_type()
        self._rest = dataset.shape[1:]
        self._length = len(dataset)

    def put(self, first: int, values: npt.NDArray[Any], length: int) -> None:
        """``dataset[first:first+n] = values`` after growing it to ``length``."""
        if length != self._length:
            self._id.set_extent((length, *self._rest))
            self._length = length
        target = h5s.create_simple((length, *self._rest))
        target.select_hyperslab((first, *(0 for _ in self._rest)), values.shape)
        self._id.write(h5s.create_simple(values.shape), target, np.ascontiguousarray(values), self._type)
