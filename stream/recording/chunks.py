"""Frames that come raw made into the chunks that HDF5's bitshuffle filter would store."""

from __future__ import annotations

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from ..series import Series

BATCH_BYTES = 4 << 20


class Compressor:
    """bslz4 chunks of one series' frames, made by the filter itself in a file in memory."""

    def __init__(self, series: Series) -> None:
        self._batch = max(1, BATCH_BYTES // series.frame_bytes)
        self._dtype, self._shape = series.numpy_dtype, series.shape

    def compress(self, payload: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Raw frames back to back become (chunks back to back, their sizes)."""
        frames = payload.view(self._dtype).reshape(-1, *self._shape)
        chunks: list[bytes] = []
        for start in range(0, len(frames), self._batch):
            chunks += self._chunks(frames[start : start + self._batch])
        sizes = np.array([len(chunk) for chunk in chunks], np.int64)
        return np.frombuffer(b"".join(chunks), np.uint8), sizes

    def _chunks(self, frames: npt.NDArray[np.generic]) -> list[bytes]:
        with h5py.File("chunks", "w", driver="core", backing_store=False) as file:
            data = file.create_dataset(
                "frames", data=frames, chunks=(1, *self._shape), **hdf5plugin.Bitshuffle(cname="lz4")
            )
            return [bytes(data.id.read_direct_chunk((index, 0, 0))[1]) for index in range(len(frames))]
