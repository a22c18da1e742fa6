"""Samples kept back from a solve, to see how well it predicts what it did not know.

Held out are whole pixels, chosen by a hash of their index: a pixel's fold depends on no order of arrival, so
that errors stay comparable while samples come in, and live and offline hold out the same. Knows no solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .solution import Image, Weight

FOLDS = 20
"""Parts that the pixels fall into: one of them, 5 % of the samples, is held out at a time."""
ENOUGH = 1000
"""Held-out samples after which one fold tells two solvers apart: their errors differ by 0.1 dB, then."""
MAX_FOLDS = 5

FoldMap = npt.NDArray[np.uint8]
"""(ny, nx) fold of each pixel."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How far an estimate is from samples that it did not know; sums over pixels, one value a channel."""

    squares: npt.NDArray[np.float64]
    """(c,) sum of weight x (estimate - sample)^2."""
    signal: npt.NDArray[np.float64]
    """(c,) sum of the samples: in Poisson counts, what their noise adds to ``squares`` on average."""
    weight: float
    pixels: int

    def __add__(self, other: HeldOut) -> HeldOut:
        return HeldOut(
            self.squares + other.squares,
            self.signal + other.signal,
            self.weight + other.weight,
            self.pixels + other.pixels,
        )

    def rmse(self) -> npt.NDArray[np.float64]:
        """(c,) root of the weighted mean square; NaN where nothing was held out. The samples' unit."""
        if not self.weight:
            return np.full(len(self.squares), math.nan)
        return np.sqrt(self.squares / self.weight)

    def rmse_of_truth(self, gain: float, read_noise: float = 0.0) -> npt.NDArray[np.float64]:
        """(c,) the same without the samples' own noise: an estimate of the error against the truth.

        Parameters
        ----------
        gain : variance of a visit per unit of its expectation (1 for counts).
        read_noise : standard deviation of a visit beside that.
        """
        noise = gain * np.maximum(self.signal, 0.0) + self.pixels * read_noise**2
        return np.sqrt(np.maximum(self.squares - noise, 0.0) / max(self.weight, 1e-300))


def fold_map(shape: tuple[int, int], seed: int = 0) -> FoldMap:
    """The fold of each pixel of a field (ny, nx), 0 to FOLDS - 1, all equally likely."""
    folds = np.empty(shape, np.uint8)
    _fold_loop(folds.reshape(-1), np.uint64(seed), np.uint64(FOLDS))
    return folds


def folds_needed(samples: int) -> int:
    """How many folds to look at, one after another, so that about ENOUGH samples are held out."""
    return int(np.clip(math.ceil(ENOUGH * FOLDS / max(samples, 1)), 1, MAX_FOLDS))


def without_fold(weight: Weight, folds: FoldMap, fold: int) -> Weight:
    """A copy of the weights in which the pixels of a fold are unknown."""
    kept = weight.copy()
    kept[folds == fold] = 0.0
    return kept


def error_of(estimate: Image, data: Image, weight: Weight, folds: FoldMap, fold: int) -> HeldOut:
    """Compare an estimate with the samples of a fold that it did not know.

    Parameters
    ----------
    estimate, data : (c, ny, nx) float32
    weight : (ny, nx) float32, all samples; folds : of `fold_map`.
    """
    squares = np.zeros(len(data))
    signal = np.zeros(len(data))
    total, pixels = 0.0, 0
    for channel in range(len(data)):
        squares[channel], signal[channel], total, pixels = _error_loop(
            estimate[channel].reshape(-1),
            data[channel].reshape(-1),
            weight.reshape(-1),
            folds.reshape(-1),
            np.uint8(fold),
        )
    return HeldOut(squares, signal, float(total), int(pixels))


def forget_fold(image: Image, weight: Weight, folds: FoldMap, fold: int) -> Image:
    """A copy in which the pixels of a fold, and unknown ones beside them, hold their neighbours' mean.

    A start for a solve without the fold: it must not know what it is about to be asked.
    """
    start = image.copy()
    for channel in range(len(image)):
        _forget_loop(image[channel], start[channel], weight, folds, np.uint8(fold))
    return start


@njit("void(uint8[::1], uint64, uint64)", nogil=True, cache=True)
def _fold_loop(folds: FoldMap, seed: np.uint64, parts: np.uint64) -> None:
    """splitmix64 of the index (Steele, Lea, Flood, OOPSLA 2014), its upper half scaled to the folds."""
    for i in range(len(folds)):
        z = (np.uint64(i) + np.uint64(1) + seed * np.uint64(0x632BE59BD9B4E019)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        folds[i] = np.uint8(((z >> np.uint64(32)) * parts) >> np.uint64(32))


@njit(
    "Tuple((float64, float64, float64, int64))(float32[::1], float32[::1], float32[::1], uint8[::1], uint8)",
    nogil=True,
    cache=True,
)
def _error_loop(
    estimate: Image, data: Image, weight: Weight, folds: FoldMap, fold: np.uint8
) -> tuple[float, float, float, int]:
    squares = signal = total = 0.0
    pixels = 0
    for i in range(len(folds)):
        if folds[i] == fold and weight[i] > 0:
            off = np.float64(estimate[i]) - np.float64(data[i])
            squares += weight[i] * off * off
            signal += data[i]
            total += weight[i]
            pixels += 1
    return squares, signal, total, pixels


@njit("void(float32[:, ::1], float32[:, ::1], int64, int64, float32)", nogil=True, cache=True)
def _fill(start: Image, weight: Weight, y: int, x: int, value: np.float32) -> None:
    ny, nx = weight.shape
    for v in range(max(y - 1, 0), min(y + 2, ny)):
        for u in range(max(x - 1, 0), min(x + 2, nx)):
            if (v == y and u == x) or weight[v, u] == 0:
                start[v, u] = value


@njit("void(float32[:, ::1], float32[:, ::1], float32[:, ::1], uint8[:, ::1], uint8)", nogil=True, cache=True)
def _forget_loop(image: Image, start: Image, weight: Weight, folds: FoldMap, fold: np.uint8) -> None:
    ny, nx = folds.shape
    for y in range(ny):
        for x in range(nx):
            if weight[y, x] > 0 and folds[y, x] == fold:
                total, known = 0.0, 0
                for v in range(max(y - 2, 0), min(y + 3, ny)):
                    for u in range(max(x - 2, 0), min(x + 3, nx)):
                        if weight[v, u] > 0 and folds[v, u] != fold:
                            total += image[v, u]
                            known += 1
                if known > 0:
                    _fill(start, weight, y, x, np.float32(total / known))
