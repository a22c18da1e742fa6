"""Exact percentiles of the pixels of an image, as numpy.percentile has them. Knows arrays only.

Counts of 8 and 16 bits go through a histogram with a bin for every value: 4096 x 4096 of them are looked at
in the time of two copies. Everything else is partitioned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import from_dtype, njit, types

Flags = npt.NDArray[np.bool_]
BINNED = ("uint8", "uint16")


class Distribution(Protocol):
    """Values in order of their size."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def lowest(self) -> float:
        """The smallest of them; only where there are values."""

    def percentiles(self, percents: Sequence[float]) -> tuple[float, ...]:
        """As numpy.percentile, linear between two values; only where there are values."""

    def above(self, value: float) -> Distribution:
        """Those that are larger."""


class Binned:
    """Integers from 0 on, by how often each occurs.

    Parameters
    ----------
    counts : (n,) integers: how often 0, 1, ... n - 1 occur.
    """

    def __init__(self, counts: npt.NDArray[np.int64]) -> None:
        self._counts = counts
        self._up_to = np.cumsum(counts)

    @property
    def size(self) -> int:
        return int(self._up_to[-1])

    @property
    def lowest(self) -> float:
        return self._at(0)

    def percentiles(self, percents: Sequence[float]) -> tuple[float, ...]:
        return tuple(map(self._percentile, percents))

    def _percentile(self, percent: float) -> float:
        place = percent / 100.0 * (self.size - 1)
        rank = min(int(place), self.size - 1)
        here, after = (self._at(one) for one in (rank, min(rank + 1, self.size - 1)))
        share = place - rank
        # As numpy does: from the nearer of the two.
        return here + (after - here) * share if share < 0.5 else after - (after - here) * (1.0 - share)

    def above(self, value: float) -> Binned:
        counts = self._counts.copy()
        counts[: max(0, min(len(counts), int(np.floor(value)) + 1))] = 0
        return Binned(counts)

    def _at(self, rank: int) -> float:
        return float(np.searchsorted(self._up_to, rank, side="right"))


class Listed:
    """Values (n,) as they are, all of them finite; in any order."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values = values

    @property
    def size(self) -> int:
        return self._values.size

    @property
    def lowest(self) -> float:
        return float(self._values.min())

    def percentiles(self, percents: Sequence[float]) -> tuple[float, ...]:
        with np.errstate(over="ignore", invalid="ignore"):
            return tuple(float(value) for value in np.percentile(self._values, percents))

    def above(self, value: float) -> Listed:
        return Listed(self._values[self._values > value])


def distribution(image: npt.NDArray[Any], valid: Flags | None = None) -> Distribution:
    """All valid and finite pixels of an image (h, w); ``valid`` (h, w) bool, None = all.

    Notes
    -----
    The interpreter is free for other threads meanwhile.
    """
    if image.dtype == bool:
        image = image.view(np.uint8)
    if image.dtype.name in BINNED and image.dtype.isnative:
        counts = np.zeros((LANES, 1 << 8 * image.dtype.itemsize), np.uint32)
        mask = _ALL if valid is None else np.ascontiguousarray(valid)
        _count(np.ascontiguousarray(image), mask, counts)
        return Binned(counts.sum(axis=0, dtype=np.int64))
    values = image.ravel() if valid is None else image[valid]
    return Listed(values[np.isfinite(values)] if image.dtype.kind == "f" else values)


LANES = 4
"""Histograms that take turns: with one, a pixel waits for an equal one before it; 2.5 times as long."""
_ALL: Flags = np.ones((0, 0), np.bool_)
_SIGNATURES = [
    types.void(
        types.Array(from_dtype(np.dtype(name)), 2, "C", readonly=True),
        types.Array(types.boolean, 2, "C", readonly=True),
        types.Array(types.uint32, 2, "C"),
    )
    for name in BINNED
]


@njit(_SIGNATURES, nogil=True, cache=True)
def _count(image, valid, counts):  # type: ignore[no-untyped-def]
    for y in range(image.shape[0]):
        row = image[y]
        if len(valid):
            for x in range(len(row)):
                counts[x & 3, row[x]] += valid[y, x]
        else:
            for x in range(len(row)):
                counts[x & 3, row[x]] += np.uint32(1)
