"""The filters of detection against their oracles in array-API terms, and profiles against spheres."""

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from livem.kernels.tracking import backgrounds, peaks, refine, scales
from livem.kernels.tracking import reference_detect as reference
from livem.kernels.tracking.profile import Profile


def coefficients(profile, log_radius):
    """(TERMS,) straight between the rows of the profile's table."""
    rows = profile.start + profile.step * np.arange(len(profile.table))
    return np.array([np.interp(log_radius, rows, column) for column in profile.table.T])


def noise(shape, number, level=0.0):
    return (np.random.default_rng(number).normal(0, 1, shape) + level).astype(np.float32)


@seed(1)
@settings(max_examples=12, deadline=None)
@given(cell=st.integers(4, 9), ny=st.integers(5, 8), nx=st.integers(5, 8), number=st.integers(0, 99))
def test_background_and_scaling_are_the_oracles(cell, ny, nx, number):
    frame = noise((ny * cell, nx * cell), number, 20)
    means, counts, smooth = (np.empty((ny, nx), np.float32) for _ in range(3))
    assert backgrounds.cell_means(frame, cell, means, counts) == 0
    backgrounds.smooth_cells(means, counts, 2, smooth)
    out = np.empty_like(frame)
    backgrounds.scale_frame(frame, smooth, cell, 0.1, -1.0, out)
    strict = xp.asarray(frame.astype(float))
    level, root = reference.background(strict, cell, 2, 0.1, xp)
    np.testing.assert_allclose(out, np.asarray(reference.scaled(strict, level, root, -1.0)), atol=2e-5)
    y, x = np.random.default_rng(number).uniform(0, 1, (2, 9)) * np.array(
        [[frame.shape[0]], [frame.shape[1]]]
    )
    at = backgrounds.level_at(smooth, cell, y.astype(int).astype(float), x.astype(int).astype(float))
    np.testing.assert_allclose(at, np.asarray(level)[y.astype(int), x.astype(int)], rtol=1e-5)
    backgrounds.subtract_cells(frame, smooth, cell)
    np.testing.assert_allclose(frame, np.asarray(strict - level), atol=2e-5)


def test_pixels_that_are_not_finite_are_left_out_and_become_background():
    frame = noise((40, 40), 3, 20)
    frame[3, 4], frame[20:, 20:] = np.nan, np.inf
    means, counts, smooth = (np.empty((5, 5), np.float32) for _ in range(3))
    assert backgrounds.cell_means(frame, 8, means, counts) == 401
    assert counts[0, 0] == 63
    assert counts[4, 4] == 0
    assert means[0, 0] == pytest.approx(np.nanmean(frame[:8, :8]), rel=1e-5)
    backgrounds.smooth_cells(means, counts, 2, smooth)
    out = np.empty_like(frame)
    backgrounds.scale_frame(frame, smooth, 8, 0.1, 1.0, out)
    assert np.isfinite(out).all()
    assert not out[20:, 20:].any()


