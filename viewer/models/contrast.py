"""Grey levels that follow the picture without flickering.

Levels are percentiles of all finite pixels of the picture as it came, whatever part of it is looked at. They
rest while the percentiles stay within a dead band, and glide when they leave it, so that Poisson noise moves
nothing and a filling scan never jumps.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.percentiles import Distribution, Listed, distribution

Flags = npt.NDArray[np.bool_]

SAMPLES = 65_536
"""Pixels of a picture up to which it is looked at where it comes: 1 to 2 ms of the window's thread. The first
levels of a larger one are those of so many of its pixels."""
PERIOD_S = 0.1
DUTY = 0.2
"""Share of its time in which the thread may look at the pictures of one pane."""
RARE, ALONE = 0.25, 0.7
"""Pixels above the darkest one are events when fewer than that share are, and when fewer than that share of
them have another at their right: of spots of 3 x 3 pixels two thirds have."""
FAR = 4e307
"""Levels beyond have no finite span."""


@dataclass(frozen=True, slots=True)
class Levels:
    """Values drawn as black and as white."""

    low: float
    high: float

    @property
    def span(self) -> float:
        return self.high - self.low

    def distance(self, other: Levels) -> float:
        """Largest shift of an end, in units of this span."""
        return max(abs(self.low - other.low), abs(self.high - other.high)) / self.span


@dataclass(frozen=True, slots=True)
class ContrastRule:
    """How levels are found and how they follow."""

    low_percent: float = 0.5
    high_percent: float = 99.5
    dead_band: float = 0.12
    """Shift, in spans, that wakes the levels."""
    settled: float = 0.01
    """Shift, in spans, at which they rest again."""
    time_constant: float = 0.15
    """Seconds in which a glide covers 63 % of its way."""
    symmetric: bool = False
    """The same level above and below 0: for values with a sign that matters."""
    jump: float = 3.0
    """Shift, in spans, that is another picture altogether: taken at once."""


FRAME_RULE = ContrastRule(low_percent=0.5, high_percent=99.8)
SCAN_RULE = ContrastRule()
SIGNED_RULE = ContrastRule(symmetric=True)


def stride(pixels: int) -> int:
    """Step along rows and columns that leaves about SAMPLES of so many pixels.

    Odd, since an even one can be a multiple of a lattice's period and would then meet a single phase of it.
    """
    step = max(1, math.isqrt(max(1, pixels // SAMPLES)))
    return step + (step > 1 and step % 2 == 0)


def sample(image: npt.NDArray[Any], valid: Flags | None = None) -> npt.NDArray[Any]:
    """Evenly strided finite pixels, at most about SAMPLES of them, as a flat array."""
    step = stride(image.size)
    part = image[::step, ::step]
    if valid is not None:
        part = part[valid[::step, ::step]]
    part = part.ravel()
    return part[np.isfinite(part)] if part.dtype.kind == "f" else part


def percentile_levels(values: Distribution, rule: ContrastRule) -> Levels | None:
    """Levels of what there is; None where there is nothing. The span is never zero.

    Where the percentiles coincide, as they do on a dark ground with few events, the upper one is that of
    the values above the ground: a single hot pixel would make them all as dark as the ground.
    """
    if values.size == 0:
        return None
    low, high = values.percentiles((rule.low_percent, rule.high_percent))
    if high <= low and (events := values.above(low)).size:
        (high,) = events.percentiles((rule.high_percent,))
    elif high <= low:
        low = values.lowest
    if rule.symmetric:
        high = max(abs(low), abs(high))
        low = -high
    return _apart(low, high)


def _apart(low: float, high: float) -> Levels:
    """Finite levels with a finite span."""
    low, high = (min(max(end, -FAR), FAR) for end in (low, high))
    if high <= low:
        high = low + max(1.0, abs(low) * 1e-6)
    return Levels(low, high)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a picture."""

    levels: Levels
    events: float
    """Share of its pixels that single events are on; 1 where what it shows is no single events."""


def found_in(image: npt.NDArray[Any], valid: Flags | None, rule: ContrastRule) -> Found | None:
    """Levels of all pixels of a picture (ny, nx); None where there is nothing in it."""
    if image.dtype.name in ("int64", "uint64"):
        image = image.astype(np.float64)  # numpy's percentiles subtract: the distance may be no int64
    values = distribution(image, valid)
    levels = percentile_levels(values, rule)
    if levels is None:
        return None
    lit = values.above(values.lowest).size / values.size
    return Found(levels, lit if lit < RARE and _are_alone(image, values.lowest) else 1.0)


