"""Sparse cosines: the convex problem is solved, and its answer beats plain FISTA on lattices."""

import numpy as np
import pytest

from livem.kernels.cosines import cosines, from_cosines
from livem.kernels.inpaint import cosine, cosine_problem
from livem.kernels.inpaint.cosine import SparseCosines
from livem.kernels.inpaint.solution import Budget
from livem.stream.simulate.lattice import grow_crystal, projected_columns

EXACT = Budget(iterations=4000, tolerance=0.0)


def lattice(n=256, spacing=14.0, seed=0):
    return projected_columns(grow_crystal((n, n), spacing, seed))[0].astype(np.float32)


def random_pattern(shape, share, seed=1):
    pattern = np.zeros(shape, bool)
    pattern.flat[np.random.default_rng(seed).permutation(pattern.size)[: round(share * pattern.size)]] = True
    return pattern


def line_hop(n, share, seed=1):
    """One line for so many rows, which hops up or down by at most one pixel a column."""
    rng, rows, pattern = np.random.default_rng(seed), round(1 / share), np.zeros((n, n), bool)
    for first in range(0, n, rows):
        last = min(rows, n - first) - 1
        y = int(rng.integers(last + 1))
        for x in range(n):
            y = int(np.clip(y + rng.integers(-1, 2), 0, last))
            pattern[first + y, x] = True
    return pattern


def sampled(image, pattern):
    """Data and weight; unknown pixels hold values that must not matter."""
    return np.where(pattern, image, np.float32(1e6))[None], pattern.astype(np.float32)


def psnr(image, truth):
    return 10 * np.log10(np.ptp(truth) ** 2 / np.mean((image - truth) ** 2))


def transform(image):
    """Orthonormal cosine coefficients."""
    scale = [np.where(np.arange(n), np.sqrt(0.5 / n), 0.5 / np.sqrt(n)) for n in image.shape]
    return cosines(cosines(image, 0), 1) * np.outer(*scale)


def transform_back(coefficients):
    scale = [np.where(np.arange(n), np.sqrt(0.5 / n), 0.5 / np.sqrt(n)) for n in coefficients.shape]
    return from_cosines(from_cosines(coefficients / np.outer(*scale), 0), 1)


def plain_fista(data, pattern, threshold, iterations=60):
    """The yardstick: FISTA on the full cosine transform, one threshold for all frequencies."""
    image = ahead = np.where(pattern, data, data[pattern].mean()).astype(np.float64)
    momentum = 1.0
    for _ in range(iterations):
        c = transform(np.where(pattern, data, ahead))
        shrunk = np.sign(c) * np.maximum(np.abs(c) - threshold, 0)
        shrunk[0, 0] = c[0, 0]
        before, image = image, transform_back(shrunk)
        momentum, last = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2)), momentum
        ahead = image + (last - 1) / momentum * (image - before)
    return image


def objective(image, data, weight, strength):
    """What the solver says that it minimises, for an image of one tile."""
    known = weight > 0
    w = np.minimum(weight, cosine.MOST_DOSE * weight[known].mean())
    most = w.max()
    w = w / most
    mean = np.average(data[known], weights=weight[known])
    spread = np.sqrt(np.average((data[known] - mean) ** 2, weights=weight[known]))
    threshold = spread * np.hypot(cosine_problem.LEAST_STRENGTH, strength / np.sqrt(most)) * np.sqrt(w.mean())
    f = [np.arange(n) / n for n in weight.shape]
    omega = np.maximum(np.hypot(f[0][:, None], f[1]) / cosine_problem.KNEE, cosine_problem.LEAST_OMEGA)
    omega[0, 0] = 0
    misfit = 0.5 * np.sum(w[known] * (image[known] - data[known]) ** 2)
    return misfit + threshold * np.sum(omega * np.abs(transform(image))), threshold * omega, w, mean


