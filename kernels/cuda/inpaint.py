"""The thin plate of sparse scans on a CUDA device: buffers, launches, and when to stop.

The same image as `kernels.inpaint.thin_plate` up to rounding, iteration by iteration. All of it happens on
the device, the push-pull start included; samples go up, the image and ten numbers a channel come down. For
one thread at a time. Knows no consumer.

Launches follow each other without a wait; only every `STRIDE` iterations the host looks whether the device
has found that it may stop. What was issued too much ends at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import config, cuda

from ..inpaint.arguments import check_problem
from ..inpaint.grids import cells, grids
from ..inpaint.solution import Budget, Clock, Image, Solution, Weight
from ..inpaint.stencils import MOST_TENSION, exact, row_terms
from ..inpaint.thin_plate import PATIENCE, ROUNDING, SOFTEST, STRONGEST, ThinPlate
from . import inpaint_kernels as kernels
from .inpaint_kernels import (
    COLUMNS,
    DATA,
    DIRECTION,
    DONE,
    FREED,
    IMAGE,
    MAX_BLOCKS,
    MAX_THREADS,
    OTHER,
    ROWS,
    RUNNING,
    RZ,
    SCALE,
    TOTAL,
)

DeviceArray: TypeAlias = Any
"""numba's; it has no types."""
Floats: TypeAlias = npt.NDArray[np.float32]

STRIDE = 8
"""Iterations between two looks at what the device has found; a look is a wait of tens of us."""
BOTTOM_CELLS = 4096
"""Grids up to 64 x 64 are one block's work in one launch: a launch costs more than they do."""

config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # small images are as small as they are


