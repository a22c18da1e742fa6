"""A simulated detector's data port: a TCP server for one receiver at a time. Bytes only; knows no message
content."""

from __future__ import annotations

import socket as bsd
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

from ...errors import SessionError, SourceError
from ..endpoints import Endpoint, require_safe_bind

POLL_S = 0.1
"""How often a blocked sender looks whether it shall stop."""


class ServerLine:
    """Listens, and sends to whoever has connected.

    Parameters
    ----------
    endpoint : Endpoint
        ``tcp://host:port``; the port may be ``*`` or 0 with ``bind+``. A detector of this kind is a server:
        ``connect+`` and ``ipc`` are refused.
    insecure_bind : bool
        Whether a bind beyond this machine is allowed.
    scheme : str
        How the receiver's url begins, for messages.

    Raises
    ------
    SourceError, UnauthorisedBindError
        An address that cannot be bound, or must not be.
    """

    def __init__(self, endpoint: Endpoint, insecure_bind: bool, scheme: str) -> None:
        if not endpoint.is_tcp or endpoint.bind is False or endpoint.socket != "pull":
            raise SourceError(
                f"cannot send to {endpoint}: this detector is a TCP server; write tcp://host:port"
            )
        require_safe_bind(replace(endpoint, bind=True), insecure_bind, curve=False)
        host = "" if endpoint.host == "*" else endpoint.host
        self._scheme = scheme
        self._peer: bsd.socket | None = None
        self._left_since = time.monotonic()
        try:
            self._server = bsd.create_server(
                (host, endpoint.port or 0), family=bsd.AF_INET6 if ":" in host else bsd.AF_INET, backlog=1
            )
        except (OSError, UnicodeError) as error:
            raise SourceError(
                f"cannot bind {endpoint.address}: {error}; stop what listens there, or choose another port"
            ) from error
        self._server.settimeout(POLL_S)
        name, port = self._server.getsockname()[:2]
        self.address = f"tcp://{f'[{name}]' if ':' in name else name}:{port}"

    def wait_for_receiver(self, seconds: float, stop: Event) -> bool:
        """Wait for the first receiver; False when stopped. Raises SourceError when none comes in time."""
        deadline = time.monotonic() + seconds
        while not self._accept():
            if stop.is_set():
                return False
            if time.monotonic() > deadline:
                raise SourceError(
                    f"no receiver at {self.address} within {seconds:g} s: start "
                    f"`livem live {self._receiver}`, or allow more time"
                )
        return True

    @property
    def _receiver(self) -> str:
        return self.address.replace("tcp", self._scheme, 1)

    def _accept(self) -> bool:
        """Whether a receiver is there, having waited for one a moment."""
        if self._peer is None:
            try:
                self._peer, _ = self._server.accept()
            except (TimeoutError, ConnectionError):
                return False
            self._peer.settimeout(POLL_S)
            self._peer.setsockopt(bsd.IPPROTO_TCP, bsd.TCP_NODELAY, 1)
        return True

    def send(self, parts: Sequence[bytes | memoryview], stop: Event, patience: float) -> bool:
        """Send one message, waiting while the receiver is slow; False when stopped.

        A receiver that has gone may come back: it gets the message from its beginning. Raises SessionError
        when none has been there for ``patience`` seconds.
        """
        whole = b"".join(parts)
        while not stop.is_set():
            if not self._accept():
                self._require_patience(patience)
            elif self._push(memoryview(whole), stop):
                return True
        return False

    def _push(self, left: memoryview, stop: Event) -> bool:
        """Send all of it to the present receiver; False when that is gone, or the sender shall stop."""
        assert self._peer is not None
        while left:
            try:
                left = left[self._peer.send(left) :]
            except TimeoutError:
                if stop.is_set():
                    return False
            except OSError:
                self._dismiss()
                return False
        return True

    def _dismiss(self) -> None:
        if self._peer is not None:
            self._peer.close()
        self._peer, self._left_since = None, time.monotonic()

    def _require_patience(self, patience: float) -> None:
        if time.monotonic() - self._left_since > patience:
            raise SessionError(
                f"the receiver at {self.address} has been gone for {patience:g} s: start "
                f"`livem live {self._receiver}` again"
            )

    def close(self, linger_s: float) -> None:
        """Close; waits up to ``linger_s`` until the receiver's machine has taken what was sent."""
        if self._peer is not None:
            seconds = max(0, min(int(linger_s + 0.999), 0xFFFF))
            form = "hh" if sys.platform == "win32" else "ii"
            self._peer.settimeout(None)  # a socket that does not block does not linger
            self._peer.setsockopt(bsd.SOL_SOCKET, bsd.SO_LINGER, struct.pack(form, 1, seconds))
            self._peer.close()
            self._peer = None
        self._server.close()
