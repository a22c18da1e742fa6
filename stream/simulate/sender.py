"""livem as a detector: an acquisition over real ZeroMQ at a detector's pace, faults included.

``Sender(options).run()`` in a program, ``run_sender`` as the target of a spawned process. Knows no receiver.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
import socket as sockets
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Event

from ...errors import LivemError, SourceError
from ..endpoints import parse_endpoint
from ..files.acquisition import Acquisition
from ..series import Encoding, SeriesKey
from .catalogue import open_acquisition
from .compress import BlobCache
from .dialects import Line, Speech, dialect_of
from .fault_report import FaultReport
from .fault_spec import FaultSpec
from .faults import FaultInjector, Kill, Restart, Stall, Step
from .outgoing import Outgoing, announce, check_batch, frames_per_message, series_messages
from .pace import Pace
from .send_values import SenderOptions, SendReport, SeriesSent
from .truth_files import write_truth

__all__ = ["SendReport", "Sender", "SenderOptions", "SeriesSent", "run_sender", "series_messages"]

READY, FAILED = b"R", b"E"
MAX_QUEUE_MESSAGES = 10_000
ORPHAN_GRACE_S = 3.0
"""A sender whose parent is gone and that has not ended after so long ends itself."""


class Sender:
    """Sends an acquisition; ``prepare`` (optional) makes everything ready, ``run`` does the rest."""

    def __init__(self, options: SenderOptions) -> None:
        self.options = options
        self._endpoint = parse_endpoint(options.endpoint)
        self._injector = FaultInjector(FaultSpec.parse(options.fault))
        self._stop = Event()
        self._epoch = os.urandom(8)
        self._sent: list[SeriesSent] = []
        self._dialect = dialect_of(options.protocol)
        self._line: Line | None = None

    def prepare(self) -> str:
        """Open the acquisition, compress what can be, write the truth, open the socket; returns its
        address."""
        if self._line is not None:
            return self._line.address
        options = self.options
        self.acquisition = open_acquisition(options.spec)
        self.rate = _rate(options, self.acquisition)
        self.encoding = self._chosen_encoding()
        self.batch = self._chosen_batch()
        self._blobs = BlobCache(self.acquisition.bank)
        announced = announce(self.acquisition, SeriesKey(self._epoch, 0), self.encoding, options.repeat)
        if self.encoding != "raw" and self.encoding != self.acquisition.encoding:
            self._blobs.prepare(announced.count)
        if options.truth_dir is not None:
            write_truth(self.acquisition, Path(options.truth_dir))
        queue = options.queue_bytes // max(1, self.batch * announced.frame_bytes)
        messages = min(max(2, queue), MAX_QUEUE_MESSAGES)
        self._line = self._dialect.line(self._endpoint, messages, options.insecure_bind)
        return self._line.address

    def _chosen_encoding(self) -> Encoding:
        """What was asked for, else what the acquisition is stored in, else the protocol's own."""
        known, acquisition = self._dialect.encodings, self.acquisition
        stored = acquisition.encoding if acquisition.payloads(0, 1) is not None else None
        wanted = self.options.encoding or (stored if stored in known else known[0])
        if wanted not in known:
            raise SourceError(
                f"encoding {wanted!r} cannot be sent by protocol {self.options.protocol!r}; "
                f"it has {', '.join(known)}"
            )
        return wanted

    def _chosen_batch(self) -> int:
        asked = self.options.batch
        if self._dialect.one_frame_a_message:
            if asked is not None and asked != 1:
                raise SourceError(
                    f"batch is {asked}; protocol {self.options.protocol!r} sends one frame a message: "
                    "leave it out"
                )
            return 1
        batch = asked or frames_per_message(self.acquisition, self.rate, self.encoding)
        check_batch(self.acquisition, batch, self.encoding)
        return batch

    def run(self) -> SendReport:
        """Wait for a receiver and send all series.

        Raises
        ------
        SourceError
            Wrong options, an address that cannot be used, no receiver.
        SessionError
            A receiver that went away and did not come back.
        """
        self.prepare()
        assert self._line is not None
        linger = 0.0
        try:
            if self._line.wait_for_receiver(self.options.wait_s, self._stop):
                self._send_all()
            linger = 0.0 if self._stop.is_set() else self.options.linger_s
        finally:
            self._line.close(linger)
        return SendReport(self._line.address, self.rate, self.batch, tuple(self._sent), self._injector.report)

    def close(self) -> None:
        """Give up what ``prepare`` has opened; ``run`` does so by itself."""
        if self._line is not None:
            self._line.close(0.0)

    def stop(self) -> None:
        """End soon, from any thread; what is queued is not waited for."""
        self._stop.set()

    def _send_all(self) -> None:
        count = self.options.series_count
        for number in range(1, count + 1) if count else itertools.count(1):
            while self._send_series(SeriesKey(self._epoch, number)):
                self._epoch = os.urandom(8)
            if self._stop.is_set():
                return

    def _send_series(self, key: SeriesKey) -> bool:
        """Send one series; True when a restart fault wants it again."""
        repeat, blobs = self.options.repeat, self._blobs
        speech = Speech(self.acquisition, key, self.batch, self.encoding, repeat, blobs, time.time_ns)
        messages = self._dialect.messages(speech)
        flight = _Flight(key, Pace(self.rate))
        try:
            return self._play(self._injector.inject(messages), flight)
        finally:
            self._sent.append(flight.landed(self._injector.report))

    def _play(self, steps: Iterator[Step], flight: _Flight) -> bool:
        for step in steps:
            if isinstance(step, Restart):
                return True
            if isinstance(step, Kill):
                _die()
            elif isinstance(step, Stall):
                flight.pace.stall(step.seconds, self._stop)
            elif not self._send(step, flight):
                break
        return False

    def _send(self, message: Outgoing, flight: _Flight) -> bool:
        assert self._line is not None
        if message.kind == "frames" and not flight.pace.wait(message.first, self._stop):
            return False
        if not self._line.send(message.parts, self._stop, self.options.wait_s):
            return False
        flight.count(message)
        return True


