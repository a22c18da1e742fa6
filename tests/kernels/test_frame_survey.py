"""What frames tell of their detector: sums and saturation, pixels that never change or always lead."""

from __future__ import annotations

from itertools import pairwise

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels import frame_survey, reference_survey
from livem.kernels.frame_survey import ALIVE, SHARP, dead_pixels, hot_pixels, survey, watch
from livem.kernels.reduce import DTYPES


def a_frame(rng, dtype, shape):
    frame = rng.integers(0, 9, shape).astype(dtype)
    if frame.dtype.kind == "f":
        frame[rng.random(shape) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    return frame


@settings(max_examples=80, deadline=None, derandomize=True)
@given(dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**32), masked=st.booleans())
def test_sums_and_saturation_agree_with_the_reference(dtype, seed, masked):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, 2))
    frame, live = a_frame(rng, dtype, shape), rng.random(shape) < 0.7 if masked else None
    for limit in (0.5, 3, 8, 9.0, np.inf):
        found = survey(frame, limit, live)
        wanted = reference_survey.survey(frame, limit, live=live)
        assert (found.pixels, found.reached) == (wanted[0], wanted[2])
        assert found.total == pytest.approx(wanted[1], rel=1e-12)


def test_the_largest_counts_are_told_apart_and_added_up():
    frame = np.full((300, 400), 2**32 - 1, np.uint32)
    frame[0, 0] -= 1
    found = survey(frame, 2.0**32 - 1)
    assert (found.pixels, found.reached) == (120_000, 119_999)
    assert found.total == 120_000 * (2**32 - 1) - 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**32))
def test_counters_agree_with_the_reference(dtype, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 20, 2))
    changes, leads = (np.zeros(shape, np.uint8) for _ in range(2))
    last = rng.integers(0, 3, shape).astype(dtype)
    changed = led = 0
    for _ in range(3):
        frame = rng.integers(0, 3, shape).astype(dtype)
        frame[rng.random(shape) < 0.1] = 100
        watch(frame, last, changes, leads)
        changed = changed + (frame != last)
        led = led + reference_survey.leads(frame, SHARP)
        last = frame
    np.testing.assert_array_equal(changes, changed)
    np.testing.assert_array_equal(leads, led)


def test_the_oracles_need_nothing_but_the_array_api():
    frame, live = np.random.default_rng(2).integers(0, 50, (7, 9)), np.arange(63).reshape(7, 9) % 3 > 0
    strict = [array_api_strict.asarray(array) for array in (frame, live)]
    assert reference_survey.survey(strict[0], 20.0, array_api_strict, strict[1]) == reference_survey.survey(
        frame, 20.0, live=live
    )
    found = reference_survey.leads(strict[0], 0.1, array_api_strict)
    np.testing.assert_array_equal(np.asarray(found), reference_survey.leads(frame, 0.1))


def watched(frames, live=None):
    """(dead, hot) after these frames, as sets of places."""
    changes, leads = (np.zeros(frames[0].shape, np.uint8) for _ in range(2))
    for last, frame in pairwise(frames):
        watch(frame, last, changes, leads)
    dead, hot = dead_pixels(changes, live, 99), hot_pixels(leads, len(frames) - 1, live, 99)
    assert (len(dead[0]), len(hot[0])) == (dead[1], hot[1])
    return tuple({tuple(place) for place in places.tolist()} for places, _ in (dead, hot))


def movie(mean, n=200, seed=0):
    return list(np.random.default_rng(seed).poisson(mean, (n, *np.shape(mean))).astype(np.uint16))


def test_dead_and_hot_pixels_are_found_among_noise():
    frames = movie(np.full((40, 50), 4.0))
    for frame in frames:
        frame[10, 11], frame[39, 20], frame[20, 20] = 0, 7, 500
        frame[5:9, 30] = 3
    dead, hot = watched(frames)
    assert dead == {(10, 11), (39, 20), (20, 20), *((y, 30) for y in range(5, 9))}
    assert hot == {(20, 20)}


def test_what_is_known_to_be_dead_is_not_told_and_hides_nothing():
    frames, live = movie(np.full((30, 30), 4.0)), np.ones((30, 30), bool)
    for frame in frames:
        frame[10, 11] = frame[10, 12] = 0
        frame[20, 20] = 900
    live[10, 11] = live[20, 20] = False
    assert watched(frames, live) == ({(10, 12)}, set())


@pytest.mark.parametrize("mean", [0.003, 0.05, 2.0])
def test_few_electrons_and_the_edge_of_a_disk_are_no_reason(mean):
    y, x = np.mgrid[:96, :96]
    disk = np.where(np.hypot(y - 48, x - 47) < 30, mean, 0.0)
    assert watched(movie(disk, 300)) == (set(), set())


def test_lattices_and_narrow_peaks_of_optics_are_not_hot():
    y, x = np.mgrid[:64, :64]
    lattice = 40 * np.exp(-((y % 8 - 4) ** 2 + (x % 8 - 4) ** 2) / (2 * 0.7**2)) + 1
    assert watched(movie(lattice)) == (set(), set())


def test_more_than_fit_are_counted():
    changes = np.full((40, 40), ALIVE, np.uint8)
    changes[2::4, 2::4] = 0
    places, count = dead_pixels(changes, None, 5)
    assert (len(places), count) == (5, 100)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_compiles_once_warm(dtype):
    frame_survey.warm_up(dtype)
    kernels = [frame_survey._survey, frame_survey._watch, frame_survey._dead, frame_survey._hot]
    known = [list(kernel.signatures) for kernel in kernels]
    frame, counter = np.ones((9, 9), dtype), np.zeros((9, 9), np.uint8)
    for live in (None, np.ones((9, 9), bool)):
        survey(frame, 3.0, live)
        dead_pixels(counter, live, 5)
        hot_pixels(counter, 32, live, 5)
    watch(frame, frame, counter, counter.copy())
    assert [list(kernel.signatures) for kernel in kernels] == known
