"""The result hub: takes results from workers, keeps the newest of each topic, sends them to whoever looks.

Owned by the supervisor, whose single-threaded loop polls ``pollables`` and calls ``tick``. Nothing in here
blocks: a viewer that does not read loses messages on its own queue, and repairs that by asking for them.
It knows no consumer and decodes results only to check them.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from .. import __version__
from ..errors import SourceError
from .bus_codec import MAX_PART, decode, encode, topic_of
from .calm import Calm
from .control import VIEWER_HWM, WORKER_HWM, Context, Socket, open_socket
from .desk import DRAIN, Bundle, ChildDesk, ClientDesk, Deferred, Handler, Reply, refusal
from .endpoints import local_endpoint, parse_endpoint, require_safe_bind
from .plain_map import BadMessage, Part
from .results import Result, is_private
from .slots import HubSlots
from .stamp import HEARTBEAT, Message, Stamp

HEARTBEAT_NS: Final = 200_000_000
SNAPSHOT_NS: Final = 50_000_000
"""At most one snapshot in this time: a flood of subscriptions costs the other viewers no bandwidth."""
PRIVATE_HWM: Final = 4
"""Pictures, of which only the newest counts."""
_HANDSHAKE_FAILED: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_MAX_WANTED: Final = 64
"""Prefixes asked for in one go; beyond that everything is repeated once."""


@dataclass(frozen=True, slots=True)
class HubAddresses:
    """Where the hub can be reached: two addresses for the session's own processes, two for viewers."""

    results: str
    """For Publisher."""
    children: str
    """For ChildLink."""
    control: str
    """For Subscriber, ControlClient and ``livem view``."""
    bus: tuple[str, ...]
    """Where the results are published: local first, then TCP if the control address is TCP."""
    private: str
    """Where private results go (`results.is_private`), unstamped and unnumbered: the newest, or none."""


def _ignore_result(result: Result) -> None:
    pass


def _ignore_child(name: str, message: dict[str, Any]) -> None:
    pass


def _no_handler(request: dict[str, Any]) -> Reply:
    return refusal(f"this session does not answer {request['do']!r}")


