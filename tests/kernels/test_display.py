"""What a display shows: areas, never picked pixels; contrast that survives odd frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels import display, reference
from livem.kernels.display import levels, live_areas, reduce_for_display, to_uint8
from livem.kernels.reduce import DTYPES


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 23), st.integers(1, 23)),
    limit=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32),
    bad=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_fault_07_areas_agree_with_the_reference(shape, limit, dtype, seed, bad):
    rng = np.random.default_rng(seed)
    frame = (rng.random(shape) * 200).astype(dtype)
    if frame.dtype.kind == "f":
        frame[rng.random(shape) < bad] = rng.choice([np.nan, np.inf, -np.inf])
    mean, factor = reduce_for_display(frame, limit, "mean")
    peak, same = reduce_for_display(frame, limit, "max")
    assert factor == same == max(1, -(-shape[0] // limit[0]), -(-shape[1] // limit[1]))
    if factor == 1:
        np.testing.assert_array_equal(mean, frame)
        np.testing.assert_array_equal(peak, frame)
        return
    np.testing.assert_allclose(mean, reference.area_mean(frame, factor), rtol=1e-6)
    np.testing.assert_array_equal(peak, reference.area_max(frame, factor))
    assert (mean.dtype, peak.dtype) == (np.float32, frame.dtype)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 23), st.integers(1, 23)),
    limit=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32),
    dead=st.sampled_from([0.05, 0.5, 0.95, 1.0]),
)
def test_masked_areas_agree_with_the_reference_whatever_dead_pixels_hold(shape, limit, dtype, seed, dead):
    rng = np.random.default_rng(seed)
    frame = (rng.random(shape) * 200 - 100).astype(dtype) if dtype[0] != "u" else rng.integers(0, 99, shape)
    frame = frame.astype(dtype)
    live = rng.random(shape) >= dead
    extremes = [np.nan, np.inf, -np.inf] if frame.dtype.kind == "f" else [np.iinfo(dtype).max]
    frame[~live] = rng.choice(np.array(extremes, dtype), np.count_nonzero(~live))
    mean, factor = reduce_for_display(frame, limit, "mean", live)
    peak, _ = reduce_for_display(frame, limit, "max", live)
    shown = live_areas(live, factor)
    expected_mean, expected_peak = (
        f(frame, factor, live=live) for f in (reference.area_mean, reference.area_max)
    )
    np.testing.assert_array_equal(shown, np.isfinite(expected_peak))
    np.testing.assert_allclose(mean[shown], expected_mean[shown], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(peak[shown], expected_peak[shown])
    assert (np.isnan(peak[~shown]) if peak.dtype.kind == "f" else peak[~shown] == 0).all()


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(4, 4\)"):
        reduce_for_display(np.zeros((4, 4)), live=np.ones((3, 4), bool))


def test_image_is_a_copy_that_outlives_the_frame():
    frame = np.arange(12, dtype=np.uint16).reshape(3, 4)
    image, factor = reduce_for_display(frame)
    frame[:] = 0
    assert factor == 1
    assert image[2, 3] == 11


def test_single_electron_events_survive_the_maximum():
    frame = np.zeros((1024, 1000), np.uint16)
    events = [(0, 0), (17, 999), (1023, 0), (1023, 999), (511, 512)]
    for y, x in events:
        frame[y, x] = 1
    image, factor = reduce_for_display(frame, (128, 128), "max")
    assert factor == 8
    assert image.sum() == len(events)
    assert all(image[y // 8, x // 8] == 1 for y, x in events)


def test_fine_lattice_does_not_alias_in_the_mean():
    x = np.arange(512)
    lattice = np.tile(1000 + 800 * np.cos(2 * np.pi * x / 3.9), (512, 1)).astype(np.uint16)
    image, factor = reduce_for_display(lattice, (128, 128), "mean")
    picked = lattice[::factor, ::factor].astype(float)
    assert factor == 4
    assert np.ptp(image) < 0.05 * np.ptp(picked)


def test_mean_of_saturated_counts_is_right():
    frame = np.full((64, 64), 2**32 - 1, np.uint32)
    image, _ = reduce_for_display(frame, (8, 8), "mean")
    np.testing.assert_array_equal(image, np.float32(2**32 - 1))


@pytest.mark.parametrize("mode", display.MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("masked", [False, True])
def test_nothing_compiles_once_warm(dtype, mode, masked):
    display.warm_up(dtype)
    kernel = display._area_mean if mode == "mean" else display._area_max
    known = list(kernel.signatures)
    frame = np.ones((9, 9), dtype)
    live = np.ones((9, 9), bool) if masked else None
    reduce_for_display(frame, (4, 4), mode, live)
    frame.flags.writeable = False
    reduce_for_display(frame, (4, 4), mode, live)
    reduce_for_display(frame[:, ::2], (4, 4), mode, None if live is None else live[:, ::2])
    assert list(kernel.signatures) == known


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"'median'.*mean, max"):
        reduce_for_display(np.zeros((4, 4)), mode="median")
    with pytest.raises(ValueError, match=r"\(1, 4, 4\)"):
        reduce_for_display(np.zeros((1, 4, 4)))


def test_levels_follow_the_percentiles():
    lo, hi = levels(np.arange(1001.0), 1, 99)
    assert (lo, hi) == pytest.approx((10, 990))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.zeros((0, 4)), (0, 1)),
        (np.full((4, 4), np.nan), (0, 1)),
        (np.full((4, 4), 7), (7, 8)),
        (np.array([[np.nan, 3.0, np.inf]]), (3, 4)),
    ],
)
def test_fault_07_levels_of_odd_images(image, expected):
    assert levels(image) == expected


def test_levels_of_rare_events_reach_the_events():
    image = np.zeros((100, 100), np.uint16)
    image[3, 4] = 5
    assert levels(image) == (0, 5)


@settings(derandomize=True, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_levels_of_any_constant_are_apart(value):
    lo, hi = levels(np.full((2, 2), value))
    assert lo < hi < np.inf


def test_to_uint8_ends_and_gamma():
    image = np.array([[-1.0, 0, 5, 10, 11, np.nan, np.inf, -np.inf]])
    np.testing.assert_array_equal(to_uint8(image, 0, 10)[0], [0, 0, 128, 255, 255, 0, 255, 0])
    assert to_uint8(image, 0, 10, gamma=0.5)[0, 2] == round(255 * 0.5**0.5)
    with pytest.raises(ValueError, match="lo < hi"):
        to_uint8(image, 3, 3)
