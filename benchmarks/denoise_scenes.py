"""Scenes that frames of few electrons are made of, and the frames. Knows no filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.noise import NoiseModel
from ..stream.simulate.in_situ import InSitu
from .inpaint_scenes import Array, psnr, scenes, spanning

PARTICLES = "particles"
ELECTRONS = NoiseModel()


@dataclass(frozen=True, slots=True, eq=False)
class CountedFrame:
    """Electrons of a scene, and what is to be found."""

    truth: Array
    """(ny, nx), 0 to 1."""
    counts: Array
    """(ny, nx) whole numbers."""
    scale: float
    """Electrons that a truth of 1 gives."""

    @classmethod
    def of(cls, truth: Array, dose: float, seed: int = 0) -> CountedFrame:
        """``dose`` electrons a pixel on average."""
        scale = dose / float(truth.mean(dtype=np.float64))
        counts = np.random.default_rng(seed).poisson(scale * truth.astype(np.float64))
        return cls(truth, counts.astype(np.float32), scale)

    @property
    def stabilised(self) -> Array:
        """With noise of variance 1."""
        return ELECTRONS.stabilise(self.counts)

    def db_of_counts(self, expected: npt.NDArray[Any]) -> float:
        """PSNR of expected counts."""
        return psnr(expected / self.scale, self.truth)

    def db(self, stabilised: npt.NDArray[Any]) -> float:
        """PSNR of what was denoised while `stabilised`."""
        return self.db_of_counts(ELECTRONS.unstabilise(stabilised))


def frames_of(folder: Path | None, side: int = 256) -> Mapping[str, Array]:
    """Scenes by name, ``side`` px or what there is; real ones where their folder is there."""
    found = {name: truth[:side, :side] for name, truth in scenes(folder).items()}
    return {**found, PARTICLES: particles(side)}


def particles(side: int = 256) -> Array:
    """A frame of the simulated liquid cell."""
    count = max(2, 24 * side * side // 256**2)
    movie = InSitu.open(f"shape={side}x{side}&frames=40&dose=1&particles={count}")
    return spanning(movie.clean(20, 1)[0])
