"""Movies of microscopes, denoised: nobody knows their truth, so neighbouring frames and the residual judge.

The estimate of a frame is held against the next frame, which it has not seen: their distance is the error,
what has moved, and the noise of the next frame. Half the square distance of two neighbouring frames is the
noise and half of what moves; what is left is the uMSE, and by it the uPSNR (Marcos-Morales et al., ICML
2023, with neighbouring frames for repeated ones).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..kernels.denoise.frames import FrameFilter
from ..kernels.denoise.movies import MovieFilter
from ..kernels.denoise.recursions import Exponential
from ..kernels.denoise.residual import residual_of
from ..kernels.noise import NoiseModel, noise_of_movie
from .figures import Row

MOVIES = ("liquid_cell_tem", "colloid_movie")
LEARNT = 8
"""Frames that tell gain and read noise, as in the consumer."""
Movie = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judged:
    """What neighbouring frames and the residual say of estimates; medians over the late frames."""

    error: float
    """uMSE in noise variances of a frame."""
    decibels: float
    """uPSNR: the range of the late frames' 0.5 to 99.5 %."""
    nats: float
    """Log likelihood of a pixel of the next frame, where the noise is normal; truth: about -1.42."""
    spread: float
    correlation: float
    limit: float
    """That of white noise."""


def rows(folder: Path | None, side: int, frames: int) -> list[Row]:
    """One for each movie and filter; none without the movies.

    Parameters
    ----------
    side : px, the middle of each frame. frames : of each, from the first.
    """
    found: list[Row] = []
    for name in MOVIES:
        if folder is not None and (folder / f"{name}.npz").is_file():
            movie = _middle(_loaded(folder / f"{name}.npz")[:frames], side)
            noise = noise_of_movie(movie[:LEARNT])
            for way, filtered in ways(noise).items():
                told = judged(movie, filtered(movie), noise)
                found.append(
                    {
                        "real movie": f"{name}, {movie.shape[1]}x{movie.shape[2]}",
                        "way": way,
                        "uPSNR, dB": round(told.decibels, 2),
                        "uMSE, noise": round(told.error, 3),
                        "held out, nats/px": round(told.nats, 3),
                        "residual": round(told.spread, 3),
                        "its correlation": round(told.correlation, 3),
                        "white noise <": round(told.limit, 3),
                    }
                )
    return found


def ways(noise: NoiseModel) -> dict[str, Callable[[Movie], Movie]]:
    """Causal filters by name, from values to values."""

    def causal(make: Callable[[], Exponential | MovieFilter]) -> Callable[[Movie], Movie]:
        def filtered(movie: Movie) -> Movie:
            filter_ = make()
            return noise.unstabilise([filter_.add(one).values.copy() for one in noise.stabilise(movie)])

        return filtered

    return {
        "raw": lambda movie: movie,
        "exponential": causal(Exponential),
        "livem, each frame": lambda movie: FrameFilter(noise).frames(movie),
        "livem, movie": causal(MovieFilter),
    }


def judged(movie: Movie, estimates: Movie, noise: NoiseModel) -> Judged:
    """By the frames after the first half, but for the last two.

    Parameters
    ----------
    movie, estimates : (n, h, w) values; n >= 6.
    """
    measured, believed = noise.stabilise(movie), noise.stabilise(estimates)
    late = range(len(movie) // 2, len(movie) - 2)
    ahead = [float(np.mean((believed[k] - measured[k + 1]) ** 2)) for k in late]
    apart = [float(np.mean((measured[k + 2] - measured[k + 1]) ** 2)) / 2 for k in late]
    error = float(np.median(np.subtract(ahead, apart)))
    low, high = np.percentile(measured[late.start :], (0.5, 99.5))
    decibels = 10 * np.log10(float(high - low) ** 2 / error) if error > 0 else np.inf
    nats = -0.5 * (float(np.median(ahead)) + np.log(2 * np.pi))
    left = [residual_of(movie[k], estimates[k], noise) for k in late]
    return Judged(
        error,
        float(decibels),
        float(nats),
        float(np.median([one.spread for one in left])),
        float(np.median([one.correlation for one in left])),
        3 / movie[0].size ** 0.5,
    )


def _loaded(path: Path) -> Movie:
    with np.load(path) as movie:
        return np.asarray(movie["frames"], np.float32)


def _middle(movie: Movie, side: int) -> Movie:
    h, w = (min(side, n) for n in movie.shape[1:])
    top, left = (movie.shape[1] - h) // 2, (movie.shape[2] - w) // 2
    return np.ascontiguousarray(movie[:, top : top + h, left : left + w])
