"""Live denoising on a CUDA device beside the processor: the movie's chain, and one frame at the quick level.

The same frames for both, in alternating rounds, pictures compared; from upload to download, spikes and all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..kernels.denoise.frames import FrameFilter
from ..kernels.denoise.movies import MovieFilter
from ..kernels.denoise.patches import Image
from ..kernels.denoise.spikes import SpikeFilter
from ..kernels.noise import NoiseModel
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios

NOISE = NoiseModel()
ELECTRONS = 5.0
WANTED, OF_SIDE = 1000.0, 512
"""Frames a second, of 512 x 512 px, movie."""
APART = 0.02
"""Electrons by which pictures may differ."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    sides: tuple[int, ...]
    rounds: int
    frames: int
    """Of a round."""


FULL = Plan((256, 512, 1024), 11, 16)
QUICK = Plan((256, 512), 3, 8)


def measure(plan: Plan) -> Measured:
    """Measure, where there is a device."""
    cases = [Case.of(side, plan.frames, movie) for side in plan.sides for movie in (True, False)]
    for case in cases:
        for _ in range(plan.rounds + 1):
            case.take_turns()
    return {
        "title": "The denoising chain, ms a frame",
        "rows": [case.row() for case in cases],
        "gates": list(_gates(cases)),
    }


@dataclass(slots=True)
class Case:
    """A movie, and how long each way took."""

    name: str
    frames: Image
    """(n, h, w)"""
    ways: dict[str, Callable[[Image], Image]]
    times: dict[str, list[float]] = field(default_factory=dict)
    """ms a frame of each way, one a round; the first round, which compiles and allocates, is left out."""
    apart: float = 0.0
    rounds: int = 0

    @classmethod
    def of(cls, side: int, count: int, movie: bool) -> Case:
        from ..kernels.cuda.denoise import DeviceChain

        rng = np.random.default_rng(0)
        y, x = np.mgrid[:side, :side]
        truth = ELECTRONS * (1 + 0.5 * np.sin(0.3 * y) * np.sin(0.25 * x))
        frames = rng.poisson(truth, (count, side, side)).astype(np.float32)
        chain = DeviceChain(NOISE, movie=movie)
        ways: dict[str, Callable[[Image], Image]] = {
            "CPU": _on_processor(movie),
            "GPU": lambda frame: chain.add(frame).estimate,
        }
        return cls(f"{'movie' if movie else 'quick'} {side}x{side}", frames, ways)

    def take_turns(self) -> None:
        """One round of each way."""
        pictures = {name: self._timed(name, way) for name, way in self.ways.items()}
        off = max(float(np.abs(a - b).max()) for a, b in zip(*pictures.values(), strict=True))
        self.apart = max(self.apart, off)
        self.rounds += 1

    def _timed(self, name: str, way: Callable[[Image], Image]) -> Sequence[Image]:
        started = time.perf_counter()
        pictures = [way(frame) for frame in self.frames]
        if self.rounds:
            spent = 1e3 * (time.perf_counter() - started) / len(self.frames)
            self.times.setdefault(name, []).append(spent)
        return pictures

    def row(self) -> Row:
        times: dict[str, Any] = {way: str(Spread.of(times)) for way, times in self.times.items()}
        rate = 1e3 / Spread.of(self.times["GPU"]).median
        case = {"case": f"denoise {self.name}, ms", **times, "frames/s": f"{rate:.0f}"}
        return {**case, "x the CPU": str(ratios(self.times["CPU"], self.times["GPU"]))}


def _on_processor(movie: bool) -> Callable[[Image], Image]:
    spikes, past, single = SpikeFilter(NOISE), MovieFilter(), FrameFilter(NOISE, "quick")

    def denoise(frame: Image) -> Image:
        values = spikes.add(frame).values
        if not movie:
            return single(values)
        return NOISE.unstabilise(past.add(NOISE.stabilise(values)).values)

    return denoise


def _gates(cases: list[Case]) -> Iterator[Gate]:
    apart = max(case.apart for case in cases)
    yield at_most("electrons by which denoised frames of the GPU and the CPU differ", apart, APART)
    for case in cases:
        if case.name == f"movie {OF_SIDE}x{OF_SIDE}":
            rate = 1e3 / Spread.of(case.times["GPU"]).median
            yield at_least(f"denoised frames a second, {case.name}", rate, WANTED)
