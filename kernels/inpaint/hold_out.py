"""Samples kept back from a solve, to see how well it predicts what it did not know.

Held out are whole pixels, chosen by a hash of their place: a pixel's fold depends on no order of arrival, so
that errors stay comparable while samples come in, and live and offline hold out the same. What is held out
must be as far from what is known as the holes of the scan are: along the line of a spiral every pixel has
neighbours, and single ones would flatter a solver that knows nothing of the gap between the turns. So pixels
are held out in square blocks, as large as that takes, tile by tile: a Lissajous figure is dense at its edges
and sparse in its middle. Knows no solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.ndimage import uniform_filter

from ..noise import NoiseModel
from .gaps import reach_of
from .solution import Image, Weight
from .support import distance_to

FOLDS = 20
"""Parts that the pixels fall into: one of them, 5 % of the samples, is held out at a time."""
ENOUGH = 8000
"""Held-out samples that tell two solvers apart: with 1000, one choice in ten is off by 0.2 dB and more."""
MAX_FOLDS = 12
EXACT = 0.1
"""Share of the samples' noise in the held-out error below which a picture passes through its samples."""
NEARBY = 33
"""Side (px) of the square in which samples are counted for the local density."""
BLOCKS = (1, 2, 3, 4, 6, 8, 12, 16)
"""Sides of what is held out together, px."""
TILE = 32
"""Side (px) of the tiles that have blocks of one size."""
PROBED = 3
"""Folds that tell how far held-out samples are from others."""

FoldMap = npt.NDArray[np.uint8]
"""(ny, nx) fold of each pixel."""
BlockMap = npt.NDArray[np.int64]
"""(tiles along y, along x) side of the blocks in each TILE x TILE tile."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How far an estimate is from samples that it did not know; sums over pixels, one value a channel."""

    squares: npt.NDArray[np.float64]
    """(c,) sum of importance x (estimate - sample)^2."""
    signal: npt.NDArray[np.float64]
    """(c,) sum of importance / dose x sample: in Poisson counts, what their noise adds to ``squares``."""
    visits: float
    """Sum of importance / dose: what a noise of variance 1 a visit adds to ``squares``."""
    importance: float
    pixels: int

    def __add__(self, other: HeldOut) -> HeldOut:
        return HeldOut(
            self.squares + other.squares,
            self.signal + other.signal,
            self.visits + other.visits,
            self.importance + other.importance,
            self.pixels + other.pixels,
        )

    def rmse(self) -> npt.NDArray[np.float64]:
        """(c,) root mean square, by importance; NaN where nothing was held out. The samples' unit."""
        if not self.importance:
            return np.full(len(self.squares), math.nan)
        return np.sqrt(self.squares / self.importance)

    def rmse_of_truth(self, noise: NoiseModel) -> npt.NDArray[np.float64]:
        """(c,) the same without the samples' own noise: an estimate of the error against the truth.

        NaN where nothing was held out, and where that is lost in the noise: within two standard deviations of
        what the noise alone gives.
        """
        if not self.pixels:
            return np.full(len(self.squares), math.nan)
        own = self._noise(noise)
        left = np.maximum(self.squares - own, 0.0)
        lost = left < 2 * own * math.sqrt(2 / self.pixels)
        return np.where(lost, math.nan, np.sqrt(left / max(self.importance, 1e-300)))

    def is_exact(self, noise: NoiseModel) -> bool:
        """Whether the samples are so much better than the estimate that it should pass through them."""
        return bool((self._noise(noise) < EXACT * self.squares).all())

    def _noise(self, noise: NoiseModel) -> npt.NDArray[np.float64]:
        """(c,) what the samples' own noise adds to ``squares`` on average."""
        electrons = np.maximum(self.signal - noise.offset * self.visits, 0.0)
        return np.asarray(noise.gain * electrons + self.visits * noise.read_noise**2)


def fold_map(shape: tuple[int, int], seed: int = 0, blocks: BlockMap | int = 1) -> FoldMap:
    """The fold of each pixel of a field (ny, nx), 0 to FOLDS - 1, all equally likely; alike in a block."""
    folds = np.empty(shape, np.uint8)
    if isinstance(blocks, int):
        blocks = np.full(_tiles(shape), blocks)
    _fold_loop(folds, blocks, np.uint64(seed))
    return folds


def blocks_for(weight: Weight, seed: int = 0) -> BlockMap:
    """The sides of held-out blocks whose samples are as far from others as unsampled pixels are, on average.

    1 for samples at random; about the distance of its lines for a scan along lines. Each tile has its own, by
    what is in it and in its eight neighbours; pixels that the picture does not reach do not count. 1 to 5 ms
    for 256 x 256.
    """
    sampled = weight > 0
    blocks = np.ones(_tiles(weight.shape), np.int64)
    if not sampled.any() or sampled.all():
        return blocks
    distance = distance_to(sampled)
    wanted = _around(distance, ~sampled & (distance <= reach_of(sampled)))
    least = np.full(blocks.shape, np.inf)
    for block in BLOCKS:
        apart = _apart(sampled, seed, block)
        off = np.abs(np.log(apart / wanted))
        better = off < least
        blocks[better], least[better] = block, off[better]
        if not (apart < wanted).any():
            break
    return blocks


