"""Sparse samples on which a device and the processor have to agree; used in the simulator and on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from livem.kernels.inpaint.solution import Budget, Image, Solution, Solver, Weight
from livem.kernels.inpaint.thin_plate import ThinPlate

CLOSE = 1e-4
"""Of the samples' spread: how far the images may be apart."""


def samples(
    shape: tuple[int, int, int], share: float = 0.3, counts: bool = False, seed: int = 0
) -> tuple[Image, Weight]:
    """A wave of another phase in each channel, visited once, or up to thrice, where it is sampled."""
    c, ny, nx = shape
    rng = np.random.default_rng(seed)
    y, x, phase = np.arange(ny)[:, None], np.arange(nx), np.arange(c)[:, None, None]
    data = 40 + 5 * np.sin(0.5 * y + 0.3 * x + phase) + rng.normal(size=shape)
    weight = (rng.random((ny, nx)) < share).astype(np.float32)
    weight.flat[ny * nx // 2] = 1
    if counts:
        weight *= rng.integers(1, 4, weight.shape)
    return data.astype(np.float32), weight


def assert_alike(
    solver: Solver,
    data: Image,
    weight: Weight,
    start: Image | None = None,
    strength: float = 0.0,
    budget: Budget | None = None,
    **tension: Any,
) -> Solution:
    """That a solver gives the image of the processor's thin plate, in about as many iterations."""
    budget = budget or Budget(tolerance=1e-5)
    ours = solver.solve(data, weight, start, strength, budget)
    theirs = ThinPlate(**tension).solve(data, weight, start, strength, budget)
    known = weight > 0
    for image, expected, values in zip(ours.image, theirs.image, data, strict=True):
        limit = CLOSE * max(float(np.std(values[known])), 1e-6 * float(np.abs(values[known]).max()))
        np.testing.assert_allclose(image, expected, rtol=0, atol=limit)
    assert abs(ours.iterations - theirs.iterations) <= 2 + theirs.iterations // 20
    assert ours.converged == theirs.converged
    if strength == 0:
        np.testing.assert_array_equal(ours.image[:, known], data[:, known])
    return ours
