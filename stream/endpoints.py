"""ZeroMQ addresses as people write them: which form is right, which are ours alone, where a bind is allowed.

Text and names only: no ZeroMQ socket is made here.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from ..errors import SourceError, UnauthorisedBindError

PREFIXES = ("bind+", "connect+", "sub+")
SCHEMES = ("tcp", "ipc")
IPC_PATH_LIMIT = 100
"""Bytes of a Unix socket's path: 104 with the closing zero on macOS, 108 on Linux."""
LAST_PORT = 65_535

_TCP = re.compile(r"(?P<host>\[[^\]]*\]|[^\[\]:/]*)(?::(?P<port>[^:/]*))?")
_HOST = re.compile(r"[A-Za-z0-9_.*-]+")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where frames come from or go to."""

    address: str
    """``tcp://host:port`` or ``ipc://path``, as ZeroMQ takes it."""
    bind: bool | None = None
    """True: wait for peers here; False: go to the peer; None: not said (a source connects then)."""
    socket: Literal["pull", "sub"] = "pull"

    def __str__(self) -> str:
        side = {None: "", True: "bind+", False: "connect+"}[self.bind]
        return ("sub+" if self.socket == "sub" else "") + side + self.address

    @property
    def is_tcp(self) -> bool:
        return self.address.startswith("tcp://")

    @property
    def host(self) -> str:
        """Host without the brackets of IPv6; empty for ipc."""
        return self.address[len("tcp://") :].rpartition(":")[0].strip("[]") if self.is_tcp else ""

    @property
    def port(self) -> int | None:
        """None for ipc and for any free port (``*`` or 0)."""
        digits = self.address.rpartition(":")[2]
        return int(digits) or None if self.is_tcp and digits != "*" else None

    @property
    def path(self) -> str:
        """Path of the Unix socket; empty for tcp."""
        return "" if self.is_tcp else self.address[len("ipc://") :]

    @property
    def place(self) -> str:
        """What a person calls it: ``host:port`` or the path."""
        return self.address.partition("://")[2]


def parse_endpoint(text: str) -> Endpoint:
    """Read ``[sub+][bind+|connect+](tcp://host:port | ipc://path)``.

    Raises
    ------
    SourceError
        Names what is wrong and the nearest form that would be right.
    """
    bind: bool | None = None
    kind: Literal["pull", "sub"] = "pull"
    rest = text.strip()
    while (prefix := rest.partition("+")[0] + "+") in PREFIXES:
        rest = rest[len(prefix) :]
        if prefix == "sub+":
            kind = "sub"
        elif bind is not None:
            raise SourceError(f"endpoint {text!r} says twice who binds: keep one of bind+ and connect+")
        else:
            bind = prefix == "bind+"
    scheme, mark, place = rest.partition("://")
    if not mark or scheme not in SCHEMES:
        raise SourceError(_scheme_hint(text, rest))
    (_check_tcp if scheme == "tcp" else _check_ipc)(text, place, bind)
    return Endpoint(rest, bind, kind)


def _scheme_hint(text: str, rest: str) -> str:
    prefix, plus, behind = rest.partition("+")
    if plus and "/" not in prefix and ":" not in prefix:
        near = get_close_matches(prefix + "+", PREFIXES, 1, 0.0)[0]
        return f"endpoint {text!r}: unknown prefix {prefix + '+'!r}; did you mean {near + behind!r}?"
    place = re.sub(r"^([A-Za-z0-9]*:?/+)?", "", rest) or "host:9999"
    form = f"tcp://{place}" if _TCP.fullmatch(place) and "/" not in place else f"ipc:///{place}"
    if form.startswith("tcp") and ":" not in place:
        form += ":9999"
    return f"endpoint {text!r} is neither tcp://host:port nor ipc://path; did you mean {form!r}?"


def _check_tcp(text: str, place: str, bind: bool | None) -> None:
    match = _TCP.fullmatch(place)
    if match is None:
        raise SourceError(_tcp_form_hint(text, place))
    host, port = match["host"], match["port"]
    if not host or not _is_host(host):
        raise SourceError(
            f"endpoint {text!r}: {host!r} is no host name or address; the nearest valid form is "
            f"'tcp://{'*' if bind else '127.0.0.1'}:{port or 9999}'"
        )
    if host == "*" and not bind:
        raise SourceError(f"endpoint {text!r}: '*' can only be bound; write 'bind+tcp://*:{port or 9999}'")
    _check_port(text, host, port, bind)


