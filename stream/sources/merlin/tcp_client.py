"""A TCP connection that never blocks and never gives up: for detectors that serve a plain socket.

Bytes only; knows no protocol. What ZeroMQ does for its own sockets is done here by hand: reconnecting in the
background, and a descriptor to poll that stays the same from one connection to the next.
"""

from __future__ import annotations

import errno
import os
import socket as bsd
import sys
import time
from enum import Enum

from ....errors import SourceError

RETRY_NS = 1_000_000_000
RECONNECT_NS = 100_000_000
"""After a connection that brought something and was lost: soon enough for the running series to go on."""
CONNECTING_NS = 20_000_000
"""How often a connection in the making is looked at: nothing that is polled for reading tells of it."""
LOOK_NS = 2_000_000
"""Windows cannot move a descriptor to another socket: there the connection is looked at so often."""
CONNECT_TIMEOUT_NS = 5_000_000_000
_KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3}
"""A dead host or cable is found within 5 s."""
_COMING = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EALREADY)


class Received(Enum):
    """What ``receive_into`` found in place of bytes."""

    NOTHING = "nothing"
    ENDED = "ended"
    """The peer has closed the connection in an orderly way."""
    LOST = "lost"


class TcpClient:
    """One connection at a time to a server.

    Parameters
    ----------
    host : str
    port : int
    name : str
        How the user calls the server, for messages.
    """

    def __init__(self, host: str, port: int, name: str) -> None:
        self._host, self._port, self._name = host, port, name
        self._socket: bsd.socket | None = None
        self._connected = self._heard = False
        self._due = self._tried = self._turns = 0
        self._pair: tuple[bsd.socket, bsd.socket] | None = None
        self._descriptor = -1
        self._why = ""
        self.connections = 0
        """How many have been made."""
        self.last_disconnect_ns: int | None = None

    @property
    def name(self) -> str:
        """How the user calls the server."""
        return self._name

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def detail(self) -> str:
        """Why there is no connection, and the next step; empty when there is one."""
        return "" if self._connected else self._why

    def open(self) -> None:
        """Look the host up, the only step that may block, and begin to connect.

        Raises SourceError for a host that this machine does not know.
        """
        try:
            known = bsd.getaddrinfo(self._host, self._port, type=bsd.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise SourceError(
                f"{self._name}: this machine does not know the host {self._host!r}; check the name, or write "
                "its address in numbers"
            ) from error
        self._addresses = [(family, address) for family, _, _, _, address in known]
        self._pair = bsd.socketpair()
        self._descriptor = self._pair[0].fileno()
        if sys.platform != "win32":
            self._descriptor = os.dup(self._descriptor)
        self.turn(time.monotonic_ns())

    def fileno(self) -> int:
        """Readable when there are bytes; the same number from ``open`` to ``close``."""
        return self._descriptor

    def due_ns(self) -> int | None:
        """When ``turn`` or ``receive_into`` is worth calling although nothing is readable."""
        if not self._connected:
            return self._due
        return time.monotonic_ns() + LOOK_NS if sys.platform == "win32" else None

    def turn(self, now_ns: int) -> None:
        """Get on with connecting, when it is time."""
        if self._connected or now_ns < self._due or self._pair is None:
            return
        if self._socket is None:
            self._begin(now_ns)
        else:
            self._look(now_ns)

    def _begin(self, now_ns: int) -> None:
        family, address = self._addresses[self._turns % len(self._addresses)]
        self._turns += 1
        self._socket = bsd.socket(family, bsd.SOCK_STREAM)
        self._socket.setblocking(False)
        self._tried = now_ns
        self._settle(self._socket.connect_ex(address), now_ns)

    def _look(self, now_ns: int) -> None:
        assert self._socket is not None
        error = self._socket.getsockopt(bsd.SOL_SOCKET, bsd.SO_ERROR)
        if not error and not _has_peer(self._socket):
            error = errno.EINPROGRESS
        if error in _COMING and now_ns - self._tried > CONNECT_TIMEOUT_NS:
            error = errno.ETIMEDOUT
        self._settle(error, now_ns)

    def _settle(self, error: int, now_ns: int) -> None:
        """What becomes of an attempt."""
        if not error:
            return self._succeed()
        if error in _COMING:
            self._why = self._why or f"connecting to {self._name}"
            self._due = now_ns + CONNECTING_NS
            return None
        self._drop()
        if self._turns % len(self._addresses) == 0:  # the last of the addresses of its name
            self._due = self._tried + RETRY_NS
        self._why = (
            f"cannot reach {self._name}: {os.strerror(error)}; check that it is switched on and its software "
            "runs (trying again every second)"
        )
        return None

    def _succeed(self) -> None:
        assert self._socket is not None
        self._socket.setsockopt(bsd.SOL_SOCKET, bsd.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(bsd, option):
                self._socket.setsockopt(bsd.IPPROTO_TCP, getattr(bsd, option), value)
        self._connected, self._why = True, ""
        self.connections += 1
        self._point_at(self._socket)

    def _point_at(self, socket: bsd.socket) -> None:
        """Make the descriptor that is polled another name of this socket."""
        if sys.platform != "win32":
            os.dup2(socket.fileno(), self._descriptor, inheritable=False)

    def receive_into(self, space: memoryview) -> int | Received:
        """Bytes received, at least one, or what was found in their place. The space must not be empty."""
        if not self._connected or self._socket is None:
            return Received.NOTHING
        try:
            received = self._socket.recv_into(space)
        except (BlockingIOError, InterruptedError):
            return Received.NOTHING
        except OSError as error:
            return self._lost(Received.LOST, os.strerror(error.errno or 0))
        self._heard |= received > 0
        return received or self._lost(Received.ENDED, "it closed the connection")

    def _lost(self, how: Received, why: str) -> Received:
        self._why = f"{self._name} is gone: {why} (trying again)"
        self.disconnect()
        return how

    def disconnect(self) -> None:
        """Give the connection up; another attempt follows soon."""
        if self._connected:
            self.last_disconnect_ns = time.monotonic_ns()
        self._drop()
        self._due = time.monotonic_ns() + (RECONNECT_NS if self._heard else RETRY_NS)
        self._heard = False

    def _drop(self) -> None:
        self._connected = False
        if self._pair is not None:
            self._point_at(self._pair[0])
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Let go of everything; may be called twice."""
        self._drop()
        if self._pair is not None:
            if sys.platform != "win32":
                os.close(self._descriptor)
            for end in self._pair:
                end.close()
            self._pair = None


def _has_peer(socket: bsd.socket) -> bool:
    try:
        socket.getpeername()
    except OSError:
        return False
    return True