def importance_of(weight: Weight) -> Weight:
    """(ny, nx) what the error of a held-out sample counts: its dose, divided by the density of samples there.

    A Lissajous figure is dense at its edges and sparse in the middle; a picture is looked at everywhere.
    """
    density = uniform_filter((weight > 0).astype(np.float32), NEARBY, mode="nearest")
    return np.asarray(weight / np.maximum(density, 1 / NEARBY**2), np.float32)


def _tiles(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // TILE), -(-shape[1] // TILE)


def _apart(sampled: npt.NDArray[np.bool_], seed: int, block: int) -> npt.NDArray[np.float64]:
    """Mean distance (px) of held-out samples to those of the other folds, around each tile."""
    folds = fold_map(sampled.shape, seed, block)
    distance, held = np.zeros(sampled.shape, np.float32), np.zeros_like(sampled)
    for fold in range(PROBED):
        out = sampled & (folds == fold)
        if (kept := sampled & ~out).any():
            distance[out] = distance_to(kept)[out]
            held |= out
    return _around(distance, held)


def _around(values: npt.NDArray[np.float32], where: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Mean of the values there are in each tile and its neighbours; NaN where there are none."""
    sums = _of_neighbours(np.where(where, values, 0.0))
    counts = _of_neighbours(where.astype(np.float64))
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0.5))


def _of_neighbours(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over each tile and its eight neighbours."""
    rows = np.add.reduceat(plane, np.arange(0, plane.shape[0], TILE), axis=0)
    tiles = np.add.reduceat(rows, np.arange(0, plane.shape[1], TILE), axis=1)
    padded = np.pad(tiles, 1)
    ny, nx = tiles.shape
    return np.asarray(sum(padded[y : y + ny, x : x + nx] for y in range(3) for x in range(3)))


def folds_needed(samples: int) -> int:
    """How many folds to look at, one after another, so that about ENOUGH samples are held out."""
    return int(np.clip(math.ceil(ENOUGH * FOLDS / max(samples, 1)), 1, MAX_FOLDS))


def without_fold(weight: Weight, folds: FoldMap, fold: int) -> Weight:
    """A copy of the weights in which the pixels of a fold are unknown."""
    kept = weight.copy()
    kept[folds == fold] = 0.0
    return kept


def error_of(
    estimate: Image, data: Image, weight: Weight, importance: Weight, folds: FoldMap, fold: int
) -> HeldOut:
    """Compare an estimate with the samples of a fold that it did not know.

    Parameters
    ----------
    estimate, data : (c, ny, nx) float32
    weight : (ny, nx) float32, all samples.
    importance : (ny, nx) float32 of each sample: its dose, or of `importance_of`.
    folds : of `fold_map`.
    """
    sums = np.array(
        [
            _error_loop(
                estimate[channel].reshape(-1),
                data[channel].reshape(-1),
                weight.reshape(-1),
                importance.reshape(-1),
                folds.reshape(-1),
                np.uint8(fold),
            )
            for channel in range(len(data))
        ]
    )
    return HeldOut(sums[:, 0], sums[:, 1], float(sums[0, 2]), float(sums[0, 3]), int(sums[0, 4]))


def forget_fold(image: Image, weight: Weight, folds: FoldMap, fold: int) -> Image:
    """A copy in which the pixels of a fold, and unknown ones beside them, hold their neighbours' mean.

    A start for a solve without the fold: it must not know what it is about to be asked.
    """
    start = image.copy()
    for channel in range(len(image)):
        _forget_loop(image[channel], start[channel], weight, folds, np.uint8(fold))
    return start


@njit("void(uint8[:, ::1], int64[:, ::1], uint64)", nogil=True, cache=True)
def _fold_loop(folds: FoldMap, blocks: BlockMap, seed: np.uint64) -> None:
    """splitmix64 of the block's number (Steele, Lea, Flood, OOPSLA 2014), its upper half scaled to FOLDS."""
    begin = np.uint64(1) + seed * np.uint64(0x632BE59BD9B4E019)
    for y in range(folds.shape[0]):
        for x in range(folds.shape[1]):
            block = blocks[y // TILE, x // TILE]
            across = (folds.shape[1] + block - 1) // block
            number = np.uint64(y // block * across + x // block) + (np.uint64(block - 1) << np.uint64(40))
            z = (number + begin) * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
            folds[y, x] = np.uint8(((z >> np.uint64(32)) * np.uint64(FOLDS)) >> np.uint64(32))


@njit(
    "UniTuple(float64, 5)(float32[::1], float32[::1], float32[::1], float32[::1], uint8[::1], uint8)",
    nogil=True,
    cache=True,
)
def _error_loop(
    estimate: Image, data: Image, weight: Weight, importance: Weight, folds: FoldMap, fold: np.uint8
) -> tuple[float, float, float, float, float]:
    """The fields of a HeldOut."""
    squares = signal = visits = total = pixels = 0.0
    for i in range(len(folds)):
        if folds[i] == fold and weight[i] > 0:
            off = np.float64(estimate[i]) - np.float64(data[i])
            each = np.float64(importance[i]) / np.float64(weight[i])
            squares += importance[i] * off * off
            signal += each * data[i]
            visits += each
            total += importance[i]
            pixels += 1.0
    return squares, signal, visits, total, pixels


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
