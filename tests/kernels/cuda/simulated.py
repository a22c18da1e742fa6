"""Run by test_simulator.py in a process of its own, in which numba simulates the device thread by thread.

Not collected by itself: the simulator has to be chosen before numba is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numba import config

sys.path.insert(0, str(Path(__file__).parent))
import turns  # noqa: F401 - or its threads wait for each other most of the time
from cuda_cases import a_block, assert_agrees, region_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.benchmarks import gpu as bench
from livem.consumers.base import Consumer, Frames
from livem.consumers.pool import Pool
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.consumers.work import gpu, hardware
from livem.consumers.work.analysis import Analysis
from livem.consumers.work.gpu import GpuReducer, PageLocked
from livem.consumers.work.offline import process
from livem.errors import DeviceFaultError
from livem.kernels.bslz4 import Status, encode
from livem.kernels.cuda import batch, tables
from livem.kernels.device import choose_device
from livem.kernels.masks import disk
from livem.kernels.reduce import DTYPES, Region, compile_regions
from livem.stream.series import Block, Scan, Series, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.sources.replay.recorded_series import recorded_series

assert config.ENABLE_CUDASIM, "NUMBA_ENABLE_CUDASIM=1 has to be set before numba is imported"

SHAPE = (4, 5)
FRAME = SHAPE[0] * SHAPE[1]


def a_reducer(dtype: str, frames: int = 2, limit: int | None = None, shape=SHAPE) -> GpuReducer:
    """Of batches of two frames, and few threads, each of which is one of Python's here."""
    pixel = np.dtype(dtype)
    nbytes = frames * shape[0] * shape[1] * pixel.itemsize
    device = choose_device("cuda")
    return GpuReducer(shape, pixel, device, batch_bytes=nbytes, limit_bytes=limit, threads=2)


@pytest.fixture(autouse=True)
def _wrapping_is_meant():
    with np.errstate(over="ignore"):  # sums of uint32 are modulo 2^64 till they are looked at
        yield


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_device_agrees_with_the_processor(dtype):
    block, sets = a_block(dtype, (4, *SHAPE)), region_sets(SHAPE)
    for got, regions in zip(a_reducer(dtype).reduce(block, sets), sets, strict=True):
        assert_agrees(got, block, regions)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(DTYPES),
    st.tuples(st.integers(1, 6), st.integers(1, 16), st.integers(1, 16)),
    st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 2**32),
)
def test_frames_of_any_shape_agree(dtype, shape, dead, threads, seed):
    """With no, some and only dead pixels, in batches that the last one does not fill."""
    block = a_block(dtype, shape, seed)
    reducer = GpuReducer(
        shape[1:], block.dtype, choose_device("cuda"), batch_bytes=2 * block[0].nbytes, threads=threads
    )
    sets = region_sets(shape[1:], seed, dead)
    for got, regions in zip(reducer.reduce(block, sets), sets, strict=True):
        assert_agrees(got, block, regions)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_rows_of_several_pieces(dtype, monkeypatch):
    monkeypatch.setattr(tables, "PIECE", 8)
    block, sets = a_block(dtype, (3, *SHAPE), seed=3), region_sets(SHAPE, seed=3)[:3]
    for got, regions in zip(a_reducer(dtype).reduce(block, sets), sets, strict=True):
        assert_agrees(got, block, regions)


@pytest.mark.parametrize("dtype", ["uint32", "int32"])
def test_moments_of_extreme_pixels_far_out(dtype):
    shape = (1, 4096)
    regions = compile_regions(shape, [Region(np.arange(4096)[None] > 4090, (0.0, 0.0))])
    info = np.iinfo(dtype)
    block = np.stack([np.full(shape, info.max, dtype), np.full(shape, info.min, dtype)])
    (got,) = a_reducer(dtype, shape=shape).reduce(block, [regions])
    assert_agrees(got, block, regions)


def test_floats_do_not_depend_on_batches_or_other_regions():
    block, sets = a_block("float32", (5, *SHAPE)), region_sets(SHAPE)[:2]
    alone = a_reducer("float32", 5).reduce(block, sets[:1])[0]
    beside = a_reducer("float32", 2).reduce(block, sets[::-1])[1]
    for name in ("sums", "com", "profile"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(beside, name))


