"""Recordings read back: frames by number, exactly as they were received, holes where there were holes.

Every payload is held against its checksum, so that a damaged file gives fewer frames, never a wrong one. A
recording that is still being written, or whose writer was killed, is read up to its last flush.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filters of compressed frames)
import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..checksum import checksum, checksums
from ..messages import TABLES
from ..series import DTYPES, ENCODINGS, MAX_DIM, IndexArray, Series
from .acquisition import Acquisition, Array, FrameBank, Positions
from .chunk_places import MAX_FRAMES, ChunkPlaces
from .recording_layout import (
    ACCOUNTS,
    BOOKS,
    COLUMNS,
    DATA,
    DETECTOR,
    ENCODING,
    FRAMES,
    POSITION,
    POSITION_SUM,
    ROWS_PER_CHUNK,
    SERIES,
    SUM,
    VERSION,
    VERSION_ATTRIBUTE,
    WRITER,
    frames_per_chunk,
    is_alive,
    position_sums,
    unpack_series,
)
from .superblock import AsClosed, BrokenSuperblockError, Superblock

Payload = bytes | memoryview
Joined = tuple[npt.NDArray[np.uint8], IndexArray]
MAX_TABLE = 4 * MAX_DIM**2
UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError)
"""What h5py makes of damage, as it meets it."""
NEEDED = ("valid", "size", "xxh64", POSITION, POSITION_SUM)
"""Columns without which a frame is not given out."""
FEW = 16
"""Frames for which alone it is not worth to look up where all of them lie."""


def is_recording(path: str | PathLike[str]) -> bool:
    """Whether a file is a recording of livem, sound or not; False for any other file."""
    try:
        with _open(Path(path)) as file:
            return VERSION_ATTRIBUTE in file.attrs
    except (*UNREADABLE, SourceError):
        return False


def open_recording(path: str | PathLike[str]) -> Recording:
    """Open a recording; it stays open until it is closed or forgotten.

    Raises
    ------
    SourceError
        When it is no recording, is of a later version, or is damaged where nothing can be read without it.
    """
    where = Path(path)
    return _as_recording(where, _open(where))


def open_as_closed(path: Path, header: Superblock) -> Recording:
    """Open a recording as it will be with its first bytes put right; on the disk nothing changes.

    Raises SourceError as ``open_recording`` does.
    """
    try:
        file = h5py.File(AsClosed(path, header), "r", libver="latest")
    except UNREADABLE as error:
        raise SourceError(f"{path} cannot be opened as a recording: {_words(error)}") from error
    return _as_recording(path, file)


def _as_recording(path: Path, file: h5py.File) -> Recording:
    try:
        return Recording(path, file)
    except SourceError:
        file.close()
        raise
    except UNREADABLE as error:
        file.close()
        raise SourceError(
            f"{path} cannot be read as a recording: it is damaged where nothing can be read without it "
            f"({_words(error)}); `livem repair` cannot mend that: use a copy"
        ) from error


def _words(error: BaseException) -> str:
    """A KeyError quotes its text."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _open(path: Path) -> h5py.File:
    try:
        header = Superblock.read(path)
        if header.half_made:
            raise SourceError(
                f"{path} was being made or mended when that was interrupted; `livem repair` tells whether "
                "there are frames in it"
            )
        if header.clean:
            return h5py.File(path, "r", libver="latest")
        return _open_marked(path, header)
    except (*UNREADABLE, BrokenSuperblockError) as error:
        raise SourceError(f"{path} cannot be opened as a recording: {_words(error)}") from error


def _open_marked(path: Path, header: Superblock) -> h5py.File:
    """A file whose header says that it is being written: by a living process, or by one that was killed.

    HDF5 opens such a file for concurrent reading only, and then takes damage for a write in progress: it
    waits and reads again, for minutes at a single damaged block. So only who sees the writer alive reads
    like that; anybody else as if it were closed.
    """
    file = h5py.File(AsClosed(path, header), "r", libver="latest")
    if not _writer_alive(file):
        return file
    file.close()
    return h5py.File(path, "r", libver="latest", swmr=True)


def _writer_alive(file: h5py.File) -> bool:
    try:
        return is_alive(str(file[BOOKS].attrs.get(WRITER, "")))
    except UNREADABLE:
        return False  # so damaged that nobody can be writing it


