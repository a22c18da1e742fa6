"""How sure a picture is: one solve at a time, with the noise drawn anew or without some of the samples.

Knows solvers by their seam, and what `uncertainty` makes of their answers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..noise import NoiseModel
from .choice import Candidate
from .questions import Questions
from .solution import Budget, Clock, Image, Weight
from .support import Map
from .uncertainty import DRAWS, HoleErrors, Spread, standard_deviation

FOLDS = 3
"""That are left out in turn: 15 % of the samples tell how errors grow with distance."""


class Doubt:
    """What is known of the errors of a scan's pictures.

    Parameters
    ----------
    shape : (c, ny, nx)
    noise : of one visit; None: unknown. Then the spread by noise is left out, and the error in the samples'
        own pixels is taken for that of the nearest held-out ones, which includes their noise.
    """

    def __init__(self, shape: tuple[int, int, int], noise: NoiseModel | None, seed: int = 0) -> None:
        self._shape, self._noise, self._seed = shape, noise, seed
        self._spread = Spread(shape) if noise is not None else None
        self._holes = HoleErrors(shape[0])
        self._by, self._exact = "", False
        """The candidate, and whether its pictures pass through samples whose noise is known."""
        self._turn = 0

    def steps(
        self,
        candidate: Candidate,
        questions: Questions,
        data: Image,
        weight: Weight,
        picture: Image,
        budget: Budget,
        last: Clock | None = None,
    ) -> Iterator[None]:
        """A solve at each step: DRAWS with other noise, FOLDS without a part of the samples.

        Parameters
        ----------
        data, weight : all samples. picture : the estimate of them.
        budget : of a solve.
        last : do not begin the solves at the picture, even where the solver may, and end the draws, but for
            the first, when this is over.
        """
        self._follow(candidate)
        begin = picture if last is None and candidate.solver.warm else None
        if self._spread is not None:
            for draw in range(DRAWS):
                if draw and last is not None and last.over:
                    break
                self._turn += 1
                other = self._drawn(data, weight, picture)
                drawn = candidate.solver.solve(other, weight, begin, candidate.strength, budget)
                self._spread.add(picture, drawn.image)
                yield
        spread = None if self._spread is None else self._spread.variance()
        for fold in range(FOLDS):
            # Not from the picture: what that knows of the fold would stay in a solve that is cut short.
            seen, known, kept, found = questions.without(candidate, fold, data, weight, None, budget)
            self._holes.add(
                found, seen, known, kept, self._noise, None if spread is None else questions.cut(spread)
            )
            yield

    def sigma(self, data: Image, weight: Weight, distance: Map) -> Image | None:
        """(c, ny, nx) standard deviation of the picture's error; None while nothing is known of it."""
        holes = self._holes.curve(data, weight, self._exact)
        spread = self._spread if self._spread is not None and self._spread.seen else None
        if holes is None and spread is None:
            return None
        return standard_deviation(distance, self._shape, spread, holes)

    def _follow(self, candidate: Candidate) -> None:
        """Another solver or strength has other errors."""
        self._exact = self._noise is not None and not candidate.strength
        if str(candidate) != self._by:
            self._by = str(candidate)
            self._holes.forget()
            if self._spread is not None:
                self._spread.forget()

    def _drawn(self, data: Image, weight: Weight, picture: Image) -> Image:
        """The samples' means with their noise drawn anew."""
        noise = self._noise or NoiseModel()
        totals = np.where(weight > 0, data * weight, np.float32(0))
        drawn = noise.resample(totals, weight, self._seed + self._turn, picture)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(weight > 0, drawn / weight, data), np.float32)
