"""How long samples of a repeated sparse scan count: alike for good, less with time, or until contradicted.

Knows the inpainter's samples and the order they were taken in; not where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ...kernels.inpaint.live import LiveInpainter
from ...kernels.inpaint.motion import Motion
from ...kernels.noise import NoiseModel
from ...stream.series import Series
from .options import InpaintOptions
from .samples import Samples

CHECKS = 8
"""A pass, at most, in which new samples are compared with the old; a change shows after a part or two."""
CHECKED_SHARE = 24
"""Every so many-th part of the pixels is worth a comparison, which costs as much as a picture does: sparser
passes have fewer, 2 where a tenth is sampled."""
LEAST_PASS = 512
"""Samples of a pass below which nothing can be said of change: all passes count alike."""
STEPS = 16
"""In which a sample fades to 1/e: the last one counts for 6 % more than it should."""
AUTO_PASSES = 16.0
"""Passes after which a sample counts for 1/e where nothing contradicts it: what moves too slowly to be seen
in one pass lags by no more, and the noise still falls to a quarter."""


class Memory(Protocol):
    """What becomes of older samples when new ones come."""

    def take(self, live: LiveInpainter, samples: Samples) -> int:
        """Give new samples to the inpainter; how many of them are no good."""

    def finish(self, live: LiveInpainter) -> None:
        """There are no more."""


def memory_for(options: InpaintOptions, series: Series, channels: int, noise: NoiseModel | None) -> Memory:
    """The one for a series. One of a single pass, or of a length that nobody knows, has nothing to forget."""
    one_pass = samples_per_pass(series, options.pass_samples)
    if not one_pass or options.memory == 0:
        return Fading(0.0)
    if options.fading is not None:
        return Fading(options.fading * one_pass)
    if one_pass < LEAST_PASS or series.scan is None:
        return Fading(0.0)
    return Forgetting(one_pass, Motion(series.scan.shape, channels, noise))


def lack_of_memory(options: InpaintOptions, series: Series, of_input: bool) -> str:
    """Why samples of former passes count alike although that is not what was asked for; "" where it is."""
    scan, one_pass = series.scan, samples_per_pass(series, options.pass_samples)
    is_repeated = scan is not None and scan.repeats != 1
    if options.memory == 0 or not (is_repeated or one_pass or options.fading):
        return ""
    if of_input:
        averaged = scan is not None and scan.order == "positions"
        if not (averaged or options.fading or options.pass_samples):
            return ""  # the newest pass, as it is
        return (
            "memory has no effect on an input, whose images come as a whole; at explicit positions they are "
            "the mean of all passes, and what moves smears; only samples of a point detector, taken without "
            "an input, can be forgotten"
        )
    if not one_pass:
        return (
            f"series {series.key.number} does not say how many samples a pass has, so memory has no effect "
            "and what moves smears: give pass_samples, or announce repeats and count"
        )
    if options.fading is None and one_pass < LEAST_PASS:
        return (
            f"passes of {one_pass} samples are too short to tell what has changed (from {LEAST_PASS} on), so "
            "all samples count alike: give memory in passes"
        )
    return ""


def samples_per_pass(series: Series, given: int = 0) -> int:
    """Frames of a pass of a repeated scan, as given or announced; 0: there is one pass, or nobody knows."""
    scan = series.scan
    if given:
        return given
    if scan is None or scan.repeats == 1:
        return 0
    if scan.order != "positions":
        return scan.frames_per_pass
    return series.count // scan.repeats if series.count and scan.repeats else 0


class Fading:
    """Samples count for 1/e after so many frames; 0: all alike.

    They fade in STEPS, at frame numbers that do not depend on how frames were parted: a picture is the same
    live and replayed.
    """

    def __init__(self, frames: float) -> None:
        self._frames = frames
        self._step: int | None = None
        """Number of the step that is being taken in; None before the first sample."""

    def take(self, live: LiveInpainter, samples: Samples) -> int:
        if not self._frames:
            return _give(live, samples)
        refused = 0
        for step, part in _parts(samples, STEPS, self._frames):
            before, self._step = self._step, step if self._step is None else max(step, self._step)
            if before is not None and step > before:
                live.forget_where(math.exp((before - step) / STEPS))
            refused += _give(live, part)
        return refused

    def finish(self, live: LiveInpainter) -> None:
        """Nothing is left to do."""


class Forgetting:
    """Samples count until new ones contradict them, and fade over AUTO_PASSES.

    What is done depends on the samples and their order alone, not on how they were parted or on time: a
    picture is the same live and replayed.

    Parameters
    ----------
    one_pass : samples of a pass. motion : new.
    """

    def __init__(self, one_pass: int, motion: Motion) -> None:
        self._one_pass, self._motion = one_pass, motion
        self._checks = min(max(one_pass * CHECKED_SHARE // motion.recent.visits.size, 1), CHECKS)
        self._check = 0
        """Number of the part of a pass that is being taken in, since the beginning."""

    def take(self, live: LiveInpainter, samples: Samples) -> int:
        refused = 0
        for check, part in _parts(samples, self._checks, self._one_pass):
            if check > self._check:
                self._compare(live)
                if check // self._checks > self._check // self._checks:
                    self._next_pass(live)
                self._check = check
            refused += _give(live, part)
            self._motion.add(part.positions, part.values)
        return refused

    def finish(self, live: LiveInpainter) -> None:
        self._compare(live)

    def _compare(self, live: LiveInpainter) -> None:
        factors = self._motion.keep(live.field)
        if factors is not None:
            live.forget_where(factors, self._motion.recent)

    def _next_pass(self, live: LiveInpainter) -> None:
        live.forget_where(math.exp(-1 / AUTO_PASSES))
        self._motion.begin_pass(live.field)


def _parts(samples: Samples, parts: int, frames: float) -> Iterator[tuple[int, Samples]]:
    """Samples by the part they fall in where so many frames have so many parts, and its number.

    One that is late falls in the part that it comes in.
    """
    numbers = np.maximum.accumulate(samples.indices * parts // frames)
    if len(numbers) and numbers[0] == numbers[-1]:
        yield int(numbers[0]), samples
        return
    for number in np.unique(numbers).tolist():
        yield int(number), samples.only(numbers == number)


def _give(live: LiveInpainter, samples: Samples) -> int:
    added = live.add(samples.positions, samples.values)
    return added.outside + added.not_finite
