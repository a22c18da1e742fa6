"""The held-out side of a scan: what is asked, what each answer counts, and how a solver answers.

Knows solvers by their seam only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blend import Misses
from .choice import Candidate
from .hold_out import (
    FoldMap,
    HeldOut,
    blocks_for,
    error_of,
    fold_map,
    folds_needed,
    forget_fold,
    importance_of,
    without_fold,
)
from .solution import Budget, Image, Weight

WINDOW = 512
"""Largest side (px) of the field that solvers are compared on: a typical square of a larger one."""
LIVE_WINDOW = 256
"""The same while samples come: a solve of this is no longer than a picture may wait."""


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """For one pattern of samples; made anew when that has grown much."""

    place: tuple[slice, slice]
    """Of the window that is looked at."""
    folds: FoldMap
    """Of the window, as ``importance``."""
    importance: Weight
    needed: int
    """Folds to be looked at for a choice from scratch."""

    @classmethod
    def about(cls, weight: Weight, seed: int = 0, window: int = WINDOW) -> Questions:
        """For samples with these visits (ny, nx), in a typical square of ``window`` px."""
        place = _typical(weight, window)
        seen = np.ascontiguousarray(weight[place])
        folds = fold_map(seen.shape, seed, blocks_for(seen, seed))
        return cls(place, folds, importance_of(seen), folds_needed(int(np.count_nonzero(seen))))

    def ask(
        self,
        candidate: Candidate,
        fold: int,
        data: Image,
        weight: Weight,
        picture: Image | None,
        budget: Budget,
    ) -> tuple[HeldOut, Misses]:
        """Solve without a fold and compare; what it was off by, in sum and one by one.

        Parameters
        ----------
        data, weight : all samples of the whole field, as they would be on the centres of their pixels.
        picture : an estimate of it that a solve may start from; what it knew of the fold is taken out first.
        """
        seen, known, kept, found = self.without(candidate, fold, data, weight, picture, budget)
        held = known != kept
        error = error_of(found, seen, known, self.importance, self.folds, fold)
        return error, Misses(found[:, held] - seen[:, held], self.importance[held])

    def without(
        self,
        candidate: Candidate,
        fold: int,
        data: Image,
        weight: Weight,
        picture: Image | None,
        budget: Budget,
    ) -> tuple[Image, Weight, Weight, Image]:
        """Solve without a fold: the window's data, its weights, those that were kept, and the estimate."""
        seen, known = self.cut(data), np.ascontiguousarray(weight[self.place])
        start = None
        if picture is not None and candidate.solver.warm:
            start = forget_fold(self.cut(picture), known, self.folds, fold)
        kept = without_fold(known, self.folds, fold)
        found = candidate.solver.solve(seen, kept, start, candidate.strength, budget)
        return seen, known, kept, found.image

    @property
    def part(self) -> tuple[int, int, int, int]:
        """Of the field that is looked at: (y, x) of its first pixel, then of the one behind its last."""
        rows, columns = self.place
        return rows.start, columns.start, rows.stop, columns.stop

    def cut(self, image: Image) -> Image:
        """The window of an image (c, ny, nx)."""
        return np.ascontiguousarray(image[:, self.place[0], self.place[1]])


def _typical(weight: Weight, window: int) -> tuple[slice, slice]:
    """The window x window part of a field, on a grid of half its side, that is as dense as around the median
    sample: the rim of a Lissajous figure is denser than what it is scanned for, and empty parts say nothing.
    """
    ny, nx = weight.shape
    if max(ny, nx) <= window:
        return slice(0, ny), slice(0, nx)
    places = [
        (slice(y, min(y + window, ny)), slice(x, min(x + window, nx)))
        for y in range(0, max(ny - window // 2, 1), window // 2)
        for x in range(0, max(nx - window // 2, 1), window // 2)
    ]
    samples = np.array([np.count_nonzero(weight[place]) for place in places])
    order = np.argsort(samples / [weight[place].size for place in places], kind="stable")
    return places[int(order[np.searchsorted(np.cumsum(samples[order]), samples.sum() / 2)])]
