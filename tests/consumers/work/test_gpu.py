"""Which device a worker computes on: what it was told, what is there, and how often a GPU has ended it.

What the device computes is tested in tests/kernels/cuda, in the simulator and on a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from livem.consumers.base import Consumer, Frames, Output
from livem.consumers.pool import Pool
from livem.consumers.work import worker_loop
from livem.consumers.work.analysis import Analysis
from livem.consumers.work.hardware import Hardware
from livem.consumers.work.worker import WorkerOptions
from livem.consumers.work.worker_loop import Worker
from livem.errors import DeviceFaultError, MissingDependencyError, PipelineError
from livem.kernels.device import CudaState, Device
from livem.kernels.reduce import Region, compile_regions
from livem.pipeline import parse
from livem.stream import wire
from livem.stream.assembler import Assembler, AssemblerOptions
from livem.stream.ring_writer import RingWriter
from livem.stream.series import Series

sys.path.insert(0, str(Path(__file__).parents[2] / "stream"))
from ring_tools import a_series, frame_content, make_ring

S = 1_000_000_000
SERIES = a_series(count=100)
NONE = CudaState(None, "no CUDA device")
CARD = CudaState("NVIDIA H100", "a CUDA device is there")


class Total(Consumer[dict[int, int]]):
    """Total counts of each frame."""

    type_name: ClassVar[str] = "total"
    reduces_regions: ClassVar[bool] = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.totals: dict[int, int] = {}

    def open(self, series: Series) -> None:
        self.regions = compile_regions(series.shape, [Region(np.ones(series.shape, bool))])

    def process(self, frames: Frames) -> dict[int, int]:
        (found,) = frames.reduce(self.regions)
        return dict(zip(frames.indices.tolist(), found.sums[:, 0].tolist(), strict=True))

    def merge(self, partial: dict[int, int]) -> Sequence[Output]:
        self.totals |= partial
        return [Output("n", "curve", {"x": np.zeros(1), "y": np.full(1, float(len(self.totals)))})]


class Other(Total):
    reduces_regions: ClassVar[bool] = False


def test_without_a_device_auto_is_the_cpu_and_results_say_so() -> None:
    hardware = Hardware("auto", Total("t"), look=lambda: NONE)
    assert str(hardware) == "CPU (no CUDA device)"
    assert hardware.attrs() == {"device": "CPU (no CUDA device)"}
    pool = Pool(1)
    assert type(hardware.analysis(Total("t"), SERIES, pool, 1)) is Analysis


def test_a_device_is_taken_where_there_is_one() -> None:
    assert Hardware("auto", Total("t"), look=lambda: CARD).device.kind == "cuda"
    assert Hardware("cpu", Total("t"), look=lambda: CARD).device.kind == "cpu"


def test_a_consumer_without_regions_needs_no_device() -> None:
    hardware = Hardware("auto", Other("o"), look=lambda: CARD)
    assert hardware.device.kind == "cpu"
    assert hardware.attrs() == {}
    with pytest.raises(PipelineError, match="nothing for a GPU to do"):
        Hardware("cuda", Other("o"), look=lambda: CARD)


class Solving(Other):
    solves: ClassVar[bool] = True
    told: Device | None = None

    def compute_on(self, device: Device) -> None:
        self.told = device


@pytest.mark.parametrize(("state", "kind"), [(CARD, "cuda"), (NONE, "cpu")])
def test_a_consumer_with_solvers_is_told_of_the_device(state: CudaState, kind: str) -> None:
    consumer = Solving("s")
    hardware = Hardware("auto", consumer, look=lambda: state)
    assert consumer.told == hardware.device
    assert hardware.device.kind == kind
    assert hardware.attrs() == {"device": str(hardware.device)}
    hardware.warm_up([SERIES])
    hardware.lock(np.zeros(8, np.uint8))
    assert type(hardware.analysis(consumer, SERIES, Pool(1), 1)) is Analysis


def test_cuda_without_a_device_is_refused() -> None:
    with pytest.raises(MissingDependencyError, match="no CUDA device"):
        Hardware("cuda", Total("t"), look=lambda: NONE)


def test_after_two_faults_the_cpu_goes_on_and_says_so() -> None:
    assert Hardware("cuda", Total("t"), 1, lambda: CARD).device.kind == "cuda"
    hardware = Hardware("cuda", Total("t"), 2, lambda: CARD)
    assert hardware.device.kind == "cpu"
    assert "failed 2 times" in hardware.alarm
    assert Hardware("cpu", Total("t"), 2, lambda: CARD).alarm == ""


def test_the_pipeline_names_the_device() -> None:
    table = {"name": "vd", "type": "virtual_detectors", "device": "cuda"}
    (consumer,) = parse({"consumers": [table]}).consumers
    assert (consumer.device, dict(consumer.params)) == ("cuda", {})
    assert parse({}).consumers[0].device == "auto"
    with pytest.raises(PipelineError, match="'device' of consumer 'vd' is 'tpu'"):
        parse({"consumers": [{**table, "device": "tpu"}]})


class FaultyGpu(Analysis):
    """A device that fails at the second block."""

    blocks = 0

    def run(self, block: Any) -> Any:
        self.blocks += 1
        if self.blocks == 2:
            raise DeviceFaultError("NVIDIA H100 failed: CUDA_ERROR_LAUNCH_FAILED")
        return super().run(block)


class FaultyHardware(Hardware):
    """What a worker finds on a machine whose GPU fails again and again."""

    def __init__(self, wanted: str, consumer: Consumer[Any], faults: int = 0) -> None:
        super().__init__(wanted, Total("t"), faults, lambda: CARD)

    def lock(self, memory: Any) -> None:
        assert not memory.flags.writeable

    def warm_up(self, expected: Any) -> None:
        pass

    def analysis(self, consumer: Consumer[Any], series: Series, pool: Pool, every: int) -> Analysis:
        return (FaultyGpu if self.device.kind == "cuda" else Analysis)(consumer, series, pool, every)


class FakeChild:
    """The line to a supervisor."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.link = SimpleNamespace(
            report=lambda kind, **what: self.said.append((kind, what)),
            ready=lambda what: self.said.append(("ready", what)),
            receive=lambda: None,
            reply=lambda *_, **__: None,
            pollable=0,
        )
        self.steps = 0

    def stopping(self) -> bool:
        self.steps += 1
        return self.steps > 20


