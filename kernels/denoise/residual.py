"""What a denoised frame leaves of the measured one: noise alone, if the estimate invents and loses nothing.

Knows no filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..noise import NoiseModel

Image = npt.NDArray[np.float32]
NEAREST = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Lags (y, x) px that are looked at; the others of the eight are these backwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """Observed less estimated, in standard deviations of the noise."""

    values: Image
    """(h, w); NaN where either is not known."""
    spread: float
    """Standard deviation: 1 where the estimate is the truth, less by what it follows of the noise; NaN where
    nothing is known."""
    correlation: float
    """Of neighbouring pixels: that of the eight nearest lags which is furthest from 0; NaN without pairs. Of
    n pixels of white noise it is within 3 / sqrt(n). Above, something of the picture is left; below, the
    estimate follows the noise."""


def residual_of(observed: npt.NDArray[np.floating], estimate: Image, noise: NoiseModel) -> Residual:
    """What is left of a frame (h, w) by its estimate, both in values of ``noise``.

    Where the estimate is below a tenth of an electron and there is no read noise, that much is taken for the
    variance: a count where none is expected is no infinite surprise.
    """
    least = noise.read_noise**2 + 0.1 * noise.gain**2
    scale = np.sqrt(np.maximum(noise.variance(estimate), least))
    values = np.asarray((observed - estimate) / scale, np.float32)
    known = np.isfinite(values)
    if not known.any():
        return Residual(values, math.nan, math.nan)
    centred = np.where(known, values - values[known].mean(dtype=np.float64), 0.0)
    variance = float((centred**2).sum() / known.sum())
    found = [_correlation(centred, known, lag) for lag in NEAREST] if variance > 0 else []
    told = [one for one in found if math.isfinite(one)]
    return Residual(values, math.sqrt(variance), max(told, key=abs) / variance if told else math.nan)


def _correlation(
    centred: npt.NDArray[np.float64], known: npt.NDArray[np.bool_], lag: tuple[int, int]
) -> float:
    """Mean product of pixels that far apart; NaN without pairs."""
    dy, dx = lag
    height, width = centred.shape
    here = np.s_[: height - dy, max(0, -dx) : width - max(0, dx)]
    there = np.s_[dy:, max(0, dx) : width - max(0, -dx)]
    pairs = int(np.count_nonzero(known[here] & known[there]))
    return float((centred[here] * centred[there]).sum() / pairs) if pairs else math.nan
