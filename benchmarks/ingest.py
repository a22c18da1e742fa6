"""The ingest process with a sender beside it: native wire over a local socket, into the ring, nothing lost.

Bandwidth from the arrival times that ingest itself notes, processor time from the operating system. The
session is left out: its place at the other end of ingest's line is taken by a hub that this process serves.
"""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

import psutil

from ..errors import SessionError
from ..stream import wire
from ..stream.accounting import Accounts
from ..stream.endpoints import local_endpoint, parse_endpoint
from ..stream.hub import Hub
from ..stream.ingest import IngestOptions, run_ingest
from ..stream.messages import Limits
from ..stream.processes import Processes, ProcessSpec
from ..stream.ring import Ring
from ..stream.ring_layout import S_FIRST_ARRIVAL, S_LAST_ARRIVAL
from ..stream.series import Series, SeriesKey
from ..stream.simulate.pace import Pace
from ..stream.simulate.push_line import PushLine
from ..stream.sources.native import NativeSource
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios
from .frames import Copying, Source
from .partner import Partner, requests

MEMCPY_SHARE = 0.25
QUEUE_BYTES = 64 << 20
"""What the sender's socket may hold, as `livem send`."""
READY_S = 120.0
END_S = 30.0
STEP_S = 0.02


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    ring_bytes: int
    round_bytes: int
    rounds: int
    paced_seconds: float
    paced_rate: float = 2000.0
    """Frames/s, one a message."""
    batch: int = 64
    shape: tuple[int, int] = (256, 256)


