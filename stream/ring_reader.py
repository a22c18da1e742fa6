"""Readers of the ring: a cursor, a policy, leases, and exact counting of what was skipped."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..atomics import announce_and_load
from ..errors import LeaseExpiredError
from .late_reader import REASON, join
from .ring import ReaderPort, attach_views, drain
from .ring_layout import (
    D_COUNT,
    D_KIND,
    D_ORDINAL,
    D_SERIAL,
    DROP_REASONS,
    E_DROPPED,
    E_FINAL,
    E_FIRST_RESULT_NS,
    E_HISTOGRAM,
    E_LAST_RESULT_NS,
    E_PROCESSED,
    E_SERIAL,
    E_TORN,
    H_HEAD,
    H_TAIL,
    K_END,
    K_FRAMES,
    POISON_KEPT,
    R_AT_WORK,
    R_BEAT,
    R_CURSOR,
    R_ERRORS,
    R_FAULTS,
    R_GATES,
    R_GENERATION,
    R_PASSED,
    R_PID,
    R_POISON,
    R_STARTED,
    R_STRIKES,
    R_SUSPECT,
    R_TORN,
    R_WAITING,
    S_START_SEQ,
    SERIES_KEPT,
    SLOT_WORDS,
    Bytes,
    Words,
    histogram_bin,
)
from .ring_protocol import (
    LAPPED,
    NOT_YET,
    READABLE,
    WAKE,
    WHOLE,
    accounted,
    comes_soon,
    give_back,
    move_cursor,
    read_slot,
    still_readable,
)
from .ring_table import block_of, is_known, received_in_ring, series_of, state_of
from .segment import Owner
from .series import Block, Series


@dataclass(frozen=True, slots=True)
class SeriesStart:
    """A series begins for this reader."""

    serial: int
    series: Series


@dataclass(frozen=True, slots=True)
class SeriesEnd:
    """A series is over: no block of it comes after this."""

    serial: int
    series: Series
    complete: bool
    reason: str
    next_seq: int
    """What ``finalised`` is to be told once the series' last results are out."""


class Lease:
    """The right to read one block until ``release``.

    ``release`` says whether the block stayed whole all the time. For a lossless reader it always does; any
    other reader may have been lapped, and must then throw away what it computed.
    """

    def __init__(self, reader: RingReader, block: Block, serial: int, live: bool) -> None:
        self._reader = reader
        self._block: Block | None = block
        self.serial = serial
        self.seq = block.seq
        self.live = live
        """False: history, read again; not counted on the edge."""

    @property
    def block(self) -> Block:
        """The block; LeaseExpiredError after ``release``."""
        if self._block is None:
            raise LeaseExpiredError(
                f"block {self.seq} was used after its lease had ended: copy what is to be kept"
            )
        return self._block

    @property
    def whole(self) -> bool:
        """Whether the block is whole up to now: only a lossless reader that the writer passed may lose it."""
        return self._reader._is_whole(self.block)

    def release(self) -> bool:
        """Give the block back; True when what was read of it is whole. A second call raises."""
        block = self.block
        self._block = None
        return self._reader._release(block, self.live)

    def __enter__(self) -> Block:
        return self.block

    def __exit__(self, *_: object) -> None:
        if self._block is not None:
            self.release()


Event = SeriesStart | SeriesEnd | Lease

DENSE_NS, LOOKS = 50_000, 40_000
"""A reader that has to wait twice within 50 us looks for 10 us more before it sleeps: to be woken for each
block costs the writer 1 us of its 11 us (128 KiB). Ingest publishes every 5 ms: there nobody ever looks."""
MAX_STRIKES = 3
"""A block on which so many processes in a row have died is passed over: it must not stop the stream."""


