"""Where a window gets its results from: the seam between the viewer and the result bus.

A window takes any Feed: the bus of a live session, a recording, a handful of given results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ...stream.results import Result

Link = Literal["connecting", "live", "lost"]


@dataclass(frozen=True, slots=True)
class FeedState:
    """How the feed stands with its session."""

    link: Link
    text: str = ""
    """For the user: the address, since when it is lost, what it waits for."""
    unread: str = ""
    """For the user: that something came which cannot be read here; empty where all can."""


class Feed(Protocol):
    """Latest results by topic. Every method returns at once."""

    def poll(self) -> Mapping[str, Result]:
        """Results that changed since the last poll, by topic."""

    def events(self) -> Sequence[Result]:
        """Events since the last call, oldest first."""

    def finals(self) -> Sequence[Result]:
        """Last results of series that ended, since the last call, oldest first; each once."""

    @property
    def state(self) -> FeedState: ...

    def close(self) -> None: ...


class GivenResults:
    """A feed of results that are already there: snapshots, offline looks, tests."""

    def __init__(self, results: Mapping[str, Result], state: FeedState | None = None) -> None:
        self._fresh = dict(results)
        self._state = state or FeedState("live")

    def poll(self) -> Mapping[str, Result]:
        fresh, self._fresh = self._fresh, {}
        return fresh

    def events(self) -> Sequence[Result]:
        return ()

    def finals(self) -> Sequence[Result]:
        return ()

    @property
    def state(self) -> FeedState:
        return self._state

    def close(self) -> None:
        self._fresh = {}
