"""The seam between detectors and the rest: what every source can do, whatever its protocol.

Nothing here knows a protocol, ZeroMQ or the ring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ..messages import Message
from ..series import Series

Pollable: TypeAlias = Any
"""What zmq.Poller takes: a ZeroMQ socket, a file descriptor, or an object with ``fileno()``."""


@dataclass(frozen=True, slots=True)
class Link:
    """How the connection to the sender is, at one moment."""

    peers: int = 0
    """Senders connected now, handshake done."""
    ever_connected: bool = False
    last_disconnect_ns: int | None = None
    """time.monotonic_ns() when the last sender was found gone."""
    handshake_failures: int = 0
    """Connections that never became a sender: port scans, other protocols, wrong keys."""
    detail: str = ""
    """One line for the user, with the next step where there is one."""


class Source(Protocol):
    """A stream of messages. Every method is called from one thread, and none but ``open`` may block."""

    def open(self) -> None:
        """Bind or connect. Raises SourceError with what is wrong and the next step."""

    def resume(self, series: Series) -> None:
        """Go on with a series that a former process of this source left open (after ``open``).

        Only a source that names series itself, because its detector sends no epoch, has something to do.
        """

    def pollables(self) -> Sequence[Pollable]:
        """What to wait for (readable) before ``receive`` and ``link`` are worth calling."""

    def due_ns(self) -> int | None:
        """time.monotonic_ns() when ``receive`` will have something although no pollable is readable: messages
        already taken from a socket, frames of a file whose time has come. None = nothing of the kind."""

    def receive(self) -> Message | None:
        """One message, or None when none is there. Never raises for what a peer sent."""

    def link(self) -> Link:
        """State of the connection; cheap enough for every turn of a loop, and to be called in each."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""


@runtime_checkable
class Playback(Protocol):
    """What a source can do besides when it plays a recording."""

    def command(self, action: str, value: Any = None) -> Mapping[str, Any]:
        """Play, pause, step, seek; returns ``position``. Raises UsageError for what it cannot do."""

    def position(self) -> Mapping[str, Any]:
        """Where it is, as plain values for the status."""

    def go_on_at(self, index: int) -> None:
        """After ``resume``: this frame is the first that is not in the ring."""
