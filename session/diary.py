"""When what happened: the marks of a timeline. Knows statuses and clocks; sends nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

MarkKind = Literal["series", "end", "missing", "dropped", "alarm"]
MARKS_KEPT, TEXT_LENGTH = 150, 160
"""Together 30 kB of the 64 kB that an answer may have."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment."""

    t_ns: int
    """time.monotonic_ns() of the session's machine."""
    kind: MarkKind
    text: str


class Diary:
    """The newest marks, from what the session says of itself five times a second.

    Parameters
    ----------
    clock : callable
        Monotonic ns.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._alarms: list[str] = []
        self._series: tuple[Any, Any] | None = None
        self._state = ""
        self._lost = self._dropped = 0

    def since(self, t_ns: int) -> tuple[Mark, ...]:
        """Marks of this moment and later ones, oldest first."""
        return tuple(mark for mark in self._marks if mark.t_ns >= t_ns)

    def take_status(self, status: Mapping[str, Any]) -> None:
        """Enter what is new in a status."""
        alarms = list(status["alarms"])
        for text in [text for text in alarms if text not in self._alarms]:
            self._note("alarm", text)
        self._alarms = alarms
        if (series := status["series"]) is not None:
            self._take_series(series)

    def _take_series(self, series: Mapping[str, Any]) -> None:
        number, named = series["series"], (series["epoch"], series["series"])
        if named != self._series:
            self._series, self._state, self._lost, self._dropped = named, "open", 0, 0
            self._note("series", f"series {number} begins")
        lost, dropped = int(series["lost"]), _dropped(series["edges"])
        if lost > self._lost:
            self._note("missing", f"{lost - self._lost:,} frames lost on their way")
        if dropped > self._dropped:
            self._note("dropped", f"{dropped - self._dropped:,} frames not analysed")
        self._lost, self._dropped = lost, dropped
        if series["state"] != self._state:
            self._state = series["state"]
            self._note("end", f"series {number} is {self._state}")

    def _note(self, kind: MarkKind, text: str) -> None:
        self._marks.append(Mark(self._clock(), kind, text[:TEXT_LENGTH]))


def _dropped(edges: Mapping[str, Any]) -> int:
    """Frames that an analysis which wants all of them did not get."""
    return sum(sum(edge["dropped"].values()) for edge in edges.values() if edge["policy"] == "lossless")
