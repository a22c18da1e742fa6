"""Held-out samples: which they are, and what their errors say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.hold_out import (
    FOLDS,
    HeldOut,
    error_of,
    fold_map,
    folds_needed,
    forget_fold,
    without_fold,
)


def test_folds_are_even_and_lie_anywhere():
    folds = fold_map((256, 300), seed=3)
    share = np.bincount(folds.ravel(), minlength=FOLDS) / folds.size
    assert share.shape == (FOLDS,)
    np.testing.assert_allclose(share, 1 / FOLDS, rtol=0.05)
    spectrum = np.abs(np.fft.rfft2((folds == 0) - share[0])) / np.sqrt(folds.size * share[0])
    assert spectrum.max() < 5  # no stripes: the tail of 38,000 exponentials ends at 3.2


def test_a_fold_depends_on_the_pixel_and_the_seed_alone():
    assert np.array_equal(fold_map((7, 9), 1), fold_map((7, 9), 1))
    assert not np.array_equal(fold_map((64, 64), 1), fold_map((64, 64), 2))
    np.testing.assert_array_equal(fold_map((64, 64), 1)[:32], fold_map((32, 64), 1))


def test_few_samples_need_more_folds():
    assert [folds_needed(n) for n in (0, 100, 6500, 19_999, 20_000, 10**7)] == [5, 5, 4, 2, 1, 1]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**32))
def test_errors_are_numpys(ny, nx, channels, seed):
    rng = np.random.default_rng(seed)
    folds = fold_map((ny, nx), seed)
    weight = rng.poisson(0.5, (ny, nx)).astype(np.float32)
    data, estimate = rng.normal(size=(2, channels, ny, nx)).astype(np.float32)
    found = error_of(estimate, data, weight, folds, 3)
    held = (folds == 3) & (weight > 0)
    squares = (weight * (estimate.astype(float) - data) ** 2)[:, held].sum(axis=1)
    np.testing.assert_allclose(found.squares, squares, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.signal, data[:, held].sum(axis=1, dtype=float), rtol=1e-5, atol=1e-5)
    assert found.pixels == held.sum()
    assert found.weight == weight[held].sum()
    assert not (without_fold(weight, folds, 3)[held]).any()


def test_the_noise_of_the_samples_is_taken_out_of_the_error():
    """An estimate that is off by 2 counts, held to Poisson samples of 1 to 9 visits."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(20, 60, (1, 512, 512))
    visits = rng.integers(1, 10, (512, 512))
    data = (rng.poisson(truth * visits) / visits).astype(np.float32)
    estimate = (truth + 2.0).astype(np.float32)
    folds = fold_map((512, 512))
    error = error_of(estimate, data, visits.astype(np.float32), folds, 0)
    error += error_of(estimate, data, visits.astype(np.float32), folds, 1)
    assert error.rmse()[0] > 3.0
    assert error.rmse_of_truth(1.0)[0] == pytest.approx(2.0, rel=0.05)


def test_nothing_held_out_is_no_number():
    none = HeldOut(np.zeros(2), np.zeros(2), 0.0, 0)
    assert np.isnan(none.rmse()).all()
    np.testing.assert_array_equal(none.rmse_of_truth(1.0), 0.0)


def test_a_start_forgets_what_it_will_be_asked():
    rng = np.random.default_rng(1)
    folds, weight = fold_map((30, 30)), np.ones((30, 30), np.float32)
    image = rng.normal(size=(1, 30, 30)).astype(np.float32)
    other = image.copy()
    other[:, folds == 4] += 100.0
    start, same = forget_fold(image, weight, folds, 4), forget_fold(other, weight, folds, 4)
    np.testing.assert_array_equal(start, same)
    np.testing.assert_array_equal(start[:, folds != 4], image[:, folds != 4])
