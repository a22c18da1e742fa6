"""Grey levels that follow the picture without flickering.

Levels are percentiles of the finite pixels. They rest while the percentiles stay within a dead band, and
glide when they leave it, so that Poisson noise moves nothing and a filling scan never jumps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLES = 65_536
"""Percentiles of at most this many pixels: 65,536 of 2**20 put the 99.8 % level off by less than 0.02 %
of the pixels (standard error of the rank) and cost 1 ms where all of them cost 15 ms."""


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


def sample(image: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[Any]:
    """Evenly strided finite pixels, at most about SAMPLES of them, as a flat array."""
    step = stride(image.size)
    part = image[::step, ::step]
    if valid is not None:
        part = part[valid[::step, ::step]]
    part = part.ravel()
    return part[np.isfinite(part)] if part.dtype.kind == "f" else part


def percentile_levels(values: npt.NDArray[Any], rule: ContrastRule) -> Levels | None:
    """Levels of flat finite values; None when there are none. The span is never zero."""
    if values.size == 0:
        return None
    low, high = (float(v) for v in np.percentile(values, (rule.low_percent, rule.high_percent)))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if rule.symmetric:
        high = max(abs(low), abs(high))
        low = -high
    if high <= low:
        high = low + max(1.0, abs(low) * 1e-6)
    return Levels(low, high)


class Contrast:
    """Levels of one pane over time."""

    def __init__(self, rule: ContrastRule = SCAN_RULE) -> None:
        self.rule = rule
        self.levels = Levels(0.0, 1.0)
        self.locked = False
        self._target: Levels | None = None
        self._gliding = False
        self._time: float | None = None

    def see(self, image: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None, now: float) -> None:
        """Take the percentiles of a new picture (ny, nx) at time `now` (s)."""
        target = percentile_levels(sample(image, valid), self.rule)
        if target is None:
            return
        first, self._target = self._target is None, target
        if not self.locked and (first or self._is_another_picture(target)):
            self._rest_at(target)
        self.glide(now)

    def glide(self, now: float) -> bool:
        """Move towards the percentiles seen last; True when the levels changed."""
        elapsed, self._time = now - (self._time if self._time is not None else now), now
        if self.locked or self._target is None:
            return False
        distance = self.levels.distance(self._target)
        self._gliding = distance > (self.rule.settled if self._gliding else self.rule.dead_band)
        if not self._gliding or elapsed <= 0:
            return False
        share = 1.0 - math.exp(-elapsed / self.rule.time_constant)
        self.levels = Levels(
            self.levels.low + share * (self._target.low - self.levels.low),
            self.levels.high + share * (self._target.high - self.levels.high),
        )
        return True

    def settle(self) -> None:
        """Go to the percentiles seen last at once: for snapshots and final pictures."""
        if self._target is not None and not self.locked:
            self._rest_at(self._target)

    def lock(self, locked: bool) -> None:
        """Keep the levels whatever comes."""
        self.locked = locked

    def restart(self) -> None:
        """Forget the past: the next picture sets the levels at once (a new series, another quantity)."""
        self._target, self._gliding = None, False

    def _is_another_picture(self, target: Levels) -> bool:
        spans = self.levels.span / target.span
        return self.levels.distance(target) > self.rule.jump or spans > 1.0 + self.rule.jump

    def _rest_at(self, target: Levels) -> None:
        self.levels, self._gliding = target, False
