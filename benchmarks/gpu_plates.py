"""Thin plates of sparse scans on a CUDA device beside the processor: cold, and warm after a few new samples.

The same samples for both, in alternating rounds, images compared. Upload and download are part of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..kernels.inpaint.solution import Budget, Image, Solution, Solver, Weight
from ..kernels.inpaint.thin_plate import ThinPlate
from .figures import Gate, Measured, Row, Spread, at_most, ratios

SHARE, FRESH = 0.25, 0.02
"""Of the pixels that are sampled, and of those, that come in between two pictures."""
STRENGTH = 0.1
COLD = Budget(iterations=100, tolerance=3e-3)
WARM = Budget(iterations=8, tolerance=0.0)
"""As `kernels.inpaint.live` has them; warm always 8 iterations, so that both do as much."""
APART = 1e-4
"""Of the samples' spread: how far images of the two may be apart after 8 iterations."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    sizes: tuple[int, ...]
    """Sides of square images."""
    rounds: int
    how: tuple[tuple[str, int], ...] = ()
    """Arguments of `CudaThinPlate`, for the simulator."""


FULL = Plan((256, 512, 2048), 11)
QUICK = Plan((256, 512), 3)


def measure(plan: Plan) -> Measured:
    """Measure, where there is a device."""
    from ..kernels.cuda.inpaint import CudaThinPlate

    cases = [Case.of(size, CudaThinPlate(**dict(plan.how))) for size in plan.sizes]
    for case in cases:
        for _ in range(plan.rounds + 1):
            case.take_turns()
    return {
        "title": f"Thin plates from {100 * SHARE:.0f} % of the pixels, ms a picture",
        "rows": [case.row() for case in cases],
        "gates": list(_gates(cases)),
    }


@dataclass(slots=True)
class Case:
    """Samples at two times, and how long each way took."""

    data: Image
    weights: tuple[Weight, Weight]
    """Before and after some more came in."""
    start: Image
    """The picture before."""
    solvers: dict[str, Solver]
    times: dict[str, list[float]] = field(default_factory=dict)
    """ms of each way, one a round; the first round, which compiles and allocates, is left out."""
    apart: float = 0.0
    """Largest difference of warm images in terms of the samples' spread."""
    rounds: int = 0

    @classmethod
    def of(cls, size: int, there: Solver) -> Case:
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:size, :size]
        wave = np.sin(0.4 * y) * np.sin(0.35 * x + 0.01 * y)
        data = (wave + 0.2 * rng.normal(size=(1, size, size))).astype(np.float32)
        order = rng.random((size, size))
        before, after = ((order < share).astype(np.float32) for share in (SHARE * (1 - FRESH), SHARE))
        start = ThinPlate().solve(data, before, None, STRENGTH, COLD).image
        return cls(data, (before, after), start, {"CPU": ThinPlate(), "GPU": there})

    def take_turns(self) -> None:
        """One round of each way."""
        images = {}
        for name, solver in self.solvers.items():
            self._timed(f"{name} cold", solver, None, COLD)
            images[name] = self._timed(f"{name} warm", solver, self.start, WARM).image
        off = float(np.abs(images["GPU"] - images["CPU"]).max())
        self.apart = max(self.apart, off / float(self.data[0][self.weights[1] > 0].std()))
        self.rounds += 1

    def _timed(self, way: str, solver: Solver, start: Image | None, budget: Budget) -> Solution:
        started = time.perf_counter()
        solution = solver.solve(self.data, self.weights[1], start, STRENGTH, budget)
        if self.rounds:
            self.times.setdefault(way, []).append(1e3 * (time.perf_counter() - started))
        return solution

    def row(self) -> Row:
        ny, nx = self.data.shape[1:]
        times: dict[str, Any] = {way: str(Spread.of(times)) for way, times in self.times.items()}
        return {
            "case": f"plate {ny}x{nx}, ms",
            **times,
            "x the CPU": str(ratios(self.times["CPU warm"], self.times["GPU warm"])),
        }


def _gates(cases: list[Case]) -> Iterator[Gate]:
    apart = max(case.apart for case in cases)
    yield at_most("plates of the GPU and the CPU apart, of the samples' spread", apart, APART)
