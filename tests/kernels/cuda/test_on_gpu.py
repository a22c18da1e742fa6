"""The real thing: parity, batches, memory that ends, and a worker's analysis, on the GPU of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cuda_cases import a_block, assert_agrees, region_sets

from livem.consumers.base import Consumer, Frames
from livem.consumers.pool import Pool
from livem.consumers.work.analysis import Analysis
from livem.kernels.bslz4 import encode
from livem.kernels.device import choose_device, find_cuda
from livem.kernels.reduce import DTYPES
from livem.stream.series import Block, Scan, Series, SeriesKey

FOUND = find_cuda()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(FOUND.name is None or "SIMULATOR" in FOUND.name.upper(), reason=FOUND.text),
]
SHAPE = (256, 256)


def a_reducer(dtype: str, shape=SHAPE, **how: Any) -> Any:
    from livem.consumers.work.gpu import GpuReducer

    return GpuReducer(shape, np.dtype(dtype), choose_device("cuda"), **how)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gpu_agrees_with_the_processor(dtype):
    block, sets = a_block(dtype, (70, *SHAPE)), region_sets(SHAPE)
    for got, regions in zip(a_reducer(dtype).reduce(block, sets), sets, strict=True):
        assert_agrees(got, block, regions)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (7, 513), (1030, 1065)])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_other_shapes(shape, dtype):
    block, sets = a_block(dtype, (3, *shape)), region_sets(shape)
    for got, regions in zip(a_reducer(dtype, shape).reduce(block, sets), sets, strict=True):
        assert_agrees(got, block, regions)


@pytest.mark.parametrize("batch_frames", [1, 7, 64])
def test_batches_change_no_bit(batch_frames):
    block, sets = a_block("float32", (150, 64, 64)), region_sets((64, 64))
    whole = a_reducer("float32", (64, 64)).reduce(block, sets)
    cut = a_reducer("float32", (64, 64), batch_bytes=batch_frames * 64 * 64 * 4).reduce(block, sets)
    for one, other in zip(whole, cut, strict=True):
        for name in ("sums", "com", "excluded", "profile"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_frames_go_up_from_page_locked_memory():
    from livem.consumers.work.gpu import PageLocked

    block, regions = a_block("uint16", (64, *SHAPE)), region_sets(SHAPE)[0]
    locked = PageLocked(block.view(np.uint8).ravel())
    assert locked.why_not == ""
    reducer = a_reducer("uint16")
    reducer.pin(locked.addresses)
    assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert all(slot.staging is None for slot in reducer._slots)


@pytest.mark.parametrize(("limit", "on_processor"), [(6 << 20, False), (1000, True)])
def test_little_memory_costs_speed_and_no_frame(limit, on_processor):
    block, regions = a_block("uint16", (100, *SHAPE)), region_sets(SHAPE)[0]
    reducer = a_reducer("uint16", limit_bytes=limit)
    assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert reducer.on_processor == on_processor


def test_memory_of_the_device_that_really_ends():
    """More than any device has: what the driver says is understood, and the context goes on."""
    from livem.consumers.work.gpu import GpuReducer

    class Modest(GpuReducer):
        def _shrink(self) -> None:
            super()._shrink()
            self.capacity = min(self.capacity, 64)

    block, regions = a_block("uint16", (3, *SHAPE)), region_sets(SHAPE)[0]
    reducer = Modest(SHAPE, block.dtype, choose_device("cuda"))
    reducer.capacity = 1 << 27  # 16 TiB
    assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert reducer.capacity == 64
    assert not reducer.on_processor


class Sums(Consumer[list[Any]]):
    """Sums, moments and a profile."""

    type_name: ClassVar[str] = "sums"
    reduces_regions: ClassVar[bool] = True

    def open(self, series: Series) -> None:
        self.regions = region_sets(series.shape)[0]

    def process(self, frames: Frames) -> list[Any]:
        (found,) = frames.reduce(self.regions)
        return [frames.indices, found.sums, found.com, found.profile]

    def merge(self, partial: Any) -> tuple[()]:
        return ()


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_an_analysis_on_the_gpu_gives_the_very_pieces(encoding):
    from livem.consumers.work.hardware import GpuAnalysis, Hardware

    frames = np.random.default_rng(1).poisson(0.3, (300, *SHAPE)).astype(np.uint16)
    series = Series(SeriesKey(b"12345678", 1), SHAPE, "uint16", encoding, len(frames))
    payload, sizes = frames.view(np.uint8).ravel(), None
    if encoding == "bslz4":
        blobs = [encode(frame) for frame in frames]
        payload = np.frombuffer(b"".join(blobs), np.uint8)
        sizes = np.array([len(blob) for blob in blobs])
    block = Block(series, 0, len(frames), payload, sizes, None, None, 0, 0)
    consumer, pool = Sums("s"), Pool(2)
    consumer.open(series)
    hardware = Hardware("cuda", consumer)
    hardware.lock(payload)
    on_gpu = hardware.analysis(consumer, series, pool, 1)
    assert isinstance(on_gpu, GpuAnalysis)
    try:
        ours, usual = on_gpu.run(block), Analysis(consumer, series, pool).run(block)
    finally:
        pool.close()
    assert (ours.failed, ours.undecodable, on_gpu.alarm) == (0, 0, "")
    for mine, theirs in zip(_together(ours), _together(usual), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _together(part: Any) -> list[np.ndarray]:
    return [np.concatenate(arrays) for arrays in zip(*(partial for _, partial in part.pieces), strict=True)]


def test_virtual_detectors_show_the_very_pictures():
    from livem.consumers.virtual_detectors import VirtualDetectors
    from livem.consumers.work.hardware import Hardware

    series = Series(SeriesKey(b"12345678", 1), SHAPE, "uint16", "raw", 144, Scan((12, 12)))
    counts = np.random.default_rng(1).poisson(2, (144, *SHAPE)).astype(np.uint16)
    block = Block(series, 0, 144, counts.view(np.uint8).ravel(), None, None, None, 0, 0)
    pictures = []
    for wanted in ("cuda", "cpu"):
        consumer, pool = VirtualDetectors("vd", pattern=False), Pool(1)
        consumer.open(series)
        for _, partial in Hardware(wanted, consumer).analysis(consumer, series, pool, 1).run(block).pieces:
            consumer.merge(partial)
        pictures.append({output.name: dict(output.arrays) for output in consumer.close()})
    assert pictures[0].keys() == pictures[1].keys()
    for name, arrays in pictures[0].items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, pictures[1][name][key], err_msg=f"{name}.{key}")
