"""What a fault injector did to which frames, for tests and for the sender's summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..series import SeriesKey
from .outgoing import Outgoing

Action = Literal[
    "delivered",
    "dropped",
    "duplicated",
    "reordered",
    "corrupted",
    "truncated",
    "misshapen",
    "undecodable",
    "unsent",
]
"""delivered: went out intact (once). duplicated: went out once more. reordered: went out behind a later one.
corrupted, truncated, misshapen: went out as a message that must be refused. undecodable: the message is in
order and counts as delivered, but these frames' encoded payloads cannot be decoded. unsent: still held when
the sender died."""

Range = tuple[int, int]


@dataclass(slots=True)
class Tally:
    """How often an action was done to a series."""

    messages: int = 0
    frames: int = 0
    """With repetition: a frame sent three times is duplicated twice."""
    unnamed: int = 0
    """Messages whose header is spoiled, so that no receiver can say which frames they held."""
    spans: list[Range] = field(default_factory=list)

    def add(self, first: int, count: int, unnamed: bool) -> None:
        self.messages += 1
        self.frames += count
        self.unnamed += unnamed
        if not count:
            return
        if self.spans and self.spans[-1][1] == first:
            self.spans[-1] = (self.spans[-1][0], first + count)
        else:
            self.spans.append((first, first + count))
        if len(self.spans) > 4096:
            self.spans = merged(self.spans)


class FaultReport:
    """Exact account of every message that an injector has seen."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[SeriesKey, Action], Tally] = {}

    def record(self, action: Action, message: Outgoing, unnamed: bool = False) -> None:
        """Count an action on all frames of a message."""
        self.record_frames(action, message.key, message.first, message.count, unnamed)

    def record_frames(
        self, action: Action, key: SeriesKey, first: int, count: int, unnamed: bool = False
    ) -> None:
        """Count an action on ``count`` frames from ``first``."""
        self._tallies.setdefault((key, action), Tally()).add(first, count, unnamed)

    def series(self) -> list[SeriesKey]:
        """The series that were sent, in the order in which they began."""
        return list(dict.fromkeys(key for key, _ in self._tallies))

    def tally(self, action: Action, key: SeriesKey) -> Tally:
        """Numbers of an action; zeros where it was not done."""
        return self._tallies.get((key, action), Tally())

    def ranges(self, action: Action, key: SeriesKey) -> list[Range]:
        """Half-open ranges of the frames that met an action, merged and sorted; no frame twice."""
        return merged(self.tally(action, key).spans)

    def as_dict(self) -> list[dict[str, Any]]:
        """Plain values for JSON: one entry a series and action."""
        return [
            {
                "series": key.number,
                "epoch": key.epoch.hex(),
                "action": action,
                "messages": tally.messages,
                "frames": tally.frames,
                "ranges": self.ranges(action, key),
            }
            for (key, action), tally in self._tallies.items()
        ]


def merged(spans: list[Range]) -> list[Range]:
    """Disjoint, sorted ranges that cover the same frames."""
    result: list[Range] = []
    for start, stop in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result