def test_read_only_and_scattered_blocks_and_no_frames():
    block = a_block("uint16", (6, *SHAPE))
    block.flags.writeable = False
    regions = region_sets(SHAPE)[0]
    reducer = a_reducer("uint16")
    assert_agrees(reducer.reduce(block[::2], [regions])[0], block[::2].copy(), regions)
    assert reducer.reduce(block[:0], [regions])[0].sums.shape == (0, 3)


def test_wrong_blocks_are_refused():
    reducer, regions = a_reducer("uint16"), region_sets(SHAPE)[0]
    with pytest.raises(ValueError, match="wants uint16 frames"):
        reducer.reduce(a_block("uint8", (2, *SHAPE)), [regions])
    with pytest.raises(ValueError, match="regions of frames"):
        reducer.reduce(a_block("uint16", (2, *SHAPE)), [region_sets((3, 3))[0]])


def test_tables_of_regions_that_are_not_used_any_more_are_given_up():
    reducer, block = a_reducer("uint16"), a_block("uint16", (2, *SHAPE))
    for seed in range(gpu.REGIONS_KEPT + 3):
        regions = compile_regions(SHAPE, [Region(disk(SHAPE, 1 + seed))])
        assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert len(reducer._known) == gpu.REGIONS_KEPT
    assert {len(slot.results) for slot in reducer._slots} == {gpu.REGIONS_KEPT}


def test_more_regions_at_once_than_are_kept():
    reducer, block = a_reducer("uint16"), a_block("uint16", (3, *SHAPE))
    sets = [compile_regions(SHAPE, [Region(disk(SHAPE, 1 + i))]) for i in range(gpu.REGIONS_KEPT + 2)]
    for got, regions in zip(reducer.reduce(block, sets), sets, strict=True):
        assert_agrees(got, block, regions)


