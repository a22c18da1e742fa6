"""The sender's ZeroMQ socket: binds or connects, waits for a receiver, sends without copying, loses nothing
at the end.

Knows no message content.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket as sockets
import time
from collections.abc import Sequence
from dataclasses import replace
from threading import Event
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from ...errors import SessionError, SourceError
from ..endpoints import Endpoint, require_safe_bind
from ..opening import require_known_host

POLL_MS = 100
"""How often a blocked sender looks whether it shall stop and whether anyone is still there."""

LOCAL_BUFFER = 512 << 10
"""Bytes to ask for that the system may hold for a receiver on this machine. Linux takes net.core.wmem_max of
them (208 KiB where nobody raised it) and grants twice that. With the 208 KiB of a socket that nobody asks
for, both ends wait for each other by turns: messages of 8 MiB take 33.1 us per 131 KB, with 2 x 208 KiB 32.4,
with 2 x 384 KiB to 2 x 2 MiB 29.3 to 30.4; 2 x 4 MiB leave the caches and take twice as long."""

_MADE = zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED
_COMING = zmq.EVENT_HANDSHAKE_SUCCEEDED
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_GOING = zmq.EVENT_DISCONNECTED


class PushLine:
    """A PUSH socket to the receivers of a stream.

    Parameters
    ----------
    endpoint : Endpoint
        ``bind`` None: bind when the address is this machine's and free, else connect.
    queue_messages : int
        Messages that ZeroMQ may hold for a receiver before ``send`` waits.
    insecure_bind : bool
        Whether a bind beyond this machine is allowed.

    Raises
    ------
    SourceError, UnauthorisedBindError
        An address that cannot be bound, or must not be.
    """

    def __init__(self, endpoint: Endpoint, queue_messages: int, insecure_bind: bool = False) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, queue_messages)
        self._socket.set(zmq.SNDBUF, 4 << 20)
        self._socket.set(zmq.IPV6, "[" in endpoint.address)
        self._monitor = self._socket.get_monitor_socket(_MADE | _COMING | _GOING | _FAILED)
        self._peers = 0
        self._alone_since = time.monotonic()
        try:
            self.bound = _attach(self._socket, endpoint, insecure_bind)
        except BaseException:
            self.close(0.0)
            raise
        self.address = self._socket.get_string(zmq.LAST_ENDPOINT)

    def wait_for_receiver(self, seconds: float, stop: Event) -> bool:
        """Wait for the first receiver; False when stopped. Raises SourceError when none comes in time."""
        deadline = time.monotonic() + seconds
        while not self._look_for_peers(POLL_MS):
            if stop.is_set():
                return False
            if time.monotonic() > deadline:
                done = "bound and waiting" if self.bound else "trying to connect"
                raise SourceError(
                    f"no receiver at {self.address} within {seconds:g} s ({done}): "
                    f"start `livem live {self._counterpart()}`, or allow more time"
                )
        return True

    def send(self, parts: Sequence[bytes | memoryview], stop: Event, patience: float) -> bool:
        """Send one multipart message, waiting while the receiver is slow; False when stopped.

        The buffers are not copied and must not change until ``close``. Raises SessionError when no receiver
        has been there for ``patience`` seconds.
        """
        while True:
            try:
                self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
                return True
            except zmq.Again:
                if stop.is_set():
                    return False
            self._socket.poll(POLL_MS, zmq.POLLOUT)
            if not self._look_for_peers(0) and time.monotonic() - self._alone_since > patience:
                raise SessionError(
                    f"the receiver at {self.address} has been gone for {patience:g} s: "
                    f"start `livem live {self._counterpart()}` again"
                )

    def close(self, linger_s: float) -> None:
        """Close; waits up to ``linger_s`` for what a receiver has still to take, not at all without a
        receiver."""
        if not self._socket.closed:
            wanted = linger_s if self._look_for_peers(0) else 0.0
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(int(wanted * 1000))
        self._context.term()

    def _look_for_peers(self, timeout_ms: int) -> int:
        """Receivers that are there, having waited for news."""
        while self._monitor.poll(timeout_ms):
            self._take(recv_monitor_message(self._monitor))
            timeout_ms = 0
        return self._peers

    def _take(self, news: Any) -> None:
        event = news["event"]
        if event & _MADE:
            _widen(news["value"])
            return
        # A handshake that fails is followed by a disconnect of a peer that never counted.
        self._peers = max(0, self._peers + (-1 if event & _GOING else 1))
        if not self._peers:
            self._alone_since = time.monotonic()

    def _counterpart(self) -> str:
        return self.address if self.bound else f"bind+{self.address}"


def _attach(socket: zmq.Socket[bytes], endpoint: Endpoint, insecure: bool) -> bool:
    """Bind or connect; tells whether it was a bind."""
    if endpoint.socket != "pull":
        raise SourceError(f"cannot send to {endpoint}: sub+ is for receivers; leave it out")
    if endpoint.bind is False or (endpoint.bind is None and not _is_free_here(endpoint)):
        _connect(socket, endpoint)
        return False
    require_safe_bind(replace(endpoint, bind=True), insecure, curve=False)
    try:
        # libzmq binds to numbers only.
        socket.bind(endpoint.address.replace("tcp://localhost:", "tcp://127.0.0.1:"))
    except zmq.ZMQError as error:
        if endpoint.bind is None and error.errno == errno.EADDRINUSE:
            _connect(socket, endpoint)
            return False
        raise SourceError(_bind_failure(endpoint.address, error)) from error
    return True


def _widen(descriptor: int) -> None:
    """Give a connection within this machine its buffer: libzmq's own option is for tcp only.

    It may be gone by now, and its number be another Unix socket's: that one has a larger buffer then.
    """
    family = getattr(sockets, "AF_UNIX", None)
    with contextlib.suppress(OSError), sockets.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family == family:
            connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, LOCAL_BUFFER)


def _connect(socket: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    if endpoint.is_tcp:
        require_known_host(endpoint, endpoint.host)
    try:
        socket.connect(endpoint.address)
    except zmq.ZMQError as error:
        raise SourceError(f"cannot connect to {endpoint.address}: {error}; check the address") from error


def _bind_failure(address: str, error: zmq.ZMQError) -> str:
    elsewhere = "it is not an address of this machine: use connect+, or an address of this machine"
    hints = {
        errno.EADDRINUSE: "another program has it: choose another, or connect+ to send to that program",
        errno.EADDRNOTAVAIL: elsewhere,
        errno.ENODEV: elsewhere,
        errno.EACCES: "this account may not use it: choose a port above 1023, or another path",
    }
    return f"cannot bind {address}: {error}; {hints.get(error.errno or 0, 'check that it can be used')}"


def _is_free_here(endpoint: Endpoint) -> bool:
    """Whether the address is one of this machine that nobody listens at, as far as can be told beforehand."""
    if not endpoint.is_tcp:
        return not _somebody_listens(endpoint.path)
    if endpoint.host in ("*", "0.0.0.0", "::"):
        return True
    try:
        kind = sockets.SOCK_STREAM
        family, _, _, _, place = sockets.getaddrinfo(endpoint.host, 0, type=kind)[0]
        with sockets.socket(family, kind) as probe:
            probe.bind(place)
    except OSError:
        return False
    return True


def _somebody_listens(path: str) -> bool:
    """ZeroMQ would take a living ipc path over without a word; a dead one may be taken."""
    if not hasattr(sockets, "AF_UNIX"):
        return False
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        try:
            probe.connect("\0" + path[1:] if path.startswith("@") else path)
        except OSError:
            return False
    return True
