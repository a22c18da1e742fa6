"""How often a topic goes out: no more often than a display can show it, and the newest always.

What is outdated before its turn is left out. Knows times and topics; no sockets, and not what a result holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .plain_map import Part
from .results import Result

PERIOD_NS: Final = 1_000_000_000 // 60
"""Workers publish up to 200 times a second, so that the age of a picture is small; each picture that goes out
costs hub and subscriber 0.2 ms of one core."""
LATEST_ONLY: Final = frozenset({"image", "status"})
"""Kinds of which an older result says nothing that a newer one does not."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    result: Result
    parts: Sequence[Part]


class Calm:
    """Results that wait for their topic's turn, one a topic.

    Turns begin for all topics at once, at whole periods of the clock: the owner's loop wakes 60 times a
    second for them, not 60 times for each.
    """

    def __init__(self, period_ns: int = PERIOD_NS) -> None:
        self._period_ns = period_ns
        self._sent_ns: dict[str, int] = {}
        self._waiting: dict[str, _Waiting] = {}

    def admit(self, result: Result, parts: Sequence[Part], now_ns: int) -> bool:
        """True: send it now, what waited of its topic is outdated. False: it waits, until ``due``.

        Final results, and kinds of which each counts, never wait.
        """
        topic = result.topic
        self._waiting.pop(topic, None)
        if result.final or result.kind not in LATEST_ONLY or now_ns >= self._turn_ns(topic):
            return True
        self._waiting[topic] = _Waiting(result, parts)
        return False

    def sent(self, topic: str, now_ns: int) -> None:
        """One of this topic has gone out: the next may follow in the next period."""
        self._sent_ns[topic] = now_ns

    def due(self, now_ns: int) -> list[tuple[Result, Sequence[Part]]]:
        """What has waited long enough; it waits no more."""
        topics = [topic for topic in self._waiting if now_ns >= self._turn_ns(topic)]
        return [self._pop(topic) for topic in topics]

    def rest(self) -> list[tuple[Result, Sequence[Part]]]:
        """All that waits, at the end of a session."""
        return [self._pop(topic) for topic in list(self._waiting)]

    def next_ns(self) -> int | None:
        """When the next one is due; None when nothing waits."""
        return min(map(self._turn_ns, self._waiting), default=None)

    def _turn_ns(self, topic: str) -> int:
        """Begin of the period after the one in which it was last sent; 0 for a new topic."""
        sent_ns = self._sent_ns.get(topic)
        return 0 if sent_ns is None else (sent_ns // self._period_ns + 1) * self._period_ns

    def _pop(self, topic: str) -> tuple[Result, Sequence[Part]]:
        waiting = self._waiting.pop(topic)
        return waiting.result, waiting.parts
