"""Which frames the worker gives its consumer again, and how it ends: one thread, a ring, no supervisor."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from fake_link import FakeLink

from livem.consumers.base import Consumer, Frames, Output
from livem.consumers.work import lookback
from livem.consumers.work.analysis import Part
from livem.consumers.work.worker import WorkerOptions
from livem.consumers.work.worker_loop import Worker
from livem.errors import PipelineError
from livem.stream import wire
from livem.stream.assembler import Assembler, AssemblerOptions
from livem.stream.ring_reader import Lease
from livem.stream.ring_writer import RingWriter
from livem.stream.series import Block, Series

sys.path.insert(0, str(Path(__file__).parents[2] / "stream"))
from ring_tools import a_series, frame_content, make_ring

S = 1_000_000_000
SERIES = a_series(count=1000)


class Recorder(Consumer[list[int]]):
    """Remembers the frame numbers that were merged since ``open`` or ``set``."""

    type_name: ClassVar[str] = "recorder"
    seen: set[int]
    misfit = changed = False

    def open(self, series: Any) -> None:
        if self.misfit:
            raise PipelineError("too large")
        self.seen = set()

    def process(self, frames: Frames) -> list[int]:
        return frames.indices.tolist()

    def merge(self, partial: list[int]) -> Sequence[Output]:
        self.seen |= set(partial)
        return [Output("n", "curve", {"x": np.zeros(1), "y": np.full(1, float(len(self.seen)))})]

    def restarted(self) -> bool:
        was, self.changed = self.changed, False
        if was:
            self.seen = set()
        return was

    def set(self, name: str, value: Any) -> bool:
        self.misfit = False
        self.seen = set()
        return True


class Bench:
    """One edge with a worker, and the assembler that feeds it blocks of 5 frames."""

    def __init__(self, directory: Path, policy: str, series: Series = SERIES) -> None:
        self.series = series
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
            content = frame_content(self.series, self.sent, 5)
            self.feed(wire.encode_frames(self.series.key, self.sent, 5, content))
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

    def make(policy: str, series: Series = SERIES) -> Bench:
        made.append(Bench(tmp_path, policy, series))
        made[-1].feed(wire.encode_start(series))
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


def changed_when_the_ring_had_lost_the_first_frames(bench) -> Bench:
    """100 frames of 16 KiB through 1 MiB; the consumer begins anew with the last ones."""
    b = bench("lossless", a_series(count=1000, shape=(64, 128)))
    for _ in range(19):
        b.frames(1)
        b.work()
    b.consumer.changed = True
    b.frames(1)
    b.work()
    return b


def alarms(b: Bench) -> list[str]:
    return [said["text"] for kind, said in b.link.said if kind == "alarm"]


def test_a_consumer_that_changed_itself_says_how_many_frames_are_gone_for_good(bench):
    b = changed_when_the_ring_had_lost_the_first_frames(bench)
    assert ("restarted", {"serial": 0}) in b.link.said
    assert not alarms(b), "the session has not said yet whether there are recordings"
    b.link.commands.append({"do": "see_again", "serial": 0, "recordings": []})
    b.worker._obey()
    first = min(b.work())
    assert first > 0
    assert b.consumer.seen == set(range(first, 100))
    (text,) = alarms(b)
    assert f"lacks {first} of the first {first} frames" in text


def test_a_consumer_that_changed_itself_gets_lost_frames_from_the_recording(bench, monkeypatch):
    b = changed_when_the_ring_had_lost_the_first_frames(bench)
    content = frame_content(b.series, 0, 100).reshape(100, -1).view(np.uint8)

    def recorded(recording: str, series: Series, before: int):
        yield Block(series, 0, before, content[:before].reshape(-1), None, None, None, 0, 0)

    monkeypatch.setattr("livem.stream.files.recordings.open_recording", lambda path: path)
    monkeypatch.setattr(lookback, "_blocks", recorded)
    b.link.commands.append({"do": "see_again", "serial": 0, "recordings": ["a.h5"]})
    b.worker._obey()
    assert b.work() == set(range(100))
    assert not alarms(b)


def test_the_last_word_waits_for_the_recordings_of_a_consumer_that_changed_itself(bench):
    b = changed_when_the_ring_had_lost_the_first_frames(bench)
    answer = {"do": "see_again", "serial": 0, "recordings": []}
    b.link.pollable = SimpleNamespace(poll=lambda ms: b.link.commands.append(answer))
    b.worker._last_word(b.series)
    assert len(alarms(b)) == 1


def test_a_parameter_that_makes_the_consumer_fit_begins_the_series(bench):
    b = bench("lossless")
    b.consumer.misfit = True
    b.frames(6)
    while b.worker._step():
        pass
    assert b.link.said[0][0] == "misfit"
    assert b.set() == set(range(30))
    b.frames(1)
    assert b.work() == set(range(35))
    assert not any(kind == "consumer_error" for kind, _ in b.link.said)


@pytest.mark.parametrize("whole", [True, False])
def test_a_failed_check_counts_only_when_the_block_stayed_whole(bench, whole, monkeypatch):
    b = bench("lossless")
    b.work()

    def run(block: Block) -> Part:
        b.worker._analysis._encoded, b.worker._analysis.alarm = False, "frame 3 differs"
        b.worker._analysis._bad["corrupt"] += 1
        return Part(errors=[ValueError("torn")], rejected=Counter(corrupt=1), alarm="frame 3 differs")

    b.worker._analysis._encoded = True
    monkeypatch.setattr(b.worker._analysis, "run", run)
    release = Lease.release
    monkeypatch.setattr(Lease, "release", lambda lease: release(lease) and whole)
    b.frames(1)
    b.work()
    assert ("frame 3 differs" in alarms(b)) is whole
    assert any(kind == "consumer_error" for kind, _ in b.link.said) is whole
    assert b.worker._analysis._encoded is not whole
    assert sum(b.worker._analysis.rejected.values()) == whole


def test_what_the_last_word_finds_out_is_told_and_once_a_series(bench, monkeypatch):
    b, known = bench("lossless"), []
    monkeypatch.setattr(b.consumer, "alarms", lambda: known)
    monkeypatch.setattr(b.consumer, "close", lambda: known.append("finer than its samples") or ())
    b.frames(2)
    b.work()
    assert alarms(b) == []
    b.feed(wire.encode_end(SERIES.key, b.sent))
    b.work()
    b.set()
    assert alarms(b) == ["finer than its samples"]
