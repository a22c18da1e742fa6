"""Shrinkage of patches against its oracle."""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from livem.kernels.denoise import reference_movies as reference
from livem.kernels.denoise.patches import Patches


@seed(0)
@settings(max_examples=12, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 21), st.integers(1, 21)),
    patches=st.sampled_from([Patches(8, 2), Patches(8, 4), Patches(8, 8), Patches(16, 4), Patches(32, 16)]),
    layers=st.integers(1, 3),
    weigh=st.booleans(),
    number=st.integers(0, 99),
)
def test_it_is_its_reference(shape, patches, layers, weigh, number):
    rng = np.random.default_rng(number)
    stack = rng.normal(2, 3, (layers, *shape)).astype(np.float32)
    pilot = rng.normal(2, 3, (layers, *shape)).astype(np.float32)
    noise = rng.uniform(0.2, 2, layers).astype(np.float32)
    found = patches.weigh(stack, pilot, noise) if weigh else patches.cut(stack, noise)
    wide = stack.astype(float), pilot.astype(float) if weigh else None, noise.astype(float)
    values, variance = reference.shrunk(*wide, patches.side, patches.step)
    np.testing.assert_allclose(found.values, values, atol=2e-4)
    np.testing.assert_allclose(found.variance, variance, rtol=2e-4)


@pytest.mark.parametrize("value", [0.0, 3.0, 1e4])
def test_a_constant_stays(value):
    found = Patches(8, 2).cut(np.full((1, 20, 31), value, np.float32), np.ones(1, np.float32))
    np.testing.assert_allclose(found.values, value, rtol=1e-5, atol=1e-6)


def test_noise_becomes_less_and_the_variance_says_how_much():
    noise = np.random.default_rng(0).standard_normal((1, 96, 96), np.float32)
    found = Patches(8, 2).cut(noise, np.ones(1, np.float32))
    values, variance = found.values, found.variance
    assert float((values**2).mean()) < 0.05
    assert 0.2 < float((values**2).mean()) / variance.mean() < 2