@seed(2)
@settings(max_examples=12, deadline=None)
@given(h=st.integers(1, 23), w=st.integers(1, 23), sigma=st.floats(0.7, 3.2), number=st.integers(0, 99))
def test_gaussians_and_halving_are_the_oracles(h, w, sigma, number):
    values, half = noise((h, w), number), scales.taps(sigma)
    out = np.empty_like(values)
    scales.blur(values, half, out)
    strict = xp.asarray(values.astype(float))
    expected = np.asarray(reference.gaussian(strict, xp.asarray(half.astype(float)), xp))
    np.testing.assert_allclose(out, expected, atol=1e-5)
    smaller = np.empty((h // 2, w // 2), np.float32)
    scales.halve(values, smaller)
    np.testing.assert_allclose(smaller, np.asarray(reference.halved(strict, xp)), atol=1e-6)


def test_the_spread_of_filtered_noise_is_told_beforehand_and_measured():
    values, half = noise((256, 256), 7), scales.taps(2.0)
    out = np.empty_like(values)
    scales.blur(values, half, out)
    assert out.std() == pytest.approx(scales.white_spread(half), rel=0.03)
    assert peaks.spread_of(out) == pytest.approx(out.std(), rel=0.05)
    assert peaks.spread_of(out * np.float32(1e-4)) == pytest.approx(1e-4 * peaks.spread_of(out), rel=1e-3)
    assert peaks.spread_of(np.zeros((8, 8), np.float32)) == 0


@seed(3)
@settings(max_examples=12, deadline=None)
@given(h=st.integers(1, 30), w=st.integers(1, 30), reach=st.integers(1, 4), number=st.integers(0, 99))
def test_maxima_are_the_oracles(h, w, reach, number):
    response, out = noise((h, w), number), np.empty((900, 3))
    n = peaks.local_maxima(response, 0.3, reach, 0, out)
    expected = np.argwhere(np.asarray(reference.crests(xp.asarray(response.astype(float)), 0.3, reach, xp)))
    np.testing.assert_array_equal(np.rint(out[:n, :2] + 1e-9 * np.sign(expected - out[:n, :2])), expected)
    assert (np.abs(out[:n, :2] - expected) <= 0.5).all()


def test_of_equal_maxima_the_first_counts_and_a_full_table_ends_the_search():
    response, out = np.zeros((9, 9), np.float32), np.empty((3, 3))
    response[4, 3:6] = 2
    assert peaks.local_maxima(response, 1.0, 2, 0, out) == 1
    np.testing.assert_array_equal(out[0, :2], (4, 3.5))
    response[::2, ::2] = np.arange(1, 26).reshape(5, 5)
    assert peaks.local_maxima(response, 0.5, 1, 0, out) == 3


@pytest.mark.parametrize(("radius", "within"), [(2, 0.005), (4, 0.012), (12, 0.06)])
def test_a_profile_is_a_sphere_after_the_blur(radius, within):
    profile, fine = Profile(1.5, 16, 0.8), 8
    at = (np.arange(50 * fine) - 25 * fine + 0.5) / fine
    rho2 = at[:, None] ** 2 + at[None, :] ** 2
    sphere = np.sqrt(np.maximum(1 - rho2 / radius**2, 0))
    blurred = gaussian_filter(sphere, np.sqrt(profile.variance) * fine)[25 * fine]
    inside = np.abs(at) < radius + 2
    np.testing.assert_allclose(profile.exact(radius, np.abs(at[inside])), blurred[inside], atol=0.004)
    c = coefficients(profile, np.log(radius))
    u = at[inside] ** 2 / (radius**2 / 5 + profile.variance)
    drawn = np.exp(-u / 2) * sum(c[i] * u**i for i in range(5))
    assert np.sqrt(np.mean((drawn - blurred[inside]) ** 2) / np.mean(blurred[inside] ** 2)) < within


@pytest.mark.parametrize("numbers", [(0, 1, 1), (2, 1, 1), (1, 2, -1), (1, np.inf, 1), (1, 2, np.nan)])
def test_a_profile_of_impossible_radii_is_refused(numbers):
    with pytest.raises(ValueError, match="give"):
        Profile(*numbers)


@seed(4)
@settings(max_examples=10, deadline=None)
@given(number=st.integers(0, 999))
def test_particles_are_drawn_as_the_oracle_draws_them(number):
    rng = np.random.default_rng(number)
    profile, n = Profile(1.5, 9, 0.8), 6
    particles = np.column_stack(
        [rng.uniform(-3, 40, n), rng.uniform(-3, 50, n), rng.normal(0, 2, n), rng.uniform(0.5, 2, n)]
    )
    terms = np.array([coefficients(profile, log_radius) for log_radius in particles[:, 3]])
    out = np.zeros((37, 47), np.float32)
    refine.add_particles(out, profile.table, *profile.rule, 2.5, particles, 0, n, 1.0)
    args = (out.shape, xp.asarray(particles), xp.asarray(terms.astype(float)), profile.variance, 2.5, xp)
    np.testing.assert_allclose(out, np.asarray(reference.drawn(*args)), atol=2e-4)
