"""How a simulated detector speaks: one dialect a protocol, found by the name that ``--protocol`` takes.

A dialect turns an acquisition into messages and knows over which line they go. Pace, faults and series
numbers are the sender's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from threading import Event
from typing import Protocol

from ...errors import SourceError
from ..endpoints import Endpoint
from ..files.acquisition import Acquisition
from ..series import Encoding, SeriesKey
from .compress import BlobCache
from .outgoing import Outgoing


class Line(Protocol):
    """A sender's connection; PushLine is the pattern."""

    @property
    def address(self) -> str: ...
    def wait_for_receiver(self, seconds: float, stop: Event) -> bool: ...
    def send(self, parts: Sequence[bytes | memoryview], stop: Event, patience: float) -> bool: ...
    def close(self, linger_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Speech:
    """What is to be said of one series."""

    acquisition: Acquisition
    key: SeriesKey
    batch: int
    """Frames a message, for protocols whose messages hold several."""
    encoding: Encoding
    repeat: int
    blobs: BlobCache
    clock: Callable[[], int] | None
    """ns since the Unix epoch for time labels; None = no labels, the same bytes each time."""


class Dialect(Protocol):
    """One detector's protocol."""

    encodings: tuple[Encoding, ...]
    """What it can send; the first is the default."""
    one_frame_a_message: bool

    def line(self, endpoint: Endpoint, queue_messages: int, insecure_bind: bool) -> Line:
        """Open the connection. Raises SourceError where that is impossible."""

    def messages(self, speech: Speech) -> Iterator[Outgoing]:
        """All messages of one series, each made when it is asked for; SourceError where it cannot be said
        (a type or shape that the protocol does not have)."""


DIALECTS: Mapping[str, tuple[str, str]] = {
    "livem": ("livem_dialect", "Livem"),
    "dectris1": ("dectris_dialect", "Dectris1"),
    "dectris2": ("dectris_dialect", "Dectris2"),
    "merlin": ("merlin_dialect", "Merlin"),
    "karabo": ("karabo_dialect", "Karabo"),
    "karabo-push": ("karabo_dialect", "KaraboPush"),
    "karabo-pub": ("karabo_dialect", "KaraboPub"),
}
"""Module and class by protocol; imported when asked for."""


def dialect_of(protocol: str) -> Dialect:
    """The dialect with this name, set up by ``?key=value&key=value`` behind it where it can be.

    Raises SourceError with the nearest name, or for a key or value that the dialect does not have.
    """
    called, _, query = protocol.partition("?")
    if called not in DIALECTS:
        near = get_close_matches(called, list(DIALECTS), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(DIALECTS)}"
        raise SourceError(f"there is no protocol {called!r}; {hint}")
    module, name = DIALECTS[called]
    kind = getattr(import_module(f".{module}", __package__), name)
    if query and not hasattr(kind, "set_up"):
        raise SourceError(f"protocol {called!r} has no parameters; leave {query!r} out")
    dialect: Dialect = kind.set_up(query) if query else kind()
    return dialect
