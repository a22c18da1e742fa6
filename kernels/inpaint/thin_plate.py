"""The thin plate: the smoothest image through, or near, the samples. Knows arrays and budgets; no streams.

Minimises the sum over samples of w (u - y)^2 plus ``strength`` times the bending energy of `stencils`: the
noise-weighted smoothing spline, with w the dose. Strength is in visits: at 1, a pixel visited once weighs as
much as a curvature of one of its values a pixel^2. It depends on neither the size of the image nor the scale
of its values; twice the dose smooths half as much. 0 is the limit of an interpolating plate, whose
samples are pinned.

Convex, so that an earlier estimate is as good a start as any; without one it starts from push-pull.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt
from numba import njit

from .descent import SUMS, Plate, begin, descend, plate
from .pyramid import push_pull
from .solution import Budget, Clock, Image, Solution, Weight, checked
from .stencils import FULL

ROUNDING = 1e-6
"""Relative residual below which float32 has nothing more to say."""


@dataclass(frozen=True, slots=True)
class ThinPlate:
    """See the module. A `Solver`."""

    tension: float = 0.003
    """Keeps the plate from going on as a ramp where there are no samples; see `stencils`. Corners outside a
    spiral stay near the range of the samples (-0.4 .. 1.0 instead of -1.6 .. 1.5 of it), at a cost of
    0.002 dB inside. 0: a free plate, which ramps cost nothing."""

    name = "thin plate"
    version = 1
    warm = True

    def __post_init__(self) -> None:
        if not 0 <= self.tension <= 1e3:
            raise ValueError(f"tension {self.tension:g} of a thin plate; from 0 to 1000")

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """See `Solver.solve`. The residual is in the energy of the error, against that of the samples about
        their mean; channels share a budget in seconds, each has the iterations for itself.

        A constant where all samples agree; pixels with weight are given back as they came at strength 0.
        """
        checked(data, weight, start, strength)
        budget = budget or Budget()
        clock = budget.clock()
        image = np.empty_like(data)
        held = _Held(plate(weight, _pull(strength), self.tension), np.float32(self.tension), strength)
        ends = [
            _solve_channel(held, data[c], image[c], None if start is None else start[c], budget, share)
            for c, share in enumerate(_shares(clock, len(data)))
        ]
        return Solution(
            image,
            max(end.iterations for end in ends),
            max(end.residual for end in ends),
            all(end.residual <= max(budget.tolerance, ROUNDING) for end in ends),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A plate with what holds it."""

    plate: Plate
    tension: np.float32
    strength: float

    @property
    def pull(self) -> np.float32:
        """As `descent` wants it."""
        return np.float32(1 / self.strength if self.strength > 0 else 0)


@dataclass(frozen=True, slots=True)
class _End:
    iterations: int
    residual: float


def _pull(strength: float) -> float:
    return 1 / strength if strength > 0 else np.inf


def _shares(clock: Clock, channels: int) -> Iterator[Clock]:
    """Each channel may take what its predecessors left, in equal parts."""
    for left in range(channels, 0, -1):
        now = perf_counter()
        yield Clock(now + (clock.deadline - now) / left)


def _solve_channel(
    held: _Held,
    data: npt.NDArray[np.float32],
    image: npt.NDArray[np.float32],
    start: npt.NDArray[np.float32] | None,
    budget: Budget,
    clock: Clock,
) -> _End:
    """Fill ``image`` (ny, nx)."""
    total, mean, spread = survey(data, held.plate.weight)
    if total == 0:
        image[:] = np.nan
        return _End(0, 0.0)
    if spread == 0:
        image[:] = mean
        return _End(0, 0.0)
    if start is None:
        push_pull(data, held.plate.weight, image)
    guess = image if start is None else start
    scale = _prepare(data, guess, held.plate, mean, 1 / spread, held.strength == 0)
    rz = begin(held.plate, held.pull, held.tension)
    done, rz = _descend(held, rz, scale, budget, clock)
    _finish(held.plate, data, mean, spread, held.strength == 0, image)
    return _End(done, math.sqrt(max(rz, 0.0) / scale))


def _descend(held: _Held, rz: float, scale: float, budget: Budget, clock: Clock) -> tuple[int, float]:
    enough = max(budget.tolerance, ROUNDING) ** 2 * scale
    done, beta = 0, 0.0
    stride = budget.iterations if math.isinf(clock.deadline) else 1
    while done < budget.iterations and rz > enough and not clock.over:
        steps, rz, beta = descend(held.plate, held.pull, held.tension, rz, beta, stride, enough)
        done += steps
        if not steps:
            break
    return done, rz


@njit(nogil=True, cache=True, fastmath=SUMS)
def survey(data, weight):  # type: ignore[no-untyped-def]
    """Weight of all samples, their weighted mean and root mean square deviation."""
    total = sums = squares = 0.0
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            w = np.float64(weight[i, j])
            total += w
            sums += w * (np.float64(data[i, j]) if w > 0 else 0.0)
    if not total > 0:
        return 0.0, np.nan, np.nan
    mean = sums / total
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            w = np.float64(weight[i, j])
            deviation = (np.float64(data[i, j]) if w > 0 else mean) - mean
            squares += w * deviation * deviation
    return total, mean, np.sqrt(squares / total)


@njit(nogil=True, cache=True, fastmath=SUMS)
def _prepare(data, guess, plate, mean, per_spread, pinned):  # type: ignore[no-untyped-def]
    """Deviations in units of their spread: the guess, and the samples into the residual; their energy."""
    weight, loose, image, residual = plate.weight, plate.loose, plate.image, plate.residual
    energy = 0.0
    for i in range(data.shape[0]):
        row = np.float32(0)
        for j in range(data.shape[1]):
            known = weight[i, j] > 0
            value = np.float64(data[i, j]) if known else mean
            target = np.float32((value - mean) * per_spread)
            start = np.float32((np.float64(guess[i, j]) - mean) * per_spread)
            residual[i, j] = target
            image[i, j] = target if known and pinned else start
            row += (np.float32(1) - loose[i, j]) * target * target
        energy += row
    return energy * FULL


@njit(nogil=True, cache=True)
def _finish(plate, data, mean, spread, pinned, image):  # type: ignore[no-untyped-def]
    weight, found = plate.weight, plate.image
    for i in range(data.shape[0]):
        for j in range(data.shape[1]):
            value = np.float32(mean + spread * np.float64(found[i, j]))
            image[i, j] = data[i, j] if pinned and weight[i, j] > 0 else value
