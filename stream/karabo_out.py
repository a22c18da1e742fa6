"""Results for existing karabo-bridge clients: the newest of each topic, to whoever asks.

A train is the state of the session's results at one moment: a source per topic, an array per array, and what
else a result says as plain values. A client that asks again waits until something is new. Nothing here knows
who made a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import msgpack
import zmq

from ..errors import SourceError, UnauthorisedBindError
from .bus import Subscriber
from .endpoints import Endpoint, is_loopback, parse_endpoint
from .karabo_wire import REQUEST, encode, stamp
from .opening import explain, needs_ipv6, require_free_path
from .results import Result, is_removed

SHOWN = ("image", "curve", "table")
"""Kinds of results that are served."""
TURN_MS = 20
"""How often new results are looked for while a client waits: its trains are at most so much older."""
IDLE_MS = 200
"""How often it is looked whether to end while nobody waits."""
MAX_REQUEST = 4096
"""Bytes of a request; the one that there is has four."""
MAX_CLIENTS = 1024
"""Beyond that the one that has been silent for longest is forgotten."""

Parts = list[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class KaraboOutOptions:
    """What the process that serves results is told."""

    bind: str
    """``tcp://127.0.0.1:45000``, say."""
    results: tuple[str, ...]
    """Control addresses of the sessions whose results are served (Subscriber's)."""
    _: KW_ONLY
    topics: tuple[str, ...] = ("",)
    """Prefixes of the topics served; "" is everything."""
    insecure_bind: bool = False
    """Let other machines in."""
    children_address: str = ""
    """Where a session's process reports to; empty for one that stands alone."""
    name: str = "karabo-out"


def run_karabo_out(options: KaraboOutOptions) -> None:
    """Body of a session's process that serves results until it is told to stop."""
    from .child import Child, run_child

    def serve(child: Child) -> None:
        out = KaraboOut(options)
        child.link.ready({"address": out.address})

        def stopping() -> bool:
            while (command := child.link.receive()) is not None:
                if command.get("do") == "stop":
                    child.stop()
                child.link.reply(command)
            return child.stopping()

        try:
            out.serve(stopping)
        finally:
            out.close()

    run_child(options.name, options.children_address, serve)


