"""Particles of a frame found on a CUDA device: the frame goes up, the table of its particles comes down.

The steps of `kernels.tracking.detect.Detector`, in its order: background, scaling, search, fit, the
background of what is left, second search, fit, measuring. The numbers are the processor's but for rounding;
what is believed of the table is decided on the host, by the same functions (`kernels.tracking.verdict`).
Nothing is waited for in between. For one thread at a time; knows no consumer.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from ..tracking import backgrounds, detect, refine, shapes
from ..tracking.desk import APART, Scale
from ..tracking.table import Flag
from ..tracking.verdict import Fit, Found, bounds_of, nothing_found, order_of, rows_of
from . import tracking_frames as frames
from . import tracking_kernels as kernels

Frame = npt.NDArray[np.generic]
Columns = npt.NDArray[np.float64]
Array = Any
"""An array on the device."""
PIXEL_THREADS, PARTICLE_THREADS = 256, 64
"""Of a block; powers of two."""
MAX_BLOCKS = 4096
PARTICLE_BLOCKS = 1024
"""That take turns: more than run at a time on a large device, so that none is idle."""
FEW = 512
"""Rows of the table that come down at once, at least; more take a second copy."""
NOISES = 16
"""Places for the noise after each Gaussian: more than a ladder has."""


class CudaDetector:
    """Finds the particles of frames of one shape on a device; stands where `Detector` does.

    Parameters
    ----------
    detector : of the processor, for the same frames and particles.
    threads : of a CUDA block, ``blocks``: of a launch; fewer only for the simulator.

    Raises
    ------
    ValueError
        Numbers of threads that are no powers of two.

    Notes
    -----
    Where there are more peaks than room (twice `DetectorOptions.most`) the first in reading order are taken,
    the processor takes the highest; the frame is called truncated by both.
    """

    def __init__(self, detector: detect.Detector, threads: int = 0, blocks: int = 0) -> None:
        self._pixels, self._each = threads or PIXEL_THREADS, threads or PARTICLE_THREADS
        if self._pixels & (self._pixels - 1) or not 0 < self._pixels <= frames.MAX_THREADS:
            raise ValueError(f"{threads} threads of a block; a power of two up to {frames.MAX_THREADS}")
        self._most_blocks, self._blocks = blocks or MAX_BLOCKS, blocks or PARTICLE_BLOCKS
        self.shape, self.options, self.profile = detector.shape, detector.options, detector.profile
        self._cell = max(4, round(detect.CELL * self.options.radius))
        self._broad = [Scale(self.profile, r, detect.BROAD * r) for r in self.options.ladder]
        least = self.options.ladder[-1]
        self._wide = shapes.WIDE * math.sqrt(self.profile.variance)
        fine, self._least_fine = detect.second_search(self.options.radius, self._wide)
        self._fine = Scale(self.profile, fine / detect.BROAD * least, fine * least)
        self._stream: Any = cuda.stream()
        self._begin()

    def _begin(self) -> None:
        """Memory and tables."""
        h, w = self.shape
        self.room = min(2 * self.options.most, h * w)
        cells = backgrounds.cells_of(self.shape, self._cell)
        self._frame, self._residual, self._half, self._response = (self._empty(self.shape) for _ in range(4))
        self._means, self._counts, self._background, self._shift = (self._empty(cells) for _ in range(4))
        self._marks, self._rows = self._empty(self.shape, np.uint8), self._empty((h,), np.int32)
        self._state = self._up(np.zeros(frames.SPREADS + NOISES))
        self._found = self._up(np.zeros(2 * len(self._broad) + 8, np.int32))
        self._particles, self._spare = (self._empty((self.room, 4), np.float64) for _ in range(2))
        self._gains, self._spare_gains = (self._empty((self.room,), np.float64) for _ in range(2))
        self._moved, self._spare_moved = (self._empty((self.room,)) for _ in range(2))
        self._near = self._empty((self.room, kernels.MOST_TOUCHING), np.int32)
        self._many, self._goes = self._empty((self.room,), np.int32), self._empty((self.room,), np.uint8)
        self._turns = self._empty((self.room + 1,), np.int32)
        self._table = self._empty((self.room + 1, kernels.COLUMNS), np.float64)
        self._host = cuda.pinned_array((self.room + 1, kernels.COLUMNS), np.float64)
        self._staged = cuda.pinned_array(self.shape, np.float32)
        self._rest = self._empty(self.shape, np.int8)
        self._profile = self._up(np.ascontiguousarray(self.profile.table))
        self._curves = self._up(refine.curvatures(self.profile))
        one, (start, step, variance) = self.options, self.profile.rule
        rule = (
            *(start, step, variance, detect.REACH * math.sqrt(variance), math.log(one.radius), one.spread),
            *(one.saturation, detect.LEAST_KEPT**2, self.profile.most),
        )
        self._rule = self._up(np.array(rule))
        self._taps: dict[int, Array] = {id(s): self._up(s.half) for s in (*self._broad, self._fine)}
        self._smaller = [
            (self._empty(shape), self._empty(shape), self._empty(shape)) for shape in self._halved_shapes()
        ]

    def _halved_shapes(self) -> list[tuple[int, int]]:
        """Of the frame as often halved as a scale wants it and it can be."""
        found, (h, w) = [], self.shape
        for _ in range(max(s.halvings for s in self._broad)):
            if min(h, w) < 2:
                break
            h, w = h // 2, w // 2
            found.append((h, w))
        return found

    def examine(self, frame: Frame, keep_rest: bool = False) -> Found:
        """The detections of a frame (h, w), as `Detector.examine`; with ``keep_rest`` that comes down, too.

        Raises
        ------
        ValueError
            A frame of another shape.
        """
        if frame.shape != self.shape:
            raise ValueError(f"frame is {frame.shape}: this detector was made for {self.shape}")
        np.copyto(self._staged, frame, casting="unsafe")
        self._frame.copy_to_device(self._staged, stream=self._stream)
        place = self._launch()
        table = self._down()
        n, is_full = int(table[0, frames.SPREADS + 2]), bool(table[0, frames.SPREADS + 3])
        noise, spread = float(table[0, frames.SPREADS]), float(table[0, frames.SPREADS + 1])
        invalid, nothing = int(table[0, frames.INVALID]), float(table[0, frames.NOTHING])
        if noise == 0:
            found = nothing_found(invalid)
            return replace(found, rest=np.zeros(self.shape, np.int8)) if keep_rest else found
        rows = table[1 : n + 1]
        stays = rows[:, kernels.MARK] != kernels.GOES
        found, strong = self._verdict(rows, stays, noise, spread / max(noise, nothing), invalid, is_full)
        return replace(found, rest=self._left(~strong, place, noise)) if keep_rest else found

    def detect(self, frame: Frame) -> Any:
        """The detections of a frame (h, w) of numbers, by falling score; see `examine`."""
        return self.examine(frame).detections

    def _launch(self) -> int:
        """All of it; the place of the number of particles at the end."""
        fits = detect.SWEEPS_BROAD
        sign = np.float32(-1 if self.options.polarity == "dark" else 1)
        self._background_of(self._frame, self._background)
        self._one(frames.settle)(self._background, self._counts, self._frame.size, self._state, self._found)
        self._all(frames.scale)(self._frame, self._background, self._cell, sign, self._state, self._residual)
        place, last = self._search_broad(1)
        noises = (last, -1)
        self._turn(noises, -1, place, fits)
        args = (self._particles, self._found, place)
        self._all(kernels.lone_gains)(self._curves, self._profile, self._rule, *args, self._gains)
        self._judge(noises, place, detect.SAME, True)
        self._put_back(place)
        place = self._keep(place)
        self._background_of(self._residual, self._shift)
        self._all(frames.subtract)(self._residual, self._shift, self._cell)
        before, noises = place, (last, last + 1)
        place = self._look(self._fine, 1, self._residual, self._least_fine, place, last + 1)
        self._turn(noises, before, place, detect.SWEEPS_FINE)
        seen = (self._residual, self._frame, self._background, self._cell, self._profile, self._curves)
        self._many_of(kernels.measure)(
            *seen, self._rule, self._particles, self._moved, self._found, place, self._gains, self._table
        )
        self._judge(noises, place, detect.SAME, True)
        self._many_of(kernels.overlaps)(self._particles, self._found, place, self._goes, self._table)
        self._one(kernels.sum_up)(self._state, self._found, place, *noises, self._table)
        return place

    def _background_of(self, values: Array, out: Array) -> None:
        wide = (min(self._means.size, self._most_blocks), self._each, self._stream)
        frames.cells[wide](values, self._cell, self._means, self._counts)
        self._all(frames.smooth)(self._means, self._counts, detect.CELLS_AROUND, out)

    def _search_broad(self, place: int) -> tuple[int, int]:
        """Peaks of all scales; the place of their number, and of the finest scale's noise."""
        least = detect.LEAST_BROAD if len(self._broad) == 1 else detect.LEAST_WIDE
        noise = 0
        for noise, scale in enumerate(self._broad):
            values, size = self._residual, 1
            for smaller, *_ in self._smaller[: scale.halvings]:
                self._all(frames.halve)(values, smaller)
                values, size = smaller, 2 * size
            place = self._look(scale, size, values, least, place, noise)
        if len(self._broad) > 1:
            self._judge((noise, -1), place, APART, False)
            place = self._keep(place)
        return place, noise

    def _look(self, scale: Scale, size: int, values: Array, least: float, place: int, noise: int) -> int:
        """Particles at the peaks of one scale, behind those that there are."""
        half, response = self._half, self._response
        if size > 1:
            _, half, response = self._smaller[int(math.log2(size)) - 1]
        self._all(frames.down)(values, self._taps[id(scale)], half)
        self._all(frames.across)(half, self._taps[id(scale)], response)
        self._one(frames.spread)(response, scale.white, self._state, frames.SPREADS + noise)
        rows = (min(response.shape[0], self._most_blocks), self._each, self._stream)
        for sign in (1, -1) if self.options.polarity == "both" else (1,):
            found = (np.float32(sign), least * scale.white, scale.reach, self._state, frames.SPREADS + noise)
            frames.crests[rows](response, *found, self._marks, self._rows)
            peak = (np.float32(sign), size, 1 / scale.gain, scale.white, math.log(scale.radius))
            into = (self._particles, self._gains, self._moved)
            frames.gather[rows](response, *peak, self._marks, self._rows, self._found, place, *into)
            place += 1
        return place

    def _turn(self, noises: tuple[int, int], begin: int, place: int, fits: int) -> None:
        """Take new particles out of the residual and fit all."""
        lists = (self._near, self._many)
        self._many_of(kernels.touching)(
            self._particles, self._found, place, fits, self._rule, *lists, self._turns
        )
        self._many_of(kernels.take_turns)(
            self._residual, self._profile, self._curves, self._rule, self._state, *noises, self._particles,
            self._moved, *lists, self._found, begin, place, fits, self._turns,
        )  # fmt: skip

    def _judge(self, noises: tuple[int, int], place: int, same: float, is_pruning: bool) -> None:
        what = (self._particles, self._gains, self._found, place, same, is_pruning, self._goes)
        self._many_of(kernels.judge)(self._rule, self._state, *noises, *what)

    def _put_back(self, place: int) -> None:
        """Those that go."""
        self._all(kernels.line_up)(self._turns)
        what = (self._particles, self._near, self._many, self._goes, self._found, place, self._turns)
        self._many_of(kernels.put_back)(self._residual, self._profile, self._rule, *what)

    def _keep(self, place: int) -> int:
        """Only those that stay."""
        out = (self._spare, self._spare_gains, self._spare_moved)
        self._one(kernels.keep)(self._particles, self._gains, self._goes, self._found, place, *out)
        self._spare, self._spare_gains, self._spare_moved = self._particles, self._gains, self._moved
        self._particles, self._gains, self._moved = out
        return place + 1

    def _down(self) -> Columns:
        """The table as far as it is filled."""
        host: Columns = self._host
        few = min(FEW, self.room) + 1
        self._table[:few].copy_to_host(host[:few], stream=self._stream)
        self._stream.synchronize()
        rows = int(host[0, frames.SPREADS + 2]) + 1
        if rows > few:
            self._table[few:rows].copy_to_host(host[few:rows], stream=self._stream)
            self._stream.synchronize()
        return np.asarray(host)

    def _verdict(
        self, rows: Columns, stays: npt.NDArray[np.bool_], noise: float, crowding: float, invalid: int,
        is_full: bool,
    ) -> tuple[Found, npt.NDArray[np.bool_]]:  # fmt: skip
        """What is believed, and which of all rows stand on their own."""
        own, options = np.array(rows[stays]), self.options
        overlapping = own[:, kernels.MARK] == kernels.OVERLAPPING
        state = np.where(overlapping, shapes.OVERLAPPING, 0).astype(np.uint8)
        fit = Fit(own[:, :4], own[:, 4:14], own[:, kernels.LAST_STEP], state, noise, crowding, self._wide)
        variance = self.profile.variance
        bounds = bounds_of(fit, options, variance, self._frame.size)
        order = order_of(fit, bounds)
        floor = max(float(self._host[0, frames.FLOOR]), 1e-6)
        level = np.maximum(own[order, kernels.BACKGROUND], floor)
        found = rows_of(fit, order, level, bounds, options, variance, self.shape)
        found["flags"] |= np.where(own[order, kernels.SATURATED] > 0, np.uint32(Flag.SATURATED), np.uint32(0))
        bad = own[order, kernels.INVALID] > 0
        found["flags"] |= np.where(bad, np.uint32(Flag.INVALID_PIXELS), np.uint32(0))
        truncated = is_full or len(found) > options.most
        strong = np.zeros(len(rows), bool)
        strong[np.flatnonzero(stays)] = fit.scores >= bounds[0]
        return Found(found[: options.most], noise, *bounds, invalid, truncated), strong

    def _left(self, goes: npt.NDArray[np.bool_], place: int, noise: float) -> npt.NDArray[np.int8]:
        """See `Found.rest`."""
        marks = np.where(goes, kernels.GOES, kernels.STAYS).astype(np.uint8)
        if len(marks):
            self._goes[: len(marks)].copy_to_device(marks, stream=self._stream)
        self._put_back(place)
        self._all(frames.rounded)(self._residual, np.float32(detect.REST / noise), self._rest)
        found: npt.NDArray[np.int8] = self._rest.copy_to_host(stream=self._stream)
        self._stream.synchronize()
        return found

    def _all(self, kernel: Any) -> Any:
        """A launch with a thread for each pixel, of no more blocks than a frame needs."""
        blocks = max(1, min(self._most_blocks, -(-self.shape[0] * self.shape[1] // self._pixels)))
        return kernel[blocks, self._pixels, self._stream]

    def _many_of(self, kernel: Any) -> Any:
        """A launch with a block for each particle, as they come."""
        return kernel[self._blocks, self._each, self._stream]

    def _one(self, kernel: Any) -> Any:
        """A launch of one block."""
        return kernel[1, self._pixels, self._stream]

    def _empty(self, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
        return cuda.device_array(shape, dtype, stream=self._stream)

    def _up(self, array: npt.NDArray[Any]) -> Array:
        return cuda.to_device(np.ascontiguousarray(array), stream=self._stream)