def _are_alone(image: npt.NDArray[Any], ground: float) -> bool:
    """Whether most pixels above a ground have none beside them: events, and no things that have an extent."""
    lit = image[:: stride(image.size)] > ground
    count, pairs = np.count_nonzero(lit[:, :-1]), np.count_nonzero(lit[:, :-1] & lit[:, 1:])
    return bool(pairs <= ALONE * count)


@cache
def _thread() -> ThreadPoolExecutor:
    """One for all panes of all windows: it never touches a window."""
    return ThreadPoolExecutor(1, "livem-levels")


def _timed(image: npt.NDArray[Any], valid: Flags | None, rule: ContrastRule) -> tuple[Found | None, float]:
    begin = time.perf_counter()
    return found_in(image, valid, rule), time.perf_counter() - begin


class Contrast:
    """Levels of one pane over time.

    Small pictures are looked at where they come; of large ones the first is judged by a sample, and all of
    their pixels are looked at by a thread, up to ten times a second.
    """

    def __init__(self, rule: ContrastRule = SCAN_RULE) -> None:
        self.rule = rule
        self.levels = Levels(0.0, 1.0)
        self.locked = False
        self.events = 1.0
        """Share of the pixels that single events are on, as `Found` has it."""
        self._target: Levels | None = None
        self._gliding = self._is_guess = False
        self._time: float | None = None
        self._waiting: tuple[npt.NDArray[Any], Flags | None] | None = None
        self._asked: Future[tuple[Found | None, float]] | None = None
        self._next = -math.inf

    def see(self, image: npt.NDArray[Any], valid: Flags | None, now: float) -> None:
        """Take a new picture (ny, nx) at time `now` (s)."""
        if image.size <= SAMPLES:
            self._waiting = None
            self._take(found_in(image, valid, self.rule))
        else:
            self._waiting = image, valid
            if self._target is None:
                self._guess(image, valid)
        self.glide(now)

    def glide(self, now: float) -> bool:
        """Move towards the percentiles found last; True when the levels changed."""
        before = self.levels
        self._look(now)
        elapsed, self._time = now - (self._time if self._time is not None else now), now
        if self.locked or self._target is None:
            return False
        distance = self.levels.distance(self._target)
        self._gliding = distance > (self.rule.settled if self._gliding else self.rule.dead_band)
        if self._gliding and elapsed > 0:
            share = 1.0 - math.exp(-elapsed / self.rule.time_constant)
            self.levels = Levels(
                self.levels.low + share * (self._target.low - self.levels.low),
                self.levels.high + share * (self._target.high - self.levels.high),
            )
        return self.levels != before

    def settle(self) -> None:
        """Go to the percentiles of the newest picture at once: for snapshots and final pictures."""
        if self._waiting is not None:
            self._asked, (image, valid), self._waiting = None, self._waiting, None
            self._take(found_in(image, valid, self.rule))
        elif self._asked is not None:
            self._answered()
        if self._target is not None and not self.locked:
            self._rest_at(self._target)

    def lock(self, locked: bool) -> None:
        """Keep the levels whatever comes."""
        self.locked = locked

    def restart(self) -> None:
        """Forget the past: the next picture sets the levels at once (a new series, another quantity)."""
        self._target, self._waiting, self._asked = None, None, None
        self._gliding, self._next = False, -math.inf

    def _look(self, now: float) -> None:
        """Hear what the thread found, and let it look at the newest picture."""
        if self._asked is not None and self._asked.done():
            self._next = now + max(PERIOD_S, self._answered() / DUTY)
        if self._asked is None and self._waiting is not None and now >= self._next:
            (image, valid), self._waiting = self._waiting, None
            self._asked = _thread().submit(_timed, image, valid, self.rule)

    def _answered(self) -> float:
        """Take what the thread finds; waits for it. Seconds that it took."""
        assert self._asked is not None
        (found, seconds), self._asked = self._asked.result(), None
        self._take(found)
        return seconds

    def _guess(self, image: npt.NDArray[Any], valid: Flags | None) -> None:
        levels = percentile_levels(Listed(sample(image, valid).astype(np.float64)), self.rule)
        if levels is not None:
            self._take(Found(levels, self.events))
            self._is_guess = True

    def _take(self, found: Found | None) -> None:
        if found is None:
            return
        first = self._target is None or self._is_guess
        self._target, self.events, self._is_guess = found.levels, found.events, False
        if not self.locked and (first or self._is_another_picture(found.levels)):
            self._rest_at(found.levels)

    def _is_another_picture(self, target: Levels) -> bool:
        spans = self.levels.span / target.span
        return self.levels.distance(target) > self.rule.jump or spans > 1.0 + self.rule.jump

    def _rest_at(self, target: Levels) -> None:
        self.levels, self._gliding = target, False
