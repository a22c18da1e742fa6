"""Movies: what is gained, what is followed, what is not believed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from movie_scenes import counted, disks, mean_square

from livem.kernels.denoise import reference_movies as reference
from livem.kernels.denoise.drift import DriftTracker
from livem.kernels.denoise.movies import GAINS, Memories, MovieFilter
from livem.kernels.denoise.spikes import SpikeFilter
from livem.kernels.noise import NoiseModel

MODEL = NoiseModel()


def filtered(frames, shifts=None):
    """Estimates in electrons, (n, h, w)."""
    movie = MovieFilter()
    shifts = [(0.0, 0.0)] * len(frames) if shifts is None else shifts
    found = [movie.add(MODEL.stabilise(f), s).values for f, s in zip(frames, shifts, strict=True)]
    return MODEL.unstabilise(np.array(found))


@seed(3)
@settings(max_examples=10, deadline=None)
@given(count=st.integers(1, 30), number=st.integers(0, 99))
def test_memories_and_their_noise_are_their_weights(count, number):
    frames = np.random.default_rng(number).normal(0, 1, (count, 3, 4)).astype(np.float32)
    memories = Memories()
    for frame in frames[:-1]:
        memories.add(frame)
    layers, noise = memories.differences(frames[-1]), memories.noise()
    levels = [np.eye(count)[-1], *(reference.memory(frames, gain) for gain in GAINS)]
    weights = [*(a - b for a, b in pairwise(levels)), levels[-1]]
    for layer, spread, weight in zip(layers, noise, weights, strict=True):
        if weight.any():
            np.testing.assert_allclose(layer, np.tensordot(weight, frames, 1), atol=1e-5)
            assert spread == pytest.approx(np.sqrt((weight**2).sum()), rel=1e-4, abs=2e-3)
    np.testing.assert_allclose(layers.sum(axis=0), frames[-1], atol=1e-5)


def test_what_rests_becomes_far_better_than_one_frame():
    truth = disks([(32, 32)] * 24, 9, 2.0)
    found = filtered(counted(truth))
    alone = filtered(counted(truth)[-1:])
    assert mean_square(found[-1], truth[-1]) < 0.45 * mean_square(alone[0], truth[-1])


def test_what_moves_is_not_smeared():
    """In a band around the particle the movie is as good as its frames alone, or better, at every step."""
    places = np.cumsum(np.random.default_rng(4).normal(0, 1.2, (24, 2)), axis=0) + 32
    truth = disks(places, 8, 2.0)
    frames = counted(truth)
    found = filtered(frames)[8:]
    alone = np.array([filtered(frame[None])[0] for frame in frames[8:]])
    y, x = np.mgrid[:64, :64]
    bands = np.array([np.abs(np.hypot(y - cy, x - cx) - 8) < 3 for cy, cx in places[8:]])
    assert mean_square(found[bands], truth[8:][bands]) < 0.8 * mean_square(alone[bands], truth[8:][bands])
    assert mean_square(found, truth[8:]) < 0.6 * mean_square(alone, truth[8:])


def test_a_particle_that_appears_is_there_in_its_first_frame():
    truth = disks([(32, 32)] * 12, 6, 0.0)
    truth[8:] = disks([(32, 32)] * 4, 6, 4.0)
    found = filtered(counted(truth))
    assert found[8, 29:36, 29:36].mean() > 0.8 * truth[8, 29:36, 29:36].mean()
    assert found[7, 29:36, 29:36].mean() < 1.3


def test_another_scene_begins_anew():
    before = counted(disks([(20, 20)] * 6, 9, 6.0))
    after = counted(disks([(44, 40)] * 3, 15, 9.0, base=3.0), 1)
    movie = MovieFilter()
    for frame in [*before, after[0]]:
        estimate = movie.add(MODEL.stabilise(frame))
    assert movie.frames == 1
    np.testing.assert_array_equal(estimate.values, MovieFilter().add(MODEL.stabilise(after[0])).values)


def test_a_bright_movie_that_moves_keeps_its_past():
    """What moves changes by more than the noise of many electrons, and is known nevertheless."""
    places = [[(20 + 0.9 * n, 24), (40, 44 - 0.8 * n)] for n in range(10)]
    truth = 40 + 10 * np.sum([disks([both[k] for both in places], 9, 40.0) for k in range(2)], axis=0)
    movie = MovieFilter()
    for frame in MODEL.stabilise(counted(truth.astype(np.float32))):
        movie.add(frame)
    assert movie.frames == 10


def test_a_drift_that_is_told_costs_little():
    resting = disks([(32, 32)] * 20, 8, 3.0)
    places = [(32 + 0.5 * i, 25 + 0.5 * i) for i in range(20)]
    drifting = disks(places, 8, 3.0)
    still = mean_square(filtered(counted(resting))[8:], resting[8:])
    shifts = [(0.0, 0.0)] + [(0.5, 0.5)] * 19
    assert mean_square(filtered(counted(drifting), shifts)[8:], drifting[8:]) < 1.5 * still


def test_the_same_frames_give_the_same_estimates_after_a_reset():
    frames = MODEL.stabilise(counted(disks([(30, 30)] * 3, 8, 2.0)))
    movie = MovieFilter()
    first = [movie.add(frame).values for frame in frames]
    movie.reset()
    for wanted, frame in zip(first, frames, strict=True):
        np.testing.assert_array_equal(movie.add(frame).values, wanted)


def test_holes_are_taken_from_the_past():
    truth = disks([(32, 32)] * 8, 9, 2.0)
    frames = MODEL.stabilise(counted(truth))
    frames[-1, 28:36] = np.nan
    frames[0, 3, 3] = np.inf
    movie = MovieFilter()
    for frame in frames:
        estimate = movie.add(frame)
        assert np.isfinite(estimate.values).all()
    assert mean_square(MODEL.unstabilise(estimate.values)[28:36], truth[-1, 28:36]) < 0.2


@pytest.mark.parametrize("value", [np.nan, 0.0, 512.0])
def test_empty_constant_and_saturated_frames(value):
    movie = MovieFilter()
    for _ in range(3):
        estimate = movie.add(np.full((20, 33), value, np.float32))
    np.testing.assert_allclose(estimate.values, np.nan_to_num(value), rtol=1e-5, atol=1e-5)
    assert np.isfinite(estimate.variance).all()


def test_another_shape_begins_anew_and_small_frames_do():
    movie = MovieFilter()
    movie.add(np.ones((30, 40), np.float32))
    for shape in [(40, 30), (1, 1), (3, 50)]:
        assert movie.add(np.ones(shape, np.float32)).values.shape == shape
        assert movie.frames == 1


def test_frames_of_the_ring_may_be_read_only_and_not_contiguous():
    frame = np.random.default_rng(0).poisson(3, (40, 30)).astype(np.float32).T
    frame.flags.writeable = False
    movie, tracker, cleaner = MovieFilter(), DriftTracker(), SpikeFilter(MODEL)
    for _ in range(2):
        cleaned = cleaner.add(frame)
        estimate = movie.add(frame, tracker.add(frame))
    assert cleaned.values.shape == estimate.values.shape == (30, 40)


def test_wrong_input_is_told():
    with pytest.raises(ValueError, match=r"\(3,\): give \(h, w\)"):
        MovieFilter().add(np.ones(3, np.float32))
    with pytest.raises(ValueError, match="finite px"):
        MovieFilter().add(np.ones((8, 8), np.float32), (np.nan, 0.0))


def test_any_number_of_threads_gives_the_same_estimates():
    frames = MODEL.stabilise(counted(disks([(30, 30), (31, 32), (33, 31)], 8, 2.0)))
    found = []
    for threads in (1, 3):
        movie = MovieFilter(threads)
        found.append([movie.add(frame).values for frame in frames])
        movie.close()
    np.testing.assert_array_equal(*found)
    with pytest.raises(ValueError, match="threads is 0"):
        MovieFilter(0)
