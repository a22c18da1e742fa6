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

from .arguments import check_problem, usable_weight
from .descent import STIFF, STIFFEST, SUMS, Plate, plate
from .pyramid import push_pull
from .solution import Budget, Clock, Image, Solution, Weight
from .stencils import MOST_TENSION, exact
from .together import Descent

ROUNDING = 1e-6
"""Relative residual below which float32 has nothing more to say."""
SOFTEST = 1e4
"""Largest strength, in the mean visits of all pixels: there float32 still tells a spring from rounding."""
PATIENCE = 100
"""Iterations without the squared residual falling to half, after which it is no use."""
STRONGEST = 1e30
"""What 1 / strength may be at most: float32 ends at 3e38."""


@dataclass(frozen=True, slots=True)
class ThinPlate:
    """See the module. A `Solver`."""

    tension: float = 1 / 256
    """Keeps the plate from going on as a ramp where there are no samples; see `stencils`. Corners outside a
    spiral stay near the range of the samples (-0.4 .. 1.0 instead of -1.6 .. 1.5 of it), at a cost of
    0.004 dB inside. 0: a free plate, which ramps cost nothing."""

    name = "thin plate"
    version = 1
    warm = True

    def __post_init__(self) -> None:
        if not 0 <= self.tension <= MOST_TENSION:
            raise ValueError(f"tension {self.tension:g} of a thin plate; from 0 to {MOST_TENSION:g}")

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
        check_problem(data, weight, start, strength)
        budget = budget or Budget()
        shares = _shares(budget.clock(), len(data))
        surveys = [survey(channel, weight) for channel in data]
        if any(unusable for *_, unusable in surveys):
            weight = usable_weight(data, weight)
            surveys = [survey(channel, weight) for channel in data]
        strength = min(strength, SOFTEST * surveys[0][0] / weight.size)
        image = np.empty_like(data)
        if start is None:
            for c in range(len(data)):
                push_pull(data[c], weight, image[c], strength)
        held = _Held(plate(weight, _pull(strength), self.tension), np.float32(exact(self.tension)), strength)
        guess = image if start is None else start
        ends = [
            _solve_channel(held, data[c], guess[c], image[c], found, budget, share)
            for c, (found, share) in enumerate(zip(surveys, shares, strict=True))
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
        return np.float32(_pull(self.strength) if self.strength > 0 else 0)


@dataclass(frozen=True, slots=True)
class _End:
    iterations: int
    residual: float


def _pull(strength: float) -> float:
    return min(1 / strength, STRONGEST) if strength > 0 else math.inf


def _shares(clock: Clock, channels: int) -> Iterator[Clock]:
    """Each channel may take what its predecessors left, in equal parts."""
    for left in range(channels, 0, -1):
        now = perf_counter()
        yield Clock(now + (clock.deadline - now) / left)


def _solve_channel(
    held: _Held,
    data: npt.NDArray[np.float32],
    guess: npt.NDArray[np.float32],
    image: npt.NDArray[np.float32],
    found: tuple[float, float, float, int],
    budget: Budget,
    clock: Clock,
) -> _End:
    """Fill ``image`` (ny, nx), which may be the guess; ``found`` of `survey`."""
    total, mean, spread, _ = found
    if total == 0:
        image[:] = np.nan
        return _End(0, 0.0)
    if spread == 0:
        image[:] = mean
        return _End(0, 0.0)
    with Descent(held.plate, held.pull, held.tension) as descent:
        scale = _prepare(data, guess, held.plate, mean, 1 / spread, held.pull)
        done, rz = _descend(descent, scale, budget, clock)
    _finish(held.plate, data, mean, spread, held.strength == 0, image)
    return _End(done, math.sqrt(max(rz, 0.0) / scale))


def _descend(descent: Descent, scale: float, budget: Budget, clock: Clock) -> tuple[int, float]:
    """Until the budget is spent, or nothing is gained any more: float32 may be at its end before."""
    enough = max(budget.tolerance, ROUNDING) ** 2 * scale
    stride = PATIENCE if math.isinf(clock.deadline) else 1
    rz = descent.begin()
    done, beta, mark, least = 0, 0.0, 0, rz
    while done < budget.iterations and rz > enough and not clock.over and done < mark + PATIENCE:
        count = min(stride, budget.iterations - done)
        steps, rz, beta = descent.descend(rz, beta, count, enough)
        done += steps
        if not steps:
            break
        if rz < least / 2:
            mark, least = done, rz
    return done, rz


@njit(nogil=True, cache=True, fastmath=SUMS)
def survey(data, weight):  # type: ignore[no-untyped-def]
    """Weight of all samples, their weighted mean and root mean square deviation, and how many pixels have a
    weight that is negative or not finite, or one without a finite value."""
    total = sums = squares = 0.0
    unusable = 0
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            w = np.float64(weight[i, j])
            value = np.float64(data[i, j]) if w != 0 else 0.0
            total += w
            sums += w * value
            unusable += 0 if w >= 0 and w - w == 0 and value - value == 0 else 1
    if not total > 0:
        return 0.0, np.nan, np.nan, unusable
    mean = sums / total
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            w = np.float64(weight[i, j])
            deviation = (np.float64(data[i, j]) if w > 0 else mean) - mean
            squares += w * deviation * deviation
    return total, mean, np.sqrt(squares / total), unusable


@njit(nogil=True, cache=True, fastmath=SUMS)
def _prepare(data, guess, plate, mean, per_spread, pull):  # type: ignore[no-untyped-def]
    """Deviations in units of their spread: the guess, and the samples into the residual; their energy."""
    weight, loose, image, residual = plate.weight, plate.loose, plate.image, plate.residual
    pinned = pull == 0
    energy = np.float64(0)
    for i in range(data.shape[0]):
        row = np.float32(0)
        for j in range(data.shape[1]):
            known = weight[i, j] > 0
            value = np.float64(data[i, j]) if known else mean
            target = np.float32((value - mean) * per_spread)
            start = np.float32((np.float64(guess[i, j]) - mean) * per_spread)
            residual[i, j] = target
            image[i, j] = target if known and pinned else start
            given = STIFF if pinned and known else min(pull * weight[i, j], STIFFEST) * loose[i, j]
            row += given * target * target
        energy += row
    return energy


@njit(nogil=True, cache=True)
def _finish(plate, data, mean, spread, pinned, image):  # type: ignore[no-untyped-def]
    weight, found = plate.weight, plate.image
    for i in range(data.shape[0]):
        for j in range(data.shape[1]):
            value = np.float32(mean + spread * np.float64(found[i, j]))
            image[i, j] = data[i, j] if pinned and weight[i, j] > 0 else value
