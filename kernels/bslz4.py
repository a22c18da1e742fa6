"""Frames as detectors compress them: HDF5 bitshuffle-LZ4 and LZ4 chunks.

The header is checked here, before any decoder sees the bytes: 8 bytes raw size, 4 bytes block size, both big
endian (a declared size of 2^40 otherwise becomes a MemoryError, 2^63 a SystemError). Corrupt data gives a
status, never an exception: a detector may send anything.

`decode_into` asks dectris-compression, frame by frame. Frames on their way to a consumer are decoded by
`kernels.encoded.frames`, for which it is the oracle.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from dectris.compression import decompress

Algorithm = Literal["bslz4", "lz4"]

HEADER = struct.Struct(">QI")
DEFAULT_BLOCK = 8192
"""Bytes; what bitshuffle takes for a block size of 0."""
MAX_BLOCK = 1 << 20
"""Bytes of scratch that a bitshuffle stream may ask for; encoders in the field use 8192."""


class Status(Enum):
    """How decoding a frame ended; the value is the reason for the accounts."""

    OK = "ok"
    TRUNCATED = "truncated"
    """Shorter than its header."""
    WRONG_SIZE = "wrong-size"
    """Declares another size than the announced frame."""
    BAD_BLOCK_SIZE = "bad-block-size"
    CORRUPT = "corrupt"
    """The decoder refused the data."""

    @classmethod
    def of_code(cls, code: int) -> Status:
        """The status that a compiled decoder says by its place in this list: 0 is OK."""
        return tuple(cls)[code]

    @property
    def code(self) -> int:
        """Its number for compiled code (int8)."""
        return tuple(type(self)).index(self)


def frame_header(blob: npt.NDArray[np.uint8]) -> tuple[int, int] | None:
    """(raw size, block size) in bytes as the first 12 bytes say; None when there are fewer."""
    if blob.size < HEADER.size:
        return None
    raw_size, block_size = HEADER.unpack(blob[: HEADER.size].tobytes())
    return raw_size, block_size


def decode_into(blob: npt.NDArray[np.uint8], out: npt.NDArray[Any], algorithm: Algorithm = "bslz4") -> Status:
    """Decode one payload into a frame.

    Parameters
    ----------
    blob : (n,) uint8, C-contiguous; may be read-only.
    out : (h, w), C-contiguous, in the announced type; unchanged unless the status is OK.
    algorithm : "bslz4" or "lz4".

    Notes
    -----
    A header of zeros stands for the announced size and blocks of 8192 bytes (LiberTEM's simulated detector
    sends it). Memory used is that of one frame beside ``out``.
    """
    header = frame_header(blob)
    if header is None:
        return Status.TRUNCATED
    status, block_size = _check(header, out, algorithm)
    if status is not Status.OK:
        return status
    stream = blob if header == (out.nbytes, block_size) else _with_header(blob, out.nbytes, block_size)
    return _decompress(stream, out, algorithm)


def encode(frame: npt.NDArray[Any], algorithm: Algorithm = "bslz4") -> bytes:
    """One frame (h, w) as a detector would send it, for simulators and tests (0.4 ms for 256 x 256)."""
    import h5py
    import hdf5plugin

    filters = {"bslz4": hdf5plugin.Bitshuffle, "lz4": hdf5plugin.LZ4}[algorithm]()
    with h5py.File("encode", "w", driver="core", backing_store=False) as file:
        chunk = file.create_dataset("frame", data=frame, chunks=frame.shape, **filters)
        return bytes(chunk.id.read_direct_chunk((0,) * frame.ndim)[1])


def _check(header: tuple[int, int], out: npt.NDArray[Any], algorithm: Algorithm) -> tuple[Status, int]:
    raw_size, block_size = header
    if raw_size != out.nbytes and header != (0, 0):
        return Status.WRONG_SIZE, 0
    if block_size == 0:
        return Status.OK, DEFAULT_BLOCK
    if algorithm == "lz4":
        return (Status.OK if block_size <= max(raw_size, MAX_BLOCK) else Status.BAD_BLOCK_SIZE), block_size
    fits = block_size % (8 * out.itemsize) == 0 and block_size <= MAX_BLOCK
    return (Status.OK if fits else Status.BAD_BLOCK_SIZE), block_size


def _with_header(blob: npt.NDArray[np.uint8], raw_size: int, block_size: int) -> npt.NDArray[np.uint8]:
    header = np.frombuffer(HEADER.pack(raw_size, block_size), np.uint8)
    return np.concatenate([header, blob[HEADER.size :]])


def _decompress(stream: npt.NDArray[np.uint8], out: npt.NDArray[Any], algorithm: Algorithm) -> Status:
    try:
        raw = decompress(stream, algorithm, elem_size=out.itemsize)
    except (RuntimeError, ValueError, MemoryError, SystemError):
        return Status.CORRUPT
    if len(raw) != out.nbytes:
        return Status.CORRUPT
    out.reshape(-1).view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
    return Status.OK
