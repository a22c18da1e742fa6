"""The shared-memory ring: its owner, and the ports it gives out. Users: ring_writer.py, ring_reader.py,
ring_history.py.

Blocks of encoded frames lie one after another in an arena; START and END of a series are blocks too.
A block once published never changes until the writer gives it up (ring_protocol.py). The owner is the
supervisor: it makes the segment, hands out ports, reads counters, and takes the segment away.

Not promised: that a reader without the lossless policy sees every block; that a view outlives its lease.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import RingError
from .policy import Policy
from .ring_layout import (
    H_DATA_BYTES,
    H_MAGIC,
    H_OWNER_BEAT,
    H_OWNER_PID,
    H_READERS,
    H_SESSION,
    H_SETTLED,
    H_SLOTS,
    H_VERSION,
    MAGIC,
    NOBODY,
    PAGE,
    R_GATES,
    R_GENERATION,
    R_PASSED,
    R_PATIENCE,
    VERSION,
    Layout,
    Views,
)
from .segment import Segment

MIN_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ReaderSpec:
    """A consumer edge that the ring has a row for."""

    name: str
    policy: Policy
    patience_s: float = 0.0
    """How long the writer waits for a lossless reader that stands still; 0 = without limit."""
    sleeps: bool = False
    """Comes later, if at all: until then it has no account, and the writer does not wait for it."""


@dataclass(frozen=True, slots=True, eq=False)
class WriterPort:
    """What the writer's process needs to attach; can be handed to a spawned process."""

    segment: str
    layout: Layout
    wakes: tuple[socket.socket, ...]
    """One end of each reader's socketpair: a byte out says "data", a byte in says "room"."""


@dataclass(frozen=True, slots=True, eq=False)
class ReaderPort:
    """What a reader's process needs to attach; can be handed to a spawned process."""

    segment: str
    layout: Layout
    row: int
    spec: ReaderSpec
    wake: socket.socket


@dataclass(frozen=True, slots=True)
class HistoryPort:
    """What a process needs to look back without being a reader; can be handed to a spawned process."""

    segment: str
    layout: Layout


class Ring:
    """The owner's handle: makes the segment, gives out ports, removes it in the end."""

    def __init__(self, segment: Segment, layout: Layout, readers: Sequence[ReaderSpec]) -> None:
        self.segment = segment
        self.layout = layout
        self.readers = tuple(readers)
        self.views = Views(segment.memory, layout)
        self._pairs = [_wake_pair() for _ in readers]

    @classmethod
    def create(cls, data_bytes: int, readers: Sequence[ReaderSpec]) -> Ring:
        """Make a ring with an arena of ``data_bytes`` (rounded up to a page).

        Raises RingError when the memory is not to be had or the size is below 1 MiB.
        """
        if data_bytes < MIN_BYTES:
            raise RingError(f"ring of {data_bytes} bytes is below {MIN_BYTES}: set [ring] bytes higher")
        layout = Layout(-(-data_bytes // PAGE) * PAGE, max(len(readers), 1))
        segment = Segment.create(layout.total_bytes)
        ring = cls(segment, layout, readers)
        header = ring.views.header
        header[H_VERSION], header[H_SESSION] = VERSION, secrets.randbits(64)
        header[H_OWNER_PID], header[H_OWNER_BEAT] = os.getpid(), time.monotonic_ns()
        header[H_DATA_BYTES], header[H_SLOTS] = layout.data_bytes, layout.slots
        header[H_READERS] = layout.readers
        header[H_SETTLED] = NOBODY
        for row, spec in enumerate(readers):
            ring.views.rows[row, R_GATES] = spec.policy.gates and not spec.sleeps
            ring.views.rows[row, R_PATIENCE] = int(spec.patience_s * 1e9)
        header[H_MAGIC] = MAGIC
        return ring

    def writer_port(self) -> WriterPort:
        return WriterPort(self.segment.name, self.layout, tuple(pair[0] for pair in self._pairs))

    def reader_port(self, name: str) -> ReaderPort:
        row = self.row(name)
        return ReaderPort(self.segment.name, self.layout, row, self.readers[row], self._pairs[row][1])

    def history_port(self) -> HistoryPort:
        return HistoryPort(self.segment.name, self.layout)

    def row(self, name: str) -> int:
        for row, spec in enumerate(self.readers):
            if spec.name == name:
                return row
        raise RingError(f"ring has no reader {name!r}; it has: {', '.join(s.name for s in self.readers)}")

    def stop_gating(self, name: str) -> None:
        """Let the writer pass a reader that will not come back."""
        row = self.row(name)
        self.views.rows[row, R_GATES] = 0
        with contextlib.suppress(OSError):
            self._pairs[row][1].send(b"\0")

    def awake(self) -> tuple[ReaderSpec, ...]:
        """Readers that there are, or were."""
        rows = self.views.rows
        return tuple(
            spec for row, spec in enumerate(self.readers) if not spec.sleeps or rows[row, R_GENERATION]
        )

    def passed(self) -> set[str]:
        """Readers that stood still for so long that the writer went on without them."""
        return {spec.name for row, spec in enumerate(self.readers) if self.views.rows[row, R_PASSED]}

    def note_settled(self, series: int) -> None:
        """The first ``series`` series are written down: their places in the table may be used again."""
        self.views.header[H_SETTLED] = series

    def beat(self) -> None:
        """Owner's sign of life."""
        self.views.header[H_OWNER_BEAT] = time.monotonic_ns()

    def close(self) -> None:
        for pair in self._pairs:
            for end in pair:
                end.close()
        del self.views
        self.segment.close()


def _wake_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected, non-blocking sockets: a wake-up that has no name, so that none can leak."""
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair


def attach_views(segment_name: str, layout: Layout) -> tuple[Segment, Views]:
    """Map a ring's segment and check that it is one. Raises RingError."""
    segment = Segment.attach(segment_name, layout.total_bytes)
    views = Views(segment.memory, layout)
    header = views.header
    if header[H_MAGIC] != MAGIC or header[H_VERSION] != VERSION:
        raise RingError(f"shared memory {segment_name!r} is no livem ring of version {VERSION}")
    sizes = tuple(int(header[word]) for word in (H_DATA_BYTES, H_SLOTS, H_READERS))
    if sizes != (layout.data_bytes, layout.slots, layout.readers):
        raise RingError(f"ring {segment_name!r} has the sizes {sizes}, its port says {layout}")
    return segment, views


def drain(wake: socket.socket) -> None:
    """Take all waiting wake-up bytes."""
    with contextlib.suppress(BlockingIOError, ConnectionError):
        while len(wake.recv(4096)) == 4096:
            pass
