"""What a worker does between blocks: takes in what other consumers published, and lets its own one work.

Knows the result bus and the consumer's contract; no ring and no supervisor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ...stream.bus import Subscriber
from ...stream.results import Result, is_removed
from ...stream.series import Series, SeriesKey
from ..base import Consumer, Output

LAST_INPUT_S = 4.0
"""How long the end of a series waits for the last results of its inputs: they may be looking back 2 s."""
LOOK_S = 0.02
"""Between two looks for new results while no frame comes."""
KEPT_FINALS = 64
"""Last results of series that the consumer has not come to yet."""


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
        self._gone: set[str] = set()
        """Topics that are no more: a detector that was removed."""

    def newest(self, key: SeriesKey) -> list[Result]:
        """What is known of a series now: for one that has just begun."""
        known = [self._subscriber.latest(topic) for topic in self._topics]
        return [result for result in known if result is not None and result.series == key]

    def changed(self, key: SeriesKey) -> list[Result]:
        """Results that are new since the last call."""
        changed = self._subscriber.poll()
        found = [changed[topic] for topic in self._topics if topic in changed]
        for result in found:
            (self._gone.add if is_removed(result) else self._gone.discard)(result.topic)
        return [result for result in found if result.series == key and not is_removed(result)]

    def last(self, key: SeriesKey, seconds: float) -> tuple[list[Result], list[str]]:
        """The final results of a series, and the topics whose final result did not come in time."""
        deadline = time.monotonic() + seconds
        ends = {topic: self._final(topic, key, deadline) for topic in self._topics}
        for topic in self._topics:
            self._finals.pop((topic, key), None)
        return [end for end in ends.values() if end], [topic for topic, end in ends.items() if not end]

    def close(self) -> None:
        self._subscriber.close()

    def _final(self, topic: str, key: SeriesKey, deadline: float) -> Result | None:
        """Of a topic and series; following series may have ended meanwhile."""
        self._finals |= {(one.topic, one.series): one for one in self._subscriber.finals()}
        while len(self._finals) > KEPT_FINALS:
            self._finals.pop(next(iter(self._finals)))
        if (topic, key) in self._finals or topic in self._gone:
            return self._finals.get((topic, key))
        left = max(0.0, deadline - time.monotonic())
        return self._subscriber.wait(topic, left, lambda one: one.final and one.series == key)


class Errands:
    """A consumer's work between blocks; costs nothing for one that has none.

    Parameters
    ----------
    address : the session's control address; "" where there is no session to take inputs from.
    took : told the seconds of each piece of work.
    """

    def __init__(
        self, consumer: Consumer[Any], address: str, took: Callable[[float], object] = lambda seconds: None
    ) -> None:
        self._consumer, self._took = consumer, took
        self.rests = False
        """Whether nothing is to be done for now: the consumer is switched off."""
        self._feed = Feed(address, consumer.inputs) if consumer.inputs and address else None
        self._key: SeriesKey | None = None
        self._look_at = self._rest_until = 0.0
        self._fault: Exception | None = None

    def begin(self, series: Series) -> None:
        """A series was opened with the consumer."""
        self._key, self._fault = series.key, None
        if self._feed is not None:
            self._take(self._feed.newest(series.key))

    def go_on(self, series: Series) -> None:
        """A series that had ended goes on."""
        self._key = series.key

    def end(self) -> None:
        """Nothing more is to be done for the open series (it is over, or the consumer raised)."""
        self._key = self._fault = None

    def due_in(self) -> float | None:
        """Seconds until `run` has something to do where no block waits; None when nothing is known to come.

        Never raises.
        """
        if self._key is None or self.rests:
            return None
        now, times = time.monotonic(), []
        if self._feed is not None:
            times.append(self._look_at - now)
        if (wanted := self._work_in()) is not None:
            times.append(wanted)
        return max(0.0, min(times)) if times else None

    def run(self, at_once: bool = False, blocks_wait: bool = False) -> Sequence[Output]:
        """Take in what is new, and do a piece of work when one is due, or at once; outputs if those changed.

        While blocks may wait, no piece is due before those had their time after the last one.
        Raises whatever the consumer raises.
        """
        if self._key is None or self.rests:
            return ()
        now = time.monotonic()
        if self._feed is not None and (at_once or now >= self._look_at):
            self._look_at = now + LOOK_S
            self._take(self._feed.changed(self._key))
        wanted = self._work_in()
        if self._fault is not None:
            raise self._fault
        rests = blocks_wait and now < self._rest_until
        if wanted is None or not (at_once or (wanted <= 0 and not rests)):
            return ()
        return self._work(now)

    def last_inputs(self, series: Series, seconds: float = LAST_INPUT_S) -> str:
        """Take in the last results of a series that has ended; what is lacking, in words."""
        if self._feed is None:
            return ""
        found, lacking = self._feed.last(series.key, min(seconds, LAST_INPUT_S))
        self._take(found)
        if not lacking:
            return ""
        return (
            f"{self._consumer.name} did not get the last of {', '.join(lacking)} in series "
            f"{series.key.number}: its last result is made of what came before"
        )

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()

    def _work(self, began: float) -> Sequence[Output]:
        outputs = tuple(self._consumer.work())
        ended = time.monotonic()
        self._took(ended - began)
        self._rest_until = ended + self._consumer.rest_share * (ended - began)
        return outputs

    def _work_in(self) -> float | None:
        """What the consumer says; an error is kept for `run`, which is where errors are counted."""
        if not self._consumer.works:
            return None
        try:
            return self._consumer.work_in()
        except Exception as error:  # noqa: BLE001 - told by run, which is due at once then
            self._fault = error
            return 0.0

    def _take(self, results: Sequence[Result]) -> None:
        for result in results:
            self._consumer.feed(result)
