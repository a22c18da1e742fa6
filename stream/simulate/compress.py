"""bslz4 blobs of frames, as a DECTRIS detector makes them: 12-byte header, then bit-shuffled LZ4 blocks.

A sender's helper only; decoding lives with the kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..files.acquisition import FrameBank

CACHE_BYTES = 1 << 30
"""Blobs kept for frames that come again; beyond that they are made anew each time."""


def compress_bslz4(frames: npt.NDArray[Any]) -> list[bytes]:
    """One blob a frame of (n, h, w): the HDF5 chunk that filter 32008 (bitshuffle + LZ4) writes."""
    import h5py
    import hdf5plugin

    with h5py.File("blobs", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset(
            "frames", data=frames, chunks=(1, *frames.shape[1:]), **hdf5plugin.Bitshuffle(cname="lz4")
        )
        return [bytes(data.id.read_direct_chunk((index, 0, 0))[1]) for index in range(len(frames))]


class BlobCache:
    """Compressed frames of a bank, each made once while the budget lasts."""

    def __init__(self, bank: FrameBank, budget: int = CACHE_BYTES) -> None:
        self._bank = bank
        self._blobs: dict[int, bytes] = {}
        self._room = budget

    def prepare(self, count: int | None) -> None:
        """Compress what the first ``count`` frames need (None = all), as far as the budget goes."""
        total = self._bank.period if count is None else min(count, self._bank.period)
        for first in range(0, total, 64):
            if self._room <= 0:
                return
            self.take(first, min(64, total - first))

    def take(self, first: int, n: int) -> list[bytes]:
        """The blobs of the frames ``first .. first + n - 1``."""
        indices = self._bank.stock_indices(first, n).tolist()
        if all(index in self._blobs for index in indices):
            return [self._blobs[index] for index in indices]
        blobs = compress_bslz4(np.ascontiguousarray(self._bank.take(first, n)))
        for index, blob in zip(indices, blobs, strict=True):
            if self._room > 0 and index not in self._blobs:
                self._blobs[index] = blob
                self._room -= len(blob)
        return blobs
