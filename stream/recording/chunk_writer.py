"""Payloads of a whole block into chunks of their own, at little more than what HDF5 itself costs.

HDF5 takes one chunk a call. h5py adds 3 us to each, and the file system 5 us for a write. A compiled loop
saves the first; one write for the whole block, which HDF5 then leaves out (chunk_driver.py), most of the
second. Chunks of 9 KiB went from 11 to 2.5 us each (ext4, Linux 6.18). Knows no rows, no flush and no ring.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import int64, njit, types
from numba.extending import intrinsic

from .chunk_driver import ChunkDriver

Bytes = npt.NDArray[np.uint8]
Ends = npt.NDArray[np.int64]

PIECE_BYTES = 256 << 10
"""Of one write in advance. Larger ones make folios so large that ext4 looks through hundreds of 4 KiB buffers
at each small write into them, where HDF5 does not leave it out: 3.5 us a frame of 9 KiB for pieces of 128 and
256 KiB, 4.4 for 1 MiB and more, 6.8 without. Where it does: 2.5 us, and 2.4 for 1 MiB and more."""
SMALL_PAYLOAD = 64 << 10
"""Payloads above that are many pages each: writing them in advance saved nothing."""
FEW = 4
"""Frames of a block that are not worth a second system call."""
_PAYLOAD = types.Array(types.uint8, 1, "C", readonly=True)
_WORD, _INT = ir.IntType(64), ir.IntType(32)


class ChunkWriter:
    """Writes frames (n, h, w) of one data set, a chunk each, untouched by any filter.

    Parameters
    ----------
    data : h5py.Dataset
        Chunks of one frame.
    path : Path
        Its file.
    driver : ChunkDriver, optional
        The one that the file was opened with.
    """

    def __init__(self, data: h5py.Dataset, path: Path, driver: ChunkDriver | None = None) -> None:
        self._data, self._file, self._driver = data.id, data.file.id, driver
        self._call = find_call()
        self._pages = os.open(path, os.O_WRONLY) if sys.platform == "linux" else None

    def write(self, first: int, payload: Bytes, ends: Ends) -> None:
        """The payloads of frames ``first ...``, back to back; ``ends`` (n,) is where each ends.

        Raises OSError or RuntimeError as HDF5 says it; frames before the one that failed are in the file.
        """
        at = self._write_ahead(payload, len(ends))
        with self._leaving_out(payload, at):
            done = self._write_compiled(first, payload, ends)
        start = int(ends[done - 1]) if done else 0
        for index, end in enumerate(ends[done:].tolist(), first + done):
            self._data.write_direct_chunk((index, 0, 0), payload[start:end])
            start = end

    def _write_ahead(self, payload: Bytes, count: int) -> int | None:
        """Write the block where HDF5 is going to put its chunks, behind the end of the file: where, or None.

        HDF5 leaves out what it puts there, and writes into its own places what it puts elsewhere. Without the
        driver it writes all of it once more, into pages that are there: this only makes it cheap. Nothing
        refers to these bytes yet, whatever becomes of the process.
        """
        if self._pages is None or count < FEW or payload.nbytes > count * SMALL_PAYLOAD:
            return None
        end = int(self._file.get_filesize())
        try:
            _write_pieces(self._pages, end, payload.data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._pages, end)  # a full disk needs the room for ending the file
            raise
        return end

    def _leaving_out(self, payload: Bytes, at: int | None) -> contextlib.AbstractContextManager[None]:
        if self._driver is None or at is None:
            return contextlib.nullcontext()
        return self._driver.leaving_out(payload, at)

    def _write_compiled(self, first: int, payload: Bytes, ends: Ends) -> int:
        """Frames that were written; the next one is h5py's, which knows how to tell an error."""
        if self._call is None:
            return 0
        address, lock = self._call
        with lock:
            return int(write_chunks(address, self._data.id, first, payload, ends))

    def close(self) -> None:
        """Let go of the file. May be called again."""
        pages, self._pages = self._pages, None
        if pages is not None:
            os.close(pages)


def _write_pieces(file: int, start: int, payload: memoryview) -> None:
    """A payload to the bytes ``start ...`` of a file, in pieces that end at multiples of PIECE_BYTES."""
    done = 0
    while done < len(payload):
        stop = done + PIECE_BYTES - (start + done) % PIECE_BYTES
        done += os.pwrite(file, payload[done:stop], start + done)


@functools.cache
def find_call() -> tuple[int, Any] | None:
    """Address of H5Dwrite_chunk in the HDF5 that h5py uses, and the lock around it; None = not to be had.

    On Linux and macOS a symbol is looked up in a library and in all that it depends on: asked of h5py's
    extension, that is the very HDF5 in use.
    """
    try:
        from h5py import defs
        from h5py._objects import phil

        function = ctypes.CDLL(defs.__file__).H5Dwrite_chunk
    except (ImportError, OSError, AttributeError):
        return None
    address = ctypes.cast(function, ctypes.c_void_p).value
    return None if address is None else (address, phil)


@intrinsic
def _write_chunk(
    _typing: Any, address: Any, data: Any, plist: Any, skipped: Any, offset: Any, size: Any, chunk: Any
) -> Any:
    """H5Dwrite_chunk (HDF5 1.10.3 and later) at ``address``; negative = it failed."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_INT, [_WORD, _WORD, _INT, _WORD, _WORD, _WORD])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    words = types.int64
    return types.int32(words, words, words, types.int32, words, words, words), codegen


@njit(int64(int64, int64, int64, _PAYLOAD, int64[::1]), nogil=True, cache=True)
def write_chunks(address: int, data: int, first: int, payload: Bytes, ends: Ends) -> int:
    """Each payload as the chunk of its frame; returns how many were written before one failed."""
    offset = np.zeros(3, np.uint64)
    start = 0
    for frame in range(len(ends)):
        offset[0] = first + frame
        place, chunk = offset.ctypes.data, payload.ctypes.data + start
        if _write_chunk(address, data, 0, np.int32(0), place, ends[frame] - start, chunk) < 0:
            return frame
        start = ends[frame]
    return len(ends)
