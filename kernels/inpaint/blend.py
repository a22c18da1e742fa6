"""Two estimates in one, where a mixture predicts held-out samples better than the better of them.

Errors of unlike solvers are nearly independent, so that a mixture is often better than both, and is close to
the better one where held-out samples do not tell them apart. Knows errors only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_GAIN = 0.02
"""Fall of the mean square error from which a second solve is worth its time: 0.09 dB."""


@dataclass(frozen=True, slots=True, eq=False)
class Misses:
    """What an estimate was off by, at samples that it did not know."""

    off: npt.NDArray[np.float32]
    """(c, n)"""
    importance: npt.NDArray[np.float32]
    """(n,)"""

    @classmethod
    def joined(cls, parts: list[Misses]) -> Misses:
        """Of several folds."""
        return cls(
            np.concatenate([part.off for part in parts], axis=1),
            np.concatenate([part.importance for part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """How much of a second estimate to take."""

    share: float
    """0 to 1; 0 where the first is as good alone."""
    remains: npt.NDArray[np.float64]
    """(c,) mean square error of the mixture as a share of the first's."""


def mixture(first: Misses, second: Misses) -> Mixture:
    """The share of the second that makes the mean square error least, each channel in terms of the first's.

    Parameters
    ----------
    first, second : at the same samples in the same order.
    """
    squares = _moments(first, first.off, first.off)
    apart = first.off - second.off
    per = 1 / np.maximum(squares, 1e-300)
    along, across = _moments(first, first.off, apart), _moments(first, apart, apart)
    total = float(np.sum(across * per))
    share = float(np.clip(np.sum(along * per) / total, 0.0, 1.0)) if total > 0 else 0.0
    remains = np.maximum(1 - (2 * share * along - share**2 * across) * per, 0.0)
    if not np.mean(remains) < 1 - LEAST_GAIN:
        return Mixture(0.0, np.ones_like(remains))
    return Mixture(share, remains)


def _moments(
    misses: Misses, left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """(c,) sums by importance."""
    return np.asarray((misses.importance * left.astype(np.float64) * right).sum(axis=1))
