"""A CUDA device that reduces blocks of frames: streams, page-locked memory, and what to do when memory ends.

Frames go up, are reduced with everything that is wanted of them while they are there, and the sums come
down, on a stream each, with events between them: a batch is on its way up while another is reduced. Knows
no series, no ring and no consumer. For one thread at a time.

Out of memory: what is kept is given up and the batch halved; when a single frame does not fit, the processor
does it from then on. Any other error of the device leaves its context unusable: `DeviceFaultError`, upon
which the process has to end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from ...errors import DeviceFaultError
from ...kernels.cuda.batch import (
    MAX_FRAMES,
    DeviceArray,
    OnDevice,
    Results,
    Stream,
    download,
    issue,
    reduction,
    result_bytes,
)
from ...kernels.cuda.kernels import MAX_THREADS
from ...kernels.cuda.tables import MAX_PIXELS
from ...kernels.device import Device
from ...kernels.reduce import Reduction, Region, Regions, compile_regions, reduce_block

BATCH_BYTES = 16 << 20
"""Of frames a launch: 128 frames of 256 x 256 uint16, 64 of float32; 0.7 ms on a PCIe 4.0 x 16."""
SLOTS = 2
"""Batches on their way: one goes up while the other is reduced."""
REGIONS_KEPT = 8
"""Sets of regions whose tables stay on the device: those of a consumer, and the ones before a change."""


class OutOfDeviceMemoryError(Exception):
    """What a reducer was allowed to take does not suffice; never leaves this module."""


@dataclass(slots=True)
class _Slot:
    """The buffers of a batch on its way."""

    frames: DeviceArray
    """(capacity, h * w)"""
    events: tuple[Any, ...] = field(default_factory=lambda: tuple(cuda.event() for _ in range(3)))
    """Uploaded, computed, downloaded."""
    staging: npt.NDArray[Any] | None = None
    """Page-locked; made when frames come that are not."""
    results: dict[int, tuple[Results, ...]] = field(default_factory=dict)
    """By the number of the regions on the device."""


class GpuReducer:
    """Reduces blocks of frames of one shape and type on the device.

    Parameters
    ----------
    shape : (h, w) of the frames.
    pixel : their dtype, one of `kernels.reduce.DTYPES`.
    device : what is told of it in errors.
    batch_bytes : of frames a launch; at least one frame is taken.
    limit_bytes : of device memory to be taken; None: as much as there is.
    threads : of a CUDA block, a power of two; fewer only for the simulator.

    Attributes
    ----------
    alarm : why the processor does the work, or ""; for the user.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        pixel: np.dtype[Any],
        device: Device,
        *,
        batch_bytes: int = BATCH_BYTES,
        limit_bytes: int | None = None,
        threads: int = MAX_THREADS,
    ) -> None:
        self.shape, self.pixel, self.device = shape, pixel, device
        self.capacity = min(max(batch_bytes // self._frame_bytes, 1), MAX_FRAMES)
        """Frames a launch."""
        self.alarm = ""
        self._limit, self._threads = limit_bytes, threads
        self._whole = self.capacity
        self._pinned: range = range(0)
        self._tile = np.empty((0, *shape), pixel)
        """Page-locked memory that frames are decoded into."""
        self._streams: tuple[Stream, ...] = ()
        self._slots: list[_Slot] = []
        self._known: dict[int, OnDevice] = {}
        self._on_processor = shape[0] * shape[1] >= MAX_PIXELS

    @property
    def _frame_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.pixel.itemsize

    @property
    def on_processor(self) -> bool:
        """Whether the device was given up."""
        return self._on_processor

    def serves(self, shape: tuple[int, int], pixel: np.dtype[Any]) -> bool:
        """Whether it is ready for such frames: of the same kind, and memory has never been too little."""
        is_whole = self.capacity == self._whole and not self._on_processor
        return (shape, pixel) == (self.shape, self.pixel) and is_whole

    def pin(self, addresses: range) -> None:
        """Memory that is page-locked already (see `page_locked`): frames in it go up without a copy."""
        self._pinned = addresses

    def warm_up(self) -> None:
        """Compile or load all kernels for these frames, and take the memory of a batch.

        Regions of one pixel do for it: tables of whole frames of 4096 x 4096 take 3.6 s to make, these 0.2 s.
        """
        pixel = np.zeros(self.shape, np.bool_)
        pixel[0, 0] = True
        weights = Region(pixel, weights=np.where(pixel, 0.5, 0.0))
        regions = compile_regions(self.shape, [Region(pixel, (0.0, 0.0)), weights])
        self.reduce(np.zeros((1, *self.shape), self.pixel), [regions])
        if id(regions) in self._known:
            self._forget(self._known[id(regions)])

    def reduce(self, block: npt.NDArray[Any], wanted: Sequence[Regions]) -> list[Reduction]:
        """Reduce frames (n, h, w) with each of several sets of regions; as `reduce_block`, one after another.

        Raises
        ------
        ValueError
            As `reduce_block`.
        DeviceFaultError
            The device failed: nothing more can be computed on it in this process.
        """
        self._check(block, wanted)
        while not self._on_processor and len(block):
            try:
                return self._run(np.ascontiguousarray(block).reshape(len(block), -1), wanted)
            except Exception as error:  # noqa: BLE001 - numba and cuda-python have classes of their own
                self._recover(error)
        return [reduce_block(block, regions) for regions in wanted]

    def staging(self, frames: int) -> npt.NDArray[Any] | None:
        """(frames or more, h, w) of page-locked memory to decode into, the same as long as it suffices.

        None where there is none to be had.
        """
        if self._on_processor:
            return None
        if len(self._tile) < frames:
            try:
                self._tile = np.asarray(cuda.pinned_array((frames, *self.shape), self.pixel))
            except Exception as error:  # noqa: BLE001 - as above; pageable memory does as well, slower
                self.alarm = f"{self.device.name}: no page-locked memory ({error}): uploads are slower"
                return None
        return self._tile

    def _check(self, block: npt.NDArray[Any], wanted: Sequence[Regions]) -> None:
        if block.ndim != 3 or block.shape[1:] != self.shape or block.dtype != self.pixel:
            raise ValueError(
                f"block of {block.dtype} {block.shape}: wants {self.pixel} frames of {self.shape}, which the "
                "device is ready for"
            )
        for regions in wanted:
            if regions.shape != self.shape:
                raise ValueError(f"regions of frames {regions.shape} for frames {self.shape}")

    def _recover(self, error: Exception) -> None:
        """Make room after an error that says there is none; raises DeviceFaultError for any other."""
        try:
            if is_out_of_memory(error):
                return self._shrink()
        except Exception as worse:  # noqa: BLE001 - as above
            error = worse
        raise DeviceFaultError(
            f"{self.device.name} failed: {type(error).__name__}: {error}; this process ends, and another "
            "begins where it was"
        ) from error

    def _run(self, flat: npt.NDArray[Any], wanted: Sequence[Regions]) -> list[Reduction]:
        if not self._streams:
            self._streams = tuple(cuda.stream() for _ in range(3))
        tables = [self._table(regions) for regions in wanted]
        for oldest in list(self._known.values())[: -max(REGIONS_KEPT, len(wanted))]:
            self._forget(oldest)
        parts: list[list[Reduction]] = []
        on_their_way: deque[tuple[_Slot, int]] = deque()
        for number, start in enumerate(range(0, len(flat), self.capacity)):
            if len(on_their_way) == SLOTS:
                parts.append(_finished(*on_their_way.popleft(), tables))
            slot = self._slot(number % SLOTS)
            batch = flat[start : start + self.capacity]
            self._issue(slot, batch, tables)
            on_their_way.append((slot, len(batch)))
        parts += [_finished(slot, n, tables) for slot, n in on_their_way]
        return [_joined([part[i] for part in parts]) for i in range(len(wanted))]

    def _issue(self, slot: _Slot, batch: npt.NDArray[Any], tables: Sequence[OnDevice]) -> None:
        """Send a batch on its way; waits for nothing."""
        upload, compute, back = self._streams
        uploaded, computed, downloaded = slot.events
        frames, n = slot.frames[: len(batch)], len(batch)
        frames.copy_to_device(batch if self._is_pinned(batch) else self._staged(slot, batch), stream=upload)
        _then(uploaded, upload, compute)
        for on_device in tables:
            for table, results in zip(on_device.tables, self._results(slot, on_device), strict=True):
                issue(frames, self.shape[1], table, results, compute, self._threads)
        _then(computed, compute, back)
        for on_device in tables:
            for results in slot.results[id(on_device)]:
                download(results, n, back)
        downloaded.record(back)

    def _is_pinned(self, batch: npt.NDArray[Any]) -> bool:
        first = self._tile.ctypes.data
        return any(
            places.start <= batch.ctypes.data and batch.ctypes.data + batch.nbytes <= places.stop
            for places in (self._pinned, range(first, first + self._tile.nbytes))
        )

    def _staged(self, slot: _Slot, batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if slot.staging is None:
            slot.staging = cuda.pinned_array((self.capacity, batch.shape[1]), self.pixel)
        staged: npt.NDArray[Any] = slot.staging[: len(batch)]
        np.copyto(staged, batch)
        return staged

    def _slot(self, number: int) -> _Slot:
        if number == len(self._slots):
            pixels = self.shape[0] * self.shape[1]
            self._allow(self.capacity * self._frame_bytes)
            self._slots.append(_Slot(cuda.device_array((self.capacity, pixels), self.pixel)))
        return self._slots[number]

    def _table(self, regions: Regions) -> OnDevice:
        known = self._known.pop(id(regions), None)
        if known is None:
            known = OnDevice.of(regions, self.pixel, self._streams[1])
        self._known[id(regions)] = known  # the newest is last
        return known

    def _forget(self, on_device: OnDevice) -> None:
        del self._known[id(on_device.regions)]
        for slot in self._slots:
            slot.results.pop(id(on_device), None)

    def _results(self, slot: _Slot, on_device: OnDevice) -> tuple[Results, ...]:
        if id(on_device) not in slot.results:
            tables = [uploaded.table for uploaded in on_device.tables]
            self._allow(sum(result_bytes(table, self.capacity) for table in tables))
            slot.results[id(on_device)] = tuple(Results.of(table, self.capacity) for table in tables)
        return slot.results[id(on_device)]

    def _allow(self, nbytes: int) -> None:
        """Raises OutOfDeviceMemoryError when so much more is over the limit."""
        if self._limit is None:
            return
        taken = len(self._slots) * self.capacity * self._frame_bytes
        for slot in self._slots:
            for known in self._known.values():
                if id(known) in slot.results:
                    taken += sum(result_bytes(of.table, self.capacity) for of in known.tables)
        if taken + nbytes > self._limit:
            raise OutOfDeviceMemoryError(f"{taken + nbytes} bytes wanted, {self._limit} allowed")

    def _shrink(self) -> None:
        """Free what is kept and halve the batch; from a single frame on, the processor does the work."""
        for stream in self._streams:
            stream.synchronize()  # nothing may still be on its way into what is freed
        self._slots.clear()
        self._known.clear()
        _free_pools()
        if self.capacity == 1:
            self._on_processor = True
            self.alarm = (
                f"{self.device.name} has no memory for a single frame of {self.shape[0]} x {self.shape[1]} "
                f"{self.pixel.name}: the CPU goes on; end other programs on it"
            )
        self.capacity = max(self.capacity // 2, 1)


class PageLocked:
    """Memory of another owner, page-locked for the device while this lives.

    Registering fails for some kinds of memory and beyond ``ulimit -l``: `addresses` is empty then, and frames
    are copied into staging memory of our own first.
    """

    def __init__(self, memory: npt.NDArray[np.uint8]) -> None:
        first = memory.ctypes.data
        self.why_not = ""
        self._handle = None
        try:
            self._handle = cuda.current_context().mempin(memory, first, memory.nbytes)
        except Exception as error:  # noqa: BLE001 - numba and cuda-python have classes of their own
            self.why_not = f"{type(error).__name__}: {error}"
        self.addresses = range(first, first + memory.nbytes) if self._handle is not None else range(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of the device says that its memory ended, which harms nothing else."""
    return isinstance(error, OutOfDeviceMemoryError) or "OUT_OF_MEMORY" in f"{error}".upper().replace(
        " ", "_"
    )


def _free_pools() -> None:
    """Give back what numba keeps to free later; the simulator keeps nothing."""
    manager = getattr(cuda.current_context(), "memory_manager", None)
    pending = getattr(manager, "deallocations", None)
    if pending is not None:
        pending.clear()


def _then(event: Any, before: Stream, after: Stream) -> None:
    """What is issued on one stream from here on waits for what was issued on the other."""
    event.record(before)
    event.wait(after)


def _finished(slot: _Slot, n: int, tables: Sequence[OnDevice]) -> list[Reduction]:
    slot.events[2].synchronize()
    return [reduction(on_device, slot.results[id(on_device)], n) for on_device in tables]


def _joined(parts: Sequence[Reduction]) -> Reduction:
    if len(parts) == 1:
        return parts[0]
    names = [item.name for item in fields(Reduction)]
    return Reduction(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
