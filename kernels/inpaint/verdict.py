"""The last word on which solver makes a picture: from the samples alone, whatever was shown before.

Held-out samples of an evenly spaced scan leave larger holes than any that the picture has, which is unfair to
solvers that know little but the neighbourhood. Where samples are exact, so that this decides, errors are told
for smaller holes, from how they grow when half of the samples are held out. Knows solvers by their seam only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..noise import NoiseModel
from .blend import Misses, Mixture, mixture
from .choice import Candidate, Choice, Ladder, choose
from .hold_out import FOLDS, HeldOut
from .questions import Questions
from .solution import Budget, Image, Weight
from .support import distance_to

TRIAL = Budget(iterations=80, tolerance=3e-3)
"""Of a solve without some of the samples."""
SLIGHT, FARTHEST = 1.05, 1.2
"""Distance of held-out samples, in that of unsampled pixels, from where on errors are told for smaller holes,
and how far: those of lattices fall with the 5th to 15th power of it, but only until waves fit between."""
UNDECIDED = 0.25
"""Difference of the logarithms of mean square errors (1 dB) within which two estimates count alike where the
picture's holes are smaller still: half of each is mostly better than either."""
STEEPEST = 20.0
"""Power of the distance that a mean square error may grow with."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a picture is made by."""

    best: Candidate
    error: HeldOut | None
    """At held-out samples; None while nothing was compared."""
    strength: float
    """Of the best: that of its rung, or between two."""
    second: Candidate | None = None
    """Mixed in."""
    share: float = 0.0
    """Of the second."""

    @property
    def maker(self) -> Candidate:
        """The best, on a ladder of its own where its strength is between two rungs."""
        if self.strength == self.best.strength:
            return self.best
        return Candidate(Ladder(self.best.solver, (self.strength,)), 0)

    @property
    def name(self) -> str:
        """Of the solvers."""
        return self.best.solver.name + (f" + {self.second.solver.name}" if self.second else "")

    @property
    def version(self) -> int:
        """Of what it is made by: rises with each."""
        return self.best.solver.version + (self.second.solver.version if self.second else 0)


def decide(
    ladders: Sequence[Ladder],
    questions: Questions,
    data: Image,
    weight: Weight,
    noise: NoiseModel | None = None,
) -> Chosen:
    """The best rung of all ladders, or a mixture of two.

    Parameters
    ----------
    data, weight : all samples, as they would be on the centres of their pixels.
    noise : of the samples, where it is known.
    """
    trials = _Trials(questions, data, weight)
    choice = choose(ladders, trials, questions.needed)
    if noise is not None and choice.error.is_exact(noise):
        holes = _Holes.of(questions, weight)
        if holes.stretch > SLIGHT:
            return _for_smaller_holes(ladders, choice, trials, holes)
    if choice.second is None:
        return Chosen(choice.best, choice.error, choice.strength)
    found = mixture(trials.off(choice.best), trials.off(choice.second))
    return _mixed(Chosen(choice.best, choice.error, choice.strength), choice.second, found)


