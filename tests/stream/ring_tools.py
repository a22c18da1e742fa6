"""Shared by the ring's tests: small series, and blocks whose content says which frames they are."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from livem.stream.policy import Policy
from livem.stream.ring import ReaderSpec, Ring
from livem.stream.ring_reader import Lease, RingReader, SeriesEnd, SeriesStart
from livem.stream.ring_writer import BlockHeader, RingWriter, trailer_bytes
from livem.stream.series import Series, SeriesKey

EPOCH = bytes(range(8))


def a_series(number: int = 0, shape=(4, 8), dtype: str = "uint16", **more) -> Series:
    return Series(SeriesKey(EPOCH, number), shape, dtype, **more)


def frame_content(series: Series, first: int, count: int) -> np.ndarray:
    """(count, h, w): every pixel of frame i is i modulo the dtype's range."""
    values = np.arange(first, first + count) % 251
    return np.broadcast_to(values[:, None, None], (count, *series.shape)).astype(series.numpy_dtype)


@dataclass
class Feeder:
    """Writes series and blocks as the assembler would."""

    writer: RingWriter
    serial: int = -1
    entered: int = 0
    series: Series | None = field(default=None)

    def start(self, series: Series) -> int:
        self.series, self.entered = series, 0
        self.serial = self.writer.open_series(series, time.monotonic_ns())
        return self.serial

    def frames(self, first: int, count: int, *, sizes=None, positions=None, late=False) -> None:
        data = frame_content(self.series, first, count)
        self.writer.reserve(
            data.nbytes + trailer_bytes(count, sizes=sizes is not None, positions=positions is not None)
        )
        self.writer.fill(data.reshape(-1).view(np.uint8))
        header = BlockHeader(
            self.serial, first, count, data.nbytes, self.entered, time.monotonic_ns(), 1_700_000_000, late
        )
        self.writer.publish_frames(header, sizes, positions)
        self.entered += count

    def end(self, complete: bool = True, reason: str = "") -> None:
        self.writer.close_series(
            self.serial,
            complete=complete,
            reason=reason,
            ledger=b"x",
            received=self.entered,
            arrival_ns=time.monotonic_ns(),
        )


def make_ring(nbytes: int, **policies: str) -> Ring:
    return Ring.create(nbytes, [ReaderSpec(name, Policy.parse(p)) for name, p in policies.items()])


def drain_events(reader: RingReader) -> list:
    """All that can be read now: (kind, ...) tuples; blocks as (first, count, content of the first pixel)."""
    found: list = []
    while (event := reader.next()) is not None:
        if isinstance(event, Lease):
            block = event.block
            data = block.payload.view(block.series.numpy_dtype).reshape(block.count, *block.series.shape)
            expected = frame_content(block.series, block.first, block.count)
            same = bool((data == expected).all())
            whole = event.release()
            if whole:
                assert same, f"block {block.first} is torn and was not detected"
                reader.count(event.serial, processed=block.count)
                found.append(("frames", block.first, block.count))
            else:
                reader.count(event.serial, torn=1, lapped=block.count)
        elif isinstance(event, SeriesStart):
            found.append(("start", event.series.key.number))
        elif isinstance(event, SeriesEnd):
            found.append(("end", event.series.key.number, event.complete, event.reason))
            reader.finalised(event)
    return found