class Recording(Acquisition):
    """One recorded series. Use ``open_recording``.

    Frames behind the last begin again, as those of every Acquisition do.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        version = file.attrs.get(VERSION_ATTRIBUTE)
        if version is None:
            raise SourceError(f"{path} is an HDF5 file, but no recording of livem")
        if int(version) > VERSION:
            raise SourceError(f"{path} has version {version}, this livem reads up to {VERSION}: update livem")
        self.path, self._file, self._swmr = path, file, bool(file.swmr_mode)
        announced = unpack_series(_announcement(path, file[SERIES]), str(path))
        self._data = file[DATA]
        _check_data(path, self._data, announced)
        self.encoding = self._data.attrs[ENCODING]
        self.announced = announced
        """As the detector announced it."""
        self.accounts = _accounts(file)
        """What was received, lost, rejected, and how the series ended; "state" is "open" after a kill."""
        self._columns = {name: file[FRAMES][name] for name in COLUMNS if name in file[FRAMES]}
        self.rows = min(len(self._data), *(len(column) for column in self._columns.values()))
        """Frames that the last flush knew of, holes included."""
        self._per_chunk = frames_per_chunk(announced, self.encoding)
        self.name, self.files = path.name, (path,)
        self.scan, self.meta = announced.scan, {"title": path.stem, **announced.meta}
        self.count = announced.count or max(self.rows, int(self.accounts.get("sent") or 0), 1)
        self.bank = FrameBank(_Frames(self))
        self._places: ChunkPlaces | None = None
        self._may_look_up = not self._swmr and self._per_chunk == 1 and len(self._data) <= MAX_FRAMES
        self._last: tuple[tuple[int, int], Joined] = (0, 0), _joined([])

    @property
    def series(self) -> Series:
        """The announcement with the encoding of ``payloads``."""
        return replace(self.announced, encoding=self.encoding)

    @property
    def state(self) -> str:
        """ "complete", "incomplete", or "open": still being written, or its writer was killed."""
        return str(self.accounts.get("state", "open"))

    @property
    def writer_alive(self) -> bool:
        """Whether it is being written at this moment, by a process of this computer."""
        return self._swmr and _writer_alive(self._file)

    def close(self) -> None:
        if self._places is not None:
            self._places.close()
        self._data, self._columns = None, {}
        self._file.close()

    def payloads(self, first: int, n: int) -> list[bytes]:
        """n payloads, byte for byte as they are stored; empty where a frame is absent or damaged."""
        data, sizes = self.joined(first, n)
        whole, stops = data.data, np.cumsum(sizes)
        return [bytes(whole[a:b]) for a, b in zip((stops - sizes).tolist(), stops.tolist(), strict=True)]

    def joined(self, first: int, n: int) -> Joined:
        """The same, back to back, and the bytes of each."""
        parts = [self._sound(start, stop) for start, stop in self._pieces(first, n)]
        if len(parts) == 1:
            return parts[0]
        data, sizes = zip(_joined([]), *parts, strict=True)
        return np.concatenate(data), np.concatenate(sizes)

    def present(self, first: int, n: int) -> npt.NDArray[np.bool_]:
        """(n,) which frames are there and sound; reads them."""
        there: npt.NDArray[np.bool_] = self.joined(first, n)[1] > 0
        return there

    def recorded(self, first: int, n: int) -> npt.NDArray[np.bool_]:
        """(n,) which frames were written, without reading them."""
        return self._column("valid", first, n).astype(bool)

    def times(self, first: int, n: int) -> IndexArray | None:
        """(n,) ns since the Unix epoch, 0 where unknown; None when no frame of these has a time."""
        times = self._column("timestamp", first, n)
        return times if times.any() else None

    def positions(self, first: int, n: int) -> Positions | None:
        """(n, 2) float32 (y, x) in scan pixels; None unless the scan is one of explicit positions."""
        return self._column(POSITION, first, n) if POSITION in self._columns else None

    def sure_positions(self, first: int, n: int) -> Positions | None:
        """(n, 2) as ``positions``, NaN, which is no place, where one is damaged; reads no frame."""
        positions = self.positions(first, n)
        if positions is not None:
            placed = np.concatenate([self._placed(start, stop) for start, stop in self._pieces(first, n)])
            positions[~placed] = np.nan
        return positions

    def tables(self) -> Mapping[str, Array]:
        """Pixel mask, flatfield, count rates, as far as the detector sent them and they can be read."""
        found = {name: self._table(name) for name in TABLES}
        return {name: table for name, table in found.items() if table is not None}

    def _table(self, name: str) -> Array | None:
        try:
            table = self._file[DETECTOR].get(name)
            values = None if table is None or table.size > MAX_TABLE else np.asarray(table)
            return values if values is None or _is_whole(table, values.tobytes()) else None
        except UNREADABLE:
            return None  # this part of the file is gone: the frames are not

    def truth(self) -> Mapping[str, Array]:
        """Nothing: a recording tells what was measured."""
        return {}

    def decoded(self, first: int, n: int) -> Array:
        """(n, h, w) frames; zeros where a frame is absent or damaged."""
        frames = np.zeros((n, *self.announced.shape), self.announced.numpy_dtype)
        there = self.present(first, n)
        for start, stop in _runs(there):
            frames[start:stop] = self._data[first + start : first + stop]
        return frames

    # -- inside --------------------------------------------------------------------------------------

    def _pieces(self, first: int, n: int) -> list[tuple[int, int]]:
        """The asked range as ranges below ``count``."""
        assert self.count is not None
        pieces, start = [], first % self.count
        while n > 0:
            stop = min(start + n, self.count)
            pieces.append((start, stop))
            start, n = 0, n - (stop - start)
        return pieces

    def _column(self, name: str, first: int, n: int) -> Array:
        """Rows of one data set; zeros behind its end and where its file is damaged."""
        parts = [self._rows_of(name, start, stop) for start, stop in self._pieces(first, n)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _rows_of(self, name: str, start: int, stop: int) -> Array:
        column = self._columns[name]
        values = np.zeros((stop - start, *column.shape[1:]), column.dtype)
        known = max(start, min(stop, self.rows)) - start
        try:
            values[:known] = column[start : start + known]
        except (OSError, RuntimeError):
            for at in range(start - start % ROWS_PER_CHUNK, start + known, ROWS_PER_CHUNK):
                a, b = max(start, at), min(start + known, at + ROWS_PER_CHUNK)
                with contextlib.suppress(OSError, RuntimeError):  # gone: its frames are absent
                    values[a - start : b - start] = column[a:b]
        return values

    def _sound(self, start: int, stop: int) -> Joined:
        """Payloads that match their checksum. The last range is kept: who asks for one asks twice."""
        if self._last[0] != (start, stop):
            valid, sizes, sums = (self._rows_of(name, start, stop) for name in ("valid", "size", "xxh64"))
            there = (valid & self._placed(start, stop)).astype(np.bool_)
            found = self._at_once(start, np.where(there, sizes, 0), sums)
            if found is None or (found[1] == 0)[there].any():
                found = self._one_by_one(start, there, sizes, sums)
            self._last = (start, stop), found
        return self._last[1]

    def _at_once(self, start: int, sizes: IndexArray, sums: Array) -> Joined | None:
        """All of these frames from the file itself; None unless every one is as it was written.

        4 us a frame of 9 KiB, rows and checksum included; asking HDF5 for each takes 11 to 14.
        """
        if (places := self._find_places(len(sizes))) is None:
            return None
        try:
            payload = places.read(start, sizes)
        except (OSError, ValueError):
            return None
        if payload is None or not _match(payload, sizes, sums).all():
            return None
        payload.flags.writeable = False
        return payload, sizes

    def _find_places(self, wanted: int) -> ChunkPlaces | None:
        """Looked up at the first request that is worth it, and never while the file grows."""
        if self._places is None and self._may_look_up and wanted >= FEW:
            self._may_look_up = False
            with contextlib.suppress(*UNREADABLE):  # HDF5 is asked for each frame, and tells
                self._places = ChunkPlaces(self._data, self.path)
        return self._places

    def _one_by_one(self, start: int, there: npt.NDArray[np.bool_], sizes: IndexArray, sums: Array) -> Joined:
        """The frames of these that HDF5 finds and that are as they were written."""
        frames = zip(itertools.count(start), there.tolist(), strict=False)
        stored = [self._payload(index) if wanted else b"" for index, wanted in frames]
        data, lengths = _joined(stored)
        sound = (lengths == sizes) & _match(data, lengths, sums)
        if (sound | (lengths == 0)).all():
            return data, lengths
        return _joined(
            [payload if good else b"" for payload, good in zip(stored, sound.tolist(), strict=True)]
        )

    def _placed(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """(n,) whether a frame's own position is as it was written; true where there is none."""
        if POSITION_SUM not in self._columns:
            return np.ones(stop - start, np.bool_)
        if self.index_fault and self._fault_of(POSITION, POSITION_SUM):
            return np.zeros(stop - start, np.bool_)  # zeros would be believed
        positions, sums = (self._rows_of(name, start, stop) for name in (POSITION, POSITION_SUM))
        placed: npt.NDArray[np.bool_] = (sums == position_sums(positions)) | (sums == 0)
        return placed

    @cached_property
    def index_fault(self) -> str | None:
        """Why frames or their rows cannot be looked up, though they may be there: HDF5's index is damaged.

        Walks through all of it: 0.1 us a frame.
        """
        return self._fault_of(DATA, *NEEDED)

    def _fault_of(self, *names: str) -> str | None:
        for name in names:
            dataset = self._data if name == DATA else self._columns.get(name)
            if dataset is None:
                continue
            try:
                dataset.id.get_num_chunks()
            except (OSError, RuntimeError) as error:
                return f"{dataset.name}: {str(error).splitlines()[0]}"
        return None

    def fingerprints(self, first: int, n: int) -> tuple[IndexArray, npt.NDArray[np.uint64]]:
        """(n,) bytes and (n,) XXH64 of each payload, even if it is marked as absent; 0 = none was written."""
        return self._column("size", first, n), self._column("xxh64", first, n)

    def _payload(self, index: int) -> bytes:
        try:
            return self._stored(index)
        except (OSError, RuntimeError, ValueError):
            return b""

    def _stored(self, index: int) -> bytes:
        if self._per_chunk > 1:
            return bytes(self._data[index].tobytes())
        return bytes(self._data.id.read_direct_chunk((index, 0, 0))[1])


