"""What a problem of sparse cosines is, for every device: the samples' level, a tile's cosines and thresholds,
and the budget that its tiles share.

Knows no way to solve it; see `cosine`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

import numpy as np
import numpy.typing as npt

from .solution import Budget, Clock, Image, Solution, Weight

Array = npt.NDArray[np.float32]

LEAST_STRENGTH = 0.04
"""Strength 0 means this threshold: half of it gains 1 dB on lattices at 10 % and doubles the iterations."""
KNEE = 0.15
"""Frequency (1 = Nyquist) whose weight in the l1 norm is 1."""
LEAST_OMEGA = 0.2
"""Weight of the lowest frequencies: below this the threshold forbids nothing."""


class Report:
    """The budget, and how far the tiles came with it."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.clock = self.whole = budget.clock()
        self.iterations, self.residual = 0, 0.0

    def share_time(self, parts: int) -> None:
        """From now on the clock runs for one of so many equal parts of the time that is left."""
        if math.isfinite(self.whole.deadline):
            now = perf_counter()
            self.clock = Clock(now + (self.whole.deadline - now) / parts)

    def add(self, iterations: int, residual: float) -> None:
        """The worst tile counts."""
        self.iterations = max(self.iterations, iterations)
        self.residual = max(self.residual, residual)

    def solution(self, image: Image) -> Solution:
        """What all tiles found."""
        return Solution(image, self.iterations, self.residual, self.residual <= self.budget.tolerance)


@dataclass(frozen=True, slots=True)
class Level:
    """What a channel's samples are like, over the whole image, so that all tiles agree."""

    mean: np.float32
    spread: float
    strength: float

    @classmethod
    def of(cls, values: Array, weight: Weight, strength: float) -> Level:
        """Mean and standard deviation of the known values; squares of float32 need float64."""
        wide = values.astype(np.float64)
        mean = np.float32(np.average(wide, weights=weight))
        return cls(mean, math.sqrt(float(np.average((wide - mean) ** 2, weights=weight))), strength)

    @property
    def unit(self) -> Level:
        """That of samples that were measured in this one."""
        return Level(np.float32(0), 1.0, self.strength)

    def measured(self, values: Array) -> Array:
        """Values in standard deviations from the mean: their squares fit float32 whatever their scale."""
        return np.asarray((values.astype(np.float64) - self.mean) / self.spread, np.float32)


class Field:
    """What a tile's problem is for all channels: samples, their weight (at most 1), the cosines."""

    def __init__(self, weight: Weight) -> None:
        rows, columns = np.nonzero(weight)
        self.rows, self.columns = rows.astype(np.int32), columns.astype(np.int32)
        self.visits = float(weight.max())
        self.weight = weight[rows, columns] / np.float32(self.visits or 1.0)
        share = _band(weight)
        self.y, self.x = (_basis(n, max(1, round(share * n))) for n in weight.shape)
        self.noise = math.sqrt(float(self.weight.sum()) / weight.size)
        """Noise of a coefficient's gradient, in that of a pixel of weight 1."""

    def threshold(self, level: Level) -> Array:
        """(By, Bx) threshold of each coefficient for a gradient step of 1; the mean is free."""
        strength = math.hypot(LEAST_STRENGTH, level.strength / math.sqrt(self.visits))
        omega = _omega(self.y.shape, self.x.shape)
        return omega * np.float32(level.spread * strength * self.noise)


def _band(weight: Weight) -> float:
    """Share of the frequencies of an axis that the samples can tell, in steps of 1/16.

    1.6 times the Nyquist frequency of equally many samples on a grid (at 10 %: half of the band; half of
    that lost 1.5 dB on columns 9 pixels apart), counted where there are samples at all.
    """
    ny, nx = weight.shape
    blocks = np.add.reduceat(np.add.reduceat(weight > 0, np.arange(0, ny, 8), 0), np.arange(0, nx, 8), 1)
    pixels = min(weight.size, 64 * int(np.count_nonzero(blocks)))
    density = float(blocks.sum()) / max(pixels, 1)
    return min(1.0, max(0.25, math.ceil(16 * 1.55 * math.sqrt(density)) / 16))


@lru_cache(maxsize=16)
def _basis(n: int, kept: int) -> Array:
    """(n, kept) the first orthonormal cosines (DCT-II) of a side; not to be written to."""
    k = np.arange(kept)
    basis = np.sqrt(2 / n) * np.cos(np.pi * k * (2 * np.arange(n)[:, None] + 1) / (2 * n))
    basis[:, 0] *= math.sqrt(0.5)
    return np.asarray(basis, np.float32)


@lru_cache(maxsize=8)
def _omega(y: tuple[int, int], x: tuple[int, int]) -> Array:
    """(By, Bx) weights of the l1 norm for bases of these shapes; the mean is free."""
    fy, fx = np.arange(y[1]) / y[0], np.arange(x[1]) / x[0]
    omega = np.maximum(np.hypot(fy[:, None], fx) / KNEE, LEAST_OMEGA)
    omega[0, 0] = 0
    return np.asarray(omega, np.float32)
