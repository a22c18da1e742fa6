"""Turns a source's messages into ring blocks: identity, order, gaps, series that begin and end.

No sockets and no clock of its own: it is fed messages and times. Every frame index of a series ends in
exactly one bin of its ledger; what belongs to no series is counted as unascribed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from .batch_parts import offsets_of, part_of, whole
from .block_builder import BlockBuilder, Capacity, Chunk
from .ingest import AssemblerOptions
from .ledger import SeriesLedger
from .messages import (
    DEFAULT_LIMITS,
    UNASCRIBED,
    End,
    FrameBatch,
    Limits,
    Message,
    Reason,
    Rejected,
    Start,
    check,
)
from .open_series import OpenSeries
from .ring_layout import S_END_SEQ, S_START_SEQ
from .ring_table import ledger_of, received_in_ring, series_of, state_of
from .ring_writer import RingWriter
from .series import Series, SeriesKey
from .tables import keep_tables
from .verdicts import (
    after_end,
    never_began,
    scan_misfit,
    started_twice,
    too_large_to_begin,
    why_incomplete,
)


class Assembler:
    """The one place where a frame's fate is decided.

    Parameters
    ----------
    writer : RingWriter
    options : AssemblerOptions
    limits : Limits
    tables_folder : Path, optional
        Where the arrays of a series are kept; None leaves them out.
    on_trouble : callable
        Told of what a user should know and that costs no frame.
    on_refused : callable
        Told of whatever is rejected: with the series in whose ledger it stands, or None (unascribed).
    """

    def __init__(
        self,
        writer: RingWriter,
        options: AssemblerOptions | None = None,
        limits: Limits | None = None,
        tables_folder: Path | None = None,
        on_trouble: Callable[[str], None] = lambda text: None,
        on_refused: Callable[[Rejected, SeriesKey | None], None] = lambda rejected, series: None,
    ) -> None:
        self._writer, self._options = writer, options or AssemblerOptions()
        self._limits = limits or DEFAULT_LIMITS
        self._tables_folder = tables_folder
        self._on_trouble, self._on_refused = on_trouble, on_refused
        self._builder = BlockBuilder(writer, self._options.max_latency_ns, self._note_ledger)
        self._open: OpenSeries | None = None
        self._closed: OpenSeries | None = None
        self._may_reopen = False
        self._link_lost_ns: int | None = None

    # -- messages ------------------------------------------------------------------------------------

    def feed(self, message: Message, now_ns: int) -> None:
        """Take one message that arrived at ``now_ns`` (time.monotonic_ns)."""
        self._link_lost_ns = None
        if isinstance(message, FrameBatch):
            self._frames(message, now_ns)
        elif isinstance(message, Start):
            self._start(message, now_ns)
        elif isinstance(message, End):
            self._end(message, now_ns)
        else:
            self._rejected(message)

    def _start(self, message: Start, now_ns: int) -> None:
        series = message.series
        if self._open is not None:
            if self._open.series.key == series.key:
                return self._count_unascribed(started_twice(series.key), 1)
            self.close("a newer series began", now_ns)
        if self._closed is not None and self._closed.series.key == series.key:
            return self._count_unascribed(started_twice(series.key), 1)
        if series.scan is None and self._options.default_scan is not None:
            series = replace(series, scan=self._options.default_scan)
        if series.frame_bytes > (limit := self._max_frame_bytes(series)):
            return self._count_unascribed(too_large_to_begin(series, limit), 1)
        series = self._with_tables(series, message)
        if misfit := scan_misfit(series):
            self._on_trouble(misfit)
        try:
            self._begin(series, SeriesLedger(series.count), now_ns)
        except ValueError as error:  # a shape or metadata beyond what livem can write down
            self._on_trouble(f"series {series.key.number} cannot be announced: {error}")
            self._count_unascribed(Rejected(Reason.BAD_HEADER, str(error), series.key), 1)
        return None

    def _with_tables(self, series: Series, message: Start) -> Series:
        """The series and where its arrays lie; without them where they cannot be kept."""
        if not message.tables or self._tables_folder is None:
            return series
        try:
            return replace(series, tables=keep_tables(self._tables_folder, message.tables))
        except OSError as error:
            self._on_trouble(
                f"the pixel mask and tables of series {series.key.number} cannot be kept: {error}; "
                "dead pixels count as live ones until there is room for temporary files"
            )
            return series

    def _max_frame_bytes(self, series: Series) -> int:
        """Largest raw frame that fits a block with its trailer."""
        return min(self._limits.max_frame_bytes, self._writer.layout.max_block_bytes * 15 // 16)

    def _begin(self, series: Series, ledger: SeriesLedger, now_ns: int) -> None:
        serial = self._writer.open_series(series, now_ns, ledger.snapshot())
        self._open = OpenSeries(series, serial, ledger, now_ns, expected=ledger.high_water)
        self._builder.begin(serial, self._capacity(series))

    def _capacity(self, series: Series) -> Capacity:
        layout = self._writer.layout
        block_bytes = min(self._options.block_bytes, layout.data_bytes // 64)
        return Capacity.of(series, layout.max_block_bytes, block_bytes)

    def _frames(self, batch: FrameBatch, now_ns: int) -> None:
        current = self._series_of(batch.key, batch.count, now_ns)
        if current is None:
            return
        current.heard_ns = now_ns
        rejection = (
            check(batch, current.series, self._limits)
            or self._beyond(batch, current)
            or self._too_large(batch, current)
        )
        if rejection is not None:
            at = self._good_part(batch, current, rejection)
            if not at:
                return self._reject_frames(current, rejection, batch.first, batch.count)
            for part in (
                part_of(batch, 0, at, current.series),
                part_of(batch, at, batch.count, current.series),
            ):
                self._frames(part, now_ns)
            return None
        if batch.first > current.expected and self._hold(current, batch, now_ns):
            return None
        self._deliver(current, batch, now_ns)
        self._deliver_held(current)
        return None

    def _good_part(self, batch: FrameBatch, current: OpenSeries, rejection: Rejected) -> int:
        """Where to part a batch that was refused for some of its frames only; 0 = refused as a whole.

        Frames of a batch share nothing but their message: one bad blob must not cost its neighbours.
        """
        if rejection.reason is Reason.BEYOND_COUNT and current.series.count is not None:
            return max(0, current.series.count - batch.first)
        if rejection.reason in OF_ONE_FRAME and batch.sizes is not None:
            return batch.count // 2
        return 0

    def _beyond(self, batch: FrameBatch, current: OpenSeries) -> Rejected | None:
        announced = current.series.count
        if announced is None:
            return self._wild(batch, current)
        if batch.first + batch.count <= announced:
            return None
        detail = f"frames {batch.first}..{batch.first + batch.count - 1} of {announced} announced"
        return Rejected(Reason.BEYOND_COUNT, detail, batch.key, batch.first, batch.count)

    def _too_large(self, batch: FrameBatch, current: OpenSeries) -> Rejected | None:
        """An encoded frame that is larger than a block (larger than raw, too)."""
        capacity = self._builder.capacity.payload
        if batch.sizes is None or batch.payload.nbytes <= capacity or batch.sizes.max() <= capacity:
            return None
        detail = f"an encoded frame of {batch.sizes.max()} bytes does not fit a block of {capacity}"
        return Rejected(Reason.FRAME_TOO_LARGE, detail, batch.key, batch.first, batch.count)

    @staticmethod
    def _wild(batch: FrameBatch, current: OpenSeries) -> Rejected | None:
        """In an open-ended series nothing else bounds what one absurd index would count as lost."""
        ahead = batch.first - current.ledger.high_water
        if ahead <= MAX_AHEAD:
            return None
        detail = f"frame {batch.first} is {ahead} frames ahead of all others"
        return Rejected(Reason.BAD_INDEX, detail, batch.key, batch.first, batch.count)

    def _series_of(self, key: SeriesKey, frames: int, now_ns: int) -> OpenSeries | None:
        """The open series with this key; otherwise the frames are counted as unascribed."""
        if self._open is not None and self._open.series.key == key:
            return self._open
        if self._closed is None or self._closed.series.key != key:
            self._count_unascribed(never_began(key), frames)
            return None
        if self._open is None and self._may_reopen:
            return self._reopen(self._closed, now_ns)
        self._count_unascribed(after_end(key), frames)
        return None

    def _reopen(self, closed: OpenSeries, now_ns: int) -> OpenSeries | None:
        """A sender that was lost goes on with the series: so do we, under a new serial."""
        self._begin(closed.series, closed.ledger, now_ns)
        self._closed = None
        return self._open

    def _hold(self, current: OpenSeries, batch: FrameBatch, now_ns: int) -> bool:
        """Keep a batch that came too early; False when the window is full and the gap is given up."""
        former = current.held.get(batch.first)
        if former is not None:
            return self._hold_longer(current, former[0], batch, now_ns)
        options = self._options
        if (
            len(current.held) >= options.reorder_messages
            or current.held_bytes + batch.payload.nbytes > options.reorder_bytes
        ):
            self._give_up_gap(current)
            if batch.first <= current.expected:
                return False
        current.held[batch.first] = (batch, now_ns)
        current.held_bytes += batch.payload.nbytes
        return True

    @staticmethod
    def _hold_longer(current: OpenSeries, former: FrameBatch, batch: FrameBatch, now_ns: int) -> bool:
        """Of two batches with the same first frame keep the longer; the other is a duplicate."""
        current.ledger.count_duplicate(min(former.count, batch.count))
        if batch.count > former.count:
            current.held[batch.first] = (batch, now_ns)
            current.held_bytes += batch.payload.nbytes - former.payload.nbytes
        return True

    def _give_up_gap(self, current: OpenSeries) -> None:
        """Go on behind the gap: what is missing is lost for now, and late if it still comes."""
        if current.held:
            current.expected = min(current.held)
            self._deliver_held(current)

    def _deliver_held(self, current: OpenSeries) -> None:
        while current.held:
            first = min(current.held)
            if first > current.expected:
                return
            batch, arrival_ns = current.held.pop(first)
            current.held_bytes -= batch.payload.nbytes
            self._deliver(current, batch, arrival_ns)

    def _deliver(self, current: OpenSeries, batch: FrameBatch, arrival_ns: int) -> None:
        """Put the frames that are new into blocks; the others are duplicates."""
        if batch.first >= current.ledger.high_water and self._builder.capacity.holds(batch):
            self._enter(current, whole(batch, arrival_ns))  # what nearly every message is: one piece, new
            current.expected = batch.first + batch.count
            return
        new = 0
        for first, stop in current.ledger.fresh(batch.first, batch.count):
            new += stop - first
            for chunk in self._chunks(current, batch, first, stop, arrival_ns):
                self._enter(current, chunk)
        if new < batch.count:
            current.ledger.count_duplicate(batch.count - new)
        current.expected = max(current.expected, batch.first + batch.count)

    def _enter(self, current: OpenSeries, chunk: Chunk) -> None:
        """Into a block, then the account, then perhaps out: the account never knows more than the ring."""
        self._builder.append(chunk)
        current.ledger.receive(chunk.first, chunk.count)
        self._builder.publish_if_full(is_last=current.is_through)

    def _chunks(
        self, current: OpenSeries, batch: FrameBatch, first: int, stop: int, arrival_ns: int
    ) -> Iterator[Chunk]:
        """Cut a range of a batch into pieces that fit a block."""
        capacity = self._builder.capacity
        at, end = first - batch.first, stop - batch.first
        offsets = offsets_of(batch, current.series.frame_bytes)
        while at < end:
            fits = int(np.searchsorted(offsets, offsets[at] + capacity.payload, "right")) - 1
            upto = min(end, at + capacity.frames, max(fits, at + 1))
            yield Chunk(
                first=batch.first + at,
                count=upto - at,
                payload=batch.payload[offsets[at] : offsets[upto]],
                sizes=None if batch.sizes is None else batch.sizes[at:upto],
                positions=None if batch.positions is None else batch.positions[at:upto],
                time_ns=batch.time_ns if at == 0 else None,
                arrival_ns=arrival_ns,
                late=batch.first + at < current.expected,
            )
            at = upto

    def _rejected(self, message: Rejected) -> None:
        current = self._open
        known = message.first is not None and message.count is not None
        if current is None or message.key != current.series.key or not known:
            self._count_unascribed(message, message.count or 1)
            return
        assert message.first is not None
        assert message.count is not None
        self._reject_frames(current, message, message.first, message.count)

    def _reject_frames(self, current: OpenSeries, rejection: Rejected, first: int, count: int) -> None:
        """Enter rejected frames into the ledger; an absurd index must not inflate the series."""
        announced = current.series.count
        horizon = current.ledger.high_water + MAX_AHEAD
        if announced is None and first + count > horizon:
            return self._count_unascribed(rejection, count)
        current.ledger.reject(rejection.reason, first, count)
        self._on_refused(rejection, current.series.key)
        if first <= current.expected:
            current.expected = max(current.expected, first + count)
            self._deliver_held(current)
        return None

    def _end(self, message: End, now_ns: int) -> None:
        if self._open is None and self._ended_unsaid(message):
            return None
        current = self._series_of(message.key, 1, now_ns)
        if current is None:
            return None
        current.ledger.end(self._frames_so_far(current) if message.count is None else message.count)
        current.heard_ns = now_ns
        current.ended_ns = now_ns
        self._close_if_done(current, now_ns)
        return None

    def _ended_unsaid(self, message: End) -> bool:
        """Whether this END is of a series that was closed because all its frames were there, and agrees."""
        closed = self._closed
        if closed is None or closed.series.key != message.key or closed.ended_ns is not None:
            return False
        return closed.is_through and message.count in (None, closed.series.count)

    @staticmethod
    def _frames_so_far(current: OpenSeries) -> int:
        """Frames that a detector must have sent which does not say how many: up to the highest that came."""
        held = (first + batch.count for first, (batch, _) in current.held.items())
        return max(current.ledger.high_water, *held, 0)

    def _count_unascribed(self, rejected: Rejected, n: int) -> None:
        self._writer.count_unascribed(UNASCRIBED.index(rejected.reason), n)
        self._on_refused(rejected, None)

    # -- time ----------------------------------------------------------------------------------------

    def link_lost(self, now_ns: int) -> None:
        """The sender is gone; the open series ends soon unless it comes back."""
        if self._link_lost_ns is None:
            self._link_lost_ns = now_ns

    def link_back(self) -> None:
        """The sender is there (again)."""
        self._link_lost_ns = None

    def due_ns(self) -> int | None:
        """When ``tick`` has something to do next; None = nothing is waiting."""
        current, options = self._open, self._options
        if current is None:
            return None
        due = [self._builder.due_ns, current.heard_ns + options.idle_timeout_ns]
        if current.held:
            due.append(self._oldest_held(current) + options.reorder_ns)
        if current.ended_ns is not None:
            due.append(current.ended_ns + options.end_grace_ns)
        elif current.is_through:
            due.append(current.heard_ns + self._end_patience_ns(current))
        if self._link_lost_ns is not None:
            due.append(max(self._link_lost_ns, current.heard_ns) + options.link_grace_ns)
        return min(time for time in due if time is not None)

    def _end_patience_ns(self, current: OpenSeries) -> int:
        """How long a series whose last announced frame came may stay without its END message."""
        return self._options.end_grace_ns * (STRAGGLERS if current.ledger.lost else 1)

    @staticmethod
    def _oldest_held(current: OpenSeries) -> int:
        return min(arrival for _, arrival in current.held.values())

    def tick(self, now_ns: int) -> None:
        """Do what is due: publish a block, give up a gap, close a series."""
        current, options = self._open, self._options
        if current is None:
            return
        if current.held and now_ns >= self._oldest_held(current) + options.reorder_ns:
            self._give_up_gap(current)
        due = self._builder.due_ns
        if due is not None and now_ns >= due:
            self._builder.publish()
        if current.ended_ns is not None:
            self._close_if_done(current, now_ns)
        elif current.is_through and now_ns >= current.heard_ns + self._end_patience_ns(current):
            current.ledger.end(current.series.count)
            self.close("", now_ns)
        elif self._link_lost_ns is not None:
            if now_ns >= max(self._link_lost_ns, current.heard_ns) + options.link_grace_ns:
                self.close("the sender is gone", now_ns, may_reopen=True)
        elif now_ns >= current.heard_ns + options.idle_timeout_ns:
            silent = options.idle_timeout_ns / 1e9
            self.close(f"no frames for {silent:g} s", now_ns, may_reopen=True)

    def _close_if_done(self, current: OpenSeries, now_ns: int) -> None:
        assert current.ended_ns is not None
        overdue = now_ns >= current.ended_ns + self._options.end_grace_ns
        if overdue or not current.ledger.lost:
            self.close("", now_ns)

    def close(self, reason: str, now_ns: int, *, may_reopen: bool = False) -> None:
        """End the open series: everything held is delivered, then its END is published."""
        current = self._open
        if current is None:
            return
        while current.held:
            self._give_up_gap(current)
        self._builder.publish()
        self._open, self._closed, self._may_reopen = None, current, may_reopen
        ledger = current.ledger
        complete = not reason and ledger.complete
        self._writer.close_series(
            current.serial,
            complete=complete,
            reason=reason or ("" if complete else why_incomplete(ledger)),
            ledger=ledger.snapshot(),
            received=self._builder.entered,
            arrival_ns=now_ns,
        )

    def _note_ledger(self) -> None:
        if self._open is not None:
            self._writer.note_ledger(self._open.serial, self._open.ledger.snapshot())

    # -- crashes -------------------------------------------------------------------------------------

    def resume(self, now_ns: int) -> Series | None:
        """Go on with the series that a former writer of this ring left open, and return it.

        None when there is none. What was published is in its last ledger; what that writer had taken and
        not published is lost, and found as a gap.
        """
        views = self._writer.views
        serial = self._writer.next_serial - 1
        if serial < 0:
            return None
        if state_of(views, serial)[0] != "open":
            if int(views.series_words(serial)[S_END_SEQ]) > self._writer.head:
                self._writer.publish_end(serial, now_ns)
            return None
        if self._writer.head <= int(views.series_words(serial)[S_START_SEQ]):
            self._writer.publish_start(serial, now_ns)
        series = series_of(views, serial)
        ledger = self._published_ledger(serial, series)
        self._open = OpenSeries(series, serial, ledger, now_ns, expected=ledger.high_water)
        self._builder.begin(serial, self._capacity(series), received_in_ring(views, serial))
        return series

    @property
    def expected(self) -> int:
        """First frame of the open series that was neither delivered nor given up; 0 without one."""
        return 0 if self._open is None else self._open.expected

    def _published_ledger(self, serial: int, series: Series) -> SeriesLedger:
        data = ledger_of(self._writer.views, serial)
        return SeriesLedger(series.count) if data is None else SeriesLedger.restore(data)

    def abandon(self, now_ns: int) -> None:
        """After StoppedError: close the series with what the ring really has."""
        current = self._open
        if current is None:
            return
        current.held.clear()
        current.ledger = self._published_ledger(current.serial, current.series)
        self._builder.discard()
        self.close("stopped while a lossless consumer was behind", now_ns)


OF_ONE_FRAME = frozenset({Reason.BAD_PAYLOAD, Reason.FRAME_TOO_LARGE})
"""Reasons that concern single encoded frames of a batch."""
MAX_AHEAD = 1 << 20
"""In an open-ended series a message may be so many frames ahead of all others, and not more."""

STRAGGLERS = 10
"""Times the grace after an END: a last frame says less than an END while others are still missing."""
