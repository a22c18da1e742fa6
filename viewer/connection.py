"""A session's result bus as the viewer's feed, and its control socket as the viewer's commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..stream.bus import Subscriber
from ..stream.control import ControlClient
from ..stream.results import Result
from .models.commands import CommandQueue
from .models.feed import FeedState


class BusFeed:
    """The latest results of a running session; reconnects by itself when the session comes back."""

    def __init__(self, address: str) -> None:
        self._subscriber = Subscriber(address)

    def poll(self) -> Mapping[str, Result]:
        return self._subscriber.poll()

    def events(self) -> Sequence[Result]:
        return self._subscriber.events()

    def finals(self) -> Sequence[Result]:
        return self._subscriber.finals()

    @property
    def state(self) -> FeedState:
        link = self._subscriber.state
        return FeedState(link.phase, link.text)

    def close(self) -> None:
        self._subscriber.close()


def connect(address: str) -> tuple[BusFeed, CommandQueue]:
    """Attach to the session whose control address this is.

    A session that is not there yet, or not any more, is a state of the feed and no error.
    Raises UsageError for what is no address.
    """
    feed = BusFeed(address)
    return feed, CommandQueue(lambda: ControlClient(address))