def a_worker(ring: Any, tmp_path: Path) -> tuple[Worker, FakeChild]:
    options = WorkerOptions(
        name="rec", type="preview", results_address=f"ipc://{tmp_path}/r", children_address="", threads=1
    )
    child = FakeChild()
    worker = Worker(options, ring.reader_port("rec"), child)
    worker._consumer = Total("rec")
    return worker, child


@pytest.fixture
def ring() -> Iterator[Any]:
    """With forty frames in blocks of five, for one lossless reader."""
    ring = make_ring(1 << 20, rec="lossless")
    writer = RingWriter(ring.writer_port())
    assembler = Assembler(writer, AssemblerOptions(max_latency_ns=0))
    assembler.feed(wire.decode(wire.encode_start(SERIES)), S)
    for first in range(0, 40, 5):
        frames = wire.encode_frames(SERIES.key, first, 5, frame_content(SERIES, first, 5))
        assembler.feed(wire.decode(frames), S)
        assembler.tick(S)
    yield ring
    writer.close()
    ring.close()


def test_faults_cost_no_frame_and_end_on_the_cpu(
    ring: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_loop, "Hardware", FaultyHardware)
    ready, alarms = [], []
    for process in range(3):
        worker, child = a_worker(ring, tmp_path)
        with pytest.raises(DeviceFaultError) if process < 2 else nullcontext():
            worker.run()
        ready.append(dict(child.said)["ready"]["device"])
        alarms += [what["text"] for kind, what in child.said if kind == "alarm"]
        worker._publisher._context.destroy(linger=0)
        if process < 2:
            worker._reader.close()
    assert ready == ["NVIDIA H100 (a CUDA device is there)"] * 2 + ["CPU (the GPU has failed 2 times)"]
    assert alarms == ["consumer 't': the GPU has failed 2 times: it goes on, on the CPU"]
    assert sorted(worker._consumer.totals) == list(range(40))
