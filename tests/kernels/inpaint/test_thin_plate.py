"""The thin plate is the solution of its normal equations, for any samples, and never hangs."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint import reference
from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.stencils import GHOSTS, bend_row, row_terms, set_ghosts
from livem.kernels.inpaint.thin_plate import ThinPlate

EXACT = Budget(iterations=3000, tolerance=1e-6)
TENSION = 1 / 256


def bent(image, tension):
    ny, nx = image.shape
    plate = np.zeros((ny, nx + 2 * GHOSTS), np.float32)
    plate[:, GHOSTS : nx + GHOSTS] = image
    out = np.empty((ny, nx), np.float32)
    for i in range(ny):
        set_ghosts(plate, i, nx)
    for i in range(ny):
        bend_row(plate, i, row_terms(ny, tension), np.float32(tension), out)
    return out


def scene(shape, density, seed=0):
    rng = np.random.default_rng(seed)
    weight = ((rng.random(shape) < density) * rng.integers(1, 9, shape)).astype(np.float32)
    data = np.where(weight > 0, rng.normal(size=shape), np.nan).astype(np.float32)
    return data[None], weight


def smooth_scene(n=64, density=0.25, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n]
    truth = (np.sin(y / 5) + np.cos(x / 4 + y / 9)).astype(np.float32)
    weight = (rng.random((n, n)) < density).astype(np.float32)
    return truth, np.where(weight > 0, truth, np.nan)[None].astype(np.float32), weight


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    tension=st.sampled_from([0.0, 1 / 256, 0.25, 16.0]),
    seed=st.integers(0, 99),
)
def test_the_stencil_is_the_gradient_of_the_energy(shape, tension, seed):
    image = np.random.default_rng(seed).integers(-9, 9, shape).astype(np.float32)
    wanted = reference.bending(shape, tension) @ image.ravel()
    np.testing.assert_allclose(bent(image, tension).ravel(), wanted, atol=1e-3 if tension > 1 else 1e-5)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (2, 2), (7, 12)])
def test_ramps_cost_a_free_plate_nothing_and_constants_none_at_all(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    assert not bent((3 * y - 2 * x + 5).astype(np.float32), 0.0).any()
    assert not bent(np.full(shape, 7, np.float32), 0.25).any()


@settings(max_examples=120, deadline=None)
@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 12), st.integers(1, 12)),
        st.sampled_from([(1, 30), (30, 1), (2, 2), (3, 3), (2, 20)]),
    ),
    density=st.sampled_from([0.02, 0.1, 0.4, 1.0]),
    strength=st.sampled_from([0.0, 1e-3, 1.0, 30.0]),
    seed=st.integers(0, 9999),
)
def test_it_is_the_direct_solution(shape, density, strength, seed):
    data, weight = scene(shape, density, seed)
    weight[0, 0], data[0, 0, 0] = 1, 0.5
    found = ThinPlate(TENSION).solve(data, weight, strength=strength, budget=EXACT)
    wanted = reference.thin_plate(data[0].astype(np.float64), weight.astype(np.float64), strength, TENSION)
    assert found.converged
    scale = max(np.ptp(wanted), 1e-3)
    np.testing.assert_allclose(found.image[0], wanted, atol=2e-3 * scale)
    if strength == 0:
        np.testing.assert_array_equal(found.image[0][weight > 0], data[0][weight > 0])


def test_the_direct_solution_runs_on_torch_alike():
    torch = pytest.importorskip("torch")
    data, weight = (a.astype(np.float64) for a in scene((5, 7), 0.5))
    for strength in (0.0, 2.0):
        found = reference.thin_plate(torch.asarray(data[0]), torch.asarray(weight), strength, TENSION, torch)
        np.testing.assert_allclose(
            found.numpy(), reference.thin_plate(data[0], weight, strength, TENSION), atol=1e-9
        )


@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_a_ramp_is_continued_by_a_free_plate(strength):
    y, x = np.mgrid[:20, :24]
    ramp = (0.3 * y - 0.2 * x).astype(np.float32)
    weight = np.zeros(ramp.shape, np.float32)
    weight[4:9:2, 5:11:3] = 1
    found = ThinPlate(0.0).solve(ramp[None], weight, strength=strength, budget=EXACT)
    np.testing.assert_allclose(found.image[0], ramp, atol=0.02)


def test_nothing_known_is_nan_one_sample_a_constant_and_constants_stay():
    data, weight = np.full((2, 9, 7), np.nan, np.float32), np.zeros((9, 7), np.float32)
    nothing = ThinPlate().solve(data, weight)
    assert np.isnan(nothing.image).all()
    assert nothing.converged
    data[:, 4, 1], weight[4, 1] = (3.25, -2.0), 0.5
    for strength in (0.0, 1.0):
        image = ThinPlate().solve(data, weight, strength=strength).image
        assert (image == np.array([3.25, -2.0], np.float32)[:, None, None]).all()
    data[:], weight[:3] = 3.25, 2
    assert (ThinPlate().solve(data, weight).image == 3.25).all()


def test_samples_that_are_no_numbers_are_unknown():
    truth, data, weight = smooth_scene()
    wanted = ThinPlate().solve(data, weight, budget=EXACT).image
    weight[0, :4], data[0, 0, :4] = (1, np.nan, -1, np.inf), (np.nan, 5, 5, 5)
    clean = np.where(np.arange(64 * 64).reshape(64, 64) < 4, 0, weight).astype(np.float32)
    found = ThinPlate().solve(data, weight, budget=EXACT).image
    np.testing.assert_array_equal(found, ThinPlate().solve(data, clean, budget=EXACT).image)
    assert np.abs(found - wanted).max() < np.ptp(truth)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30, 1e37])
def test_the_scale_of_values_makes_no_difference(scale):
    _, data, weight = smooth_scene(32)
    plain = ThinPlate().solve(data, weight, strength=0.5).image
    scaled = ThinPlate().solve((data * np.float64(scale)).astype(np.float32), weight, strength=0.5).image
    tolerance = 1e-3 if scale > 1e-38 else 1e-2
    np.testing.assert_allclose(scaled / np.float64(scale), plain, atol=tolerance)


def test_twice_the_dose_smooths_as_half_the_strength():
    _, data, weight = smooth_scene(32)
    twice = ThinPlate().solve(data, 2 * weight, strength=2.0)
    np.testing.assert_allclose(twice.image, ThinPlate().solve(data, weight, strength=1.0).image, atol=1e-5)


@pytest.mark.parametrize("strength", [0.0, 1e-40, 1e-9, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("dose", [1e-30, 1e-6, 1.0, 1e6, 1e30, "mixed"])
def test_no_strength_and_no_weight_makes_it_go_on_for_ever(strength, dose):
    _, data, weight = smooth_scene(32)
    weight *= 10 ** np.random.default_rng(0).uniform(-20, 20, weight.shape) if dose == "mixed" else dose
    found = ThinPlate().solve(data, weight.astype(np.float32), strength=strength)
    assert found.iterations < 600
    assert np.isfinite(found.image).all()
    assert np.abs(found.image).max() < 10


@pytest.mark.parametrize("tension", [0.0, TENSION])
def test_samples_in_one_corner_give_a_finite_picture(tension):
    truth, data, weight = smooth_scene(128, 1.0)
    weight[8:], weight[:, 8:] = 0, 0
    found = ThinPlate(tension).solve(data, weight)
    assert found.converged
    assert found.iterations < 300
    assert np.isfinite(found.image).all()
    if tension:
        assert np.abs(found.image).max() < 10 * np.abs(truth).max()


def test_a_warm_start_takes_fewer_iterations_to_the_same():
    truth, data, weight = smooth_scene(128)
    first = ThinPlate().solve(data, weight)
    more = np.where(np.random.default_rng(5).random(weight.shape) < 0.03, 1, weight).astype(np.float32)
    cold = ThinPlate().solve(truth[None], more, budget=EXACT)
    warm = ThinPlate().solve(truth[None], more, first.image, budget=EXACT)
    np.testing.assert_allclose(warm.image, cold.image, atol=2e-4)
    again = ThinPlate().solve(truth[None], more, cold.image)
    assert again.iterations == 0
    np.testing.assert_array_equal(again.image[0][more > 0], truth[more > 0])
    eight = ThinPlate().solve(truth[None], more, first.image, budget=Budget(8))
    assert eight.iterations <= 8
    assert np.sqrt(np.mean((eight.image - cold.image) ** 2)) < 5e-3 * truth.std()


def test_a_budget_ends_it():
    _, data, weight = smooth_scene(128, 0.05)
    cut = ThinPlate().solve(data, weight, budget=Budget(iterations=3, tolerance=0))
    assert (cut.iterations, cut.converged) == (3, False)
    none = ThinPlate().solve(data, weight, budget=Budget(seconds=0))
    assert (none.iterations, none.converged) == (0, False)
    assert np.isfinite(none.image).all()
    long = ThinPlate().solve(data, weight, budget=Budget(seconds=60))
    np.testing.assert_array_equal(long.image, ThinPlate().solve(data, weight).image)


def test_channels_are_solved_as_if_each_were_alone_and_nothing_given_is_changed():
    _, data, weight = smooth_scene(33)
    both = np.concatenate([data, 100 - 5 * data])
    kept = both.copy(), weight.copy()
    found = ThinPlate().solve(both, weight, strength=0.3)
    for c in range(2):
        alone = ThinPlate().solve(both[c : c + 1], weight, strength=0.3)
        np.testing.assert_array_equal(found.image[c : c + 1], alone.image)
    np.testing.assert_array_equal(both, kept[0])
    np.testing.assert_array_equal(weight, kept[1])


def test_a_solve_takes_its_line_of_the_memory_table():
    _, data, weight = smooth_scene(256)
    ThinPlate().solve(data, weight)
    tracemalloc.start()
    ThinPlate().solve(data, weight, strength=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / weight.size < 27.5


@pytest.mark.parametrize("tension", [-1, 17, np.nan])
def test_a_tension_that_is_none_is_refused(tension):
    with pytest.raises(ValueError, match="from 0 to 16"):
        ThinPlate(tension)
