"""The picture of a sparse scan while it is scanned, and the last word on it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.choice import Contest, Ladder
from livem.kernels.inpaint.cosine import SparseCosines
from livem.kernels.inpaint.gaps import FEW, LEAST_REACH
from livem.kernels.inpaint.ladders import THIN_PLATE
from livem.kernels.inpaint.live import CENTRED, LAST, LiveInpainter, Plan
from livem.kernels.inpaint.uncertainty import DRAWS
from livem.kernels.noise import NoiseModel
from livem.kernels.scan_patterns import PATTERNS

SHAPE = (64, 64)
QUIET = Plan(uncertainty=False, reach=1e9)


def scene(shape=SHAPE):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 40 + 20 * np.cos(2 * np.pi * x / 13) * np.cos(2 * np.pi * y / 17) + 0.2 * x


def scan(pattern="spiral", fraction=0.3, dose=True, shape=SHAPE, whole=True):
    """Positions and values of a scan of the scene."""
    rng = np.random.default_rng(0)
    path = np.asarray(PATTERNS[pattern](shape, round(fraction * shape[0] * shape[1]), rng), np.float64)
    places = np.floor(path + 0.5).clip(0, np.array(shape) - 1)
    values = scene(shape)[places[:, 0].astype(int), places[:, 1].astype(int)]
    return (places if whole else path), rng.poisson(values).astype(float) if dose else values


def settle(positions, values, plan=QUIET, shape=SHAPE):
    live = LiveInpainter(shape, 1, plan)
    live.add(positions, values)
    return live.settle()


def ponder(live, most=500):
    """To the end, which there is."""
    for _ in range(most):
        if not live.is_pondering:
            return
        live.ponder()
    raise AssertionError("it ponders for ever")


def test_pictures_get_better_while_samples_arrive():
    positions, values = scan("random", dose=False)
    live = LiveInpainter(SHAPE, 1, QUIET)
    errors = []
    for block in np.array_split(np.arange(len(values)), 6):
        live.add(positions[block], values[block])
        behind = [live.is_behind]
        estimate = live.refresh()
        behind.append(live.is_behind)
        assert behind == [True, False]
        assert estimate.samples == live.heard
        assert not estimate.settled
        errors.append(np.sqrt(np.mean((estimate.image[0] - scene()) ** 2)))
        live.ponder()
    assert errors[-1] < 0.3 * errors[0]
    ponder(live)
    assert np.isfinite(live.refresh().held_out).all()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 7), st.booleans(), st.booleans())
def test_the_last_word_depends_on_the_samples_alone(seed, blocks, shown, whole):
    positions, values = scan(fraction=0.2, whole=whole)
    wanted = settle(positions, values)
    rng = np.random.default_rng(seed)
    live = LiveInpainter(SHAPE, 1, QUIET)
    for block in np.array_split(rng.permutation(len(values)), blocks):
        live.add(positions[block], values[block])
        if shown:
            live.refresh()
            for _ in range(rng.integers(6)):
                live.ponder()
    found = live.settle()
    assert (found.algorithm, found.strength) == (wanted.algorithm, wanted.strength)
    np.testing.assert_allclose(found.image, wanted.image, rtol=1e-5, atol=1e-5 * np.ptp(wanted.image))
    np.testing.assert_allclose(found.held_out, wanted.held_out, rtol=1e-5)
    assert found.settled


def test_the_choice_during_a_scan_is_nearly_that_of_the_end():
    """After a pass in 30 parts, four pieces of pondering each."""
    positions, values = scan(fraction=0.3, shape=(128, 128))
    live = LiveInpainter((128, 128), 1, QUIET)
    for block in np.array_split(np.arange(len(values)), 30):
        live.add(positions[block], values[block])
        live.refresh()
        for _ in range(4):
            live.ponder()
    off = [
        np.sqrt(np.mean((image[0] - scene((128, 128))) ** 2))
        for image in (live.refresh().image, live.settle().image)
    ]
    assert off[0] < 1.1 * off[1]


def test_exact_samples_are_in_the_picture():
    positions, values = scan("random", dose=False)
    estimate = settle(positions, values, Plan(noise=NoiseModel(1e-9), uncertainty=False))
    at = positions.astype(int)
    np.testing.assert_allclose(estimate.image[0][at[:, 0], at[:, 1]], values, rtol=1e-6)
    positions, counts = scan("random")
    noisy = settle(positions, counts, Plan(noise=NoiseModel(), uncertainty=False))
    assert np.std(noisy.image[0][at[:, 0], at[:, 1]] - counts) > 2
    assert noisy.error[0] < noisy.held_out[0]


def test_nothing_is_known_without_samples():
    live = LiveInpainter(SHAPE)
    for estimate in (live.refresh(), live.settle()):
        assert np.isnan(estimate.image).all()
        assert np.isinf(estimate.distance).all()
        assert not estimate.sampled.any()
        assert np.isnan(estimate.held_out).all()
    assert not live.is_pondering


@pytest.mark.parametrize("algorithm", ["auto", "thin_plate", "cosines", "push_pull"])
@pytest.mark.parametrize(
    ("positions", "values"),
    [
        ([[5, 7]], [3.0]),
        ([[5, 7]] * 9, [3.0] * 9),
        ([[0, 0], [0, 1], [1, 0], [1, 1]], [1.0, 2.0, 3.0, 4.0]),
        ([[20, x] for x in range(40)], [3.0] * 40),
    ],
    ids=["one", "one again and again", "a corner", "constant"],
)
def test_few_samples_give_a_picture_as_far_as_they_reach(algorithm, positions, values):
    live = LiveInpainter(SHAPE, 1, Plan(algorithm))
    live.add(positions, values)
    live.refresh()
    ponder(live)
    estimate = live.settle()
    sampled = tuple(np.array(positions).T)
    shown = np.isfinite(estimate.image[0])
    assert shown[sampled].all()
    assert not shown[63, 63]
    if estimate.sampled.sum() < FEW:
        assert estimate.distance[shown].max() <= LEAST_REACH
    if len(set(values)) == 1:
        np.testing.assert_allclose(estimate.image[0][shown], 3.0, rtol=1e-5)
    else:
        assert abs(estimate.image[0][shown]).max() < 20


def test_what_has_no_place_or_no_value_is_counted():
    live = LiveInpainter(SHAPE, 1, QUIET)
    added = live.add(
        [[1, 1], [-5, 3], [64, 3], [np.nan, 2], [2, 2], [3, 3]], [1.0, 1.0, 1.0, 1.0, np.nan, np.inf]
    )
    assert (added.counted, added.outside, added.not_finite) == (1, 3, 2)
    assert live.heard == 1
    np.testing.assert_allclose(live.settle().image, 1.0)
    assert np.isnan(live.settle().error).all()
    only_bad = LiveInpainter(SHAPE, 1, QUIET)
    only_bad.add([[2, 2]], [np.nan])
    assert np.isnan(only_bad.settle().image).all()


def test_old_samples_fade():
    positions = np.argwhere(np.ones(SHAPE))
    live = LiveInpainter(SHAPE, 1, QUIET)
    live.add(positions, np.zeros(len(positions)))
    live.refresh()
    live.forget_where(0.25)
    live.add(positions, np.ones(len(positions)))
    np.testing.assert_allclose(live.refresh().image, 0.8, rtol=1e-4)
    for _ in range(8):
        live.forget_where(0.25)
    assert not live.refresh().sampled.any()
    assert live.heard == 2 * len(positions)


def test_an_image_given_anew_forgets_the_one_before():
    positions, values = scan("random")
    live = LiveInpainter(SHAPE, 1, QUIET)
    live.add(positions[::2], values[::2] + 100)
    live.settle()
    live.replace(positions, values)
    np.testing.assert_array_equal(live.settle().image, settle(positions, values).image)


def test_another_plan_takes_the_same_samples():
    positions, values = scan("random")
    live = LiveInpainter(SHAPE, 1, QUIET)
    live.add(positions, values)
    live.refresh()
    live.change(Plan("cosines", 0.8, uncertainty=False, reach=1e9))
    assert live.is_behind
    estimate = live.refresh()
    assert (estimate.algorithm, estimate.strength) == ("sparse cosines", 0.8)
    ponder(live)
    live.change(Plan("thin_plate", 3.0, uncertainty=False, reach=2.0))
    assert live.refresh().algorithm == "thin plate"
    assert np.isnan(live.refresh().image).any()
    with pytest.raises(ValueError, match="algorithm"):
        live.change(Plan("dictionary"))


def test_another_reach_cuts_the_last_word_elsewhere_and_leaves_it_the_last():
    positions, values = scan("random")
    plan = Plan("thin_plate", 0.8, NoiseModel(), reach=2.0)
    live = LiveInpainter(SHAPE, 1, plan)
    live.add(positions, values)
    before = live.settle()
    live.change(replace(plan, reach=1e9))
    wide = live.estimate
    assert wide.settled
    assert not live.is_behind
    near = np.isfinite(before.image)
    assert not near.all()
    assert np.isfinite(wide.image).all()
    assert np.isfinite(wide.sigma).all()
    np.testing.assert_array_equal(wide.image[near], before.image[near])
    live.change(replace(plan, reach=None))
    live.change(plan)
    np.testing.assert_array_equal(live.estimate.image, before.image)
    np.testing.assert_array_equal(live.estimate.fine, before.fine)


def test_where_a_picture_is_finer_than_its_samples_is_told_once_it_is_known():
    positions, values = scan("random", fraction=0.05, dose=False)
    live = LiveInpainter(SHAPE, 1, Plan("cosines", 0.8, uncertainty=False, reach=1e9))
    live.add(positions, values)
    first = live.refresh()
    assert np.isnan(first.too_fine).all()
    assert first.fine is None
    last = live.settle()
    assert last.too_fine == np.mean(last.fine)
    assert last.too_fine > 0.5
    live.replace(positions, values[::-1])
    assert live.refresh().fine is None


def test_channels_share_a_choice():
    positions, values = scan("random")
    live = LiveInpainter(SHAPE, 2, QUIET)
    live.add(positions, np.stack([values, 1e4 - 50 * values], axis=1))
    live.refresh()
    ponder(live)
    estimate = live.settle()
    assert estimate.held_out.shape == (2,)
    np.testing.assert_allclose(estimate.image[1], 1e4 - 50 * estimate.image[0], rtol=2e-3)


def test_another_image_forgets_what_was_known_of_the_former_one() -> None:
    rng = np.random.default_rng(0)
    places = np.argwhere(rng.random((48, 48)) < 0.4)
    values = np.sin(places[:, 0] / 4.0)
    live = LiveInpainter((48, 48))
    for scale in (1000.0, 1.0):
        live.replace(places, scale * values)
        live.refresh()
        while live.is_pondering:
            live.ponder()
        estimate = live.refresh()
        assert estimate.samples == len(places)
        assert estimate.held_out[0] < 0.2 * scale
        assert estimate.sigma is not None
        assert np.nanmax(estimate.sigma) < 0.5 * scale
    live.replace(places[places[:, 1] >= 24], values[places[:, 1] >= 24])
    estimate = live.refresh()
    assert estimate.distance[5, 2] > 20


def test_a_plan_may_change_between_two_pieces_of_pondering() -> None:
    rng = np.random.default_rng(0)
    live = LiveInpainter((32, 32), 1, Plan(noise=NoiseModel()))
    live.add(rng.uniform(0, 31, (300, 2)), rng.poisson(20.0, 300))
    live.refresh()
    for pieces in range(40):
        live.change(Plan(noise=NoiseModel(), uncertainty=pieces % 2 == 0))
        live.refresh()
        for _ in range(pieces):
            live.ponder()
    live.change(Plan(algorithm="cosines"))
    assert live.is_pondering


class Slow:
    """Sparse cosines that take their time."""

    name, version, warm = "slow", 1, True

    def solve(self, data, weight, start=None, strength=0.0, budget=None):
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass
        return SparseCosines().solve(data, weight, start, strength, budget)


def test_what_is_too_slow_for_a_scan_has_the_last_word():
    positions, values = scan("random", dose=False)
    live = LiveInpainter(SHAPE, 1, replace(QUIET, picture_s=0.01))
    live.contest = Contest([Ladder(Slow(), (0.1, 0.4)), THIN_PLATE])
    makers = []
    for block in np.array_split(np.arange(len(values)), 12):
        live.add(positions[block], values[block])
        makers.append(live.refresh().algorithm)
    assert makers[0] == "slow"
    assert makers[-1] == "thin plate"
    ponder(live)
    assert live.refresh().algorithm == "thin plate"
    assert np.isfinite(live.estimate.held_out).all()
    assert "slow" in live.settle().algorithm


def test_a_picture_without_another_solver_takes_what_it_takes():
    positions, values = scan("random", dose=False)
    live = LiveInpainter(SHAPE, 1, replace(QUIET, picture_s=0.0, algorithm="thin_plate"))
    for block in np.array_split(np.arange(len(values)), 6):
        live.add(positions[block], values[block])
        assert live.refresh().algorithm == "thin plate"


class Watched:
    """A thin plate that keeps the budgets it is given."""

    name, version, warm = "watched", 1, True

    def __init__(self):
        self.budgets = []

    def solve(self, data, weight, start=None, strength=0.0, budget=None):
        self.budgets.append(budget)
        return THIN_PLATE.solver.solve(data, weight, start, strength, budget)


@pytest.mark.parametrize("whole", [True, False])
def test_a_last_word_whose_time_is_up_is_still_a_whole_one(whole):
    """Each solve of the picture ends at once, and one draw tells its noise."""
    positions, values = scan(whole=whole)
    last, others = [], []
    for seconds in (0.0, 600.0):
        live = LiveInpainter(SHAPE, 1, Plan(noise=NoiseModel(), reach=1e9))
        solver = Watched()
        live.contest = Contest([Ladder(solver, (0.3,))])
        live.add(positions, values)
        estimate = live.settle(seconds)
        assert np.isfinite(estimate.image).all()
        assert np.isfinite(estimate.sigma).all()
        assert estimate.settled
        last.append([budget.seconds for budget in solver.budgets if budget.tolerance == LAST.tolerance])
        others.append(len(solver.budgets) - len(last[-1]))
    assert last[0] == [0.0] * (1 if whole else 1 + CENTRED)
    assert 0 < sum(last[1]) <= 600
    assert others[1] - others[0] == DRAWS - 1


def test_where_samples_were_held_out_is_told():
    """A field whose left half is scanned more densely than most of it."""
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(600) < 256, 0.03, 0.02) * (np.arange(600) < 512)
    places = np.argwhere(rng.random((256, 600)) < chance)
    live = LiveInpainter((256, 600), 1, replace(QUIET, algorithm="push_pull"))
    live.add(places, np.ones(len(places)))
    live.refresh()
    ponder(live)
    y0, x0, y1, x1 = live.refresh().held_out_in
    assert (y0, y1, x1 - x0) == (0, 256, 256)
    assert x0 == 128
