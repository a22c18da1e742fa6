"""What every solver of a sparse scan takes and gives. Knows no solver.

The data model: ``data`` (c, ny, nx) float32 holds the mean value of a pixel's visits, ``weight`` (ny, nx)
float32 how many there were (the dose). A pixel of weight 0 is unknown, whatever ``data`` holds there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
"""(c, ny, nx): channels share one sampling pattern."""
Weight = npt.NDArray[np.float32]
"""(ny, nx) visits of a pixel."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a solver may go on; whichever limit comes first."""

    iterations: int = 1 << 16
    seconds: float = math.inf
    tolerance: float = 1e-3
    """Relative residual (in the solver's own terms) that is good enough."""

    def clock(self) -> Clock:
        """A clock that starts now."""
        return Clock(perf_counter() + self.seconds)


@dataclass(frozen=True, slots=True)
class Clock:
    """The end of a budget in time."""

    deadline: float

    @property
    def left(self) -> float:
        """Seconds, at least 0."""
        return max(self.deadline - perf_counter(), 0.0)

    @property
    def over(self) -> bool:
        """Whether the time is spent."""
        return perf_counter() >= self.deadline


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """What a solver found."""

    image: Image
    """(c, ny, nx); NaN everywhere when no pixel is known."""
    iterations: int
    residual: float
    """Relative, in the solver's own terms; NaN where it has none."""
    converged: bool
    """The tolerance was reached before the budget was spent."""


class Solver(Protocol):
    """A way from samples to an image."""

    @property
    def name(self) -> str:
        """What the user sees."""

    @property
    def version(self) -> int:
        """Raised whenever the same input gives another image."""

    @property
    def warm(self) -> bool:
        """Whether ``start`` is made use of: only convex problems may, others would smear what moves."""

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """The image for these samples.

        Parameters
        ----------
        data, weight : see the module; neither is changed.
        start : (c, ny, nx) of an earlier solve of the same shape; finite.
        strength : how much the solver's prior weighs against the samples, >= 0; 0 reproduces them.
        budget : default: the solver's own, cold.

        Raises
        ------
        ValueError
            Shapes, dtypes or a strength that do not fit.
        """
