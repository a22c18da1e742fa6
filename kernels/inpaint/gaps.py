"""How far the picture of a sparse scan reaches from its samples. Knows no solver."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from .solution import Image, Weight
from .support import distance_to

GAPS = 3.0
"""Reach of the samples in mean distances between them: a picture ends there, and is not guessed on."""
LEAST_REACH = 3.0
FEW = 30
"""Sampled pixels below which nothing is known of the distance between samples: pictures reach no farther
than the least."""
CELL = 16
"""Side (px) of the squares whose visited part counts for the mean distance."""
STALE = 1.02
"""Growth of the number of sampled pixels after which distances are measured anew."""

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """Distances of a field's pixels to its samples."""

    distance: Map
    """(ny, nx) px to the nearest sampled pixel; inf while there is none."""
    reach: float
    """px from the nearest sample to which a picture goes."""
    sampled: int
    """Pixels that were sampled then."""

    @classmethod
    def between(cls, weight: Weight, reach: float | None = None) -> Gaps:
        """Of samples with these visits (ny, nx); ``reach`` is chosen where it is None."""
        sampled = weight > 0
        count = int(np.count_nonzero(sampled))
        if not count:
            return cls(np.full(weight.shape, np.inf, np.float32), 0.0, 0)
        far = reach_of(sampled) if reach is None else reach
        return cls(distance_to(sampled), far, count)

    def after(self, weight: Weight, reach: float | None = None) -> Gaps:
        """The same, or measured anew when many samples are new or some are gone; new ones are at 0."""
        distance = np.empty_like(self.distance)
        forgotten, count = _nearer(weight, self.distance, distance)
        if forgotten or count > STALE * self.sampled or not self.sampled:
            return Gaps.between(weight, reach)
        return Gaps(distance, self.reach, self.sampled)

    def cut(self, image: Image) -> Image:
        """A copy with NaN beyond the reach; the image itself where nothing is."""
        beyond = self.distance > self.reach
        if not beyond.any():
            return image
        shown = image.copy()
        shown[:, beyond] = np.nan
        return shown


def reach_of(sampled: npt.NDArray[np.bool_]) -> float:
    """px from the nearest sample to which a picture of these goes."""
    count = int(np.count_nonzero(sampled))
    return LEAST_REACH if count < FEW else max(LEAST_REACH, GAPS * mean_distance(sampled, count))


def mean_distance(sampled: npt.NDArray[np.bool_], count: int) -> float:
    """Between neighbouring samples, where there are any: empty parts of the field do not count."""
    rows, columns = (-(-side // CELL) for side in sampled.shape)
    padded = np.zeros((rows * CELL, columns * CELL), bool)
    padded[: sampled.shape[0], : sampled.shape[1]] = sampled
    visited = int(np.count_nonzero(padded.reshape(rows, CELL, columns, CELL).any(axis=(1, 3))))
    return math.sqrt(min(visited * CELL**2, sampled.size) / count)


@njit("UniTuple(i8, 2)(f4[:, ::1], f4[:, ::1], f4[:, ::1])", nogil=True, cache=True)
def _nearer(weight, before, distance):  # type: ignore[no-untyped-def]
    """Distances that are 0 where there are samples now; pixels that were sampled and no longer are; sampled
    ones."""
    forgotten = count = 0
    for y in range(weight.shape[0]):
        for x in range(weight.shape[1]):
            is_sampled = weight[y, x] > 0
            forgotten += (before[y, x] == 0) & (not is_sampled)
            count += is_sampled
            distance[y, x] = np.float32(0) if is_sampled else before[y, x]
    return forgotten, count
