"""When a series of announced length is about to end, by a clock of the test's own."""

from __future__ import annotations

import pytest

from livem.consumers.sparse.ending import Ending


class Stream:
    """Frames at 1000 a second, 10 at a time."""

    def __init__(self, count: int | None) -> None:
        self.now, self.frames = 50.0, 0
        self.ending = Ending(count, lambda: self.now)

    def goes_on(self, seconds: float) -> None:
        for _ in range(round(100 * seconds)):
            self.now += 0.01
            self.frames += 10
            self.ending.came(self.frames - 1)


def test_the_end_is_near_when_the_last_frames_will_come_within_the_time():
    stream = Stream(1000)
    assert not stream.ending.is_within(10.0), "nothing has come"
    stream.goes_on(0.5)
    stream.ending.begins()
    assert not stream.ending.is_within(10.0), "nothing has come since"
    stream.goes_on(0.4)
    assert not stream.ending.is_within(0.09)
    assert stream.ending.is_within(0.11)
    stream.now += 0.02
    assert stream.ending.is_within(0.09), "the newest frame came 20 ms ago"
    stream.now -= 0.02
    stream.goes_on(0.09)
    assert stream.ending.is_within(0.011)
    stream.goes_on(0.01)
    assert not stream.ending.is_within(10.0), "the last one is there"


def test_a_stream_that_stops_before_its_end_is_not_waited_for():
    stream = Stream(1000)
    stream.goes_on(0.98)
    assert stream.ending.is_within(0.05)
    stream.now += 0.049
    assert stream.ending.is_within(0.05)
    assert not stream.ending.is_within(0.01)
    stream.now += 0.002
    assert not stream.ending.is_within(0.05)


def test_the_rate_is_that_of_the_newest_frames():
    """After a pause the frames before it do not make the end seem far."""
    stream = Stream(2000)
    stream.goes_on(0.9)
    stream.now += 100.0
    stream.ending.begins()
    stream.now += 0.01
    stream.goes_on(1.0)
    assert stream.ending.is_within(0.15)


@pytest.mark.parametrize("count", [None, 0])
def test_an_end_that_nobody_announced_is_never_near(count):
    stream = Stream(count)
    stream.goes_on(1.0)
    assert not stream.ending.is_within(1e9)
