"""What a worker tells its session beside results: alarms of its consumer, and the errors that it raised.

Knows the line to the supervisor; no ring, no results.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from ...stream.series import Series
from ..base import Consumer


class Telling:
    """See the module.

    Parameters
    ----------
    report : sends a message of a kind to the supervisor.
    count : counts an error in the accounting.
    """

    def __init__(self, report: Callable[..., object], count: Callable[[], object]) -> None:
        self._report, self._count = report, count
        self._errors = 0
        self._said: set[str] = set()
        """Alarms of the open series."""

    def begin(self) -> None:
        """Another series: what was said of the last one may be said again."""
        self._said.clear()

    def alarms_of(self, consumer: Consumer[Any]) -> None:
        """What it wants the user to know, each text once a series."""
        try:
            for text in consumer.alarms():
                if text not in self._said:
                    self._said.add(text)
                    self._report("alarm", text=text)
        except Exception as error:  # noqa: BLE001 - a consumer's error must not take the session down
            self.error(error)

    def error(self, error: Exception) -> None:
        """Count; report the 1st, 2nd, 4th, 8th, ... with its traceback."""
        self._errors += 1
        self._count()
        if self._errors & (self._errors - 1) == 0:
            text = "".join(traceback.format_exception(error))
            self._report("consumer_error", times=self._errors, traceback=text)


def unseen_text(name: str, series: Series) -> str:
    """A change came too late for the series."""
    return (
        f"{name} was changed so late that series {series.key.number} ended before it had seen all frames "
        "again: its last result lacks some; the picture goes on filling for now"
    )


def hole_text(name: str, series: Series, lacking: int, first: int) -> str:
    """What was to be seen again is gone."""
    return (
        f"{name} began series {series.key.number} anew, and the ring no longer has its beginning: the "
        f"picture lacks {lacking} of the first {first} frames; record, or make the ring ([ring] bytes) larger"
    )
