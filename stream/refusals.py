"""What was refused, in words: the first of each reason in each series, and of what belongs to none.

How many there were stands in the ledgers and in the ring's header; this remembers what a user has to read
once.
Knows rejections and keys of series; no sockets, no ring.
"""

from __future__ import annotations

from typing import Any

from .messages import Reason, Rejected
from .series import SeriesKey

TEXT_LENGTH = 500
"""Of a reason or an advice: a sender's own words may be in it, and a status may have 64 kB in all."""


class FirstRefusals:
    """Tells a first refusal from all that follow it; remembers the open series and what belongs to none."""

    def __init__(self) -> None:
        self._series: SeriesKey | None = None
        self._in_series: set[Reason] = set()
        self._outside: dict[Reason, Rejected] = {}

    def is_first(self, rejected: Rejected, series: SeriesKey | None) -> bool:
        """Whether it is the first of its reason in this series, or (None) outside of all of them."""
        reason = rejected.reason
        if reason is Reason.NOT_REPLAYED:  # the user has asked for it
            return False
        if series is None:
            return self._outside.setdefault(reason, rejected) is rejected
        if series != self._series:
            self._series, self._in_series = series, set()
        known = reason in self._in_series
        self._in_series.add(reason)
        return not known

    def unascribed(self, count: int) -> dict[str, Any] | None:
        """``count``, and the report of the first that belongs to no series; None where there is none."""
        first = next(iter(self._outside.values()), None)
        return None if first is None else {"count": count, **refusal_report(first, None)}


def refusal_report(rejected: Rejected, series: SeriesKey | None) -> dict[str, Any]:
    """One refusal as plain values: ``series`` and ``epoch`` (None = of no series), reason, text, advice."""
    return {
        "series": None if series is None else series.number,
        "epoch": None if series is None else series.epoch.hex(),
        "reason": str(rejected.reason),
        "text": rejected.detail[:TEXT_LENGTH],
        "advice": rejected.advice[:TEXT_LENGTH],
    }
