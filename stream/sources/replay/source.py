"""A recording played back as if its detector sent it again: the same numbers, gaps, bytes and pace.

A source without a socket: it reads in the ingest process, so that pause, step and seek act at once. What a
file holds is known to files/, when a frame is due to pace.py.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ....errors import SourceError, UsageError
from ...files.open_file import open_file
from ...messages import (
    DEFAULT_LIMITS,
    End,
    FrameBatch,
    Limits,
    Message,
    Reason,
    Rejected,
    Start,
    frame_too_large,
)
from ...series import Series, SeriesKey
from ..base import Link, Pollable
from ..plan import SourcePlan
from .frame_reader import Damage, FrameReader, Piece, ReadAhead
from .pace import Nanoseconds, PlaybackClock, RecordedTimes, TimeAxis
from .recorded_series import recorded_series

State = Literal["held", "playing", "paused", "ended"]
MAX = "max"
"""How unlimited speed is written; JSON has no infinity."""
REJECTED_AT_ONCE = 1 << 20
"""The assembler lets no single message reach further ahead in a series without an announced end."""
LULL_NS = 300_000_000
"""Between two rounds when frames were missing, as an END is waited on for 100 ms, for stragglers; and after a
round that was shorter: nobody can look at thousands of series a second."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What is played and how. Plain values: travels to a spawned process."""

    path: str
    """FILE or FILE#KEY."""
    speed: float = 1.0
    """1 = as recorded; inf = as fast as the ring takes it."""
    loop: bool = False
    """Begin again at the end, as a new series."""
    start_paused: bool = False
    """Show the first frame and wait."""


def replay_plan(options: ReplayOptions) -> SourcePlan:
    """For a session; the file itself is opened in the ingest process."""
    make = functools.partial(ReplaySource, options)
    return SourcePlan(make, ends=not options.loop, recording=options.path)


