"""Reducing frames on a CUDA device beside the processor: upload alone, kernels alone, the whole way.

The same blocks and regions for both, in alternating rounds, results compared; thin plates of sparse scans
(`gpu_plates`), denoising (`gpu_denoise`) and particles (`gpu_tracking`). Without a device there is nothing to
measure, and the benchmark says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.device import CudaState, Device, choose_device, find_cuda
from ..kernels.masks import annulus, disk, radial_bins
from ..kernels.reduce import Reduction, Region, Regions, compile_regions, reduce_block
from . import gpu_denoise, gpu_plates, gpu_tracking
from .figures import Gate, Measured, Row, Spread, at_most, ratios

MEAN_COUNTS = 0.3
DTYPES = ("uint16", "float32")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    frames: int
    """A block: uint16 frames of 256 x 256 are 128 KiB each."""
    rounds: int
    shape: tuple[int, int] = (256, 256)
    threads: int = 128
    """Of a CUDA block."""


FULL = Plan(512, 21)
QUICK = Plan(128, 3)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench gpu`` shows."""
    found = find_cuda()
    reduced = measure(QUICK if quick else FULL, found)
    if found.name is None:
        return reduced
    plates = gpu_plates.measure(gpu_plates.QUICK if quick else gpu_plates.FULL)
    denoised = gpu_denoise.measure(gpu_denoise.QUICK if quick else gpu_denoise.FULL)
    tracked = gpu_tracking.measure(gpu_tracking.QUICK if quick else gpu_tracking.FULL)
    parts = (reduced, plates, denoised, tracked)
    return {
        "title": ". ".join(part["title"] for part in parts),
        "rows": [row for part in parts for row in part["rows"]],
        "gates": [gate for part in parts for gate in part["gates"]],
    }


def measure(plan: Plan, found: CudaState) -> Measured:
    h, w = plan.shape
    title = f"Reducing {h}x{w} frames on a GPU and on one core of the CPU, us a frame"
    if found.name is None:
        return {"title": f"{title}: no CUDA device here, {found.text}", "rows": [], "gates": []}
    device = choose_device("cuda", lambda: found)
    cases = [Case.of(plan, device, dtype, name) for dtype in DTYPES for name in _regions(plan.shape)]
    for _ in range(plan.rounds):
        for case in cases:
            case.take_turns()
    return {
        "title": f"{title}: {device.name}, {plan.frames} frames a block",
        "rows": [case.row() for case in cases],
        "gates": list(_gates(cases)),
    }


def _regions(shape: tuple[int, int]) -> dict[str, Regions]:
    """What is reduced, by name."""
    edge, whole = min(shape) / 2, np.ones(shape, bool)
    rings = [annulus(shape, edge * k / 4, edge * (k + 1) / 4) for k in range(1, 4)]
    return {
        "one annulus": compile_regions(shape, [Region(rings[1])]),
        "three annuli, CoM": compile_regions(shape, [*map(Region, rings), Region(whole, (0.0, 0.0))]),
        "16 disks": compile_regions(shape, [Region(disk(shape, edge * k / 16)) for k in range(1, 17)]),
        "radial profile": compile_regions(shape, [], radial_bins(shape)),
    }


@dataclass(slots=True)
class Case:
    """A block and regions, and how long each way took."""

    name: str
    block: npt.NDArray[Any]
    regions: Regions
    gpu: Any
    """consumers.work.gpu.GpuReducer; not imported where there is no device."""
    pinned_gpu: Any
    upload: Callable[[], float]
    kernel: Callable[[], float]
    times: dict[str, list[float]] = field(default_factory=dict)
    """us a frame of each way, one a round."""
    wrong: int = 0
    """Results that differ from the CPU's; looked at in the first round."""

    @classmethod
    def of(cls, plan: Plan, device: Device, dtype: str, name: str) -> Case:
        from ..consumers.work.gpu import GpuReducer, PageLocked

        counts = np.random.default_rng(0).poisson(MEAN_COUNTS, (plan.frames, *plan.shape))
        block, regions = counts.astype(dtype), _regions(plan.shape)[name]
        gpu, pinned = (GpuReducer(plan.shape, block.dtype, device, threads=plan.threads) for _ in range(2))
        locked = PageLocked(block.view(np.uint8).ravel())
        pinned.pin(locked.addresses)
        parts = _Parts(block, regions, plan.threads, locked)
        return cls(f"{dtype}, {name}", block, regions, gpu, pinned, parts.upload, parts.kernel)

    def take_turns(self) -> None:
        """One round of each way."""
        first = not self.times
        cpu = self._timed("CPU", partial(reduce_block, self.block, self.regions))
        for way, gpu in (("GPU, staged", self.gpu), ("GPU, page-locked", self.pinned_gpu)):
            (found,) = self._timed(way, partial(gpu.reduce, self.block, [self.regions]))
            self.wrong += first and not _agree(found, cpu)
        for way, part in (("upload alone", self.upload), ("kernels alone", self.kernel)):
            self.times.setdefault(way, []).append(1e6 * part() / len(self.block))
        if first:  # compiled, loaded and allocated
            for times in self.times.values():
                times.clear()

    def _timed(self, way: str, do: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = do()
        self.times.setdefault(way, []).append(1e6 * (time.perf_counter() - started) / len(self.block))
        return result

    def row(self) -> Row:
        gigabytes = self.block[0].nbytes / 1000 / Spread.of(self.times["upload alone"]).median
        return {
            "case": self.name,
            **{way: str(Spread.of(times)) for way, times in self.times.items()},
            "upload GB/s": f"{gigabytes:.3g}",
            "x the CPU": str(ratios(self.times["CPU"], self.times["GPU, page-locked"])),
        }


class _Parts:
    """Upload and kernels by themselves, each with a wait at its end."""

    def __init__(self, block: npt.NDArray[Any], regions: Regions, threads: int, locked: object) -> None:
        from numba import cuda

        from ..kernels.cuda.batch import OnDevice, Results

        self._stream = cuda.stream()
        self._flat, self._threads, self._locked = block.reshape(len(block), -1), threads, locked
        self._width = block.shape[2]
        self._frames = cuda.device_array(self._flat.shape, block.dtype)
        self._tables = OnDevice.of(regions, block.dtype, self._stream).tables
        self._results = [Results.of(table.table, len(block)) for table in self._tables]

    def upload(self) -> float:
        """Seconds."""
        started = time.perf_counter()
        self._frames.copy_to_device(self._flat, stream=self._stream)
        self._stream.synchronize()
        return time.perf_counter() - started

    def kernel(self) -> float:
        """Seconds."""
        from ..kernels.cuda.batch import issue

        started = time.perf_counter()
        for table, results in zip(self._tables, self._results, strict=True):
            issue(self._frames, self._width, table, results, self._stream, self._threads)
        self._stream.synchronize()
        return time.perf_counter() - started


def _agree(found: Reduction, expected: Reduction) -> bool:
    pairs = ((found.sums, expected.sums), (found.com, expected.com), (found.profile, expected.profile))
    return all(np.allclose(ours, theirs, rtol=1e-9, atol=0, equal_nan=True) for ours, theirs in pairs)


def _gates(cases: list[Case]) -> Iterator[Gate]:
    yield at_most("cases in which the GPU and the CPU differ", sum(case.wrong for case in cases), 0)
