"""The control channel as its clients see it: questions to a session, and a child process's own line to it.

A request is one msgpack map ``{"do": ..., ...}``, its answer ``{"ok": true, ...}`` or
``{"ok": false, "error": ...}``. What the answers mean is the supervisor's business; the session's end of
both lines is desk.py.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeAlias

import zmq

from ..errors import NoAnswerError, ResultError, SessionError, UsageError
from .bus_codec import MAX_PART, decode
from .plain_map import MAX_HEADER, BadMessage, Part, pack_map, unpack_map
from .results import Result
from .stamp import Message

Socket: TypeAlias = "zmq.Socket[bytes]"
Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"

_FRAME: Final = {"epoch": (bytes,), "series": (int,)}
REQUESTS: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = MappingProxyType(
    {
        "hello": {"endpoint": (str,)},
        "status": {},
        "parameters": {"consumer": (str,)},
        "set": {"consumer": (str,), "name": (str,), "value": (bool, int, float, str, list, dict, type(None))},
        "replay": {"action": (str,), "value": (bool, int, float, str, type(None))},
        "stop": {"reason": (str,)},
        "snapshot": {"topics": (list,)},
        "history": {},
        "rewind": {**_FRAME, "index": (int,), "toward": (int,), "consumer": (str,)},
        "pixels": {**_FRAME, "index": (int,), "part": (list,), "consumer": (str,)},
        "clip": {**_FRAME, "first": (int,), "stop": (int,), "format": (str,)},
        "relay": {"endpoint": (str,)},
    }
)
"""Every request there is, with the fields that it may have and their types."""
_REQUIRED: Final = {
    "set": ("consumer", "name", "value"),
    "replay": ("action",),
    "rewind": ("epoch", "series", "index"),
    "pixels": ("epoch", "series", "index", "part"),
}

VIEWER_HWM: Final = 64
"""Messages queued for one viewer: 32 MiB of 256 x 256 float64 images, 2 s of a topic at 30 Hz."""
WORKER_HWM: Final = 16
"""Results queued from one worker; beyond that its publisher drops what is not final."""
MAX_REPORT_TEXT: Final = 8192
"""Characters of one text of a child's report: a traceback fits, a runaway log line does not."""


def open_socket(context: Context, kind: int, *, hwm: int, max_bytes: int = MAX_HEADER) -> Socket:
    """A socket with every limit set: queue lengths, message size, no lingering.

    No ZeroMQ heartbeats: libzmq 4.3.5 aborts the process ("Assertion failed: !_io_error") when a peer dies
    while the receive queue is full and a heartbeat is due (reproduced). TCP keepalive finds dead hosts in
    about 5 s, the hub's own heartbeat a dead session within 1 s.
    """
    socket = context.socket(kind)
    socket.setsockopt(zmq.SNDHWM, hwm)
    socket.setsockopt(zmq.RCVHWM, hwm)
    socket.setsockopt(zmq.MAXMSGSIZE, max_bytes)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 2)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    return socket


def fault_of_request(request: Mapping[str, Any]) -> str | None:
    """What is wrong with a request, in words; None when it is one of REQUESTS."""
    name = request.get("do")
    fields = REQUESTS.get(name) if isinstance(name, str) else None
    if fields is None:
        return f'"do" is {_short(name)}; it must be one of {", ".join(REQUESTS)}'
    for key, value in request.items():
        if key in ("do", "id"):
            continue
        if key not in fields:
            return f"{name!r} takes no {_short(key)}; it takes {', '.join(fields) or 'nothing'}"
        if not isinstance(value, fields[key]):
            return f"{key!r} of {name!r} is {_short(value)}, a {type(value).__name__}"
    missing = [key for key in _REQUIRED.get(str(name), ()) if key not in request]
    return f"{name!r} needs {', '.join(missing)}" if missing else None


def _short(value: object) -> str:
    return repr(value)[:80]


