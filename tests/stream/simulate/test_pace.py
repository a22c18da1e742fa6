"""Deadlines are absolute: lateness is caught up, never passed on."""

from __future__ import annotations

from threading import Event

import pytest

from livem.stream.simulate.pace import Pace


class VirtualTime(Event):
    """A stop event whose waiting moves a clock that nobody has to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()

    def clock(self) -> float:
        return self.now


def test_frames_come_at_their_times_without_drift() -> None:
    time = VirtualTime()
    pace = Pace(100.0, time.clock)
    for frame in range(0, 1000, 10):
        assert pace.wait(frame, time)
        assert time.now == pytest.approx(100.0 + frame / 100)
        time.now += 0.03
    assert pace.behind_s == 0.0


def test_lateness_is_told_and_caught_up() -> None:
    time = VirtualTime()
    pace = Pace(100.0, time.clock)
    pace.wait(0, time)
    time.now += 5.0
    assert pace.wait(10, time)
    assert pace.behind_s == pytest.approx(4.9)
    pace.wait(600, time)
    assert time.now == pytest.approx(106.0)


def test_a_stall_moves_all_later_frames() -> None:
    time = VirtualTime()
    pace = Pace(100.0, time.clock)
    pace.wait(0, time)
    pace.stall(2.0, time)
    pace.wait(100, time)
    assert time.now == pytest.approx(103.0)


def test_as_fast_as_possible_never_waits_and_is_never_late() -> None:
    time = VirtualTime()
    pace = Pace(float("inf"), time.clock)
    assert pace.wait(0, time)
    time.now += 1
    assert pace.wait(10**9, time)
    assert (time.now, pace.behind_s) == (101.0, 0.0)


def test_stopping_ends_the_waiting() -> None:
    time = VirtualTime()
    time.set()
    pace = Pace(1.0, time.clock)
    assert not pace.wait(0, time)
    assert not pace.wait(5, time)
    assert not pace.stall(1.0, time)


def test_frames_held_back_by_a_fault_are_not_late() -> None:
    time = VirtualTime()
    pace = Pace(10.0, time.clock)
    for frame in (0, 30, 10, 30, 40):
        pace.wait(frame, time)
    assert time.now == pytest.approx(104.0)
    assert pace.behind_s == 0.0