class RingReader:
    """One consumer edge. ``next`` gives series marks and leases in order, by the edge's policy.

    A reader that attaches to a row which another process has left (a crash) goes on: a lossless one from
    the oldest block still there of the series it had not finished, any other one from the newest.
    """

    def __init__(self, port: ReaderPort) -> None:
        self._segment, self._views = attach_views(port.segment, port.layout)
        self.name, self.policy, self._row = port.spec.name, port.spec.policy, port.row
        self._newest_only = self.policy.newest_only
        # Kept, because making a view costs 0.3 us, and each block needs both several times.
        self._words: Words = self._views.rows[self._row]
        self._record_serial, self._record = 0, self._views.edge(self._row, 0)
        self.wake = port.wake
        self._slot = np.zeros(SLOT_WORDS, np.uint64)
        self._events: deque[Event] = deque()
        self._leased: dict[int, tuple[int, int]] = {}
        """Blocks on lease: their series and frames."""
        self._last_sample_ns = self._waited_ns = 0
        self._attach()

    def _attach(self) -> None:
        words = self._words
        restarted = bool(words[R_GENERATION])
        me = Owner.me()
        words[R_PID], words[R_STARTED] = me.pid, me.started
        words[R_GENERATION] += np.uint64(1)
        words[R_PASSED] = 0
        self.beat()
        self._series: dict[int, Series] = {}
        self._serial = self._ended = self._last_finalised()
        # Why this reader passes over frames when nothing went wrong.
        self._usual_skip = self._skip_reason = "skipped" if self.policy.newest_only else "lapped"
        self._poisonous = self._find_poisonous() if restarted else frozenset()
        if restarted and self.policy.gates:
            self._resume()
        elif restarted:
            self._cursor = max(self.head - 1, 0)
        elif self.policy.gates and not words[R_GATES]:
            self._cursor, self._serial = join(self._views, self._row)
            self._ended, self._skip_reason = self._serial, REASON
        else:
            self._cursor = int(words[R_CURSOR])

    def _resume(self) -> None:
        """After a crash: read again what the ring still has of the unfinished series."""
        views, words = self._views, self._words
        first = max(int(views.edges[self._row, :, E_FINAL].max()), self.tail)
        words[R_GATES] = 1
        move_cursor(views.header, views.rows, self._row, first)
        self._cursor = first = max(first, self.tail)
        self._skip_reason = "restart"
        if first < self.head:
            serial = int(views.slots[first % views.layout.slots, D_SERIAL])
            for later in range(serial, serial + SERIES_KEPT):
                record = views.edge(self._row, later)
                if record[E_SERIAL] == later + 1:
                    record[:] = 0

    def _find_poisonous(self) -> frozenset[int]:
        """The blocks that have each killed MAX_STRIKES processes of this row in a row."""
        words = self._words
        at_work, words[R_AT_WORK] = int(words[R_AT_WORK]), 0
        if at_work:
            words[R_STRIKES] = int(words[R_STRIKES]) + 1 if at_work == words[R_SUSPECT] else 1
            words[R_SUSPECT] = at_work
        poison = words[R_POISON : R_POISON + POISON_KEPT]
        if words[R_STRIKES] >= MAX_STRIKES and words[R_SUSPECT] not in poison:
            poison[int(poison.argmin())] = words[R_SUSPECT]  # a free place, or the oldest block's
        return frozenset(int(seq) - 1 for seq in poison if seq)

    def _last_finalised(self) -> int:
        """Serial of the last series whose final results this row has given out; -1 = none."""
        records = self._views.edges[self._row]
        return max((int(record[E_SERIAL]) - 1 for record in records if record[E_FINAL]), default=-1)

    @property
    def head(self) -> int:
        """Number of the next block to be published."""
        return int(self._views.header[H_HEAD])

    @property
    def tail(self) -> int:
        """Number of the oldest block that can still be read."""
        return int(self._views.header[H_TAIL])

    @property
    def position(self) -> int:
        """Number of the next block that this reader will look at."""
        return self._cursor

    @property
    def passed(self) -> bool:
        """Whether the writer went on without this reader, because it stood still."""
        return bool(self._words[R_PASSED])

    @property
    def faults(self) -> int:
        """How many processes of this reader have noted a fault before they ended."""
        return int(self._words[R_FAULTS])

    def note_fault(self) -> None:
        """Tell the next process of this reader that this one ends because of what it computes on."""
        self._words[R_FAULTS] += np.uint64(1)

    @property
    def memory(self) -> Bytes:
        """The ring's blocks, as one array of all their bytes; read-only. To be page-locked, say."""
        return self._views.stored

    def rejoin(self, reason: str) -> None:
        """Make the writer wait again, from the oldest block that is left; all leases must have ended.

        Frames that were missed meanwhile are counted for ``reason``, one of DROP_REASONS.
        """
        self._skip_reason = reason
        self._words[R_GATES] = self.policy.gates
        self._cursor = max(self._cursor, self.tail)
        self._publish_cursor()
        self._words[R_PASSED] = 0

    def beat(self) -> None:
        self._words[R_BEAT] = time.monotonic_ns()

    def next(self) -> Event | None:
        """What comes next, or None when there is nothing yet. Never blocks."""
        while not self._events:
            seq = self._choose()
            if seq is None:
                return None
            status = read_slot(self._views.header, self._views.slots, seq, self._slot)
            if status == NOT_YET:
                return None
            if status == LAPPED:
                self._cursor = max(self.tail, self._cursor + 1)
                continue
            self._take(seq)
        return self._events.popleft()

    def _choose(self) -> int | None:
        if not self._newest_only:
            return self._cursor
        head = self.head
        if self._cursor >= head:
            return None
        if self._sample_due_in() > 0:
            return None
        self._last_sample_ns = time.monotonic_ns()
        return self._newest_frames(head)

    def _sample_due_in(self) -> float:
        """Seconds until the sampling clock allows a block; series marks do not wait for it."""
        if self.policy.kind != "sample_hz" or not self._series_goes_on(self.head):
            return 0.0
        return max(0.0, self._last_sample_ns / 1e9 + 1 / self.policy.hz - time.monotonic())

    def _series_goes_on(self, head: int) -> bool:
        """Whether the newest block is one of frames."""
        return int(self._views.slots[(head - 1) % self._views.layout.slots, D_KIND]) == K_FRAMES

    def _newest_frames(self, head: int) -> int:
        """The newest block, or the newest frames before the marks that stand at the end."""
        slots = self._views.slots
        for seq in range(head - 1, self._cursor - 1, -1):
            if int(slots[seq % len(slots), D_KIND]) == K_FRAMES:
                return seq
        return self._cursor

    def _take(self, seq: int) -> None:
        slot: list[int] = self._slot.tolist()
        serial = slot[D_SERIAL]
        self._cursor = seq + 1
        if serial > self._serial:
            self._catch_up(serial, seq)
        if slot[D_KIND] == K_FRAMES:
            self._count_skipped(serial, slot[D_ORDINAL])
            if seq in self._poisonous:
                self.count(serial, consumer_error=slot[D_COUNT])
                return self._publish_cursor()
            self._leased[seq] = serial, slot[D_COUNT]
            self._words[R_AT_WORK] = seq + 1
            self._events.append(Lease(self, self._block(seq, slot), serial, live=True))
            return None
        if slot[D_KIND] == K_END and serial > self._ended:
            self._end(serial, seq + 1, slot[D_ORDINAL])
        return self._publish_cursor()

    def _catch_up(self, serial: int, seq: int) -> None:
        """End the series that this reader knew and begin all that came since, even if it saw none of them."""
        for passed in range(max(self._serial, 0), serial):
            if passed > self._ended and is_known(self._views, passed):
                if passed > self._serial:
                    self._begin(passed)
                self._end(passed, seq, None)
        self._begin(serial)

    def _begin(self, serial: int) -> None:
        self._serial = serial
        record = self._edge(serial)
        if record[E_SERIAL] != serial + 1:
            record[:] = 0
            record[E_SERIAL] = serial + 1
        self._events.append(SeriesStart(serial, self._series_of(serial)))

    def _end(self, serial: int, next_seq: int, received: int | None) -> None:
        self._ended = serial
        if received is None:
            received = received_in_ring(self._views, serial)
        self._count_skipped(serial, received)
        state, reason = state_of(self._views, serial)
        series = self._series_of(serial)
        self._events.append(SeriesEnd(serial, series, state == "complete", reason, next_seq))

    def _count_skipped(self, serial: int, ordinal: int) -> None:
        """Frames of the series that came before ``ordinal`` and were never handed out."""
        record = self._edge(serial)
        missed = ordinal - int(accounted(record))
        if self._leased:
            missed -= sum(frames for leased, frames in self._leased.values() if leased == serial)
        if missed > 0:
            record[E_DROPPED + DROP_REASONS.index(self._skip_reason)] += np.uint64(missed)
        self._skip_reason = self._usual_skip

    def _edge(self, serial: int) -> Words:
        if self._record_serial != serial:
            self._record_serial, self._record = serial, self._views.edge(self._row, serial)
        return self._record

    def _block(self, seq: int, slot: Sequence[int]) -> Block:
        return block_of(self._views, seq, slot, self._series_of(slot[D_SERIAL]))

    def _series_of(self, serial: int) -> Series:
        if serial not in self._series:
            self._series = {serial: series_of(self._views, serial)}
        return self._series[serial]

    def history(self, seq: int) -> Lease | None:
        """Lease of an older block that is still in the ring; None when it is gone or holds no frames.

        Not counted on the edge and never gating: ``release`` tells whether it stayed whole.
        """
        status = read_slot(self._views.header, self._views.slots, seq, self._slot)
        if status != READABLE or self._slot[D_KIND] != K_FRAMES or seq in self._poisonous:
            return None
        self._words[R_AT_WORK] = seq + 1
        slot: list[int] = self._slot.tolist()
        return Lease(self, self._block(seq, slot), slot[D_SERIAL], live=False)

    def history_of(self, serial: int, before: int) -> range:
        """Block numbers below ``before`` that may still hold frames of a series."""
        start = int(self._views.series_words(serial)[S_START_SEQ])
        return range(max(start, self.tail), before)

    def _release(self, block: Block, live: bool) -> bool:
        if live:
            del self._leased[block.seq]
            said = give_back(self._views.header, self._views.rows, self._row, block.seq, self._first_in_use())
            whole = bool(said & WHOLE)
            if said & WAKE:
                self._wake_writer()
        else:
            self._words[R_AT_WORK] = 0
            whole = self._is_whole(block)
        if not whole:
            self._words[R_TORN] += np.uint64(1)
        return whole

    def _is_whole(self, block: Block) -> bool:
        return bool(still_readable(self._views.header, block.seq))

    def _first_in_use(self) -> int:
        """The oldest block on lease, or else the next one to be read."""
        return min(self._leased) if self._leased else self._cursor

    def _publish_cursor(self) -> None:
        if move_cursor(self._views.header, self._views.rows, self._row, self._first_in_use()):
            self._wake_writer()

    def _wake_writer(self) -> None:
        try:
            self.wake.send(b"\0")
        except OSError:
            return  # full or gone: the writer is awake or no more

    def count(self, serial: int, *, processed: int = 0, torn: int = 0, **dropped: int) -> None:
        """Enter frames into the edge's account; keywords are DROP_REASONS."""
        record = self._edge(serial)
        if record[E_SERIAL] != serial + 1:
            return  # more than 32 series ago
        record[E_PROCESSED] += np.uint64(processed)
        record[E_TORN] += np.uint64(torn)
        for reason, frames in dropped.items():
            record[E_DROPPED + DROP_REASONS.index(reason)] += np.uint64(frames)

    def recount(self, serial: int, frames: int, reason: str) -> None:
        """Frames that were counted as dropped for ``reason`` were processed after all."""
        record = self._edge(serial)
        record[E_DROPPED + DROP_REASONS.index(reason)] -= np.uint64(frames)
        record[E_PROCESSED] += np.uint64(frames)

    def count_error(self) -> None:
        self._words[R_ERRORS] += np.uint64(1)

    def observe(self, serial: int, frames: int, arrival_ns: int, published_ns: int) -> None:
        """Enter the latency from arrival to published result of some frames."""
        record = self._edge(serial)
        record[E_HISTOGRAM + histogram_bin(published_ns - arrival_ns)] += np.uint64(frames)
        if not record[E_FIRST_RESULT_NS]:
            record[E_FIRST_RESULT_NS] = published_ns
        record[E_LAST_RESULT_NS] = published_ns

    def finalised(self, end: SeriesEnd) -> None:
        """The series' last results are out: after a crash nobody need go back to it."""
        self._edge(end.serial)[E_FINAL] = end.next_seq

    def prepare_wait(self, limit: float) -> float:
        """Ask to be woken; returns for how many seconds to poll ``wake``: 0 when there is something now."""
        self.beat()
        header, rows = self._views.header, self._views.rows
        if self._events or (self._is_dense() and comes_soon(header, self._cursor, LOOKS)):
            return 0.0
        flag = rows.ctypes.data + 8 * (self._row * rows.shape[1] + R_WAITING)
        head = announce_and_load(flag, 1, header.ctypes.data + 8 * H_HEAD)
        return limit if int(head) <= self._cursor else min(limit, self._sample_due_in())

    def _is_dense(self) -> bool:
        """Whether blocks come one upon the other, and all of them are wanted."""
        before, self._waited_ns = self._waited_ns, time.monotonic_ns()
        return self._waited_ns - before < DENSE_NS and not self._newest_only

    def woken(self) -> None:
        """Take the wake-up bytes after ``wake`` became readable."""
        drain(self.wake)

    def wait(self, timeout: float) -> bool:
        """Sleep until a block comes; False after ``timeout`` seconds."""
        sleep = self.prepare_wait(timeout)
        if sleep == 0:
            return True
        ready, _, _ = select.select([self.wake], [], [], sleep)
        drain(self.wake)
        self.beat()
        return bool(ready) or sleep < timeout

    def close(self) -> None:
        self._words[R_WAITING] = 0
        self._words[R_GATES] = 0
        self._publish_cursor()
        del self._views, self._words, self._record
        self._segment.close()