def reference(data, weight, strength, iterations=20_000):
    """Plain iterated soft thresholds in double precision."""
    _, threshold, w, mean = objective(np.zeros(weight.shape), data, weight, strength)
    image = np.full(weight.shape, mean)
    for _ in range(iterations):
        c = transform(image + w * np.where(w > 0, data - image, 0))
        image = transform_back(np.sign(c) * np.maximum(np.abs(c) - threshold, 0))
    return image


@pytest.mark.parametrize("strength", [0.05, 0.4])
def test_it_finds_the_minimum(monkeypatch, strength):
    monkeypatch.setattr(cosine_problem, "_band", lambda weight: 1.0)
    rng = np.random.default_rng(5)
    data = (3 + lattice(24)[:, :20] + 0.1 * rng.standard_normal((24, 20))).astype(np.float32)
    weight = np.where(random_pattern(data.shape, 0.3), rng.integers(1, 9, data.shape), 0).astype(np.float32)
    found = SparseCosines().solve(data[None], weight, strength=strength, budget=EXACT).image[0]
    wanted = reference(data.astype(np.float64), weight, strength, 4000)
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    of_found, of_wanted = (objective(x, data, weight, strength)[0] for x in (found.astype(float), wanted))
    assert of_found == pytest.approx(of_wanted, rel=1e-4)


@pytest.mark.parametrize("spacing", [9.0, 14.0])
@pytest.mark.parametrize(
    "pattern", [random_pattern((256, 256), 0.1), line_hop(256, 0.1)], ids=["random", "hop"]
)
def test_it_beats_plain_fista_on_lattices(pattern, spacing):
    truth = lattice(256, spacing)
    plain = max(psnr(plain_fista(truth, pattern, threshold), truth) for threshold in (0.015, 0.02, 0.03))
    assert psnr(SparseCosines().solve(*sampled(truth, pattern)).image[0], truth) > plain + 0.3


def test_without_strength_samples_are_reproduced():
    truth, pattern = lattice(64), random_pattern((64, 64), 0.2)
    solution = SparseCosines().solve(*sampled(truth, pattern))
    np.testing.assert_array_equal(solution.image[0][pattern], truth[pattern])
    assert solution.image.dtype == np.float32
    assert solution.converged


def test_noise_is_smoothed_when_told():
    truth, pattern = lattice(), random_pattern((256, 256), 0.25)
    noise = np.random.default_rng(3).normal(0, 0.25, truth.shape)
    data, weight = sampled((truth + noise).astype(np.float32), pattern)
    exact, smooth = (SparseCosines().solve(data, weight, strength=s).image[0] for s in (0.0, 1.0))
    assert psnr(smooth, truth) > psnr(exact, truth) + 3


def test_a_warm_start_finds_the_same_sooner():
    truth, pattern = lattice(), random_pattern((256, 256), 0.1)
    data, weight = sampled(truth, pattern)
    fewer = np.where(np.random.default_rng(0).random(weight.shape) < 0.05, 0, weight).astype(np.float32)
    solver = SparseCosines()
    cold = solver.solve(data, weight, budget=Budget(tolerance=1e-5))
    warm = solver.solve(data, weight, solver.solve(data, fewer).image, budget=Budget(tolerance=1e-5))
    assert np.abs(warm.image - cold.image).max() < 0.02
    quick = solver.solve(data, weight, solver.solve(data, fewer).image, budget=Budget(iterations=12))
    assert quick.iterations < solver.solve(data, weight).iterations
    assert psnr(quick.image[0], truth) > psnr(cold.image[0], truth) - 0.5


