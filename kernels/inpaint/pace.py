"""How long solvers take for a picture, so that one that is too slow for a scan is known."""

from __future__ import annotations

from collections import deque

WATCHED = 3
"""Pictures in a row: one that is late may be the machine's fault."""
FAR = 3.0
"""Times too long, of which one is enough."""
FORGOTTEN = 100
"""Pictures of others after which a solver may be tried again, 3 s at 30 a second: the machine may have been
busy then, and what is slow still costs one late picture in so many."""


class Pace:
    """The newest times of each solver."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._last: dict[str, int] = {}
        """Number of the newest picture of each."""
        self._pictures = 0

    def took(self, solver: str, seconds: float) -> None:
        """A picture was solved, from the one before it on."""
        self._pictures += 1
        self._times.setdefault(solver, deque(maxlen=WATCHED)).append(seconds)
        self._last[solver] = self._pictures
        for old in [name for name, last in self._last.items() if last <= self._pictures - FORGOTTEN]:
            del self._times[old], self._last[old]

    def slower_than(self, seconds: float) -> frozenset[str]:
        """Solvers that took longer every time; of several, all but the fastest."""
        slow = {name: min(times) for name, times in self._times.items() if self._is_slow(times, seconds)}
        if len(slow) == len(self._times) > 1:
            slow.pop(min(slow, key=lambda name: slow[name]))
        return frozenset(slow)

    @staticmethod
    def _is_slow(times: deque[float], seconds: float) -> bool:
        return times[-1] > FAR * seconds or (len(times) == WATCHED and min(times) > seconds)
