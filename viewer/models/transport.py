"""Where a replay is, read tolerantly from the session's status, and the words for it. Knows no window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .numbers import count_text

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0, math.inf)
"""What the window offers; others can be asked for on the command line."""
MAX = "max"


@dataclass(frozen=True, slots=True)
class Playback:
    """A replay at one moment."""

    index: int
    """Frames behind us: the newest one shown is the one before."""
    count: int
    seconds: float = 0.0
    duration: float = 0.0
    speed: float = 1.0
    paused: bool = False
    ended: bool = False

    @property
    def playing(self) -> bool:
        return not (self.paused or self.ended)

    def at(self, index: int) -> Playback:
        """The same replay elsewhere."""
        seconds = self.duration * index / self.count if self.count else 0.0
        return Playback(index, self.count, seconds, self.duration, self.speed, self.paused, self.ended)


def playback_of(status: Mapping[str, Any]) -> Playback | None:
    """What a session's status says of its replay; None when it is none, or says nothing sensible."""
    source = status.get("source")
    replay = source.get("replay") if isinstance(source, Mapping) else None
    return parse_playback(replay) if isinstance(replay, Mapping) else None


def parse_playback(replay: Mapping[str, Any]) -> Playback | None:
    """The position as a replay reports it."""
    index, count = _number(replay.get("index")), _number(replay.get("count"))
    if index is None or count is None or not 0 <= index <= count:
        return None
    speed = math.inf if replay.get("speed") == MAX else _number(replay.get("speed")) or 1.0
    return Playback(
        int(index),
        int(count),
        _number(replay.get("seconds")) or 0.0,
        _number(replay.get("duration")) or 0.0,
        speed,
        replay.get("paused") is True,
        replay.get("ended") is True,
    )


def _number(value: object) -> float | None:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None  # type: ignore[arg-type]


def position_text(playback: Playback) -> str:
    """ "1,234 / 16,384"."""
    return f"{count_text(playback.index)} / {count_text(playback.count)}"


def time_text(playback: Playback) -> str:
    """ "0:12.3 / 1:02.0" in minutes and seconds; in milliseconds where a recording is that short."""
    if playback.duration < 1.0:
        return f"{1e3 * playback.seconds:.0f} / {1e3 * playback.duration:.0f} ms"
    return f"{_clock(playback.seconds)} / {_clock(playback.duration)}"


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}" if hours else f"{minutes}"
    return f"{f'{hours}:' if hours else ''}{text}:{rest / 10:04.1f}"


def speed_text(speed: float) -> str:
    """ "0.5 x", "max"."""
    return MAX if math.isinf(speed) else f"{speed:g} x"


def speed_value(speed: float) -> float | str:
    """A speed as the session takes it."""
    return MAX if math.isinf(speed) else speed
