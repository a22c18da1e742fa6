"""Samples taken beside the centres of their pixels, to the first order. Knows solvers by their seam only.

A sample at p + o of pixel p shows u(p + o) = u(p) + o . grad u(p) + ...; with the gradient of an estimate the
second term is taken off, and what is left is a sample of the centre. The estimate of the corrected samples
has a better gradient, and so on; live, where each solve starts from the one before, one correction a solve
does.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .samples import Offsets
from .solution import Budget, Image, Solution, Solver, Weight


def centred(data: Image, weight: Weight, offsets: Offsets | None, estimate: Image) -> Image:
    """The samples as they would be at the centres: a copy, or ``data`` itself without offsets.

    Parameters
    ----------
    data, weight : see `solution`.
    offsets : (2, ny, nx), of `SampleField.offsets`; where both are 0, a value stays as it is to the bit.
    estimate : (c, ny, nx) whose gradient is used: central differences, one-sided at edges.
    """
    return data if offsets is None else _moved(data, weight, offsets, False, estimate)


def centred_by_sums(data: Image, visits: Weight, sums: Offsets, estimate: Image) -> Image:
    """The same, to the bit, by what `SampleField` keeps: sums of the offsets over all visits of a pixel."""
    return _moved(data, visits, sums, True, estimate)


def _moved(data: Image, weight: Weight, offsets: Offsets, summed: bool, estimate: Image) -> Image:
    moved = np.empty_like(data)
    for channel, image, out in zip(data, estimate, moved, strict=True):
        _centre(channel, weight, offsets, summed, image, out)
    return moved


def solve_centred(
    solver: Solver,
    data: Image,
    weight: Weight,
    offsets: Offsets | None,
    start: Image | None = None,
    strength: float = 0.0,
    budget: Budget | None = None,
    rounds: int = 2,
) -> Solution:
    """Solve, correct the samples by the gradient of what was found, solve from there; ``rounds`` times.

    With ``start``, which the first correction is made from, one solve less. At strength 0 the image holds
    the corrected samples, not the samples. The budget counts for each solve. Without offsets it is one
    plain solve, to the bit.
    """
    if offsets is None or not offsets.any():
        return solver.solve(data, weight, start, strength, budget)
    if start is None:
        start = solver.solve(data, weight, None, strength, budget).image
    for _ in range(rounds):
        moved = centred(data, weight, offsets, start)
        found = solver.solve(moved, weight, start if solver.warm else None, strength, budget)
        start = found.image
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def _centre_row(data, weight, summed, down, along, here, above, below, tall, out):  # type: ignore[no-untyped-def]
    """One row, several pixels at a time, without a branch; its ends have neighbours on one side."""
    nx, half, one = data.size, np.float32(0.5), np.float32(1)
    for j in range(1, nx - 1):
        visits = weight[j] if summed & (weight[j] > 0) else one
        dy, dx = down[j] / visits, along[j] / visits
        moved = data[j] - (dy * (tall * (below[j] - above[j])) + dx * (half * (here[j + 1] - here[j - 1])))
        out[j] = moved if (weight[j] > 0) & ((dy != 0) | (dx != 0)) else data[j]
    for j in range(0, nx, max(nx - 1, 1)):
        before, after = max(j - 1, 0), min(j + 1, nx - 1)
        visits = weight[j] if summed and weight[j] > 0 else one
        dy, dx = down[j] / visits, along[j] / visits
        out[j] = data[j]
        if weight[j] > 0 and (dy != 0 or dx != 0):
            out[j] = data[j] - (dy * (tall * (below[j] - above[j])) + dx * (here[after] - here[before]))


@njit("void(f4[:, ::1], f4[:, ::1], f4[:, :, ::1], b1, f4[:, ::1], f4[:, ::1])", nogil=True, cache=True)
def _centre(data, weight, offsets, summed, image, out):  # type: ignore[no-untyped-def]
    ny = len(data)
    for i in range(ny):
        above, below = image[max(i - 1, 0)], image[min(i + 1, ny - 1)]
        tall = np.float32(0.5) if 0 < i < ny - 1 else np.float32(1)
        down, along = offsets[0, i], offsets[1, i]
        _centre_row(data[i], weight[i], summed, down, along, image[i], above, below, tall, out[i])
