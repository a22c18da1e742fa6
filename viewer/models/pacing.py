"""How often to draw: 30 times a second, or less when drawing is what costs."""

from __future__ import annotations

DISPLAY_HZ = 30.0
MAX_DUTY = 0.6
"""Share of the window's thread that drawing may take; the rest keeps mouse and keyboard alive."""
SLOWEST = 1.0
SMOOTHING = 0.2


class Pacing:
    """The pause between two display ticks, from what the last ones cost."""

    def __init__(self, hz: float = DISPLAY_HZ) -> None:
        self._shortest = 1.0 / hz
        self._cost = 0.0
        self.shown = 0
        """Live frames drawn so far."""

    def spent(self, seconds: float) -> None:
        """Tell what a tick cost."""
        self._cost += SMOOTHING * (seconds - self._cost)

    @property
    def interval(self) -> float:
        """Seconds from the start of one tick to the start of the next."""
        return min(SLOWEST, max(self._shortest, self._cost / MAX_DUTY))