def _tcp_form_hint(text: str, place: str) -> str:
    host, _, port = place.partition("/")[0].rpartition(":")
    if ":" in host and not host.startswith("["):
        return f"endpoint {text!r}: an IPv6 address needs brackets: 'tcp://[{host}]:{port}'"
    return f"endpoint {text!r} is not of the form tcp://host:port; did you mean 'tcp://{host or place}:9999'?"


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            return ipaddress.ip_address(host.strip("[]")).version == 6
        except ValueError:
            return False
    return _HOST.fullmatch(host) is not None


def _check_port(text: str, host: str, port: str | None, bind: bool | None) -> None:
    if not port:
        raise SourceError(f"endpoint {text!r} has no port; the nearest valid form is 'tcp://{host}:9999'")
    if port in ("*", "0"):
        if bind is False or bind is None:
            raise SourceError(
                f"endpoint {text!r}: port {port!r} (any free one) can only be bound; write the sender's port"
            )
        return
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= LAST_PORT):
        raise SourceError(
            f"endpoint {text!r}: port {port!r} must be a number from 1 to {LAST_PORT}, as in 'tcp://{host}:9999'"
        )


def _check_ipc(text: str, place: str, bind: bool | None) -> None:
    if sys.platform == "win32":
        raise SourceError(f"endpoint {text!r}: there is no ipc on Windows; use 'tcp://127.0.0.1:9999'")
    if not place.isprintable():  # a NUL or half a character would reach the system call otherwise
        raise SourceError(f"endpoint {text!r}: the path has unprintable characters; name it anew")
    if not place:
        raise SourceError(f"endpoint {text!r} has no path; the nearest valid form is 'ipc:///tmp/livem.sock'")
    size = len(place.encode())
    if size > IPC_PATH_LIMIT:
        raise SourceError(
            f"endpoint {text!r}: the path has {size} bytes, the limit is {IPC_PATH_LIMIT}; "
            "use a shorter one, as in 'ipc:///tmp/livem.sock'"
        )


def is_loopback(address: str) -> bool:
    """True when only this machine can reach the address; names but ``localhost`` are not looked up."""
    endpoint = Endpoint(address)
    if not endpoint.is_tcp:
        return address.startswith(("ipc://", "inproc://"))
    if endpoint.host.lower() == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(endpoint.host)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def local_endpoint(directory: str | Path, name: str) -> str:
    """An address to bind for processes of this machine.

    ``ipc://directory/name.sock`` where the platform has it and the path is short enough; otherwise
    ``tcp://127.0.0.1:*``, which every user of this machine can reach: ask the bound socket for its port.
    """
    path = Path(directory) / f"{name}.sock"
    if sys.platform == "win32" or len(str(path.absolute()).encode()) > IPC_PATH_LIMIT:
        return "tcp://127.0.0.1:*"
    return f"ipc://{path.absolute()}"


def require_safe_bind(endpoint: Endpoint, insecure: bool, curve: bool) -> None:
    """Let nobody outside this machine in unnoticed.

    Parameters
    ----------
    endpoint : Endpoint
        Only binds are looked at; going out to a detector needs no leave.
    insecure : bool
        The user said ``--insecure-bind``: a private detector network.
    curve : bool
        CURVE with an allow-list of keys is set up.

    Raises
    ------
    UnauthorisedBindError
        For a bind beyond loopback with neither.
    """
    if not endpoint.bind or insecure or curve or is_loopback(endpoint.address):
        return
    raise UnauthorisedBindError(
        f"binding {endpoint.address} would let every machine that reaches it send frames: bind "
        f"'bind+tcp://127.0.0.1:{endpoint.port or '*'}', give CURVE keys with an allow-list, or say "
        "--insecure-bind on a private detector network"
    )


def host_resolves(host: str) -> bool:
    """Whether the name or address is known to this machine; asks the resolver, so it may take seconds."""
    if host == "*":
        return True
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return True
