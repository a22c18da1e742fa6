"""Trains from a karabo-bridge server: a socket that asks, and that no lost answer can bring to a standstill.

Sockets and when to ask; what parts mean is karabo_wire.py's, which frames they are series.py's.
"""

from __future__ import annotations

import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import zmq

from ....errors import SourceError
from ...endpoints import Endpoint
from ...karabo_wire import MAX_PARTS, REQUEST, decode
from ...messages import DEFAULT_LIMITS, Limits, Message, Rejected
from ...opening import require_known_host
from ...series import MAX_DIM, Scan, Series
from ..base import Link, Pollable
from ..data_socket import attach, release, set_options
from ..detector_url import DetectorUrl
from ..monitor import LinkMonitor
from ..strangers import advised
from .series import Reading, TrainReader

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PARAMETERS = ("socket", "source", "path", "scan", "count", "index")
SOCKETS = {"req": zmq.DEALER, "pull": zmq.PULL, "sub": zmq.SUB}
QUEUE = 64
"""Trains that may wait in a PULL or SUB socket; a REQ one has a single request out."""
RETRY_NS = 100_000_000
"""From a server's disappearance to the next request."""
PATIENCE_NS = 5_000_000_000
"""After so long without an answer the request is made again, then after twice as long and so on: a server may
have nothing for hours, and a relay may lose a request without a sign. Every answer is used, so one too many
costs nothing."""
LONGEST_PATIENCE_NS = 60_000_000_000
MOST_REQUESTS = 16
"""Without an answer; as long as there is no server a single one waits for it."""


def open_karabo(url: DetectorUrl, limits: Limits = DEFAULT_LIMITS) -> KaraboSource:
    """The source of ``karabo://host:port?key=value``, still to be opened.

    Parameters are ``socket`` (req, pull, sub), ``source`` and ``path`` of the frames, ``scan`` (NYxNX),
    ``count`` (frames of a series), ``index`` (tid, arrival).

    Raises
    ------
    SourceError
        A parameter or value that is not known; no port.
    """
    query = url.known(PARAMETERS)
    if url.port is None:
        raise SourceError(f"{url} has no port, and karabo-bridge has no usual one; write {url}:45000, say")
    kind = _one_of(url, "socket", tuple(SOCKETS))
    scan = _scan(url, limits)
    reading = Reading(
        query.get("source", ""),
        query.get("path", ""),
        scan,
        _count(url) or (None if scan is None else scan.frame_count),
        _one_of(url, "index", ("tid", "arrival")) == "arrival",
    )
    host = f"[{url.host}]" if ":" in url.host else url.host
    return KaraboSource(Endpoint(f"tcp://{host}:{url.port}", bind=False), kind, reading, limits)


def _one_of(url: DetectorUrl, key: str, choices: tuple[str, ...]) -> str:
    """A parameter's value; its default is the first choice."""
    value = url.query.get(key, choices[0])
    if value not in choices:
        raise SourceError(f"{url}: {key}={value} is not one of {', '.join(choices)}")
    return value


def _scan(url: DetectorUrl, limits: Limits) -> Scan | None:
    text = url.query.get("scan")
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None or not all(1 <= int(side) <= MAX_DIM for side in match.groups()):
        raise SourceError(
            f"{url}: scan={text} is not NYxNX with sides from 1 to {MAX_DIM}; write 128x128, say"
        )
    height, width = int(match[1]), int(match[2])
    if height * width > limits.max_scan_pixels:
        raise SourceError(
            f"{url}: scan={text} has {height * width:,} pixels, the limit is {limits.max_scan_pixels:,}; "
            "write the scan that is made, or several smaller ones"
        )
    return Scan((height, width))


def _count(url: DetectorUrl) -> int | None:
    text = url.query.get("count")
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,12}", text) or int(text) < 1:
        raise SourceError(
            f"{url}: count={text} is no number of frames; write a whole number from 1, or leave it out"
        )
    return int(text)


