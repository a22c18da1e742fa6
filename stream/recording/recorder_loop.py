"""The recorder's process: a lossless reader of the ring that computes nothing and keeps everything.

Blocks stay on lease until they are in the file for good: a frame is counted as processed exactly when a kill
can no longer take it. Whatever the disk does, blocks are taken, so that the live path never waits for one.
A disk that hangs holds this process: then the writer goes on without it (recorder.py, PATIENCE_S).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

import zmq

from ..child import Child
from ..ledger import SeriesLedger
from ..ring import ReaderPort, attach_views
from ..ring_layout import (
    D_BEGIN,
    D_KIND,
    E_FINAL,
    E_PROCESSED,
    E_SERIAL,
    K_FRAMES,
    SERIES_KEPT,
    Views,
    merge_dropped,
)
from ..ring_reader import Lease, RingReader, SeriesEnd, SeriesStart
from ..ring_table import ledger_of
from ..series import Series
from .keeper import FLUSH_BYTES, Keeper
from .notes import Notes
from .past import Past
from .recorder import RecorderOptions

PATIENCE_S = 0.2
REPORT_S = 0.5
REST_S = 0.02
"""Blocks that come faster are taken together."""
HOLD_S = 0.25
"""So long a series' first frames wait in the ring, while it has room: in a burst the live path goes first."""
LAST_WORK_S = 2.0
"""How long a recorder that is told to stop goes on with what is in the ring."""


