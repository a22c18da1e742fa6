"""The ring's one writer: reserve room, fill it, publish; open and close series around it.

Knows bytes, blocks and gates; what frames mean is the assembler's.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..atomics import announce_and_load, store
from ..errors import RingError
from .bulk_copy import bulk_copy
from .ring import WriterPort, attach_views, drain
from .ring_layout import (
    COMPLETE,
    D_BEGIN,
    D_END,
    D_FLAGS,
    F_LATE,
    F_POSITIONS,
    F_SIZES,
    F_TIME,
    H_BLOCKED_BY,
    H_BLOCKED_NS,
    H_HEAD,
    H_NEXT_SERIAL,
    H_SETTLED,
    H_UNASCRIBED,
    H_WRITER_BEAT,
    H_WRITER_GENERATION,
    H_WRITER_PID,
    H_WRITER_WAITING,
    INCOMPLETE,
    K_END,
    K_FRAMES,
    K_START,
    LEDGER_BYTES,
    OPEN,
    PAGE,
    R_CURSOR,
    R_GATES,
    R_PASSED,
    R_PATIENCE,
    R_PID,
    R_STARTED,
    REASON_BYTES,
    S_END_SEQ,
    S_ENTERED,
    S_FIRST_ARRIVAL,
    S_HEADER_SIZE,
    S_LAST_ARRIVAL,
    S_LEDGER_SIZE,
    S_LEDGER_STAMP,
    S_REASON_SIZE,
    S_SERIAL,
    S_START_SEQ,
    S_STATE,
    SERIES_KEPT,
    SLOT_WORDS,
    Bytes,
    Views,
    Words,
)
from .ring_protocol import blocking_reader, evict, make_room, publish
from .ring_table import pack_series
from .segment import Owner
from .series import Series

TABLE_S = 0.01
"""Between two looks at the series table while it is full (32 series in less than the owner's 50 ms)."""
WAIT_S = 0.1
"""How long the writer sleeps at most before it looks again for stop requests and dead readers."""
LEASE_TIMEOUT_NS = 5_000_000_000
"""A lossless reader stops gating so long after its process was found dead: the supervisor restarts a worker
within 2 s, and then nothing is lost."""
MARK_S = 2.0
"""How long the mark of a series may wait for room once the session is being stopped."""


_DESCRIPTOR = struct.Struct("=11Q")
"""Words D_BEGIN to D_FLAGS of a slot, in their order; one call in place of eleven saves 1 us a block."""
assert (D_BEGIN, D_FLAGS) == (1, 11)


@dataclass(slots=True)
class BlockHeader:
    """What the writer says of the frames that it has written into a reservation.

    Not frozen: that takes 0.6 us longer to make, one a block.
    """

    serial: int
    first: int
    count: int
    nbytes: int
    ordinal: int
    arrival_ns: int
    """Of the first frames."""
    time_ns: int | None = None
    late: bool = False
    newest_ns: int = 0
    """Arrival of the last frames; 0: as the first."""


@dataclass(slots=True)
class _Standstill:
    """Of a reader that blocks the writer: the block it stands at, and for how long it was seen there."""

    cursor: int
    looked_ns: int
    stood_ns: int = 0

    def look(self, now: int) -> None:
        """Between two looks the whole session may have been stopped (Ctrl-Z): that is not its fault."""
        self.stood_ns += min(now - self.looked_ns, int(2e9 * WAIT_S))
        self.looked_ns = now


class StoppedError(Exception):
    """The session stops while the writer waits for a lossless reader."""


class RingWriter:
    """The one writer. ``reserve`` room, ``fill`` it, ``publish_frames``; open and close series around it."""

    def __init__(self, port: WriterPort, stop: Callable[[], bool] = lambda: False) -> None:
        self._pause = threading.Event()  # never set: Windows cannot select on nothing
        self._stop = stop
        self._dead_since: dict[int, int] = {}
        self._standing: dict[int, _Standstill] = {}
        self._segment, self._views = attach_views(port.segment, port.layout)
        self.layout = port.layout
        self._wakes = port.wakes
        self._values = np.zeros(SLOT_WORDS, np.uint64)
        self._descriptor = self._values[D_BEGIN:].data.cast("B")
        self._arena_at = int(self._views.arena.ctypes.data)
        self._begin = self._end = 0
        self._words_serial, self._words = -1, self._views.header
        header = self._views.header
        header[H_WRITER_PID] = os.getpid()
        header[H_WRITER_GENERATION] += np.uint64(1)
        header[H_BLOCKED_BY] = header[H_WRITER_WAITING] = 0  # a killed writer may have left them
        self._position = self._recover()
        self.beat()

    def _recover(self) -> int:
        """Where the next block begins: after the last one that was published, whoever wrote it."""
        head = self.head
        if head == 0:
            return 0
        return int(self._views.slots[(head - 1) % self.layout.slots, D_END])

    @property
    def head(self) -> int:
        """Number of the next block."""
        return int(self._views.header[H_HEAD])

    @property
    def next_serial(self) -> int:
        """Serial number of the next series; serials count series in this ring, over all senders."""
        return int(self._views.header[H_NEXT_SERIAL])

    @property
    def views(self) -> Views:
        """The ring's tables, for reading."""
        return self._views

    def beat(self) -> None:
        self._views.header[H_WRITER_BEAT] = time.monotonic_ns()

    def reserve(self, nbytes: int, *, stop: Callable[[], bool] | None = None) -> Bytes:
        """Room for a block of up to ``nbytes`` bytes, page-aligned; nothing is published by this.

        Waits while a lossless reader still needs the room (the time is counted: back-pressure is shown).
        Raises StoppedError when ``stop`` (by default the writer's own) became true meanwhile, RingError above
        ``max_block_bytes``.
        """
        if nbytes > self.layout.max_block_bytes:
            raise RingError(
                f"block of {nbytes} bytes is above a quarter of the ring ({self.layout.max_block_bytes}): "
                "set [ring] bytes higher in the pipeline file"
            )
        capacity = self.layout.data_bytes
        begin = -(-self._position // PAGE) * PAGE
        if begin % capacity + nbytes > capacity:
            begin = -(-begin // capacity) * capacity
        limit = begin + nbytes - capacity
        views = self._views
        row = make_room(views.header, views.rows, views.slots, limit)
        if row >= 0:
            self._wait_for_room(row, limit, stop or self._stop)
            evict(views.header, views.slots, limit)
        self._begin, self._end = begin, begin + nbytes
        offset = begin % capacity
        room: Bytes = views.arena[offset : offset + nbytes]
        return room

    def fill(self, payload: Bytes, at: int = 0) -> None:
        """Copy ``payload`` (n,) into the last reservation, ``at`` bytes from its beginning.

        Faster than writing to the view that ``reserve`` gives (bulk_copy.py). Raises RingError where the
        reservation ends before the payload does.
        """
        begin = self._begin + at
        if at < 0 or begin + len(payload) > self._end:
            raise RingError(
                f"{len(payload)} bytes at {at} do not fit a reservation of {self._end - self._begin} bytes"
            )
        bulk_copy(self._arena_at + begin % self.layout.data_bytes, payload)

    def _wait_for_room(self, row: int, limit: int, stop: Callable[[], bool]) -> None:
        views = self._views
        flag = views.header.ctypes.data + 8 * H_WRITER_WAITING
        waited_from = time.monotonic_ns()
        try:
            while row >= 0:
                if stop():
                    raise StoppedError
                views.header[H_BLOCKED_BY] = row + 1
                announce_and_load(flag, 1, flag)
                row = blocking_reader(views.header, views.rows, views.slots, limit)
                if row >= 0:
                    self._sleep_for(row)
                    row = blocking_reader(views.header, views.rows, views.slots, limit)
        finally:
            store(flag, 0)
            views.header[H_BLOCKED_BY] = 0
            views.header[H_BLOCKED_NS] += np.uint64(time.monotonic_ns() - waited_from)
            self.beat()

    def _sleep_for(self, row: int) -> None:
        """Until any reader gives something back: another one than ``row`` may have taken the flag."""
        ready, _, _ = select.select(self._wakes, [], [], WAIT_S)
        for wake in ready:
            drain(wake)
        self.beat()
        self._free_if_dead(row)
        if row not in self._dead_since:  # who died is waited for until another is there
            self._pass_if_standing(row)

    def _free_if_dead(self, row: int) -> None:
        """A dead reader's cursor is freed after the lease timeout, so that nobody waits for ever."""
        words, now = self._views.rows[row], time.monotonic_ns()
        if not words[R_PID] or Owner(int(words[R_PID]), int(words[R_STARTED])).alive():
            self._dead_since.pop(row, None)
        elif now - self._dead_since.setdefault(row, now) >= LEASE_TIMEOUT_NS:
            words[R_GATES] = 0

    def _pass_if_standing(self, row: int) -> None:
        """A reader with limited patience for it is passed while its process lives and does not move.

        A recorder whose disk hangs is stuck in a write, and nobody can wake it.
        """
        words, now = self._views.rows[row], time.monotonic_ns()
        cursor, standing = int(words[R_CURSOR]), self._standing.get(row)
        if standing is None or standing.cursor != cursor:
            standing = self._standing[row] = _Standstill(cursor, now)
        standing.look(now)
        if 0 < int(words[R_PATIENCE]) <= standing.stood_ns:
            words[R_PASSED] = 1  # before the gate opens: who finds it open knows why
            words[R_GATES] = 0

    def open_series(self, series: Series, arrival_ns: int, ledger: bytes = b"") -> int:
        """Enter a series into the table and publish its START; returns its serial number.

        Waits while the owner has still to write down the series whose place in the table it takes. ``ledger``
        is what a later writer finds if this one dies before the first block.
        """
        serial, header = self.next_serial, pack_series(series)
        self._wait_for_place(serial)
        words = self._views.series_words(serial)
        words[S_SERIAL] = 0
        self._views.series_header(serial)[: len(header)] = np.frombuffer(header, np.uint8)
        words[:] = 0
        words[S_HEADER_SIZE], words[S_START_SEQ] = len(header), self.head
        words[S_STATE] = OPEN
        words[S_SERIAL] = serial + 1
        if ledger:
            self.note_ledger(serial, ledger)
        self._views.header[H_NEXT_SERIAL] = serial + 1
        self.publish_start(serial, arrival_ns)
        return serial

    def _wait_for_place(self, serial: int) -> None:
        header = self._views.header
        while serial - min(int(header[H_SETTLED]), serial) >= SERIES_KEPT:
            if self._stop():
                raise StoppedError
            self._pause.wait(TABLE_S)  # the owner settles in its own rhythm and cannot wake us
            self.beat()

    def publish_start(self, serial: int, arrival_ns: int) -> None:
        """Publish the START mark of a series that is in the table (again, if a crash came between)."""
        self._publish_mark(K_START, serial, arrival_ns, 0)

    def close_series(
        self, serial: int, *, complete: bool, reason: str, ledger: bytes, received: int, arrival_ns: int
    ) -> None:
        """Publish the END of a series, with its last ledger and why it ended."""
        self.note_ledger(serial, ledger)
        words = self._views.series_words(serial)
        text = reason.encode()[:REASON_BYTES]
        self._views.series_reason(serial)[: len(text)] = np.frombuffer(text, np.uint8)
        words[S_REASON_SIZE] = len(text)
        words[S_END_SEQ] = self.head + 1
        words[S_ENTERED] = received
        words[S_STATE] = COMPLETE if complete else INCOMPLETE
        self.publish_end(serial, arrival_ns)

    def publish_end(self, serial: int, arrival_ns: int) -> None:
        """Publish the END mark of a series that is closed in the table (again, if a crash came between)."""
        entered = int(self._views.series_words(serial)[S_ENTERED])
        self._publish_mark(K_END, serial, arrival_ns, entered)

    def note_ledger(self, serial: int, ledger: bytes) -> None:
        """Keep the ledger as it will be once the next block is published (two sides, in turn)."""
        if len(ledger) > LEDGER_BYTES:
            raise RingError(f"ledger of {len(ledger)} bytes is above {LEDGER_BYTES}")
        side = self.head % 2
        words = self._views.series_words(serial)
        words[S_LEDGER_STAMP + side] = 0
        self._views.series_ledger(serial, side)[: len(ledger)] = np.frombuffer(ledger, np.uint8)
        words[S_LEDGER_SIZE + side] = len(ledger)
        words[S_LEDGER_STAMP + side] = self.head + 1

    def publish_frames(
        self,
        block: BlockHeader,
        sizes: npt.NDArray[np.int64] | None = None,
        positions: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Publish what was written into the last reservation; its unused end is given back.

        ``sizes`` (n,) and ``positions`` (n, 2) are stored behind the payload (``trailer_bytes``).
        """
        flags, time_ns = F_LATE * block.late, 0
        end = self._begin + _aligned(block.nbytes)
        if sizes is not None:
            flags, end = flags | F_SIZES, self._append(sizes, end)
        if positions is not None:
            flags, end = flags | F_POSITIONS, self._append(positions, end)
        if block.time_ns is not None:
            flags, time_ns = flags | F_TIME, block.time_ns & 0xFFFF_FFFF_FFFF_FFFF
        words = self._words_of(block.serial)
        if not words[S_FIRST_ARRIVAL]:
            words[S_FIRST_ARRIVAL] = block.arrival_ns
        words[S_LAST_ARRIVAL] = block.newest_ns or block.arrival_ns
        self._publish(
            self._begin,
            end,
            block.nbytes,
            K_FRAMES,
            block.serial,
            block.first,
            block.count,
            block.ordinal,
            time_ns,
            block.arrival_ns,
            flags,
        )

    def _words_of(self, serial: int) -> Words:
        """The series' words; kept, because making the view costs 1 us a block."""
        if self._words_serial != serial:
            self._words_serial, self._words = serial, self._views.series_words(serial)
        return self._words

    def _append(self, trailer: npt.NDArray[np.int64] | npt.NDArray[np.float32], end: int) -> int:
        if end + trailer.nbytes > self._end:
            raise RingError(f"block's trailer of {trailer.nbytes} bytes does not fit its reservation")
        offset = end % self.layout.data_bytes
        room = self._views.arena[offset : offset + trailer.nbytes]
        room[:] = np.ascontiguousarray(trailer).view(np.uint8).reshape(-1)
        return end + _aligned(trailer.nbytes)

    def _publish_mark(self, kind: int, serial: int, arrival_ns: int, ordinal: int) -> None:
        patience = time.monotonic() + MARK_S
        self.reserve(0, stop=lambda: self._stop() and time.monotonic() > patience)
        begin = self._begin
        self._publish(begin, begin, 0, kind, serial, 0, 0, ordinal, 0, arrival_ns, 0)

    def _publish(self, begin: int, end: int, *words: int) -> None:
        """Publish a descriptor: its words D_BEGIN to D_FLAGS, in their order."""
        _DESCRIPTOR.pack_into(self._descriptor, 0, begin, end, *words)
        self._position = end
        views = self._views
        sleepers = publish(views.header, views.rows, views.slots, self._values)
        if sleepers:
            self._wake(sleepers)

    def _wake(self, sleepers: int) -> None:
        """Wake the readers in a bit mask of rows: those that said that they would sleep."""
        row = 0
        while sleepers:
            if sleepers & 1:
                with contextlib.suppress(OSError):  # full: the reader has enough to wake it
                    self._wakes[row].send(b"\0")
            sleepers >>= 1
            row += 1

    def count_unascribed(self, slot: int, n: int) -> None:
        """Count what was rejected and belongs to no frame of a series."""
        self._views.header[H_UNASCRIBED + slot] += np.uint64(n)

    def close(self) -> None:
        self._views.header[H_WRITER_PID] = 0
        del self._views, self._words
        self._segment.close()


def _aligned(nbytes: int) -> int:
    return -(-nbytes // 64) * 64


def trailer_bytes(frames: int, *, sizes: bool, positions: bool) -> int:
    """Bytes to reserve beyond the payload for the per-frame tables of a block."""
    return 64 + sizes * _aligned(8 * frames) + positions * _aligned(8 * frames)
