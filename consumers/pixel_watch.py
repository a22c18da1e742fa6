"""Pixels that do not behave: they never change while their neighbours count, or they always lead.

Looks at some of the frames, in a twentieth of the time; a warning, and no measurement. Knows frames of one
series; the detector's own mask is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.frame_survey import dead_pixels, hot_pixels, watch
from ..kernels.masks import Mask

WINDOW = 32
"""Frames between two verdicts: a pixel leads by chance in all of them never (its share is 1 in 9)."""
LEAST_S, SHARE = 0.01, 20
"""After a look that took t the next comes 20 t later, 10 ms at least: 30 ms at 4096 x 4096."""
LISTED = 64
"""Places that are told; of more, only how many."""
LEAST_SIDE = 8


class PixelWatch:
    """Of the frames of one series.

    Parameters
    ----------
    shape : (h, w) of the frames; point and line detectors have no neighbours to compare with.
    live : (h, w) bool; None: all.
    clock : monotonic seconds.
    """

    def __init__(
        self, shape: tuple[int, int], live: Mask | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shape, self._live, self._clock = shape, live, clock
        self._last: npt.NDArray[Any] | None = None
        self._changes, self._leads = (np.zeros(shape, np.uint8) for _ in range(2))
        self._frames = 0
        self._due_at = 0.0
        self.attrs: dict[str, Any] = {}
        """What is known: numbers of suspects and their places [y, x]; empty while there are none."""

    @property
    def is_due(self) -> bool:
        """Whether the next frame should be shown to `take`."""
        return min(self._shape) >= LEAST_SIDE and self._clock() >= self._due_at

    def take(self, frame: npt.NDArray[Any]) -> None:
        """Look at a frame (h, w), which is kept: a copy of its own."""
        began = self._clock()
        if self._last is not None:
            watch(frame, self._last, self._changes, self._leads)
            self._frames += 1
            if self._frames % WINDOW == 0:
                self._judge()
        self._last = frame
        ended = self._clock()
        self._due_at = ended + max(LEAST_S, SHARE * (ended - began))

    def _judge(self) -> None:
        """What never changed is known the better the longer; what leads, by the last frames alone. A pixel
        that does both is hot."""
        hot, hot_count = hot_pixels(self._leads, WINDOW, self._live, LISTED)
        still, still_count = dead_pixels(self._changes, self._live, LISTED)
        self._leads[:] = 0
        leading, dead = hot.tolist(), [place for place in still.tolist() if place not in hot.tolist()]
        found = {"dead": (dead, still_count - (len(still) - len(dead))), "hot": (leading, hot_count)}
        self.attrs = {
            key: value
            for name, (places, count) in found.items()
            if count
            for key, value in ((f"{name}_suspects", count), (f"{name}_places", places))
        }
