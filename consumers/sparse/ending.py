"""When a series will end, so that nothing long is begun just before: its last samples wait for no other work.

Knows numbers of frames and a clock; no samples, no pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable


class Ending:
    """The end of a series of announced length, expected from how fast its frames come.

    Parameters
    ----------
    count : frames of the series; None: nobody knows, then the end is never near.
    clock : s.
    """

    def __init__(self, count: int | None, clock: Callable[[], float]) -> None:
        self._count, self._clock = count, clock
        self._newest, self._at = 0, clock()
        self._mark: tuple[int, float] | None = None
        """Frames, and when, from which on the rate is taken."""

    def came(self, newest: int) -> None:
        """Frames up to this number have come."""
        self._newest, self._at = newest + 1, self._clock()
        if self._mark is None:
            self._mark = self._newest, self._clock()

    def begins(self) -> None:
        """Of a picture: the rate is that of the frames since the one before."""
        self._mark = self._newest, self._clock()

    def is_within(self, seconds: float) -> bool:
        """Whether the last frame has not come, and will before so much time has passed.

        Not if nothing has come for as long: frames may be lost, and senders stop.
        """
        silent = self._clock() - self._at
        return self._left() - silent < seconds and silent < seconds

    def _left(self) -> float:
        """s from the newest frame to the last; inf where that is unknown, or where the last is there."""
        if self._count is None or self._mark is None or self._newest >= self._count:
            return math.inf
        frames, since = self._mark
        if self._newest <= frames or self._at <= since:
            return math.inf
        return (self._count - self._newest) * (self._at - since) / (self._newest - frames)
