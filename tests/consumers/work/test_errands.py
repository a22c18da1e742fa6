"""What a worker does between blocks: others' results, and work that must not keep frames waiting."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.consumers.base import Output
from livem.consumers.testing import example_series
from livem.consumers.work import errands
from livem.consumers.work.errands import Errands, Feed
from livem.stream.results import Result, removed
from livem.stream.series import SeriesKey

sys.path.insert(0, str(Path(__file__).parents[2]))
from awkward_consumers import Summing


def key(number: int) -> SeriesKey:
    return SeriesKey(b"\x01" * 8, number)


def result(number: int, value: float, final: bool = False) -> Result:
    return Result("vd.all", "image", key(number), (0, 1), 0, {"image": np.full((2, 2), value)}, final=final)


class Bus:
    """A Subscriber without sockets."""

    def __init__(self, *_: Any) -> None:
        self.news: dict[str, Result] = {}
        self.ended: list[Result] = []
        self.waited: list[float] = []

    def poll(self) -> dict[str, Result]:
        news, self.news = self.news, {}
        return news

    def latest(self, topic: str) -> Result | None:
        return self.news.get(topic)

    def finals(self) -> list[Result]:
        ended, self.ended = self.ended, []
        return ended

    def wait(self, topic: str, timeout: float, predicate: Any) -> Result | None:
        self.waited.append(timeout)
        return None

    def close(self) -> None:
        pass


@pytest.fixture
def bus(monkeypatch) -> Bus:
    made = Bus()
    monkeypatch.setattr(errands, "Subscriber", lambda *_: made)
    return made


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(errands.time, "monotonic", lambda: now[0])
    return now


class Working(Summing):
    """Always wants to work; a piece takes 0.1 s of the test's clock."""

    def __init__(self, clock: list[float], wanted: Any = 0.0) -> None:
        super().__init__("work", "vd.all")
        self.clock, self.wanted, self.pieces = clock, wanted, 0

    def work_in(self) -> float | None:
        if isinstance(self.wanted, Exception):
            raise self.wanted
        return self.wanted

    def work(self) -> Sequence[Output]:
        self.pieces += 1
        self.clock[0] += 0.1
        return ()


def begun(consumer: Summing, address: str = "") -> Errands:
    done = Errands(consumer, address)
    consumer.open(example_series())
    done.begin(example_series(number=1))
    return done


def test_work_leaves_half_of_the_time_to_blocks(clock):
    """One that always wants to work gets a piece, then as long a rest, however often it is asked."""
    consumer = Working(clock)
    busy = begun(consumer)
    for _ in range(90):
        busy.run(blocks_wait=True)
        clock[0] += 0.001  # a block
    assert consumer.pieces == 1
    busy.run(at_once=True, blocks_wait=True)
    assert consumer.pieces == 2


def test_work_waits_for_nothing_where_no_block_does(clock):
    consumer = Working(clock)
    idle = begun(consumer)
    for pieces in (1, 2, 3):
        assert idle.due_in() == 0.0
        idle.run()
        assert consumer.pieces == pieces


def test_one_that_raises_when_asked_is_told_of_once_and_ends_nothing_else(clock):
    consumer = Working(clock, ValueError("no"))
    broken = begun(consumer)
    assert broken.due_in() == 0
    with pytest.raises(ValueError, match="no"):
        broken.run()
    broken.end()
    assert broken.due_in() is None
    assert broken.run() == ()


def test_new_results_are_looked_for_though_no_block_comes(bus, clock):
    consumer = Summing("sums", "vd.all")
    waiting = begun(consumer, "tcp://nowhere")
    waiting.run()
    bus.news["vd.all"] = result(1, 2.0)
    due = waiting.due_in()
    assert due is not None
    assert 0 < due <= errands.LOOK_S
    clock[0] += due
    (output,) = waiting.run()
    assert output.arrays["image"][0, 0] == 8.0


def test_nothing_is_taken_in_or_done_once_a_series_has_ended(bus, clock):
    consumer = Summing("sums", "vd.all")
    over = begun(consumer, "tcp://nowhere")
    bus.ended.append(result(1, 3.0, final=True))
    assert over.last_inputs(example_series(number=1)) == ""
    over.end()
    bus.news["vd.all"] = result(1, 3.0, final=True)
    clock[0] += 1
    assert over.run() == ()
    assert over.due_in() is None


def test_the_last_results_of_series_to_come_are_kept(bus):
    feed = Feed("tcp://nowhere", ["vd.all"])
    bus.ended += [result(number, float(number), final=True) for number in (1, 2, 3)]
    for number in (2, 3):
        (found,), lacking = feed.last(key(number), 4.0)
        assert (found.arrays["image"][0, 0], lacking) == (number, [])
    assert not bus.waited


def test_a_topic_that_was_removed_is_no_result_and_not_waited_for(bus):
    feed = Feed("tcp://nowhere", ["vd.all"])
    bus.news["vd.all"] = removed("vd.all", key(1))
    assert feed.changed(key(1)) == []
    assert feed.last(key(1), 4.0) == ([], ["vd.all"])
    assert not bus.waited
    bus.news["vd.all"] = result(1, 1.0)
    assert len(feed.changed(key(1))) == 1
    feed.last(key(1), 4.0)
    assert bus.waited
