"""Pictures of sparse scans to look at: samples, estimate and the spread of its error, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..kernels.inpaint.live import LiveInpainter, Plan
from ..kernels.noise import NoiseModel
from ..outputs import write_png
from ..stream.results import Result
from .inpaint_scenes import GOLD, SparseScan, data_folder, grains, real_scenes, real_spiral

FRACTIONS, DOSE = (0.1, 0.25), 20.0
Taken = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], NoiseModel | None, tuple[int, int]]
"""Positions (n, 2), values (n,), how they scatter, and the field."""


def draw(directory: Path) -> list[Path]:
    """One .png for each scan: a real spiral, and gold at 10 and 25 % with 20 electrons a sample.

    Without real images a simulated grain boundary.
    """
    directory.mkdir(parents=True, exist_ok=True)
    return [_drawn(directory / f"{name}.png", taken) for name, taken in _scans(data_folder())]


def _scans(folder: Path | None) -> Iterator[tuple[str, Taken]]:
    if (spiral := real_spiral(folder)) is not None:
        image, sampled = spiral
        yield (
            "spiral",
            (np.argwhere(sampled).astype(np.float64), image[sampled].astype(np.float64), None, _field(image)),
        )
    found = real_scenes(folder)
    name, truth = ("gold", found[GOLD]) if GOLD in found else ("grains", grains())
    for fraction in FRACTIONS:
        scan = SparseScan.of(truth, "random", fraction, DOSE)
        taken = scan.positions.astype(np.float64), scan.values, scan.noise, _field(truth)
        yield f"{name}-{100 * fraction:.0f}", taken


def _field(image: npt.NDArray[np.float32]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _drawn(path: Path, taken: Taken) -> Path:
    positions, values, noise, shape = taken
    live = LiveInpainter(shape, 1, Plan(noise=noise))
    live.add(positions, values)
    estimate, samples = live.settle(), live.field.mean()[0]
    sigma = np.full_like(samples, np.nan) if estimate.sigma is None else estimate.sigma
    planes = np.stack([samples[0], estimate.image[0], sigma[0]], axis=-1)
    arrays = {"image": planes, "valid": np.ones(shape, bool)}
    write_png(path, Result(path.stem, "image", None, (0, len(values)), 0, arrays))
    return path
