"""What can be wrong when an endpoint is bound or connected, in the user's words.

Looks at names, paths and error numbers; makes no ZeroMQ socket.
"""

from __future__ import annotations

import errno
import socket as bsd
from pathlib import Path

import zmq

from ..errors import SourceError
from .endpoints import Endpoint, host_resolves


def needs_ipv6(endpoint: Endpoint) -> bool:
    """Only where IPv4 does not do: a name with both would be tried by IPv6 alone."""
    if ":" in endpoint.host:
        return True
    if not endpoint.is_tcp or endpoint.host == "*":
        return False
    try:
        bsd.getaddrinfo(endpoint.host, None, bsd.AF_INET)
    except (OSError, UnicodeError):
        return host_resolves(endpoint.host)
    return False


def require_known_host(place: object, host: str) -> None:
    """Raise SourceError where this machine does not know ``host``, part of ``place`` as the user wrote it."""
    if not host_resolves(host):
        raise SourceError(
            f"{place}: this machine does not know the host {host!r}; check its spelling, or write its "
            "address in numbers"
        )


def require_free_path(endpoint: Endpoint) -> None:
    """libzmq takes a Unix socket's path away from whoever listens there; we do not."""
    if endpoint.is_tcp or endpoint.path.startswith("@") or not Path(endpoint.path).exists():
        return
    with bsd.socket(bsd.AF_UNIX, bsd.SOCK_STREAM) as probe:
        try:
            probe.connect(endpoint.path)
        except OSError:
            return
    raise SourceError(_in_use(endpoint))


def _in_use(endpoint: Endpoint) -> str:
    what = f"port {endpoint.port}" if endpoint.is_tcp else f"path {endpoint.path}"
    other = f"bind+tcp://{endpoint.host}:{(endpoint.port or 9998) + 1}" if endpoint.is_tcp else "another path"
    return (
        f"{endpoint}: {what} is already in use; stop the other program, take {other}, or leave bind+ out to "
        "connect to what is there"
    )


def explain(endpoint: Endpoint, error: zmq.ZMQError) -> str:
    """A failed bind or connect in the user's words."""
    if error.errno in (errno.EADDRINUSE, zmq.EADDRINUSE):
        return _in_use(endpoint)
    if error.errno in (errno.EADDRNOTAVAIL, zmq.EADDRNOTAVAIL, errno.ENODEV):
        return (
            f"{endpoint}: {endpoint.host!r} is no address of this machine, so it cannot be bound; leave "
            "bind+ out to connect to it, or bind 127.0.0.1"
        )
    if error.errno == errno.EACCES:
        step = (
            "take a port from 1024 upwards" if endpoint.is_tcp else "take a directory that you may write to"
        )
        return f"{endpoint}: the system does not allow it; {step}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{endpoint}: the directory {Path(endpoint.path).parent} does not exist; make it first"
    return f"{endpoint} cannot be opened: {error}"