class ReplaySource:
    """A file as a source; see Source for the contract, Playback for ``command`` and ``position``.

    Parameters
    ----------
    options : ReplayOptions
    limits : Limits, optional
        ``max_frame_bytes``: what the ring can hold.
    clock : callable, optional
        Monotonic ns.

    Notes
    -----
    Each round and each seek is a series of its own, with the next number. One that begins in the middle
    rejects what lies before as "not_replayed": its frames keep their numbers and their places in the scan,
    its announced count stays, and nothing counts as lost that was not lost when it was recorded.
    """

    def __init__(
        self,
        options: ReplayOptions,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._options, self._limits, self._now = options, limits, clock
        self._clock = PlaybackClock(options.speed)
        self._state: State = "held"
        self._opening: deque[Message] = deque()
        """Announcement of a round that has not gone out."""
        self._closing: deque[Message] = deque()
        """The end of a round that was left; goes out whatever the state is."""
        self._piece: Piece | None = None
        self._due: Nanoseconds = np.zeros(0, np.int64)
        self._at = self._index = self._to_show = self._missing = 0
        self._not_before: int | None = None
        self._began: int | None = None
        self._start_paused = options.start_paused

    # -- Source ----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the file. Raises SourceError when it cannot be read or its frames fit no block of the ring."""
        acquisition = self._acquisition = open_file(self._options.path)
        self._series, self._count = recorded_series(acquisition, os.urandom(8))
        if self._series.frame_bytes > self._limits.max_frame_bytes:
            raise SourceError(
                f"{acquisition.name}: {frame_too_large(self._series, self._limits)}; give the ring more "
                "memory ([ring] bytes of the pipeline file)"
            )
        self._tables = acquisition.tables()
        assert acquisition.count is not None  # recorded_series saw to that
        readable = min(self._count, acquisition.count)  # more may have been sent than announced
        self._axis = TimeAxis.of(acquisition, readable)
        self._times = RecordedTimes(self._axis.interval_ns)
        self._ahead = ReadAhead(FrameReader(acquisition, readable))
        self._begin(0)

    def resume(self, series: Series) -> None:
        """Go on with this series; ``go_on_at`` says where."""
        self._series = replace(self._series, key=series.key)
        self._opening.clear()
        self._state = "playing"

    def go_on_at(self, index: int) -> None:
        """After ``resume``: the first frame that the former process had not published."""
        self._move_to(min(index, self._count))

    def pollables(self) -> list[Pollable]:
        """The bell of the reading thread."""
        return [self._ahead.pollable]

    def due_ns(self) -> int | None:
        """When the next message is due; None while held, paused, at the end, or waiting for the disk."""
        if self._closing:
            return self._now()
        if self._state == "held" or self._not_before is not None:
            return self._not_before
        if self._opening:
            return self._now()
        if not self._moving or (self._piece is None and self._ahead.waiting):
            return None
        if self._piece is None or self._state == "paused":
            return self._now()
        return self._clock.due_ns(int(self._due[self._at]), self._now())

    def receive(self) -> Message | None:
        """The next message that is due."""
        self._ahead.hear()
        if self._closing:
            return self._closing.popleft()
        if self._state == "held" or self._resting():
            return None
        if self._opening:
            self._began = self._now()
            return self._opening.popleft()
        return self._next() if self._moving else None

    def _resting(self) -> bool:
        if self._not_before is not None and self._now() >= self._not_before:
            self._not_before = None
        return self._not_before is not None

    def link(self) -> Link:
        """The file is always there."""
        note = f": {self._axis.note}" if self._axis.note else ""
        return Link(peers=1, ever_connected=True, detail=f"replay of {self._acquisition.name}{note}")

    def close(self) -> None:
        """End the reading thread."""
        if (ahead := getattr(self, "_ahead", None)) is not None:
            ahead.close()

    # -- Playback --------------------------------------------------------------------------------------

    def command(self, action: str, value: Any = None) -> Mapping[str, Any]:
        """Do as told and return ``position``.

        ``go`` (everybody is ready), ``pause``, ``resume`` (from the start when ended), ``step`` (value:
        frames to show, default 1; below 0: backwards), ``seek`` (value: index), ``speed`` (value: a factor
        or "max").

        Raises
        ------
        UsageError
            An unknown action, or a value that it cannot take.
        """
        actions: Mapping[str, Callable[[Any], None]] = {
            "go": self._go,
            "pause": self._pause,
            "resume": self._resume,
            "step": self._step,
            "seek": self._seek,
            "speed": self._set_speed,
        }
        if action not in actions:
            raise UsageError(f"a replay has no {action!r}; it has: {', '.join(actions)}")
        actions[action](value)
        return self.position()

    def position(self) -> Mapping[str, Any]:
        """Where we are, as plain values: ``index`` frames of ``count`` are behind us."""
        speed = self._clock.speed
        return {
            "index": self._index,
            "count": self._count,
            "seconds": round(self._axis.seconds(self._index), 6),
            "duration": round(self._axis.seconds(self._count), 6),
            "speed": MAX if math.isinf(speed) else speed,
            "paused": self._state == "paused",
            "ended": self._state == "ended",
            "loop": self._options.loop,
        }

    def _go(self, _value: Any) -> None:
        if self._state == "held":
            self._state = "playing"
            if self._start_paused:
                self._hold_at_next()

    def _pause(self, _value: Any) -> None:
        self._start_paused = True
        if self._state == "playing":
            self._state, self._to_show = "paused", 0

    def _resume(self, _value: Any) -> None:
        self._start_paused = False
        if self._state == "ended":
            self._next_key()
            self._begin(0)
        if self._state != "held":
            self._state = "playing"
            self._clock.stop()

    def _step(self, value: Any) -> None:
        frames = 1 if value is None else _integer("step", value)
        if frames < 0:
            self._pause(None)
            self._jump(self._ahead.at_or_before(max(0, self._index - 1 + frames)))
        elif self._state in ("playing", "paused"):
            self._state, self._to_show = "paused", frames

    def _seek(self, value: Any) -> None:
        index = _integer("seek", value)
        if not 0 <= index < self._count:
            raise UsageError(f"there is no frame {index}; the recording has {self._count}, from 0 on")
        self._jump(index)

    def _set_speed(self, value: Any) -> None:
        speed = math.inf if value == MAX else value
        if isinstance(speed, bool) or not isinstance(speed, (int, float)):
            raise UsageError(f"the speed is {value!r}; it must be a number above 0, or 'max'")
        self._clock.set_speed(speed)

    # -- rounds ----------------------------------------------------------------------------------------

    def _jump(self, index: int) -> None:
        """A new series that begins at ``index``; what plays goes on playing, what stands shows that frame."""
        announced = not (self._opening and isinstance(self._opening[0], Start))
        if announced and self._state != "ended":
            self._closing.extend([*self._opening, End(self._series.key, self._index)])
        if announced:
            self._next_key()
        self._begin(index)
        if self._state in ("paused", "ended"):
            self._hold_at_next()

    def _hold_at_next(self) -> None:
        self._state, self._to_show = "paused", 1

    def _next_key(self) -> None:
        key = self._series.key
        self._series = replace(self._series, key=SeriesKey(key.epoch, key.number + 1))

    def _begin(self, index: int) -> None:
        key = self._series.key
        self._opening = deque([Start(self._series, self._tables)])
        for first in range(0, index, REJECTED_AT_ONCE):
            n = min(REJECTED_AT_ONCE, index - first)
            self._opening.append(
                Rejected(Reason.NOT_REPLAYED, f"played from frame {index} on", key, first, n)
            )
        self._missing = 0
        self._not_before = None
        self._move_to(index)

    def _move_to(self, index: int) -> None:
        self._index, self._piece, self._at = index, None, 0
        self._ahead.seek(index)
        self._times.forget()
        self._clock.stop()

    def _end_round(self) -> Message:
        ended = End(self._series.key, self._count)
        missing = self._missing + self._count - self._index
        self._index = self._count
        rest = self._rest_ns(missing)
        if self._options.loop and self._state == "playing":
            self._next_key()
            self._begin(0)
            self._not_before = self._now() + rest
        else:
            self._state = "ended"
        return ended

    def _rest_ns(self, missing: int) -> int:
        """From the last frame of a round to the next one's first: as between two frames."""
        short = self._began is None or self._now() - self._began < LULL_NS
        pause = self._clock.pause_ns(self._axis.interval_ns)
        return max(pause, LULL_NS) if missing or short else pause

    # -- frames ----------------------------------------------------------------------------------------

    @property
    def _moving(self) -> bool:
        return self._state == "playing" or (self._state == "paused" and self._to_show > 0)

    def _next(self) -> Message | None:
        if self._piece is None:
            part = self._ahead.take()
            if part is None:
                return self._end_round() if self._ahead.at_end else None
            self._missing += part.first - self._index
            if isinstance(part, Damage):
                return self._damaged(part)
            self._piece, self._at = part, 0
            self._due = self._times.of(part.first, part.count, part.times)
        return self._frames(self._piece)

    def _damaged(self, part: Damage) -> Rejected:
        self._index = part.first + part.count
        return Rejected(Reason.BAD_PAYLOAD, part.detail, self._series.key, part.first, part.count)

    def _frames(self, piece: Piece) -> FrameBatch | None:
        n = self._frames_due(piece)
        if n == 0:
            return None
        batch = _batch(self._series, piece, self._at, self._at + n)
        self._at += n
        self._index = piece.first + self._at
        if self._at == piece.count:
            self._piece = None
        return batch

    def _frames_due(self, piece: Piece) -> int:
        left = piece.count - self._at
        if self._state == "paused":
            n = min(left, self._to_show)
            self._to_show -= n
            return n
        now = self._now()
        if self._clock.due_ns(int(self._due[self._at]), now) > now:
            return 0
        reached = self._clock.reached(now)
        if math.isinf(reached):
            return left
        return max(1, int(np.searchsorted(self._due[self._at :], reached, "right")))


def _batch(series: Series, piece: Piece, at: int, upto: int) -> FrameBatch:
    """The frames ``at .. upto - 1`` of a piece; views."""
    if piece.sizes is None:
        begin, end = at * series.frame_bytes, upto * series.frame_bytes
    else:
        begin = int(piece.sizes[:at].sum())
        end = begin + int(piece.sizes[at:upto].sum())
    time_ns = None if piece.times is None else int(piece.times[at])
    return FrameBatch(
        series.key,
        piece.first + at,
        upto - at,
        time_ns if time_ns and time_ns > 0 else None,
        None if piece.sizes is None else piece.sizes[at:upto],
        piece.payload[begin:end],
        None if piece.positions is None else piece.positions[at:upto],
    )


def _integer(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 != 0:
        raise UsageError(f"{what} is {value!r}; it must be a whole number of frames")
    return int(value)
