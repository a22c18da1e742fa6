"""Detectors' own streams: what of a bare pyzmq receive loop's rate is left once frames go into the ring.

Sender, bare receiver and ingest are processes of their own; bare loop and ingest take turns at the same
sender, which sends messages that were made in advance. The session is left out, as in ingest.py; a lossless
reader empties the ring.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

from ..errors import SessionError
from ..stream.accounting import Accounts
from ..stream.burst import pack, send_burst
from ..stream.endpoints import Endpoint, local_endpoint
from ..stream.files.acquisition import Acquisition, Array, FrameBank
from ..stream.hub import Hub
from ..stream.ingest import IngestOptions, run_ingest
from ..stream.messages import Limits
from ..stream.policy import Policy
from ..stream.processes import Processes, ProcessSpec
from ..stream.ring import ReaderSpec, Ring
from ..stream.ring_layout import S_FIRST_ARRIVAL, S_LAST_ARRIVAL
from ..stream.ring_reader import Lease, RingReader
from ..stream.series import SeriesKey
from ..stream.simulate.compress import BlobCache
from ..stream.simulate.dialects import Speech, dialect_of
from ..stream.sources.dectris.source import DectrisSource
from ..stream.zmq_calls import find_calls
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios
from .partner import Partner, requests

PROTOCOLS = {"dectris1": "DECTRIS v1", "dectris2": "DECTRIS v2"}
BARE_SHARE = 0.6
CPU_US = 22.0
MEAN_COUNTS = 0.075
"""Of a pixel: a frame of 128 KiB then takes 8.5 KB as bslz4, as a sparse diffraction pattern does."""
STOCK = 64
READY_S = 120.0
END_S = 60.0
STEP_S = 0.002


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    frames: int
    rounds: int
    shape: tuple[int, int] = (256, 256)
    ring_bytes: int = 256 << 20


FULL = Plan(20_000, 7)
QUICK = Plan(5_000, 3)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench detectors`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    rows: list[Row] = []
    gates: list[Gate] = []
    for protocol, name in PROTOCOLS.items():
        found = _compared(plan, protocol)
        share = ratios([one.rate for one in found.ingest], found.bare)
        cpu = Spread.of([one.cpu_us_per_frame for one in found.ingest])
        lost = sum(one.lost for one in found.ingest)
        rows += [
            {"way": f"{name}, bare pyzmq loop", "frames/s": str(Spread.of(found.bare))},
            {
                "way": f"{name}, ingest into the ring",
                "frames/s": str(Spread.of([one.rate for one in found.ingest])),
                "x bare": str(share),
                "CPU us/frame": str(cpu),
            },
        ]
        gates += [
            at_least(f"{name}: share of the bare loop's rate", share.median, BARE_SHARE),
            at_most(f"{name}: CPU us a frame", cpu.median, CPU_US),
            at_most(f"{name}: frames lost", lost, 0),
        ]
    h, w = plan.shape
    return {"title": f"Detectors over loopback TCP, {h}x{w} uint16 bslz4", "rows": rows, "gates": gates}


@dataclass(frozen=True, slots=True)
class Received:
    """One series as it came into the ring."""

    rate: float
    """Frames/s between the first and the last arrival."""
    frames: int
    lost: int
    cpu_s: float
    """Of the ingest process, all threads."""

    @property
    def cpu_us_per_frame(self) -> float:
        return 1e6 * self.cpu_s / self.frames


@dataclass(slots=True)
class _Found:
    bare: list[float] = field(default_factory=list)
    ingest: list[Received] = field(default_factory=list)


def _compared(plan: Plan, protocol: str) -> _Found:
    found = _Found()
    with DetectorLine(plan, protocol) as line:
        line.bare()
        line.ingest()  # both warm: pages mapped, queues grown
        for _ in range(plan.rounds):
            found.bare.append(line.bare())
            found.ingest.append(line.ingest())
    return found


class DetectorLine:
    """A detector that can send to a bare loop and to an ingest process, a series at a time."""

    def __init__(self, plan: Plan, protocol: str) -> None:
        self._plan, self._protocol = plan, protocol
        self._ready = False
        self._number = self._serial = 0

    def __enter__(self) -> DetectorLine:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livem-bench-")))
            self._hub = Hub(directory, "bench", control=local_endpoint(directory, "c"), on_child=self._hear)
            stack.callback(self._hub.close)
            self._ring = Ring.create(self._plan.ring_bytes, [ReaderSpec("all", Policy.parse("lossless"))])
            stack.callback(self._close_ring)
            self._reader = RingReader(self._ring.reader_port("all"))
            self._accounts = Accounts(self._ring)
            self._sender = stack.enter_context(Partner(send_series, self._plan, self._protocol))
            addresses: dict[str, str] = self._sender.hear()
            self._loop = stack.enter_context(Partner(receive_bare, addresses["bare"], self._plan.frames))
            self._loop.hear()
            self._processes = Processes()
            stack.callback(self._stop_ingest)
            self._start_ingest(addresses["ingest"])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_ingest(self, address: str) -> None:
        options = IngestOptions(functools.partial(connect, address), self._hub.addresses.children)
        spec = ProcessSpec("ingest", run_ingest, (options, self._ring.writer_port()), restart=False)
        self._processes.start(spec)
        self._serve(lambda: self._ready, READY_S, "ingest was not ready")
        self._process = psutil.Process(self._processes.pids()["ingest"])

    def _stop_ingest(self) -> None:
        self._hub.send_child("ingest", {"do": "stop"})
        with contextlib.suppress(SessionError):  # then it is made to
            self._serve(lambda: self._processes.pid("ingest") is None, 3.0, "")
        self._processes.stop("ingest")

    def _close_ring(self) -> None:
        del self._accounts, self._reader
        self._ring.close()

    def _hear(self, name: str, message: dict[str, Any]) -> None:
        self._ready |= message.get("type") == "ready"

    def _serve(self, done: Callable[[], bool], timeout: float, fault: str) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            self._hub.step(STEP_S)
            self._empty_ring()
            if time.monotonic() > deadline:
                raise SessionError(f"{fault} within {timeout:g} s")

    def _empty_ring(self) -> None:
        while (event := self._reader.next()) is not None:
            if isinstance(event, Lease):
                self._reader.count(event.serial, processed=event.block.count)
                event.release()

    def bare(self) -> float:
        """Frames/s of a loop that does nothing but receive."""
        self._loop.tell(self._next())
        self._sender.ask(("bare", self._number))
        rate: float = self._loop.hear()
        return rate

    def ingest(self) -> Received:
        """One series through source, assembler and ring."""
        before, number = self._cpu_s(), self._next()
        self._sender.ask(("ingest", number))
        self._serve(self._is_over, END_S, "the series did not end")
        cpu_s = self._cpu_s() - before
        account, words = self._accounts.of(self._serial), self._ring.views.series_words(self._serial)
        self._serial += 1
        frames = self._plan.frames
        seconds = 1e-9 * (int(words[S_LAST_ARRIVAL]) - int(words[S_FIRST_ARRIVAL]))
        return Received(frames / max(seconds, 1e-9), frames, frames - account["received"], cpu_s)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _is_over(self) -> bool:
        serial = self._serial
        return self._accounts.series_count() > serial and self._accounts.of(serial)["state"] != "open"

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def connect(address: str, limits: Limits) -> DectrisSource:
    """Ingest's source."""
    return DectrisSource([Endpoint(address, bind=False)], limits)


