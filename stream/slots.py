"""What is kept of the result bus at both its ends: the newest of each topic, and what must not be missed.

``HubSlots`` is the hub's memory (it numbers what passes and can repeat it), ``ViewerSlots`` a subscriber's.
Both are bounded in count and bytes; they know no sockets and no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .plain_map import Part
from .results import Result
from .stamp import Message, Stamp

MAX_TOPICS: Final = 256
"""Of one session; also keeps the heartbeat, which lists them all, below 40 KB."""
KEPT_MESSAGES: Final = 256
KEPT_BYTES: Final = 64 * 1024 * 1024
"""Of events, and of final results, that wait for a viewer to take them: 128 images of 256 x 256 float64."""
HUB_BYTES: Final = 32 * 1024 * 1024
"""Of both at the hub: what a late joiner gets at once, 0.3 s on a 1 Gbit/s line."""


class Backlog:
    """The last messages, bounded in count and bytes; counts what it had to forget."""

    def __init__(self, messages: int = KEPT_MESSAGES, nbytes: int = KEPT_BYTES) -> None:
        self._messages: deque[Message] = deque()
        self._limit, self._byte_limit = messages, nbytes
        self._nbytes = 0
        self.forgotten = 0

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, message: Message) -> None:
        self._messages.append(message)
        self._nbytes += message.nbytes
        while len(self._messages) > self._limit or (self._nbytes > self._byte_limit and len(self) > 1):
            self._nbytes -= self._messages.popleft().nbytes
            self.forgotten += 1

    def take(self) -> list[Message]:
        """Everything that waits; nothing waits afterwards."""
        taken = list(self._messages)
        self._messages.clear()
        self._nbytes = 0
        return taken


class HubSlots:
    """The hub's memory: numbers each message within its topic and keeps what a late joiner needs."""

    def __init__(self, session: bytes) -> None:
        self._session = session
        self._newest: dict[str, Message] = {}
        self._kept = Backlog(nbytes=HUB_BYTES)
        self._counts: dict[str, list[int]] = {}

    def take(self, result: Result, parts: Sequence[Part]) -> Message | None:
        """Number a result and keep it; ``parts`` = [topic, header, array, ...]. None: one topic too many."""
        topic = result.topic
        if topic not in self._counts and len(self._counts) >= MAX_TOPICS:
            return None
        keep = result.final or result.kind == "event"
        counts = self._counts.setdefault(topic, [0, 0])
        counts[0] += 1
        counts[1] += keep
        stamp = Stamp(self._session, counts[0], counts[1] if keep else 0, result.kind, result.final)
        message = Message(topic, stamp, [parts[0], stamp.pack(), *parts[1:]])
        self._newest[topic] = message
        if keep:
            self._kept.append(message)
        return message

    def topics(self) -> dict[str, tuple[int, int]]:
        """For each topic how many messages it had, and how many of them nobody should miss."""
        return {topic: (messages, kept) for topic, (messages, kept) in self._counts.items()}

    def snapshot(self, prefixes: Iterable[str]) -> list[Message]:
        """The newest message of each topic with one of these prefixes."""
        wanted = tuple(prefixes)
        return [message for topic, message in self._newest.items() if topic.startswith(wanted)]

    def everything(self, topics: Collection[str]) -> list[Message]:
        """All that is kept of these topics, each in order: finals, events, and the newest message."""
        kept = [message for message in self._kept if message.topic in topics]
        newest = [message for topic, message in self._newest.items() if topic in topics]
        return kept + [message for message in newest if not message.stamp.kept]


@dataclass(slots=True)
class _Account:
    """Which of a topic's numbered messages have come: all up to ``settled``, and those in ``beyond``."""

    settled: int = 0
    beyond: set[int] = field(default_factory=set)

    def new(self, number: int) -> bool:
        if number <= self.settled or number in self.beyond:
            return False
        self.beyond.add(number)
        while self.settled + 1 in self.beyond:
            self.settled += 1
            self.beyond.remove(self.settled)
        return True

    def give_up(self, newest: int) -> int:
        """Settle everything up to ``newest``; returns how many of those never came."""
        newest = max(newest, max(self.beyond, default=0), self.settled)
        missed = newest - self.settled - len(self.beyond)
        self.settled = newest
        self.beyond.clear()
        return missed


class ViewerSlots:
    """A subscriber's memory: a latest-slot per topic, and the final results and events not yet taken."""

    def __init__(self, prefixes: Sequence[str] = ("",)) -> None:
        self._prefixes = tuple(prefixes)
        self.clear()

    def clear(self) -> None:
        """Forget everything: another session has taken the address."""
        self._newest: dict[str, Message] = {}
        self._final: dict[str, Message] = {}
        self._changed: dict[str, None] = {}
        self._accounts: dict[str, _Account] = {}
        self._events = Backlog()
        self._finals = Backlog()
        self._missed = 0

    @property
    def forgotten(self) -> int:
        """Events and final results that were published but can no longer be had here."""
        return self._missed + self._events.forgotten + self._finals.forgotten

    def put(self, message: Message) -> None:
        """Take a message in; one that is older than what is known of its topic changes no slot."""
        topic, stamp = message.topic, message.stamp
        if topic not in self._newest and len(self._newest) >= MAX_TOPICS:
            return
        if stamp.kept and self._accounts.setdefault(topic, _Account()).new(stamp.kept):
            (self._events if stamp.kind == "event" else self._finals).append(message)
        if stamp.final and stamp.seq > _seq(self._final.get(topic)):
            self._final[topic] = message
        if stamp.seq > _seq(self._newest.get(topic)):
            self._newest[topic] = message
            if stamp.kind != "event":
                self._changed[topic] = None

    def behind(self, topics: Mapping[str, tuple[int, int]]) -> list[str]:
        """Topics of which the hub (see HubSlots.topics) has sent something that never came here."""
        return [topic for topic, counts in topics.items() if self._is_behind(topic, *counts)]

    def _is_behind(self, topic: str, newest: int, kept: int) -> bool:
        if not topic.startswith(self._prefixes):
            return False
        account = self._accounts.get(topic, _Account())
        return newest > _seq(self._newest.get(topic)) or kept > account.settled or bool(account.beyond)

    def settle(self, topics: Mapping[str, tuple[int, int]]) -> None:
        """The hub has repeated all that it keeps of these topics: what is still missing is gone."""
        for topic, (_, kept) in topics.items():
            self._missed += self._accounts.setdefault(topic, _Account()).give_up(kept)

    def take_changed(self) -> list[Message]:
        """The newest message of each topic that changed since the last call; events are not among them."""
        changed = [self._newest[topic] for topic in self._changed]
        self._changed.clear()
        return changed

    def take_events(self) -> list[Message]:
        """Events since the last call, each once."""
        return self._events.take()

    def take_finals(self) -> list[Message]:
        """Final results since the last call, each once."""
        return self._finals.take()

    def newest(self, topic: str) -> Message | None:
        return self._newest.get(topic)

    def newest_final(self, topic: str) -> Message | None:
        return self._final.get(topic)

    def topics(self) -> tuple[str, ...]:
        return tuple(self._newest)


def _seq(message: Message | None) -> int:
    return 0 if message is None else message.stamp.seq
