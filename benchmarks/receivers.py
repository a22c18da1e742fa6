"""The two receivers of the virtual detectors' benchmark, made alike: a series on request, and what it cost.

Ours is a whole session with a script at its result bus; the peer is LiberTEM-live in a script. Processor time
and memory are those of all processes of a receiver, its script's among them.
"""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import psutil
import zmq

from ..errors import SessionError
from ..pipeline import parse
from ..session import Session, SessionOptions
from ..stream.arming.simplon import SimplonArmer
from ..stream.burst import BurstSocket, send_burst
from ..stream.bus import Subscriber
from ..stream.results import Result
from ..stream.zmq_calls import find_calls
from .libertem_peer import Answer, Job, PeerOptions, Request, Sent, Simulator, receive
from .partner import Partner, requests
from .scan_dump import ScanDump, as_burst, ring_radii

MIB = 1 << 20
SERIES_S = 60.0
"""How long a series may take."""
SAMPLE_S = 0.05
READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One series through one receiver."""

    rate: float
    """Frames/s from the first frame at the sender's socket to the final result in the script's memory."""
    cpu_us: float
    """Processor time of the receiver, us a frame."""
    first_ms: float
    """From the first frame sent to the first picture."""
    update_ms: float
    """Median between two pictures; NaN below three of them."""
    last_ms: float
    """From the last frame sent to the final result."""
    answer: Answer = field(repr=False)


class Sender(Protocol):
    """What plays the scan."""

    data: int
    """Port of its ZeroMQ socket."""

    def begin(self) -> None:
        """Let one series go."""

    def sent(self) -> Sent:
        """When it went out."""

    def close(self) -> None: ...


class PlayingSimulator(Simulator):
    """LiberTEM's simulator, armed from here."""

    def begin(self) -> None:
        SimplonArmer("127.0.0.1", self.control, {}).arm()


class BurstSender(Partner):
    """Ours, which holds the whole scan in memory: faster than the simulator."""

    def __init__(self, dump: ScanDump) -> None:
        super().__init__(send_dump, dump)
        self.data: int = self.hear()

    def begin(self) -> None:
        self.tell(None)

    def sent(self) -> Sent:
        return Sent(*self.hear())


def send_dump(pipe: Connection, dump: ScanDump) -> None:
    """Body of the sender's process: the whole scan as fast as it is taken, once a request."""
    burst, calls = as_burst(dump.path, dump.frames), find_calls()
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = 0
        pipe.send(socket.bind_to_random_port("tcp://127.0.0.1"))
        for _ in requests(pipe):
            at, first = 0, 0.0
            while at < len(burst):
                at = send_burst(socket, calls, burst, at)
                first = first or time.monotonic()
                if at < len(burst) and not socket.poll(int(SERIES_S * 1000), zmq.POLLOUT):
                    raise SessionError(f"nobody takes the frames within {SERIES_S:g} s")
            pipe.send((first, time.monotonic()))


# -- receivers -----------------------------------------------------------------------------------------


