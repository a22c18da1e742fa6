"""A session's result bus as the viewer's feed, and its control socket as the viewer's commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import __version__
from ..stream.bus import Subscriber
from ..stream.control import ControlClient
from ..stream.endpoints import is_loopback
from ..stream.results import Result
from .models.commands import CommandQueue
from .models.feed import Feed, FeedState
from .remote import BUDGET, RemoteFeed


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
        return FeedState(link.phase, link.text, self._unread() if self._subscriber.unreadable else "")

    def _unread(self) -> str:
        version = self._subscriber.session.get("version", "?")
        return f"the session sends what cannot be read here: it runs livem {version}, this is {__version__}"

    def close(self) -> None:
        self._subscriber.close()


def connect(address: str, budget: float | None = None) -> tuple[Feed, CommandQueue]:
    """Attach to the session whose control address this is.

    On another machine, or with a ``budget`` (bytes a second), only what the windows show is asked for. A
    session that is not there yet, or not any more, is a state of the feed and no error.
    Raises UsageError for what is no address.
    """
    feed: Feed
    if budget is None and is_loopback(address):
        feed = BusFeed(address)
    else:
        feed = RemoteFeed(address, budget or BUDGET)
    return feed, CommandQueue(lambda: ControlClient(address))
