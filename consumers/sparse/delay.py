"""Samples put where the probe was: behind its command by the delay of the coils. Knows no reconstruction.

`kernels.scan_calibration` finds the delay, `kernels.scan_coils.CoilModel` is the whole model of a known path;
here positions come with their samples, and only those that came before are known.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import PipelineError
from ...stream.series import IndexArray, Series
from .samples import Samples

MOST_S = 1.0
MOST_SAMPLES = 10_000
REMEMBERED = 4096
"""Commanded positions beyond the delay that are kept for samples that come late."""
Places = npt.NDArray[np.float32]


def delay_of(where: str, value: Any) -> tuple[float, float]:
    """(y, x) in s, of ``delay``: one number for both axes, or one for each; else PipelineError."""
    pair = value if isinstance(value, list | tuple) else (value, value)
    numbers = [one for one in pair if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(pair) != 2 or len(numbers) != 2 or not all(0 <= one <= MOST_S for one in numbers):
        raise PipelineError(
            f"{where}: delay = {value!r}; it must be seconds from 0 to {MOST_S:g}, one number or [y, x]"
        )
    return float(numbers[0]), float(numbers[1])


class Delay:
    """What was commanded some samples ago, for evenly timed samples at explicit positions.

    As `CoilModel.apply` has it for a pure delay: the coils hold each position until the next, so a delay of
    k + f samples puts a sample between what was commanded k and k + 1 samples before it. Before the first
    sample the probe rests at its position. A sample whose predecessors were lost has no place (NaN).

    Parameters
    ----------
    samples : (y, x) number of samples that the probe is behind.
    """

    def __init__(self, samples: tuple[float, float]) -> None:
        self._samples = samples
        self._kept = REMEMBERED + math.ceil(max(samples))
        self._indices: IndexArray = np.empty(0, np.int64)
        self._places: Places = np.empty((0, 2), np.float32)

    @classmethod
    def of(cls, where: str, seconds: tuple[float, float], series: Series) -> Delay:
        """For a series; PipelineError where it does not say how long a sample takes, or commands no place."""
        if not any(seconds):
            return cls((0.0, 0.0))
        if series.scan is None or series.scan.order != "positions":
            raise PipelineError(
                f"{where}: delay = {list(seconds)}, but the series is no scan of explicit positions; "
                "leave it out"
            )
        dwell = series.meta.get("frame_time")
        if isinstance(dwell, bool) or not isinstance(dwell, int | float) or not 0 < dwell < math.inf:
            raise PipelineError(
                f"{where}: delay = {list(seconds)} s needs the time of a sample, and the series says "
                f"frame_time = {dwell!r}; let its sender say it in s, or leave delay out"
            )
        behind = seconds[0] / dwell, seconds[1] / dwell
        if max(behind) > MOST_SAMPLES:
            raise PipelineError(
                f"{where}: delay = {list(seconds)} s is {max(behind):.0f} samples of {dwell:g} s; "
                f"it must be {MOST_SAMPLES} at most"
            )
        return cls(behind)

    def placed(self, samples: Samples) -> Samples:
        """Samples that come one after another, where the probe was."""
        if not any(self._samples) or not len(samples.indices):
            return samples
        self._remember(samples)
        places = [self._axis(axis, samples.indices - behind) for axis, behind in enumerate(self._samples)]
        return replace(samples, positions=np.stack(places, axis=1))

    def _remember(self, samples: Samples) -> None:
        indices = np.concatenate([self._indices, samples.indices])
        order = np.argsort(indices, kind="stable")
        order = order[indices[order] > indices.max() - self._kept]
        self._indices = indices[order]
        self._places = np.concatenate([self._places, samples.positions])[order]

    def _axis(self, axis: int, numbers: npt.NDArray[np.floating]) -> Places:
        """Commanded at fractional frame numbers."""
        since = np.maximum(numbers, 0.0)
        low = np.floor(since).astype(np.int64)
        share = since - low
        first, second = self._commanded(axis, low), self._commanded(axis, low + (share > 0))
        places: Places = (first + share * (second - first)).astype(np.float32)
        return places

    def _commanded(self, axis: int, indices: IndexArray) -> npt.NDArray[np.float64]:
        """NaN where the frame did not come."""
        at = np.minimum(np.searchsorted(self._indices, indices), len(self._indices) - 1)
        return np.where(self._indices[at] == indices, self._places[at, axis].astype(np.float64), np.nan)