class Receiver(ABC):
    """One side: a sender that only it hears, and the processes that receive."""

    def __init__(self, dump: ScanDump, make_sender: Callable[[], Sender]) -> None:
        self._dump, self._make_sender = dump, make_sender
        self.peak_mib = 0.0
        """Largest sum of proportional set sizes that was seen; by `measure_memory`."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._sender = self._make_sender()
            stack.callback(self._sender.close)
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @abstractmethod
    def _start(self, stack: ExitStack) -> None:
        """Start the processes that receive; ``stack`` ends them."""

    @abstractmethod
    def _begin(self) -> Partner:
        """Ask for one series and let the sender go; gives who will answer."""

    @abstractmethod
    def _pids(self) -> Sequence[int]:
        """Of the processes that receive; theirs are found from there."""

    def series(self) -> Outcome:
        """One series."""
        before = cpu_s(self._pids())
        answer: Answer = self._begin().hear(SERIES_S)
        cpu = cpu_s(self._pids()) - before
        return self._outcome(answer, cpu)

    def measure_memory(self) -> None:
        """One series that does not count, watched: looking costs the processes that are looked at."""
        partner = self._begin()
        while not partner.has_spoken(SAMPLE_S):
            self.peak_mib = max(self.peak_mib, pss_mib(self._pids()))
        partner.hear()
        self._sender.sent()
        self.peak_mib = max(self.peak_mib, pss_mib(self._pids()))

    def _outcome(self, answer: Answer, cpu: float) -> Outcome:
        sent = self._sender.sent()
        n = self._dump.frames
        gaps = np.diff(answer.updates)
        return Outcome(
            n / (answer.done - sent.first),
            1e6 * cpu / n,
            1e3 * (answer.updates[0] - sent.first),
            1e3 * float(np.median(gaps)) if len(gaps) > 1 else float("nan"),
            1e3 * (answer.done - sent.last),
            answer,
        )


class Ours(Receiver):
    """A session with virtual detectors, with the ring and the processes that it always has."""

    def __init__(
        self, dump: ScanDump, make_sender: Callable[[], Sender], job: Job, *, preview: bool = False
    ) -> None:
        super().__init__(dump, make_sender)
        self._tables, self._topics = _pipeline(dump, job, preview=preview), _topics(job)

    def _start(self, stack: ExitStack) -> None:
        url = f"dectris://127.0.0.1:{self._sender.data}"
        self._session = stack.enter_context(Partner(hold_session, url, self._tables, has_children=True))
        self._script = stack.enter_context(Partner(look, self._session.hear(READY_S), self._topics))
        self._script.hear()

    def _begin(self) -> Partner:
        self._script.tell(None)
        self._script.hear()
        self._sender.begin()
        return self._script

    def _pids(self) -> Sequence[int]:
        return self._session.pid, self._script.pid


class Peer(Receiver):
    """LiberTEM-live; with a sender that is not its simulator it needs one beside it, to ask for settings."""

    def __init__(self, dump: ScanDump, make_sender: Callable[[], Sender], job: Job) -> None:
        super().__init__(dump, make_sender)
        self.request = Request(job, updates=False)

    def _start(self, stack: ExitStack) -> None:
        sender, plan = self._sender, self._dump.plan
        self._passive = not isinstance(sender, Simulator)
        desk = sender if isinstance(sender, Simulator) else stack.enter_context(Simulator(self._dump.path))
        options = PeerOptions(
            desk.control, sender.data, plan.scan, plan.shape, self._dump.live(), self._passive
        )
        self._process = stack.enter_context(Partner(receive, options, has_children=True))
        self._process.hear(READY_S)

    def _begin(self) -> Partner:
        self._process.tell(self.request)
        if self._passive:
            self._process.hear()
            self._sender.begin()
        return self._process

    def _pids(self) -> Sequence[int]:
        return (self._process.pid,)


class Bare(Receiver):
    """A loop that receives and throws away: what the sender can give at most."""

    def _start(self, stack: ExitStack) -> None:
        self._process = stack.enter_context(Partner(drain, self._sender.data))
        self._process.hear()

    def _begin(self) -> Partner:
        self._process.tell(self._dump.frames + 2)
        self._sender.begin()
        return self._process

    def _pids(self) -> Sequence[int]:
        return (self._process.pid,)


def drain(pipe: Connection, port: int) -> None:
    """Body of the bare loop: as many messages as asked, in bursts."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.connect(f"tcp://127.0.0.1:{port}")
        bursts = BurstSocket(socket, find_calls())
        pipe.send("ready")
        for messages in requests(pipe):
            left = messages
            while left > 0 and socket.poll(int(SERIES_S * 1000)):
                burst = bursts.drain()
                left -= 0 if burst is None else len(burst)
            now = time.monotonic()
            pipe.send(Answer(now, [now]))
        bursts.close()


def _pipeline(dump: ScanDump, job: Job, *, preview: bool) -> dict[str, Any]:
    detectors: dict[str, Any] = {}
    for name in job.rings:
        inner, outer = ring_radii(name, dump.plan.shape)
        detectors[name] = {"kind": "annulus", "inner": inner, "outer": outer}
    if job.com:
        detectors["com"] = {"kind": "com"}
    consumer: dict[str, Any] = {"name": "vd", "type": "virtual_detectors", "detectors": detectors}
    if len(dump.bad):
        consumer["dead_pixels"] = dump.bad.tolist()
    consumers = [consumer, {"name": "preview", "type": "preview"}] if preview else [consumer]
    return {"scan": {"shape": list(dump.plan.scan)}, "consumers": consumers}


def _topics(job: Job) -> Sequence[str]:
    return [f"vd.{name}" for name in (*job.rings, *(["com"] if job.com else []))]


def hold_session(pipe: Connection, url: str, tables: Mapping[str, Any]) -> None:
    """Body of the session's process: says its address when it is ready for frames, ends when asked."""
    with Session(parse(dict(tables)), SessionOptions(url, must_begin=False)) as session:
        session.start()
        told = False
        while not session.over():
            session.step()
            if not told and session.state != "starting":
                pipe.send(session.hub.addresses.control)
                told = True
            if pipe.poll():
                session.stop("the benchmark is over")
        session.finish()
        if session.error is not None:
            raise session.error


def look(pipe: Connection, address: str, topics: Sequence[str]) -> None:
    """Body of the script: notes when its last topic changes, until the final results of all are there."""
    with Subscriber(address, ("vd.",)) as subscriber:
        pipe.send("ready")
        seen = 0
        for _ in requests(pipe):
            subscriber.finals()
            pipe.send("looking")
            updates: list[float] = []
            final = False
            while not final:
                result = subscriber.wait(topics[-1], SERIES_S, functools.partial(_is_newer, seen))
                if result is None:
                    raise SessionError(f"no final result of {topics[-1]} within {SERIES_S:g} s")
                updates.append(time.monotonic())
                seen, final = result.t_ns, result.final
            finals = {
                one.topic: np.array(one.arrays["image"]) for one in subscriber.finals() if one.topic in topics
            }
            pipe.send(Answer(updates[-1], updates, {topic[len("vd.") :]: finals[topic] for topic in topics}))


def _is_newer(t_ns: int, result: Result) -> bool:
    return result.t_ns > t_ns


# -- what it costs -------------------------------------------------------------------------------------


def _processes(pids: Sequence[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """Processor seconds of these processes and all that they started and that still are."""
    total = 0.0
    for process in _processes(pids):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def pss_mib(pids: Sequence[int]) -> float:
    """MiB of these processes and all that they started; what several map counts once in all."""
    total = 0
    for process in _processes(pids):
        with suppress(psutil.Error):
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.uss)
    return total / MIB
