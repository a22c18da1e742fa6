"""Diffraction patterns as a few components, learnt while they come; how many is told by their noise.

The singular vectors of all patterns so far are updated with each block (Ross, Lim, Lin & Yang, Int. J.
Comput. Vis. 77 (2008) 125: the mean moves too). A component counts if its eigenvalue is above the edge of
pure noise (Marchenko & Pastur, Math. USSR Sb. 1 (1967) 457), and as far as the spiked model says that it
points the right way (Benaych-Georges & Nadakuditi, J. Multivar. Anal. 111 (2012) 120). Knows no scan.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Patterns = npt.NDArray[np.float32]
"""(n, pixels)"""

MOST = 32
"""Components that are kept."""
MARGIN = 1.02
"""Of the edge: eigenvalues of finite stacks scatter about it by 1 %."""


class Components:
    """Patterns in, patterns of the components that noise does not explain out.

    Parameters
    ----------
    pixels : of a pattern, flattened.
    most : components that are kept; those beyond are lost for good.
    """

    def __init__(self, pixels: int, most: int = MOST) -> None:
        if pixels < 1 or most < 1:
            raise ValueError(f"pixels is {pixels}, most is {most}: give 1 or more of each")
        self.pixels, self.most = pixels, most
        self.count = 0
        """Patterns so far."""
        self._mean = np.zeros(pixels, np.float32)
        self._values = np.empty(0, np.float32)
        self._vectors = np.empty((0, pixels), np.float32)

    @property
    def rank(self) -> int:
        """Components above the edge of noise."""
        return int(np.count_nonzero(self._shares()))

    def add(self, patterns: Patterns) -> None:
        """Learn a block.

        Parameters
        ----------
        patterns : (n, pixels) float32, noise of variance 1 (`NoiseModel.stabilise`); those with a value that
            is not finite are left out.

        Raises
        ------
        ValueError
            Patterns of another number of pixels.
        """
        self._check(patterns)
        block = patterns[np.isfinite(patterns).all(axis=1)]
        if not len(block):
            return
        middle, total = block.mean(axis=0), self.count + len(block)
        between = math.sqrt(self.count * len(block) / total)
        rows = [self._values[:, None] * self._vectors, block - middle, between * (self._mean - middle)[None]]
        _, values, vectors = np.linalg.svd(np.concatenate(rows), full_matrices=False)
        self._values, self._vectors = values[: self.most], vectors[: self.most]
        self._mean += np.float32(len(block) / total) * (middle - self._mean)
        self.count = total

    def denoise(self, patterns: Patterns) -> Patterns:
        """Patterns (n, pixels) float32 as the mean and the components that count make them.

        NaN where a pattern has a value that is not finite, and everywhere before anything was learnt.
        """
        self._check(patterns)
        if not self.count:
            return np.full(patterns.shape, np.nan, np.float32)
        shares = self._shares()
        used = shares > 0
        basis = self._vectors[used]
        return np.asarray(
            self._mean + (((patterns - self._mean) @ basis.T) * shares[used]) @ basis, np.float32
        )

    def _check(self, patterns: Patterns) -> None:
        if patterns.ndim != 2 or patterns.shape[1] != self.pixels:
            raise ValueError(f"patterns are {patterns.shape}: give (n, {self.pixels})")

    def _shares(self) -> Patterns:
        """Weight of each component in a pattern, 0 to 1: s c^2 / (s c^2 + 1).

        s is the variance of the signal along the true component, c the cosine between it and ours.
        """
        if self.count < 2:
            return np.zeros(len(self._values), np.float32)
        ratio = self.pixels / self.count
        spread = self._values.astype(np.float64) ** 2 / self.count
        above = spread > MARGIN * (1 + math.sqrt(ratio)) ** 2
        rest = np.where(above, spread - 1 - ratio, 2 * math.sqrt(ratio) + 1)
        signal = (rest + np.sqrt(np.maximum(rest**2 - 4 * ratio, 0))) / 2
        seen = signal * np.maximum(1 - ratio / signal**2, 0) / (1 + ratio / signal)
        return np.where(above, seen / (seen + 1), 0).astype(np.float32)
