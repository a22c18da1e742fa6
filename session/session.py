"""A running session: ring, hub and processes around one source, from READY to the last summary.

One single-threaded loop. It knows every part and computes nothing: frames never pass through here.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import zmq

from .. import __version__
from ..errors import LivemError, ResultError, SessionError, SourceError
from ..outputs import write_summary
from ..pipeline import Pipeline
from ..stream import session_directory
from ..stream.accounting import Account, Accounts
from ..stream.desk import Deferred, Reply
from ..stream.hub import Hub
from ..stream.processes import Death, Processes
from ..stream.results import Result
from ..stream.ring import Ring
from ..stream.segment import default_bytes, reclaim
from . import crew, recorder
from .alarms import Alarms
from .arming import Armed, arming_of
from .looking_back import LookingBack
from .options import SessionOptions
from .own_sender import OwnSender
from .relaying import Relaying
from .reports import Reports
from .requests import answer
from .settling import Settling
from .stages import Stages
from .status import Rates, brief, describe, nothing_came, source_status, stream_status

STATUS_S = 0.2
READY_S = 120.0
"""A cold numba cache compiles for half a minute; a warm start takes 1-2 s."""
DRAIN_S = 10.0
"""How long consumers may work off the ring when a session is stopped."""
FINISH_S = 6.0
"""How long a stopped consumer may take: a block, 2 s of the rest, its last results."""
LOOP_S = 0.05
LAST_PICTURE_S = 90.0
"""How long a viewer without a window may take for its last picture: the first one ever compiles its kernels.
It ends as soon as it has seen the end; one with a window is closed then."""
DISARM_S = 2.0
QUIET_S = 0.25
"""Ingest reports every 0.2 s: one report without a new message, and none is left."""


class Session:
    """One session; ``run`` it to its end, or ``start``, ``step`` ... ``finish`` it by hand."""

    def __init__(
        self,
        pipeline: Pipeline,
        options: SessionOptions,
        on_status: Callable[[Mapping[str, Any]], None] = lambda status: None,
    ) -> None:
        self.pipeline, self.options, self._on_status = pipeline, options, on_status
        self.state, self.message = "starting", ""
        self.alarms = Alarms()
        self.error: LivemError | None = None
        self._unwritten: LivemError | None = None  # fails the run at its end, not the live path
        self._last_summary: Account | None = None
        self._stop_reason: str | None = None
        self._ready: set[str] = set()
        self._given_up: set[str] = set()
        self._armed_text = ""
        self._rates = Rates()
        self._status_due = 0.0
        self._armed_at: float | None = None
        self._window_closed = False
        self._sender: OwnSender | None = None
        self._prepare()

    def _prepare(self) -> None:
        """Everything that can fail at once, before any process is started."""
        session_directory.reclaim()
        reclaim()
        self.directory = session_directory.create()
        try:
            options = self.options
            self.edges = crew.edges(self.pipeline, record=options.record is not None)
            self._plan = options.plan or crew.plan(self.pipeline, options)
            crew.check(self.pipeline, self._plan, options.url)
            self._arming = arming_of(self._plan, options.url, options.arm, self.pipeline.arm)
            self.hub = Hub(
                self.directory,
                self.options.url,
                control=self.options.control,
                handler=self._answer,
                on_result=lambda result: self.settling.take(result),
                on_child=self._hear,
                insecure=self.options.insecure_bind,
            )
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        try:
            self.ring = Ring.create(self.pipeline.ring_bytes or default_bytes(), crew.rows(self.edges))
        except BaseException:
            self.hub.close()
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        session_directory.announce(self.directory, self.hub.addresses.control)
        self.accounts = Accounts(self.ring)
        self.processes = Processes()
        self.stages = Stages(self.pipeline, [crew.RECORDER] if self.options.record is not None else [])
        self.past = LookingBack(self.pipeline, self.options, self._plan, self.ring, self.hub, self.processes)
        self.reports = Reports(
            self._alarm,
            self._fail,
            lambda *said: self.settling.promise(*said),
            lambda name: name not in self._ready and self._armed_at is None,
            lambda: self.options.must_begin and not self.settling.series,
            lambda name, command: self.hub.send_child(name, {**command, **self.recordings()}),
            self.stages.heard,
        )
        self.relaying = Relaying(self.processes, self.hub.addresses, self.directory, self.hub.send_child)
        self.settling = Settling(
            self.accounts,
            self.options.out,
            self._working,
            self._cannot_write,
            self._alarm,
            passed=self.ring.passed,
            refused=self.reports.refused_in,
        )

    def start(self) -> None:
        """Start the processes; the source is armed once all of them are ready."""
        addresses, tables = self.hub.addresses, self.directory / "tables"
        start = self.processes.start
        start(crew.ingest(self._plan, self.pipeline, addresses, self.ring, tables))
        for spec in crew.workers(self.pipeline, addresses, self.ring):
            start(spec)
        if self.options.record is not None:
            recorder.start(self, self.options.record, self.pipeline)
        if self._plan.spec is not None:
            self._sender = OwnSender(self._plan, self.options.sender, self.processes)
        if self.options.karabo_out is not None:
            start(crew.karabo_out(self.options.karabo_out, addresses, self.options.insecure_bind))
        if self.options.viewer is not None:
            start(self.options.viewer(addresses.control))
        self._started_at = time.monotonic()
        self._poller = zmq.Poller()
        for pollable in self.hub.pollables():
            self._poller.register(pollable, zmq.POLLIN)

    def run(self) -> Account:
        """From start to summary. Raises the error that ended the session, if one did."""
        with self:
            self.start()
            while not self.over():
                self.step()
            self.finish()
        if self.error is not None:
            raise self.error
        return self.summary()

    def step(self, patience: float = LOOP_S) -> None:
        """One turn of the loop."""
        for pollable, _ in self._poller.poll(int(1000 * min(self.hub.tick(), patience)) + 1):
            self.hub.handle(pollable)
        self._watch_processes()
        self._watch_start()
        self._watch_arming()
        if self._armed_at is not None:  # before, nobody has looked at what an eager sender sent
            self.settling.step()
        self._tell_status()

    def over(self) -> bool:
        """Whether the session should end now; ``message`` then says why."""
        self._stop_reason = self._stop_reason or self._limit_reached()
        return self.error is not None or self._stop_reason is not None

    def _limit_reached(self) -> str | None:
        options, armed = self.options, self._armed_at
        if options.series is not None and self.settling.series >= options.series:
            return f"{options.series} series done"
        if armed is None:
            return None
        if options.duration is not None and time.monotonic() - armed >= options.duration:
            return f"{options.duration:g} s are over"
        if self.settling.done:
            if options.end_with_source and self._source_has_ended():
                return "the source has ended"
            if self._window_closed:
                return "the window was closed"
        if options.must_begin and not self.accounts.series_count():
            wait = self.pipeline.source.wait
            if time.monotonic() - armed >= wait:
                self.error = SessionError(nothing_came(options.url, self.reports.source, wait))
        return None

    def _source_has_ended(self) -> bool:
        """A replay is over, or ingest has taken all that an ended sender had sent."""
        if self._plan.ends:
            return bool((self.reports.source.get("replay") or {}).get("ended"))
        return self._sender is not None and self._sender.ended and self.reports.quiet_for(QUIET_S)

    def stop(self, reason: str) -> None:
        """Ask the session to end; what was measured so far is kept."""
        self._stop_reason = self._stop_reason or reason

    def _watch_processes(self) -> None:
        for death in self.processes.check():
            self.hub.child_gone(death.name)
            self._ready.discard(death.name)
            self._take_death(death)

    def _take_death(self, death: Death) -> None:
        if death.name == "sender":
            self._sender_has_ended(death)
        elif death.name == "viewer":
            self._viewer_ended(death)
        elif death.restarted:
            if self.error is None:  # otherwise its own words say more
                self._alarm(f"{death.name} died (code {death.exit_code}) and was restarted")
        elif death.name == "ingest":
            self._fail(SessionError("ingest died too often; see the alarms"))
        else:
            self._give_up(death.name)

    def _sender_has_ended(self, death: Death) -> None:
        self._hear_sender()
        if self._sender is not None:
            self._sender.ended = True
        if death.exit_code and self.error is None:  # otherwise its own words say more
            self._alarm(f"the simulated source ended with code {death.exit_code}")

    def _viewer_ended(self, death: Death) -> None:
        if death.exit_code:
            self._alarm(
                f"the viewer ended with code {death.exit_code}; `livem view {self.hub.addresses.control}` "
                "opens another"
            )
        else:
            self._window_closed = True  # an open series is received to its end first

    def _give_up(self, name: str) -> None:
        if name not in {spec.name for spec in self.edges}:
            return self._alarm(f"{name} died too often and was given up")
        self._given_up.add(name)
        self.ring.stop_gating(name)
        self._alarm(f"consumer {name!r} died too often and was given up; the others go on")
        if len(self._given_up) == len(self.edges):
            self._fail(SessionError("no consumer is left; see the alarms"))
        return None

    def _fail(self, error: LivemError) -> None:
        self.error = self.error or error

    def _cannot_write(self, error: LivemError) -> None:
        """A full or read-only disk costs the files, not the live pictures."""
        self._unwritten = self._unwritten or error
        self._alarm(str(error))

    def _alarm(self, text: str) -> None:
        if self.alarms.take(text):
            self._status_due = 0.0

    def _watch_start(self) -> None:
        """READY handshake: the source is armed when every process reads its input."""
        if self._armed_at is not None:
            return
        wanted = {"ingest", *(spec.name for spec in self.edges)} - self._given_up
        if self.options.karabo_out is not None:
            wanted.add(crew.KARABO)
        self._hear_sender()
        sender = self._sender
        if wanted <= self._ready and (sender is None or sender.ready or sender.ended):
            self._armed_at = time.monotonic()
            self.state = "waiting"
            if sender is not None:
                sender.go()
            self.hub.send_child("ingest", {"do": "go"})
        elif time.monotonic() - self._started_at > READY_S:
            missing = ", ".join(sorted(wanted - self._ready)) or "sender"
            self._fail(SessionError(f"not ready after {READY_S:g} s: {missing}; run `livem doctor`"))

    def _watch_arming(self) -> None:
        """Arm when all is ready, and again after each series of a counted number."""
        arming = self._arming
        if arming is None or self._armed_at is None:
            return
        if (outcome := arming.heard()) is not None:
            self._take_arming(outcome)
        again = self.options.series is not None and self.settling.done
        if not arming.asked or (again and arming.asked == self.settling.series):
            arming.begin()

    def _take_arming(self, outcome: Armed) -> None:
        self._armed_text = outcome.text
        if outcome.error is not None and not self.settling.series:
            self._fail(outcome.error)
        elif outcome.error is not None:
            self._alarm(str(outcome.error))

    def _hear_sender(self) -> None:
        """Of a source of our own: that it is ready, or why it cannot be."""
        if self._sender is not None and (trouble := self._sender.hear()):
            self._fail(SourceError(trouble))

    def _hear(self, name: str, message: dict[str, Any]) -> None:
        """A child says that it is ready, or reports."""
        self.relaying.hear(name, message)
        if message.get("type") == "ready":
            self._ready.add(name)
            self.past.heard(name, message)
            self.processes.proved(name)
            for command in self.stages.began(name, message):
                self.hub.send_child(name, {**command, **self.recordings()})
            recorder.take_in(self, name)
            if name == "ingest" and self._armed_at is not None:  # it is a new one
                self.hub.send_child("ingest", {"do": "go"})
            return
        self.reports.take(name, message)

    @property
    def ready(self) -> frozenset[str]:
        """Names of the processes that read their input; one that died is out until its successor does."""
        return frozenset(self._ready)

    def _answer(self, request: dict[str, Any]) -> Reply | Deferred:
        return answer(self, request)

    def recordings(self) -> dict[str, Any]:
        """What a consumer that has to see frames again is told beside its command: files that hold them."""
        return {"recordings": self.settling.recordings(self.reports.recording)}

    def status(self) -> dict[str, Any]:
        """What is shown while the session runs; plain values."""
        stream = stream_status(self.accounts, self._rates)
        current, waiting = stream["series"], stream["ring"]["waiting_for"]
        if current is not None and self.state in ("waiting", "running"):
            self.state = "running" if current["state"] == "open" else "waiting"
        message = self.message or describe(self.state, self.options.url, self.reports.source, current)
        return {
            "state": self.state,
            "message": f"the detector is made to wait for {waiting!r} (lossless)" if waiting else message,
            "source": source_status(self.options.url, self.reports.source, self._armed_text),
            "recording": dict(self.reports.recording),
            **stream,
            "stages": self.stages.status(self._ready, self._given_up),
            "series_done": self.settling.series,
            "processes": self.processes.pids(),
            "alarms": list(self.alarms),
        }

    def _tell_status(self) -> None:
        if time.monotonic() >= self._status_due:
            self._status_due = time.monotonic() + STATUS_S
            self.ring.beat()
            self.reports.passed(self.ring.passed())
            self._publish_status()

    def _publish_status(self) -> None:
        status = self.status()
        try:
            self._send_status(status)
        except ResultError as error:  # too long: whatever made it so, the session goes on
            with suppress(ResultError):
                self._send_status(brief(status, error))
        self.past.diary.take_status(status)
        self._on_status(status)

    def _send_status(self, status: dict[str, Any]) -> None:
        self.hub.publish(Result("status", "status", None, (0, 0), time.monotonic_ns(), attrs=status))

    def finish(self) -> None:
        """End the processes in the order of the stream, then write the last summary."""
        self.state, self.message = "stopping", self._stop_reason or str(self.error or "")
        self._publish_status()
        self._disarm()
        early = set(self.processes) - self._ready - {"viewer"} if self._armed_at is None else set()
        self.processes.terminate("sender", *early)  # who only starts cannot hear "stop" and holds nothing
        self._await(lambda: self.processes.pid("sender") is None, 1.0)
        self.processes.stop("sender", 1.0)
        self._stop_child("ingest")
        self._await(self._drained, DRAIN_S)
        for spec in self.edges:
            self.hub.send_child(spec.name, {"do": "stop"})
        self._await(lambda: not self._alive_workers(), FINISH_S)
        for spec in self.edges:
            self.processes.stop(spec.name)
        self._await(lambda: self.settling.done, 0.2)
        self.settling.step(hurry=True)
        self.state = "ended"
        self._publish_status()
        if self.options.headless:
            self._await(lambda: self.processes.pid("viewer") is None, LAST_PICTURE_S)
        self._write_summary()
        self.error = self.error or self._unwritten or self.reports.unrecorded

    def _disarm(self) -> None:
        """What was armed from here shall not go on behind us."""
        if self._arming is not None and (trouble := self._arming.close(DISARM_S)):
            self._alarm(f"disarming: {trouble}")

    def _drained(self) -> bool:
        """Whether no more is to be expected: an open series has lost its ingest, and nothing will end it."""
        newest = self.accounts.series_count() - 1
        ended = newest < 0 or self.accounts.is_over(newest)
        return self.settling.done or not ended or not self._alive_workers()

    def _write_summary(self) -> None:
        if self.options.out is None or self.error is not None:
            return
        try:
            write_summary(self.options.out, self.summary())
        except SessionError as error:
            self._cannot_write(error)

    def _stop_child(self, name: str) -> None:
        self.hub.send_child(name, {"do": "stop"})
        self._await(lambda: self.processes.pid(name) is None, 3.0)
        self.processes.stop(name)

    def _working(self) -> Mapping[str, bool]:
        """Consumers whose last word on a series is still to be expected, and whether they are lossless."""
        out = self._given_up | self.ring.passed()
        return {spec.name: spec.policy.gates for spec in self.edges if spec.name not in out}

    def _alive_workers(self) -> Sequence[str]:
        alive = self.processes.pids().keys() - self.ring.passed()
        return [spec.name for spec in self.edges if spec.name in alive]

    def _await(self, done: Callable[[], bool], timeout: float) -> None:
        """Go on serving the hub until ``done``, for at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while not done() and time.monotonic() < deadline:
            for pollable, _ in self._poller.poll(10):
                self.hub.handle(pollable)
            self.hub.tick()
            self.settling.step()
            self._tell_status()

    def summary(self) -> Account:
        """The account of the whole session (DESIGN, section 5)."""
        if self._last_summary is not None:
            return dict(self._last_summary)
        return {
            "series": self.settling.settled,
            "unascribed": self.accounts.unascribed(),
            "refused": self.reports.refused_in(None),
            "ring": self.accounts.ring(),
            "ended": self._stop_reason,
            "alarms": list(self.alarms),
            "version": __version__,
        }

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything: processes, sockets, shared memory, files. A second call does nothing."""
        if self._last_summary is not None:
            return
        try:
            self._disarm()  # once more, or for the first time where finish() was not reached
        finally:
            self._last_summary = self.summary()
            self._let_go()

    def _let_go(self) -> None:
        self.processes.terminate(*self.processes)  # all at once, not child by child
        for name in list(self.processes):
            self.processes.stop(name, 1.0)
        if self._sender is not None:
            self._sender.close()
        self.accounts.close()
        self.ring.close()
        self.hub.close()
        shutil.rmtree(self.directory, ignore_errors=True)
