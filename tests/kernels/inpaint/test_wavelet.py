"""Wavelet soft thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.wavelet import HIGH, LOW, WaveletThresholds, threshold_details
from livem.stream.simulate.lattice import grow_crystal, projected_columns


def lattice(n=128):
    return projected_columns(grow_crystal((n, n), 14.0, 0))[0].astype(np.float32)


def sampled(truth, share, seed=0):
    weight = (np.random.default_rng(seed).random(truth.shape) < share).astype(np.float32)
    return np.where(weight > 0, truth, np.float32(1e6))[None], weight


def psnr(image, truth):
    return 10 * np.log10(np.ptp(truth) ** 2 / np.mean((image - truth) ** 2))


def reference(plane, levels, threshold):
    """The same by shifts of whole images, in double precision."""
    step, low, details = 1, plane.astype(float), []
    for _ in range(levels):
        bands = {}
        for names in ("ll", "lh", "hl", "hh"):
            ty, tx = (LOW if name == "l" else HIGH for name in names)
            column = sum(ty[k] * np.roll(low, -k * step, 0) for k in range(4))
            bands[names] = sum(tx[k] * np.roll(column, -k * step, 1) for k in range(4))
        low = bands.pop("ll")
        bound = threshold / (2 * step)
        details.append({n: np.sign(b) * np.maximum(np.abs(b) - bound, 0) for n, b in bands.items()})
        step *= 2
    for bands in reversed(details):
        step //= 2
        bands["ll"], low = low, 0
        for names, band in bands.items():
            ty, tx = (LOW if name == "l" else HIGH for name in names)
            column = sum(tx[k] * np.roll(band, k * step, 1) for k in range(4))
            low = low + sum(ty[k] * np.roll(column, k * step, 0) for k in range(4))
    return low


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.sampled_from([0.0, 0.05, 1.0]))
@settings(deadline=None)
def test_the_transform_is_its_definition_and_undone_without_a_threshold(ny, nx, levels, threshold):
    plane = np.random.default_rng(ny * nx).standard_normal((ny, nx)).astype(np.float32)
    found = threshold_details(plane, levels, threshold)
    np.testing.assert_allclose(found, reference(plane, levels, threshold), atol=1e-5)
    if not threshold:
        np.testing.assert_allclose(found, plane, atol=1e-5)


def test_ramps_have_no_details():
    assert HIGH.sum() == pytest.approx(0, abs=1e-6)
    assert HIGH @ np.arange(4) == pytest.approx(0, abs=1e-6)
    assert np.sum(LOW**2) == pytest.approx(0.5)


def test_holes_are_filled_and_samples_kept():
    truth = lattice()
    data, weight = sampled(truth, 0.4)
    solution = WaveletThresholds().solve(data, weight)
    np.testing.assert_array_equal(solution.image[0][weight > 0], truth[weight > 0])
    filled_with_mean = np.where(weight > 0, truth, truth.mean())
    assert psnr(solution.image[0], truth) > psnr(filled_with_mean, truth) + 8
    assert solution.converged


def test_a_strength_smooths_noise():
    truth, rng = lattice(), np.random.default_rng(0)
    noisy = (truth + rng.normal(0, 0.2, truth.shape)).astype(np.float32)
    data, weight = sampled(noisy, 0.5)
    exact, smooth = (WaveletThresholds().solve(data, weight, strength=s).image[0] for s in (0.0, 0.15))
    assert psnr(smooth, truth) > psnr(exact, truth) + 1


def test_bad_input_gives_a_defined_picture():
    data, weight = np.full((1, 9, 7), 3, np.float32), np.zeros((9, 7), np.float32)
    assert np.isnan(WaveletThresholds().solve(data, weight).image).all()
    weight[2, 2] = 1
    np.testing.assert_array_equal(WaveletThresholds().solve(data, weight).image, 3)
    data[0, 0, 0], weight[0, 0] = np.nan, 1
    assert np.isfinite(WaveletThresholds().solve(data, weight).image).all()
    with pytest.raises(ValueError, match="strength"):
        WaveletThresholds().solve(data, weight, strength=np.nan)
    with pytest.raises(ValueError, match="0 levels"):
        WaveletThresholds(levels=0)


def test_the_budget_is_kept():
    data, weight = sampled(lattice(), 0.3)
    assert WaveletThresholds().solve(data, weight, budget=Budget(iterations=3)).iterations == 3
    assert WaveletThresholds().solve(data, weight, budget=Budget(seconds=0.0)).iterations == 0
