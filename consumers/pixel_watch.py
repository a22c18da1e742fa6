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
STRIP_BYTES = 4 << 20
"""Of a frame that are looked at, and copied for it, at a time: an eighth of 4096 x 4096 uint16."""


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
        self._row = self._rounds = 0
        """Where the next strip begins, and how often all of them were looked at."""
        self._due_at = 0.0
        self.attrs: dict[str, Any] = {}
        """What is known: numbers of suspects and their places [y, x]; empty while there are none."""

    @property
    def is_due(self) -> bool:
        """Whether rows of the next frame should be shown to `take`."""
        return min(self._shape) >= LEAST_SIDE and self._clock() >= self._due_at

    def due(self, pixel: np.dtype[Any]) -> slice | None:
        """Which rows, of a frame of such pixels; None: not yet."""
        if not self.is_due:
            return None
        # A row above and below: whether a pixel leads is asked of its neighbours.
        return slice(max(0, self._row - 1), min(self._shape[0], self._end(pixel) + 1))

    def take(self, pixels: npt.NDArray[Any], rows: slice | None = None) -> None:
        """Look at rows (n, w) of a frame, as `due` wanted them; None: of a small frame, all."""
        began, rows = self._clock(), slice(0, len(pixels)) if rows is None else rows
        if rows.start != max(0, self._row - 1):
            return  # of a frame that came before the last strip was looked at
        if self._last is None:
            self._last = np.zeros(self._shape, pixels.dtype)
        if self._rounds:
            watch(pixels, self._last[rows], self._changes[rows], self._leads[rows])
        self._last[rows] = pixels
        self._row = self._end(pixels.dtype) % self._shape[0]
        if self._row == 0:
            self._rounds += 1
            if self._rounds > 1 and (self._rounds - 1) % WINDOW == 0:
                self._judge()
        ended = self._clock()
        self._due_at = ended + max(LEAST_S, SHARE * (ended - began))

    def _end(self, pixel: np.dtype[Any]) -> int:
        """Of the strip: LEAST_SIDE rows at least, also of the last one."""
        h, w = self._shape
        count = max(LEAST_SIDE, STRIP_BYTES // (w * pixel.itemsize))
        return h if h - self._row < count + LEAST_SIDE else self._row + count

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
