"""The state of a ZeroMQ socket's connections, from its monitor events.

Knows events and counts; knows no message and no protocol on top of ZeroMQ.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from ..endpoints import Endpoint
from .base import Link

_E = zmq.Event
OPENED = _E.ACCEPTED | _E.CONNECTED
FAILED = _E.HANDSHAKE_FAILED_NO_DETAIL | _E.HANDSHAKE_FAILED_PROTOCOL | _E.HANDSHAKE_FAILED_AUTH
CONNECTING = _E.CONNECT_DELAYED | _E.CLOSED
WATCHED = OPENED | FAILED | CONNECTING | _E.HANDSHAKE_SUCCEEDED | _E.DISCONNECTED

REFUSED_WITHIN_NS = 1_000_000_000
"""A connection attempt that ends sooner was refused; one that ends later had no answer."""

_numbers = itertools.count()


@dataclass(slots=True)
class PeerBook:
    """Who is connected. ZeroMQ names the socket of each event but HANDSHAKE_SUCCEEDED.

    So the oldest open connection is taken for the one that succeeded; should it turn out to have failed,
    the next takes its place. The number of peers is right again once the strangers are gone.
    """

    peers: set[int] = field(default_factory=set)
    pending: list[int] = field(default_factory=list)
    failures: int = 0
    last_disconnect_ns: int | None = None
    ever_connected: bool = False
    _failing: int = 0
    """Handshakes known to have failed whose disconnection is still to come."""

    def opened(self, fd: int) -> None:
        self.pending.append(fd)

    def succeeded(self) -> None:
        self.ever_connected = True
        if self.pending:
            self.peers.add(self.pending.pop(0))

    def failed(self) -> None:
        self._failing += 1

    def disconnected(self, fd: int, now_ns: int) -> None:
        stranger, self._failing = self._failing > 0, max(0, self._failing - 1)
        if fd in self.pending:
            self.pending.remove(fd)
            self.failures += 1
        elif fd in self.peers:
            self.peers.remove(fd)
            if stranger and self.pending:
                self.peers.add(self.pending.pop(0))
                self.failures += 1
            else:
                self.last_disconnect_ns = now_ns


class LinkMonitor:
    """Watches one socket; make it before the socket binds or connects.

    Parameters
    ----------
    socket : zmq.Socket
    endpoint : Endpoint
        For the words to the user; ``bind`` None is taken as connecting.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: Endpoint) -> None:
        self._watched, self._endpoint = socket, endpoint
        self._book = PeerBook()
        self._attempt_ns: int | None = None
        self._refused = False
        address = f"inproc://livem-monitor-{next(_numbers)}"
        socket.monitor(address, WATCHED)
        self.socket: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
        # No limit: at the usual 1,000 events libzmq's I/O thread waits for the reader of this socket, and a
        # port scan (3 events a connection) stops all reception; seen after some 700 connections.
        self.socket.rcvhwm = 0
        self.socket.connect(address)
        self._link = Link(detail=self._describe())

    def link(self) -> Link:
        """State after all events so far; 1 us when there are none."""
        if int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            while self.socket.poll(0):
                self._take(parse_monitor_message(self.socket.recv_multipart()))
            book = self._book
            self._link = Link(
                len(book.peers), book.ever_connected, book.last_disconnect_ns, book.failures, self._describe()
            )
        return self._link

    def close(self) -> None:
        """Stop watching; before the watched socket is closed."""
        if not self.socket.closed:
            self._watched.disable_monitor()
            self.socket.close(0)

    def _take(self, message: Any) -> None:
        event, fd, now = message["event"], message["value"], time.monotonic_ns()
        if event & OPENED:
            self._attempt_ns, self._refused = None, False
            self._book.opened(fd)
        elif event == _E.HANDSHAKE_SUCCEEDED:
            self._book.succeeded()
        elif event & FAILED:
            self._book.failed()
        elif event == _E.DISCONNECTED:
            self._book.disconnected(fd, now)
        elif event == _E.CONNECT_DELAYED:
            self._attempt_ns = now
        elif event == _E.CLOSED:
            self._refused = self._attempt_ns is None or now - self._attempt_ns < REFUSED_WITHIN_NS

    def _describe(self) -> str:
        return self._describe_bound() if self._endpoint.bind else self._describe_connected()

    def _describe_bound(self) -> str:
        place, peers = self._endpoint.place, len(self._book.peers)
        if peers:
            return f"{peers} sender{'s' * (peers > 1)} connected at {place}"
        if self._book.ever_connected:
            return f"the sender is gone; waiting at {place} for it to come back"
        if self._book.failures:
            return f"waiting at {place}; what called so far was no livem sender or had no right key"
        return f"waiting at {place} for a sender"

    def _describe_connected(self) -> str:
        place, book = self._endpoint.place, self._book
        if book.peers:
            return f"connected to {place}"
        if book.ever_connected:
            return f"the sender at {place} is gone; trying again"
        if self._refused:
            return f"connection refused by {place}: is the sender running?"
        if book.failures:
            return f"{place} answers, but not as a ZeroMQ sender: are port and keys right?"
        return f"no answer from {place} yet: is the sender switched on, is a firewall between?"
