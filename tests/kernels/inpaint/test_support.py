"""Distance to samples, gaps between them, features finer than the gaps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livem.kernels.inpaint.support import distance_to, mean_around, sampling_gap, too_fine


def random_pattern(shape, share, seed=0):
    return np.random.default_rng(seed).random(shape) < share


def wave(period, n=160):
    y, x = np.mgrid[:n, :n]
    return (7 + np.sin(2 * np.pi * (0.8 * x + 0.6 * y) / period)).astype(np.float32)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)))
@settings(deadline=None, max_examples=300)
def test_distances_are_those_to_the_nearest_sample(sampled):
    y, x = np.mgrid[: sampled.shape[0], : sampled.shape[1]]
    wanted = np.full(sampled.shape, np.inf)
    for sy, sx in np.argwhere(sampled):
        wanted = np.minimum(wanted, np.hypot(y - sy, x - sx))
    np.testing.assert_array_equal(distance_to(sampled), wanted.astype(np.float32))


@pytest.mark.parametrize("share", [1e-4, 0.01, 0.3])
def test_distances_of_large_fields_are_scipys(share):
    ndimage = pytest.importorskip("scipy.ndimage")
    sampled = random_pattern((300, 517), share, 3)
    wanted = ndimage.distance_transform_edt(~sampled)
    np.testing.assert_allclose(distance_to(sampled), wanted, rtol=1e-6)


@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.floats(-5, 5, width=32)
    ),
    st.integers(1, 25),
)
@settings(deadline=None)
def test_box_means(values, radius):
    out = mean_around(values, radius)
    for y, x in np.ndindex(values.shape):
        box = values[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
        assert out[y, x] == pytest.approx(box.mean(dtype=np.float64), abs=1e-5)


@pytest.mark.parametrize("lines", [4, 8, 12])
def test_the_gap_of_lines_is_their_distance(lines):
    sampled = np.zeros((192, 192), bool)
    sampled[::lines] = True
    gap = sampling_gap(distance_to(sampled))
    assert np.median(gap) == pytest.approx(lines, rel=0.15)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.25])
def test_the_gap_of_random_samples_follows_their_density(share):
    gap = sampling_gap(distance_to(random_pattern((256, 256), share)))
    assert gap.mean() == pytest.approx(1.95 / np.sqrt(share), rel=0.12)


def test_the_gap_is_local_and_never_below_a_pixel():
    sampled = np.ones((64, 128), bool)
    sampled[:, 64:] = False
    sampled[::16, 64::16] = True
    gap = sampling_gap(distance_to(sampled))
    assert (gap[:, :50] == 1).all()
    assert gap[:, 80:].min() > 8
    assert np.isinf(sampling_gap(distance_to(np.zeros((4, 4), bool)))).all()


def test_waves_shorter_than_two_gaps_are_too_fine():
    gap = np.full((160, 160), 6, np.float32)
    for period, fine in ((8, True), (10, True), (15, False), (24, False), (60, False)):
        found, share = too_fine(wave(period), gap)
        assert found.shape == (160, 160)
        assert share > 0.95 if fine else share < 0.02, period


def test_only_the_part_with_the_gaps_is_too_fine():
    gap = np.full((160, 160), 2, np.float32)
    gap[:, 80:] = 9
    found, share = too_fine(wave(9), gap)
    assert not found[:, :80].any()
    assert found[:, 80:].mean() > 0.95
    assert share == pytest.approx(found.mean())


def test_flat_parts_and_unknown_ones_are_not_too_fine():
    image = np.full((96, 96), 5, np.float32)
    gap = np.full((96, 96), 9, np.float32)
    assert too_fine(image, gap)[1] == 0
    image += 0.001 * np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    image[:, :40] = wave(30)[:96, :40]
    assert not too_fine(image, gap)[0][:, 60:].any()
    image[:, 48:] = np.nan
    found, share = too_fine(image, gap)
    assert not found[:, 48:].any()
    assert np.isfinite(share)
    assert too_fine(np.full((5, 5), np.nan, np.float32), gap[:5, :5])[1] == 0


def test_without_samples_any_feature_is_too_fine():
    gap = sampling_gap(distance_to(np.zeros((160, 160), bool)))
    assert too_fine(wave(30), gap)[1] > 0.95
