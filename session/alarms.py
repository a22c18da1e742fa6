"""What the user should know of a running session, each thing once. Knows texts; shows nothing."""

from __future__ import annotations

from collections import deque

ALARMS_KEPT, ALARM_LENGTH = 20, 500
"""Together 10 kB of the 64 kB that a status may have."""


class Alarms(deque[str]):
    """The newest alarms, the newest last."""

    def __init__(self) -> None:
        super().__init__(maxlen=ALARMS_KEPT)

    def take(self, text: str) -> bool:
        """Enter an alarm, cut to ALARM_LENGTH; False when it is there already."""
        text = text if len(text) <= ALARM_LENGTH else f"{text[: ALARM_LENGTH - 4]} ..."
        if text in self:
            return False
        self.append(text)
        return True
