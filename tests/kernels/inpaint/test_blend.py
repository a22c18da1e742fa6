"""Mixing two estimates by what both were off by at the same samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.blend import LEAST_GAIN, Misses, mixture


def misses(off, importance=None) -> Misses:
    off = np.atleast_2d(np.asarray(off, np.float32))
    return Misses(off, np.ones(off.shape[1], np.float32) if importance is None else importance)


def test_independent_errors_are_mixed_by_their_squares():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1.0, 40_000), rng.normal(0, 2.0, 40_000)
    mixed = mixture(misses(first), misses(second))
    assert mixed.share == pytest.approx(0.2, abs=0.01)
    assert mixed.remains[0] == pytest.approx(0.8, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 50), st.floats(0.0, 3.0), st.integers(0, 2**32))
def test_a_mixture_is_never_worse_and_says_how_good_it_is(channels, count, along, seed):
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(channels, count)).astype(np.float32)
    second = (along * first + rng.normal(size=(channels, count))).astype(np.float32)
    importance = rng.random(count).astype(np.float32) + np.float32(0.1)
    mixed = mixture(misses(first, importance), misses(second, importance))
    assert 0 <= mixed.share <= 1
    assert mixed.remains.mean() <= 1 if mixed.share else (mixed.remains == 1).all()
    off = (1 - mixed.share) * first.astype(float) + mixed.share * second
    squares = [(importance * values.astype(float) ** 2).sum(axis=1) for values in (off, first)]
    np.testing.assert_allclose(mixed.remains, squares[0] / squares[1], rtol=1e-4, atol=1e-6)


def test_a_gain_that_is_not_worth_a_solve_is_left():
    rng = np.random.default_rng(0)
    first = rng.normal(size=10_000)
    worse = first + 0.9 * LEAST_GAIN * rng.normal(size=10_000)
    assert mixture(misses(first), misses(worse)).share == 0
    assert mixture(misses(first), misses(2 * first)).share == 0
    assert mixture(misses(first), misses(first)).share == 0
    assert mixture(misses(0 * first), misses(first)).share == 0


def test_folds_are_joined():
    joined = Misses.joined([misses([1.0, 2.0]), misses([3.0])])
    np.testing.assert_array_equal(joined.off, [[1.0, 2.0, 3.0]])
    assert joined.importance.shape == (3,)
