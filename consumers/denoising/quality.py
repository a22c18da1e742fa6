"""How well a frame is denoised in the time that there is: steps of quality, and when to take the next one.

Knows methods by name and what they cost; no frames.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...kernels.denoise.frames import LEVELS
from ..option_values import AUTO
from .options import FRAMES, MOVIE

MOVIE_NS = 220.0
"""A pixel of the movie filter, on one core; a first guess, as those of `LEVELS` are."""
LEAST_SIDE = 32
"""px of a binned frame."""
BINNINGS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
PATIENCE = 3
"""Frames in a row that are late before quality is given up: one may be the machine's fault."""
FAR = 10.0
"""Times too late, of which one is enough."""
WORTH = 0.5
"""Share of the budget in processor time below which a late frame is no reason to do less: it has waited for
others, and would again."""
USUAL = 9
"""Frames whose median is what a frame takes."""
ENOUGH = 0.8
"""Share of the budget that a better step may take, to be tried."""
ROOM_S, HOLD_S = 5.0, 3.0
"""How long there is room before quality rises; and from a change to the next one the other way, at least."""
IN_VAIN_S, LONGEST_S = 30.0, 80.0
"""A step that is given up so soon was taken in vain: the next time there has to be room for twice as long."""


@dataclass(frozen=True, slots=True)
class Step:
    """One quality."""

    method: str
    binning: int = 1
    """Pixels a side of which the mean is taken first."""

    def __str__(self) -> str:
        return self.method if self.binning == 1 else f"{self.method}, {self.binning}x{self.binning} px binned"

    def cost_s(self, shape: tuple[int, int]) -> float:
        """Of a frame, by the first guesses; 0 for a method that nobody has measured."""
        ns = (
            MOVIE_NS
            if self.method == MOVIE
            else LEVELS[self.method].ns_per_pixel
            if self.method in LEVELS
            else 0.0
        )
        return 1e-9 * ns * math.prod(shape) / self.binning**2


def steps_for(method: str, shape: tuple[int, int], is_scan: bool) -> Sequence[Step]:
    """What there is for frames of a shape, from the best to the fastest."""
    if method == AUTO:
        method = FRAMES if is_scan else MOVIE
    names = list(LEVELS)[::-1] if method == FRAMES else [method]
    binned = [Step(names[-1], binning) for binning in BINNINGS if min(shape) // binning >= LEAST_SIDE]
    return [*(Step(name) for name in names), *binned]


class Quality:
    """The present step of a series: lower while frames are late, higher again when there has been room for a
    while. It turns round `HOLD_S` after a change at the earliest, and a step that was taken in vain waits
    longer the next time, so that what is shown does not go to and fro.

    Parameters
    ----------
    steps : from the best to the fastest.
    shape : of a frame.
    budget_s : time for a frame.
    """

    def __init__(self, steps: Sequence[Step], shape: tuple[int, int], budget_s: float) -> None:
        self._steps, self._shape, self.budget_s = steps, shape, budget_s
        fitting = (n for n, step in enumerate(steps) if step.cost_s(shape) <= budget_s)
        self._at = next(fitting, len(steps) - 1)
        self._late = 0
        self._times: deque[float] = deque(maxlen=USUAL)
        """Seconds of frames at the present step."""
        self._room_since: float | None = None
        self._patience_s = ROOM_S
        self._fell_at = self._rose_at = -math.inf

    @property
    def step(self) -> Step:
        return self._steps[self._at]

    @property
    def is_reduced(self) -> bool:
        """Whether there is a better one, and no time for it."""
        return self._at > 0

    @property
    def usual_s(self) -> float | None:
        """What a frame takes at the present step, the median of the last ones; None before the first."""
        return float(np.median(self._times)) if self._times else None

    def took(self, seconds: float, cpu_s: float, now: float) -> None:
        """A frame was denoised by the present step.

        Parameters
        ----------
        seconds, cpu_s : time that passed, and that of the processors.
        now : s, of a clock that never goes back.
        """
        self._times.append(seconds)
        is_late = seconds > self.budget_s and cpu_s > WORTH * self.budget_s
        self._late = self._late + 1 if is_late else 0
        if not self._has_room():
            self._room_since = None
        elif self._room_since is None:
            self._room_since = now
        is_too_slow = self._late >= PATIENCE or (is_late and seconds > FAR * self.budget_s)
        if is_too_slow and self._at + 1 < len(self._steps) and now >= self._rose_at + HOLD_S:
            self._fall(now)
        elif self._room_since is not None and now >= self._earliest_rise(self._room_since):
            self._change(-1)
            self._rose_at = now

    def _has_room(self) -> bool:
        """Whether the next better step would be in time, with something to spare."""
        if self._at == 0 or len(self._times) < USUAL:
            return False
        return float(np.median(self._times)) * self._dearer() <= ENOUGH * self.budget_s

    def _dearer(self) -> float:
        """Times that the next better step costs; by its pixels where nobody has measured them."""
        better, present = self._steps[self._at - 1], self.step
        costs = better.cost_s(self._shape), present.cost_s(self._shape)
        return costs[0] / costs[1] if all(costs) else (present.binning / better.binning) ** 2

    def _earliest_rise(self, room_since: float) -> float:
        return max(room_since + self._patience_s, self._fell_at + HOLD_S)

    def _fall(self, now: float) -> None:
        in_vain = now < self._rose_at + IN_VAIN_S
        self._patience_s = min(2 * self._patience_s, LONGEST_S) if in_vain else ROOM_S
        self._change(1)
        self._fell_at = now

    def _change(self, steps: int) -> None:
        self._at += steps
        self._late, self._room_since = 0, None
        self._times.clear()
