"""What a fault injector did to which frames, for tests and for the sender's summary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..series import SeriesKey
from .outgoing import Outgoing

Action = Literal[
    "delivered",
    "dropped",
    "garbled",
    "truncated",
    "misshapen",
    "unsent",
    "duplicated",
    "reordered",
    "undecodable",
]
"""Every message meets exactly one of the first six. delivered: went out intact. dropped: never sent. garbled:
went out with a spoiled header, so that no receiver can say which frames it held. truncated, misshapen: went
out with a good header and a payload that must be refused. unsent: still to be sent when the sender died.
Besides: duplicated: went out once more. reordered: went out behind a later one. undecodable: frames of a
delivered message whose encoded payload cannot be decoded."""

LOST: tuple[Action, ...] = ("dropped", "garbled", "unsent")
"""What a receiver can only miss."""
REFUSED: tuple[Action, ...] = ("truncated", "misshapen")
"""What a receiver refuses by name."""

Range = tuple[int, int]


@dataclass(slots=True)
class Tally:
    """How often an action was done to a series."""

    messages: int = 0
    frames: int = 0
    """With repetition: a frame sent three times is duplicated twice."""
    spans: list[Range] = field(default_factory=list)

    def add(self, first: int, count: int) -> None:
        self.messages += 1
        self.frames += count
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

    def record(self, action: Action, message: Outgoing) -> None:
        """Count an action on all frames of a message."""
        self.record_frames(action, message.key, message.first, message.count)

    def record_frames(self, action: Action, key: SeriesKey, first: int, count: int) -> None:
        """Count an action on ``count`` frames from ``first``."""
        self._tallies.setdefault((key, action), Tally()).add(first, count)

    def series(self) -> list[SeriesKey]:
        """The series that were sent, in the order in which they began."""
        return list(dict.fromkeys(key for key, _ in self._tallies))

    def tally(self, action: Action, key: SeriesKey) -> Tally:
        """Numbers of an action; zeros where it was not done."""
        return self._tallies.get((key, action), Tally())

    def ranges(self, action: Action | Iterable[Action], key: SeriesKey) -> list[Range]:
        """Half-open ranges of the frames that met one of the actions, merged and sorted; no frame twice."""
        actions = (action,) if isinstance(action, str) else action
        return merged([span for each in actions for span in self.tally(each, key).spans])

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
