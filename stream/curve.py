"""Who may connect: CURVE keys of a socket and the allow-list behind them.

Knows keys and ZeroMQ's authentication; knows no message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from ..errors import SourceError
from .endpoints import Endpoint

ZAP_DOMAIN = "livem"
"""Set on every socket, keys or not: libzmq then refuses ZMTP 1 and 2, which have no handshake, so that any
bytes of a stranger are taken for messages (seen with random bytes on a NULL socket)."""


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """CURVE keys in Z85 (40 characters), as ``zmq.curve_keypair()`` gives them."""

    public: bytes
    secret: bytes = field(repr=False)
    allowed: frozenset[bytes] = frozenset()
    """Public keys of the senders that may connect; needed to bind."""
    server: bytes | None = None
    """Public key of the sender; needed to connect."""


def load_keys(path: Path, allowed: Iterable[str] = (), server: str | None = None) -> CurveKeys:
    """Our keys from a certificate file, as ``zmq.auth.create_certificates`` writes it (NAME.key_secret).

    Raises SourceError for a file that cannot be read or holds no secret key.
    """
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"CURVE key file {str(path)!r} cannot be read: {error}; make one with "
            f"python -c \"import zmq.auth; zmq.auth.create_certificates('.', 'livem')\""
        ) from error
    if secret is None:
        raise SourceError(f"CURVE key file {str(path)!r} has no secret key: name the .key_secret file")
    keys = frozenset(key.encode() for key in allowed)
    return CurveKeys(public, secret, keys, None if server is None else server.encode())


def set_keys(socket: zmq.Socket[bytes], keys: CurveKeys, endpoint: Endpoint) -> None:
    """Make a socket a CURVE server (when it binds) or client. Raises SourceError for malformed keys."""
    try:
        socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
        if endpoint.bind:
            socket.curve_server = True
        else:
            socket.curve_serverkey = cast("bytes", keys.server)
    except zmq.ZMQError as error:
        raise SourceError(
            f"{endpoint}: CURVE keys must be 40 characters of Z85, as zmq.curve_keypair() makes them"
        ) from error


class _AllowList:
    """Credentials provider: the keys that may connect, and no other."""

    def __init__(self, allowed: frozenset[bytes]) -> None:
        self._allowed = allowed

    def callback(self, domain: str, key: bytes) -> bool:
        return key in self._allowed


def start_authenticator(
    context: zmq.Context[Any], allowed: frozenset[bytes], endpoint: Endpoint
) -> ThreadAuthenticator:
    """A thread that lets in ``allowed`` keys alone; without it CURVE accepts any pair of keys."""
    authenticator = ThreadAuthenticator(context)
    try:
        authenticator.start()
    except zmq.ZMQError as error:
        raise SourceError(
            f"{endpoint}: its ZeroMQ context has an authenticator already; give it a context of its own"
        ) from error
    authenticator.configure_curve_callback(ZAP_DOMAIN, _AllowList(allowed))
    return authenticator
