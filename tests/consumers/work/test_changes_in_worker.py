"""What a worker does after a change: it shows at once what is only shown otherwise, and takes topics away."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scan_tools import FRAMES, a_series

from livem.consumers.work.worker import WorkerOptions
from livem.consumers.work.worker_loop import Worker
from livem.stream import wire
from livem.stream.assembler import Assembler, AssemblerOptions
from livem.stream.results import Result, is_removed
from livem.stream.ring_reader import RingReader
from livem.stream.ring_writer import RingWriter

sys.path.insert(0, str(Path(__file__).parents[2] / "stream"))
from ring_tools import make_ring

DETECTORS = {
    "ring": {"kind": "annulus", "inner": 10, "outer": 20},
    "com": {"kind": "com"},
    "icom": {"kind": "icom", "of": "com"},
    "dose": {"kind": "dose"},
}
SECOND = {"kind": "annulus", "inner": 4, "outer": 9, "center": [20.0, 25.0]}


class Scanned:
    """A worker that has seen a whole scan, and what it publishes from then on."""

    def __init__(self, directory: Path, **params: Any) -> None:
        self.ring = make_ring(8 << 20, vd="lossless")
        self.said: list[dict[str, Any]] = []
        options = WorkerOptions(
            name="vd",
            type="virtual_detectors",
            params={"detectors": DETECTORS, **params},
            results_address=f"ipc://{directory}/results",
            children_address="",
        )
        link = SimpleNamespace(
            receive=lambda: None,
            report=lambda kind, **fields: None,
            reply=lambda command, **fields: self.said.append(fields),
        )
        self.worker = Worker(options, self.ring.reader_port("vd"), SimpleNamespace(link=link))
        self.published: dict[str, Result] = {}
        self.worker._publisher.publish = self._publish  # type: ignore[method-assign, assignment]
        assembler = Assembler(RingWriter(self.ring.writer_port()), AssemblerOptions(max_latency_ns=0))
        series = a_series()
        assembler.feed(wire.decode(wire.encode_start(series)), 1)
        for first in range(0, len(FRAMES), 30):
            some = np.ascontiguousarray(FRAMES[first : first + 30])
            assembler.feed(wire.decode(wire.encode_frames(series.key, first, len(some), some)), 1)
        assembler.tick(1)
        self.work()

    def _publish(self, result: Result) -> bool:
        arrays = {name: np.array(array) for name, array in result.arrays.items()}
        self.published[result.topic] = Result(
            result.topic, result.kind, result.series, result.frames, result.t_ns, arrays, attrs=result.attrs
        )
        return True

    def work(self) -> None:
        while self.worker._step():
            pass
        self.show()

    def show(self) -> None:
        """What is due is published, whenever that is."""
        self.worker._outlet._due_ns = 0
        self.worker._publish_if_due()

    def set(self, name: str, value: Any) -> dict[str, Any]:
        self.published.clear()
        self.worker._set({"name": name, "value": value})
        return self.said[-1]

    def close(self) -> None:
        self.worker._publisher._context.destroy(linger=0)
        self.worker._reader.close()
        self.ring.close()


@pytest.fixture
def scanned(tmp_path):
    made: list[Scanned] = []

    def make(**params: Any) -> Scanned:
        made.append(Scanned(tmp_path, **params))
        return made[-1]

    yield make
    for one in made:
        one.close()


def image_of(scan: Scanned, topic: str) -> np.ndarray:
    return np.asarray(scan.published[topic].arrays["image"])


@pytest.mark.parametrize(
    ("name", "value", "topic"),
    [
        ("detectors.icom.high_pass", 0.05, "vd.icom"),
        ("detectors.com.rotation", 30.0, "vd.com"),
        ("detectors.com", {"kind": "com", "descan": "plane"}, "vd.com"),
        ("detectors.dose.counts_per_electron", 4.0, "vd.dose"),
        ("detectors.dose.reset", True, "vd.dose"),
        ("pattern", False, ""),
    ],
)
def test_a_change_of_what_is_shown_reads_no_frame_again(scanned, monkeypatch, name, value, topic):
    scan = scanned()
    before = dict(scan.published)
    read: list[int] = []
    monkeypatch.setattr(RingReader, "history", lambda reader, number: read.append(number))
    monkeypatch.setattr(scan.worker._analysis, "run", lambda block: read.append(block.first))
    assert "error" not in scan.set(name, value)
    assert not scan.worker._step(), "no frame is needed for it"
    scan.show()
    assert not read
    if topic:
        assert not np.array_equal(image_of(scan, topic), before[topic].arrays["image"], equal_nan=True)
    else:
        assert is_removed(scan.published["vd.pattern"])
    for other in ("vd.ring", "vd.com.raw") if topic == "vd.com" else ("vd.ring",):
        was = before[other.removesuffix(".raw")].arrays["image"]
        np.testing.assert_array_equal(image_of(scan, other), was)


def test_what_changed_is_due_within_100_ms(scanned):
    """As long as making the pictures takes less than 20 ms, of which the pause between two is a multiple."""
    scan = scanned()
    began = time.monotonic()
    scan.worker._outlet.publish(scan.worker._series)
    made_in = time.monotonic() - began
    scan.set("detectors.com.rotation", 30.0)
    due = scan.worker._outlet.due_in(time.monotonic_ns())
    assert due is not None
    assert due <= max(0.1, 5 * made_in)


def test_a_change_of_what_is_measured_reads_the_history(scanned, monkeypatch):
    scan = scanned()
    scan.set("detectors.ring.outer", 15.0)
    assert scan.worker._lookback
    scan.work()
    assert np.isfinite(image_of(scan, "vd.ring")).all()


def test_a_detector_that_is_added_gets_a_topic_and_the_frames_that_have_passed(scanned):
    scan = scanned()
    assert "error" not in scan.set("detectors.second", SECOND)
    scan.work()
    started = scanned(detectors={"second": SECOND})
    np.testing.assert_array_equal(image_of(scan, "vd.second"), image_of(started, "vd.second"))


def test_a_detector_that_is_removed_takes_its_topics_away_once(scanned):
    scan = scanned()
    scan.set("detectors.segments", {"kind": "segments", "outer": 14})
    scan.work()
    scan.set("detectors.segments", None)
    assert not scan.worker._step(), "no frame is needed for it"
    scan.show()
    gone = {topic for topic, result in scan.published.items() if is_removed(result)}
    assert gone == {f"vd.segments.s{k}" for k in range(4)}
    scan.set("detectors.com.rotation", 30.0)
    scan.show()
    assert not any(is_removed(result) for result in scan.published.values())


def test_a_topic_that_the_bus_did_not_take_away_is_taken_away_the_next_time(scanned):
    scan = scanned()
    scan.worker._publisher.publish = lambda result: not is_removed(result)
    scan.set("detectors.icom", "remove")
    scan.show()
    scan.worker._publisher.publish = scan._publish
    scan.set("detectors.com.rotation", 30.0)
    scan.show()
    assert is_removed(scan.published["vd.icom"])


def test_a_kind_with_other_topics_takes_the_former_ones_away(scanned):
    scan = scanned()
    scan.set("detectors.com.rotation", 30.0)
    scan.show()
    assert "vd.com.raw" in scan.published
    scan.set("detectors.com", {"kind": "com"})
    scan.show()
    assert is_removed(scan.published["vd.com.raw"])


def test_wrong_values_are_told_back_and_change_nothing(scanned):
    scan = scanned()
    for name, value, words in (
        ("detectors.second", {"kind": "anulus"}, "annulus"),
        ("detectors.second", {"kind": "annulus", "inner": 900, "outer": 950}, "covers no pixel"),
        ("detectors.a.b", SECOND, "no parameter"),
        ("detectors.", SECOND, "printable"),
        ("detectors.second", None, "no parameter 'detectors.second'"),
        ("detectors.com", None, "icom is made of it"),
        ("detectors.second", {"kind": "icom", "of": "ring"}, "kind com"),
    ):
        answer = scan.set(name, value)
        assert answer["ok"] is False
        assert words in answer["error"]
        assert "vd" in answer["error"]
    assert {name for name in scan.worker._stage.parameters() if name.count(".") == 1} == {
        f"detectors.{name}" for name in DETECTORS
    }