FULL = Plan(512 << 20, 2 << 30, 9, 3.0)
QUICK = Plan(256 << 20, 512 << 20, 3, 1.0)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench ingest`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    source = Source(plan.batch, plan.shape[0] * plan.shape[1])
    messages = max(plan.round_bytes // source.block_bytes, 2)
    copying = Copying(plan.ring_bytes)
    memcpy: list[float] = []
    flat_out: list[Received] = []
    with IngestLine(plan) as line:
        copying.bytes_per_second(source, messages)
        line.receive(plan.batch, messages, math.inf)  # maps and warms every page
        for _ in range(plan.rounds):
            memcpy.append(copying.bytes_per_second(source, messages))
            flat_out.append(line.receive(plan.batch, messages, math.inf))
        single = int(plan.paced_rate * plan.paced_seconds)
        paced = [line.receive(1, single, plan.paced_rate) for _ in range(min(plan.rounds, 3))]
    speeds = [one.bytes_per_second for one in flat_out]
    share = ratios(speeds, memcpy)
    what = f"ingest, {plan.batch} frames a message, flat out"
    rows: list[Row] = [
        {"way": "memcpy", "GB/s": str(Spread.of([speed / 1e9 for speed in memcpy]))},
        _row(what, flat_out) | {"x memcpy": str(share)},
        _row(f"ingest, 1 frame a message, {plan.paced_rate:g}/s", paced),
    ]
    gates: list[Gate] = [
        at_least(f"{what}: share of memcpy", share.median, MEMCPY_SHARE),
        at_most("frames lost", sum(one.lost for one in flat_out + paced), 0),
    ]
    h, w = plan.shape
    return {"title": f"Ingest: livem/1 over ipc, {h}x{w} uint16", "rows": rows, "gates": gates}


@dataclass(frozen=True, slots=True)
class Received:
    """One series as it came in."""

    bytes_per_second: float
    frames: int
    lost: int
    """Sent and not in the ring."""
    cpu_s: float
    """Of the ingest process, all threads."""

    @property
    def cpu_us_per_frame(self) -> float:
        return 1e6 * self.cpu_s / self.frames


def _row(way: str, received: list[Received]) -> dict[str, Any]:
    speed = Spread.of([one.bytes_per_second / 1e9 for one in received])
    cpu = Spread.of([one.cpu_us_per_frame for one in received])
    return {"way": way, "GB/s": str(speed), "CPU us/frame": str(cpu)}


class IngestLine:
    """A sender's process and an ingest process on a ring without readers; series go through on request."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ready = False
        self._number = 0

    def __enter__(self) -> IngestLine:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livem-bench-")))
            endpoint = local_endpoint(directory, "frames")
            self._hub = Hub(directory, "bench", control=local_endpoint(directory, "c"), on_child=self._hear)
            stack.callback(self._hub.close)
            self._ring = Ring.create(self._plan.ring_bytes, [])
            stack.callback(self._close_ring)
            self._accounts = Accounts(self._ring)
            self._sender = stack.enter_context(Partner(send_series, endpoint, self._plan))
            self._processes = Processes()
            stack.callback(self._stop_ingest)
            self._start_ingest(endpoint)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_ingest(self, endpoint: str) -> None:
        make_source = functools.partial(connect, endpoint)
        options = IngestOptions(make_source, self._hub.addresses.children)
        spec = ProcessSpec("ingest", run_ingest, (options, self._ring.writer_port()), restart=False)
        self._sender.hear()
        self._processes.start(spec)
        self._serve(lambda: self._ready, READY_S, "ingest was not ready")
        self._process = psutil.Process(self._processes.pids()["ingest"])

    def _stop_ingest(self) -> None:
        self._hub.send_child("ingest", {"do": "stop"})
        with contextlib.suppress(SessionError):  # then it is made to
            self._serve(lambda: self._processes.pid("ingest") is None, 3.0, "")
        self._processes.stop("ingest")

    def _close_ring(self) -> None:
        del self._accounts
        self._ring.close()

    def _hear(self, name: str, message: dict[str, Any]) -> None:
        self._ready |= message.get("type") == "ready"

    def _serve(self, done: Any, timeout: float, fault: str) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            self._hub.step(STEP_S)
            if time.monotonic() > deadline:
                raise SessionError(f"{fault} within {timeout:g} s")

    def receive(self, batch: int, messages: int, rate: float) -> Received:
        """One series of ``messages`` messages of ``batch`` frames at ``rate`` frames/s."""
        serial, self._number = self._number, self._number + 1
        before = self._cpu_s()
        self._sender.ask((serial, batch, messages, rate))
        self._serve(lambda: self._is_over(serial), END_S, "the series did not end")
        cpu_s = self._cpu_s() - before
        account = self._accounts.of(serial)
        words = self._ring.views.series_words(serial)
        nanoseconds = int(words[S_LAST_ARRIVAL]) - int(words[S_FIRST_ARRIVAL])
        between = (messages - 1) * batch * self._plan.shape[0] * self._plan.shape[1] * 2
        lost = messages * batch - account["received"]
        return Received(1e9 * between / max(nanoseconds, 1), messages * batch, lost, cpu_s)

    def _is_over(self, serial: int) -> bool:
        return self._accounts.series_count() > serial and self._accounts.of(serial)["state"] != "open"

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def connect(endpoint: str, limits: Limits) -> NativeSource:
    """Ingest's source."""
    return NativeSource(parse_endpoint(f"connect+{endpoint}"), limits=limits)


def send_series(pipe: Connection, endpoint: str, plan: Plan) -> None:
    """Body of the sender's process: a series a request, the same buffers again and again, never copied."""
    sources: dict[int, Source] = {}
    stop = Event()
    line = PushLine(parse_endpoint(f"bind+{endpoint}"), _queue(plan), False)
    pipe.send("ready")
    for number, batch, messages, rate in requests(pipe):
        source = sources.setdefault(batch, Source(batch, plan.shape[0] * plan.shape[1]))
        series = Series(SeriesKey(bytes(8), number), plan.shape, "uint16", count=messages * batch)
        pace = Pace(rate)
        line.send(wire.encode_start(series), stop, END_S)
        for message in range(messages):
            first = message * batch
            pace.wait(first, stop)
            line.send(wire.encode_frames(series.key, first, batch, source.block(message)), stop, END_S)
        line.send(wire.encode_end(series.key, messages * batch), stop, END_S)
        pipe.send(messages)
    line.close(0.0)


def _queue(plan: Plan) -> int:
    return max(2, QUEUE_BYTES // (plan.batch * plan.shape[0] * plan.shape[1] * 2))
