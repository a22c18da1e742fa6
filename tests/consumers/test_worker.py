"""Which frames the worker gives its consumer again, and how it ends: one thread, a ring, no supervisor."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from livem.consumers.base import Consumer, Frames, Output
from livem.consumers.worker import WorkerOptions
from livem.consumers.worker_loop import Worker
from livem.stream import wire
from livem.stream.assembler import Assembler, AssemblerOptions
from livem.stream.ring_writer import RingWriter

sys.path.insert(0, str(Path(__file__).parents[1] / "stream"))
from ring_tools import a_series, frame_content, make_ring

S = 1_000_000_000
SERIES = a_series(count=1000)


class Recorder(Consumer[list[int]]):
    """Remembers the frame numbers that were merged since ``open`` or ``set``."""

    type_name: ClassVar[str] = "recorder"
    seen: set[int]

    def open(self, series: Any) -> None:
        self.seen = set()

    def process(self, frames: Frames) -> list[int]:
        return frames.indices.tolist()

    def merge(self, partial: list[int]) -> Sequence[Output]:
        self.seen |= set(partial)
        return [Output("n", "curve", {"x": np.zeros(1), "y": np.full(1, float(len(self.seen)))})]

    def set(self, name: str, value: Any) -> bool:
        self.seen = set()
        return True


class FakeLink:
    """The line to a supervisor: what the worker says is kept, what it is to do is put in."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self.said: list[tuple[str, dict[str, Any]]] = []

    def receive(self) -> dict[str, Any] | None:
        return self.commands.pop(0) if self.commands else None

    def report(self, kind: str, **fields: Any) -> None:
        self.said.append((kind, fields))

    def reply(self, command: dict[str, Any], **fields: Any) -> None:
        self.said.append(("reply", fields))


class Bench:
    """One edge with a worker, and the assembler that feeds it blocks of 5 frames."""

    def __init__(self, directory: Path, policy: str) -> None:
        self.ring = make_ring(1 << 20, rec=policy)
        self.assembler = Assembler(RingWriter(self.ring.writer_port()), AssemblerOptions(max_latency_ns=0))
        self.now, self.sent = S, 0
        self._results = f"ipc://{directory}/results"
        self.workers: list[Worker] = []
        self.start_worker()

    def start_worker(self) -> None:
        """The first one, or one more after a death."""
        self.link = FakeLink()
        options = WorkerOptions(
            name="rec", type="preview", results_address=self._results, children_address=""
        )
        self.worker = Worker(options, self.ring.reader_port("rec"), SimpleNamespace(link=self.link))
        self.worker._consumer = self.consumer = Recorder("rec")
        self.workers.append(self.worker)

    def feed(self, message: list) -> None:
        self.assembler.feed(wire.decode(message), self.now)
        self.assembler.tick(self.now)

    def frames(self, blocks: int) -> None:
        for _ in range(blocks):
            content = frame_content(SERIES, self.sent, 5)
            self.feed(wire.encode_frames(SERIES.key, self.sent, 5, content))
            self.sent += 5

    def interrupt(self) -> None:
        self.assembler.link_lost(self.now)
        self.now += 100 * S
        self.assembler.tick(self.now)

    def work(self) -> set[int]:
        """All that there is to do; returns what the consumer has seen."""
        while self.worker._step():
            pass
        return self.consumer.seen

    def set(self) -> set[int]:
        self.link.commands.append({"do": "set", "name": "x", "value": 1})
        self.worker._obey()
        return self.work()

    def close(self) -> None:
        for worker in self.workers:
            worker._publisher._context.destroy(linger=0)
            worker._reader.close()
        self.ring.close()


@pytest.fixture
def bench(tmp_path):
    made = []

    def make(policy: str) -> Bench:
        made.append(Bench(tmp_path, policy))
        made[-1].feed(wire.encode_start(SERIES))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_history_is_given_again_after_a_changed_parameter(bench):
    b = bench("lossless")
    b.frames(6)
    assert b.work() == set(range(30))
    assert b.set() == set(range(30))


def test_an_edge_of_every_nth_frame_is_given_every_nth_frame_again(bench):
    b = bench("every_nth:4")
    b.frames(6)
    assert b.work() == set(range(0, 30, 4))
    assert b.set() == set(range(0, 30, 4))


def test_history_goes_back_over_an_interruption(bench):
    b = bench("lossless")
    b.frames(3)
    b.interrupt()
    b.frames(3)
    assert b.work() == set(range(30))
    assert b.set() == set(range(30))


@pytest.mark.parametrize(("policy", "n"), [("every_nth:4", 4), ("lossless", 1)])
def test_a_restarted_worker_is_given_what_the_former_one_saw(bench, policy, n):
    b = bench(policy)
    b.frames(6)
    b.work()
    b.start_worker()
    b.frames(1)
    assert b.work() == set(range(0, 35, n))


def test_an_edge_of_the_newest_frames_goes_on_from_there(bench):
    b = bench("latest")
    b.frames(6)
    b.work()
    b.start_worker()
    b.frames(1)
    assert b.work() <= set(range(25, 35))


def test_a_worker_that_is_told_to_stop_gives_its_last_word_on_an_open_series(bench):
    b = bench("lossless")
    b.frames(6)
    b.worker._finish()
    b.workers.remove(b.worker)
    assert b.consumer.seen == set(range(30))
    assert b.link.said == [("series_done", {"serial": 0, "topics": ["rec.n"], "decode_errors": {}})]
