"""Compressed frames as they lie in HDF5 files: chunks of one frame each, byte for byte.

Knows HDF5's chunks and filters; whose file it is is the readers' business.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..series import DTYPES, Encoding
from .acquisition import Array
from .blob_decoding import decode_chunk

BITSHUFFLE, LZ4 = 32008, 32004
"""HDF5's numbers of the filters."""
BITSHUFFLE_LZ4 = 2
"""bitshuffle's number of its compressor."""


class StoredChunks:
    """Frames of one or more data sets (k, h, w) or (ny, nx, h, w), one after the other."""

    def __init__(self, datasets: Sequence[Any], encoding: Encoding) -> None:
        self.encoding = encoding
        self._datasets = datasets
        counts = [int(np.prod(data.shape[:-2])) for data in datasets]
        self._firsts = [0, *np.cumsum(counts).tolist()]
        self.count: int = self._firsts[-1]
        self.frame_shape: tuple[int, ...] = datasets[0].shape[-2:]
        self.dtype: np.dtype[Any] = datasets[0].dtype

    def payloads(self, first: int, n: int) -> list[bytes]:
        """n payloads; none of these frames may be beyond the last."""
        return [self._payload(index) for index in range(first, first + n)]

    def _payload(self, index: int) -> bytes:
        number = bisect.bisect_right(self._firsts, index) - 1
        data = self._datasets[number]
        place = np.unravel_index(index - self._firsts[number], data.shape[:-2])
        return bytes(data.id.read_direct_chunk((*map(int, place), 0, 0))[1])


class StoredFrames:
    """The frames of stored chunks as an array (k, h, w), decoded when they are asked for."""

    ndim = 3
    chunks = None

    def __init__(self, stored: StoredChunks) -> None:
        self._stored = stored
        self.shape: tuple[int, ...] = (stored.count, *stored.frame_shape)
        self.dtype: np.dtype[Any] = stored.dtype

    def __getitem__(self, which: slice) -> Array:
        start, stop, _ = which.indices(self.shape[0])
        frames = np.empty((stop - start, *self.shape[1:]), self.dtype)
        nbytes = frames[:1].nbytes
        for number, blob in enumerate(self._stored.payloads(start, stop - start)):
            try:
                raw = decode_chunk(blob, self._stored.encoding, nbytes, self.dtype.itemsize)
            except ValueError as error:
                raise ValueError(f"the stored frame {start + number} does not decode: {error}") from error
            frames[number] = np.frombuffer(raw, self.dtype).reshape(self.shape[1:])
        return frames


def stored_chunks(datasets: Sequence[Any]) -> StoredChunks | None:
    """The stored frames of data sets, one after the other.

    None unless every frame of all of them is one chunk, compressed throughout by bitshuffle-LZ4 alone or
    by LZ4 alone, of a type of the wire: then a chunk is what a detector would have sent.
    """
    encoding, *others = {_encoding_of(data) for data in datasets}
    if encoding is None or others or not all(_is_whole(data) for data in datasets):
        return None
    return StoredChunks(datasets, encoding)


def _encoding_of(data: Any) -> Encoding | None:
    """How the chunks of a data set are compressed; None for whatever the wire does not know."""
    if data.chunks != (*(1,) * (data.ndim - 2), *data.shape[-2:]) or data.dtype not in DTYPES.values():
        return None
    filters = data.id.get_create_plist()
    if filters.get_nfilters() != 1:
        return None
    number, _, values, _ = filters.get_filter(0)
    if number == LZ4:
        return "lz4"
    # Version (2), size of an element, size of a block, compressor.
    shuffled = number == BITSHUFFLE and len(values) > 4 and values[2] == data.dtype.itemsize
    return "bslz4" if shuffled and values[4] == BITSHUFFLE_LZ4 else None


def _is_whole(data: Any) -> bool:
    """Whether every frame has its chunk, and none of them was stored past the filter; 2 us a frame."""
    plain = 0

    def look(chunk: Any) -> None:
        nonlocal plain
        plain += chunk.filter_mask != 0

    data.id.chunk_iter(look)
    return plain == 0 and data.id.get_num_chunks() == int(np.prod(data.shape[:-2]))
