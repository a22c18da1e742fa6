"""How far a picture of a sparse scan may be off, pixel by pixel, from two sources that add in squares.

Noise: the samples are drawn anew with their noise (`NoiseModel.resample`) and solved again; the spread of the
pictures is what the noise does to this one. One such solve an update is enough: the last few count.

Holes: samples that a solve did not know tell how far it is off at their distance from those it knew. At the
samples themselves this part is 0 where the picture passes through them and their noise is known. Where it is
not, or where the picture smooths, it is that of the nearest held-out ones: without a known noise it includes
theirs, and is too large by that.

The map is one standard deviation in the sense that about 68 % of the pixels are off by less. It is no bound
for a single pixel, knows of no feature that no sample saw, and takes the picture for equally difficult
everywhere: in the flat it is too large, at an edge too small. Knows no solver.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..noise import NoiseModel
from .solution import Image, Weight
from .support import Map, distance_to, mean_around

FloatArray = npt.NDArray[np.float64]

DRAWS = 6
"""Resampled solves that count. 6 tell a pixel's spread to 30 %; with its 8 neighbours to 15 %."""
WITHIN = 0.683
"""Share of a normal distribution within one standard deviation."""
REMEMBERED = 8192
"""Held-out samples that count, the newest; 16 bytes each and channel."""
LARGEST = 1e18
"""Difference by noise whose square still fits float32 nine times."""
STRIP = 64
"""Rows whose variances are added at a time: in float64 those of all would take 32 bytes a pixel."""
FEWEST = 30
"""Held-out samples without which nothing is said about holes; each group of distances has more."""


class Spread:
    """Variance of pictures under resampled noise, over the last few: 4 bytes a pixel and channel."""

    def __init__(self, shape: tuple[int, int, int], draws: int = DRAWS) -> None:
        """For pictures of ``shape`` (c, ny, nx)."""
        if draws < 1:
            raise ValueError(f"{draws} draws: the spread is that of 1 or more")
        self.draws = draws
        self.seen = 0
        self._square = np.zeros(shape, np.float32)

    def add(self, image: Image, resampled: Image) -> None:
        """A picture of the samples, and one of the same samples with their noise drawn anew.

        Their difference counts fully at first; later the oldest fade, at the rate of 1 / draws. The picture
        may go on changing between calls. A difference beyond LARGEST counts as that.
        """
        if resampled.shape != self._square.shape or image.shape != self._square.shape:
            raise ValueError(f"pictures {image.shape} and {resampled.shape}; {self._square.shape} wanted")
        self.seen += 1
        off = resampled - image
        np.clip(off, -LARGEST, LARGEST, out=off)
        off *= off
        off -= self._square
        off *= np.float32(1 / min(self.seen, self.draws))
        self._square += off

    def variance(self) -> Image:
        """(c, ny, nx) the mean over 3 x 3 pixels; 0 before the first picture."""
        means = np.empty_like(self._square)
        for plane, mean in zip(self._square, means, strict=True):
            mean_around(plane, 1, mean)
        return np.maximum(means, 0, out=means)  # beside huge squares running sums may end below 0

    def forget(self) -> None:
        """Begin anew: another solver, another strength."""
        self.seen = 0
        self._square[:] = 0


@dataclass(frozen=True, slots=True, eq=False)
class HoleError:
    """Error of an estimate, over the distance to the nearest sample; never falls with it. Without the
    samples' noise where that is known."""

    distance: FloatArray
    """(k,) px, rising from 0."""
    variance: FloatArray
    """(c, k)"""
    far: FloatArray
    """(c,) variance of the samples: all that is known of a place far from them."""

    def at(self, distance: Map) -> FloatArray:
        """(c, ny, nx) variance at these distances (px), float64: that of values above 1e19 fits no float32.

        Beyond the farthest held-out sample nothing was seen: there it tends to ``far``, halfway at twice that
        distance, an assumption.
        """
        last = self.distance[-1]
        beyond = 1 - np.exp2(-np.maximum(distance / max(last, 1e-9) - 1, 0)) if last else distance > 0
        return np.array(
            [
                (known := np.interp(distance, self.distance, curve)) + beyond * np.maximum(far - known, 0)
                for curve, far in zip(self.variance, self.far, strict=True)
            ]
        )


