"""The kernels of decoded frames against memcpy of the same frames and against BLAS, one core, in one run.

Frames come from memory: more of them are cycled than the last-level cache holds. They are sparse counts, on
which no kernel's time depends. Where BLAS is called bare it gets its frames converted for nothing, and hot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..kernels.masks import annulus, disk, frame_center, radial_bins
from ..kernels.reduce import Region, Regions, compile_regions, reduce_block, warm_up
from .figures import Gate, Measured, Row, Spread, at_least, ratios

Frames: TypeAlias = npt.NDArray[Any]
Way: TypeAlias = Callable[[Frames], object]
"""Does something with a block of frames."""

MEMCPY = "memcpy"
COUNTS = 0.3
BLOCK_BYTES = 8 << 20
"""The tile that a worker decodes into."""
ONE, FOUR = 0.9, 0.7
"""Shares of memcpy's speed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    frame_bytes: int
    """Of all frames that are cycled: more than a cache holds."""
    rounds: int
    sides: tuple[int, ...]
    dtypes: tuple[str, ...]
    peer_frames: int
    """Frames that BLAS gets: it takes as many microseconds for each."""


FULL = Plan(96 << 20, 7, (128, 256, 512, 1024, 2048, 4096), ("uint8", "uint16", "uint32", "float32"), 256)
QUICK = Plan(72 << 20, 3, (256,), ("uint16",), 64)
GATED = (256, "uint16")


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench kernels`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    rows: list[Row] = []
    gates: list[Gate] = []
    for side, dtype in _sizes(plan):
        frames = counting_frames(plan.frame_bytes, side, dtype)
        ways = detector_ways(side, dtype)
        times = _times(plan, frames, ways)
        rows += _rows(side, dtype, times)
        if (side, dtype) == GATED:
            with one_thread():
                peers = _times(plan, frames[: plan.peer_frames], _peers(side, frames[: plan.peer_frames]))
            rows += _rows(side, dtype, {MEMCPY: times[MEMCPY], **peers})
            gates += _gates(times, peers)
    return {
        "title": f"Kernels on decoded frames, {plan.frame_bytes >> 20} MiB cycled, one core",
        "rows": rows,
        "gates": gates,
    }


def one_thread() -> AbstractContextManager[object]:
    """BLAS on one core, like the rest; where threadpoolctl is missing its idle threads count against it."""
    try:
        limits: AbstractContextManager[object] = import_module("threadpoolctl").threadpool_limits(1)
    except ImportError:
        return nullcontext()
    return limits


def counting_frames(size: int, side: int, dtype: str) -> Frames:
    """Frames (n, side, side) of ``size`` bytes in all: the same sparse counts again and again."""
    pixels = side * side
    count = max(size // (pixels * np.dtype(dtype).itemsize), 1)
    some = np.random.default_rng(0).poisson(COUNTS, (min(count, 16), side, side)).astype(dtype)
    return np.resize(some, (count, side, side))


def detector_ways(side: int, dtype: str) -> dict[str, Way]:
    """memcpy and the reductions, by name."""
    warm_up(dtype)
    shape = (side, side)
    ways: dict[str, Way] = {MEMCPY: _Copy(shape, dtype)}
    for name, (regions, profile) in _cases(side).items():
        compiled = compile_regions(shape, regions, radial_bins(shape) if profile else None)
        ways[name] = partial(_reduce, compiled)
    return ways


def _sizes(plan: Plan) -> Iterator[tuple[int, str]]:
    """Every size in the type of the gates, and every other type in their size."""
    yield from ((side, GATED[1]) for side in plan.sides)
    yield from ((GATED[0], dtype) for dtype in plan.dtypes if dtype != GATED[1])


def _cases(side: int) -> Mapping[str, tuple[Sequence[Region], bool]]:
    """Regions, and whether a radial profile."""
    shape, rng = (side, side), np.random.default_rng(1)
    whole = Region(np.ones(shape, bool), frame_center(shape))
    usual = [Region(disk(shape, 0.18 * side)), Region(annulus(shape, 0.25 * side, 0.48 * side)), whole]
    live = rng.random(shape) >= 0.01
    return {
        "1 annulus": (usual[1:2], False),
        "CoM": ([whole], False),
        "small disk": ([Region(disk(shape, 0.02 * side))], False),
        "4 annuli": (_rings(side, 4), False),
        "disk, annulus, CoM": (usual, False),
        "the same, 1 % dead": ([Region(region.mask & live, region.center) for region in usual], False),
        "16 annuli": (_rings(side, 16), False),
        "16 random masks": ([Region(rng.random(shape) < 0.5) for _ in range(16)], False),
        "1 integer weights": ([Region(whole.mask, weights=rng.integers(-99, 99, shape))], False),
        "1 float weights": ([Region(whole.mask, weights=rng.random(shape))], False),
        "radial profile": ([], True),
    }


def _rings(side: int, count: int) -> list[Region]:
    width = side / 2 / count
    return [Region(annulus((side, side), i * width, (i + 1) * width)) for i in range(count)]


class _Copy:
    """memcpy of a block into memory that is not in cache either."""

    def __init__(self, shape: tuple[int, int], dtype: str) -> None:
        pixel = np.dtype(dtype)
        count = max(64 << 20, shape[0] * shape[1] * pixel.itemsize) // (shape[0] * shape[1] * pixel.itemsize)
        self._into = np.zeros((count, *shape), pixel)
        self._next = 0

    def __call__(self, block: Frames) -> None:
        if self._next + len(block) > len(self._into):
            self._next = 0
        np.copyto(self._into[self._next : self._next + len(block)], block)
        self._next += len(block)


def _reduce(regions: Regions, block: Frames) -> None:
    reduce_block(block, regions)


def _peers(side: int, frames: Frames) -> dict[str, Way]:
    """Sixteen masks as one product of matrices."""
    masks = np.stack([region.mask.ravel() for region in _rings(side, 16)], axis=1)
    ways: dict[str, Way] = {}
    for kind in (np.float32, np.float64):
        matrix = masks.astype(kind)
        name = f"16 masks by BLAS, {np.dtype(kind).name}"
        ways[name] = partial(_converted_product, matrix)
        block = frames[: _block_frames(frames)].reshape(-1, side * side).astype(kind)
        ways[f"{name}, bare"] = partial(_product, block, matrix)
    torch = _torch_way(masks)
    return ways if torch is None else ways | {"16 masks by torch, float32": torch}


def _torch_way(masks: npt.NDArray[np.bool_]) -> Way | None:
    try:
        torch: Any = import_module("torch")
    except ImportError:
        return None
    torch.set_num_threads(1)
    matrix = torch.from_numpy(masks.astype(np.float32))

    def product(block: Frames) -> object:
        frames = torch.from_numpy(block.reshape(len(block), -1).astype(np.float32))
        return frames @ matrix

    return product


def _converted_product(matrix: npt.NDArray[Any], block: Frames) -> object:
    return block.reshape(len(block), -1).astype(matrix.dtype) @ matrix


def _product(frames: npt.NDArray[Any], matrix: npt.NDArray[Any], block: Frames) -> object:
    return frames[: len(block)] @ matrix


def _block_frames(frames: Frames) -> int:
    return max(BLOCK_BYTES // frames[:1].nbytes, 1)


def _times(plan: Plan, frames: Frames, ways: Mapping[str, Way]) -> dict[str, list[float]]:
    """Microseconds of processor time a frame, of each way and round, the ways in turns.

    Processor time, of all threads: BLAS gains nothing by a second core.
    """
    step = _block_frames(frames)
    blocks = [frames[i : i + step] for i in range(0, len(frames), step)]
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(plan.rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            for block in blocks:
                way(block)
            if number:  # the first round maps and warms
                times[name].append((time.process_time() - started) / len(frames) * 1e6)
    return times


def _rows(side: int, dtype: str, times: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    for name, values in times.items():
        yield {
            "way": name,
            "frame": f"{side} x {side} {dtype}",
            "us/frame": str(Spread.of(values)),
            "x memcpy": str(ratios(times[MEMCPY], values)),
        }


def _gates(times: Mapping[str, Sequence[float]], peers: Mapping[str, Sequence[float]]) -> Iterator[Gate]:
    for name, limit in (("1 annulus", ONE), ("CoM", ONE), ("4 annuli", FOUR)):
        speed = ratios(times[MEMCPY], times[name]).median
        yield at_least(f"{name}, {GATED[0]} x {GATED[0]} {GATED[1]}: share of memcpy", speed, limit)
    best = min(Spread.of(values).median for values in peers.values())
    for name in ("16 annuli", "16 random masks"):
        speed = best / Spread.of(times[name]).median
        yield at_least(f"{name}: x the best product of matrices", speed, 1.0)