@dataclass(frozen=True, slots=True, eq=False)
class _Buffers:
    """What images of one shape need on the device, 31 bytes a pixel and channel; see `inpaint_kernels`."""

    shape: tuple[int, int, int]
    planes: DeviceArray
    pyramid: DeviceArray
    table: DeviceArray
    terms: DeviceArray
    sums: DeviceArray
    state: DeviceArray
    found: npt.NDArray[np.float64]
    """The state as it was last looked at; page-locked."""
    stream: Any
    levels: int
    """Grids, the image's own included."""
    first: int
    """Level from which on one block does all."""

    @classmethod
    def of(cls, shape: tuple[int, int, int], tension: float, blocks: int, bottom_cells: int) -> _Buffers:
        c, ny, nx = shape
        table = _table((ny, nx))
        size = table[:, 1] * table[:, 2]
        first = 1 + int(np.count_nonzero(size[1:] > bottom_cells))
        tiles = -(-ny // ROWS) * -(-nx // COLUMNS)
        stream = cuda.stream()
        return cls(
            shape,
            cuda.device_array((5, c, ny * nx), np.float32),
            cuda.device_array((c + 2, int(size.sum())), np.float32),
            cuda.to_device(table, stream=stream),
            cuda.to_device(np.array(row_terms(ny, tension)), stream=stream),
            cuda.device_array((c, FREED + first, min(tiles, blocks)), np.float64),
            cuda.device_array((c, DONE + 1), np.float64),
            cuda.pinned_array((c, DONE + 1), np.float64),
            stream,
            len(table),
            first,
        )

    def look(self) -> npt.NDArray[np.float64]:
        """Wait for the device; (c, 10) its state."""
        self.state.copy_to_host(self.found, stream=self.stream)
        self.stream.synchronize()
        return self.found


def _table(shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(levels, 3) first cell, rows and columns: the image itself, then `grids`."""
    table = np.insert(grids(shape), 0, (0, *shape), axis=0)
    table[1:, 0] += shape[0] * shape[1]
    return table


class CudaThinPlate:
    """See the module. A `Solver`, `ThinPlate` on the device; name and version are its own, so is the image.

    Parameters
    ----------
    tension : see `ThinPlate`.
    threads : of a CUDA block, a power of two; fewer only for the simulator.
    blocks : at most, of a channel.
    bottom_cells : of the largest grid that one block works on.
    """

    name = ThinPlate.name
    version = ThinPlate.version
    warm = ThinPlate.warm

    def __init__(
        self,
        tension: float = 1 / 256,
        *,
        threads: int = MAX_THREADS,
        blocks: int = MAX_BLOCKS,
        bottom_cells: int = BOTTOM_CELLS,
    ) -> None:
        if not 0 <= tension <= MOST_TENSION:
            raise ValueError(f"tension {tension:g} of a thin plate; from 0 to {MOST_TENSION:g}")
        if threads & (threads - 1) or not 0 < threads <= MAX_THREADS:
            raise ValueError(f"{threads} threads of a block; a power of two up to {MAX_THREADS}")
        self.tension = tension
        self._threads, self._blocks, self._bottom_cells = threads, blocks, bottom_cells
        self._buffers: _Buffers | None = None

    def solve(
        self,
        data: Image,
        weight: Weight,
        start: Image | None = None,
        strength: float = 0.0,
        budget: Budget | None = None,
    ) -> Solution:
        """See `ThinPlate.solve`; channels share the whole budget, since they are solved together.

        Arrays may be those of numpy or of the device, contiguous there and finished when this is called; of
        a start on the device it is not checked that it is finite. The image is in host memory.
        """
        _check(data, weight, start, strength)
        budget = budget or Budget()
        clock = budget.clock()
        on = self._buffers_for(data.shape)
        self._upload(on, data, weight, start)
        strength = self._survey(on, strength)
        pull = np.float32(min(1 / strength, STRONGEST) if strength > 0 else 0)
        self._make_ready(on, pull, None if start is not None else strength)
        self._descend(on, pull, budget, clock)
        self._many(kernels.finish, on)(on.planes, on.pyramid, on.state, pull)
        state, image = self._download(on)
        return _solution(image, state, budget)

    def forget(self) -> None:
        """Give the device's memory back."""
        self._buffers = None

    def _buffers_for(self, shape: tuple[int, int, int]) -> _Buffers:
        if self._buffers is None or self._buffers.shape != shape:
            self._buffers = None  # before the next ones are taken
            self._buffers = _Buffers.of(shape, self.tension, self._blocks, self._bottom_cells)
        return self._buffers

    def _many(self, kernel: Any, on: _Buffers, rows: int = 0) -> Any:
        """A launch of all blocks for each channel, or for ``rows``."""
        return kernel[(on.sums.shape[2], rows or on.shape[0]), self._threads, on.stream]

    def _upload(self, on: _Buffers, data: Any, weight: Any, start: Any) -> None:
        _send(data, on.planes[DATA], on.stream)
        _send(weight, on.pyramid[on.shape[0] + 1, : on.planes.shape[2]], on.stream)
        if start is not None:
            _send(start, on.planes[IMAGE], on.stream)

    def _survey(self, on: _Buffers, strength: float) -> float:
        """Mean and spread of the samples; the strength as far as it makes a difference."""
        self._many(kernels.sift, on, 1)(on.planes, on.pyramid)
        self._many(kernels.add_up, on)(on.planes, on.pyramid, on.sums)
        self._many(kernels.scatter, on)(on.planes, on.pyramid, on.sums, on.state)
        total = float(on.look()[0, TOTAL])
        pixels: int = on.planes.shape[2]
        return min(strength, SOFTEST * total / pixels)

    def _make_ready(self, on: _Buffers, pull: np.float32, softness: float | None) -> None:
        """The preconditioner, the start (by push-pull with this ``softness``, or as given), its residual."""
        n = on.planes.shape[2]
        is_warm = softness is None
        self._many(kernels.prepare, on)(on.planes, on.pyramid, on.sums, on.state, pull, is_warm)
        if softness is not None and on.levels > 1:
            self._push_pull(on, softness)
        self._many(kernels.take_up, on, 1)(on.pyramid, n, pull)
        for level in range(1, on.first):
            self._many(kernels.gather, on, 1)(on.pyramid, on.table, level, level)
        self._one(kernels.gather, on, 1)(on.pyramid, on.table, on.first, on.levels - 1)
        self._many(kernels.soften, on, 1)(on.pyramid, on.table, pull)
        tension = np.float32(exact(self.tension))
        self._many(kernels.hold, on)(on.planes, on.pyramid, on.table, on.terms, pull, tension)

    def _one(self, kernel: Any, on: _Buffers, rows: int = 0) -> Any:
        """A launch of one block for each channel, or for ``rows``."""
        return kernel[(1, rows or on.shape[0]), self._threads, on.stream]

    def _push_pull(self, on: _Buffers, softness: float) -> None:
        for level in range(1, on.levels):
            self._many(kernels.push, on)(on.pyramid, on.table, level)
        for level in range(on.levels - 2, -1, -1):
            self._many(kernels.pull_up, on)(on.planes, on.pyramid, on.table, level, np.float32(softness))

    def _descend(self, on: _Buffers, pull: np.float32, budget: Budget, clock: Clock) -> None:
        """Until the budget is spent, or nothing is gained any more: float32 may be at its end before."""
        share = max(budget.tolerance, ROUNDING) ** 2
        self._settle(on, OTHER, share, is_first=True)
        issued, old = 0, DIRECTION
        mark, least = 0, np.full(on.shape[0], np.inf)
        while issued < budget.iterations:
            state = on.look()
            running = state[:, RUNNING] > 0
            if (running & (state[:, RZ] < least / 2)).any():
                mark, least = issued, np.minimum(least, state[:, RZ])
            if not running.any() or clock.over or issued >= mark + PATIENCE:
                break
            for _ in range(min(STRIDE, budget.iterations - issued)):
                self._turn(on, old, pull)
                old = DIRECTION + OTHER - old
                self._settle(on, old, share, is_first=False)
                issued += 1

    def _turn(self, on: _Buffers, old: int, pull: np.float32) -> None:
        arrays = (on.planes, on.pyramid, on.table, on.terms, on.sums, on.state)
        self._many(kernels.turn, on)(*arrays, old, pull, np.float32(exact(self.tension)))

    def _settle(self, on: _Buffers, new: int, share: float, *, is_first: bool) -> None:
        """A step, and the new residual on all grids."""
        self._many(kernels.step, on)(on.planes, on.pyramid, on.sums, on.state, new, is_first)
        for level in range(1, on.first):
            self._many(kernels.shrink, on)(on.pyramid, on.table, level, on.sums, on.state)
        self._one(kernels.bottom, on)(on.pyramid, on.table, on.first, on.sums, on.state, is_first, share)
        for level in range(on.first - 1, 0, -1):
            self._many(kernels.correct, on)(on.pyramid, on.table, level, on.state)

    def _download(self, on: _Buffers) -> tuple[npt.NDArray[np.float64], Image]:
        image = np.empty((on.shape[0], on.planes.shape[2]), np.float32)
        on.planes[IMAGE].copy_to_host(image, stream=on.stream)
        return on.look(), image.reshape(on.shape)


def device_bytes(shape: tuple[int, int, int]) -> int:
    """Device memory that images of a shape (c, ny, nx) take, a few 100 KB apart."""
    c, ny, nx = shape
    return 4 * (5 * c * ny * nx + (c + 2) * (ny * nx + cells(grids((ny, nx)))))


def _send(array: Any, to: DeviceArray, stream: Any) -> None:
    flat = array.reshape(to.shape)
    to.copy_to_device(np.ascontiguousarray(flat) if isinstance(flat, np.ndarray) else flat, stream=stream)


def _check(data: Any, weight: Any, start: Any, strength: float) -> None:
    """As `check_problem`, which looks at values of the host alone."""
    if isinstance(start, np.ndarray) or start is None:
        check_problem(data, weight, start, strength)
        return
    check_problem(data, weight, None, strength)
    if start.shape != data.shape or start.dtype != np.float32:
        raise ValueError(f"start is {start.dtype} {start.shape}: data of {data.shape} wants float32 of it")


def _solution(image: Image, state: npt.NDArray[np.float64], budget: Budget) -> Solution:
    residuals: Sequence[float] = [
        math.sqrt(max(rz, 0.0) / scale) if scale > 0 else 0.0 for rz, scale in state[:, (RZ, SCALE)]
    ]
    enough = max(budget.tolerance, ROUNDING)
    return Solution(image, int(state[:, DONE].max()), max(residuals), max(residuals) <= enough)