@dataclass(slots=True)
class HoleErrors:
    """Held-out samples and how far estimates were off that did not know them: the newest `REMEMBERED`."""

    channels: int
    _distance: FloatArray = field(init=False)
    _square: FloatArray = field(init=False)
    """(n, c) squared error less the noise's share."""
    _noise: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: another solver, another strength, another scene."""
        self._distance = np.empty(0)
        self._square, self._noise = np.empty((2, 0, self.channels))

    @property
    def samples(self) -> int:
        """That count."""
        return len(self._distance)

    def add(
        self,
        estimate: Image,
        data: Image,
        weight: Weight,
        kept: Weight,
        noise: NoiseModel | None = None,
        spread: Image | None = None,
    ) -> None:
        """Compare an estimate from the ``kept`` samples with the others.

        Parameters
        ----------
        estimate, data : (c, ny, nx); the data of all samples.
        weight, kept : (ny, nx) visits of all samples, and of those that the estimate knew.
        noise : of one visit, its share in the difference; None counts it as the estimate's error.
        spread : (c, ny, nx) variance of the estimate by noise (`Spread.variance`), which is not the holes'.
        """
        held = (weight > 0) & ~(kept > 0) & np.isfinite(estimate).all(axis=0) & np.isfinite(data).all(axis=0)
        if not (held.any() and (kept > 0).any()):
            return
        square = (estimate[:, held].astype(np.float64) - data[:, held]) ** 2
        part = np.zeros_like(square)
        if noise is not None:
            part += noise.variance(estimate[:, held]) / weight[held]
        if spread is not None:
            part += spread[:, held]
        distance = distance_to(kept > 0)[held].astype(np.float64)
        self._distance = np.concatenate([self._distance, distance])[-REMEMBERED:]
        self._square = np.concatenate([self._square, square.T])[-REMEMBERED:]
        self._noise = np.concatenate([self._noise, part.T])[-REMEMBERED:]

    def curve(self, data: Image, weight: Weight, exact: bool = True) -> HoleError | None:
        """What they say; None with fewer than `FEWEST`. The samples' variance is that of ``data``.

        ``exact``: at the samples estimates are off by nothing but a noise that was told to `add`; else by as
        much as at the nearest held-out ones.
        """
        known = weight > 0
        if self.samples < FEWEST or not known.any():
            return None
        groups = np.array_split(
            np.argsort(self._distance, kind="stable"), min(16, max(1, self.samples // (4 * FEWEST)))
        )
        centres = np.array([self._distance[group].mean() for group in groups])
        size = np.array([len(group) for group in groups], np.float64)
        within = np.array([_within(self._square[group], self._noise[group]) for group in groups])
        rising = np.array([_rising(column, size) for column in within.T])
        return HoleError(
            np.append(0.0, centres),
            np.hstack([0 * rising[:, :1] if exact else rising[:, :1], rising]),
            data[:, known].var(axis=1, dtype=np.float64),
        )


def standard_deviation(
    distance: Map, shape: tuple[int, int, int], spread: Spread | None, holes: HoleError | None
) -> Image:
    """(c, ny, nx) of a picture's error from what is known of it; see the module.

    Parameters
    ----------
    distance : (ny, nx) px to the nearest sample.
    shape : of the picture.
    spread, holes : None where unknown: that part is then left out.
    """
    sigma = np.zeros(shape, np.float32) if spread is None else spread.variance()
    for begin in range(0, shape[1], STRIP):
        rows = slice(begin, begin + STRIP)
        known = 0.0 if holes is None else holes.at(distance[rows])
        sigma[:, rows] = np.sqrt(sigma[:, rows] + known)
    return sigma


def _within(square: FloatArray, noise: FloatArray) -> FloatArray:
    """(c,) the squared error that `WITHIN` of the samples (n, c) stay below, less the noise's, at least 0.

    A quantile: errors have longer tails than a normal distribution, and their mean square would cover more.
    """
    return np.asarray(np.maximum(np.quantile(square, WITHIN, axis=0) - noise.mean(axis=0), 0.0), np.float64)


def _rising(values: FloatArray, weight: FloatArray) -> FloatArray:
    """The nearest sequence that never falls: neighbours that do are pooled (Ayer et al., Ann. Math. Stat. 26
    (1955) 641)."""
    level: list[float] = []
    mass: list[float] = []
    count: list[int] = []
    for value, one in zip(values, weight, strict=True):
        level.append(float(value))
        mass.append(float(one))
        count.append(1)
        while len(level) > 1 and level[-2] > level[-1]:
            both = mass[-2] + mass[-1]
            level[-2:] = [(level[-2] * mass[-2] + level[-1] * mass[-1]) / both]
            mass[-2:] = [both]
            count[-2:] = [count[-2] + count[-1]]
    rising: FloatArray = np.repeat(np.array(level), count)
    return rising
