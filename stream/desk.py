"""The session's end of the control channel: clients' requests come in, children's commands go out.

Both desks are driven by the supervisor's one loop and never block. They check and route; what a request
means is the handler's business.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import zmq

from ..errors import LivemError, ResultError
from .control import Socket, fault_of_request
from .plain_map import BadMessage, Part, pack_map, unpack_map

DRAIN: Final = 64
"""Messages taken per call, so that no socket starves another: 64 results of 512 KiB take about 10 ms."""
MAX_REPLY: Final = 1 << 20
MAX_NAME: Final = 64
CHILD_TIMEOUT_NS: Final = 2_000_000_000

Reply: TypeAlias = Mapping[str, Any]
"""{"ok": True, ...} or {"ok": False, "error": ...}."""

log = logging.getLogger(__name__)


class Deferred:
    """An answer that comes later."""

    def __init__(self) -> None:
        self.reply: Reply | None = None
        self.parts: Sequence[Part] = ()
        """A result that comes with the answer."""
        self._waiting: list[Callable[[Reply], None]] = []

    def resolve(self, reply: Reply, parts: Sequence[Part] = ()) -> None:
        """Give the answer; the first one counts."""
        if self.reply is None:
            self.reply, self.parts = reply, parts
            for tell in self._waiting:
                tell(reply)

    def then(self, tell: Callable[[Reply], None]) -> None:
        """Call ``tell`` with the answer, at once if it is there."""
        if self.reply is None:
            self._waiting.append(tell)
        else:
            tell(self.reply)


Handler: TypeAlias = Callable[[dict[str, Any]], Reply | Deferred]
Bundle: TypeAlias = tuple[Reply, Sequence[Part]]


def waiting(socket: Socket, copy: bool = True) -> Iterator[list[Any]]:
    """The messages that wait at a socket, at most DRAIN of them; ``copy``: as bytes, else as zmq.Frame."""
    for _ in range(DRAIN):
        try:
            yield socket.recv_multipart(zmq.NOBLOCK, copy=copy)
        except zmq.Again:
            return


def refusal(error: object, code: int = 1) -> dict[str, Any]:
    """The answer to a request that was not done; code 2: the request was wrong, 1: it failed."""
    return {"ok": False, "error": str(error), "code": code}


class ClientDesk:
    """Answers viewers and scripts; speaks with DEALER and with plain REQ sockets."""

    def __init__(self, socket: Socket, answer: Callable[[dict[str, Any]], Reply | Deferred | Bundle]) -> None:
        self.socket = socket
        self.rejected: Counter[str] = Counter()
        """Messages that were no request, by reason."""
        self._answer = answer

    def handle(self) -> None:
        """Answer at most DRAIN requests that wait."""
        for parts in waiting(self.socket):
            self._take(parts)

    def _take(self, parts: list[bytes]) -> None:
        *route, body = parts
        if len(route) not in (1, 2) or (len(route) == 2 and route[1] != b""):
            self.rejected["wrong number of parts"] += 1
            return
        request = unpack_map(body)
        if isinstance(request, BadMessage):
            self.rejected[request.reason] += 1
            self._send(route, None, refusal(f"this is no request: {request.reason}", 2))
            return
        number = request.get("id")
        number = number if type(number) is int else None
        answer = self._safely(request)
        if isinstance(answer, Deferred):
            answer.then(lambda reply: self._send(route, number, reply, answer.parts))
        elif isinstance(answer, tuple):
            self._send(route, number, answer[0], answer[1])
        else:
            self._send(route, number, answer)

    def _safely(self, request: dict[str, Any]) -> Reply | Deferred | Bundle:
        """A request that fails is answered and logged: it must not end the session that it asks."""
        fault = fault_of_request(request)
        if fault is not None:
            self.rejected["no such request"] += 1
            return refusal(fault, 2)
        try:
            return self._answer(request)
        except LivemError as error:
            return refusal(error, error.exit_code)
        except Exception as error:
            log.exception("request %r failed", request["do"])
            return refusal(f"{request['do']!r} failed: {type(error).__name__}: {error}")

    def _send(self, route: list[bytes], number: int | None, reply: Reply, more: Sequence[Part] = ()) -> None:
        fields = dict(reply) if number is None else {**reply, "id": number}
        try:
            packed = pack_map(fields, MAX_REPLY)
        except ResultError as error:
            packed, more = pack_map({**refusal(f"the answer {error}"), "id": number}), ()
        try:
            self.socket.send_multipart([*route, packed, *more], zmq.NOBLOCK, copy=not more)
        except zmq.ZMQError:
            self.rejected["client does not read"] += 1


@dataclass(slots=True)
class _Pending:
    child: str
    deferred: Deferred
    deadline_ns: int


class ChildDesk:
    """Talks with the session's own processes over a ROUTER whose identities are their names."""

    def __init__(
        self, socket: Socket, on_child: Callable[[str, dict[str, Any]], None], clock: Callable[[], int]
    ) -> None:
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # A restarted child takes its name over from the dead one even before that is noticed.
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.socket = socket
        self.rejected: Counter[str] = Counter()
        self._on_child = on_child
        self._clock = clock
        self._ids = itertools.count(1)
        self._pending: dict[int, _Pending] = {}

    def send(self, name: str, message: Mapping[str, Any]) -> bool:
        """Send a command; False when no such child is connected (or it has stopped reading)."""
        try:
            self.socket.send_multipart([name.encode(), pack_map(message)], zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def forward(self, name: str, message: Mapping[str, Any], timeout_ns: int = CHILD_TIMEOUT_NS) -> Deferred:
        """Send a command and expect its answer; it says so when the child is gone or stays silent."""
        number, deferred = next(self._ids), Deferred()
        if self.send(name, {**message, "id": number}):
            self._pending[number] = _Pending(name, deferred, self._clock() + timeout_ns)
        else:
            deferred.resolve(refusal(f"{name!r} is not running; it may be restarting, try again in 2 s"))
        return deferred

    def gone(self, name: str) -> None:
        """The child has died: what it was asked is answered now."""
        self._give_up(lambda pending: pending.child == name, "has ended before it answered")

    def tick(self, now_ns: int) -> None:
        """Answer for the children that stayed silent for too long."""
        self._give_up(lambda pending: now_ns >= pending.deadline_ns, "did not answer in time")

    def _give_up(self, chosen: Callable[[_Pending], bool], why: str) -> None:
        for number in [number for number, pending in self._pending.items() if chosen(pending)]:
            pending = self._pending.pop(number)
            pending.deferred.resolve(refusal(f"{pending.child!r} {why}; see its log lines in the status"))

    def handle(self) -> None:
        """Take at most DRAIN messages that wait."""
        for parts in waiting(self.socket):
            self._take(parts)

    def _take(self, parts: list[bytes]) -> None:
        name = _name(parts[0])
        message = unpack_map(parts[1]) if len(parts) > 1 and name is not None else None
        if name is None or message is None or isinstance(message, BadMessage):
            self.rejected["not a child's message"] += 1
        elif message.get("type") == "reply":
            self._reply(name, message, parts[2:])
        elif message.get("type") in ("ready", "report"):
            self._on_child(name, message)
        else:
            self.rejected["not a child's message"] += 1

    def _reply(self, name: str, message: dict[str, Any], parts: Sequence[Part]) -> None:
        number = message.get("id")
        pending = self._pending.get(number) if type(number) is int else None
        if pending is None or number is None or pending.child != name:
            self.rejected["answer to no question"] += 1
            return
        del self._pending[number]
        fields = {key: value for key, value in message.items() if key not in ("type", "id")}
        if fields.get("ok") is not True:
            fields = {**refusal("refused without a reason"), **fields, "ok": False}
        pending.deferred.resolve(fields, parts)


def _name(identity: bytes) -> str | None:
    try:
        name = identity.decode()
    except UnicodeDecodeError:
        return None
    return name if 1 <= len(identity) <= MAX_NAME and name.isprintable() else None