class _Trials:
    """Solves without a fold each, remembered. A `choice.Trial`."""

    def __init__(self, questions: Questions, data: Image, weight: Weight) -> None:
        self.questions, self.data, self.weight = questions, data, weight
        self._answers: dict[tuple[Candidate, int], tuple[HeldOut, Misses]] = {}
        self._importance: dict[int, npt.NDArray[np.float32]] = {}
        """Of the held-out samples of a fold, the same for all candidates."""

    def __call__(self, candidate: Candidate, fold: int) -> HeldOut:
        return self._answer(candidate, fold)[0]

    def error(self, candidate: Candidate) -> HeldOut:
        """Over all folds that are needed."""
        errors = [self(candidate, fold) for fold in range(self.questions.needed)]
        return sum(errors[1:], errors[0])

    def off(self, candidate: Candidate) -> Misses:
        """Over all folds that are needed."""
        return Misses.joined([self._answer(candidate, fold)[1] for fold in range(self.questions.needed)])

    def _answer(self, candidate: Candidate, fold: int) -> tuple[HeldOut, Misses]:
        if (candidate, fold) not in self._answers:
            error, off = self.questions.ask(candidate, fold, self.data, self.weight, None, TRIAL)
            importance = self._importance.setdefault(fold, off.importance)
            self._answers[candidate, fold] = error, replace(off, importance=importance)
        return self._answers[candidate, fold]

    def without_half(self, candidate: Candidate) -> npt.NDArray[np.float64]:
        """(c,) mean square error at half of the samples, from the others."""
        seen, known = self.questions.cut(self.data), self.questions.cut(self.weight[None])[0]
        kept = np.where(self.questions.folds < FOLDS // 2, np.float32(0), known)
        found = candidate.solver.solve(seen, kept, None, candidate.strength, TRIAL).image
        out = known != kept
        squares = (found[:, out].astype(np.float64) - seen[:, out]) ** 2
        return np.asarray(np.average(squares, axis=1, weights=self.questions.importance[out]))


@dataclass(frozen=True, slots=True)
class _Holes:
    """Mean distances (px) to the nearest sample that was known."""

    unsampled: float
    held_out: float
    half_out: float

    @classmethod
    def of(cls, questions: Questions, weight: Weight) -> _Holes:
        """In the window of the questions; a pattern that cannot be judged is taken for fair."""
        sampled = questions.cut(weight[None])[0] > 0
        out, half = sampled & (questions.folds == 0), sampled & (questions.folds < FOLDS // 2)
        if sampled.all() or not out.any() or not (sampled & ~half).any():
            return cls(1.0, 1.0, 1.0)
        return cls(
            float(distance_to(sampled)[~sampled].mean()),
            float(distance_to(sampled & ~out)[out].mean()),
            float(distance_to(sampled & ~half)[half].mean()),
        )

    @property
    def stretch(self) -> float:
        """Of held-out samples' distance over that of unsampled pixels; 1 where it says nothing."""
        grows = self.half_out > self.held_out * 1.01
        return min(self.held_out / self.unsampled, FARTHEST) if grows else 1.0

    @property
    def is_beyond(self) -> bool:
        """Whether the picture's holes are smaller than errors can be told for."""
        return self.held_out > FARTHEST * self.unsampled

    def shrunk(self, near: npt.NDArray[np.float64], far: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(c,) factor of a mean square error for holes as the picture has them.

        Parameters
        ----------
        near, far : (c,) mean square error at ``held_out`` and at ``half_out``.
        """
        growth = np.log(np.maximum(far, 1e-300) / np.maximum(near, 1e-300))
        power = np.clip(growth / np.log(self.half_out / self.held_out), 0.0, STEEPEST)
        return np.asarray(self.stretch**-power)


def _for_smaller_holes(ladders: Sequence[Ladder], choice: Choice, trials: _Trials, holes: _Holes) -> Chosen:
    """Of each ladder the best so far or the rung that passes through the samples; of these the best two."""
    tops = [choice.best] if choice.second is None else [choice.best, choice.second]
    asked = dict.fromkeys([*tops, *(Candidate(ladder, 0) for ladder in ladders)])
    smaller = {candidate: _smaller(candidate, trials, holes) for candidate in asked}
    by = sorted(smaller, key=lambda candidate: _mean_log(smaller[candidate]))
    best = by[0]
    second = next((one for one in by if one.ladder != best.ladder), None)
    alone = Chosen(best, trials.error(best), best.strength)
    if second is None:
        return alone
    lead = _mean_log(smaller[second]) - _mean_log(smaller[best])
    if holes.is_beyond and lead < UNDECIDED:
        level = np.float32(np.exp(-lead / 2))
        smaller[second] = replace(smaller[second], off=smaller[second].off * level)
    return _mixed(alone, second, mixture(smaller[best], smaller[second]))


def _smaller(candidate: Candidate, trials: _Trials, holes: _Holes) -> Misses:
    """What a candidate would be off by in holes as the picture has them."""
    error, off = trials.error(candidate), trials.off(candidate)
    factor = holes.shrunk(error.squares / max(error.importance, 1e-300), trials.without_half(candidate))
    return replace(off, off=(off.off * np.sqrt(factor)[:, None]).astype(np.float32))


def _mean_log(misses: Misses) -> float:
    """As `choice.score`."""
    squares = (misses.importance * misses.off.astype(np.float64) ** 2).sum(axis=1)
    return float(np.mean(np.log(np.maximum(squares, 1e-300))))


def _mixed(alone: Chosen, second: Candidate, found: Mixture) -> Chosen:
    if alone.error is None or not found.share:
        return alone
    error = replace(alone.error, squares=alone.error.squares * found.remains)
    return replace(alone, error=error, second=second, share=found.share)
