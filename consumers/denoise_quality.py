"""How well a frame is denoised in the time that there is: steps of quality, and when to take the next one.

Knows methods by name and what they cost; no frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..kernels.denoise.frames import LEVELS
from .denoise_options import FRAMES, MOVIE
from .option_values import AUTO

MOVIE_NS = 600.0
"""A pixel of the movie filter, on one core; a first guess, as those of `LEVELS` are."""
LEAST_SIDE = 32
"""px of a binned frame."""
BINNINGS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
PATIENCE = 3
"""Frames in a row that are late before quality is given up: one may be the machine's fault."""
FAR = 3.0
"""Times too late, of which one is enough."""


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
    """The present step of a series. It gets lower while frames are late, and never higher by itself: what is
    shown does not go to and fro.

    Parameters
    ----------
    steps : from the best to the fastest.
    shape : of a frame.
    budget_s : time for a frame.
    """

    def __init__(self, steps: Sequence[Step], shape: tuple[int, int], budget_s: float) -> None:
        self._steps, self._budget_s = steps, budget_s
        fitting = (n for n, step in enumerate(steps) if step.cost_s(shape) <= budget_s)
        self._at = next(fitting, len(steps) - 1)
        self._late = 0

    @property
    def step(self) -> Step:
        return self._steps[self._at]

    @property
    def is_reduced(self) -> bool:
        """Whether there is a better one, and no time for it."""
        return self._at > 0

    def took(self, seconds: float) -> None:
        """A frame was denoised by the present step."""
        self._late = self._late + 1 if seconds > self._budget_s else 0
        is_too_slow = self._late >= PATIENCE or seconds > FAR * self._budget_s
        if is_too_slow and self._at + 1 < len(self._steps):
            self._at, self._late = self._at + 1, 0