class _Flight:
    """Counts what goes out of one series."""

    def __init__(self, key: SeriesKey, pace: Pace) -> None:
        self.key = key
        self.pace = pace
        self._messages = self._bytes = 0
        self._complete = False
        self._began = time.monotonic()

    def count(self, message: Outgoing) -> None:
        self._messages += 1
        self._bytes += message.nbytes
        self._complete |= message.kind == "end"

    def landed(self, report: FaultReport) -> SeriesSent:
        frames = sum(stop - start for start, stop in report.ranges("delivered", self.key))
        seconds = time.monotonic() - self._began
        return SeriesSent(
            self.key.number,
            self.key.epoch.hex(),
            frames,
            self._messages,
            self._bytes,
            seconds,
            self.pace.behind_s,
            self._complete,
        )


def _rate(options: SenderOptions, acquisition: Acquisition) -> float:
    frame_time = acquisition.meta.get("frame_time")
    if options.rate is not None:
        return options.rate
    return 1.0 / float(frame_time) if frame_time else math.inf


def _die() -> None:
    """End as a crash would: no flush, no goodbye."""
    if sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


# -- as a process of its own -----------------------------------------------------------------------------


def run_sender(options: SenderOptions, arm: sockets.socket | None = None) -> None:
    """Target of a spawned process: send, and end when the parent does.

    Parameters
    ----------
    arm : socket, optional
        A supervisor's end of a socket pair: gets ``b"R"`` when all is prepared; sending begins at the first
        byte that comes back, and a closed pair means not to send. When preparing fails it gets ``b"E"`` and
        the message. With it Ctrl-C is left to the supervisor.

    Exits with the ``exit_code`` of the error where there is one, its message on stderr.
    """
    if arm is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _step_back()
    try:
        sender = Sender(options)
        _end_with_parent(sender)
        sender.prepare()
        if arm is None or _armed(arm):
            sender.run()
        sender.close()
    except LivemError as error:
        if arm is not None:
            _tell(arm, FAILED + str(error).encode())
        else:
            print(f"livem send: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _step_back() -> None:
    """A real detector takes nothing of this machine's processors: a session's own one takes what is left."""
    if hasattr(os, "nice"):
        os.nice(15)


def _armed(arm: sockets.socket) -> bool:
    """Say that all is ready; True when the supervisor then says go."""
    arm.setblocking(True)
    return _tell(arm, READY) and bool(arm.recv(1))


def _tell(arm: sockets.socket, what: bytes) -> bool:
    try:
        arm.sendall(what)
    except OSError:  # the supervisor has gone: nobody to tell, and its death ends this process
        return False
    return True


def _end_with_parent(sender: Sender) -> None:
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        sender.stop()
        threading.Event().wait(ORPHAN_GRACE_S)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
