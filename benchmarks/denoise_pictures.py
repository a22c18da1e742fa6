"""Pictures of frames of few electrons to look at: counts, what is denoised, and the truth, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.denoise.frames import FrameFilter
from ..kernels.denoise.movies import MovieFilter
from ..kernels.noise import NoiseModel
from .denoise_movies import DARK, counted, particles
from .denoise_scenes import CountedFrame
from .inpaint_scenes import GOLD, GRAINS, LATTICE, Array, data_folder, scenes

DOSES = (1.0, 5.0)
"""Electrons a pixel."""
SIDE, FRAMES = 256, 24
BETWEEN = 4
"""px of white between pictures."""
RANGE = (0.5, 99.5)
"""Percentiles of the truth that are black and white: in what is denoised too, so that brightness compares."""


def draw(directory: Path) -> list[Path]:
    """One .png for each scene and dose.

    Gold (a simulated grain boundary without real images), a lattice, and the last of some frames of an in
    situ movie, denoised with those before. Counts have a range of their own.
    """
    directory.mkdir(parents=True, exist_ok=True)
    return [
        _drawn(directory / f"{name}-{dose:g}.png", *planes)
        for dose in DOSES
        for name, planes in _frames(dose)
    ]


def _frames(dose: float) -> Iterator[tuple[str, tuple[Array, Array, Array]]]:
    """Counts, estimate and truth, in electrons."""
    found = scenes(data_folder())
    first, name = (GOLD, "gold") if GOLD in found else (GRAINS, "grains")
    for scene, called in ((first, name), (LATTICE, "lattice")):
        frame = CountedFrame.of(found[scene], dose)
        yield called, (frame.counts, FrameFilter()(frame.counts), frame.scale * frame.truth)
    truth, _ = particles(DARK, dose, FRAMES, SIDE)
    counts, movie, noise = counted(truth), MovieFilter(), NoiseModel()
    for frame in noise.stabilise(counts):
        estimate = movie.add(frame).values
    yield "insitu", (counts[-1], noise.unstabilise(estimate), truth[-1])


def _drawn(path: Path, counts: Array, estimate: Array, truth: Array) -> Path:
    from PIL import Image

    own = np.percentile(counts, RANGE)
    levels = np.percentile(truth, RANGE)
    greys = [_grey(counts, own), _grey(estimate, levels), _grey(truth, levels)]
    gap = np.full((len(truth), BETWEEN), 255, np.uint8)
    Image.fromarray(np.concatenate([greys[0], gap, greys[1], gap, greys[2]], axis=1)).save(
        path, optimize=True
    )
    return path


def _grey(plane: Array, levels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    low, high = float(levels[0]), float(levels[1])
    return np.asarray(255 * np.clip((plane - low) / max(high - low, 1e-9), 0, 1), np.uint8)
