"""Plain recursions against their weights."""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from livem.kernels.denoise import reference_movies as reference
from livem.kernels.denoise.recursions import Exponential, PixelKalman, RunningMean


@seed(5)
@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 40), gain=st.sampled_from([0.0, 0.1, 0.5, 1.0]), number=st.integers(0, 99))
def test_means_and_their_variances_are_their_weights(count, gain, number):
    frames = np.random.default_rng(number).normal(3, 1, (count, 2, 3)).astype(np.float32)
    recursion = Exponential(gain) if gain else RunningMean()
    weights = reference.memory(frames, gain)
    for frame in frames:
        found = recursion.add(frame)
    np.testing.assert_allclose(found.values, np.tensordot(weights, frames, 1), rtol=1e-5)
    np.testing.assert_allclose(found.variance, (weights**2).sum(), rtol=1e-5)


def test_kalman_is_its_textbook_and_without_wander_the_mean():
    frames = np.random.default_rng(0).normal(3, 1, (20, 4, 4)).astype(np.float32)
    kalman, still, mean = PixelKalman(0.3), PixelKalman(0.0), RunningMean()
    x, p = frames[0].astype(float), 1.0
    for i, frame in enumerate(frames):
        if i:
            gain = (p + 0.3) / (p + 1.3)
            x, p = x + gain * (frame - x), (1 - gain) * (p + 0.3)
        found = kalman.add(frame)
        np.testing.assert_allclose(found.values, x, rtol=1e-5)
        np.testing.assert_allclose(found.variance, p, rtol=1e-5)
        np.testing.assert_allclose(still.add(frame).values, mean.add(frame).values, rtol=1e-5)


@pytest.mark.parametrize("recursion", [RunningMean(), Exponential(), PixelKalman()])
def test_holes_wait_and_another_shape_begins_anew(recursion):
    frame = np.ones((3, 4), np.float32)
    frame[0, 0] = np.nan
    assert np.isnan(recursion.add(frame).values[0, 0])
    frame[:] = 2
    found = recursion.add(frame)
    assert found.values[0, 0] == 2
    assert found.variance[0, 0] == 1
    frame[1, 1] = np.inf
    np.testing.assert_array_equal(recursion.add(frame).values[1, 1], found.values[1, 1])
    np.testing.assert_array_equal(recursion.add(np.full((2, 2), 7, np.float32)).values, 7)
    recursion.reset()
    assert (recursion.add(frame).values[0] == 2).all()


def test_wrong_gains_are_told():
    with pytest.raises(ValueError, match="gain is 0"):
        Exponential(0)
    with pytest.raises(ValueError, match="wander is -1"):
        PixelKalman(-1)
