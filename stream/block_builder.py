"""Coalesces frames into ring blocks: full, or a few milliseconds old, whichever comes first.

The first of a series is full with FIRST_FRAMES: the first picture does not wait for thousands.

Knows the writer's reservations and nothing of messages, order or accounting: its caller is told of each
block just before it is published, so that the account in shared memory is never ahead of the ring.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .messages import FrameBatch
from .ring_writer import BlockHeader, RingWriter, trailer_bytes
from .series import Series

MAX_FRAMES = 65_536
FIRST_FRAMES = 64
"""Half a line of a scan, 2 ms of a fast detector."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive frames of one series that fit one block."""

    first: int
    count: int
    payload: npt.NDArray[np.uint8]
    sizes: npt.NDArray[np.int64] | None
    positions: npt.NDArray[np.float32] | None
    time_ns: int | None
    arrival_ns: int
    late: bool


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one block of a series may hold, trailer included in the ring's limit."""

    payload: int
    frames: int
    trailer: int

    @classmethod
    def of(cls, series: Series, max_block_bytes: int, block_bytes: int) -> Capacity:
        encoded = series.encoding != "raw"
        positions = series.scan is not None and series.scan.order == "positions"
        # An incompressible frame grows by the codec's own headers: 1/256 covers bitshuffle-LZ4.
        frame = series.frame_bytes + (series.frame_bytes // 256 + 64 if encoded else 0)
        payload = max(block_bytes, frame)
        frames = min(MAX_FRAMES, max(1, payload // (64 if encoded else frame)))
        # A large frame leaves little room for the tables of many small ones.
        while (
            frames > 1
            and payload + trailer_bytes(frames, sizes=encoded, positions=positions) > max_block_bytes
        ):
            frames //= 2
        trailer = trailer_bytes(frames, sizes=encoded, positions=positions)
        if not encoded:
            payload = min(payload, frames * frame)
        return cls(min(payload, max_block_bytes - trailer), frames, trailer)

    def holds(self, batch: FrameBatch) -> bool:
        """Whether all frames of a message fit one block."""
        return batch.payload.nbytes <= self.payload and batch.count <= self.frames


class BlockBuilder:
    """One open block at a time.

    Parameters
    ----------
    writer : RingWriter
    max_latency_ns : int
        A block is published at the latest so long after its first frame arrived.
    before_publish : callable
        Called just before each publish.
    """

    def __init__(
        self,
        writer: RingWriter,
        max_latency_ns: int,
        before_publish: Callable[[], None],
    ) -> None:
        self._writer, self._max_latency_ns = writer, max_latency_ns
        self._before_publish = before_publish
        self._is_open = False
        self._serial = self._entered = 0

    def begin(self, serial: int, capacity: Capacity, entered: int = 0) -> None:
        """A series begins (or goes on, ``entered`` frames in): later chunks belong to it."""
        self._serial, self.capacity, self._entered = serial, capacity, entered

    def discard(self) -> None:
        """Forget the open block: it was never published."""
        self._is_open = False

    @property
    def due_ns(self) -> int | None:
        """When the open block must be published; None when there is none."""
        return self._arrival_ns + self._max_latency_ns if self._is_open else None

    @property
    def entered(self) -> int:
        """Frames of this series that were published or stand in the open block."""
        return self._entered + (self._count if self._is_open else 0)

    def append(self, chunk: Chunk) -> None:
        """Copy a chunk into the open block, or into a new one where it does not fit or follow.

        Publishes at most the block before: the chunk itself stays unpublished until its caller has entered it
        into the account (then ``publish_if_full``).
        """
        if self._is_open and not self._fits(chunk):
            self.publish()
        if not self._is_open:
            self._open(chunk)
        self._writer.fill(chunk.payload, self._used)
        self._used += chunk.payload.nbytes
        self._count += chunk.count
        self._newest_ns = chunk.arrival_ns
        if chunk.sizes is not None:
            self._sizes.append(chunk.sizes)
        if chunk.positions is not None:
            self._positions.append(chunk.positions)
        self._last_bytes = chunk.payload.nbytes

    def publish_if_full(self, is_last: bool = False) -> None:
        """Publish a block that the next chunk, likely as large as the last, would not fit, or the first.

        Or the last of a series of announced length: nothing is to come that it could wait for.
        """
        if not self._is_open:
            return
        is_first = not self._entered and self._count >= FIRST_FRAMES
        if (
            is_last
            or is_first
            or self._used + self._last_bytes > self.capacity.payload
            or self._count >= self.capacity.frames
        ):
            self.publish()

    def _fits(self, chunk: Chunk) -> bool:
        return (
            chunk.first == self._first + self._count
            and chunk.late == self._late
            and self._used + chunk.payload.nbytes <= self.capacity.payload
            and self._count + chunk.count <= self.capacity.frames
        )

    def _open(self, chunk: Chunk) -> None:
        self._writer.reserve(self.capacity.payload + self.capacity.trailer)
        self._is_open = True
        self._used = self._count = 0
        self._first, self._late, self._time_ns = chunk.first, chunk.late, chunk.time_ns
        self._arrival_ns = chunk.arrival_ns
        self._sizes: list[npt.NDArray[np.int64]] = []
        self._positions: list[npt.NDArray[np.float32]] = []

    def publish(self) -> None:
        """Publish the open block, if there is one."""
        if not self._is_open:
            return
        self._before_publish()
        header = BlockHeader(
            serial=self._serial,
            first=self._first,
            count=self._count,
            nbytes=self._used,
            ordinal=self._entered,
            arrival_ns=self._arrival_ns,
            time_ns=self._time_ns,
            late=self._late,
            newest_ns=self._newest_ns,
        )
        self._is_open = False
        self._writer.publish_frames(header, _joined(self._sizes), _joined(self._positions))
        self._entered += self._count


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any] | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
