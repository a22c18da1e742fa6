"""How fast something is counted up: over the last two seconds. Knows numbers and a clock's reading."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_S = 2.0
LEAST_S = 0.5
"""Of less time a rate says nothing."""


class Rate:
    """Counts a second of a counter that begins anew with each series."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def see(self, count: int | None, now: float) -> float | None:
        """Take the counter as it is; the rate over the last two seconds, None while that is not known."""
        samples = self._samples
        if count is None or (samples and count < samples[-1][1]):
            samples.clear()
        if count is None:
            return None
        samples.append((now, count))
        while len(samples) > 2 and now - samples[1][0] >= WINDOW_S:
            samples.popleft()
        span = now - samples[0][0]
        return (count - samples[0][1]) / span if span >= LEAST_S else None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast frames go through, per second; None where it is not known."""

    analysed: float | None = None
    shown: float | None = None