class KaraboOut:
    """A karabo-bridge server of results.

    Parameters
    ----------
    options : KaraboOutOptions

    Raises
    ------
    SourceError, UnauthorisedBindError
        An address that cannot be bound, or must not be.
    """

    def __init__(self, options: KaraboOutOptions) -> None:
        endpoint = _checked(options)
        self._latest: dict[str, Result] = {}
        self._trains = _Trains()
        self._waiting: dict[bytes, None] = {}
        """Clients whose request is open, the longest-waiting first."""
        self._seen: dict[bytes, int] = {}
        """Number of the train that each of them has had last."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._subscribers: list[Subscriber] = []
        try:
            self._bind(endpoint)
            self._subscribers = [Subscriber(address, options.topics) for address in options.results]
        except BaseException:
            self.close()
            raise
        self.address = self._socket.get_string(zmq.LAST_ENDPOINT)

    def _bind(self, endpoint: Endpoint) -> None:
        options = {
            zmq.LINGER: 0,
            zmq.SNDHWM: 2,
            zmq.RCVHWM: 16,
            zmq.MAXMSGSIZE: MAX_REQUEST,
            zmq.HANDSHAKE_IVL: 5_000,
            zmq.IPV6: int(needs_ipv6(endpoint)),
        }
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        try:
            self._socket.bind(endpoint.address.replace("tcp://localhost:", "tcp://127.0.0.1:"))
        except zmq.ZMQError as error:
            raise SourceError(explain(endpoint, error)) from error

    def serve(self, stopping: Callable[[], bool]) -> None:
        """Answer until ``stopping()``."""
        while not stopping():
            self.turn(TURN_MS if self._waiting else IDLE_MS)

    def turn(self, timeout_ms: int) -> None:
        """Take requests, waiting for one at most so long, and answer where there is something new."""
        if self._socket.poll(timeout_ms):
            self._take_requests()
        for subscriber in self._subscribers:
            self._latest_of(subscriber.poll())
        for client in [client for client in self._waiting if self._trains.number > self._seen.get(client, 0)]:
            self._answer(client)

    def _latest_of(self, results: Mapping[str, Result]) -> None:
        gone = {topic for topic, result in results.items() if is_removed(result)} & self._latest.keys()
        new = {topic: result for topic, result in results.items() if result.kind in SHOWN}
        if new or gone:
            self._latest = {
                topic: result for topic, result in (self._latest | new).items() if topic not in gone
            }
            self._trains.renew(self._latest)

    def _take_requests(self) -> None:
        while self._socket.poll(0):
            client, *envelope = self._receive()
            if envelope == [b"", REQUEST]:
                self._waiting[client] = None
                _shorten(self._waiting)
            elif envelope[:1] == [b""]:
                self._send([client, b"", b"Error: bad request %b" % b" ".join(envelope[1:])[:100]])

    def _receive(self) -> list[bytes]:
        """One request with the client it is from; what goes beyond four parts is thrown away."""
        part = self._socket.recv(copy=False)
        kept = [part.bytes]
        while part.more:
            part = self._socket.recv(copy=False)
            if len(kept) < 4:
                kept.append(part.bytes)
        return kept

    def _answer(self, client: bytes) -> None:
        del self._waiting[client]
        self._send([client, b"", *self._trains.parts])
        self._remember(client)

    def _remember(self, client: bytes) -> None:
        """Clients come and go without a word: those that have not asked for longest are forgotten."""
        self._seen.pop(client, None)
        self._seen[client] = self._trains.number
        _shorten(self._seen)

    def _send(self, parts: Sequence[bytes | memoryview]) -> None:
        """A client that is gone or takes nothing loses its answer, nobody else's."""
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        for subscriber in self._subscribers:
            subscriber.close()
        self._context.destroy(linger=0)


def _shorten(clients: dict[bytes, Any]) -> None:
    while len(clients) > MAX_CLIENTS:
        del clients[next(iter(clients))]


class _Trains:
    """The newest train, made once however many clients it goes to."""

    def __init__(self) -> None:
        self.number = 0
        self.parts: Parts = []

    def renew(self, latest: Mapping[str, Result]) -> None:
        self.number += 1
        now = time.time_ns()
        self.parts = [part for result in latest.values() for part in source_parts(result, self.number, now)]


def source_parts(result: Result, tid: int, time_ns: int) -> Parts:
    """A result as one source of a train.

    The values are ``kind``, ``series``, ``epoch``, ``frames.first``, ``frames.stop``, ``final``,
    ``units.NAME`` and ``attrs.NAME``; attributes that are not plain are left out.
    """
    values: dict[str, Any] = {
        "kind": result.kind,
        "frames.first": result.frames[0],
        "frames.stop": result.frames[1],
        "final": result.final,
    }
    if result.series is not None:
        values |= {"series": result.series.number, "epoch": result.series.epoch.hex()}
    values |= {f"units.{name}": unit for name, unit in result.units.items()}
    values |= {f"attrs.{name}": value for name, value in result.attrs.items() if _is_plain(value)}
    return encode(result.topic, stamp(result.topic, tid, time_ns), values, result.arrays)


def _is_plain(value: object) -> bool:
    try:
        msgpack.packb(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _checked(options: KaraboOutOptions) -> Endpoint:
    endpoint = parse_endpoint(options.bind if options.bind.startswith("bind+") else f"bind+{options.bind}")
    if not options.insecure_bind and not is_loopback(endpoint.address):
        raise UnauthorisedBindError(
            f"binding {endpoint.address} would show the results to every machine that reaches it: bind "
            f"tcp://127.0.0.1:{endpoint.port or 45000}, or say --insecure-bind on a private network"
        )
    require_free_path(endpoint)
    return endpoint
