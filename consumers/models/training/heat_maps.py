"""Heat maps: examples for a network to learn them from, and how good the peaks are that it then shows.

One bump a particle or atomic column: a Gaussian of height 1, `SHARPNESS` of the radius wide. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ....kernels.noise import NoiseModel
from ....stream.simulate.particle_fields import around

Plane = npt.NDArray[np.float32]
Places = npt.NDArray[np.float64]

SHARPNESS = 0.5
"""Width of a bump, in the radius of what it stands for."""
LEAST_WIDTH = 1.0
"""px; narrower bumps would fall between the pixels."""
FAR = 1e6
"""Instead of a distance beyond the gate."""


def draw_bumps(shape: tuple[int, int], places: Places, radii: Places) -> Plane:
    """(h, w): at each of (n, 2) places (y, x) a Gaussian for its radius (n,); where they meet, the higher."""
    widths = np.maximum(SHARPNESS * radii, LEAST_WIDTH)
    nearest = np.full(shape[0] * shape[1], np.inf)
    order = np.argsort(widths)
    for some in np.array_split(order, -(-len(order) // 64) or 1):
        which, pixels, dy, dx = around(shape, places[some], 4 * widths[some])
        np.minimum.at(nearest, pixels, (dy * dy + dx * dx) / widths[some][which] ** 2)
    return np.exp(-0.5 * nearest).astype(np.float32).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a frame may show, and what is to be made of it."""

    expected: Plane
    """(h, w) electrons for a dose of 1."""
    bumps: Plane
    """(h, w) 0 to 1."""
    doses: tuple[float, float]
    """Between which doses it is shown."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is drawn, and how much of it."""

    scene: Callable[[np.random.Generator, int], Scene]
    """Draws one, of so many px a side."""
    seed: int
    scenes: int = 500
    """That are kept; each gives crops of every place, dose and noise."""
    renewed: float = 0.1
    """Share of the draws before which a scene is replaced by a new one."""
    side: int = 192
    """px of a scene."""
    crop: int = 128
    """px of what the network is shown."""
    batch: int = 8
    read_noise: float = 0.15
    """Share of the crops that have some."""


class Examples:
    """Batches without end, the same for the same recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._rng = np.random.default_rng(recipe.seed)
        self._scenes = [recipe.scene(self._rng, recipe.side) for _ in range(recipe.scenes)]

    def __iter__(self) -> Iterator[tuple[Plane, Plane]]:
        while True:
            yield self.draw()

    def draw(self) -> tuple[Plane, Plane]:
        """Frames (batch, 1, crop, crop) with noise of variance 1, and their bumps."""
        pairs = [self._crop() for _ in range(self.recipe.batch)]
        frames, bumps = (np.stack(planes)[:, None] for planes in zip(*pairs, strict=True))
        return frames, bumps

    def _crop(self) -> tuple[Plane, Plane]:
        recipe, rng = self.recipe, self._rng
        number = int(rng.integers(len(self._scenes)))
        if rng.random() < recipe.renewed:
            self._scenes[number] = recipe.scene(rng, recipe.side)
        scene = self._scenes[number]
        y, x = rng.integers(0, recipe.side - recipe.crop + 1, 2)
        part = slice(y, y + recipe.crop), slice(x, x + recipe.crop)
        dose = np.exp(rng.uniform(*np.log(scene.doses)))
        noise = NoiseModel(read_noise=rng.uniform(0.1, 0.6) if rng.random() < recipe.read_noise else 0.0)
        counts = rng.poisson(dose * scene.expected[part]).astype(np.float32)
        if noise.read_noise:
            counts += np.float32(noise.read_noise) * rng.standard_normal(counts.shape, np.float32)
        turns, mirrored = int(rng.integers(4)), 1 - 2 * int(rng.integers(2))
        frame, bumps = (
            np.rot90(plane, turns)[::mirrored] for plane in (noise.stabilise(counts), scene.bumps[part])
        )
        return frame, bumps


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of what is there, over any number of frames."""

    matched: int = 0
    false: int = 0
    missed: int = 0
    square_error: float = 0.0
    """px^2, summed over those that are matched."""

    def __add__(self, other: Found) -> Found:
        return Found(
            self.matched + other.matched,
            self.false + other.false,
            self.missed + other.missed,
            self.square_error + other.square_error,
        )

    @property
    def precision(self) -> float:
        """Share of the found that is there; 1 where nothing was found."""
        return self.matched / ((self.matched + self.false) or 1) if self.matched or self.false else 1.0

    @property
    def recall(self) -> float:
        """Share of what is there that was found; 1 where nothing is there."""
        return self.matched / ((self.matched + self.missed) or 1) if self.matched or self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        every = 2 * self.matched + self.false + self.missed
        return 2 * self.matched / every if every else 1.0

    @property
    def rms(self) -> float:
        """Root of the mean squared distance (2-D) of the matched, px; NaN without any."""
        return (self.square_error / self.matched) ** 0.5 if self.matched else float("nan")


def compare(found: Places, there: Places, gate: float, shape: tuple[int, int], margin: float = 0.0) -> Found:
    """Match found places (n, 2) with true ones (m, 2), one to one, the sum of distances least.

    Parameters
    ----------
    found, there : (y, x) in px.
    gate : px, what is farther apart is no match.
    shape : of the frame.
    margin : px; what lies nearer to the rim, or outside, may match but is no miss and no false one.
    """
    if len(found) and len(there):
        distances = cdist(found, there)
        costs = np.where(distances <= gate, distances, FAR)
        rows, columns = linear_sum_assignment(costs)
        near = costs[rows, columns] < FAR
        rows, columns = rows[near], columns[near]
    else:
        distances, rows, columns = np.zeros((0, 0)), np.zeros(0, np.int64), np.zeros(0, np.int64)
    counts = _inside(there, shape, margin)
    pairs = counts[columns]
    error = float(np.sum(distances[rows[pairs], columns[pairs]] ** 2))
    matched = int(pairs.sum())
    false = int(np.delete(_inside(found, shape, margin), rows).sum())
    return Found(matched, false, int(counts.sum()) - matched, error)


def total(parts: Iterable[Found]) -> Found:
    """Of several frames."""
    return sum(parts, Found())


def best_threshold(
    places: Sequence[Places],
    scores: Sequence[npt.NDArray[np.float32]],
    there: Sequence[Places],
    gate: float,
    shape: tuple[int, int],
    margin: float = 0.0,
) -> tuple[float, Found]:
    """The threshold with the best F1 on these very frames (an oracle's), of 40 quantiles of the scores.

    Parameters
    ----------
    places, scores : of each frame, (n, 2) and (n,), with the lowest threshold that is worth a try.
    there : of each frame, (m, 2).
    """
    every = np.concatenate(list(scores)) if len(scores) else np.zeros(0)
    best = -np.inf, Found(missed=1)
    for threshold in np.unique(np.quantile(every, np.linspace(0, 1, 40))) if len(every) else ():
        found = total(
            compare(one[score >= threshold], true, gate, shape, margin)
            for one, score, true in zip(places, scores, there, strict=True)
        )
        if found.f1 > best[1].f1:
            best = float(threshold), found
    return best


def _inside(places: Places, shape: tuple[int, int], margin: float) -> npt.NDArray[np.bool_]:
    last = np.array(shape) - 1
    return np.asarray(np.all((places >= margin) & (places <= last - margin), axis=1))
