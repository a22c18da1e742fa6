"""An acquisition read in order, in pieces of several MB, without its holes; and that ahead of time.

Knows no clock, no series and no messages: what is due when is source.py's business.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...files.acquisition import Acquisition, Positions
from ...series import IndexArray

Bytes = npt.NDArray[np.uint8]

READ_BYTES = 4 << 20
"""One reading: below it the calls show, above it a first picture waits (4 MiB are 20 ms on a slow disk)."""
MAX_FRAMES = 65_536
"""Of one reading: what a block of the ring holds at most."""
AHEAD = 3
"""Readings under way or done: the reader decodes while the ring is being filled."""
LOOKS = 1000
"""Damaged frames that are passed over at a step back: each is read, 0.1 ms or more."""
PAGE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Consecutive frames that are there, as stored."""

    first: int
    count: int
    payload: npt.NDArray[np.uint8]
    """Back to back; a view of the file's memory where it can be."""
    sizes: npt.NDArray[np.int64] | None
    """(count,) bytes of each payload; None when raw."""
    positions: Positions | None
    times: npt.NDArray[np.int64] | None
    """(count,) ns as recorded, <= 0 where unknown; None when no frame's is known."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Frames that are there and cannot be read."""

    first: int
    count: int
    detail: str


Part = Piece | Damage


class FrameReader:
    """Reads from ``seek``'s frame to ``count``; every frame is in one piece, one damage, or was a hole."""

    def __init__(self, acquisition: Acquisition, count: int, read_bytes: int = READ_BYTES) -> None:
        self.count = count
        self._acquisition = acquisition
        self._read_bytes = read_bytes
        height, width = acquisition.shape
        self._frame_bytes = height * width * np.dtype(acquisition.dtype).itemsize
        self._stored_bytes = float(self._frame_bytes)  # of one frame, by the last reading
        self._next = 0

    def seek(self, first: int) -> None:
        """Go on with this frame."""
        self._next = first

    def read(self) -> list[Part]:
        """The parts of the next frames; empty at the end."""
        while self._next < self.count:
            first, n = self._next, self._frames_at_once()
            self._next += n
            if parts := self._read(first, n):
                return parts
        return []

    def at_or_before(self, index: int) -> int:
        """The last frame up to ``index`` that is there and can be read; ``index`` where none is found."""
        stop, looks = min(index + 1, self.count), LOOKS
        while stop > 0 and looks > 0:
            first = max(0, stop - MAX_FRAMES)
            there = self._recorded(first, stop - first)
            offsets = np.arange(stop - first) if there is None else np.flatnonzero(there)
            for frame in (first + offsets[::-1][:looks]).tolist():
                if any(isinstance(part, Piece) for part in self._read(frame, 1)):
                    return int(frame)
            stop, looks = first, looks - len(offsets)
        return index

    def _recorded(self, first: int, n: int) -> npt.NDArray[np.bool_] | None:
        try:
            return self._acquisition.recorded(first, n)
        except Exception:  # noqa: BLE001 - as in _read; then each frame is looked at
            return None

    def _frames_at_once(self) -> int:
        wanted = int(self._read_bytes / max(self._stored_bytes, 1.0))
        return max(1, min(wanted, MAX_FRAMES, self.count - self._next))

    def _read(self, first: int, n: int) -> list[Part]:
        try:
            return list(self._pieces(first, n))
        except Exception as error:  # noqa: BLE001 - libraries raise anything for damaged bytes, and ingest goes on
            if n == 1:
                return [Damage(first, 1, f"{type(error).__name__}: {error}"[:300])]
        return [part for frame in range(first, first + n) for part in self._read(frame, 1)]

    def _pieces(self, first: int, n: int) -> Iterator[Piece]:
        acquisition = self._acquisition
        stored = acquisition.joined(first, n)
        there = acquisition.present(first, n) if stored is None else stored[1] > 0
        positions, times = acquisition.positions(first, n), acquisition.times(first, n)
        bytes_of_run: tuple[Bytes, IndexArray | None]
        for start, stop in _runs(there, n):
            if stored is None:
                bytes_of_run = self._decoded(first + start, stop - start), None
            else:
                bytes_of_run = self._cut(*stored, start, stop)
            yield Piece(
                first + start,
                stop - start,
                *bytes_of_run,
                None if positions is None else np.ascontiguousarray(positions[start:stop], np.float32),
                None if times is None else np.asarray(times[start:stop], np.int64),
            )

    def _cut(
        self, payload: Bytes, sizes: IndexArray, start: int, stop: int
    ) -> tuple[Bytes, IndexArray | None]:
        """A run of the frames that were read; absent ones are empty."""
        begin, wanted = int(sizes[:start].sum()), sizes[start:stop]
        piece = payload[begin : begin + int(wanted.sum())]
        self._stored_bytes = max(1.0, piece.nbytes / len(wanted))
        return piece, None if self._acquisition.encoding == "raw" else wanted

    def _decoded(self, first: int, n: int) -> Bytes:
        """The same bytes as ever, every page of them in memory: a mapped file's disk is waited for here."""
        payload = np.ascontiguousarray(self._acquisition.frames(first, n)).reshape(-1).view(np.uint8)
        payload[::PAGE].max(initial=0)
        return payload


