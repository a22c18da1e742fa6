"""Quantum Detectors Merlin over TCP: ``merlin://host[:port]``, the detector's data port (6342).

Connects its bytes with what reads them; knows neither the texts nor the pixels.
"""

from __future__ import annotations

import time

from ....errors import SourceError
from ...messages import DEFAULT_LIMITS, Limits, Message
from ...series import Series
from ..base import Link, Pollable
from ..detector_url import DetectorUrl
from .orders import CHOICES, ORDERS, Order
from .stream import MerlinStream
from .tcp_client import Received, TcpClient

DATA_PORT = 6342
QUERY = ("scan", "raw24")
SCANS = ("header", "none")


def open_merlin(url: DetectorUrl, limits: Limits = DEFAULT_LIMITS) -> MerlinSource:
    """A source for ``merlin://host[:port][?scan=header|none&raw24=auto|ORDER]``; not yet opened.

    ``scan=none`` leaves the scan to the pipeline file where the acquisition header's frames per trigger are
    no scan lines. ``raw24`` is the order of the halves of raw 24-bit counts of four chips, of
    `orders.ORDERS`; ``auto`` finds it. Raises SourceError for parameters that there are not.
    """
    scan, raw24 = _chosen(url, "scan", SCANS), _chosen(url, "raw24", CHOICES)
    order = ORDERS.get(raw24)
    return MerlinSource(url.host, url.port or DATA_PORT, limits, use_scan=scan == SCANS[0], order=order)


def _chosen(url: DetectorUrl, key: str, choices: tuple[str, ...]) -> str:
    """The value of a parameter; the first choice where there is none."""
    value = url.known(QUERY).get(key, choices[0])
    if value not in choices:
        raise SourceError(f"{url}: {key}={value} is not one of {', '.join(choices)}")
    return value


class MerlinSource:
    """A Merlin's frames, as they come.

    Parameters
    ----------
    host : str
    port : int
    limits : Limits, optional
    use_scan : bool
        Whether the acquisition header decides the scan.
    order : Order or None
        Of the halves of raw 24-bit counts of four chips; None: found from the counts.

    Notes
    -----
    A series is announced with its first frame: only that tells shape and type. The frame index is the
    detector's sequence number less one; nothing that is missing shifts anything.
    """

    def __init__(
        self,
        host: str,
        port: int = DATA_PORT,
        limits: Limits = DEFAULT_LIMITS,
        *,
        use_scan: bool = True,
        order: Order | None = None,
    ) -> None:
        self._client = TcpClient(host, port, f"merlin://{f'[{host}]' if ':' in host else host}:{port}")
        self._stream = MerlinStream(limits, use_scan, order)
        self._understood = self._strangers = 0
        self._more = False

    def open(self) -> None:
        """Look the host up and begin to connect; a detector that is not there yet is waited for.

        Raises SourceError for a host that this machine does not know.
        """
        self._client.open()

    def resume(self, series: Series) -> None:
        """Go on with this series unless the detector begins another."""
        self._stream.resume(series)

    def pollables(self) -> list[Pollable]:
        """One descriptor that stays the same through every reconnection."""
        return [self._client.fileno()]

    def due_ns(self) -> int | None:
        """At once while received bytes may hold more messages; else when to try to connect again."""
        return 0 if self._more else self._client.due_ns()

    def receive(self) -> Message | None:
        """One message: up to 1 MiB of consecutive frames, in memory of their own."""
        message = self._stream.next()
        if message is None:
            self._read()
            message = self._stream.next()
        self._more = message is not None
        return message

    def _read(self) -> None:
        """Take what the connection has, once."""
        client = self._client
        client.turn(time.monotonic_ns())
        received = client.receive_into(self._stream.space())
        if isinstance(received, int):
            self._stream.took(received)
        elif received is not Received.NOTHING:
            self._stream.line_lost(orderly=received is Received.ENDED)
            self._strangers += self._stream.understood == self._understood
            self._understood = self._stream.understood

    def link(self) -> Link:
        """State of the connection; tries to connect when it is time."""
        client = self._client
        client.turn(time.monotonic_ns())
        return Link(
            peers=int(client.connected),
            ever_connected=client.connections > 0,
            last_disconnect_ns=client.last_disconnect_ns,
            handshake_failures=self._strangers,
            detail=client.detail or self._stream.note or self._said_so_far(),
        )

    def _said_so_far(self) -> str:
        """Of a connection that is there; it says nothing by itself until an acquisition begins."""
        if not self._client.connected:
            return ""
        if self._stream.understood:
            return f"connected to {self._client.name}"
        return f"connected to {self._client.name}, which has sent no header yet: is an acquisition started?"

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._client.close()
