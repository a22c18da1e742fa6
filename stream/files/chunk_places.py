"""Where the frames of an HDF5 data set lie in its file, and many of them read from there at once.

For data sets with one frame a chunk. HDF5 is asked once for all places; frames that lie one behind another
are then one reading of the file. Knows no checksum: whoever reads like this must see whether it got what was
written, and ask HDF5 itself where not.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from collections import deque
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from numba import cfunc, types

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.int64]

MAX_FRAMES = 1 << 22
"""Of a data set whose places are looked up, at 0.4 us and 16 bytes each: a first picture waits for it."""
SPARE = 6
"""Blocks of memory kept for the next readings: as many as a replay has under way."""
LIBRARY = (1, 14)
"""HDF5's first with this callback."""
_PLACE = types.int32(
    types.CPointer(types.uint64), types.uint32, types.uint64, types.uint64, types.CPointer(types.int64)
)


@cfunc(_PLACE, cache=True)
def _note(position: Any, _mask: int, offset: int, size: int, table: Any) -> int:
    """H5Dchunk_iter's callback: into a table of (offset, size) behind the number of its rows."""
    frame = np.int64(position[0])
    if frame < table[0]:
        table[1 + 2 * frame] = offset
        table[2 + 2 * frame] = size
    return 0


class ChunkPlaces:
    """The places of all frames of a data set that is not being written, and its file to read from.

    Parameters
    ----------
    data : h5py.Dataset
        (n, h, w) in chunks of one frame.
    path : Path
        Its file.

    Raises
    ------
    OSError, RuntimeError
        As HDF5 says it when its index is damaged, or when the file cannot be opened once more.
    """

    def __init__(self, data: h5py.Dataset, path: Path) -> None:
        self._offsets, self._sizes = _look_up(data)
        self._memory = _Memory()
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._file = open(handle, "rb", buffering=0, closefd=False)  # noqa: SIM115 - see close
        self._close = weakref.finalize(self, os.close, handle)

    def read(self, first: int, sizes: Table) -> Bytes | None:
        """Frames ``first ...`` as they are stored, back to back.

        Parameters
        ----------
        first : int
        sizes : (n,) int64
            Bytes of each; 0 = not to be read.

        Returns
        -------
        (bytes,) uint8, or None when one of them is not stored in so many bytes, or the file ends before it.
        """
        wanted = np.flatnonzero(sizes)
        frames, lengths = first + wanted, sizes[wanted]
        if len(wanted) and frames[-1] >= len(self._sizes):
            return None
        if not np.array_equal(self._sizes[frames], lengths):
            return None
        payload = self._memory.take(int(lengths.sum()))
        return payload if self._fill(payload.data, self._offsets[frames], lengths) else None

    def _fill(self, target: memoryview, offsets: Table, lengths: Table) -> bool:
        """Whether all bytes were there; frames that touch in the file are one reading."""
        runs = np.flatnonzero(np.diff(offsets, prepend=-1) != np.concatenate(([0], lengths[:-1])))
        starts = (np.cumsum(lengths) - lengths)[runs]
        stops = np.append(starts, len(target))[1:]
        for offset, start, stop in zip(offsets[runs].tolist(), starts.tolist(), stops.tolist(), strict=True):
            self._file.seek(offset)
            if not self._read_into(target[start:stop]):
                return False
        return True

    def _read_into(self, target: memoryview) -> bool:
        while len(target):
            done = self._file.readinto(target)  # Linux gives 2 GiB at once at most
            if not done:
                return False
            target = target[done:]
        return True

    def close(self) -> None:
        """Let go of the file; done too when nobody has this any more. May be called again."""
        self._close()


class _Memory:
    """Memory to read into, used again when nobody has it any more: new pages cost 1 us a frame."""

    def __init__(self) -> None:
        self._free: deque[bytearray] = deque(maxlen=SPARE)

    def take(self, nbytes: int) -> Bytes:
        """(nbytes,) of whatever was there before; every view of it keeps it."""
        block = self._free.pop() if self._free else bytearray()
        if len(block) < nbytes:
            block = bytearray(nbytes + nbytes // 8)
        whole = np.frombuffer(block, np.uint8)  # what views of views refer to, as it does not own its bytes
        weakref.finalize(whole, self._free.append, block).atexit = False
        return whole[:nbytes]


def _look_up(data: h5py.Dataset) -> tuple[Table, Table]:
    """(n,) where in the file each frame begins, and (n,) its bytes; 0 where there is none."""
    rows = len(data)
    table = np.zeros(1 + 2 * rows, np.int64)
    table[0] = rows
    data.id.get_num_chunks()  # raises h5py's errors: HDF5 would print those of a call past h5py
    if not _note_compiled(data, table):
        data.id.chunk_iter(functools.partial(_note_one, table))
    return table[1::2].copy(), table[2::2].copy()


def _note_compiled(data: h5py.Dataset, table: Table) -> bool:
    """Whether it could be done without h5py, whose callback costs 4 us a chunk."""
    if (function := _chunk_iter()) is None:
        return False
    from h5py._objects import phil

    with phil:
        return bool(function(data.id.id, 0, _note.address, table.ctypes.data) >= 0)


def _note_one(table: Table, chunk: Any) -> None:
    frame = chunk.chunk_offset[0]
    if frame < table[0]:
        table[1 + 2 * frame : 3 + 2 * frame] = chunk.byte_offset, chunk.size


@functools.cache
def _chunk_iter() -> Any:
    """H5Dchunk_iter of the HDF5 that h5py uses; None = not to be had.

    On Linux and macOS a symbol is looked up in a library and in all that it depends on.
    """
    try:
        from h5py import defs

        function = ctypes.CDLL(defs.__file__).H5Dchunk_iter
    except (ImportError, OSError, AttributeError):
        return None
    if h5py.version.hdf5_version_tuple < LIBRARY:
        return None
    word = ctypes.c_int64
    function.argtypes, function.restype = (word, word, ctypes.c_void_p, ctypes.c_void_p), ctypes.c_int
    return function
