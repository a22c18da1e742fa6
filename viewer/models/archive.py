"""The last results of series that are over, kept for browsing: bounded in bytes, the newest stay.

Knows results and what a session says of its series; no window, and not which series is shown.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from ...stream.results import Result, valid_of
from ...stream.series import SeriesKey
from .status import Status

ARCHIVE_BYTES = 256 << 20
"""200 scans of 256 x 256 with four images; one scan of 4096 x 4096 with two."""
VERDICTS_KEPT = 256
"""Series whose end is remembered: the status may tell it before the results are here."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a series ended."""

    state: str = ""
    """"complete", "incomplete", or empty where nobody said."""
    reason: str = ""


@dataclass(slots=True)
class PastSeries:
    """One series that is over."""

    key: SeriesKey
    ended_at: float
    """time.time() at which its first last result came here."""
    verdict: Verdict = Verdict()
    results: dict[str, Result] = field(default_factory=dict)
    """By topic."""
    filled: float = 0.0
    """Share of the scan that was measured: the most of all its images, since an empty frame has no centre."""

    @property
    def nbytes(self) -> int:
        """Bytes of all its arrays."""
        return sum(result.nbytes for result in self.results.values())

    @property
    def clock_text(self) -> str:
        """ "14:02:11", local time."""
        return time.strftime("%H:%M:%S", time.localtime(self.ended_at))


class Archive:
    """Series that are over, oldest first.

    Parameters
    ----------
    limit : int
        Bytes of arrays that are kept; the newest series always is.
    now : callable
        Seconds since 1970.
    """

    def __init__(self, limit: int = ARCHIVE_BYTES, now: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self.forgotten = 0
        """Series that had to leave for newer ones."""
        self._now = now
        self._series: dict[SeriesKey, PastSeries] = {}
        self._verdicts: dict[tuple[str, int], Verdict] = {}
        self._nbytes = 0

    @property
    def series(self) -> tuple[PastSeries, ...]:
        """What is kept, oldest first."""
        return tuple(self._series.values())

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are kept."""
        return self._nbytes

    def get(self, key: SeriesKey | None) -> PastSeries | None:
        """The series of this key; None where it is not kept, or not any more."""
        return None if key is None else self._series.get(key)

    def keep(self, finals: Iterable[Result]) -> None:
        """Take last results. A topic of a series that comes once more (a detector changed after the end)
        replaces what was kept; a series stays where it is in the order."""
        for result in finals:
            if result.series is None:
                continue
            past = self._series.get(result.series) or self._begin(result.series)
            before = past.results.get(result.topic)
            past.results[result.topic] = result
            past.filled = max(past.filled, _filled(result))
            self._nbytes += result.nbytes - (0 if before is None else before.nbytes)
        while self._nbytes > self.limit and len(self._series) > 1:
            oldest = next(iter(self._series))
            self._nbytes -= self._series.pop(oldest).nbytes
            self.forgotten += 1

    def note(self, status: Status) -> None:
        """Take note of how the series that a status tells of has ended, if it has."""
        if status.series is None or status.series_state not in ("complete", "incomplete"):
            return
        name, verdict = (status.epoch, status.series), Verdict(status.series_state, status.incomplete)
        if self._verdicts.get(name) == verdict:
            return
        self._verdicts[name] = verdict
        if len(self._verdicts) > VERDICTS_KEPT:
            del self._verdicts[next(iter(self._verdicts))]
        for past in self._series.values():
            if _name(past.key) == name:
                past.verdict = verdict

    def _begin(self, key: SeriesKey) -> PastSeries:
        past = PastSeries(key, self._now(), self._verdicts.get(_name(key), Verdict()))
        self._series[key] = past
        return past


def _filled(result: Result) -> float:
    if result.kind != "image":
        return 0.0
    valid = valid_of(result)
    return float(np.count_nonzero(valid)) / valid.size


def _name(key: SeriesKey) -> tuple[str, int]:
    return key.epoch.hex(), key.number


def past_text(past: PastSeries) -> str:
    """ "series 3   14:02:11   complete"; where nobody said how it ended, how much of its scan there is."""
    ending = past.verdict.state
    if not ending and past.filled:
        ending = (
            "all pixels measured"
            if past.filled == 1
            else f"{math.floor(1000 * past.filled) / 10:g} % measured"
        )
    return "   ".join([f"series {past.key.number}", past.clock_text, *([ending] if ending else [])])


class Browser:
    """Which series is shown: the newest as it comes, or one that is over.

    Parameters
    ----------
    archive
        What there is to browse.
    newest : callable
        The series that is shown when nobody browses: it is live, and not among the past ones.
    """

    def __init__(self, archive: Archive, newest: Callable[[], SeriesKey | None]) -> None:
        self._archive, self._newest = archive, newest
        self._chosen: SeriesKey | None = None

    @property
    def shown(self) -> PastSeries | None:
        """The past series that is shown; None while it is the newest. One that left the archive is let go."""
        return self._archive.get(self._chosen)

    @property
    def past(self) -> tuple[PastSeries, ...]:
        """Series that can be gone back to, oldest first."""
        newest = self._newest()
        return tuple(past for past in self._archive.series if past.key != newest)

    @property
    def place(self) -> int | None:
        """Which of ``past`` is shown; None: the newest series."""
        keys = [past.key for past in self.past]
        return keys.index(self._chosen) if self._chosen in keys else None

    def older(self) -> None:
        """One series back; the oldest one stays."""
        past, place = self.past, self.place
        if past:
            self._chosen = past[len(past) - 1 if place is None else max(0, place - 1)].key

    def newer(self) -> None:
        """One series on; after the last one the newest again."""
        past, place = self.past, self.place
        forward = None if place is None else place + 1
        self._chosen = past[forward].key if forward is not None and forward < len(past) else None

    def show(self, key: SeriesKey) -> None:
        """This series, if it is kept."""
        self._chosen = key

    def live(self) -> None:
        """The newest series again."""
        self._chosen = None
