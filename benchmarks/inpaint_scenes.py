"""Scenes that sparse scans are made of, and the scans. Knows no solver.

Real images come from a folder that the environment variable LIVEM_BENCH_DATA names: `stem_images.npz` with
(ny, nx) `gold_grain_boundary` and `silicon_110`, and `sparse_spiral_scan.npz` with `spiral_y` and
`spiral_missing`. What is not there is left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.noise import NoiseModel
from ..kernels.scan_patterns import PATTERNS
from ..stream.simulate.lattice import grow_crystal, projected_columns

Array = npt.NDArray[np.float32]

DATA_VARIABLE = "LIVEM_BENCH_DATA"
SIDE = 256
BETWEEN = 0.1
"""Share of the brightest dose that the darkest pixel has."""
EXACT = NoiseModel(1e-9)
"""Of scans without noise."""
GOLD, SILICON, LATTICE, GRAINS = "gold", "silicon", "lattice", "grain boundary"


@dataclass(frozen=True, slots=True, eq=False)
class SparseScan:
    """Samples of a scene, and what is to be found."""

    truth: Array
    """(ny, nx), 0 to 1."""
    positions: npt.NDArray[np.intp]
    """(n, 2) pixels in the order of the scan."""
    values: npt.NDArray[np.float64]
    noise: NoiseModel

    @classmethod
    def of(cls, truth: Array, pattern: str, fraction: float, dose: float = 0.0, seed: int = 0) -> SparseScan:
        """``dose`` electrons a sample where the scene is brightest; 0: without noise."""
        rng = np.random.default_rng(seed)
        path = PATTERNS[pattern](truth.shape, round(truth.size * fraction), rng)
        places = np.floor(path + 0.5).astype(np.intp).clip(0, np.array(truth.shape) - 1)
        values = truth[places[:, 0], places[:, 1]].astype(np.float64)
        if not dose:
            return cls(truth, places, values, EXACT)
        scale = (1 - BETWEEN) * dose
        electrons = rng.poisson(scale * values + BETWEEN * dose)
        noise = NoiseModel(1 / scale, -BETWEEN * dose / scale)
        return cls(truth, places, electrons / scale + noise.offset, noise)

    def fields(self) -> tuple[npt.NDArray[np.float32], Array]:
        """Mean values (1, ny, nx) and visits (ny, nx)."""
        visits, sums = np.zeros((2, *self.truth.shape))
        at = self.positions[:, 0], self.positions[:, 1]
        np.add.at(visits, at, 1)
        np.add.at(sums, at, self.values)
        means = np.divide(sums, visits, out=np.zeros_like(sums), where=visits > 0)
        return means[None].astype(np.float32), visits.astype(np.float32)


def psnr(image: npt.NDArray[Any], truth: Array) -> float:
    """dB; the truth spans 0 to 1."""
    return float(-10 * np.log10(np.mean((image.astype(np.float64) - truth) ** 2)))


def data_folder() -> Path | None:
    """Where the real images are, if anywhere."""
    name = os.environ.get(DATA_VARIABLE)
    return Path(name) if name else None


def scenes(folder: Path | None) -> Mapping[str, Array]:
    """Pictures of SIDE x SIDE by name, real ones first where their folder is there."""
    return {**real_scenes(folder), LATTICE: lattice(), GRAINS: grains()}


def real_scenes(folder: Path | None, side: int = SIDE) -> Mapping[str, Array]:
    """A corner of the gold, and the silicon, whose lattice is finer, at half its size."""
    if folder is None or not (folder / "stem_images.npz").is_file():
        return {}
    with np.load(folder / "stem_images.npz") as images:
        gold, silicon = images["gold_grain_boundary"], images["silicon_110"].astype(np.float64)
    ny, nx = silicon.shape
    halved = silicon.reshape(ny // 2, 2, nx // 2, 2).mean(axis=(1, 3))
    return {GOLD: spanning(gold[:side, :side]), SILICON: spanning(halved[:side, :side])}


def lattice(side: int = SIDE, spacing: float = 13.3) -> Array:
    """One crystal of round columns, nearly hexagonal."""
    y, x = np.mgrid[:side, :side] * (2 * np.pi / spacing)
    return spanning(np.exp(2 * (np.cos(x) + np.cos(0.5 * x + 0.866 * y))))


def grains(side: int = SIDE, spacing: float = 14.0) -> Array:
    """Two crystals and the boundary between them."""
    return spanning(projected_columns(grow_crystal((side, side), spacing, 0))[0])


def real_spiral(folder: Path | None) -> tuple[Array, npt.NDArray[np.bool_]] | None:
    """A spiral scan of a microscope: values (ny, nx), where they are; 99 % of them spread from 0 to 1."""
    if folder is None or not (folder / "sparse_spiral_scan.npz").is_file():
        return None
    with np.load(folder / "sparse_spiral_scan.npz") as scan:
        values, sampled = scan["spiral_y"].astype(np.float64), scan["spiral_missing"] == 0
    low, high = np.percentile(values[sampled], [0.5, 99.5])
    return np.clip((values - low) / (high - low), 0, 1).astype(np.float32), sampled


def spanning(image: npt.NDArray[Any]) -> Array:
    """From 0 to 1."""
    low, high = float(image.min()), float(image.max())
    return ((image - low) / (high - low)).astype(np.float32)
