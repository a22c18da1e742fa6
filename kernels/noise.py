"""Poisson-Gaussian noise: what a detector adds to the electrons, evened out, measured and drawn anew.

A value of one visit is ``gain * N + offset + read_noise * G``, N of a Poisson distribution and G of the
standard normal one. Knows no scans, and not what the values are values of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]

ROOTS_LEAST = 2 * math.sqrt(3 / 8)
"""Anscombe's transform of 0 electrons without read noise."""
MOST_ELECTRONS = 1e18
"""The noise of more is below the 1e-7 that float32 resolves, and Poisson draws end at 9.2e18."""
MOST_READ = 1000.0
"""Electrons of read noise from which on stabilised values are told from those without electrons: at 1e9, as
of a camera whose values do not scatter the more the brighter they are, all would be one number."""
PATCH = 8
"""Side of the patches whose variance counts once, in pixels."""
LOW_QUARTER_63 = 0.8748
"""Lower quartile of chi squared of 63 degrees of freedom, in its mean."""
LOW_QUARTER = 0.768
"""Lower quartile of the variance of a patch's second differences, in the noise's variance (simulated)."""


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """How values of one visit scatter about what is expected."""

    gain: float = 1.0
    """Value of one electron (> 0)."""
    offset: float = 0.0
    """Value without electrons."""
    read_noise: float = 0.0
    """Standard deviation without electrons, in values (>= 0)."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gain) and self.gain > 0):
            raise ValueError(f"gain is {self.gain}: give the value of one electron, > 0")
        if not math.isfinite(self.offset):
            raise ValueError(f"offset is {self.offset}: give the value without electrons")
        if not (math.isfinite(self.read_noise) and self.read_noise >= 0):
            raise ValueError(f"read_noise is {self.read_noise}: give a standard deviation in values, >= 0")

    def variance(self, expected: npt.ArrayLike) -> FloatArray:
        """Variance of one visit where ``expected`` is the expected value; at least the read noise's."""
        electrons = np.maximum(np.asarray(expected, np.float64) - self.offset, 0.0)
        return np.asarray(self.gain * electrons + self.read_noise**2)

    def stabilise(self, values: npt.ArrayLike) -> Values:
        """Generalised Anscombe transform: noise of variance 1 (within 0.3 from 1 electron on, 0.02 from 5).

        2 sqrt(n + 3/8 + s^2), n and s the value and the read noise in electrons, 0 where the root would be
        of a negative number (Starck, Murtagh & Bijaoui, Image Processing and Data Analysis, 1998, eq. 2.37).
        Less 2 s where s is above `MOST_READ`: float32 would no longer resolve the noise.
        """
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        out = np.empty_like(flat)
        _stabilise(flat, self.gain, self.offset, self.read_noise, out)
        return out.reshape(np.shape(values))

    def unstabilise(self, stabilised: npt.ArrayLike) -> Values:
        """Exact unbiased inverse: the expected value whose noisy values have this mean after `stabilise`.

        For what was averaged or denoised in between; the algebraic inverse would be a quarter of an electron
        too small. Closed form (Makitalo & Foi, IEEE Trans. Image Process. 20 (2011) 2697 and 22 (2013) 91),
        within 0.05 electrons; never below the value of 0 electrons, and nowhere decreasing.
        """
        flat = np.ascontiguousarray(stabilised, np.float32).reshape(-1)
        out = np.empty_like(flat)
        _unstabilise(flat, self.gain, self.offset, self.read_noise, out)
        return out.reshape(np.shape(stabilised))

    def resample(
        self, total: Values, visits: Values, seed: int, expected: npt.NDArray[np.floating] | None = None
    ) -> Values:
        """Another draw of the noise in sums over visits, for the spread of what is computed from them.

        A parametric bootstrap: noise of the model is added to the sums that were measured. Drawing new counts
        instead, or splitting those that were counted (binomial), has the same variance, but the one moves the
        centre away from the data and the other needs whole electrons.

        Parameters
        ----------
        total : (..., ny, nx) float32 sums of the values; where there are no visits it is returned as it is.
        visits : (ny, nx) float32.
        seed : the same draws for the same seed and shapes.
        expected : like ``total``, the expected value of one visit; default: the mean of the pixel's visits,
            which is right on average but gives a pixel of 0 electrons no noise at all. An estimate is better.
        """
        known = visits > 0
        drawn = total.copy()
        values, times = total[..., known].astype(np.float64), visits[known].astype(np.float64)
        mean = values / times if expected is None else expected[..., known]
        electrons = np.clip(times * (mean - self.offset) / self.gain, 0.0, MOST_ELECTRONS)
        rng = np.random.default_rng(seed)
        values += self.gain * (rng.poisson(electrons) - electrons)
        if self.read_noise:
            values += self.read_noise * np.sqrt(times) * rng.standard_normal(values.shape)
        drawn[..., known] = values
        return drawn


