"""What is known of a sparse scan at a moment: the picture, how it was made and how far it may be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .solution import Image, Weight

Masks = npt.NDArray[np.bool_]

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A picture of a sparse scan. Arrays are not to be changed; they stay as they are."""

    image: Image
    """(c, ny, nx); NaN beyond the reach of the samples, and everywhere while there are none."""
    weight: Weight
    """(ny, nx) visits of each pixel; 0 where the picture is a guess."""
    distance: Map
    """(ny, nx) px to the nearest sampled pixel; inf while there are none."""
    sigma: Image | None
    """(c, ny, nx) standard deviation of the picture's error, in the samples' unit; None while unknown."""
    algorithm: str
    version: int
    strength: float
    held_out: npt.NDArray[np.float64]
    """(c,) root mean square of what predicted samples were off by, noise included; NaN while unknown."""
    error: npt.NDArray[np.float64]
    """(c,) the same without the samples' own noise, where that is known; else NaN."""
    held_out_in: tuple[int, int, int, int]
    """(y, x) of the first pixel of the part where samples were held out, and of the one behind its last."""
    samples: int
    """That the picture is made of."""
    too_fine: npt.NDArray[np.float64]
    """(c,) share of the picture with features finer than the gaps between its samples; NaN while unknown."""
    fine: Masks | None
    """(c, ny, nx) where those are; None while unknown."""
    settled: bool = False
    """Made of all samples of a scan, by a choice that depends on nothing else."""

    @property
    def sampled(self) -> npt.NDArray[np.bool_]:
        """(ny, nx) pixels that were measured."""
        mask: npt.NDArray[np.bool_] = self.weight > 0
        return mask

    @property
    def coverage(self) -> float:
        """Share of the pixels that were measured."""
        return float(np.count_nonzero(self.weight)) / self.weight.size