class Exposures(Acquisition):
    """Sparse counts, so many that compression has no easy time."""

    name, scan, meta = "bench", None, {}

    def __init__(self, plan: Plan) -> None:
        stock = np.random.default_rng(0).poisson(MEAN_COUNTS, (STOCK, *plan.shape)).astype(np.uint16)
        self.bank, self.count = FrameBank(stock), plan.frames

    def truth(self) -> dict[str, Array]:
        return {}


def send_series(pipe: Connection, plan: Plan, protocol: str) -> None:
    """Body of the detector's process: two sockets, and a series for one of them a request."""
    exposures, dialect = Exposures(plan), dialect_of(protocol)
    blobs, calls = BlobCache(exposures.bank), find_calls()
    with zmq.Context() as context, contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(_bound(context)) for name in ("bare", "ingest")}
        pipe.send({name: socket.getsockopt_string(zmq.LAST_ENDPOINT) for name, socket in sockets.items()})
        for name, number in requests(pipe):
            speech = Speech(exposures, SeriesKey(bytes(8), number), 1, "bslz4", 1, blobs, None)
            burst = pack([outgoing.parts for outgoing in dialect.messages(speech)])
            at = 0
            while at < len(burst):
                if not sockets[name].poll(int(END_S * 1000), zmq.POLLOUT):
                    raise SessionError(f"nobody takes the series for {name!r}")
                at = send_burst(sockets[name], calls, burst, at)
            pipe.send(len(burst))


def _bound(context: zmq.Context[Any]) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(zmq.PUSH)
    socket.linger = 0
    socket.bind("tcp://127.0.0.1:*")
    return socket


def receive_bare(pipe: Connection, address: str, frames: int) -> None:
    """Body of the bare receiver: pyzmq's loop over the messages of a series, and its frames/s."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.rcvtimeo = int(END_S * 1000)
        socket.connect(address)
        pipe.send("ready")
        for _ in requests(pipe):
            times = list(_arrivals(socket, frames))
            pipe.send(frames / (times[-1] - times[0]))


def _arrivals(socket: zmq.Socket[bytes], frames: int) -> Iterator[float]:
    """When the first and the last image of a series came."""
    receive = socket.recv_multipart
    receive()  # the header
    receive()
    yield time.perf_counter()
    for _ in range(frames - 1):
        receive()
    yield time.perf_counter()
    receive()  # the end
