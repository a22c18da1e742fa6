"""From blocks as the detector sent them to frames as a consumer sees them.

The one place of the analyses that knows encodings; it knows no ring and no analysis. One decoder per thread:
its tile is reused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.bslz4 import Algorithm, Status, decode_into
from ...kernels.encoded.frames import decode_frames
from ...stream.series import Block, Series
from ..base import Frames

TILE_BYTES = 8 << 20
"""Largest tile of `FrameDecoder.tiles` (at least one frame): it stays in a shared cache of 32 MiB, and is
bounded however well the frames of a block were compressed."""


class FrameDecoder:
    """Decodes the blocks of one series.

    Raw frames are views of the block; encoded ones land in a tile that the next call overwrites. Either way
    the data are read-only and valid until the next call or the end of the block's lease, whichever is first.
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self.rejected: Counter[str] = Counter()
        """Frames that could not be decoded, by reason, since the decoder was made."""
        self.by_library = False
        """Whether dectris-compression decodes instead of our own decoder, which has been found wrong."""
        self._tile = np.empty((0, *series.shape), series.numpy_dtype)

    def decode(self, block: Block) -> tuple[Frames, int]:
        """All frames of a block, and how many could not be decoded (their indices are left out)."""
        return self._decode(block, 0, block.count)

    def decode_range(self, block: Block, start: int, stop: int) -> tuple[Frames, int]:
        """The same of frames ``start`` to ``stop`` of the block."""
        return self._decode(block, start, stop)

    def decode_to(self, block: Block, start: int, stop: int, tile: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Encoded frames ``start`` to ``stop`` into memory of the caller's.

        Parameters
        ----------
        tile : (stop - start, h, w) in the series' dtype.

        Returns
        -------
        (n,) int64
            Places in the block of the frames that could be decoded.
        """
        if block.sizes is None:
            raise ValueError(f"block of {self.series.encoding} frames from {block.first} comes without sizes")
        offsets = np.zeros(block.count + 1, np.int64)
        np.cumsum(block.sizes, out=offsets[1:])
        status = np.empty(stop - start, np.int8)
        algorithm: Algorithm = "lz4" if self.series.encoding == "lz4" else "bslz4"
        decode = decode_by_library if self.by_library else decode_frames
        decode(block.payload, offsets[start : stop + 1], tile, status, algorithm)
        bad = status[status != Status.OK.code]
        self.rejected.update(Status.of_code(code).value for code in bad.tolist())
        return np.flatnonzero(status == Status.OK.code) + start

    def tiles(
        self, block: Block, max_bytes: int = TILE_BYTES, *, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Frames, int]]:
        """The same in pieces of at most ``max_bytes`` decoded: memory stays bounded, frames stay in cache."""
        stop = block.count if stop is None else stop
        step = max(1, max_bytes // self.series.frame_bytes)
        if self.series.encoding == "raw":
            step = max(1, stop - start)
        for first in range(start, stop, step):
            yield self._decode(block, first, min(first + step, stop))

    def _decode(self, block: Block, start: int, stop: int) -> tuple[Frames, int]:
        if self.series.encoding == "raw":
            return self._view(block, start, stop)
        tile = self._tile_of(stop - start)
        good = self.decode_to(block, start, stop, tile)
        bad = stop - start - len(good)
        return self.frames(block, tile[good - start] if bad else tile, good), bad

    def _view(self, block: Block, start: int, stop: int) -> tuple[Frames, int]:
        whole = min(stop, block.payload.nbytes // self.series.frame_bytes)
        missing = stop - max(start, whole)
        if missing:
            self.rejected[Status.TRUNCATED.value] += missing
        size = self.series.frame_bytes
        payload = block.payload[start * size : max(start, whole) * size]
        data = payload.view(self.series.numpy_dtype).reshape(-1, *self.series.shape)
        # Frames lie 64-byte aligned in the ring; a block from elsewhere may not.
        aligned = data if data.flags.aligned else data.copy()
        return self.frames(block, aligned, np.arange(start, max(start, whole), dtype=np.int64)), missing

    def _tile_of(self, count: int) -> npt.NDArray[Any]:
        if len(self._tile) < count:
            self._tile = np.empty((count, *self.series.shape), self.series.numpy_dtype)
        return self._tile[:count]

    def frames(self, block: Block, data: npt.NDArray[Any], kept: npt.NDArray[np.int64]) -> Frames:
        """Pixels (n, h, w), and the places (n,) in the block that they are of; read-only views."""
        view = data.view()
        view.flags.writeable = False
        positions = None if block.positions is None else block.positions[kept]
        return Frames(self.series, block.first + kept, view, positions, block.late)


def decode_by_library(
    payload: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[Any],
    status: npt.NDArray[np.int8],
    algorithm: Algorithm = "bslz4",
) -> None:
    """`decode_frames` by dectris-compression: frame by frame, and with the interpreter's lock in between.

    Frames that cannot be decoded stay as they are in ``out``.
    """
    for i, frame in enumerate(out):
        status[i] = decode_into(payload[offsets[i] : offsets[i + 1]], frame, algorithm).code
