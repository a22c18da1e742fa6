"""Which solver, and how strong: the one that predicts held-out samples best.

Two ways to the same question. Live, a `Contest` compares the present champion with one challenger at a time,
on the same samples, so that it costs little and follows a scan as it fills. At the end `choose` goes through
the ladder of every solver, from the samples alone: what it finds depends on no history, and live equals
offline. Knows no consumer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from .hold_out import HeldOut
from .solution import Solver

MARGIN = 0.99
"""Mean square error of a challenger, as a share of the champion's, that makes it the champion: 0.04 dB."""
FEW = 3
"""Folds that a ladder is climbed by."""
SURE = 3.0
"""Standard errors that a rung is to be behind another to be left out."""
TIE = 0.005
"""Difference of scores (0.02 dB) that does not matter."""
CHALLENGERS = 2
"""A bout: three solves on the same samples."""
OPENING = 10
"""Bouts in which both ladders are climbed, on the way from their first rungs."""
REMEMBERED = 3
"""Comparisons of two rungs that their difference is a mean of."""


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


@dataclass(frozen=True, slots=True)
class Choice:
    """What `choose` found."""

    best: Candidate
    strength: float
    """Of the best: that of its rung, or between it and the next where their errors say so."""
    error: HeldOut
    second: Candidate | None
    """The best of the other ladders, looked at on as many folds; None where there is one ladder."""


def choose(ladders: Sequence[Ladder], trial: Trial, folds: int = 1) -> Choice:
    """The best rung of all ladders.

    Each ladder is climbed from its first rung as long as the error falls, on one fold and from there on a
    FEW: errors along a strength have one minimum in practice, and rungs differ alike on all folds. Those that
    were seen on a FEW race, fold after fold, without those that are surely behind; the best is seen on all.

    Parameters
    ----------
    trial : see `Trial`; called once at most for each rung and fold.
    folds : that close rungs are compared on.
    """
    tried = _Tried(ladders, trial)
    few = min(FEW, folds)
    tops = []
    for number, ladder in enumerate(ladders):
        top = _climb((number, ladder.first), len(ladder.strengths), lambda key: tried.score(key, 1))
        tops.append(_climb(top, len(ladder.strengths), lambda key: tried.score(key, few)))
    best = _race(tried, tried.seen_on(few), few, folds)
    others = [key for key in tops if key[0] != best[0]]
    second = min(others, key=lambda key: tried.score(key, few)) if others else None
    tried.score(best, folds)
    return Choice(
        tried.candidate(best), tried.strength(best), tried.error(best), second and tried.candidate(second)
    )


Key = tuple[int, int]
"""A rung: the ladder's number and the rung's."""


def _race(tried: _Tried, rungs: Sequence[Key], few: int, folds: int) -> Key:
    """The best of some rungs, all seen on ``few`` folds."""
    racing, seen = list(rungs), few
    while True:
        best = min(racing, key=lambda key: tried.score(key, seen))
        leads = {key: tried.lead(best, key, seen) for key in racing if key != best}
        racing = [key for key in racing if key == best or not leads[key].is_sure]
        if seen == folds or all(lead.is_nothing for key, lead in leads.items() if key in racing):
            return best
        seen += 1


@dataclass(frozen=True, slots=True)
class _Lead:
    """By how much one rung is better than another, fold by fold: the mean, and its standard error."""

    mean: float
    error: float

    @property
    def is_sure(self) -> bool:
        return self.mean > SURE * self.error

    @property
    def is_nothing(self) -> bool:
        """Whether it does not matter which of the two is taken."""
        return self.mean + self.error < TIE


class _Tried:
    """Errors of rungs, on as many folds as were asked for so far."""

    def __init__(self, ladders: Sequence[Ladder], trial: Trial) -> None:
        self._ladders = ladders
        self._trial = trial
        self._each: dict[Key, list[HeldOut]] = {}
        """One a fold."""

    def candidate(self, key: Key) -> Candidate:
        return Candidate(self._ladders[key[0]], key[1])

    def error(self, key: Key) -> HeldOut:
        """Over all folds that were asked for."""
        return _sum(self._each[key])

    def seen_on(self, folds: int) -> list[Key]:
        """The rungs that were asked for so many folds, or more."""
        return sorted(key for key, each in self._each.items() if len(each) >= folds)

    def score(self, key: Key, folds: int) -> float:
        each = self._each.setdefault(key, [])
        each += [self._trial(self.candidate(key), fold) for fold in range(len(each), folds)]
        return score(_sum(each[:folds]))

    def lead(self, key: Key, other: Key, folds: int) -> _Lead:
        """Of a rung over another, on these folds."""
        pairs = zip(self._each[key][:folds], self._each[other][:folds], strict=True)
        each = np.array([score(theirs) - score(ours) for ours, theirs in pairs])
        if folds < 2 or not np.isfinite(each).all():
            return _Lead(float(each[0]), np.inf)
        spread = float(each.std(ddof=1))
        return _Lead(float(each.mean()), spread / np.sqrt(folds))

    def strength(self, key: Key) -> float:
        """Where a parabola through the scores of a rung and its neighbours is least, within half a rung.

        The rung's own where a neighbour is missing, was not tried, or has strength 0: that has no logarithm.
        """
        number, rung = key
        strengths, three = self._ladders[number].strengths, [(number, rung + step) for step in (-1, 0, 1)]
        if not all(key in self._each for key in three) or not strengths[rung - 1]:
            return strengths[rung]
        folds = min(len(self._each[key]) for key in three)
        below, here, above = (score(_sum(self._each[key][:folds])) for key in three)
        bend = below - 2 * here + above
        if not 0 < bend < np.inf:
            return strengths[rung]
        shift = float(np.clip((below - above) / (2 * bend), -0.5, 0.5))
        beside = strengths[rung + (1 if shift > 0 else -1)]
        return float(strengths[rung] * (beside / strengths[rung]) ** abs(shift))


