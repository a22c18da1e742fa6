"""Held-out samples: which they are, and what their errors say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.hold_out import (
    FOLDS,
    HeldOut,
    blocks_for,
    error_of,
    fold_map,
    folds_needed,
    forget_fold,
    importance_of,
    without_fold,
)
from livem.kernels.noise import NoiseModel


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
    assert [folds_needed(n) for n in (0, 100, 16_000, 80_000, 160_000, 10**7)] == [12, 12, 10, 2, 1, 1]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**32))
def test_errors_are_numpys(ny, nx, channels, seed):
    rng = np.random.default_rng(seed)
    folds = fold_map((ny, nx), seed)
    weight = rng.poisson(0.5, (ny, nx)).astype(np.float32)
    data, estimate = rng.normal(size=(2, channels, ny, nx)).astype(np.float32)
    found = error_of(estimate, data, weight, weight, folds, 3)
    held = (folds == 3) & (weight > 0)
    squares = (weight * (estimate.astype(float) - data) ** 2)[:, held].sum(axis=1)
    np.testing.assert_allclose(found.squares, squares, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.signal, data[:, held].sum(axis=1, dtype=float), rtol=1e-5, atol=1e-5)
    assert found.pixels == held.sum()
    assert found.importance == weight[held].sum()
    assert found.visits == pytest.approx(held.sum())
    assert not (without_fold(weight, folds, 3)[held]).any()


def test_the_noise_of_the_samples_is_taken_out_of_the_error():
    """An estimate that is off by 2 counts, held to Poisson samples of 1 to 9 visits."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(20, 60, (1, 512, 512))
    visits = rng.integers(1, 10, (512, 512))
    data = (rng.poisson(truth * visits) / visits).astype(np.float32)
    estimate = (truth + 2.0).astype(np.float32)
    folds = fold_map((512, 512))
    weight = visits.astype(np.float32)
    for importance in (weight, np.ones_like(weight), importance_of(weight)):
        error = error_of(estimate, data, weight, importance, folds, 0)
        error += error_of(estimate, data, weight, importance, folds, 1)
        assert error.rmse()[0] > 3.0
        assert error.rmse_of_truth(NoiseModel())[0] == pytest.approx(2.0, rel=0.07)
        assert not error.is_exact(NoiseModel())
        assert error.is_exact(NoiseModel(1e-3))
        assert error.is_exact(NoiseModel(offset=60.0))  # no electrons, no noise


def test_what_is_held_out_is_as_far_as_the_holes_are():
    """Lines of adjacent samples 9 px apart: single pixels have neighbours, blocks have not."""
    weight = np.zeros((128, 128), np.float32)
    weight[4::9] = 1.0
    assert np.isin(blocks_for(weight), (6, 8)).all()
    scattered = (np.random.default_rng(0).random((128, 128)) < 0.2).astype(np.float32)
    assert (blocks_for(scattered) == 1).all()
    assert blocks_for(np.zeros((9, 9), np.float32)) == blocks_for(np.ones((9, 9), np.float32)) == 1


def test_each_part_of_a_field_has_its_own_blocks():
    """Lines 3 px apart on one side, 9 px on the other."""
    weight = np.zeros((128, 256), np.float32)
    weight[1::3, :128] = weight[4::9, 128:] = 1.0
    blocks = blocks_for(weight)
    assert blocks.shape == (4, 8)
    assert (blocks[:, :3] <= 3).all()
    assert np.isin(blocks[:, 5:], (6, 8)).all()
    folds = fold_map(weight.shape, 0, blocks)
    single = fold_map(weight.shape, 0, int(blocks[0, 6]))
    np.testing.assert_array_equal(folds[:32, 192:224], single[:32, 192:224])


def test_sparse_parts_count_as_much_as_dense_ones():
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(256) < 128, 0.5, 0.05)
    weight = (rng.random((256, 256)) < chance).astype(np.float32)
    importance = importance_of(weight)
    assert (importance[weight == 0] == 0).all()
    left, right = importance[:, :100].sum(), importance[:, 156:].sum()
    assert left == pytest.approx(right, rel=0.05)


def test_nothing_held_out_is_no_number():
    none = HeldOut(np.zeros(2), np.zeros(2), 0.0, 0.0, 0)
    assert np.isnan(none.rmse()).all()
    assert np.isnan(none.rmse_of_truth(NoiseModel())).all()


def test_a_start_forgets_what_it_will_be_asked():
    rng = np.random.default_rng(1)
    folds, weight = fold_map((30, 30)), np.ones((30, 30), np.float32)
    image = rng.normal(size=(1, 30, 30)).astype(np.float32)
    other = image.copy()
    other[:, folds == 4] += 100.0
    start, same = forget_fold(image, weight, folds, 4), forget_fold(other, weight, folds, 4)
    np.testing.assert_array_equal(start, same)
    np.testing.assert_array_equal(start[:, folds != 4], image[:, folds != 4])