def noise_of_visits(visits: npt.NDArray[np.generic], offset: float = 0.0) -> NoiseModel:
    """Gain and read noise from repeated visits of the same places.

    Parameters
    ----------
    visits : (k, ...) values, k >= 2 visits; the places must differ in brightness.
    offset : value without electrons: the data cannot tell it from the read noise.

    Raises
    ------
    ValueError
        Fewer than 2 visits, or all places equally bright: then gain and read noise cannot be told apart.
    """
    values = np.asarray(visits, np.float64).reshape(len(visits), -1)
    if len(values) < 2:
        raise ValueError(f"{len(values)} visits: the scatter of a place needs 2 or more")
    mean, variance = values.mean(axis=0), values.var(axis=0, ddof=1)
    if mean.var() < 2 * variance.mean() / len(values):
        raise ValueError("all places are equally bright within their noise: give places that differ")
    return _fit_model(mean, variance, 2 / (len(values) - 1), offset)


def noise_of_image(image: npt.NDArray[np.generic], offset: float = 0.0) -> NoiseModel:
    """Gain and read noise from one image, where it is smooth.

    Second differences along both axes leave little of a smooth image; patches of 8 x 8 pixels are sorted by
    their brightness, and of each 64 the quarter of the least variance is trusted (Immerkaer, Comput. Vis.
    Image Underst. 64 (1996) 300, for the differences). An upper bound where every patch has fine detail.

    Parameters
    ----------
    image : (ny, nx), at least 32 x 32.
    offset : value without electrons.

    Raises
    ------
    ValueError
        A smaller image.
    """
    if image.ndim != 2 or min(image.shape) < 4 * PATCH:
        raise ValueError(f"image is {image.shape}: the noise of one image needs 32 x 32 pixels or more")
    mean, variance = _patch_moments(np.asarray(image, np.float64))
    order = np.argsort(mean, kind="stable")
    groups = np.array_split(order, max(2, len(order) // 64))
    levels = np.array([mean[group].mean() for group in groups])
    quarters = np.array([np.quantile(variance[group], 0.25) for group in groups]) / LOW_QUARTER
    return _fit_model(levels, quarters, 0.01, offset)


def noise_of_movie(frames: npt.NDArray[np.generic], offset: float = 0.0) -> NoiseModel:
    """Gain and read noise from the differences of neighbouring frames, where nothing moves.

    Each pair gives patches of 8 x 8 pixels a mean and half the variance of their difference. Sorted by
    brightness, of each 256 the quarter of the least variance is trusted: what moves in the others matters
    little, what moves in all of them is taken for noise. On the simulated in situ movie the variance is
    within 3 % at 1 and 5 electrons a pixel and 8 % at 20, where the particles are; the bright field 1 %.

    Parameters
    ----------
    frames : (n, h, w), n >= 2 frames of at least 32 x 32 pixels; patches with a value that is not finite are
        left out. More than 16 frames tell little more.
    offset : value without electrons.

    Raises
    ------
    ValueError
        Fewer or smaller frames, or no patch that is finite.
    """
    if frames.ndim != 3 or len(frames) < 2 or min(frames.shape[1:]) < 4 * PATCH:
        raise ValueError(f"frames are {frames.shape}: the noise of a movie needs 2 of 32 x 32 pixels or more")
    values = np.asarray(frames, np.float64)
    mean, half = (values[1:] + values[:-1]) / 2, (values[1:] - values[:-1]) / math.sqrt(2)
    means, variances = _patches(mean).mean(axis=1), _patches(half).var(axis=1, ddof=1)
    known = np.isfinite(means) & np.isfinite(variances)
    if not known.any():
        raise ValueError("no patch of 8 x 8 pixels has only finite values: give frames that have")
    order = np.flatnonzero(known)[np.argsort(means[known], kind="stable")]
    groups = np.array_split(order, max(2, len(order) // 256))
    levels = np.array([means[group].mean() for group in groups])
    quarters = np.array([np.quantile(variances[group], 0.25) for group in groups]) / LOW_QUARTER_63
    return _fit_model(levels, quarters, 0.01, offset)


def _patches(frames: FloatArray) -> FloatArray:
    """(patches of all frames, PATCH^2) values."""
    ny, nx = (n // PATCH for n in frames.shape[1:])
    cut = frames[:, : ny * PATCH, : nx * PATCH].reshape(-1, ny, PATCH, nx, PATCH)
    return np.asarray(cut.transpose(0, 1, 3, 2, 4).reshape(-1, PATCH * PATCH))


def _patch_moments(image: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean of the patches, and the mean square of their second differences (1 for noise of variance 1)."""
    rows = image[:-2] - 2 * image[1:-1] + image[2:]
    detail = (rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / 6
    ny, nx = (n // PATCH for n in detail.shape)
    blocks = (slice(ny * PATCH), slice(nx * PATCH))
    inner = image[1:-1, 1:-1][blocks].reshape(ny, PATCH, nx, PATCH)
    return inner.mean(axis=(1, 3)).ravel(), (detail[blocks] ** 2).reshape(inner.shape).mean(
        axis=(1, 3)
    ).ravel()


def _fit_model(mean: FloatArray, variance: FloatArray, scatter: float, offset: float) -> NoiseModel:
    """The line of variance over mean.

    Weights are the inverse square of the line itself: the scatter of a variance grows with it. Points more
    than 6 standard deviations above (a spike, something that moved) are left out, five times over.
    ``scatter`` is the relative variance of a variance.
    """
    scale = float(variance.mean()) or 1.0
    fitted = np.full_like(variance, scale)
    kept = np.ones(variance.shape, bool)
    slope, base = 0.0, scale
    for _ in range(5):
        slope, base = _line(mean[kept], variance[kept], 1 / fitted[kept] ** 2)
        fitted = np.maximum(slope * mean + base, 0.02 * scale)
        electron = max(slope, 0.0) / fitted  # the excess of a Poisson distribution's fourth moment
        kept = variance <= fitted * (1 + 6 * np.sqrt(scatter * (1 + 0.5 * electron)))
    gain = slope if slope > 0 else 1e-6 * scale / max(float(np.abs(mean - offset).max()), 1e-300)
    return NoiseModel(gain, offset, math.sqrt(max(base + gain * offset, 0.0)))


def _line(x: FloatArray, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Slope and intercept of the weighted least squares."""
    middle, height = np.average(x, weights=weight), np.average(y, weights=weight)
    spread = np.average((x - middle) ** 2, weights=weight)
    slope = float(np.average((x - middle) * (y - height), weights=weight) / spread) if spread else 0.0
    return slope, float(height - slope * middle)


@njit("void(f4[::1], f8, f8, f8, f4[::1])", nogil=True, cache=True)
def _stabilise(values: Values, gain: float, offset: float, read_noise: float, out: Values) -> None:
    """See `NoiseModel.stabilise`."""
    read = read_noise / gain
    base, zero = 0.375 + read**2, 2 * read if read > MOST_READ else 0.0
    for i in range(values.size):
        out[i] = 2 * math.sqrt(max((values[i] - offset) / gain + base, 0.0)) - zero


@njit("void(f4[::1], f8, f8, f8, f4[::1])", nogil=True, cache=True)
def _unstabilise(values: Values, gain: float, offset: float, read_noise: float, out: Values) -> None:
    """See `NoiseModel.unstabilise`."""
    read = read_noise / gain
    base, zero = 0.125 + read**2, 2 * read if read > MOST_READ else 0.0
    for i in range(values.size):
        d = max(np.float64(values[i]) + zero, ROOTS_LEAST)
        root = math.sqrt(1.5)
        bend = (0.25 * root + (-1.375 + 0.625 * root / d) / d) / d
        out[i] = gain * max(0.25 * d * d + bend - base, 0.0) + offset
