"""The ingest process: a source on one side, the ring on the other, and a clock.

What a message means is decided by the assembler; this loop only waits, receives, and says how it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import zmq

from ..errors import LivemError, UsageError
from . import wire
from .assembler import Assembler
from .child import Child
from .ingest import NEVER_NS, IngestOptions
from .messages import UNASCRIBED, Rejected
from .refusals import FirstRefusals, refusal_report
from .ring import WriterPort
from .ring_layout import H_UNASCRIBED
from .ring_writer import RingWriter, StoppedError
from .series import SeriesKey
from .sources.base import Playback

BURST = 64
"""Messages between two looks at the clock and the supervisor: 64 messages of 8 MiB are 0.2 s at most."""
REPORT_NS = 200_000_000
FEW = 16
REST_NS, RESTING_NS = 2_000_000, 20_000_000
"""How long to rest, and only where something falls due so soon: an open block."""
NO_REPLAY = "this session receives from a detector; only `livem replay` can pause, step and seek"


class Ingest:
    """The loop and what it holds."""

    def __init__(self, options: IngestOptions, port: WriterPort, child: Child) -> None:
        self._child = child
        self._writer = RingWriter(port, self._asked_to_stop)
        limits = wire.Limits(max_frame_bytes=port.layout.max_block_bytes)
        self._source = options.make_source(limits)
        assembler = options.assembler
        self._playback: Playback | None = None
        if isinstance(self._source, Playback):
            self._playback = self._source
            assembler = replace(
                assembler, idle_timeout_ns=NEVER_NS
            )  # a recording is silent when it is paused
        self._assembler = Assembler(
            self._writer,
            assembler,
            limits,
            options.tables_folder,
            lambda text: child.link.report("alarm", text=text),
            self._take_refused,
        )
        self._refusals = FirstRefusals()
        self._messages = self._bytes = self._report_due = 0
        self._linked = False
        self._detail: Any = None

    def run(self) -> None:
        self._source.open()
        resumed = self._assembler.resume(time.monotonic_ns())
        if resumed is not None:
            self._source.resume(resumed)
            if self._playback is not None:
                self._playback.go_on_at(self._assembler.expected)
        self._poller = zmq.Poller()
        for pollable in (*self._source.pollables(), self._child.link.pollable):
            self._poller.register(pollable, zmq.POLLIN)
        self._resting = zmq.Poller()
        self._resting.register(self._child.link.pollable, zmq.POLLIN)
        self._child.link.ready({"resumed": resumed is not None})
        try:
            while not self._child.stopping():
                self._step()
            self._assembler.close("the session was stopped", time.monotonic_ns())
        except StoppedError:
            self._assembler.abandon(time.monotonic_ns())
        finally:
            self._source.close()
            self._writer.close()

    def _step(self) -> None:
        self._poller.poll(self._patience_ms())
        now = time.monotonic_ns()
        before = self._messages
        for _ in range(BURST):
            message = self._source.receive()
            if message is None:
                break
            now = time.monotonic_ns()
            self._messages += 1
            self._assembler.feed(message, now)
        self._assembler.tick(now)
        self._look_at_link(now)
        self._obey()
        self._writer.beat()
        if 0 < self._messages - before < FEW:
            self._rest(now)

    def _rest(self, now: int) -> None:
        """Let a few more messages gather where a block waits for them anyway: a turn costs 150 us."""
        due = self._assembler.due_ns()
        if due is not None and now + REST_NS < due <= now + RESTING_NS:
            self._resting.poll(REST_NS // 1_000_000)

    def _patience_ms(self) -> int:
        """Milliseconds, rounded up, until something is due: a block, a report, a message of the source."""
        now = time.monotonic_ns()
        soonest = self._report_due
        for due in (self._assembler.due_ns(), self._source.due_ns()):
            soonest = soonest if due is None else min(due, soonest)
        return max(0, -((now - soonest) // 1_000_000))

    def _look_at_link(self, now: int) -> None:
        link = self._source.link()
        linked = link.peers > 0
        if linked and not self._linked:
            self._assembler.link_back()
        elif link.ever_connected and not linked:
            self._assembler.link_lost(now)
        changed, self._linked = linked != self._linked or link.detail != self._detail, linked
        self._detail = link.detail
        if changed or now >= self._report_due:
            self._report_due = now + REPORT_NS
            self._child.link.report(
                "source",
                peers=link.peers,
                ever_connected=link.ever_connected,
                detail=link.detail,
                strangers=link.handshake_failures,
                refused=self._refusals.unascribed(self._unascribed()),
                messages=self._messages,
                cpu_s=time.process_time(),
                replay=None if self._playback is None else dict(self._playback.position()),
            )

    def _take_refused(self, rejected: Rejected, series: SeriesKey | None) -> None:
        """The first of its reason in its series is told in words; all are counted elsewhere."""
        if self._refusals.is_first(rejected, series):
            self._child.link.report("refused", **refusal_report(rejected, series))

    def _unascribed(self) -> int:
        """Of this session, former processes of it included."""
        counts = self._writer.views.header[H_UNASCRIBED : H_UNASCRIBED + len(UNASCRIBED)]
        return int(counts.sum())

    def _asked_to_stop(self) -> bool:
        """For the writer, which asks while it waits for a slow consumer."""
        self._obey()
        return self._child.stopping()

    def _obey(self) -> None:
        while (command := self._child.link.receive()) is not None:
            what = command.get("do")
            if what == "stop":
                self._child.stop()
            elif what == "go":
                self._go()
            if what == "replay":
                self._play(command)
            else:
                self._child.link.reply(command)

    def _go(self) -> None:
        """Every process of the session is ready: who waits for that may begin."""
        if self._playback is not None:
            self._playback.command("go")

    def _play(self, command: Mapping[str, Any]) -> None:
        if self._playback is None:
            self._child.link.reply(command, ok=False, error=NO_REPLAY, code=UsageError.exit_code)
            return
        try:
            position = self._playback.command(str(command.get("action")), command.get("value"))
        except LivemError as error:
            self._child.link.reply(command, ok=False, error=str(error), code=error.exit_code)
        else:
            self._child.link.reply(command, replay=dict(position))
            self._report_due = 0
