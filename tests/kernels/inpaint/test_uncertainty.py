"""The uncertainty of a sparse picture: about 68 % of the errors are within one standard deviation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.choice import Candidate, Ladder
from livem.kernels.inpaint.cosine import SparseCosines
from livem.kernels.inpaint.doubt import Doubt
from livem.kernels.inpaint.questions import Questions
from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.support import distance_to
from livem.kernels.inpaint.uncertainty import HoleError, HoleErrors, Spread, _rising, standard_deviation
from livem.kernels.noise import NoiseModel
from livem.stream.simulate.lattice import grow_crystal, projected_columns

IMAGES = Path(__file__).parents[4] / "shared" / "data" / "stem_images.npz"
QUICK = Budget(iterations=40, tolerance=3e-3)


def lattice(n=256):
    return projected_columns(grow_crystal((n, n), 14.0, 0))[0]


def gold():
    if not IMAGES.exists():
        pytest.skip(f"{IMAGES.name} is not there")
    with np.load(IMAGES) as images:
        return images["gold_grain_boundary"][:256, :256] / 65535


def counts(truth, share, electrons, seed=0):
    """Data, weight, expected counts of a random scan with so many electrons a sample on average."""
    rng = np.random.default_rng(seed)
    expected = electrons * (0.1 + truth) / (0.1 + truth).mean()
    weight = (rng.random(truth.shape) < share).astype(np.float32)
    return (rng.poisson(expected) * weight)[None].astype(np.float32), weight, expected


def uncertainty(solver, data, weight, strength, model, draws=6):
    """Picture and its standard deviation, with two twentieths of the samples held out in turn."""
    solution = solver.solve(data, weight, None, strength, QUICK)
    spread, errors = Spread(data.shape), HoleErrors(len(data))
    for seed in range(draws):
        drawn = model.resample(data, weight, seed, expected=solution.image)
        spread.add(solution.image, solver.solve(drawn, weight, solution.image, strength, QUICK).image)
    part = np.random.default_rng(9).integers(0, 20, weight.shape)
    for fold in range(4):
        kept = np.where(part == fold, 0, weight).astype(np.float32)
        without = solver.solve(data, kept, None, strength, QUICK).image
        errors.add(without, data, weight, kept, model, spread.variance())
    curve = errors.curve(data, weight, exact=not strength)
    sigma = standard_deviation(distance_to(weight > 0), data.shape, spread, curve)
    return solution.image[0], sigma[0]


@pytest.mark.parametrize("share", [0.10, 0.25])
@pytest.mark.parametrize(("picture", "strength"), [(lattice, 0.4), (gold, 0.4)])
def test_about_two_thirds_of_the_errors_are_within_one_sigma(picture, strength, share):
    data, weight, expected = counts(picture(), share, 20)
    image, sigma = uncertainty(SparseCosines(), data, weight, strength, NoiseModel())
    within = np.abs(image - expected) <= sigma
    assert 0.53 < within.mean() < 0.83
    assert 0.45 < within[weight > 0].mean() < 0.90
    near, far = (sigma[select].mean() for select in (weight > 0, distance_to(weight > 0) > 2.5))
    assert far > near


def test_the_spread_is_that_of_the_noise_and_follows_a_change():
    rng, shape = np.random.default_rng(0), (2, 40, 50)
    spread, image = Spread(shape), rng.random(shape, np.float32)
    assert not spread.variance().any()
    for _ in range(6):
        spread.add(image, image + rng.normal(0, 3, shape).astype(np.float32))
    assert spread.variance().mean() == pytest.approx(9, rel=0.1)
    for _ in range(40):
        spread.add(image, image + rng.normal(0, 1, shape).astype(np.float32))
    assert spread.variance().mean() == pytest.approx(1, rel=0.1)
    spread.forget()
    assert (spread.seen, spread.variance().any()) == (0, False)
    with pytest.raises(ValueError, match=r"\(1, 40, 50\)"):
        spread.add(image[:1], image[:1])
    with pytest.raises(ValueError, match="0 draws"):
        Spread(shape, 0)


def test_errors_that_grow_with_the_distance_are_found_again():
    rng = np.random.default_rng(1)
    truth = np.zeros((1, 256, 256), np.float32)
    weight = np.ones((256, 256), np.float32)
    kept = (rng.random(weight.shape) < 0.04).astype(np.float32)
    distance = distance_to(kept > 0)
    estimate = (truth + distance * rng.standard_normal(truth.shape)).astype(np.float32)
    data = truth + rng.normal(0, 2, truth.shape).astype(np.float32)
    errors = HoleErrors(1)
    errors.add(estimate, data, weight, kept, NoiseModel(gain=1e-9, read_noise=2.0))
    curve = errors.curve(data + 0, weight)
    found = np.sqrt(curve.at(np.array([[0, 2, 4]], np.float32)))[0, 0]
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], [2, 4], rtol=0.25)
    assert (np.diff(curve.variance) >= 0).all()


def test_at_samples_whose_noise_is_unknown_the_error_is_that_of_the_nearest():
    rng = np.random.default_rng(3)
    weight = np.ones((64, 64), np.float32)
    kept = (rng.random(weight.shape) < 0.5).astype(np.float32)
    data = rng.normal(0, 2, (1, 64, 64)).astype(np.float32)
    errors = HoleErrors(1)
    errors.add(0 * data, data, weight, kept)
    for exact, least in ((True, 0), (False, 2)):
        curve = errors.curve(data, weight, exact)
        sigma = standard_deviation(np.zeros((1, 1), np.float32), (1, 1, 1), None, curve)
        assert sigma[0, 0, 0] == pytest.approx(least, rel=0.15)


def test_one_huge_value_leaves_finite_standard_deviations():
    rng = np.random.default_rng(5)
    weight = (rng.random((64, 64)) < 0.4).astype(np.float32)
    data = (rng.normal(0, 0.5, (1, 64, 64)) * weight).astype(np.float32)
    data[0][tuple(np.argwhere(weight)[7])] = 1e25
    candidate, model = Candidate(Ladder(SparseCosines(), (0.1,)), 0), NoiseModel(read_noise=0.5)
    picture = SparseCosines().solve(data, weight, None, 0.1, QUICK).image
    doubt = Doubt(data.shape, model)
    for _ in doubt.steps(candidate, Questions.about(weight), data, weight, picture, QUICK):
        pass
    assert np.isfinite(doubt.sigma(data, weight, distance_to(weight > 0))).all()


@pytest.mark.parametrize(
    ("model", "strength"),
    [(None, 0.0), (None, 0.1), (NoiseModel(gain=1e-9, read_noise=0.5), 0.1)],
)
def test_measured_pixels_of_a_doubted_picture_are_uncertain(model, strength):
    rng = np.random.default_rng(4)
    weight = (rng.random((64, 64)) < 0.4).astype(np.float32)
    data = (rng.normal(0, 0.5, (1, 64, 64)) * weight).astype(np.float32)
    candidate = Candidate(Ladder(SparseCosines(), (strength,)), 0)
    picture = SparseCosines().solve(data, weight, None, strength, QUICK).image
    doubt = Doubt(data.shape, model)
    for _ in doubt.steps(candidate, Questions.about(weight), data, weight, picture, QUICK):
        pass
    sigma = doubt.sigma(data, weight, distance_to(weight > 0))
    assert np.median(sigma[0][weight > 0]) > 0.2


def test_far_from_all_samples_nothing_is_known_but_their_variance():
    error = HoleError(np.array([0.0, 1.0, 2.0]), np.array([[0.0, 0.5, 1.0]]), np.array([9.0]))
    at = error.at(np.array([[0, 1.5, 2, 4, 100, np.inf]], np.float32))
    np.testing.assert_allclose(at[0, 0], [0, 0.75, 1, 5, 9, 9], rtol=1e-5)


def test_nothing_is_said_about_holes_without_held_out_samples():
    weight, data = np.ones((8, 8), np.float32), np.ones((1, 8, 8), np.float32)
    errors = HoleErrors(1)
    errors.add(data, data, weight, weight)
    errors.add(data, data, weight, 0 * weight)
    assert (errors.samples, errors.curve(data, weight)) == (0, None)
    sigma = standard_deviation(distance_to(weight > 0), data.shape, None, None)
    assert sigma.shape == data.shape
    assert not sigma.any()


def test_only_the_newest_errors_count_and_values_that_are_not_finite_do_not():
    weight, kept = np.ones((128, 128), np.float32), np.zeros((128, 128), np.float32)
    kept[::4] = 1
    data, errors = np.zeros((1, 128, 128), np.float32), HoleErrors(1)
    errors.add(data + 9, data, weight, kept)
    errors.add(data + 1, data, weight, kept)
    np.testing.assert_allclose(errors.curve(data, weight).variance[0, 1:], 1)
    errors.forget()
    errors.add(np.where(weight > 0, np.nan, data), data, weight, kept)
    assert errors.samples == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
@settings(deadline=None)
def test_pooling_gives_the_nearest_rising_sequence(values):
    weight = np.arange(1.0, len(values) + 1)
    rising = _rising(np.array(values), weight)
    assert (np.diff(rising) >= -1e-9).all()
    assert np.sum(weight * rising) == pytest.approx(np.sum(weight * values), abs=1e-6)
    if (np.diff(values) >= 0).all():
        np.testing.assert_allclose(rising, values)