class ControlClient:
    """Asks a running session; not for use by several threads at once.

    Parameters
    ----------
    address : str
        The session's control address, which ``livem live`` prints: "tcp://host:port" or "ipc://path".
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._context: Context = zmq.Context()
        self._socket = open_socket(self._context, zmq.DEALER, hwm=64, max_bytes=MAX_PART)
        self._ids = itertools.count(1)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            why = zmq.strerror(error.errno or 0)
            raise UsageError(f"{address!r} is no address: {why}; write tcp://host:port") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._context.destroy(linger=0)

    def request(self, request: Mapping[str, Any], timeout: float = 3.0) -> dict[str, Any]:
        """The session's answer, without "ok" and "id"; ``timeout`` in seconds.

        A result that comes with it (``rewind``, ``pixels``: the picture) is under "result".

        Raises
        ------
        UsageError
            When the session refuses the request as wrong (an unknown parameter, say).
        SessionError
            When no session answers at the address, or it could not do it.
        """
        answer, parts = self._ask(request, timeout)
        result = decode(parts) if parts else None
        return {**answer, "result": result} if isinstance(result, Result) else answer

    def snapshot(self, *topics: str, timeout: float = 3.0) -> dict[str, Result]:
        """The newest result of these topics (of all where none is named) without subscribing."""
        request = {"do": "snapshot", "topics": list(topics)} if topics else {"do": "snapshot"}
        answer, parts = self._ask(request, timeout)
        results: dict[str, Result] = {}
        for message in unbundle(answer.get("sizes"), parts):
            result = message.result()
            if result is not None and result.kind != "event":
                results[message.topic] = result
        return results

    def _ask(self, request: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], list[Part]]:
        number = next(self._ids)
        fields = dict(request)
        if fields.get("do") == "hello":
            fields.setdefault("endpoint", self.address)
        packed = pack_map({**fields, "id": number})
        deadline = time.monotonic() + timeout
        if not self._socket.poll(int(timeout * 1000), zmq.POLLOUT):
            raise NoAnswerError(nobody(self.address))
        self._socket.send(packed)
        while (left := deadline - time.monotonic()) > 0:
            if self._socket.poll(max(1, int(left * 1000)), zmq.POLLIN):
                head, *parts = self._socket.recv_multipart(copy=False)
                answer = unpack_map(head)
                if not isinstance(answer, BadMessage) and answer.pop("id", None) == number:
                    return _accepted(answer), parts
        raise NoAnswerError(nobody(self.address))


def _accepted(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.pop("ok", False) is True:
        return answer
    error = str(answer.get("error", "refused without a reason"))
    raise UsageError(error) if answer.get("code") == UsageError.exit_code else SessionError(error)


def nobody(address: str) -> str:
    """What to tell a user whose session does not answer."""
    return f"no session answers at {address}; start one with `livem live`, or check host and port"


def unbundle(sizes: object, parts: list[Part]) -> list[Message]:
    """The stamped results in the answer to a snapshot request; ``sizes`` = parts of each."""
    if not isinstance(sizes, list) or not all(type(size) is int and size > 2 for size in sizes):
        return []
    messages, start = [], 0
    for size in sizes:
        message = Message.of(parts[start : start + size])
        start += size
        if message is not None and start <= len(parts):
            messages.append(message)
    return messages


class ChildLink:
    """A child process's line to its supervisor: commands come in, readiness, reports and answers go out.

    Not for use by several threads at once. Nothing here blocks: ``pollable`` goes into the child's poller.
    """

    def __init__(self, address: str, name: str) -> None:
        self.name = name
        self.dropped = 0
        """Reports that were given up because the supervisor does not read."""
        self._context: Context = zmq.Context()
        self._socket = open_socket(self._context, zmq.DEALER, hwm=1000)
        self._socket.setsockopt(zmq.IDENTITY, name.encode())
        self._socket.connect(address)

    @property
    def pollable(self) -> Socket:
        return self._socket

    def ready(self, info: Mapping[str, Any] | None = None) -> None:
        """Say that this process is warmed up and reads its input."""
        self._send({**(info or {}), "type": "ready"})

    def report(self, kind: str, **fields: Any) -> None:
        """Send a log line, an error or a measurement; texts are cut to MAX_REPORT_TEXT characters."""
        short = {
            key: value[:MAX_REPORT_TEXT] if isinstance(value, str) else value for key, value in fields.items()
        }
        self._send({**short, "type": "report", "kind": kind})

    def receive(self) -> dict[str, Any] | None:
        """The next command, None when there is none: {"do": "set", "name": ..., "value": ..., ...}."""
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            command = unpack_map(parts[-1])
            if not isinstance(command, BadMessage):
                return command

    def reply(
        self, command: Mapping[str, Any], ok: bool = True, parts: Sequence[Part] = (), **fields: Any
    ) -> None:
        """Answer a command; ``error="..."`` says why not. A command that wants no answer gets none.

        ``parts``: a result as `bus_codec.encode` gives it, handed on to who asked.
        """
        if "id" in command:
            self._send({**fields, "type": "reply", "id": command["id"], "ok": ok}, parts)

    def close(self, linger_s: float = 0.5) -> None:
        """Hand over what is queued within ``linger_s`` seconds, then let go."""
        self._context.destroy(linger=int(linger_s * 1000))

    def _send(self, fields: dict[str, Any], parts: Sequence[Part] = ()) -> None:
        try:
            packed = pack_map(fields)
        except ResultError as error:
            kept: dict[str, Any] = {key: fields[key] for key in ("type", "kind", "id", "ok") if key in fields}
            packed = pack_map({**kept, "ok": False, "error": f"message of {self.name!r} {error}"})
        try:
            self._socket.send_multipart([packed, *parts], zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1
