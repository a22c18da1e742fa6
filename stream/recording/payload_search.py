"""Where the payloads of a recording lie in its file, found by their bytes: by length, and by checksum.

Compressed payloads begin with the frame's size and say how long they are; raw ones are all of one size and
follow each other, with pieces of HDF5's own between them. Knows no HDF5 and no recording.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from numba import int64, njit, types, uint64

from ..checksum import checksum, xxh64
from ..messages import BSLZ4_HEADER
from ..series import Encoding, IndexArray, Series
from .recording_file import BSLZ4_BLOCK

Piece = tuple[int, int]
"""Where it begins, and its bytes."""
Key = tuple[int, int]
"""Bytes and checksum."""
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
LENGTH = struct.Struct(">I")
"""Of one compressed block, in front of it."""
PIECE = 1024
"""HDF5's own pieces between raw frames are whole KiB, most of them; 35 at most where measured."""
GAP = 1 << 16
"""So far one looks byte by byte for the next raw frame."""
LOOKS, LOOKS_BYTES = 5_000_000, 100 << 30
"""Places of raw frames that are looked at in all, and bytes there: 15 s each."""


def find_payloads(
    data: mmap.mmap,
    series: Series,
    sizes: IndexArray,
    sums: npt.NDArray[np.uint64],
) -> IndexArray:
    """Look for payloads of known size and checksum, wherever they lie.

    Parameters
    ----------
    data : mmap
        The whole file.
    series : Series
        What its frames are, and how they are stored.
    sizes, sums : (n,) int64, (n,) uint64
        Bytes and XXH64 of each payload; size 0 = none is looked for.

    Returns
    -------
    (n,) int64
        Where each begins; -1 = not found. Equal payloads may share a place.
    """
    wanted: dict[Key, list[int]] = {}
    for index, key in enumerate(zip(sizes.tolist(), sums.tolist(), strict=True)):
        if key[0] > 0:
            wanted.setdefault(key, []).append(index)
    found = np.full(len(sizes), -1, np.int64)
    search = _raw(data, series.frame_bytes, wanted) if series.encoding == "raw" else _packed(data, series)
    left = set(wanted)
    while left and (piece := next(search, None)) is not None:
        at, size = piece
        key = size, _sum(data, at, size)
        found[wanted.get(key, [])] = at
        left.discard(key)
    return found


def _sum(data: mmap.mmap, at: int, size: int) -> int:
    return checksum(np.frombuffer(data, np.uint8, size, at))


def _packed(data: mmap.mmap, series: Series) -> Iterator[Piece]:
    """(place, bytes) of everything that begins and goes on as a compressed frame of this series does."""
    start = series.frame_bytes.to_bytes(8, "big")
    at = data.find(start)
    while at >= 0:
        size = stored_length(data, at, series.encoding, series.numpy_dtype.itemsize)
        if size is not None:
            yield at, size
        at = data.find(start, at + 1)


def stored_length(data: mmap.mmap, at: int, encoding: Encoding, itemsize: int) -> int | None:
    """Bytes of the payload that begins there, as its blocks say it; None where that is none.

    bslz4: HDF5 filter 32008 (bitshuffle, Masui 2015): blocks of groups of 8 elements, the rest as it is.
    lz4: HDF5 filter 32004 (Rissi 2016): blocks of any size.
    """
    if at + BSLZ4_HEADER.size > len(data):
        return None
    raw, block = BSLZ4_HEADER.unpack_from(data, at)
    rest = raw % (8 * itemsize) if encoding == "bslz4" else 0
    blocks = -(-(raw - rest) // (block or BSLZ4_BLOCK))
    place = at + BSLZ4_HEADER.size
    for _ in range(blocks):
        if place + LENGTH.size > len(data):
            return None
        place += LENGTH.size + int(LENGTH.unpack_from(data, place)[0])
    size = place + rest - at
    return size if at + size <= len(data) else None


def _raw(data: mmap.mmap, size: int, wanted: Mapping[Key, object]) -> Iterator[Piece]:
    """(place, bytes) of raw frames: each behind the last one, or behind the nearest piece that is none."""
    whole = np.frombuffer(data, np.uint8)
    sums = np.sort(np.array([value for length, value in wanted if length == size], np.uint64))
    at, budget = 0, min(LOOKS, LOOKS_BYTES // size)
    while at + size <= len(data):
        for step, looks in _ways(size, thorough=budget > 0):
            place = int(first_match(whole, at, step, looks, size, sums))
            budget -= looks if place < 0 else (place - at) // step
            if place >= 0:
                at = place
                yield at, size
                break
        at += size


def _ways(size: int, *, thorough: bool) -> Iterator[tuple[int, int]]:
    """(step, looks) to where the next frame may begin, the likely first; none of them passes over a frame.

    Just there, or behind one that is damaged; behind a piece of HDF5's own; anywhere.
    """
    yield size, 2
    yield PIECE, -(-min(size, GAP) // PIECE)
    if thorough:
        yield 1, GAP


@njit(int64(_BYTES, int64, int64, int64, int64, uint64[::1]), nogil=True, cache=True)
def first_match(
    data: npt.NDArray[np.uint8], at: int, step: int, looks: int, size: int, sums: npt.NDArray[np.uint64]
) -> int:
    """First of the places ``at, at + step, ...`` whose bytes have one of the sorted sums; -1 = none."""
    for place in range(at, min(at + looks * step, len(data) - size + 1), step):
        value = xxh64(data, place, place + size)
        near = np.searchsorted(sums, value)
        if near < len(sums) and sums[near] == value:
            return place
    return -1
