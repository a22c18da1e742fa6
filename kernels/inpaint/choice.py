"""Which solver, and how strong: the one that predicts held-out samples best.

Two ways to the same question. Live, a `Contest` compares the present champion with one challenger at a time,
on the same samples, so that it costs little and follows a scan as it fills. At the end `choose` goes through
the ladder of every solver, from the samples alone: what it finds depends on no history, and live equals
offline. Knows no consumer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .hold_out import HeldOut
from .solution import Solver

MARGIN = 0.99
"""Mean square error of a challenger, as a share of the champion's, that makes it the champion: 0.04 dB."""
FEW = 3
"""Folds that a ladder is climbed by."""
CLOSE = 0.1
"""Difference of scores (0.4 dB) within which rungs are compared on all folds."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """A solver and the strengths that it may have, weakest first."""

    solver: Solver
    strengths: tuple[float, ...] = (0.0,)
    first: int = 0
    """The rung that is tried first."""

    def __post_init__(self) -> None:
        if not self.strengths or list(self.strengths) != sorted(set(self.strengths)):
            raise ValueError(f"strengths {self.strengths}; they must rise, and there must be one")
        if not 0 <= self.first < len(self.strengths):
            raise ValueError(f"first rung {self.first} of {len(self.strengths)}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rung of a ladder."""

    ladder: Ladder
    rung: int

    @property
    def solver(self) -> Solver:
        return self.ladder.solver

    @property
    def strength(self) -> float:
        return self.ladder.strengths[self.rung]

    def stepped(self, by: int) -> Candidate | None:
        """The rung above or below; None at the end of the ladder."""
        rung = self.rung + by
        return Candidate(self.ladder, rung) if 0 <= rung < len(self.ladder.strengths) else None

    def __str__(self) -> str:
        return f"{self.solver.name} at {self.strength:g}"


Trial = Callable[[Candidate, int], HeldOut]
"""Solve without a fold (counted from 0) and compare."""


def score(error: HeldOut) -> float:
    """What is to be small: the sum over channels of the mean square error, in terms of each one's noise.

    Channels have different units; the smallest error any solver could have is not known, so each counts by
    its logarithm: an improvement of 10 % in one outweighs a loss of 9 % in another.
    """
    if not error.pixels or not np.isfinite(error.squares).all():
        return np.inf
    return float(np.mean(np.log(np.maximum(error.squares, 1e-300) / max(error.importance, 1e-300))))


def choose(ladders: Sequence[Ladder], trial: Trial, folds: int = 1) -> tuple[Candidate, HeldOut]:
    """The best rung of all ladders.

    Each ladder is climbed from its first rung as long as the error on a FEW folds falls: errors along a
    strength have one minimum in practice. Of the rungs that were tried, those near the best are compared on
    all folds.

    Parameters
    ----------
    trial : see `Trial`; called once at most for each rung and fold.
    folds : that close rungs are compared on.
    """
    tried = _Tried(trial)
    few = min(FEW, folds)
    for number, ladder in enumerate(ladders):
        _climb(Candidate(ladder, ladder.first), lambda candidate, n=number: tried.score(n, candidate, few))  # type: ignore[misc]
    least = min(map(score, tried.errors.values()))
    close = [key for key, error in tried.errors.items() if score(error) <= least + CLOSE]
    finals = {key: tried.score(key[0], Candidate(ladders[key[0]], key[1]), folds) for key in close}
    best = min(finals, key=lambda key: finals[key])
    return Candidate(ladders[best[0]], best[1]), tried.errors[best]


class _Tried:
    """Errors of rungs by (ladder's number, rung), on as many folds as were asked for so far."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._folds: dict[tuple[int, int], int] = {}
        self.errors: dict[tuple[int, int], HeldOut] = {}

    def score(self, number: int, candidate: Candidate, folds: int) -> float:
        key = (number, candidate.rung)
        for fold in range(self._folds.get(key, 0), folds):
            error = self._trial(candidate, fold)
            self.errors[key] = self.errors[key] + error if key in self.errors else error
        self._folds[key] = max(folds, self._folds.get(key, 0))
        return score(self.errors[key])


def _climb(start: Candidate, error: Callable[[Candidate], float]) -> Candidate:
    for step in (1, -1):
        best = start
        while (after := best.stepped(step)) is not None and error(after) < error(best):
            best = after
        if best is not start:
            return best
    return start


@dataclass(slots=True)
class Contest:
    """The champion and who may challenge it next."""

    ladders: Sequence[Ladder]
    champion: Candidate = field(init=False)
    error: HeldOut | None = field(init=False, default=None)
    """Of the champion, when it was last compared."""
    fold: int = field(init=False, default=0)
    _tops: list[Candidate] = field(init=False)
    """The best rung of each ladder so far."""
    _turns: Iterator[tuple[Candidate, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self._tops = [Candidate(ladder, ladder.first) for ladder in self.ladders]
        self.champion = self._tops[0]
        self._turns = self._challengers()

    @property
    def is_open(self) -> bool:
        """Whether there is anything to choose from."""
        return len(self.ladders) > 1 or len(self.ladders[0].strengths) > 1

    def bout(self, trial: Trial, folds: int = 1) -> bool:
        """Compare the champion with the next challengers on the same samples; True when it lost."""
        challengers = next(self._turns, ())
        self.fold = (self.fold + 1) % folds
        self.error = trial(self.champion, self.fold)
        errors = [trial(challenger, self.fold) for challenger in challengers]
        if not errors:
            return False
        best = min(range(len(errors)), key=lambda n: score(errors[n]))
        won = score(errors[best]) < score(self.error) + float(np.log(MARGIN))
        if won or challengers[best].ladder is not self.champion.ladder:
            self._tops[self._number(challengers[best])] = challengers[best]
        if won:
            self.champion, self.error = challengers[best], errors[best]
        return won

    def _number(self, candidate: Candidate) -> int:
        return next(n for n, ladder in enumerate(self.ladders) if ladder is candidate.ladder)

    def _challengers(self) -> Iterator[tuple[Candidate, ...]]:
        """In turn: the champion one rung stronger, one weaker; each other solver at its best and beside."""
        step = 1
        while self.is_open:
            for by in (1, -1):
                if (near := self.champion.stepped(by)) is not None:
                    yield (near,)
            for n in range(len(self.ladders)):
                if self._tops[n].ladder is not self.champion.ladder:
                    beside = self._tops[n].stepped(step)
                    yield (self._tops[n],) if beside is None else (self._tops[n], beside)
            step = -step
