"""Wavelet soft thresholds, as RTSSTEM does it: here to compare with, not to choose from.

An undecimated Daubechies transform with two vanishing moments, soft thresholds on its details, back again,
the samples put in their places; over and over (Li, Dyck, Kalinin & Jesse, Compressed sensing of scanning
transmission electron microscopy (STEM) with nonrectangular scans, Microsc. Microanal. 24 (2018) 623). Two
things differ from their program, both to its favour: thresholds fall from the spread of the samples to their
final value, and are in units of that spread. Knows neither streams nor other solvers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .arguments import check_problem, usable_weight
from .solution import Budget, Image, Solution, Weight

Plane = npt.NDArray[np.float32]

LOW = np.array([1 + math.sqrt(3), 3 + math.sqrt(3), 3 - math.sqrt(3), 1 - math.sqrt(3)], np.float32) / 8
"""Scaling filter ("db2") of a tight frame: the adjoint of the undecimated transform undoes it."""
HIGH = (LOW[::-1] * np.array([1, -1, 1, -1])).astype(np.float32)
BUDGET = Budget(iterations=60)
LEAST_STRENGTH = 0.03
"""Final threshold of strength 0, in standard deviations of the samples."""


@dataclass(frozen=True, slots=True)
class WaveletThresholds:
    """The solver. Thresholding in a redundant frame minimises nothing convex: it never starts warm.

    Its ``strength`` is the final threshold in standard deviations of the samples.
    """

    levels: int = 2
    name: str = "wavelet thresholds"
    version: int = 1
    warm: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= 12:
            raise ValueError(f"{self.levels} levels of wavelets; 1 to 12, theirs are 2 to 4")

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """See `Solver`; ``start`` is not made use of, and weights say only what is known.

        All iterations of the budget are made, since thresholds fall over all of them; the residual is NaN.

        Raises
        ------
        ValueError
            Shapes, dtypes or a strength that do not fit.
        """
        check_problem(data, weight, start, strength)
        known = usable_weight(data, weight) > 0
        if not known.any():
            return Solution(np.full_like(data, np.nan), 0, math.nan, False)
        budget = BUDGET if budget is None else budget
        clock, image, most = budget.clock(), np.empty_like(data), 0
        for values, out in zip(data, image, strict=True):
            mean, spread = float(values[known].mean()), float(values[known].std())
            out[:] = np.where(known, values, np.float32(mean))
            for iteration, threshold in enumerate(_falling(budget.iterations, strength), 1):
                if clock.over or not spread:
                    break
                most = max(most, iteration)
                shrunk = threshold_details(out, self.levels, threshold * spread)
                out[:] = shrunk
                if strength == 0 or iteration < budget.iterations:
                    np.copyto(out, values, where=known)
        return Solution(image, most, math.nan, most == budget.iterations)


def _falling(iterations: int, strength: float) -> Iterator[float]:
    """Thresholds from 1 to the last one, by equal ratios."""
    last = max(strength, LEAST_STRENGTH)
    for i in range(iterations):
        yield last ** ((i + 1) / iterations) if last < 1 else last


def threshold_details(plane: Plane, levels: int, threshold: float) -> Plane:
    """The image (ny, nx) with soft thresholds on the details of all levels; the coarsest mean stays.

    Periodic. The threshold is that of details from filters of norm 1, as theirs are: noise of variance 1 has
    variance 1 in all of them.
    """
    if not levels:
        return plane
    return _level(np.ascontiguousarray(plane), 1, levels, np.float32(threshold))


def _level(plane: Plane, step: int, levels: int, threshold: np.float32) -> Plane:
    """One level and those below it; taps are ``step`` pixels apart."""
    result = np.zeros_like(plane)
    half, part = np.empty_like(plane), np.empty_like(plane)
    for along_y in (LOW, HIGH):
        _filter_columns(plane, along_y, step, half)
        back = np.zeros_like(plane)
        for along_x in (LOW, HIGH):
            _filter_rows(half, along_x, step, part)
            if along_y is LOW and along_x is LOW:
                coarse = part if levels == 1 else _level(part, 2 * step, levels - 1, threshold)
                _add_rows_back(coarse, along_x, step, back)
            else:
                _shrink(part, threshold / np.float32(2 * step))
                _add_rows_back(part, along_x, step, back)
        _add_columns_back(back, along_y, step, result)
    return result


@njit("void(f4[:, ::1], f4)", nogil=True, cache=True)
def _shrink(values: Plane, threshold: np.float32) -> None:
    """Soft thresholds, in place."""
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            value = values[y, x]
            values[y, x] = max(value - threshold, np.float32(0)) + min(value + threshold, np.float32(0))


@njit("void(f4[:, ::1], f4[::1], i8, f4[:, ::1])", nogil=True, cache=True)
def _filter_rows(plane: Plane, taps: Plane, step: int, out: Plane) -> None:
    """out[y, x] = sum of taps[k] plane[y, x + k step]"""
    out[:] = 0
    for y in range(plane.shape[0]):
        for k in range(taps.size):
            shift = k * step % plane.shape[1]
            split = plane.shape[1] - shift
            for x in range(split):
                out[y, x] += taps[k] * plane[y, x + shift]
            for x in range(split, plane.shape[1]):
                out[y, x] += taps[k] * plane[y, x - split]


@njit("void(f4[:, ::1], f4[::1], i8, f4[:, ::1])", nogil=True, cache=True)
def _filter_columns(plane: Plane, taps: Plane, step: int, out: Plane) -> None:
    """out[y, x] = sum of taps[k] plane[y + k step, x]"""
    out[:] = 0
    for y in range(plane.shape[0]):
        for k in range(taps.size):
            source = (y + k * step) % plane.shape[0]
            for x in range(plane.shape[1]):
                out[y, x] += taps[k] * plane[source, x]


@njit("void(f4[:, ::1], f4[::1], i8, f4[:, ::1])", nogil=True, cache=True)
def _add_rows_back(plane: Plane, taps: Plane, step: int, out: Plane) -> None:
    """Adds the adjoint of `_filter_rows`."""
    for y in range(plane.shape[0]):
        for k in range(taps.size):
            shift = k * step % plane.shape[1]
            split = plane.shape[1] - shift
            for x in range(split):
                out[y, x + shift] += taps[k] * plane[y, x]
            for x in range(split, plane.shape[1]):
                out[y, x - split] += taps[k] * plane[y, x]


@njit("void(f4[:, ::1], f4[::1], i8, f4[:, ::1])", nogil=True, cache=True)
def _add_columns_back(plane: Plane, taps: Plane, step: int, out: Plane) -> None:
    """Adds the adjoint of `_filter_columns`."""
    for y in range(plane.shape[0]):
        for k in range(taps.size):
            target = (y + k * step) % plane.shape[0]
            for x in range(plane.shape[1]):
                out[target, x] += taps[k] * plane[y, x]
