"""Peaks of heat maps: the kernel gives what its oracle gives, and what is known of Gaussians."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from livem.kernels import reference_heat_maps as reference
from livem.kernels.heat_maps import Peaks, find_peaks

LEVELS = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.45, 0.5, 0.6, 0.9, 1.0, 7.5, -1.0, np.nan, np.inf, -np.inf])


def rows(peaks: Peaks) -> np.ndarray:
    return np.stack([np.asarray(values, float) for values in peaks.columns().values()], axis=1)


def bumps(places, widths, heights, shape=(64, 64)) -> np.ndarray:
    """Gaussians; where they overlap, the higher one."""
    y, x = np.indices(shape)
    heat = np.zeros(shape)
    for (cy, cx), width, height in zip(places, widths, heights, strict=True):
        heat = np.maximum(heat, height * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2)))
    return heat.astype(np.float32)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=LEVELS),
    st.sampled_from([0.0, 0.15, 0.5]),
    st.sampled_from([1.0, 1.5, 2.0, 3.3]),
    st.sampled_from([0.0, 0.8, 1.0]),
)
def test_the_kernel_is_its_oracle_on_anything(heat, threshold, radius, valley):
    wanted = reference.peaks(heat, threshold, radius, valley)
    found = rows(find_peaks(heat, threshold, radius, valley))
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_is_its_oracle_on_smooth_maps(seed):
    rng = np.random.default_rng(seed)
    places, widths = rng.uniform(0, 40, (12, 2)), rng.uniform(0.8, 5, 12)
    heat = bumps(places, widths, rng.uniform(0.2, 1, 12), (40, 40))
    heat += rng.normal(0, 0.02, heat.shape).astype(np.float32)
    wanted = reference.peaks(heat, 0.1, 2.0, 0.8)
    assert len(wanted) >= 8
    np.testing.assert_allclose(rows(find_peaks(heat, 0.1, 2.0)), wanted, rtol=2e-6, atol=2e-5)
    strict = reference.peaks(array_api_strict.asarray(heat), 0.1, 2.0, 0.8, xp=array_api_strict)
    np.testing.assert_allclose(np.asarray(strict), wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("width", "limit"), [(1.0, 1e-3), (1.4, 1e-3), (2.5, 0.03), (6.0, 0.01), (20.0, 0.01)]
)
def test_a_gaussian_is_found_between_the_pixels_with_its_width(width, limit):
    rng = np.random.default_rng(3)
    side = int(10 * width) + 9
    for place in side / 2 + rng.uniform(-0.5, 0.5, (8, 2)):
        (peak,) = rows(find_peaks(bumps([place], [width], [0.8], (side, side)), 0.3))
        assert np.hypot(*(peak[:2] - place)) < limit
        assert abs(peak[4] - width) < max(limit, 0.03 * width)
    assert peak[3] == pytest.approx(np.pi * 2 * np.log(2) * width**2, rel=0.25)


def test_neighbours_keep_their_own_pixels_and_the_lower_of_two_that_are_too_near_is_no_peak():
    heat = bumps([(20, 20), (20, 29), (50, 50), (50, 53)], [3, 3, 1, 1], [1, 0.9, 1, 0.6])
    near, far = find_peaks(heat, 0.2, 1.5), find_peaks(heat, 0.2, 4.0)
    assert (len(near), len(far)) == (4, 3)
    np.testing.assert_allclose(near.width, [3, 3, 1, 1], atol=0.15)
    np.testing.assert_allclose(near.x[:2], [20, 29], atol=0.1)
    assert len(near.above(0.95)) == 2


def test_noise_upon_a_wide_peak_is_no_other_peak_and_two_wide_ones_that_meet_are_two():
    heat = bumps([(40, 30), (40, 70)], [10, 10], [1, 0.9], (80, 100))
    noisy = heat + np.random.default_rng(4).normal(0, 0.02, heat.shape).astype(np.float32)
    assert len(find_peaks(noisy, 0.5, 1.5, 1.0)) > 2
    found = find_peaks(noisy, 0.5)
    assert len(found) == 2
    np.testing.assert_allclose(found.x, [30, 70], atol=0.3)
    np.testing.assert_allclose(found.width, [10, 10], rtol=0.06)


def test_a_flat_top_is_one_peak_in_its_middle():
    heat = np.zeros((30, 30), np.float32)
    heat[10:16, 8:18] = 1
    (peak,) = rows(find_peaks(heat, 0.5, 12.0))
    np.testing.assert_allclose(peak[:4], [12.5, 12.5, 1, 60])


@pytest.mark.parametrize("value", [0.0, 0.5, np.nan, np.inf, -np.inf])
def test_nothing_stands_out_of_a_constant(value):
    found = find_peaks(np.full((20, 30), value, np.float32), 0.5)
    assert len(found) == 0
    assert {values.shape for values in found.columns().values()} == {(0,)}


def test_every_pixel_of_a_tiny_map_can_be_a_peak():
    assert len(find_peaks(np.ones((1, 1), np.float32), 0.5)) == 1
    assert len(find_peaks(np.zeros((0, 5), np.float32), 0.5)) == 0
    board = (np.indices((9, 9)) % 2 == 0).all(axis=0).astype(np.float32)
    assert len(find_peaks(board, 0.5)) == 25


@pytest.mark.parametrize(
    ("shape", "threshold", "radius", "valley", "message"),
    [
        ((2, 3, 3), 0.5, 1.0, 0.8, r"\(2, 3, 3\): give one plane"),
        ((3, 3), -0.1, 1.0, 0.8, "threshold is -0.1"),
        ((3, 3), float("nan"), 1.0, 0.8, "threshold is nan"),
        ((3, 3), 0.5, 0.5, 0.8, "radius is 0.5"),
        ((3, 3), 0.5, float("inf"), 0.8, "radius is inf"),
        ((3, 3), 0.5, 1.0, 1.1, "valley is 1.1"),
    ],
)
def test_what_cannot_be_is_said(shape, threshold, radius, valley, message):
    with pytest.raises(ValueError, match=message):
        find_peaks(np.zeros(shape, np.float32), threshold, radius, valley)
