"""What a session says that it still has: stretches of frames, when they came, when what happened.

Read tolerantly from its answer to "history"; times are ns of the session's own clock. Knows no window.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.series import SeriesKey

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What there is of one series."""

    key: SeriesKey
    first: int
    stop: int
    """One more than its highest frame number."""
    state: str
    t_ns: Numbers
    """(n,) moments, increasing."""
    index: Numbers
    """(n,) the frames that came then."""

    def time_of(self, index: float) -> int:
        """When a frame came; those beyond the last known one, then."""
        begin = int(self.t_ns[0])
        return begin + round(float(np.interp(index, self.index, self.t_ns - begin)))

    def index_at(self, t_ns: int) -> int:
        """The frame that came last before a moment; the first or the last one where none did."""
        found = np.interp(float(t_ns - self.t_ns[0]), self.t_ns - self.t_ns[0], self.index)
        last = self.stop - 1 if t_ns >= self.t_ns[-1] else int(found)
        return min(max(last, self.first), self.stop - 1)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened."""

    t_ns: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class PastFrames:
    """All stretches, oldest first, and the marks."""

    now_ns: int
    """When the session said so."""
    stretches: tuple[Stretch, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def oldest_ns(self) -> int:
        """When the oldest frame came."""
        return min((int(each.t_ns[0]) for each in self.stretches), default=self.now_ns)

    def of(self, key: SeriesKey | None) -> Stretch | None:
        """What there is of a series."""
        return next((each for each in self.stretches if each.key == key), None)

    def at(self, t_ns: int) -> tuple[SeriesKey, int] | None:
        """The frame of a moment: of the last series that had begun by then."""
        begun = [each for each in self.stretches if each.t_ns[0] <= t_ns] or list(self.stretches[:1])
        return (begun[-1].key, begun[-1].index_at(t_ns)) if begun else None

    def beside(self, key: SeriesKey, index: int, step: int) -> tuple[SeriesKey, int] | None:
        """The frame so many further on; beyond the end of a series its neighbour's first or last one.

        ``index`` may be newer than what the session said last: one step back from it is one frame.
        """
        there = self.of(key)
        if there is None:
            return self.at(self.oldest_ns)
        place, wanted = self.stretches.index(there), index + step
        if step > 0 and wanted >= there.stop and place + 1 < len(self.stretches):
            following = self.stretches[place + 1]
            return following.key, following.first
        if wanted < there.first and place > 0:
            before = self.stretches[place - 1]
            return before.key, before.stop - 1
        return key, min(max(wanted, there.first), max(there.stop - 1, index))


def parse_past(answer: Mapping[str, Any]) -> PastFrames | None:
    """From the answer to "history"; None where it makes no sense."""
    now = answer.get("now_ns")
    if type(now) is not int:
        return None
    found = answer.get("stretches")
    stretches = tuple(filter(None, map(_stretch, found if isinstance(found, list) else [])))
    return PastFrames(now, stretches, tuple(_marks(answer.get("marks"))))


def _stretch(part: object) -> Stretch | None:
    match part:
        case {
            "epoch": bytes(epoch),
            "series": int(number),
            "first": int(first),
            "stop": int(stop),
            "state": str(state),
            "t_ns": list(times),
            "index": list(numbers),
        } if len(times) == len(numbers) > 0 and first < stop and all(map(_is_whole, times + numbers)):
            t_ns, index = np.array(times, np.int64), np.array(numbers, np.int64)
            if (np.diff(t_ns) >= 0).all() and (np.diff(index) > 0).all():
                return Stretch(SeriesKey(epoch, number), first, stop, state, t_ns, index)
    return None


def _is_whole(value: object) -> bool:
    return type(value) is int and abs(value) < 1 << 62


def _marks(part: object) -> Iterator[Mark]:
    for row in part if isinstance(part, list) else []:
        match row:
            case [int(t_ns), str(kind), str(text)]:
                yield Mark(t_ns, kind, text)