def test_the_scale_of_the_values_does_not_matter():
    data, weight = sampled(lattice(48), random_pattern((48, 48), 0.2))
    a = SparseCosines().solve(data, weight, strength=0.3).image
    b = SparseCosines().solve(np.float32(1000) * data + np.float32(50), weight, strength=0.3).image
    np.testing.assert_allclose(b, 1000 * a + 50, rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_squares_that_float32_cannot_hold(scale):
    data, weight = sampled(lattice(64), random_pattern((64, 64), 0.3))
    budget = Budget(iterations=30)
    one = SparseCosines().solve(data, weight, None, 0.1, budget).image
    other = SparseCosines().solve(data * np.float32(scale), weight, None, 0.1, budget).image
    np.testing.assert_allclose(other / np.float32(scale), one, atol=1e-4 * np.abs(one).max())


def test_one_huge_value_leaves_a_finite_picture():
    data, weight = sampled(lattice(64), random_pattern((64, 64), 0.3))
    data[0][tuple(np.argwhere(weight)[7])] = 1e30
    for strength in (0.0, 0.1):
        assert np.isfinite(SparseCosines().solve(data, weight, None, strength).image).all()


def test_channels_are_solved_alike():
    truth = np.stack([lattice(64), 5 - lattice(64, 10.0)])
    pattern = random_pattern((64, 64), 0.2)
    data, weight = np.where(pattern, truth, np.float32(np.nan)), pattern.astype(np.float32)
    both = SparseCosines().solve(data, weight).image
    for channel, alone in zip(both, data, strict=True):
        np.testing.assert_array_equal(channel, SparseCosines().solve(alone[None], weight).image[0])


def test_a_large_image_is_solved_in_tiles_without_seams():
    truth = lattice(512)[:, :300].copy()
    solution = SparseCosines().solve(*sampled(truth, random_pattern(truth.shape, 0.12)))
    error = np.abs(solution.image[0] - truth)
    assert psnr(solution.image[0], truth) > 27
    assert error[224:288].mean() < 1.5 * error.mean()


def nothing(data, weight):
    weight[:] = 0


def one_sample(data, weight):
    weight[:] = 0
    weight[3, 4] = 2


def one_corner(data, weight):
    weight[4:] = 0
    weight[:, 4:] = 0


def not_finite(data, weight):
    data[0, ::2] = np.nan
    weight[::3] = np.inf


def constant(data, weight):
    data[:] = 7


@pytest.mark.parametrize("spoil", [nothing, one_sample, one_corner, not_finite, constant])
def test_bad_input_gives_a_defined_picture(spoil):
    data, weight = lattice(40)[None].copy(), np.ones((40, 40), np.float32)
    spoil(data, weight)
    image = SparseCosines().solve(data, weight).image
    assert np.isnan(image).all() if spoil is nothing else np.isfinite(image).all()
    if spoil in (one_sample, constant):
        np.testing.assert_allclose(image, data[0, 3, 4], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (2, 3), (9, 1)])
def test_tiny_images(shape):
    data = np.random.default_rng(0).random((1, *shape), np.float32)
    image = SparseCosines().solve(data, np.ones(shape, np.float32)).image
    np.testing.assert_array_equal(image, data)


def test_the_budget_is_kept():
    data, weight = sampled(lattice(64), random_pattern((64, 64), 0.2))
    short = SparseCosines().solve(data, weight, budget=Budget(iterations=3))
    assert (short.iterations, short.converged) == (3, False)
    none = SparseCosines().solve(data, weight, budget=Budget(seconds=0.0))
    assert none.iterations == 0
    assert np.isfinite(none.image).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros((1, 4, 4))}, "float64"),
        ({"weight": np.zeros((4, 5), np.float32)}, "weight is float32"),
        ({"strength": -1.0}, "strength is -1"),
        ({"start": np.zeros((1, 4, 5), np.float32)}, "start is"),
        ({"start": np.full((1, 4, 4), np.nan, np.float32)}, "not finite"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    arguments = {"data": np.zeros((1, 4, 4), np.float32), "weight": np.ones((4, 4), np.float32)} | change
    with pytest.raises(ValueError, match=message):
        SparseCosines().solve(**arguments)
