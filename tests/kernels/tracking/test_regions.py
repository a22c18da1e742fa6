"""Regions of masks against scipy's, and the two ways to a mask."""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from particle_scenes import drawn
from scipy import ndimage

from livem.kernels.tracking.regions import adaptive_mask, clustered_mask, detect_mask, label
from livem.kernels.tracking.table import Flag


@seed(6)
@settings(max_examples=30, deadline=None)
@given(h=st.integers(1, 24), w=st.integers(1, 24), share=st.floats(0.1, 0.9), number=st.integers(0, 999))
def test_regions_are_scipys(h, w, share, number):
    mask = np.random.default_rng(number).random((h, w)) < share
    labels, n = label(mask)
    expected, m = ndimage.label(mask, np.ones((3, 3)))
    assert n == m
    np.testing.assert_array_equal(labels > 0, mask)
    assert len({*zip(labels.ravel().tolist(), expected.ravel().tolist(), strict=True)} - {(0, 0)}) == n


def test_a_region_is_measured_as_it_is():
    y, x = np.mgrid[:80, :90]
    mask = ((x - 40) / 20) ** 2 + ((y - 30) / 10) ** 2 < 1
    frame = np.where(mask, 60.0, 100.0)
    frame[30, 40] = np.nan
    (row,) = detect_mask(mask, frame)
    assert (row["y"], row["x"]) == pytest.approx((30, 40))
    assert row["area"] == mask.sum()
    assert row["mass"] == pytest.approx(40 * mask.sum())
    assert row["contrast"] == pytest.approx(-0.4)
    assert row["ellipticity"] == pytest.approx(0.5, abs=0.02)
    assert row["angle"] == pytest.approx(0, abs=1e-3)
    assert row["flags"] == Flag.FROM_MASK | Flag.INVALID_PIXELS


def test_small_regions_go_and_those_at_the_edge_are_flagged():
    mask = np.zeros((20, 20), bool)
    mask[5, 5] = mask[0:4, 10:14] = True
    (row,) = detect_mask(mask, np.ones((20, 20)))
    assert row["flags"] & Flag.EDGE
    assert len(detect_mask(np.zeros((9, 9), bool), np.ones((9, 9)))) == 0
    with pytest.raises(ValueError, match="one shape"):
        detect_mask(mask, np.ones((4, 4)))


@pytest.mark.parametrize("way", [adaptive_mask, clustered_mask])
def test_large_particles_are_found_as_regions(way):
    truth = [(60.0, 60.0, 24.0), (140.0, 140.0, 16.0)]
    frame = drawn((192, 192), truth, 24.0, 0.5, 200.0, False, np.random.default_rng(4))
    rows = detect_mask(way(frame, 20), frame, smallest=60)
    assert len(rows) == 2
    np.testing.assert_allclose(np.column_stack([rows["y"], rows["x"]]), np.array(truth)[:, :2], atol=1)
    np.testing.assert_allclose(rows["radius"], np.array(truth)[:, 2], rtol=0.2)
    assert not way(np.full((64, 64), 7.0), 5).any()