class Hub:
    """The sockets of a session's results and control.

    Parameters
    ----------
    directory : Path
        Private directory of the session; the local sockets lie there.
    name : str
        The session's name, for people.
    control : str
        Address that clients are given; "tcp://127.0.0.1:*" takes a free port. On TCP, results are
        published at a free port (or ``bus``) of the same interface too.
    handler : callable
        Answers "status", "parameters", "set" and "stop"; may return a Deferred (see ``forward``).
    on_result : callable
        Called with every good result, also one that is outdated before its turn to go out. Its arrays are
        views of the received bytes.
    on_child : callable
        Called with (name, message) for each "ready" and "report" of a child.
    insecure : bool
        Allow an address beyond this machine without keys.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        control: str = "tcp://127.0.0.1:*",
        bus: str | None = None,
        handler: Handler = _no_handler,
        on_result: Callable[[Result], None] = _ignore_result,
        on_child: Callable[[str, dict[str, Any]], None] = _ignore_child,
        insecure: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.name = name
        self.session = secrets.token_bytes(8)
        self.rejected: Counter[str] = Counter()
        """What came in and was no result, by reason."""
        self._handler, self._on_result, self._clock = handler, on_result, clock
        self._slots = HubSlots(self.session)
        self._calm = Calm()
        self._wanted: set[str] = set()
        self._snapshot_due = self._beat_due = clock()
        self._context: Context = zmq.Context()
        try:
            self._open(directory, control, bus, on_child, insecure)
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def _open(
        self,
        directory: Path,
        control: str,
        bus: str | None,
        on_child: Callable[[str, dict[str, Any]], None],
        insecure: bool,
    ) -> None:
        self._results = open_socket(self._context, zmq.PULL, hwm=WORKER_HWM, max_bytes=MAX_PART)
        self._bus = open_socket(self._context, zmq.XPUB, hwm=VIEWER_HWM)
        self._bus.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._private = open_socket(self._context, zmq.PUB, hwm=PRIVATE_HWM)
        self._clients = ClientDesk(open_socket(self._context, zmq.ROUTER, hwm=VIEWER_HWM), self._answer)
        children = open_socket(self._context, zmq.ROUTER, hwm=1000, max_bytes=MAX_PART)
        self._children = ChildDesk(children, on_child, self._clock)
        self._monitors = [
            socket.get_monitor_socket(_HANDSHAKE_FAILED) for socket in (self._bus, self._clients.socket)
        ]
        bound = _bind(self._clients.socket, control, insecure)
        addresses = [_bind(self._bus, local_endpoint(directory, "bus"), insecure)]
        tcp = bus or (f"{_host(bound)}:*" if bound.startswith("tcp://") else None)
        if tcp is not None:
            addresses.append(_bind(self._bus, tcp, insecure))
        self.addresses = HubAddresses(
            results=_bind(self._results, local_endpoint(directory, "results"), insecure),
            children=_bind(self._children.socket, local_endpoint(directory, "children"), insecure),
            control=bound,
            bus=tuple(addresses),
            private=_bind(self._private, local_endpoint(directory, "private"), insecure),
        )

    def close(self, linger_s: float = 0.2) -> None:
        """Let go of everything, giving the last messages ``linger_s`` seconds to leave."""
        if self._context.closed:
            return
        for result, parts in self._calm.rest():
            self._send_out(result, parts, self._clock())
        for socket in (self._bus, self._clients.socket):
            socket.disable_monitor()
        self._context.destroy(linger=int(linger_s * 1000))

    # -- the loop ----------------------------------------------------------------------------------

    def pollables(self) -> dict[Socket, Callable[[], None]]:
        """Sockets to poll for reading, and what to call when one is ready (bounded work a call)."""
        watched: dict[Socket, Callable[[], None]] = {
            self._results: self._take_results,
            self._bus: self._take_subscriptions,
            self._clients.socket: self._clients.handle,
            self._children.socket: self._children.handle,
        }
        return watched | dict.fromkeys(self._monitors, self._count_handshakes)

    def handle(self, socket: Socket) -> None:
        """Serve one socket that is ready."""
        self.pollables()[socket]()

    def step(self, timeout_s: float = 0.0) -> None:
        """One turn of a loop that watches nothing else: wait, serve what is ready, do what is due."""
        poller = zmq.Poller()
        pollables = self.pollables()
        for socket in pollables:
            poller.register(socket, zmq.POLLIN)
        for socket, _ in poller.poll(int(min(timeout_s, self.tick()) * 1000)):
            pollables[socket]()
        self.tick()

    def tick(self) -> float:
        """Do what is due (results, heartbeat, snapshots, answers for the silent); seconds until the next."""
        now = self._clock()
        for result, parts in self._calm.due(now):
            self._send_out(result, parts, now)
        self._children.tick(now)
        if self._wanted and now >= self._snapshot_due:
            self._send_snapshot(now)
        if now >= self._beat_due:
            self._beat_due = now + HEARTBEAT_NS
            self._beat(now)
        due = min(self._beat_due, self._snapshot_due) if self._wanted else self._beat_due
        waiting = self._calm.next_ns()
        due = due if waiting is None else min(due, waiting)
        return max(0.0, (due - now) / 1e9)

    # -- results -----------------------------------------------------------------------------------

    def publish(self, result: Result) -> None:
        """Publish a result of the supervisor's own; raises ResultError when it is against the contract."""
        self._pass_on(result, [zmq.Frame(bytes(part), copy=True) for part in encode(result)])

    def _take_results(self) -> None:
        for _ in range(DRAIN):
            try:
                parts = self._results.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            result = decode(parts)
            if isinstance(result, BadMessage):
                self.rejected[result.reason] += 1
            elif result.topic == HEARTBEAT:
                self.rejected["reserved topic"] += 1
            else:
                self._pass_on(result, parts)

    def _pass_on(self, result: Result, parts: Sequence[Part]) -> None:
        if is_private(result.topic):
            self._private.send_multipart(parts, zmq.NOBLOCK, copy=False)
            return
        now = self._clock()
        if not self._calm.admit(result, parts, now) or self._send_out(result, parts, now):
            self._on_result(result)

    def _send_out(self, result: Result, parts: Sequence[Part], now: int) -> bool:
        """Number it only now: a subscriber must not ask for what never went out. False: a topic too many."""
        message = self._slots.take(result, parts)
        if message is None:
            self.rejected["too many topics"] += 1
            return False
        self._calm.sent(result.topic, now)
        self._send(message)
        return True

    def _send(self, message: Message) -> None:
        """To each viewer whose queue has room; a received part is shared with libzmq, not copied."""
        self._bus.send_multipart(message.parts, zmq.NOBLOCK, copy=False)

    def _beat(self, now: int) -> None:
        attrs = {"session": self.session, "pid": os.getpid(), "topics": self._slots.topics()}
        topic, *rest = encode(Result(HEARTBEAT, "status", None, (0, 0), now, attrs=attrs))
        self._bus.send_multipart(
            [topic, Stamp(self.session, 0, 0, "status", False).pack(), *rest], zmq.NOBLOCK
        )

    def _take_subscriptions(self) -> None:
        for _ in range(DRAIN):
            try:
                parts = self._bus.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            prefix = _subscribed(parts)
            if prefix is not None:
                self._wanted.add(prefix if len(self._wanted) < _MAX_WANTED else "")
        if self._wanted and self._clock() >= self._snapshot_due:
            self._send_snapshot(self._clock())

    def _send_snapshot(self, now: int) -> None:
        for message in self._slots.snapshot(self._wanted):
            self._send(message)
        self._wanted.clear()
        self._snapshot_due = now + SNAPSHOT_NS

    def _count_handshakes(self) -> None:
        for monitor in self._monitors:
            for _ in range(DRAIN):
                if not monitor.poll(0):
                    break
                recv_monitor_message(monitor)
                self.rejected["failed handshake"] += 1

    # -- control -----------------------------------------------------------------------------------

    def forward(self, child: str, message: Mapping[str, Any]) -> Deferred:
        """Pass a command on to a child; the answer comes later, within 2 s in any case."""
        return self._children.forward(child, message)

    def send_child(self, name: str, message: Mapping[str, Any]) -> bool:
        """Send a child a command that wants no answer; False when it is not connected."""
        return self._children.send(name, message)

    def child_gone(self, name: str) -> None:
        """Tell the hub that a child has died, so that nobody waits for its answers."""
        self._children.gone(name)

    def refused(self) -> dict[str, int]:
        """All that came in on any socket and was not understood, by reason."""
        return dict(self.rejected + self._clients.rejected + self._children.rejected)

    def _answer(self, request: dict[str, Any]) -> Reply | Deferred | Bundle:
        match request["do"]:
            case "hello":
                return self._hello(request.get("endpoint", ""))
            case "snapshot":
                return self._bundle(request.get("topics"))
        return self._handler(request)

    def _hello(self, endpoint: str) -> Reply:
        return {
            "ok": True,
            "version": __version__,
            "session": self.session,
            "name": self.name,
            "pid": os.getpid(),
            "bus": self._bus_for(endpoint),
            "topics": list(self._slots.topics()),
        }

    def _bus_for(self, endpoint: str) -> str:
        """The bus as this client can reach it: by the host name that it used for the control address."""
        tcp = self.addresses.bus[-1]
        if endpoint.startswith("tcp://") and tcp.startswith("tcp://"):
            return f"{_host(endpoint)}:{tcp.rpartition(':')[2]}"
        return self.addresses.bus[0]

    def _bundle(self, topics: Iterable[Any] | None) -> Bundle:
        """All that is kept of some topics (None: of all), and how far each of them has come."""
        chosen = self._slots.topics()
        if topics is not None:
            asked = {topic for topic in topics if isinstance(topic, str)}
            chosen = {topic: counts for topic, counts in chosen.items() if topic in asked}
        messages = self._slots.everything(chosen)
        sizes = [len(message.parts) for message in messages]
        reply = {"ok": True, "session": self.session, "topics": chosen, "sizes": sizes}
        return reply, [part for message in messages for part in message.parts]


def _bind(socket: Socket, address: str, insecure: bool) -> str:
    """Bind where it is allowed; returns the address with the port that it got."""
    endpoint = parse_endpoint(f"bind+{address.removeprefix('bind+')}")
    require_safe_bind(endpoint, insecure, curve=False)
    try:
        socket.bind(endpoint.address)
    except zmq.ZMQError as error:
        raise SourceError(f"cannot listen at {address}: {error}; choose another address or port") from error
    return str(socket.getsockopt_string(zmq.LAST_ENDPOINT))


def _host(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]


def _subscribed(parts: list[bytes]) -> str | None:
    """The prefix of a new subscription; None for anything else that a peer may send."""
    raw = parts[0]
    if len(parts) != 1 or raw[:1] != b"\x01":
        return None
    return "" if raw == b"\x01" else topic_of(raw[1:])
