"""When the next frame is due: a schedule of absolute deadlines on the monotonic clock, so that nothing
drifts."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

Clock = Callable[[], float]


class Pace:
    """Deadlines of one series at ``rate`` frames/s; ``inf`` = no waiting."""

    def __init__(self, rate: float, clock: Clock = time.monotonic) -> None:
        self._interval = 1.0 / rate
        self._clock = clock
        self._origin: float | None = None
        self._furthest = -1
        self.behind_s = 0.0
        """The worst that a message was late; it grows when the receiver does not keep up."""

    def wait(self, frame: int, stop: Event) -> bool:
        """Wait until ``frame`` is due, the first one at once; False when stopped meanwhile.

        A message that is late is due at once, and the next ones keep their times. Frames behind ones that
        were due already (held back or repeated by a fault) are due at once too, and not late.
        """
        if frame <= self._furthest:
            return not stop.is_set()
        self._furthest = frame
        now = self._clock()
        if self._origin is None:
            self._origin = now - frame * self._interval
        delay = self._origin + frame * self._interval - now
        if delay > 0:
            return not stop.wait(delay)
        if self._interval:
            self.behind_s = max(self.behind_s, -delay)
        return not stop.is_set()

    def stall(self, seconds: float, stop: Event) -> bool:
        """Pause; all later deadlines move by as much."""
        if self._origin is not None:
            self._origin += seconds
        return not stop.wait(seconds)
