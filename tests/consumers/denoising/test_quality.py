"""The quality of live denoising over time: down while frames are late, up again once there has been room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from livem.consumers.denoising.quality import HOLD_S, ROOM_S, Quality, Step, steps_for

SHAPE = (256, 256)
BUDGET = 0.04


class Clock:
    """Frames at a rate, of a duration that depends on the quality and the moment."""

    def __init__(self, quality: Quality, hz: float = 20.0) -> None:
        self.quality, self.period, self.now = quality, 1 / hz, 1000.0
        self.changes: list[tuple[float, str]] = []

    def play(self, seconds: float, spent: Callable[[Step], float], share: float = 1.0) -> None:
        """``share``: of the time that the processors work."""
        for _ in range(round(seconds / self.period)):
            before, took = self.quality.step, spent(self.quality.step)
            self.now += self.period
            self.quality.took(took, share * took, self.now)
            if self.quality.step != before:
                self.changes.append((self.now, str(self.quality.step)))


def movie(budget: float = BUDGET) -> Quality:
    return Quality(steps_for("movie", SHAPE, False), SHAPE, budget)


def by_pixels(whole: float, rng: np.random.Generator | None = None) -> Callable[[Step], float]:
    """``rng``: times that scatter."""
    return lambda step: whole / step.binning**2 * (1.0 if rng is None else rng.lognormal(0, 0.4))


def test_frames_of_a_scan_are_denoised_each_alone() -> None:
    names = [step.method for step in steps_for("auto", SHAPE, True)]
    assert names[:4] == ["full", "fine", "lattice", "quick"]
    assert steps_for("auto", SHAPE, False)[0] == Step("movie")


def test_it_falls_while_frames_are_late() -> None:
    quality = Quality(steps_for("movie", (64, 64), False), (64, 64), 0.01)
    assert (str(quality.step), quality.is_reduced, quality.usual_s) == ("movie", False, None)
    for now, seconds in enumerate((0.012, 0.012, 0.005, 0.012, 0.012)):
        quality.took(seconds, seconds, now)
    assert str(quality.step) == "movie"
    quality.took(0.012, 0.012, 6)
    assert (str(quality.step), quality.is_reduced) == ("movie, 2x2 px binned", True)
    quality.took(9.0, 9.0, 7)
    assert str(quality.step) == "movie, 2x2 px binned", "frames of 32 px are not binned further"


def test_a_frame_that_is_much_too_late_is_enough() -> None:
    quality = movie()
    quality.took(0.5, 0.5, 1.0)
    assert quality.is_reduced


def test_late_frames_that_waited_for_others_are_no_reason_to_do_less() -> None:
    """Of a machine that others fill, less work gets as little of it."""
    clock = Clock(movie())
    clock.play(5.0, lambda step: 0.09, share=0.1)
    assert clock.changes == []
    clock.play(1.0, lambda step: 0.09, share=0.5)
    assert clock.changes


def test_it_rises_once_there_has_been_room_for_a_while() -> None:
    clock = Clock(movie())
    clock.play(2.0, by_pixels(0.06))
    assert [step for _, step in clock.changes] == ["movie, 2x2 px binned"]
    fell = clock.now
    clock.play(20.0, by_pixels(0.06))
    assert len(clock.changes) == 1, "the better step would be late again"
    freed = clock.now
    clock.play(20.0, by_pixels(0.02))
    (rose, step) = clock.changes[-1]
    assert (len(clock.changes), step) == (2, "movie")
    assert ROOM_S <= rose - freed < ROOM_S + 1
    assert rose - fell > HOLD_S
    assert not clock.quality.is_reduced


def test_frames_alone_rise_step_by_step() -> None:
    quality = Quality(steps_for("frames", SHAPE, True), SHAPE, BUDGET)
    clock = Clock(quality)
    clock.play(3.0, lambda step: 0.3)
    assert quality.step.binning > 1
    clock.play(120.0, lambda step: step.cost_s(SHAPE))
    rises = clock.changes[-3:]
    assert [step for _, step in rises] == ["lattice", "fine", "full"]
    assert min(np.diff([at for at, _ in clock.changes if at > 1003.0])) >= ROOM_S


@pytest.mark.parametrize("seed", range(5))
def test_it_never_flips_more_often_than_every_few_seconds(seed: int) -> None:
    """A load that comes and goes at random, and times that scatter."""
    rng = np.random.default_rng(seed)
    clock = Clock(movie())
    for _ in range(200):
        spent = by_pixels(float(rng.choice([0.01, 0.03, 0.05, 0.2])), rng)
        clock.play(rng.uniform(0.2, 6.0), spent)
    assert len(clock.changes) > 4
    steps = [str(step) for step in steps_for("movie", SHAPE, False)]
    heights = [0, *(steps.index(step) for _, step in clock.changes)]
    for k in range(1, len(clock.changes)):
        turns = np.sign(heights[k] - heights[k - 1]) != np.sign(heights[k + 1] - heights[k])
        assert not turns or clock.changes[k][0] - clock.changes[k - 1][0] >= HOLD_S


def test_what_rises_in_vain_waits_longer_each_time() -> None:
    clock = Clock(movie())

    def spent(step: Step) -> float:
        """The better step costs more than its pixels tell."""
        return 0.05 if step.binning == 1 else 0.005

    clock.play(400.0, spent)
    rises = [at for at, step in clock.changes if step == "movie"]
    waits = np.diff(rises)
    assert (np.diff(waits) > -1).all()
    assert waits[-1] > 60
    assert len(rises) <= 9
