"""The ZeroMQ socket that a source receives through, from its options to its end.

What every such socket has; what one protocol needs beyond that is its source's. Knows no message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import zmq

from ...errors import SourceError
from ..endpoints import Endpoint
from ..opening import explain, needs_ipv6
from .monitor import LinkMonitor

HANDSHAKE_MS = 5_000
"""A stranger that says nothing holds a connection no longer (libzmq's default: 30 s)."""


def set_options(
    socket: zmq.Socket[bytes], endpoints: Iterable[Endpoint], *, high_water: int, max_bytes: int
) -> None:
    """Options of a socket that frames come through, before it binds or connects.

    Parameters
    ----------
    socket : zmq.Socket
    endpoints : iterable of Endpoint
        All that it will bind or connect to.
    high_water : int
        Messages that may wait in it.
    max_bytes : int
        A peer that announces a longer part is disconnected, and nothing is allocated for it.

    Notes
    -----
    Without ZeroMQ heartbeats (native.py says why): TCP keepalive finds a dead host or cable within 5 s.
    """
    options = {
        zmq.LINGER: 0,
        zmq.RCVHWM: high_water,
        zmq.MAXMSGSIZE: max_bytes,
        zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
        zmq.TCP_KEEPALIVE: 1,
        zmq.TCP_KEEPALIVE_IDLE: 2,
        zmq.TCP_KEEPALIVE_INTVL: 1,
        zmq.TCP_KEEPALIVE_CNT: 3,
        zmq.IPV6: int(any(needs_ipv6(endpoint) for endpoint in endpoints)),
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    if socket.type == zmq.SUB:
        socket.setsockopt(zmq.SUBSCRIBE, b"")


def attach(socket: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    """Bind where the endpoint says so, else connect. Raises SourceError in the user's words."""
    try:
        (socket.bind if endpoint.bind else socket.connect)(endpoint.address)
    except zmq.ZMQError as error:
        raise SourceError(explain(endpoint, error)) from error


def release(
    monitor: LinkMonitor | None,
    socket: zmq.Socket[bytes] | None,
    context: zmq.Context[Any] | None = None,
) -> None:
    """Close what there is, in the order that libzmq needs; messages already received stay valid."""
    if monitor is not None:
        monitor.close()
    if socket is not None:
        socket.close(0)
    if context is not None:
        context.term()
