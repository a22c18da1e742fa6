"""Movies to learn denoising from: simulated in situ scenes of known truth, with the noise of a detector.

Particles come from the simulator of ``sim:insitu`` under conditions drawn anew for each clip, dark or bright,
few or many, resting or fast; the rest are drifting crystals. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ....kernels.noise import NoiseModel
from ....stream.simulate.in_situ import ABSORPTION_LENGTH, InSitu
from ....stream.simulate.lattice import grow_crystal, projected_columns

Movie = npt.NDArray[np.float32]

FIRST_SEED = 1_000_000
"""Of training; tests and benchmarks use small ones."""
FRAMES = 5
"""That the model sees, the newest last."""
DOSES = (0.5, 20.0)
"""Electrons a pixel and frame."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is drawn, and how much of it."""

    clips: int = 160
    """Scenes, drawn once; each gives crops of every place and time."""
    length: int = 20
    """Frames of a clip."""
    field: int = 160
    """px of a clip's sides."""
    crop: int = 96
    """px of what the network is shown."""
    batch: int = 8
    crystals: float = 0.15
    """Share of the clips."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Examples of one step."""

    frames: Movie
    """(n, FRAMES, s, s) stabilised counts."""
    truth: Movie
    """(n, 1, s, s) expected electrons of the newest frame."""
    read_noise: npt.NDArray[np.float32]
    """(n,) electrons."""


def clip(seed: int, recipe: Recipe) -> npt.NDArray[np.float16]:
    """Expected electrons (length, field, field) of a scene of about 1 electron a pixel."""
    rng = np.random.default_rng([seed, 11])
    movie = _crystal(rng, recipe) if rng.random() < recipe.crystals else _particles(rng, seed, recipe)
    return np.asarray(movie, np.float16)


def _particles(rng: np.random.Generator, seed: int, recipe: Recipe) -> Movie:
    """Dark on an uneven bright field, or bright on a pedestal."""
    options = {
        "shape": f"{recipe.field}x{recipe.field}",
        "frames": recipe.length,
        "dose": 1.0,
        "seed": seed,
        "particles": int(rng.integers(2, 24)),
        "diffusion": float(rng.choice([0.0, 10.0, 30.0, 30.0, 100.0, 400.0])),
        "growth": float(rng.uniform(0.0, 4.0)),
        "nucleation": float(rng.uniform(0.0, 6.0)),
        "drift": float(rng.choice([0.0, 2.0, 4.0, 8.0])),
    }
    sim = InSitu.open("&".join(f"{key}={value}" for key, value in options.items()))
    truth = sim.clean(0, recipe.length)
    thickness = -np.log(truth / sim.background) * ABSORPTION_LENGTH
    if rng.random() < 0.5:
        return np.asarray(sim.background * np.exp(-thickness / rng.uniform(12.0, 40.0)), np.float32)
    pedestal = rng.uniform(0.5, 0.9)
    return np.asarray(pedestal + (1 - pedestal) * thickness / max(float(thickness.mean()), 0.5), np.float32)


def _crystal(rng: np.random.Generator, recipe: Recipe) -> Movie:
    """Atomic columns of two grains that drift together."""
    side = recipe.field + 24
    grown = grow_crystal((side, side), rng.uniform(6.0, 16.0), int(rng.integers(1 << 31)))
    image = projected_columns(grown)[0].astype(np.float32)
    floor = rng.uniform(0.2, 0.8)
    image = floor + (1 - floor) * image / image.mean()
    speed = rng.uniform(-0.5, 0.5, 2)
    inside = slice(12, 12 + recipe.field)
    places = speed * (np.arange(recipe.length) - recipe.length / 2)[:, None]
    moved = [ndimage.shift(image, place, order=3, mode="nearest") for place in places]
    return np.maximum(np.array(moved, np.float32)[:, inside, inside], 0.02)


class Examples:
    """Batches without end, the same for the same seed."""

    def __init__(self, recipe: Recipe, seed: int = FIRST_SEED) -> None:
        self.recipe = recipe
        self._rng = np.random.default_rng([seed, 12])
        self._clips = [clip(seed + number, recipe) for number in range(recipe.clips)]

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.draw()

    def draw(self) -> Batch:
        """The next batch: clips, places, times, doses and noise drawn anew, turned and mirrored."""
        recipe, rng = self.recipe, self._rng
        frames = np.empty((recipe.batch, FRAMES, recipe.crop, recipe.crop), np.float32)
        truth = np.empty((recipe.batch, 1, recipe.crop, recipe.crop), np.float32)
        read_noise = np.zeros(recipe.batch, np.float32)
        for number in range(recipe.batch):
            expected = self._crop() * np.float32(_dose(rng))
            read_noise[number] = rng.uniform(0.1, 0.6) if rng.random() < 0.15 else 0.0
            noise = NoiseModel(1.0, 0.0, float(read_noise[number]))
            counts = rng.poisson(expected) + noise.read_noise * rng.standard_normal(expected.shape)
            frames[number] = noise.stabilise(counts)
            truth[number, 0] = expected[-1]
        return Batch(frames, truth, read_noise)

    def _crop(self) -> Movie:
        """(FRAMES, crop, crop) of some clip; forth or back in time."""
        rng, side = self._rng, self.recipe.crop
        movie = self._clips[int(rng.integers(len(self._clips)))]
        at, y, x = (
            int(rng.integers(n - m + 1)) for n, m in zip(movie.shape, (FRAMES, side, side), strict=True)
        )
        part = movie[at : at + FRAMES, y : y + side, x : x + side].astype(np.float32)
        part = part[:: 1 - 2 * int(rng.integers(2))]
        part = np.rot90(part, int(rng.integers(4)), (1, 2))
        return part[:, :: 1 - 2 * int(rng.integers(2))]


def _dose(rng: np.random.Generator) -> float:
    """Mostly 0.5 to 5 electrons, evenly in its logarithm."""
    low, high = np.log(DOSES)
    middle = np.log(5.0)
    return float(np.exp(rng.uniform(low, middle) if rng.random() < 0.8 else rng.uniform(middle, high)))
