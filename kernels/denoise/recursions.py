"""The plain ways to average a movie while it comes: what a better filter is held against.

All take stabilised frames (float32, noise of variance 1) and are per pixel; a pixel that is not finite
changes nothing, and is NaN until it was seen once. Another shape begins anew.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .movies import Estimate
from .patches import Image

WANDER = 0.02
"""Variance of a pixel's change from frame to frame, in noise variances."""


class Recursion(Protocol):
    """Frames in, estimates out, causal."""

    def add(self, frame: Image) -> Estimate:
        """The estimate of a frame (h, w) float32."""

    def reset(self) -> None:
        """Forget all frames."""


class RunningMean:
    """The mean of all frames."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._values = self._variance = np.empty((0, 0), np.float32)

    def add(self, frame: Image) -> Estimate:
        """See `Recursion`."""
        if frame.shape != self._values.shape:
            self._values = np.full(frame.shape, np.nan, np.float32)
            self._variance = np.full(frame.shape, np.inf, np.float32)
        gain, new = self._gain(self._variance)
        seen, first = np.isfinite(frame), np.isinf(self._variance)
        with np.errstate(invalid="ignore"):
            values = np.where(first, frame, self._values + gain * (frame - self._values))
        self._values = np.where(seen, values, self._values).astype(np.float32)
        self._variance = np.where(seen, new, self._variance).astype(np.float32)
        return Estimate(self._values, self._variance)

    def _gain(self, variance: Image) -> tuple[Image, Image]:
        """Weight of a new frame, and the variance after it; infinite variance is a pixel not seen yet."""
        with np.errstate(invalid="ignore"):
            gain = np.where(np.isinf(variance), 1, variance / (variance + 1)).astype(np.float32)
        return gain, gain


class Exponential(RunningMean):
    """Frames fade by 1 - gain; the first 1 / gain of them count alike."""

    def __init__(self, gain: float = 0.125) -> None:
        if not 0 < gain <= 1:
            raise ValueError(f"gain is {gain}: give the weight of a new frame, > 0 and at most 1")
        self.gain = gain
        super().__init__()

    def _gain(self, variance: Image) -> tuple[Image, Image]:
        plain = np.maximum(super()._gain(variance)[0], np.float32(self.gain))
        kept = np.where(np.isinf(variance), 0, variance)
        return plain, (1 - plain) ** 2 * kept + plain**2


class PixelKalman(RunningMean):
    """A pixel walks at random (Kalman, J. Basic Eng. 82 (1960) 35), by ``wander`` noise variances a frame."""

    def __init__(self, wander: float = WANDER) -> None:
        if not (np.isfinite(wander) and wander >= 0):
            raise ValueError(f"wander is {wander}: give a variance per frame, >= 0")
        self.wander = wander
        super().__init__()

    def _gain(self, variance: Image) -> tuple[Image, Image]:
        return super()._gain(variance + np.float32(self.wander))
