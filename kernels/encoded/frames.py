"""A batch of compressed frames to pixels: one call without the GIL, a status a frame, nothing raised.

A bslz4 frame is 8 bytes of raw size and 4 bytes of block size, big endian, then blocks: 4 bytes of compressed
size, big endian, and an LZ4 block of bit planes. The last block is shorter, a multiple of 8 elements; fewer
than 8 elements follow as they are. A plain lz4 frame (HDF5's filter) has the same header; a block that
compression would not make smaller is stored as it is.

There is no checksum: data damaged on the way may decode to wrong pixels.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types

from ..bslz4 import DEFAULT_BLOCK, HEADER, MAX_BLOCK, Algorithm, Status
from .bitshuffle import unshuffle_at
from .lz4 import READABLE, SLACK, decode_at, decode_onto
from .vector import address, copy_bytes, load_be32, load_be64

HEADER_BYTES = HEADER.size
OK = Status.OK.code
TRUNCATED = Status.TRUNCATED.code
WRONG_SIZE = Status.WRONG_SIZE.code
BAD_BLOCK_SIZE = Status.BAD_BLOCK_SIZE.code
CORRUPT = Status.CORRUPT.code


def decode_frames(
    payload: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[Any],
    status: npt.NDArray[np.int8],
    algorithm: Algorithm = "bslz4",
) -> None:
    """Decode a batch of frames; any number of threads may do so, each with outputs of its own.

    Parameters
    ----------
    payload : (b,) uint8, C-contiguous, may be read-only; nothing outside of it is read.
    offsets : (n + 1,) int64, where each frame begins in ``payload``, and the end of the last; what lies
        beyond ``payload`` counts as not there.
    out : (n, h, w), C-contiguous, 1, 2, 4 or 8 bytes an element; frames that cannot be decoded become zeros.
    status : (n,) int8, codes of `bslz4.Status`.
    algorithm : "bslz4" or "lz4".

    Raises
    ------
    ValueError
        When the arrays do not fit together.
    """
    _check(payload, offsets, out, status)
    frames = out.reshape(len(out), prod(out.shape[1:])).view(np.uint8)
    _decode_batch(payload, offsets, frames, out.dtype.itemsize, algorithm == "lz4", status)


def _check(
    payload: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[Any],
    status: npt.NDArray[np.int8],
) -> None:
    if len(offsets) != len(out) + 1 or len(status) != len(out):
        raise ValueError(
            f"{len(out)} frames need {len(out) + 1} offsets and {len(out)} places for their status, "
            f"not {len(offsets)} and {len(status)}"
        )
    if out.dtype.itemsize not in (1, 2, 4, 8):
        raise ValueError(f"elements of {out.dtype} have {out.dtype.itemsize} bytes, not 1, 2, 4 or 8")
    for name, array in {"payload": payload, "out": out}.items():
        if not array.flags.c_contiguous:
            raise ValueError(f"{name} with strides {array.strides} is not C-contiguous; pass a copy")


@njit(nogil=True, cache=True)
def check_header(ip: Any, end: Any, frame_bytes: Any, itemsize: Any, plain: Any) -> Any:
    """(code, block size in bytes) of the frame at addresses [ip, end); ``plain``: lz4 without bit planes."""
    if end - ip < HEADER_BYTES:
        return TRUNCATED, np.int64(0)
    raw_size, block = load_be64(ip), load_be32(ip + 8)
    if raw_size != frame_bytes and not (raw_size == 0 and block == 0):
        return WRONG_SIZE, block
    if block == 0:
        block = np.int64(DEFAULT_BLOCK)
    largest = max(frame_bytes, MAX_BLOCK) if plain else MAX_BLOCK
    if block > largest or (not plain and block % (8 * itemsize)):
        return BAD_BLOCK_SIZE, block
    return OK, block


@njit(nogil=True, cache=True)
def block_end(ip: Any, end: Any) -> Any:
    """Where the block ends whose length stands at ``ip``; 0 where that is beyond ``end``."""
    if end - ip < 4:
        return np.int64(0)
    length = load_be32(ip)
    return ip + 4 + length if length <= end - ip - 4 else np.int64(0)


@njit(nogil=True, cache=True)
def ends_well(left: Any, rest: Any) -> Any:
    """Whether ``left`` bytes may follow the blocks of a bslz4 frame with ``rest`` bytes not shuffled.

    As the C library has it: exactly those, and anything where there are none.
    """
    return left == rest or (rest == 0 and left > 0)


@njit(nogil=True, cache=True)
def _unshuffled(ip: Any, end: Any, readable: Any, out: Any, sizes: Any, scratch: Any) -> Any:
    """Decode the blocks of a bslz4 frame -> code; ``sizes``: bytes of frame, block and element."""
    frame_bytes, block, itemsize = sizes
    whole = frame_bytes - frame_bytes % (8 * itemsize)
    used = block
    for done in range(0, whole, block):
        size = min(block, whole - done)
        stop = block_end(ip, end)
        if stop == 0:
            return CORRUPT
        used = decode_onto(ip + 4, stop, readable, scratch, size, used)
        if used < 0:
            return CORRUPT
        unshuffle_at(scratch, size // (8 * itemsize), out + done, itemsize, used)
        ip = stop
    if not ends_well(end - ip, frame_bytes - whole):
        return CORRUPT
    copy_bytes(out + whole, ip, frame_bytes - whole)
    return OK


@njit(nogil=True, cache=True)
def _plain(ip: Any, end: Any, readable: Any, out: Any, sizes: Any, scratch: Any) -> Any:
    """The same for a plain lz4 frame; bytes behind its last block are ignored, as HDF5's filter does."""
    frame_bytes, block, _ = sizes
    for done in range(0, frame_bytes, block):
        size = min(block, frame_bytes - done)
        stop = block_end(ip, end)
        if stop == 0:
            return CORRUPT
        if stop - ip - 4 == size:
            copy_bytes(out + done, ip + 4, size)
        elif decode_at(ip + 4, stop, readable, scratch, size) == size:
            copy_bytes(out + done, scratch, size)
        else:
            return CORRUPT
        ip = stop
    return OK


@njit(
    types.void(
        READABLE,
        types.Array(types.int64, 1, "C", readonly=True),
        types.Array(types.uint8, 2, "C"),
        types.int64,
        types.boolean,
        types.Array(types.int8, 1, "C"),
    ),
    nogil=True,
    cache=True,
)
def _decode_batch(payload: Any, offsets: Any, out: Any, itemsize: Any, plain: Any, status: Any) -> None:
    scratch = np.empty(DEFAULT_BLOCK + SLACK, np.uint8)
    start, frame_bytes = address(payload), out.shape[1]
    readable = start + payload.size
    for i in range(status.size):
        ip = start + min(max(offsets[i], 0), payload.size)
        end = start + min(max(offsets[i + 1], 0), payload.size)
        code, block = check_header(ip, end, frame_bytes, itemsize, plain)
        if code == OK:
            sizes = (frame_bytes, block, itemsize)
            if scratch.size < min(block, frame_bytes) + SLACK:
                scratch = np.empty(min(block, frame_bytes) + SLACK, np.uint8)
            ip += HEADER_BYTES
            if plain:
                code = _plain(ip, end, readable, address(out[i]), sizes, address(scratch))
            else:
                code = _unshuffled(ip, end, readable, address(out[i]), sizes, address(scratch))
        if code != OK:
            out[i] = 0
        status[i] = code
