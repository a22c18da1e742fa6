"""Regions of masks against scipy's, and the two ways to a mask."""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from particle_scenes import drawn, matched
from scipy import ndimage

from livem.kernels.tracking.options import DetectorOptions
from livem.kernels.tracking.regions import (
    RegionDetector,
    adaptive_mask,
    clustered_mask,
    detect_mask,
    label,
)
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


def plates(truth, shape=(160, 160), counts=60.0, contrast=0.4, dark=True, number=1):
    """Counts of blurred elliptic plates (y, x, half axes, angle of the first one) on an uneven ground."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    cover = np.zeros(shape)
    for py, px, a, b, angle in truth:
        along = (x - px) * np.cos(angle) + (y - py) * np.sin(angle)
        across = (y - py) * np.cos(angle) - (x - px) * np.sin(angle)
        cover = np.maximum(cover, (along / a) ** 2 + (across / b) ** 2 < 1)
    ground = 1 + 0.3 * np.sin(y / 90) * np.cos(x / 70)
    image = counts * ground * (1 + (-contrast if dark else contrast) * ndimage.gaussian_filter(cover, 0.8))
    return np.random.default_rng(number).poisson(image).astype(np.float32)


ELLIPSES = np.array(
    [(40, 42, 14, 7, 0.4), (45, 118, 10, 10, 0.0), (115, 40, 16, 6, -1.1), (118, 115, 9, 6, 1.4)]
)


@pytest.mark.parametrize("way", ["regions", "clusters"])
@pytest.mark.parametrize("dark", [True, False])
def test_ellipses_are_found_with_their_shapes(way, dark):
    options = DetectorOptions(radius=9, spread=0.2, polarity="dark" if dark else "bright")
    rows = RegionDetector((160, 160), options, way).detect(plates(ELLIPSES, dark=dark))
    rows = rows[rows["flags"] & Flag.WEAK == 0]
    pairs = matched(ELLIPSES, rows)
    assert len(rows) == len(pairs) == 4
    true, found = ELLIPSES[pairs[:, 0]], rows[pairs[:, 1]]
    np.testing.assert_allclose(np.column_stack([found["y"], found["x"]]), true[:, :2], atol=0.6)
    np.testing.assert_allclose(found["area"], np.pi * true[:, 2] * true[:, 3], rtol=0.15)
    np.testing.assert_allclose(found["ellipticity"], 1 - true[:, 3] / true[:, 2], atol=0.1)
    long = true[:, 2] > true[:, 3]
    off = (found["angle"] - true[:, 4])[long]
    np.testing.assert_allclose(np.sin(off), 0, atol=0.12)
    assert np.isfinite(rows["score"]).all()
    assert (np.diff(rows["score"]) <= 0).all()


def test_both_kinds_are_found_and_noise_rarely():
    frame = plates(ELLIPSES[:2]) + plates(ELLIPSES[2:], dark=False, number=2)
    options = DetectorOptions(radius=9, polarity="both")
    rows = RegionDetector((160, 160), options).detect(frame)
    strong = rows[rows["flags"] & Flag.WEAK == 0]
    assert sorted(np.sign(strong["contrast"]).tolist()) == [-1, -1, 1, 1]
    noise = np.random.default_rng(3).poisson(50, (20, 160, 160)).astype(np.float32)
    detector = RegionDetector((160, 160), DetectorOptions(radius=6))
    found = [detector.detect(frame) for frame in noise]
    assert sum(int((rows["flags"] & Flag.WEAK == 0).sum()) for rows in found) <= 20


def test_a_detector_of_regions_says_what_it_was_not_made_for():
    with pytest.raises(ValueError, match="this detector was made for"):
        RegionDetector((20, 20)).detect(np.zeros((20, 21)))
    with pytest.raises(ValueError, match="give regions or clusters"):
        RegionDetector((20, 20), way="blobs")
    assert len(RegionDetector((20, 20)).detect(np.full((20, 20), np.nan))) == 0