def _runs(there: npt.NDArray[np.bool_] | None, n: int) -> list[tuple[int, int]]:
    """Half-open runs of frames that are there."""
    if there is None or there.all():
        return [(0, n)]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


class ReadAhead:
    """A FrameReader in a thread of its own, a few readings ahead of who takes them.

    All methods are for one thread. ``pollable`` becomes readable when a reading that ``take`` did not find is
    there; ``hear`` must then be called.
    """

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader
        self._pool = ThreadPoolExecutor(1, "livem-replay")
        self._readings: deque[Future[list[Part]]] = deque()
        self._parts: deque[Part] = deque()
        self._at_end = False
        self._rung = False
        self.pollable, self._bell = socket.socketpair()
        self.pollable.setblocking(False)
        self._bell.setblocking(False)

    def at_or_before(self, index: int) -> int:
        """See FrameReader. Waits for it; ``seek`` must follow, as what was being read is forgotten."""
        self._forget()
        return self._pool.submit(self._reader.at_or_before, index).result()

    def _forget(self) -> None:
        for reading in self._readings:
            reading.cancel()
        self._readings.clear()
        self._parts.clear()

    def seek(self, first: int) -> None:
        """Forget what was read and go on with this frame."""
        self._forget()
        self._at_end = False
        self._pool.submit(self._reader.seek, first)
        self._read_on()

    def take(self) -> Part | None:
        """The next part; None when it is still being read, or when ``at_end``."""
        while not self._parts:
            if self._at_end or not self._readings or not self._readings[0].done():
                return None
            self._parts.extend(self._readings.popleft().result())
            self._at_end = not self._parts
            self._read_on()
        return self._parts.popleft()

    @property
    def at_end(self) -> bool:
        """Whether everything was taken."""
        return self._at_end

    @property
    def waiting(self) -> bool:
        """Whether ``take`` has nothing yet and the bell will ring."""
        return not (self._parts or self._at_end or (self._readings and self._readings[0].done()))

    def hear(self) -> None:
        """Take notice of the bell."""
        if self._rung:
            self._rung = False
            with suppress(BlockingIOError):
                self.pollable.recv(PAGE)

    def close(self) -> None:
        """End the thread after what it reads now."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.pollable.close()
        self._bell.close()

    def _read_on(self) -> None:
        while not self._at_end and len(self._readings) < AHEAD:
            reading = self._pool.submit(self._reader.read)
            self._readings.append(reading)
            reading.add_done_callback(self._ring)

    def _ring(self, reading: Future[Any]) -> None:
        """In the reading thread: rings first, so that a bell heard too early is heard again."""
        with suppress(OSError):  # nobody drains it, or it was closed meanwhile
            self._bell.send(b"!")
        self._rung = True
