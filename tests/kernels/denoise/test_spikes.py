"""Spikes: all that are there, none that are not."""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from movie_scenes import counted, disks

from livem.kernels.denoise import reference_movies as reference
from livem.kernels.denoise.spikes import SpikeFilter, find_spikes, without
from livem.kernels.noise import NoiseModel

COUNTS = NoiseModel()


@seed(6)
@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    mean=st.sampled_from([0.05, 1.0, 20.0]),
    frames=st.sampled_from([1.0, 30.0]),
    number=st.integers(0, 999),
)
def test_it_is_its_reference(shape, mean, frames, number):
    rng = np.random.default_rng(number)
    model = NoiseModel(2.0, 10.0, 1.0)
    frame = (2 * rng.poisson(mean, shape) + 10).astype(np.float32)
    frame[rng.random(shape) < 0.1] += 100
    frame[rng.random(shape) < 0.1] = np.nan
    np.testing.assert_array_equal(
        find_spikes(frame, model, frames), reference.spikes(frame.astype(float), model, frames)
    )


@pytest.mark.parametrize("mean", [0.01, 0.3, 1.0, 5.0, 20.0, 1000.0])
def test_noise_has_none(mean):
    frame = np.random.default_rng(0).poisson(mean, (1000, 1000)).astype(np.float32)
    assert np.count_nonzero(find_spikes(frame, COUNTS)) <= 1


@pytest.mark.parametrize("mean", [0.1, 1.0, 5.0])
def test_hits_of_one_to_three_pixels_are_found_and_replaced(mean):
    rng = np.random.default_rng(1)
    frame = rng.poisson(mean, (128, 128)).astype(np.float32)
    hit = np.zeros(frame.shape, bool)
    for k, (y, x) in enumerate(np.ndindex(12, 12)):
        for dy, dx in [(0, 0), (0, 1), (1, 0)][: 1 + k % 3]:
            hit[10 * y + 5 + dy, 10 * x + 5 + dx] = True
    frame[hit] += 60 + 20 * mean
    found = find_spikes(frame, COUNTS)
    np.testing.assert_array_equal(found, hit)
    assert without(frame, found)[hit].max() <= mean + 4
    np.testing.assert_array_equal(without(frame, found)[~hit], frame[~hit])


@pytest.mark.parametrize("contrast", [3.0, 30.0, 300.0, 1e4])
@pytest.mark.parametrize("width", [0.7, 1.0, 2.0])
def test_no_particle_is_one(width, contrast):
    """Round spots from 1.6 px full width on, at any place between pixels and any brightness."""
    y, x = np.mgrid[:120, :120]
    rng = np.random.default_rng(2)
    truth = np.full((120, 120), 1.0)
    for cy, cx in np.ndindex(10, 10):
        place = 12 * np.array([cy, cx]) + 6 + rng.uniform(-0.5, 0.5, 2)
        truth += contrast * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * width**2))
    frames = rng.poisson(truth, (10, 120, 120)).astype(np.float32)
    assert sum(np.count_nonzero(find_spikes(frame, COUNTS)) for frame in frames) <= 1


def test_a_hot_pixel_that_no_frame_shows_is_found_in_time_and_a_particle_is_not():
    truth = disks([(30, 30)] * 60, 2.5, 4.0)
    truth[:, 50, 20] = 9.0
    cleaner = SpikeFilter(COUNTS)
    cleaned = [cleaner.add(frame) for frame in counted(truth)]
    assert np.argwhere(cleaner.hot).tolist() == [[50, 20]]
    assert cleaned[-1].spikes[50, 20]
    assert cleaned[-1].values[50, 20] < 4
    assert not any(one.spikes[26:35, 26:35].any() for one in cleaned)
    assert cleaner.replaced == sum(one.replaced for one in cleaned)


def test_bad_frames():
    cleaner = SpikeFilter(COUNTS)
    for shape, value in [((9, 9), np.nan), ((9, 9), 65535.0), ((9, 9), -4.0), ((1, 1), 9.0), ((3, 1), 0.0)]:
        cleaned = cleaner.add(np.full(shape, value, np.float32))
        np.testing.assert_array_equal(cleaned.values, np.full(shape, value, np.float32))
        assert cleaned.replaced == 0
    with pytest.raises(ValueError, match="give \\(h, w\\)"):
        cleaner.add(np.ones(3, np.float32))
