"""The drift of the field at 1 electron a pixel."""

import numpy as np
import pytest
from scipy import ndimage

from livem.benchmarks.inpaint_scenes import grains
from livem.kernels.denoise.drift import DriftTracker
from livem.kernels.noise import NoiseModel

MODEL = NoiseModel()


def drifting(rate, count=40, side=128, pattern=0.0, seed=0):
    """Places (n, 2) and stabilised frames of a crystal of 1 electron a pixel that drifts."""
    rng = np.random.default_rng(seed)
    margin = 40
    scene = 0.5 + 1.8 * grains(side + 2 * margin)
    places = np.arange(count)[:, None] * np.array(rate)
    sensitivity = 1 + pattern * rng.standard_normal((side, side))
    inside = slice(margin, margin + side)
    frames = [
        rng.poisson(np.maximum(ndimage.shift(scene, p, order=3)[inside, inside] * sensitivity, 0))
        for p in places
    ]
    return places, MODEL.stabilise(np.array(frames, np.float32))


def tracked(frames):
    tracker = DriftTracker()
    for frame in frames:
        tracker.add(frame)
    return tracker


@pytest.mark.parametrize("rate", [(0.0, 0.0), (0.5, 0.3), (-0.7, 0.1)])
def test_it_is_found_within_a_tenth_of_a_pixel(rate):
    places, frames = drifting(rate, side=192)
    error = (tracked(frames).curve - places)[10:]
    assert error.std(axis=0).max() < 0.08
    assert np.abs(error.mean(axis=0)).max() < 0.15, "where the first frame is, is no better known"


def test_a_pattern_of_the_detector_does_not_hold_it():
    places, frames = drifting((0.5, 0.3), pattern=0.05, side=192)
    assert np.abs(tracked(frames).curve - places)[10:].max() < 0.4


def test_steps_add_up_to_the_curve():
    tracker = DriftTracker()
    steps = [tracker.add(frame) for frame in drifting((0.4, -0.2), count=8)[1]]
    np.testing.assert_allclose(np.cumsum(steps, axis=0), tracker.curve, atol=1e-9)
    assert tracker.curve.shape == (8, 2)


def test_a_jump_is_found():
    _, frames = drifting((0.0, 0.0), count=20)
    jumped = [*frames[:12], *np.roll(frames[12:], (4, -3), axis=(1, 2))]
    np.testing.assert_allclose(tracked(jumped).curve[-1], (4, -3), atol=0.3)


def test_noise_and_constants_do_not_drift_and_say_that_nothing_is_known():
    rng = np.random.default_rng(0)
    noise = tracked(rng.standard_normal((20, 64, 64), np.float32))
    assert np.abs(noise.curve).max() < 1
    assert min(noise.uncertainty) > 5
    for value in (0.0, 255.0, np.nan):
        assert not tracked([np.full((40, 40), value, np.float32)] * 4).curve.any()


def test_dead_pixels_change_little():
    places, frames = drifting((0.5, 0.3), side=192)
    frames[:, 20:24] = np.nan
    assert np.abs(tracked(frames).curve - places)[10:].max() < 0.3


def test_one_frame_another_shape_and_small_ones():
    tracker = DriftTracker()
    for shape in [(40, 50), (50, 40), (50, 40), (1, 1), (1, 1), (2, 90), (2, 90)]:
        tracker.add(np.ones(shape, np.float32))
    assert tracker.curve.shape == (7, 2)
    assert not tracker.curve.any()
    with pytest.raises(ValueError, match="give \\(h, w\\)"):
        tracker.add(np.ones(3, np.float32))
