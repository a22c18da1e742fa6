"""Choosing a solver by its held-out error, at once and little by little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.choice import Candidate, Contest, Ladder, choose, score
from livem.kernels.inpaint.hold_out import HeldOut


class Named:
    """Stands for a solver."""

    version, warm = 1, True

    def __init__(self, name: str) -> None:
        self.name = name

    def solve(self, data, weight, start=None, strength=0.0, budget=None):
        raise AssertionError("nothing is solved here")


def ladder(name: str, rungs: int, first: int = 0) -> Ladder:
    return Ladder(Named(name), tuple(float(n) for n in range(rungs)), first)


def error(value: float) -> HeldOut:
    return HeldOut(np.array([value]), np.zeros(1), 1.0, 1.0, 1)


def bowl(bests: dict[str, tuple[float, float]]):
    """An error for each solver: its least, and the strength where that is."""

    def trial(candidate: Candidate, fold: int) -> HeldOut:
        least, at = bests[candidate.solver.name]
        return error(least + 0.3 * (candidate.strength - at) ** 2)

    return trial


def fight(contest: Contest, trial, folds: int = 1) -> None:
    """A bout to its end."""
    for _ in contest.bout(trial, folds):
        pass


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(1, 9), st.integers(0, 7)),
        min_size=1,
        max_size=4,
        unique_by=lambda t: round(t[0], 1),
    ),
    st.integers(0, 7),
)
def test_the_best_rung_of_all_is_found(bests, first):
    named = {str(n): best for n, best in enumerate(bests)}
    ladders = [ladder(name, 8, first) for name in named]
    best = min(named, key=lambda name: named[name])
    found = choose(ladders, bowl(named), folds=5)
    chosen = found.best
    assert (chosen.solver.name, chosen.strength) == (best, named[best][1])
    np.testing.assert_allclose(found.error.squares, 5 * named[best][0])
    if len(named) > 1:
        second = sorted(named, key=lambda name: named[name])[1]
        assert found.second is not None
        assert (found.second.solver.name, found.second.strength) == (second, named[second][1])

    contest = Contest(ladders)
    for _ in range(40):
        fight(contest, bowl(named), 2)
    won, wanted = bowl(named)(contest.champion, 0), bowl(named)(chosen, 0)
    assert score(won) <= score(wanted) + 0.011  # the champion stays within its margin


def test_each_rung_is_tried_once_a_fold():
    tried = []

    def trial(candidate, fold):
        tried.append((candidate.solver.name, candidate.rung, fold))
        return bowl({"a": (1.0, 3), "b": (2.0, 0)})(candidate, fold)

    choose([ladder("a", 8, 2), ladder("b", 8, 2)], trial, folds=3)
    assert len(tried) == len(set(tried))


def uneven(gains: list[float], noise: float, asked: list[int]):
    """Errors that differ from fold to fold much more than between the rungs; of which they are counted."""
    folds = np.random.default_rng(1).normal(0, 1.0, 12)
    own = np.random.default_rng(2).normal(0, noise, (len(gains), 12))

    def trial(candidate: Candidate, fold: int) -> HeldOut:
        asked.append(candidate.rung)
        return error(float(np.exp(folds[fold] - gains[candidate.rung] + own[candidate.rung, fold])))

    return trial


def test_rungs_that_are_surely_behind_are_not_asked_again():
    asked: list[int] = []
    found = choose([ladder("a", 6)], uneven([0.0, 0.1, 0.2, 0.3, 0.2, 0.1], 0.01, asked), folds=12)
    assert found.best.rung == 3
    assert asked.count(3) == 12
    assert max(asked.count(rung) for rung in (0, 1, 2, 4, 5)) == 3


def test_where_it_does_not_matter_the_choice_is_made_early():
    asked: list[int] = []
    found = choose([ladder("a", 6)], uneven([0.0, 0.2, 0.3, 0.302, 0.3, 0.2], 0.002, asked), folds=12)
    assert found.best.rung in (2, 3, 4)
    assert len(asked) < 30


def test_a_close_race_goes_to_the_end():
    asked: list[int] = []
    found = choose([ladder("a", 2)], uneven([0.0, 0.02], 0.05, asked), folds=12)
    assert asked.count(0) == asked.count(1) == 12
    assert found.best.rung == 1


def test_a_contest_finds_the_best_within_a_handful_of_bouts():
    contest = Contest([ladder("a", 11, 2), ladder("b", 7, 1)])
    for _ in range(6):
        fight(contest, bowl({"a": (2.0, 3), "b": (1.0, 3)}), 4)
    assert str(contest.champion) == "b at 3"


def test_one_fold_that_is_off_does_not_tip_over_a_champion():
    """Every sixth fold says the opposite by a quarter."""
    contest = Contest([ladder("a", 1), ladder("b", 1)])

    def trial(candidate, fold):
        return error(1.25 if (candidate.solver.name == "a") == (fold == 5) else 1.0)

    champions = set()
    for bout in range(60):
        fight(contest, trial, 6)
        if bout > 6:
            champions.add(str(contest.champion))
    assert champions == {"a at 0"}


def test_a_contest_follows_what_changes():
    contest = Contest([ladder("a", 6), ladder("b", 6)])
    for _ in range(12):
        fight(contest, bowl({"a": (1.0, 2), "b": (2.0, 4)}))
    assert str(contest.champion) == "a at 2"
    for _ in range(30):
        fight(contest, bowl({"a": (5.0, 2), "b": (2.0, 5)}))
    assert str(contest.champion) == "b at 5"


def test_a_bout_is_three_solves_at_most():
    contest, tried = Contest([ladder("a", 9, 4), ladder("b", 9, 4)]), []

    def trial(candidate, fold):
        tried.append(candidate)
        return bowl({"a": (1.0, 4), "b": (2.0, 4)})(candidate, fold)

    for _ in contest.bout(trial):
        assert len(tried) <= 3


def test_a_strength_may_be_between_two_rungs():
    """As near as a parabola through three scores, over the logarithm of the strength, tells."""
    climbing = Ladder(Named("a"), (0.0, 0.1, 0.2, 0.4, 0.8, 1.6), 2)

    def trial_with(best):
        def trial(candidate, fold):
            off = np.log2(max(candidate.strength, 0.05) / best)
            return error(float(np.exp(0.2 * off**2)))

        return trial

    for best in (0.2, 0.23, 0.3, 0.5, 0.8):
        found = choose([climbing], trial_with(best), folds=5)
        assert found.strength == pytest.approx(best)
        assert abs(np.log2(found.best.strength / best)) <= 0.5
    for best in (0.1, 1.6):  # beside 0, which has no logarithm, and at the end
        found = choose([climbing], trial_with(best))
        assert found.strength == found.best.strength == best


def test_alone_there_is_nothing_to_choose():
    contest = Contest([ladder("a", 1)])
    assert not contest.is_open
    fight(contest, bowl({"a": (1.0, 0)}))
    assert contest.error is not None
    assert contest.error.squares[0] == 1.0
    assert choose([ladder("a", 1)], bowl({"a": (1.0, 0)})).second is None


def test_nothing_held_out_never_wins():
    nothing = HeldOut(np.zeros(1), np.zeros(1), 0.0, 0.0, 0)
    assert score(nothing) == np.inf


@pytest.mark.parametrize(("strengths", "first"), [((), 0), ((1.0, 0.5), 0), ((1.0, 1.0), 0), ((1.0,), 1)])
def test_a_ladder_rises(strengths, first):
    with pytest.raises(ValueError, match=r"strengths|rung"):
        Ladder(Named("a"), strengths, first)


def test_the_best_without_some_solvers_and_how_far_it_is_behind():
    contest = Contest([ladder("a", 11, 2), ladder("b", 7, 1), ladder("c", 7, 1)])
    other, behind = contest.best_but({"a"})
    assert (str(other), behind) == ("b at 1", None)  # nothing is known yet
    for _ in range(8):
        fight(contest, bowl({"a": (1.0, 3), "b": (2.0, 3), "c": (4.0, 3)}), 4)
    assert contest.best_but(())[0] == contest.champion
    other, behind = contest.best_but({"a"})
    assert str(other) == "b at 3"
    assert behind == pytest.approx(np.log(2.0), abs=0.05)
    assert str(contest.best_but({"a", "b"})[0]) == "c at 3"
    assert contest.best_but({"a", "b", "c"}) == (contest.champion, 0.0)
