"""Masks against the geometry of the detector, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livem.kernels.masks import annulus, disk, frame_center, rectangle, row_runs

SHAPE = (9, 12)


def radii(shape, center):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - center[0], x - center[1])


def test_default_centre_is_the_middle_of_the_frame():
    assert frame_center((256, 256)) == (127.5, 127.5)
    assert frame_center((1, 1)) == (0.0, 0.0)
    np.testing.assert_array_equal(disk(SHAPE, 3), disk(SHAPE, 3, (4.0, 5.5)))


@pytest.mark.parametrize("center", [(4.0, 5.5), (0.0, 0.0), (-2.0, 14.5), (3.3, 7.1)])
def test_disk_and_annulus_follow_the_radius(center):
    r = radii(SHAPE, center)
    np.testing.assert_array_equal(disk(SHAPE, 4.2, center), r < 4.2)
    np.testing.assert_array_equal(annulus(SHAPE, 2.1, 5.3, center), (r >= 2.1) & (r < 5.3))


def test_edges_inner_belongs_outer_does_not():
    ring = annulus((1, 11), 2, 4, (0.0, 5.0))
    np.testing.assert_array_equal(np.flatnonzero(ring), [2, 3, 7, 8])
    np.testing.assert_array_equal(np.flatnonzero(disk((1, 11), 2, (0.0, 5.0))), [4, 5, 6])


def test_disk_and_annuli_tile_the_frame_without_overlap():
    parts = [disk(SHAPE, 3), annulus(SHAPE, 3, 6.5), annulus(SHAPE, 6.5, 100)]
    np.testing.assert_array_equal(np.sum(parts, axis=0), np.ones(SHAPE))


def test_rectangle_counts_pixel_centres():
    mask = rectangle(SHAPE, 2, 3, 4, 5)
    expected = np.zeros(SHAPE, bool)
    expected[2:6, 3:8] = True
    np.testing.assert_array_equal(mask, expected)
    assert not rectangle(SHAPE, 20, 3, 4, 5).any()


def test_negative_radius_is_empty():
    assert not disk(SHAPE, -1).any()
    assert not annulus(SHAPE, -2, -1).any()


@settings(deadline=None, derandomize=True)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_runs_are_the_mask(mask):
    runs = row_runs(mask)
    rebuilt = np.zeros(mask.shape, int)
    for y, x0, x1 in runs:
        assert x0 < x1
        rebuilt[y, x0:x1] += 1
    np.testing.assert_array_equal(rebuilt, mask)
    assert runs.dtype == np.int32
    order = [tuple(run[:2]) for run in runs]
    assert order == sorted(order)


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 30), st.integers(1, 30))
def test_whole_frame_is_one_run_a_row(h, w):
    np.testing.assert_array_equal(row_runs(np.ones((h, w))), [(y, 0, w) for y in range(h)])
