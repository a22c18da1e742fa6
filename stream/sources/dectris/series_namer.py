"""Series keys for detectors that number their series and send no epoch."""

from __future__ import annotations

import os
from collections.abc import Callable

from ...series import Series, SeriesKey

EPOCH_BYTES = 8


def random_epoch() -> bytes:
    return os.urandom(EPOCH_BYTES)


class SeriesNamer:
    """Gives each series a key of its own, although a detector that was restarted counts from the start again.

    Parameters
    ----------
    draw : callable
        Gives 8 bytes that were never given before.
    """

    def __init__(self, draw: Callable[[], bytes] = random_epoch) -> None:
        self._draw = draw
        self._epoch = draw()
        self._last = -1

    def begin(self, number: int) -> SeriesKey:
        """The key of a series that begins now; a number that does not go up begins another epoch."""
        if number <= self._last:
            self._epoch = self._draw()
        self._last = number
        return SeriesKey(self._epoch, number)

    def key(self, number: int) -> SeriesKey:
        """The key of frames that say they belong to series ``number``."""
        return SeriesKey(self._epoch, number)

    def resume(self, series: Series) -> None:
        """Go on with the epoch of a series that a former process left open."""
        self._epoch, self._last = series.key.epoch, series.key.number
