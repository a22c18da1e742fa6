"""Parts of a batch of frames: as a chunk for a block, or as a batch of its own. Views, nothing is copied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .block_builder import Chunk
from .messages import FrameBatch
from .series import Series


def whole(batch: FrameBatch, arrival_ns: int) -> Chunk:
    return Chunk(
        batch.first,
        batch.count,
        batch.payload,
        batch.sizes,
        batch.positions,
        batch.time_ns,
        arrival_ns,
        late=False,
    )


def part_of(batch: FrameBatch, at: int, upto: int, series: Series) -> FrameBatch:
    """Some frames of a batch, as a batch of their own."""
    offsets = offsets_of(batch, series.frame_bytes)
    return replace(
        batch,
        first=batch.first + at,
        count=upto - at,
        time_ns=batch.time_ns if at == 0 else None,
        sizes=None if batch.sizes is None else batch.sizes[at:upto],
        payload=batch.payload[offsets[at] : offsets[upto]],
        positions=None if batch.positions is None else batch.positions[at:upto],
    )


def offsets_of(batch: FrameBatch, frame_bytes: int) -> np.ndarray:
    """Byte offset of each payload in the batch, and the end: (n + 1,) int64."""
    if batch.sizes is None:
        return np.arange(batch.count + 1, dtype=np.int64) * frame_bytes
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(batch.sizes)])