class KaraboSource:
    """A karabo-bridge server's trains as messages.

    Parameters
    ----------
    endpoint : Endpoint
        The server's address.
    kind : str
        "req": ask for each train; "pull", "sub": take what the server sends.
    reading : Reading
    limits : Limits, optional
    """

    def __init__(
        self, endpoint: Endpoint, kind: str, reading: Reading, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._endpoint, self._kind, self._limits = endpoint, kind, limits
        self._reader = TrainReader(reading, limits)
        self._context: zmq.Context[Any] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: LinkMonitor | None = None
        self._pending: deque[Message] = deque()
        self._requests = _Requests() if kind == "req" else None
        self._complaint = ""

    def open(self) -> None:
        """Connect. Raises SourceError for a host that is not known."""
        require_known_host(self._endpoint, self._endpoint.host)
        context = self._context = zmq.Context()
        socket = self._socket = context.socket(SOCKETS[self._kind])
        # Not ZMQ_IMMEDIATE: it throws away an answer that lies unread when the server goes (5 of 60 runs).
        most = self._limits.max_message_bytes
        set_options(socket, [self._endpoint], high_water=QUEUE, max_bytes=most)
        self._monitor = LinkMonitor(socket, self._endpoint)
        try:
            attach(socket, self._endpoint)
        except SourceError:
            self.close()
            raise

    def resume(self, series: Series) -> None:
        """Go on with a series that a former process of this source left open."""
        self._reader.resume(series)

    def pollables(self) -> list[Pollable]:
        """The data socket and its monitor."""
        return [self._opened(), cast("LinkMonitor", self._monitor).socket]

    def due_ns(self) -> int | None:
        """Now, when a train held more than one message; else when the server is to be asked (again)."""
        if self._pending:
            return time.monotonic_ns()
        return None if self._requests is None else self._requests.due_ns

    def receive(self) -> Message | None:
        """One message, or None. The arrays of a FrameBatch are views of what ZeroMQ received."""
        socket = self._opened()
        if not self._pending:
            parts = self._receive_parts(socket)
            if self._requests is not None:
                self._requests.make(socket, answered=parts is not None)
            if parts is not None:
                self._pending.extend(self._understand(parts))
        return self._pending.popleft() if self._pending else None

    def _receive_parts(self, socket: zmq.Socket[bytes]) -> list[zmq.Frame] | None:
        """The parts of one message, without the empty one that a REP server's answer begins with."""
        try:
            part = socket.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        kept, enveloped = [part], self._requests is not None
        while part.more:
            part = socket.recv(copy=False)
            if len(kept) <= MAX_PARTS + 1:
                kept.append(part)
        return kept[1:] if enveloped and not len(kept[0]) else kept

    def _understand(self, parts: list[zmq.Frame]) -> list[Message]:
        messages = self._reader.read(decode(cast("list[ReadableBuffer]", parts), self._limits))
        last = messages[-1]
        self._complaint = last.detail if isinstance(last, Rejected) else ""
        return [
            advised(message, parts[0].buffer, "karabo", self._endpoint.place)
            if isinstance(message, Rejected) and parts
            else message
            for message in messages
        ]

    def link(self) -> Link:
        """State of the connection, and what was wrong with the last train. To be called in every turn."""
        if self._monitor is None:
            return Link()
        link = self._monitor.link()
        if self._requests is not None:
            self._requests.look(link)
        if not self._complaint:
            return link
        detail = f"{link.detail}; the last train was not used: {self._complaint}"
        return Link(link.peers, link.ever_connected, link.last_disconnect_ns, link.handshake_failures, detail)

    def close(self) -> None:
        """Close the socket; the arrays of messages already received stay valid."""
        release(self._monitor, self._socket, self._context)
        self._socket = self._context = None

    def _opened(self) -> zmq.Socket[bytes]:
        if self._socket is None:
            raise SourceError(f"{self._endpoint} is not open: call open() first")
        return self._socket


class _Requests:
    """When to ask a REP server: once, and again when the server went away or is silent for too long."""

    def __init__(self) -> None:
        self.due_ns = 0
        """time.monotonic_ns() when to ask next, whatever has come until then."""
        self._out = 0
        self._patience_ns = PATIENCE_NS
        self._here = False
        self._disconnect_ns: int | None = None

    def make(self, socket: zmq.Socket[bytes], *, answered: bool) -> None:
        """Ask, if it is time to."""
        if answered:
            self._out, self._patience_ns = max(0, self._out - 1), PATIENCE_NS
        now = time.monotonic_ns()
        if now < self.due_ns and (self._out or not answered):
            return
        if self._out and (not self._here or self._out >= MOST_REQUESTS):
            self.due_ns = now + self._patience_ns
            return
        socket.send_multipart([b"", REQUEST], zmq.NOBLOCK)
        self._out += 1
        self.due_ns = now + self._patience_ns
        self._patience_ns = min(2 * self._patience_ns, LONGEST_PATIENCE_NS)

    def look(self, link: Link) -> None:
        """A request to a server that is gone will not be answered; nor will one be that is made while ZeroMQ
        still clears up behind it."""
        self._here = link.peers > 0
        if link.last_disconnect_ns != self._disconnect_ns:
            self._disconnect_ns = link.last_disconnect_ns
            self._out, self._patience_ns = 0, PATIENCE_NS
            self.due_ns = time.monotonic_ns() + RETRY_NS