def _sum(errors: Sequence[HeldOut]) -> HeldOut:
    return sum(errors[1:], errors[0])


def _climb(start: Key, rungs: int, error: Callable[[Key], float]) -> Key:
    """Try rungs upwards as long as they get better; where none does, downwards. The best of them."""
    number, first = start
    error(start)
    for step in (1, -1):
        rung = first
        while 0 <= rung + step < rungs and error((number, rung + step)) < error((number, rung)):
            rung += step
        if rung != first:
            return number, rung
    return start


@dataclass(slots=True)
class _Lag:
    """How far a rung is behind the champion: mean difference of their scores on the same samples."""

    mean: float
    count: int = 1

    def heard(self, difference: float) -> None:
        self.count = min(self.count + 1, REMEMBERED)
        self.mean += (difference - self.mean) / self.count


@dataclass(slots=True)
class Contest:
    """The champion, and how far behind it the others are; the newest comparisons count most."""

    ladders: Sequence[Ladder]
    champion: Candidate = field(init=False)
    error: HeldOut | None = field(init=False, default=None)
    """Of the champion, when it was last compared."""
    fold: int = field(init=False, default=0)
    _place: Key = field(init=False, default=(0, 0))
    """The champion's."""
    _lags: dict[Key, _Lag] = field(init=False, default_factory=dict)
    _asked: dict[Key, int] = field(init=False, default_factory=dict)
    """In which bout a rung was last asked."""
    _bouts: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.crown(0, self.ladders[0].first)

    @property
    def is_open(self) -> bool:
        """Whether there is anything to choose from."""
        return len(self.ladders) > 1 or len(self.ladders[0].strengths) > 1

    @property
    def is_settling(self) -> bool:
        """Whether the champion is not yet to be trusted: there is no better use of time than another bout."""
        return self.is_open and self._bouts < OPENING

    def crown(self, number: int, rung: int) -> None:
        """Make a rung of a ladder the champion, whatever was compared before."""
        self.champion, self._place = Candidate(self.ladders[number], rung), (number, rung)
        self._lags, self._asked = {}, {}

    def bout(self, trial: Trial, folds: int = 1) -> Iterator[None]:
        """Compare the champion with the next challengers on one fold, a solve at a time."""
        self._bouts += 1
        self.fold = (self.fold + 1) % folds
        self.error = trial(self.champion, self.fold)
        own = score(self.error)
        yield
        for place in self._challengers() if np.isfinite(own) else ():
            error = trial(self._candidate(place), self.fold)
            self._asked[place] = self._bouts
            if np.isfinite(found := score(error)):
                self._note(place, found - own)
            yield
        self._hand_over()

    def best_but(self, solvers: Collection[str]) -> tuple[Candidate, float | None]:
        """The best one that is of none of these solvers, and how far its score is behind the champion's.

        The champion itself where there is no other ladder; None where a distance is not known.
        """
        if self.champion.solver.name not in solvers:
            return self.champion, 0.0
        others = [n for n, ladder in enumerate(self.ladders) if ladder.solver.name not in solvers]
        if not others:
            return self.champion, 0.0
        known = [place for place in self._lags if place[0] in others]
        if not known:
            return Candidate(self.ladders[others[0]], self.ladders[others[0]].first), None
        best = min(known, key=lambda place: self._lags[place].mean)
        return self._candidate(best), self._lags[best].mean

    def _candidate(self, place: Key) -> Candidate:
        return Candidate(self.ladders[place[0]], place[1])

    def _note(self, place: Key, difference: float) -> None:
        if place in self._lags:
            self._lags[place].heard(difference)
        else:
            self._lags[place] = _Lag(difference)

    def _challengers(self) -> list[Key]:
        """The tops of the ladders and their neighbours: those that were never asked first, then by turns."""
        places = [place for number in range(len(self.ladders)) for place in self._worth_asking(number)]
        return sorted(places, key=lambda place: self._asked.get(place, -1))[:CHALLENGERS]

    def _worth_asking(self, number: int) -> list[Key]:
        """Of a ladder: its best rung so far, and once that is known those beside it."""
        known = [place for place in self._lags if place[0] == number]
        ladder, ours = self.ladders[number], number == self._place[0]
        if not (known or ours):
            return [(number, ladder.first)]
        top = self._place if ours else min(known, key=lambda place: self._lags[place].mean)
        steps = (1, -1) if ours else (0, 1, -1)
        return [(number, top[1] + step) for step in steps if 0 <= top[1] + step < len(ladder.strengths)]

    def _hand_over(self) -> None:
        """The best of all becomes the champion; what is known of others is put in its terms."""
        best = min(self._lags, key=lambda place: self._lags[place].mean, default=None)
        if best is None or self._lags[best].mean >= np.log(MARGIN):
            return
        lead = self._lags.pop(best)
        for lag in self._lags.values():
            lag.mean -= lead.mean
        self._lags[self._place] = _Lag(-lead.mean, lead.count)
        self._asked[self._place] = self._bouts
        self.champion, self._place = self._candidate(best), best
