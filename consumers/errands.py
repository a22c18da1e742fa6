"""What a worker does between blocks: takes in what other consumers published, and lets its own one work.

Knows the result bus and the consumer's contract; no ring and no supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ..stream.bus import Subscriber
from ..stream.results import Result
from ..stream.series import Series, SeriesKey
from .base import Consumer, Output

LAST_INPUT_S = 4.0
"""How long the end of a series waits for the last results of its inputs: they may be looking back 2 s."""


class Feed:
    """The newest results of some topics, of one series at a time.

    Parameters
    ----------
    address : the session's control address.
    topics : whole names ("vd.haadf"), no prefixes.
    """

    def __init__(self, address: str, topics: Sequence[str]) -> None:
        self._topics = tuple(topics)
        self._subscriber = Subscriber(address, self._topics)
        self._finals: dict[tuple[str, SeriesKey | None], Result] = {}

    def newest(self, key: SeriesKey) -> list[Result]:
        """What is known of a series now: for one that has just begun."""
        known = [self._subscriber.latest(topic) for topic in self._topics]
        return [result for result in known if result is not None and result.series == key]

    def changed(self, key: SeriesKey) -> list[Result]:
        """Results that are new since the last call."""
        changed = self._subscriber.poll()
        return [changed[topic] for topic in self._topics if topic in changed and changed[topic].series == key]

    def last(self, key: SeriesKey, seconds: float) -> tuple[list[Result], list[str]]:
        """The final results of a series, and the topics whose final result did not come in time."""
        deadline = time.monotonic() + seconds
        ends = {topic: self._final(topic, key, deadline) for topic in self._topics}
        self._finals.clear()
        return [end for end in ends.values() if end], [topic for topic, end in ends.items() if not end]

    def _final(self, topic: str, key: SeriesKey, deadline: float) -> Result | None:
        """Of a topic and series; a following series may have ended meanwhile."""
        self._finals |= {(one.topic, one.series): one for one in self._subscriber.finals()}
        if (topic, key) in self._finals:
            return self._finals[topic, key]
        left = max(0.0, deadline - time.monotonic())
        return self._subscriber.wait(topic, left, lambda one: one.final and one.series == key)

    def close(self) -> None:
        self._subscriber.close()


class Errands:
    """A consumer's work between blocks; costs nothing for one that has none.

    Parameters
    ----------
    address : the session's control address; "" where there is no session to take inputs from.
    """

    def __init__(self, consumer: Consumer[Any], address: str) -> None:
        self._consumer = consumer
        self._feed = Feed(address, consumer.inputs) if consumer.inputs and address else None
        self._key: SeriesKey | None = None

    def begin(self, series: Series) -> None:
        """A series was opened with the consumer."""
        self._key = series.key
        if self._feed is not None:
            self._take(self._feed.newest(series.key))

    def end(self) -> None:
        """Nothing more is to be done for the open series (it is over, or the consumer raised)."""
        self._key = None

    def due_in(self) -> float | None:
        """Seconds until `run` has something to do; None when nothing is known to come."""
        return self._consumer.work_in() if self._consumer.works and self._key is not None else None

    def run(self, at_once: bool = False) -> Sequence[Output]:
        """Take in what is new, and do a piece of work when one is due, or at once; outputs if those changed.

        Raises whatever the consumer raises.
        """
        if self._key is None:
            return ()
        if self._feed is not None:
            self._take(self._feed.changed(self._key))
        due = self.due_in()
        return tuple(self._consumer.work()) if due is not None and (at_once or due <= 0) else ()

    def last_inputs(self, series: Series, seconds: float = LAST_INPUT_S) -> str:
        """Take in the last results of a series that has ended; what is lacking, in words."""
        if self._feed is None:
            return ""
        found, lacking = self._feed.last(series.key, seconds)
        self._take(found)
        if not lacking:
            return ""
        return (
            f"{self._consumer.name} has waited {seconds:g} s for the last of {', '.join(lacking)} in series "
            f"{series.key.number}: its last result is made of what came before"
        )

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()

    def _take(self, results: Sequence[Result]) -> None:
        for result in results:
            self._consumer.feed(result)
