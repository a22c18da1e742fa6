"""Diffraction patterns as the components that all of them share, learnt while they come. Knows no stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...kernels.denoise.components import Components

Image = npt.NDArray[np.float32]

BLOCK = 16
"""Patterns that are learnt together: the singular vectors of a block cost hardly more than those of one."""


class PatternFilter:
    """Patterns in, estimates out, each of the mean and the components of the blocks of patterns so far."""

    def __init__(self) -> None:
        self._known: Components | None = None
        self._shape = (0, 0)
        self._waiting: list[Image] = []

    def add(self, pattern: Image) -> Image:
        """The estimate of a pattern; the mean of all until the first block is whole.

        Parameters
        ----------
        pattern : (h, w) float32, noise of variance 1; of another shape than those before, all begins anew.
            What is not finite tells nothing.

        Returns
        -------
        (h, w) float32, NaN where the pattern is not finite.
        """
        if self._known is None or pattern.shape != self._shape:
            self._shape, self._waiting = pattern.shape, []
            self._known = Components(pattern.size)
        is_known = np.isfinite(pattern)
        flat = np.where(is_known, pattern, np.float32(0)).reshape(1, -1)
        self._waiting.append(flat)
        if len(self._waiting) == BLOCK:
            self._known.add(np.concatenate(self._waiting))
            self._waiting = []
        first = not self._known.count
        found = np.concatenate(self._waiting).mean(axis=0) if first else self._known.denoise(flat)[0]
        return np.where(is_known, found.reshape(pattern.shape), np.float32(np.nan))