def test_without_memory_batches_are_halved_and_no_frame_is_lost():
    block, regions = a_block("uint16", (7, *SHAPE)), region_sets(SHAPE)[1]
    (table,) = tables.tables_for(block.dtype, regions)
    for_one_slot = 4 * 2 * FRAME + batch.result_bytes(table, 4)
    reducer = a_reducer("uint16", 4, limit=for_one_slot * 3 // 2)
    assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert reducer.capacity < 4
    assert not reducer.on_processor
    assert reducer.alarm == ""


def test_without_any_memory_the_processor_goes_on_and_says_so():
    block, regions = a_block("uint16", (7, *SHAPE)), region_sets(SHAPE)[1]
    reducer = a_reducer("uint16", 4, limit=10)
    assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert reducer.on_processor
    assert "has no memory for a single frame of 4 x 5 uint16" in reducer.alarm


def test_memory_of_the_driver_ends_in_the_middle_of_a_block(monkeypatch):
    block, regions = a_block("uint16", (7, *SHAPE)), region_sets(SHAPE)[1]
    calls = []

    def issue(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        batch.issue(*args)

    monkeypatch.setattr(gpu, "issue", issue)
    reducer = a_reducer("uint16", 2)
    assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert reducer.capacity == 1


def test_any_other_error_is_a_fault(monkeypatch):
    def issue(*args: Any) -> None:
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(gpu, "issue", issue)
    with pytest.raises(DeviceFaultError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        a_reducer("uint16").reduce(a_block("uint16", (2, *SHAPE)), [region_sets(SHAPE)[0]])


def test_page_locked_frames_are_not_copied(monkeypatch):
    block, regions = a_block("uint16", (4, *SHAPE)), region_sets(SHAPE)[1]
    reducer, first = a_reducer("uint16"), block.ctypes.data
    reducer.pin(range(first, first + block.nbytes))
    assert_agrees(reducer.reduce(block, [regions])[0], block, regions)
    assert [slot.staging for slot in reducer._slots] == [None, None]
    assert_agrees(reducer.reduce(block.copy(), [regions])[0], block, regions)
    assert all(slot.staging is not None for slot in reducer._slots)


def test_memory_that_cannot_be_page_locked_is_copied():
    locked = PageLocked(np.zeros(4096, np.uint8))
    assert len(locked.addresses) == 0
    assert locked.why_not


class Sums(Consumer[list[Any]]):
    """Sums and moments of a disk and the rings around it."""

    type_name: ClassVar[str] = "sums"
    reduces_regions: ClassVar[bool] = True

    def open(self, series: Series) -> None:
        whole = Region(np.ones(series.shape, bool), (1.0, 2.0))
        self.regions = compile_regions(series.shape, [whole, Region(disk(series.shape, 2))])

    def process(self, frames: Frames) -> list[Any]:
        (found,) = frames.reduce(self.regions)
        return [frames.indices, found.sums, found.com, found.profile]

    def merge(self, partial: Any) -> tuple[()]:
        return ()


def a_series_block(encoding: str, broken: bool) -> tuple[Series, Block]:
    rng = np.random.default_rng(1)
    series = Series(SeriesKey(b"12345678", 1), SHAPE, "uint16", encoding, 18)
    frames = rng.poisson(2, (18, *SHAPE)).astype(np.uint16)
    if encoding == "raw":
        return series, Block(series, 0, 18, frames.view(np.uint8).ravel(), None, None, None, 0, 0)
    blobs = [encode(frame) for frame in frames]
    if broken:
        blobs[3] = blobs[3][:10]
    payload = np.frombuffer(b"".join(blobs), np.uint8)
    return series, Block(series, 0, 18, payload, np.array([len(b) for b in blobs]), None, None, 0, 0)


@pytest.fixture
def few_threads(monkeypatch):
    class Few(GpuReducer):
        def __init__(self, *args: Any, **how: Any) -> None:
            super().__init__(*args, **{"batch_bytes": 8 * 2 * FRAME, "threads": 2, **how})

    monkeypatch.setattr(gpu, "GpuReducer", Few)


@pytest.mark.parametrize(("encoding", "broken"), [("raw", False), ("bslz4", False), ("bslz4", True)])
@pytest.mark.parametrize("every", [1, 4])
def test_an_analysis_on_the_device_gives_the_very_pieces(few_threads, encoding, broken, every):
    series, block = a_series_block(encoding, broken)
    consumer, pool = Sums("s"), Pool(2)
    consumer.open(series)
    device = hardware.Hardware("cuda", consumer)
    device.lock(np.zeros(4096, np.uint8))
    ours = device.analysis(consumer, series, pool, every)
    assert isinstance(ours, hardware.GpuAnalysis)
    usual = Analysis(consumer, series, pool, every)
    try:
        for _ in range(2):
            part, expected = ours.run(block), usual.run(block)
    finally:
        pool.close()
    assert (part.undecodable, part.passed_over, part.failed) == (int(broken), expected.passed_over, 0)
    assert ours.rejected == usual.rejected
    for mine, theirs in zip(_together(part), _together(expected), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert Status.TRUNCATED.value in ours.rejected or not broken


def _together(part: Any) -> list[np.ndarray]:
    return [np.concatenate(arrays) for arrays in zip(*(partial for _, partial in part.pieces), strict=True)]


def test_the_next_series_of_such_frames_finds_all_made_ready(few_threads, monkeypatch):
    series, block = a_series_block("raw", False)
    _, encoded = a_series_block("bslz4", False)
    consumer, pool = Sums("s"), Pool(1)
    consumer.open(series)
    device = hardware.Hardware("cuda", consumer)
    device.warm_up([series])
    monkeypatch.setattr(GpuReducer, "warm_up", lambda gpu: pytest.fail("made ready twice"))
    live = device.analysis(consumer, series, pool, 1)
    recorded = device.analysis(consumer, encoded.series, pool, 1)
    sums = [_together(analysis.run(of))[1] for analysis, of in ((live, block), (recorded, encoded)) * 2]
    for found in sums[1:]:
        np.testing.assert_array_equal(found, sums[0])


def test_other_frames_or_memory_that_was_too_little_begin_anew():
    reducer = a_reducer("uint16", 4)
    assert reducer.serves(SHAPE, np.dtype("uint16"))
    assert not reducer.serves(SHAPE, np.dtype("int16"))
    assert not reducer.serves((5, 4), np.dtype("uint16"))
    reducer._shrink()
    assert not reducer.serves(SHAPE, np.dtype("uint16"))


def test_memory_to_decode_into_stays_page_locked_whatever_else_is():
    reducer = a_reducer("uint16")
    tile = reducer.staging(3)
    reducer.pin(range(8))
    assert reducer._is_pinned(tile[:2].reshape(2, -1))
    assert reducer.staging(2) is tile
    assert len(reducer.staging(5)) == 5


def test_a_fault_leaves_the_block_to_the_next_process(few_threads, monkeypatch):
    series, block = a_series_block("raw", False)
    consumer, pool = Sums("s"), Pool(1)
    consumer.open(series)
    analysis = hardware.Hardware("cuda", consumer).analysis(consumer, series, pool, 1)

    def issue(*args: Any) -> None:
        raise RuntimeError("CUDA_ERROR_LAUNCH_FAILED")

    monkeypatch.setattr(gpu, "issue", issue)
    with pytest.raises(DeviceFaultError):
        analysis.run(block)


def test_a_device_that_cannot_be_made_ready_is_done_without(few_threads, monkeypatch):
    def issue(*args: Any) -> None:
        raise RuntimeError("CUDA_ERROR_NO_BINARY_FOR_GPU")

    monkeypatch.setattr(gpu, "issue", issue)
    series, block = a_series_block("raw", False)
    consumer, pool = Sums("s"), Pool(1)
    consumer.open(series)
    chosen = hardware.Hardware("cuda", consumer)
    analysis = chosen.analysis(consumer, series, pool, 1)
    assert type(analysis) is Analysis
    assert "NO_BINARY" in chosen.alarm
    assert chosen.attrs() == {"device": "CPU (CUDA simulator could not be made ready)"}
    assert sum(len(indices) for indices, _ in analysis.run(block).pieces) == 18


def test_memory_that_ends_is_told_as_an_alarm(monkeypatch):
    class Poor(GpuReducer):
        def __init__(self, *args: Any, **how: Any) -> None:
            super().__init__(*args, **{"limit_bytes": 10, "threads": 2, **how})

    monkeypatch.setattr(gpu, "GpuReducer", Poor)
    series, block = a_series_block("raw", False)
    consumer, pool = Sums("s"), Pool(1)
    consumer.open(series)
    analysis = hardware.Hardware("cuda", consumer).analysis(consumer, series, pool, 1)
    part = analysis.run(block)
    assert sum(len(indices) for indices, _ in part.pieces) == 18
    assert "no memory for a single frame" in analysis.alarm


def test_the_benchmark_runs_and_finds_both_alike():
    plan = bench.Plan(frames=2, rounds=2, shape=SHAPE, threads=2)
    case = bench.Case.of(plan, choose_device("cuda"), "uint16", "three annuli, CoM")
    for _ in range(plan.rounds):
        case.take_turns()
    assert case.wrong == 0
    assert {"CPU", "GPU, staged", "GPU, page-locked", "upload alone", "kernels alone"} < set(case.row())


def test_virtual_detectors_show_the_very_pictures(few_threads):
    series = Series(SeriesKey(b"12345678", 1), (8, 9), "uint16", "raw", 9, Scan((3, 3)))
    counts = np.random.default_rng(1).poisson(2, (9, 8, 9)).astype(np.uint16)
    block = Block(series, 0, 9, counts.view(np.uint8).ravel(), None, None, None, 0, 0)
    pictures = [outputs_of(wanted, series, block) for wanted in ("cuda", "cpu")]
    assert pictures[0].keys() == pictures[1].keys() >= {"bf", "haadf", "com"}
    for name, arrays in pictures[0].items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, pictures[1][name][key], err_msg=f"{name}.{key}")


def test_a_file_is_processed_on_the_device_that_is_wanted(few_threads):
    acquisition = open_acquisition("sim:4dstem?shape=8x9&scan=3x3")
    series, count = recorded_series(acquisition, b"12345678")
    pictures = []
    for wanted in ("cuda", "cpu"):
        consumers, pool = {"vd": (VirtualDetectors("vd", pattern=False), 1)}, Pool(1)
        done = process(acquisition, series, count, consumers, pool, devices={"vd": wanted})
        device = "CUDA simulator" if wanted == "cuda" else "CPU"
        assert done.devices == {"vd": f"{device} (as the pipeline says)"}
        assert {result.attrs["device"] for result in done.results.values()} == set(done.devices.values())
        pictures.append({topic: result.arrays["image"] for topic, result in done.results.items()})
    assert pictures[0].keys() == pictures[1].keys() >= {"vd.bf", "vd.com"}
    for topic, picture in pictures[0].items():
        np.testing.assert_array_equal(picture, pictures[1][topic], err_msg=topic)


def outputs_of(wanted: str, series: Series, block: Block) -> dict[str, dict[str, np.ndarray]]:
    consumer, pool = VirtualDetectors("vd", pattern=False), Pool(1)
    consumer.open(series)
    chosen = hardware.Hardware(wanted, consumer)
    assert chosen.device.kind == ("cuda" if wanted == "cuda" else "cpu")
    for _, partial in chosen.analysis(consumer, series, pool, 1).run(block).pieces:
        consumer.merge(partial)
    return {output.name: dict(output.arrays) for output in consumer.close()}
