"""What the user should know of a running session, each thing once. Knows texts; shows nothing."""

from __future__ import annotations

from collections import deque

ALARMS_KEPT, ALARM_LENGTH = 20, 500
"""Together 10 kB of the 64 kB that a status may have."""
TEXTS_KNOWN = 1000
"""Told already, though others have pushed them out of what is shown: 0.5 MB."""


class Alarms(deque[str]):
    """The newest alarms, the newest last."""

    def __init__(self) -> None:
        super().__init__(maxlen=ALARMS_KEPT)
        self._told: dict[str, None] = {}

    def take(self, text: str) -> bool:
        """Enter an alarm, cut to ALARM_LENGTH; False when it was told before."""
        text = text if len(text) <= ALARM_LENGTH else f"{text[: ALARM_LENGTH - 4]} ..."
        if text in self._told:
            return False
        if len(self._told) == TEXTS_KNOWN:
            del self._told[next(iter(self._told))]
        self._told[text] = None
        self.append(text)
        return True
