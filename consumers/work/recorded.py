"""Frames of a file as blocks, as if they came from the ring: to look back, or to work without a session."""

from __future__ import annotations

from collections.abc import Iterator

from ...stream.files.acquisition import Acquisition
from ...stream.series import Block, Series
from ...stream.sources.replay.frame_reader import READ_BYTES, Damage, FrameReader


def blocks_of(
    acquisition: Acquisition, series: Series, stop: int, read_bytes: int = READ_BYTES
) -> Iterator[Block | Damage]:
    """The frames of a file before ``stop`` as blocks of ``series``, and those of them that cannot be read."""
    reader = FrameReader(acquisition, stop, read_bytes)
    while parts := reader.read():
        for part in parts:
            if isinstance(part, Damage):
                yield part
            else:
                yield Block(
                    series, part.first, part.count, part.payload, part.sizes, part.positions, None, 0, 0
                )
