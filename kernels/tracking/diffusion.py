"""How fast particles diffuse, from how far they got; error of places and motion blur are corrected for.

Two ways that must agree. The mean squared displacement in the plane after n frames of length t is
4 D n t + 4 s^2 - 8 R D t, where s is the error of a place along an axis and R says how long of a frame the
shutter is open (0: an instant, 1/6: all of it; Berglund, Phys. Rev. E 82 (2010) 011917): the slope over the
first few lags. And the covariance of successive steps (Vestergaard, Blainey & Flyvbjerg, Phys. Rev. E 89
(2014) 022726), which is unbiased, near the best possible, and needs neither s nor R, as long as a frame knows
nothing of the one before the last. Where steps further apart still agree, as in a movie whose frames were
blended by a camera or a codec, their covariances are added, too: half the variance of a step and all
covariances of steps (Green & Kubo) are the slope of the mean squared displacement after long times.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, njit, void

from .tracks import Rows

LAGS = 8
"""Frames, longest displacement that is followed."""
FITTED = 4
"""Lags that the slope is taken from: later ones share most of their steps with them."""
FULL_SHUTTER = 1 / 6
SURELY = 3.0
"""Standard errors from which on steps further apart than neighbours are taken to agree."""


@njit(void(int64[::1], float64[:, ::1], int64[::1], float64[:, ::1], float64[::1]), nogil=True, cache=True)
def _squares(ids: Any, places: Any, old_ids: Any, old_places: Any, sums: Any) -> None:
    """Add up squared displacements of particles that are in both frames, ids ascending.

    ``sums`` (3,): how many, squares, squares of squares; px^2 and px^4.
    """
    i = j = 0
    while i < len(ids) and j < len(old_ids):
        if ids[i] < old_ids[j]:
            i += 1
        elif ids[i] > old_ids[j]:
            j += 1
        else:
            d = (places[i, 0] - old_places[j, 0]) ** 2 + (places[i, 1] - old_places[j, 1]) ** 2
            sums[0] += 1
            sums[1] += d
            sums[2] += d * d
            i, j = i + 1, j + 1


@njit(
    void(
        int64[::1], float64[:, ::1], int64[::1], float64[:, ::1], int64[::1], float64[:, ::1], float64[::1]
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _successive(ids: Any, now: Any, ids1: Any, before: Any, ids2: Any, first: Any, sums: Any) -> None:
    """Add up steps of particles that are in three successive frames, ids ascending.

    ``sums`` (4,): how many, squares of steps, products of successive ones, squares of what the estimate is
    made of; over both axes, px^2 and px^4.
    """
    i = j = k = 0
    while i < len(ids) and j < len(ids1) and k < len(ids2):
        top = max(ids[i], ids1[j], ids2[k])
        if ids[i] == top and ids1[j] == top and ids2[k] == top:
            for axis in range(2):
                a, b = now[i, axis] - before[j, axis], before[j, axis] - first[k, axis]
                square, product = 0.5 * (a * a + b * b), a * b
                sums[0] += 1
                sums[1] += square
                sums[2] += product
                sums[3] += (0.5 * square + product) ** 2
            i, j, k = i + 1, j + 1, k + 1
            continue
        i += ids[i] < top
        j += ids1[j] < top
        k += ids2[k] < top


@dataclass(frozen=True, slots=True)
class Diffusion:
    """A diffusion coefficient, in px^2 per frame; NaN where nothing is known yet."""

    coefficient: float
    """By the covariances of steps: of neighbours, and of those further apart as far as they agree."""
    error: float
    """Its standard error, px^2 per frame; steps taken as independent but for the next."""
    by_slope: float
    """By the slope of the mean squared displacement."""
    place_error: float
    """px along an axis: what the places themselves scatter by; NaN where the estimate is below 0."""
    steps: int
    """Pairs of steps along an axis, over all particles."""


class Displacements:
    """Final rows of frame after frame in; mean squared displacements and a diffusion coefficient out.

    Steps are of measured places, about the field's own displacement, between frames whose numbers follow each
    other. Memory is that of LAGS frames.

    Parameters
    ----------
    shutter : motion blur, 0 for instants to 1/6 (see above); it changes `place_error` alone.
    """

    def __init__(self, shutter: float = FULL_SHUTTER) -> None:
        if not 0 <= shutter <= 0.25:
            raise ValueError(f"shutter = {shutter!r}; it must be from 0 (an instant) to 1/4")
        self.shutter = shutter
        self._past: deque[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.float64]]] = deque(maxlen=LAGS)
        self._sums = np.zeros((LAGS, 3))
        self._steps = np.zeros(4)

    def add(self, frame: int, rows: Rows, drift: tuple[float, float]) -> None:
        """The final rows of a frame.

        Parameters
        ----------
        rows : (n,) of `tracks.TRACK`, particles ascending.
        drift : px (y, x), where the field is, relative to any fixed origin.
        """
        seen = np.isfinite(rows["measured_y"])
        ids = np.ascontiguousarray(rows["particle"][seen])
        places = np.stack([rows["measured_y"][seen] - drift[0], rows["measured_x"][seen] - drift[1]], axis=1)
        lags = {frame - number: (then, where) for number, then, where in self._past}
        for lag, (then, where) in lags.items():
            if 1 <= lag <= LAGS:
                _squares(ids, places, then, where, self._sums[lag - 1])
        if 1 in lags and 2 in lags:
            _successive(ids, places, *lags[1], *lags[2], self._steps)
        self._past.append((frame, ids, places))

    @property
    def msd(self) -> npt.NDArray[np.float64]:
        """(LAGS,) px^2: mean squared displacement in the plane after 1, 2, ... frames; NaN: none yet."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self._sums[:, 1] / self._sums[:, 0])

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(LAGS,) displacements that each is the mean of."""
        return self._sums[:, 0].astype(np.int64)

    def diffusion(self) -> Diffusion:
        """What all frames so far tell."""
        n, squares, products, spread = self._steps
        slope = _slope(self._sums)
        if n < 2:
            return Diffusion(math.nan, math.nan, slope, math.nan, int(n))
        square, product = squares / n, products / n
        value = square / 2 + product
        error = math.sqrt(max(spread / n - value * value, 0.0) / n)
        more, of_more = _further(self.msd, self._sums[:, 0])
        value, error = value + more, math.hypot(error, of_more)
        place = self.shutter * square + (2 * self.shutter - 1) * product
        return Diffusion(value, error, slope, math.sqrt(place) if place >= 0 else math.nan, int(n))


def _further(msd: npt.NDArray[np.float64], count: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Sum of the covariances of steps two and more frames apart, px^2 along an axis, and its standard error.

    From second differences of the mean squared displacement, up to the first that is none for sure.
    """
    total, variance = 0.0, 0.0
    for lag in range(2, LAGS):
        covariance = (msd[lag] - 2 * msd[lag - 1] + msd[lag - 2]) / 4
        error = msd[0] / 2 / math.sqrt(2 * max(count[lag], 1.0))
        if not abs(covariance) > SURELY * error:
            break
        total, variance = total + covariance, variance + error**2
    return float(total), math.sqrt(variance)


def _slope(sums: npt.NDArray[np.float64]) -> float:
    """D by the slope over the first FITTED lags, each weighted by how well it is known; px^2 per frame."""
    lag = np.arange(1, FITTED + 1)
    n, total = sums[:FITTED, 0], sums[:FITTED, 1]
    if (n < 2).any():
        return math.nan
    weight = n / lag**2
    middle = (weight * lag).sum() / weight.sum()
    wide = (weight * (lag - middle) ** 2).sum()
    return float((weight * (lag - middle) * total / n).sum() / wide / 4)
