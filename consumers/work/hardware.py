"""Which device a worker computes on, and its analyses there. Loads no GPU package where none is used.

Knows the GPU only through `gpu.py`; knows no ring and no supervisor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import DeviceFaultError, PipelineError
from ...kernels.device import CudaState, Device, choose_device
from ...stream.series import Block, Series
from ..base import Consumer, Frames
from ..pool import Pool, ranges
from .analysis import Analysis, Part
from .decode import FrameDecoder

if TYPE_CHECKING:
    from .gpu import GpuReducer, PageLocked

MAX_FAULTS = 2
"""Processes of a worker that may end by a fault of the GPU: the next one works on the processor."""


class Hardware:
    """What a worker computes on: chosen once a process.

    Parameters
    ----------
    wanted : "auto", "cpu" or "cuda".
    consumer : whose worker it is.
    faults : processes of this worker that the GPU has ended so far.
    look : what finds a CUDA device; default `kernels.device.find_cuda`.

    Raises
    ------
    PipelineError, MissingDependencyError
        "cuda" for a consumer that has no use for it, or where there is none.
    """

    def __init__(
        self,
        wanted: str,
        consumer: Consumer[Any],
        faults: int = 0,
        look: Callable[[], CudaState] | None = None,
    ) -> None:
        self.device, self.alarm = _chosen(wanted, consumer, faults, look)
        self._says = consumer.reduces_regions or consumer.solves
        self._reduces = consumer.reduces_regions
        self._takes_encoded = wanted != "cuda"
        self._locked: PageLocked | None = None
        if consumer.solves:
            consumer.compute_on(self.device)
        self._gpu: GpuReducer | None = None
        """Of the last series: the next one has mostly the same frames."""

    def __str__(self) -> str:
        return str(self.device)

    def warm_up(self, expected: Iterable[Series]) -> None:
        """Compile for series like those to come, on the GPU; nothing on the CPU."""
        for series in expected:
            if self._reduces and self.device.kind == "cuda":
                self._reducer(series)

    def lock(self, memory: npt.NDArray[np.uint8]) -> None:
        """Page-lock the memory that frames come in, so that they go up from there; nothing on the CPU."""
        if self._reduces and self.device.kind == "cuda":
            from .gpu import PageLocked

            self._locked = PageLocked(memory)

    def attrs(self) -> Mapping[str, str]:
        """For results: where they were computed."""
        return {"device": str(self.device)} if self._says else {}

    def analysis(self, consumer: Consumer[Any], series: Series, pool: Pool, every: int) -> Analysis:
        """The consumer on a series' blocks.

        A GPU that fails now, before it had any frame, is done without: `device` and `alarm` say so.
        """
        gpu = self._reducer(series) if self._reduces and self.device.kind == "cuda" else None
        if gpu is None:
            return Analysis(consumer, series, pool, every)
        return GpuAnalysis(consumer, series, pool, every, gpu, takes_encoded=self._takes_encoded)

    def _reducer(self, series: Series) -> GpuReducer | None:
        from .gpu import GpuReducer

        if self._gpu is not None and self._gpu.serves(series.shape, series.numpy_dtype):
            return self._gpu
        self._gpu = None
        gpu = GpuReducer(series.shape, series.numpy_dtype, self.device)
        if self._locked is not None:
            gpu.pin(self._locked.addresses)
        try:
            gpu.warm_up()
        except DeviceFaultError as error:
            text = f"{self.device.name} could not be made ready"
            self.device, self.alarm = (
                Device("cpu", "CPU", text),
                f"{text} ({error.__cause__}): the CPU goes on",
            )
            return None
        self._gpu = gpu
        return gpu


class GpuAnalysis(Analysis):
    """Blocks as a whole to the GPU, which wants many frames at once; the threads decode.

    ``takes_encoded``: frames that the consumer can take compressed stay on the processor, where their sums
    come from the bit planes (docs/decisions/0010).
    """

    def __init__(
        self,
        consumer: Consumer[Any],
        series: Series,
        pool: Pool,
        every: int,
        gpu: GpuReducer,
        *,
        takes_encoded: bool = True,
    ) -> None:
        super().__init__(consumer, series, pool, every)
        self._gpu = gpu
        self._encoded = self._encoded and takes_encoded
        self._whole = not self._encoded
        """Whether the consumer did not take the last block encoded: then one thread leads a block."""
        self._tile: npt.NDArray[Any] | None = None

    def run(self, block: Block) -> Part:
        part = super().run(block)
        if self._gpu.alarm:
            self.alarm, self._gpu.alarm = f"{self.alarm} {self._gpu.alarm}".strip(), ""
        return part

    def _ranges(self, block: Block) -> list[tuple[int, int]]:
        return [(0, block.count)] if self._whole else super()._ranges(block)

    def _part_encoded(self, encoded: Any) -> Part | None:
        part = super()._part_encoded(encoded)
        self._whole = part is None
        return part

    def _part_decoded(self, block: Block, decoder: FrameDecoder, start: int, stop: int) -> Part:
        if (start, stop) != (0, block.count):  # one of several threads: the device is for one
            return super()._part_decoded(block, decoder, start, stop)
        part = Part()
        for frames, bad in self._batches(block, decoder):
            part.undecodable += bad
            self._take(part, replace(frames, reducer=self._gpu))
        return part

    def _batches(self, block: Block, decoder: FrameDecoder) -> Iterator[tuple[Frames, int]]:
        if self.series.encoding == "raw":
            yield decoder.decode_range(block, 0, block.count)
            return
        for start in range(0, block.count, self._gpu.capacity):
            yield self._decoded(block, decoder, start, min(start + self._gpu.capacity, block.count))

    def _decoded(self, block: Block, decoder: FrameDecoder, start: int, stop: int) -> tuple[Frames, int]:
        """Frames of a block, decoded by all threads into page-locked memory."""
        tile = self._tile_of(stop - start)
        edges = ranges(stop - start, self._pool.threads)
        jobs = zip(self._decoders, edges, strict=False)
        good = self._pool.map(
            lambda job: job[0].decode_to(block, start + job[1][0], start + job[1][1], tile[slice(*job[1])]),
            list(jobs),
        )
        kept = np.concatenate(good)
        bad = stop - start - len(kept)
        return decoder.frames(block, tile[kept - start] if bad else tile, kept), bad

    def _tile_of(self, frames: int) -> npt.NDArray[Any]:
        if self._tile is None or len(self._tile) < frames:
            count = max(frames, min(self._gpu.capacity, 4 * frames))
            locked = self._gpu.staging(count)
            shape = (count, *self.series.shape)
            self._tile = np.empty(shape, self.series.numpy_dtype) if locked is None else locked
        return self._tile[:frames]


def _chosen(
    wanted: str, consumer: Consumer[Any], faults: int, look: Callable[[], CudaState] | None
) -> tuple[Device, str]:
    if consumer.has_own_device:
        return Device("cpu", "CPU", "beside the device that it has found for itself"), ""
    if not (consumer.reduces_regions or consumer.solves):
        if wanted == "cuda":
            raise PipelineError(
                f'consumer {consumer.name!r} ({consumer.type_name}) has device = "cuda", and nothing for a '
                'GPU to do: leave "device" out'
            )
        return Device("cpu", "CPU", f"{consumer.type_name} has nothing for a GPU to do"), ""
    if faults >= MAX_FAULTS and wanted != "cpu":
        text = f"the GPU has failed {faults} times"
        return Device("cpu", "CPU", text), f"consumer {consumer.name!r}: {text}: it goes on, on the CPU"
    return choose_device(wanted, look), ""
