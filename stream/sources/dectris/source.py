"""``dectris://host[:port]``: a SIMPLON detector's stream, v1 or v2 as its messages say.

The ZeroMQ side, common to both: a PULL socket that goes to the detector and is read in bursts. What the
messages mean is v1.py's and v2.py's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import zmq

from ....errors import SourceError
from ...burst import Burst, BurstSocket
from ...endpoints import Endpoint
from ...high_water import HighWater
from ...messages import DEFAULT_LIMITS, Limits, Message, Rejected
from ...opening import require_known_host
from ...series import Series
from ...zmq_calls import find_calls
from ..base import Link, Pollable
from ..data_socket import attach, release, set_options
from ..detector_url import DetectorUrl
from ..monitor import LinkMonitor
from ..strangers import LOOKED_AT, advised
from .burst_parser import BurstParser
from .series_namer import SeriesNamer
from .v1 import DectrisV1Parser
from .v2 import PARAMETERS, DectrisV2Parser

PORTS = (9999, 31001)
"""Of stream v1 and of v2. Only one of them sends; without a port both are tried."""
BYTE_BUDGET = 256 << 20
"""Frames that may wait in the socket, at their decoded size."""
HIGHEST_MARK, LOWEST_MARK = 1000, 32
"""Messages that may wait: 20 ms at 50,000/s; of very large frames fewer, yet enough to work with. Until
that size is known it is these few, at a third of the speed."""


def open_dectris(url: DetectorUrl, limits: Limits) -> DectrisSource:
    """The source for a url. Raises SourceError for parameters that it does not have."""
    query = url.known(PARAMETERS)
    host = f"[{url.host}]" if ":" in url.host else url.host
    ports = PORTS if url.port is None else (url.port,)
    return DectrisSource(
        [Endpoint(f"tcp://{host}:{port}", bind=False) for port in ports], limits, query=query
    )


class DectrisSource:
    """Frames of a SIMPLON detector.

    Parameters
    ----------
    endpoints : sequence of Endpoint
        Where it may send from; connected to, all of them.
    limits : Limits, optional
    query : mapping, optional
        PARAMETERS of the url: ``channel`` and ``first_id``, for stream v2.
    byte_budget : int
        Bytes that may wait in the socket.
    plain : bool
        Receive by pyzmq's own methods, as is done where libzmq's functions cannot be found.

    Notes
    -----
    A detector sends round-robin to all that are connected to it: another receiver gets every other image.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        limits: Limits = DEFAULT_LIMITS,
        *,
        query: Mapping[str, str] | None = None,
        byte_budget: int = BYTE_BUDGET,
        plain: bool = False,
    ) -> None:
        self._endpoints, self._limits = tuple(endpoints), limits
        self._byte_budget, self._plain = byte_budget, plain
        namer = SeriesNamer()
        self._parsers: tuple[BurstParser, ...] = _parsers(namer, limits, query or {})
        self._parser = self._parsers[0]
        self._spoken: set[BurstParser] = set()
        """Formats that messages came in: each has a connection of its own, and a count of messages."""
        self._messages: deque[Message] = deque()
        self._burst: Burst | None = None
        self._at = 0
        self._water = HighWater(LOWEST_MARK)
        self._context: zmq.Context[Any] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._bursts: BurstSocket | None = None
        self._monitor: LinkMonitor | None = None

    # -- opening and closing -----------------------------------------------------------------------------

    def open(self) -> None:
        """Connect; compiles on first use. Raises SourceError for a host that is not known."""
        for endpoint in self._endpoints:
            require_known_host(endpoint, endpoint.host)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._context = zmq.Context()
        socket: zmq.Socket[bytes] = self._context.socket(zmq.PULL)
        self._socket = socket
        most = self._limits.max_message_bytes
        set_options(socket, self._endpoints, high_water=self._water.mark, max_bytes=most)
        self._monitor = LinkMonitor(socket, self._endpoints[0])
        self._bursts = BurstSocket(
            socket,
            None if self._plain else find_calls(),
            max_bytes=self._limits.max_message_bytes,
        )
        for endpoint in self._endpoints:
            attach(socket, endpoint)

    def close(self) -> None:
        """Close the socket; the arrays of messages already received stay valid."""
        if self._bursts is not None:
            self._bursts.close()
            self._bursts = None
        release(self._monitor, self._socket, self._context)
        self._socket = self._context = None

    # -- receiving ---------------------------------------------------------------------------------------

    def resume(self, series: Series) -> None:
        """Frames of this series go on under its key: the detector announces it only once."""
        for parser in self._parsers:
            parser.resume(series)

    def pollables(self) -> list[Pollable]:
        """The data socket and its monitor; the latter becomes readable when ``link`` changes."""
        if self._socket is None or self._monitor is None:
            raise SourceError(f"{self._endpoints[0]} is not open: call open() first")
        return [self._socket, self._monitor.socket]

    def due_ns(self) -> int | None:
        """At once while messages of a burst are left."""
        return 0 if self._messages or self._burst is not None else None

    def receive(self) -> Message | None:
        """One message, or None; takes one burst from the socket at most."""
        if not self._messages:
            self._fill()
        return self._messages.popleft() if self._messages else None

    def _fill(self) -> None:
        if self._burst is None:
            if self._bursts is None:
                raise SourceError(f"{self._endpoints[0]} is not open: call open() first")
            self._burst, self._at = self._bursts.drain(self._water.room(self._wanted_mark())), 0
            self._fit_queue(self._bursts)
        burst = self._burst
        while burst is not None and not self._messages:
            self._parser = self._parser_of(burst.first_byte(self._at))
            if self._parser.speaks(burst.first_byte(self._at)):
                self._spoken.add(self._parser)
                self._at = self._parser.parse(burst, self._at, self._messages)
            else:
                self._refuse(burst)
            if self._at >= len(burst):
                self._burst = burst = None

    def _refuse(self, burst: Burst) -> None:
        """Read a message that begins as none of a detector does, and say whose it may be."""
        parts, place = burst.message(self._at), self._endpoints[0].place
        head = bytes(parts[0][:LOOKED_AT]) if parts else b""
        self._at = self._parser.parse(burst, self._at, self._messages)
        self._messages = deque(
            advised(message, head, "dectris", place) if isinstance(message, Rejected) else message
            for message in self._messages
        )

    def _parser_of(self, first_byte: int) -> BurstParser:
        """Of the format that the message is in; of the last one when it is in none."""
        for parser in self._parsers:
            if parser.speaks(first_byte):
                return parser
        return self._parser

    def _wanted_mark(self) -> int:
        """As many messages as the byte budget has frames, once it is known how large those are."""
        nbytes = self._parser.frame_bytes()
        if nbytes is None or len(self._spoken) > 1:
            return self._water.mark
        return min(max(self._byte_budget // max(nbytes, 1), LOWEST_MARK), HIGHEST_MARK)

    def _fit_queue(self, bursts: BurstSocket) -> None:
        self._water.read(len(self._burst or ()))
        if bursts.is_between and self._socket is not None and self._water.change(self._wanted_mark()):
            self._socket.setsockopt(zmq.RCVHWM, self._water.mark)

    def link(self) -> Link:
        """State of the connection, and what the detector is about to do."""
        if self._monitor is None:
            return Link()
        link = self._monitor.link()
        detail = self._parser.detail() if link.peers else ""
        return replace(link, detail=f"{link.detail}; {detail}") if detail else link


def _parsers(namer: SeriesNamer, limits: Limits, query: Mapping[str, str]) -> tuple[BurstParser, ...]:
    return DectrisV1Parser(namer, limits), DectrisV2Parser(namer, limits, query)