class _Frames:
    """Decoded frames of a recording, as a Stack."""

    def __init__(self, recording: Recording) -> None:
        assert recording.count is not None
        self._recording = recording
        self.shape: tuple[int, ...] = (recording.count, *recording.announced.shape)
        self.dtype = recording.announced.numpy_dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice) -> Array:
        start, stop, _ = which.indices(len(self))
        return self._recording.decoded(start, max(0, stop - start))


def _joined(payloads: list[bytes]) -> Joined:
    """Back to back, and the bytes of each."""
    lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
    return np.frombuffer(b"".join(payloads), np.uint8), lengths


def _match(data: npt.NDArray[np.uint8], lengths: IndexArray, sums: Array) -> npt.NDArray[np.bool_]:
    """(n,) whether each payload has its checksum, or is empty.

    All at once: a checksum each would cost 12 us a frame, as much as reading it.
    """
    same: npt.NDArray[np.bool_] = (checksums(data, np.cumsum(lengths)) == sums) | (lengths == 0)
    return same


def _check_data(path: Path, data: Any, announced: Series) -> None:
    """The frames' data set is what the announcement says. Raises SourceError."""
    if not isinstance(data, h5py.Dataset) or data.shape[1:] != announced.shape:
        raise SourceError(f"{path}: {DATA} does not hold frames of {announced.shape}")
    if data.dtype != DTYPES[announced.dtype]:
        raise SourceError(f"{path}: {DATA} has pixels of {data.dtype}, announced are {announced.dtype}")
    if data.attrs.get(ENCODING) not in ENCODINGS:
        raise SourceError(f"{path}: {DATA} has the encoding {data.attrs.get(ENCODING)!r}, not known here")


def _text(dataset: h5py.Dataset) -> str:
    value = dataset[()]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _announcement(path: Path, dataset: h5py.Dataset) -> str:
    """A wrong axis or scan would be believed: one that is not as it was written is not read."""
    text = _text(dataset)
    if not _is_whole(dataset, text.encode()):
        raise SourceError(f"{path}: its announcement ({SERIES}) is damaged: what its frames are is not sure")
    return text


def _is_whole(dataset: h5py.Dataset, data: bytes) -> bool:
    """Whether data are as they were written; true in recordings from before they had a checksum."""
    return bool(dataset.attrs.get(SUM, checksum(data)) == checksum(data))


def _accounts(file: h5py.File) -> dict[str, Any]:
    """The accounts as far as they can be read: frames are worth more than numbers about them."""
    try:
        accounts = json.loads(_text(file[ACCOUNTS]))
    except (OSError, RuntimeError, KeyError, ValueError, RecursionError):
        return {}
    return accounts if isinstance(accounts, dict) else {}


def _runs(there: npt.NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    """Half-open ranges of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], there, [False])).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
