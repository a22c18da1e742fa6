"""Frames in livem/1 over ZeroMQ: a PULL or SUB socket that no peer can crash, fill or freeze.

Sockets and their options; what a message means is wire.py's, what becomes of it the assembler's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import zmq
from zmq.auth.thread import ThreadAuthenticator

from ...errors import SourceError
from ..curve import ZAP_DOMAIN, CurveKeys, set_keys, start_authenticator
from ..endpoints import Endpoint, require_safe_bind
from ..messages import DEFAULT_LIMITS, Limits, Message, Rejected
from ..opening import require_free_path, require_known_host
from ..series import Series
from ..wire import decode
from .base import Link, Pollable
from .data_socket import attach, release, set_options
from .monitor import LinkMonitor
from .strangers import advised

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

KEPT_PARTS = 4
"""One more than any message has: a peer that sends a million parts costs no more than that."""


class NativeSource:
    """A livem/1 stream from a ZeroMQ endpoint.

    Parameters
    ----------
    endpoint : Endpoint
        ``bind`` None connects.
    limits : Limits, optional
        ``max_message_bytes`` becomes ZMQ_MAXMSGSIZE: a peer that announces more is disconnected, and nothing
        is allocated for it.
    byte_budget, message_bytes : int
        Bytes that may wait in the socket, and the usual size of a message: their ratio, from 4 to 1,000, is
        the high-water mark in messages.
    insecure_bind : bool
        Allow a bind beyond this machine without keys.
    curve : CurveKeys, optional
    context : zmq.Context, optional
        None makes one of its own, ended by ``close``.

    Notes
    -----
    There are no ZeroMQ heartbeats here, on purpose, and a sender should send none. While the high-water mark
    holds, libzmq 4.3.5 reads nothing, so that with heartbeats a sender that waits is cut (measured: 400 ms
    and a pause of 2 s lost 126 of 3,000 frames), and one that ends meanwhile aborts this process (``Assertion
    failed: !_io_error``; like libzmq issues 3937 and 4767). An ended process is seen at once, a dead host or
    cable within 5 s by TCP keepalive; a sender that is merely silent is the assembler's business.

    A sender that ends while the high-water mark holds is read to its last frame over tcp. Over ipc what still
    lies in the kernel is lost (libzmq stops at POLLHUP; seen: 72 of 200 messages) and found as a gap: an ipc
    sender should stay until its series has been received.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        limits: Limits = DEFAULT_LIMITS,
        byte_budget: int = 256 << 20,
        message_bytes: int = 8 << 20,
        insecure_bind: bool = False,
        curve: CurveKeys | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        self._endpoint, self._limits, self._curve = endpoint, limits, curve
        self._high_water = min(max(byte_budget // message_bytes, 4), 1000)
        self._insecure_bind = insecure_bind
        self._given_context = context
        self._own_context: zmq.Context[Any] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: LinkMonitor | None = None
        self._authenticator: ThreadAuthenticator | None = None

    @property
    def address(self) -> str:
        """Where it is bound, with the port that was chosen; the endpoint's own address otherwise."""
        if self._socket is None or not self._endpoint.bind:
            return self._endpoint.address
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def open(self) -> None:
        """Bind or connect.

        Raises
        ------
        SourceError
            An address that is taken, not ours, or unknown; keys that do not fit.
        UnauthorisedBindError
            A bind beyond this machine without an allow-list and without ``insecure_bind``.
        """
        self._check()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        endpoint, curve = self._endpoint, self._curve
        if endpoint.bind:
            require_safe_bind(endpoint, self._insecure_bind, curve is not None and bool(curve.allowed))
            if curve is not None and not curve.allowed:
                raise SourceError(f"{endpoint}: CURVE without allowed keys lets nobody in; list the senders'")
            require_free_path(endpoint)
            return
        if curve is not None and curve.server is None:
            raise SourceError(f"{endpoint}: to connect with CURVE the sender's public key is needed")
        if endpoint.is_tcp:
            require_known_host(endpoint, endpoint.host)

    def _open(self) -> None:
        context = self._given_context
        if context is None:
            context = self._own_context = zmq.Context()
        if self._curve is not None and self._endpoint.bind:
            self._authenticator = start_authenticator(context, self._curve.allowed, self._endpoint)
        kind = zmq.SUB if self._endpoint.socket == "sub" else zmq.PULL
        socket = self._socket = cast("zmq.Socket[bytes]", context.socket(kind))
        socket.setsockopt_string(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        most = self._limits.max_message_bytes
        set_options(socket, [self._endpoint], high_water=self._high_water, max_bytes=most)
        if self._curve is not None:
            set_keys(socket, self._curve, self._endpoint)
        self._monitor = LinkMonitor(socket, self._endpoint)
        attach(socket, self._endpoint)

    def resume(self, series: Series) -> None:
        """Nothing to do: a livem/1 sender names its series itself."""

    def pollables(self) -> list[Pollable]:
        """The data socket and its monitor; the latter becomes readable when ``link`` changes."""
        return [self._opened(), cast("LinkMonitor", self._monitor).socket]

    def due_ns(self) -> int | None:
        """Nothing waits here but in the socket."""
        return None

    def receive(self) -> Message | None:
        """One message, or None. The arrays of a FrameBatch are views of what ZeroMQ received."""
        socket = self._opened()
        try:
            part = socket.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        parts = [part]
        while part.more:
            part = socket.recv(copy=False)
            if len(parts) < KEPT_PARTS:
                parts.append(part)
        message = decode(cast("list[ReadableBuffer]", parts), self._limits)
        if isinstance(message, Rejected) and len(parts[0]):
            place = "" if self._endpoint.bind else self._endpoint.place
            return advised(message, parts[0].buffer, "livem", place)
        return message

    def link(self) -> Link:
        """State of the connections. To be called in every turn of the loop: it takes the events in."""
        return Link() if self._monitor is None else self._monitor.link()

    def close(self) -> None:
        """Close the sockets; the arrays of messages already received stay valid."""
        release(self._monitor, self._socket)
        self._socket = None
        if self._authenticator is not None:
            self._authenticator.stop()
            self._authenticator = None
        if self._own_context is not None:
            self._own_context.term()
            self._own_context = None

    def _opened(self) -> zmq.Socket[bytes]:
        if self._socket is None:
            raise SourceError(f"{self._endpoint} is not open: call open() first")
        return self._socket
