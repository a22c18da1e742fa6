"""When the frames of a recording are due again: recorded times, cleaned, on a clock that can be paused.

No messages and no clock of its own: the time is handed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....errors import UsageError
from ...files.acquisition import Acquisition

Nanoseconds = npt.NDArray[np.int64]

SCAN_RATE, MOVIE_RATE = 1000.0, 25.0
"""Frames per second where a file says nothing: a scan that fills while one watches, a film."""
LONGEST_PAUSE_NS = 60 * 1_000_000_000
"""A detector's clock that was set during the series must not stop the replay for hours."""
LOOKED_AT = 1 << 20
"""Recorded times that are read for the mean interval: 8 MiB."""
LONGEST_FRAME_TIME = 3600.0
"""Seconds; above that a frame time is an error of whoever wrote it."""
SLOWEST, FASTEST = 1e-6, 1e6
"""Limits of the speed, beside "max"."""
LATE_NS = 250_000_000
"""Behind by more than that, the rest is played later, not faster: a slow disk makes no slideshow."""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A recording's time as a whole."""

    interval_ns: float
    """From frame to frame, on average."""
    note: str = ""
    """What the user should know about the pace."""

    @classmethod
    def of(cls, acquisition: Acquisition, count: int) -> TimeAxis:
        """By the recorded times, else by the frame time, else as is usual."""
        if (interval := _recorded_interval(acquisition, count)) is not None:
            return cls(interval)
        frame_time = acquisition.meta.get("frame_time")
        if isinstance(frame_time, (int, float)) and 0 < frame_time <= LONGEST_FRAME_TIME:
            return cls(1e9 * frame_time)
        rate = MOVIE_RATE if acquisition.scan is None else SCAN_RATE
        return cls(1e9 / rate, f"it says nothing about its pace, taken as {rate:g} frames/s")

    def seconds(self, index: int) -> float:
        """About when frame ``index`` is due, from the beginning."""
        return index * self.interval_ns / 1e9


def _recorded_interval(acquisition: Acquisition, count: int) -> float | None:
    """Mean ns from frame to frame by the recorded times; None when they say nothing."""
    times = acquisition.times(0, min(count, LOOKED_AT)) if count > 1 else None
    known = np.zeros(0, np.int64) if times is None else np.flatnonzero(times > 0)
    if times is None or len(known) < 2:
        return None
    first, last = int(known[0]), int(known[-1])
    span = int(times[last]) - int(times[first])
    return span / (last - first) if span > 0 else None


class RecordedTimes:
    """The times of frames on the recording's own axis, taken in order of their numbers.

    Parameters
    ----------
    interval_ns : float
        Between two frames, where no times were recorded.
    """

    def __init__(self, interval_ns: float) -> None:
        self._interval_ns = interval_ns
        self._longest = max(LONGEST_PAUSE_NS, 3 * interval_ns)
        self.forget()

    def forget(self) -> None:
        """The next frames follow on none."""
        self._index: int | None = None
        self._recorded = 0
        self._axis = 0

    def of(self, first: int, count: int, recorded: Nanoseconds | None) -> Nanoseconds:
        """(count,) ns on an axis that never runs backwards, for the frames that follow the last ones.

        A recorded time <= 0 is unknown and lies between its neighbours.
        """
        indices = np.arange(first, first + count, dtype=np.int64)
        known = np.zeros(0, np.int64) if recorded is None else np.flatnonzero(recorded > 0)
        if recorded is None or not len(known):
            times = self._by_number(indices)
        else:
            whole = np.interp(indices, indices[known], recorded[known].astype(np.float64))
            times = self._by_clock(np.where(recorded > 0, recorded, whole.astype(np.int64)))
        self._index = first + count - 1
        self._axis = int(times[-1])
        return times

    def _by_number(self, indices: Nanoseconds) -> Nanoseconds:
        before = int(indices[0]) if self._index is None else self._index
        self._recorded = 0
        return self._axis + ((indices - before) * self._interval_ns).astype(np.int64)

    def _by_clock(self, recorded: Nanoseconds) -> Nanoseconds:
        before = self._recorded or int(recorded[0])
        self._recorded = int(recorded[-1])
        steps = np.clip(np.diff(recorded, prepend=before), 0, int(self._longest))
        return self._axis + np.cumsum(steps)


class PlaybackClock:
    """Maps the recording's axis to the wall's, at any speed.

    Parameters
    ----------
    speed : float
        1 = as recorded; inf = everything is due at once.
    """

    def __init__(self, speed: float) -> None:
        self.speed = checked_speed(speed)
        self._anchor: tuple[int, int] | None = None

    def stop(self) -> None:
        """The frame that is looked at next will be due at that moment."""
        self._anchor = None

    def set_speed(self, speed: float) -> None:
        """Go on from where we are at another speed."""
        self.speed = checked_speed(speed)
        self._anchor = None

    def due_ns(self, axis: int, now: int) -> int:
        """When the frame at ``axis`` is due."""
        if math.isinf(self.speed):
            return now
        if self._anchor is None:
            self._anchor = now, axis
        wall, origin = self._anchor
        due = wall + int((axis - origin) / self.speed)
        if now - due > LATE_NS:
            self._anchor, due = (now, axis), now
        return due

    def pause_ns(self, axis: float) -> int:
        """How long a stretch of the axis takes; 0 at unlimited speed."""
        return int(axis / self.speed)

    def reached(self, now: int) -> float:
        """How far the recording's axis is due now; inf at unlimited speed."""
        if math.isinf(self.speed) or self._anchor is None:
            return math.inf
        wall, origin = self._anchor
        return origin + (now - wall) * self.speed


def checked_speed(speed: float) -> float:
    """Raises UsageError unless it is SLOWEST to FASTEST, or inf."""
    if SLOWEST <= speed <= FASTEST or speed == math.inf:
        return float(speed)
    raise UsageError(
        f"the speed is {str(speed)[:40]}; it must be above 0 (1 = as recorded, from {SLOWEST:g} to "
        f"{FASTEST:g}), or 'max'"
    )