class Recorder:
    """One reader, one open file, one line to the supervisor."""

    def __init__(self, options: RecorderOptions, port: ReaderPort, child: Child) -> None:
        self._options, self._child, self._row = options, child, port.row
        self._segment, self._views = attach_views(port.segment, port.layout)
        self._former = former_counts(self._views, port.row)
        self._reader = RingReader(port)  # begins its counts anew
        self._notes = Notes.read(options.notes, options.continuous)
        # Leases gate the writer: what waits for a flush stays a small part of the ring.
        self._keeper = Keeper(options, min(FLUSH_BYTES, port.layout.data_bytes // 8))
        self._keeper.enabled = self._notes.enabled
        self._past = Past(options)
        self._pending: list[Lease] = []
        """Blocks that are written but not yet flushed."""
        self._series: Series | None = None
        self._serial = -1
        self._ended = True
        self._from = 0
        """The first block that the open file holds."""
        self._live_next = True
        self._report_at = 0.0
        self._little = port.layout.data_bytes // 16
        """Of the ring: what may gather in a rest; four times as much when a series begins."""
        self._taken, self._rested_at = 0, time.monotonic()
        """Bytes of blocks since the last rest, and when that began."""
        self._begin_at = 0.0

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._reader.wake, zmq.POLLIN)
        poller.register(self._child.link.pollable, zmq.POLLIN)
        if not self._keeper.prepare():
            self._report()  # before a detector is armed
        self._child.link.ready({"parameters": self._parameters()})
        gc.freeze()  # what was loaded is not looked through again: 6 % of the processor at full speed
        while not self._child.stopping():
            if self._holds_back():
                self._child.link.pollable.poll(int(1000 * REST_S))
            elif not self._step():
                self._sleep(poller)
            self._obey()
            self._report_if_due()
        self._finish()

    def _finish(self) -> None:
        """Work off what is still in the ring, for a while, and close the files whatever comes."""
        deadline = time.monotonic() + LAST_WORK_S
        while time.monotonic() < deadline and self._step():
            pass
        if self._series is not None and not self._ended:
            self._close_file("incomplete", "the session was stopped")
            self._report_done(self._serial)
        self._report()  # the disk may take its time now
        self._past.stop()
        self._keeper.shut()
        self._report()
        del self._views
        self._segment.close()
        self._reader.close()

    def _step(self) -> bool:
        """Do one piece of work, live blocks and past ones in turns; False when there is none."""
        if self._reader.passed:
            self._catch_up()
        event = self._reader.next() if self._live_next or not self._past else None
        self._live_next = not self._live_next or not self._past
        if event is not None:
            self._handle(event)
        elif self._past:
            self._past.step(self._reader)
        else:
            return False
        self._flush_if_due()
        return True

    def _catch_up(self) -> None:
        """The disk hung, and the writer went on without this reader: what was missed stays a hole."""
        self._keeper.flush()
        self._settle()
        self._reader.rejoin("not_recorded")

    def _sleep(self, poller: zmq.Poller) -> None:
        self._flush_if_due()
        self._rest()
        due = self._keeper.due_in()
        patience = self._reader.prepare_wait(PATIENCE_S if due is None else min(due, PATIENCE_S))
        poller.poll(int(patience * 1000 + 0.999))
        self._reader.woken()
        self._flush_if_due()

    def _rest(self) -> None:
        """Let blocks gather while a series comes in: each wake-up takes the processor from the live path.

        Not for longer than it takes to fill a small part of the ring, at the rate since the last rest.
        """
        now = time.monotonic()
        taken, since = self._taken, now - self._rested_at
        self._taken, self._rested_at = 0, now
        if taken and self._keeper.file is not None:
            pause = min(REST_S, self._little * since / taken)
            self._child.link.pollable.poll(int(1000 * pause))

    def _holds_back(self) -> bool:
        """Whether a series has just begun, goes on, and the ring has room for it."""
        if self._ended or time.monotonic() >= self._begin_at:
            return False
        slots, head = self._views.slots, self._reader.head
        newest, next_one = (slots[seq % len(slots)] for seq in (head - 1, self._reader.position))
        if newest[D_KIND] != K_FRAMES:
            return False
        waits = int(newest[D_BEGIN]) - int(next_one[D_BEGIN])
        return head <= self._reader.position or waits < 4 * self._little

    def _handle(self, event: SeriesStart | SeriesEnd | Lease) -> None:
        if isinstance(event, Lease):
            self._take(event)
        elif isinstance(event, SeriesStart):
            self._open(event)
        else:
            self._close(event)

    # -- frames --------------------------------------------------------------------------------------

    def _open(self, start: SeriesStart) -> None:
        self._series, self._serial, self._ended = start.series, start.serial, False
        self._notes.open(start.serial)
        if self._keeper.enabled:
            self._begin_file()
            self._begin_at = time.monotonic() + HOLD_S

    def _begin_file(self) -> None:
        if self._series is None or self._ended:
            return
        self._from = self._reader.position
        self._past.end_before(self._from)
        if self._keeper.begin(self._series) and self._keeper.file is not None:
            self._note_file(str(self._keeper.file.path))
        self._report()

    def _note_file(self, path: str) -> None:
        self._notes.files.append(path)
        self._notes.keep()

    def _adopt(self, serial: int) -> None:
        """What a dead predecessor had flushed is in its file, though the ring no longer has it.

        Of the frames that are missing at the beginning, no more than it had counted as dropped were not kept.
        """
        processed, dropped = self._former.pop(serial)
        missing = merge_dropped(self._views.edge(self._row, serial)).get("restart", 0)
        kept = min(processed, max(0, missing - dropped))
        self._reader.recount(serial, kept, "restart")

    def _take(self, lease: Lease) -> None:
        if lease.serial in self._former:
            self._adopt(lease.serial)
        self._taken += lease.block.payload.nbytes
        if self._keeper.write(lease.block):
            if lease.whole:
                self._pending.append(lease)
                return
            self._keeper.forget()  # the disk hung, and the writer did not wait
        count, serial = lease.block.count, lease.serial
        lease.release()
        self._reader.count(serial, not_recorded=count)
        if self._pending:  # the disk has just refused to go on
            self._settle()

    def _flush_if_due(self) -> None:
        if self._keeper.flush_due():
            self._keeper.flush()
            self._settle()

    def _settle(self) -> None:
        """Give back the blocks that were written, and count what became of them."""
        kept = self._keeper.saved
        for lease in self._pending:
            count = lease.block.count
            lease.release()
            if kept:
                self._reader.count(lease.serial, processed=count)
            else:
                self._reader.count(lease.serial, not_recorded=count)
        self._pending.clear()
        if self._keeper.error is not None:
            self._report()

    def _close(self, end: SeriesEnd) -> None:
        self._ended = True
        if end.serial in self._former:
            self._adopt(end.serial)
        self._close_file("complete" if end.complete else "incomplete", end.reason)
        self._reader.finalised(end)
        self._report_done(end.serial)

    def _close_file(self, state: str, reason: str) -> None:
        if self._keeper.file is not None:
            self._keeper.end({"state": state, "reason": reason or None, **self._account()})
            self._settle()
        self._report()

    def _account(self) -> dict[str, Any]:
        """What the series' ledger says, as far as ingest has written it."""
        data = ledger_of(self._views, self._serial)
        if data is None or self._series is None:
            return {}
        try:
            ledger = SeriesLedger.restore(data)
        except (ValueError, TypeError):
            return {}  # none was kept
        return {
            "announced": self._series.count,
            "sent": ledger.sent,
            "received": ledger.received,
            "lost": ledger.lost,
            "duplicate": ledger.duplicate,
            "late": ledger.late,
            "rejected": ledger.rejected,
        }

    # -- words ---------------------------------------------------------------------------------------

    def _report_if_due(self) -> None:
        if time.monotonic() >= self._report_at:
            self._report()

    def _report(self) -> None:
        self._report_at = time.monotonic() + REPORT_S
        kept = self._past.status()
        self._child.link.report("recording", **self._keeper.status(), kept=kept)

    def _report_done(self, serial: int) -> None:
        self._child.link.report(
            "series_done", serial=serial, topics=[], files=self._notes.files, decode_errors={}
        )

    def _parameters(self) -> dict[str, Any]:
        return {
            "recording": self._keeper.enabled,
            "folder": self._options.folder,
            "compression": self._options.compression,
        }

    def _obey(self) -> None:
        link = self._child.link
        while (command := link.receive()) is not None:
            if command.get("do") == "stop":
                self._child.stop()
                link.reply(command)
            elif command.get("do") == "set":
                self._set(command)
            elif command.get("do") == "parameters":
                link.reply(command, parameters=self._parameters(), kept=self._past.status())
            else:
                link.reply(command, ok=False, error=f"unknown command {command.get('do')!r}")

    def _set(self, command: Mapping[str, Any]) -> None:
        name, value = command.get("name"), command.get("value")
        error: str | None
        if name == "recording" and isinstance(value, bool):
            self._switch(value)
            error = self._keeper.error
        elif name == "keep_last" and isinstance(value, int | float) and value > 0:
            error = self._keep_last(float(value))
        else:
            error = f"{name!r} = {value!r}; there are recording = true or false, keep_last = seconds > 0"
        more: dict[str, Any] = {} if error is None else {"ok": False, "error": error}
        self._child.link.reply(command, parameters=self._parameters(), kept=self._past.status(), **more)

    def _switch(self, on: bool) -> None:
        """Begin to keep what comes from now on, or stop: the file holds a part of the series then."""
        self._keeper.enabled = self._notes.enabled = on
        self._notes.keep()
        if on and self._keeper.file is None:
            self._begin_file()
        elif not on:
            self._close_file("incomplete", "recording was switched off")

    def _keep_last(self, seconds: float) -> str | None:
        """Write what the ring still holds of the last seconds, without what the open file holds already."""
        if self._series is None:
            return "there was no series yet"
        if self._past:
            return "the last seconds are being written already"
        # Not where this reader is: that may be far behind the newest frames.
        stop = self._from if self._keeper.file is not None else self._reader.head
        error = self._past.begin(self._reader, self._series, self._serial, stop, seconds)
        if error is None and (kept := self._past.status()) is not None:
            self._note_file(kept["file"])
        return error


def former_counts(views: Views, row: int) -> dict[int, tuple[int, int]]:
    """Frames that an earlier process of this row had kept and not kept, by the open series' serial."""
    counts = {}
    for place in range(SERIES_KEPT):
        record = views.edge(row, place)
        if record[E_SERIAL] and not record[E_FINAL]:
            counts[int(record[E_SERIAL]) - 1] = int(record[E_PROCESSED]), sum(merge_dropped(record).values())
    return counts
