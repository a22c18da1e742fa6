"""Torn reads: a reader that gates nobody reads blocks which a racing writer is about to overwrite.

Every word of a frame is its index, so that a mixture is seen whatever was overwritten.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from ..stream.policy import Policy
from ..stream.ring import MIN_BYTES, ReaderSpec, Ring, WriterPort
from ..stream.ring_reader import Lease, RingReader
from ..stream.ring_writer import BlockHeader, RingWriter
from ..stream.series import Block, Series, SeriesKey
from .partner import Partner, requests

SHAPE = (48, 64)
"""uint32: a frame and its descriptor fill three of the ring's pages, so that 85 blocks are all it holds."""
FRAME_BYTES = 4 * SHAPE[0] * SHAPE[1]
BURST = 64
"""Frames between the writer's looks at its pipe."""


@dataclass(slots=True)
class Seen:
    """What became of the reads."""

    reads: int = 0
    refused: int = 0
    """Reads that the ring said to throw away."""
    mixed: int = 0
    """Refused ones that really held words of two frames."""
    undetected: int = 0
    """Reads that the ring called whole and that were not."""


def race(reads: int) -> Seen:
    """Read ``reads`` blocks, each one of the oldest that are still there, while a process writes."""
    ring = Ring.create(MIN_BYTES, [ReaderSpec("racer", Policy.parse("latest"))])
    try:
        reader = RingReader(ring.reader_port("racer"))
        with Partner(write_on, ring.writer_port()) as writer:
            writer.hear()
            writer.tell(None)
            _wait_for_a_full_ring(reader)
            seen = _read(reader, reads)
        reader.close()
    finally:
        ring.close()
    return seen


def _wait_for_a_full_ring(reader: RingReader) -> None:
    """Until the writer has begun to take blocks away."""
    deadline = time.monotonic() + 30.0
    while reader.tail == 0 and time.monotonic() < deadline:
        if isinstance(event := reader.next(), Lease):
            event.release()
        elif event is None:
            reader.wait(0.1)


def _read(reader: RingReader, reads: int) -> Seen:
    seen = Seen()
    while seen.reads < reads:
        lease = reader.history(reader.tail + seen.reads % 3)
        if lease is not None:
            _judge(lease, seen)
    return seen


def _judge(lease: Lease, seen: Seen) -> None:
    good = _is_one_frame(lease.block)
    whole = lease.release()
    seen.reads += 1
    seen.refused += not whole
    seen.mixed += not whole and not good
    seen.undetected += whole and not good


def _is_one_frame(block: Block) -> bool:
    words = block.payload.view(np.uint32)
    return bool((words == np.uint32(block.first)).all())


def write_on(pipe: Connection, port: WriterPort) -> None:
    """Body of the writer's process: one frame a block, as fast as it goes, until told to stop."""
    writer = RingWriter(port)
    series = Series(SeriesKey(bytes(8), 0), SHAPE, "uint32")
    serial = writer.open_series(series, time.monotonic_ns())
    pipe.send("ready")
    next(iter(requests(pipe)))
    frame = np.empty(FRAME_BYTES, np.uint8)
    written = 0
    while not pipe.poll():
        for index in range(written, written + BURST):
            frame.view(np.uint32)[:] = index
            writer.reserve(FRAME_BYTES)
            writer.fill(frame)
            writer.publish_frames(BlockHeader(serial, index, 1, FRAME_BYTES, index, time.monotonic_ns()))
        written += BURST
    writer.close()
