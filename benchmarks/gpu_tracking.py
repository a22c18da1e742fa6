"""Particles found on a CUDA device beside the processor, from upload to the table that comes down.

The same frames for both, in alternating rounds, tables compared. Nothing here has been run on a card yet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.tracking.detect import Detector
from ..kernels.tracking.options import DetectorOptions
from ..kernels.tracking.table import Detections
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios

WANTED_MS, OF_SIDE, OF_COUNT = 1.0, 1024, 1000
"""Of a frame of so many px and particles; docs/tracking.md."""
ALIKE = 0.99
"""Share of the strong particles of either that the other one has, within a hundredth of a pixel."""
STRONG, SAME = 6.0, 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    cases: tuple[tuple[int, int], ...]
    """Sides of frames and numbers of particles."""
    rounds: int
    how: tuple[tuple[str, int], ...] = ()
    """Arguments of `CudaDetector`, for the simulator."""


FULL = Plan(((512, 200), (512, 770), (1024, 1000), (1024, 5000)), 21)
QUICK = Plan(((512, 200), (1024, 1000)), 5)


def measure(plan: Plan) -> Measured:
    """Measure, where there is a device."""
    cases = [Case.of(side, count, dict(plan.how)) for side, count in plan.cases]
    for case in cases:
        for _ in range(plan.rounds + 1):
            case.take_turns()
    return {
        "title": "Particles found, ms a frame",
        "rows": [case.row() for case in cases],
        "gates": list(_gates(cases)),
    }


@dataclass(slots=True)
class Case:
    """A frame, and how long each way took."""

    side: int
    count: int
    frame: npt.NDArray[np.float32]
    ways: dict[str, Any]
    times: dict[str, list[float]] = field(default_factory=dict)
    """ms of each way, one a round; the first round, which compiles and allocates, is left out."""
    alike: float = 1.0
    rounds: int = 0

    @classmethod
    def of(cls, side: int, count: int, how: dict[str, int]) -> Case:
        from ..kernels.cuda.tracking import CudaDetector

        here = Detector((side, side), DetectorOptions(radius=4.0))
        ways = {"CPU": here, "GPU": CudaDetector(here, **how)}
        return cls(side, count, a_frame(side, count), ways)

    def take_turns(self) -> None:
        """One round of each way."""
        found: dict[str, Detections] = {}
        for name, detector in self.ways.items():
            started = time.perf_counter()
            found[name] = detector.examine(self.frame).detections
            if self.rounds:
                self.times.setdefault(name, []).append(1e3 * (time.perf_counter() - started))
        self.alike = min(self.alike, share(found["GPU"], found["CPU"]), share(found["CPU"], found["GPU"]))
        self.rounds += 1

    def row(self) -> Row:
        times: dict[str, Any] = {way: str(Spread.of(times)) for way, times in self.times.items()}
        return {
            "case": f"detection {self.side}x{self.side}, N = {self.count}, ms",
            **times,
            "x the CPU": str(ratios(self.times["CPU"], self.times["GPU"])),
        }


def a_frame(side: int, count: int) -> npt.NDArray[np.float32]:
    """Absorbing spheres of 4 px anywhere, at a signal of twice the noise of a pixel."""
    rng = np.random.default_rng(0)
    depth, near = np.zeros((side, side)), np.arange(-7, 8)
    places = rng.uniform(8, side - 9, (count, 2))
    for (y, x), radius in zip(places, 4.0 * np.exp(0.18 * rng.normal(size=count)), strict=True):
        rows, columns = round(y) + near, round(x) + near
        square = (rows[:, None] - y) ** 2 + (columns[None, :] - x) ** 2
        depth[np.ix_(rows, columns)] += np.sqrt(np.maximum(radius**2 - square, 0)) / 4.0
    level = (2.0 / 0.3) ** 2 * np.exp(math.log(0.7) * depth)
    return rng.poisson(level).astype(np.float32)


def share(these: Detections, those: Detections) -> float:
    """Of the strong ones of ``these``, how many ``those`` have at the same place."""
    strong = these[these["score"] > STRONG]
    if not len(strong) or not len(those):
        return float(len(strong) == 0)
    apart = np.hypot(strong["y"][:, None] - those["y"], strong["x"][:, None] - those["x"])
    return float((apart.min(axis=1) < SAME).mean())


def _gates(cases: list[Case]) -> Iterator[Gate]:
    yield at_least(
        "strong particles of the GPU and the CPU that are the same", min(c.alike for c in cases), ALIKE
    )
    for case in cases:
        if (case.side, case.count) == (OF_SIDE, OF_COUNT):
            median = Spread.of(case.times["GPU"]).median
            yield at_most(
                f"GPU, ms a frame of {OF_SIDE}x{OF_SIDE} with {OF_COUNT} particles", median, WANTED_MS
            )
