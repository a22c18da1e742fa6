"""What a model draws as detections: bumps and regions, their places, sizes and scores."""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from livem.kernels.tracking.drawn import STRICT, detect_drawn
from livem.kernels.tracking.table import DETECTION, Flag

SHAPE = (64, 72)


def bumps(*particles, shape=SHAPE):
    """A heat map of particles (y, x, radius, height): Gaussians half a radius wide, of two the higher."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    heat = np.zeros(shape)
    for py, px, radius, height in particles:
        heat = np.maximum(heat, height * np.exp(-((y - py) ** 2 + (x - px) ** 2) / (2 * (radius / 2) ** 2)))
    return heat.astype(np.float32)


@seed(4)
@settings(max_examples=25, deadline=None)
@given(y=st.floats(24, 40), x=st.floats(24, 46), radius=st.floats(3, 9), height=st.floats(0.55, 1.0))
def test_a_bump_is_a_particle_of_its_place_and_size(y, x, radius, height):
    (row,) = detect_drawn(bumps((y, x, radius, height)), "heat_map")
    assert (row["y"], row["x"]) == pytest.approx((y, x), abs=0.15)
    assert row["radius"] == pytest.approx(radius, rel=0.12)
    assert row["score"] == pytest.approx(STRICT * height / 0.5, rel=0.06)
    assert row["flags"] == 0
    assert min(row["var_y"], row["var_x"], row["var_radius"]) > 0


def test_weak_bumps_may_only_continue_tracks_and_weaker_ones_are_none():
    rows = detect_drawn(bumps((15, 15, 6, 0.9), (15, 50, 6, 0.4), (50, 30, 6, 0.2)), "heat_map", 0.5)
    assert rows.dtype == DETECTION
    assert [bool(row["flags"] & Flag.WEAK) for row in rows] == [False, True]
    assert len(detect_drawn(bumps((15, 15, 6, 0.9), (15, 50, 6, 0.4)), "heat_map", 0.2)) == 2


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_region_of_a_mask_is_a_particle_of_its_shape(dtype):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask = (((x - 40) / 16) ** 2 + ((y - 30) / 8) ** 2 < 1).astype(dtype)
    (row,) = detect_drawn(mask, "mask")
    assert (row["y"], row["x"]) == pytest.approx((30, 40))
    assert row["area"] == row["mass"] == mask.astype(bool).sum()
    assert row["diameter"] == pytest.approx(2 * np.sqrt(row["area"] / np.pi))
    assert row["ellipticity"] == pytest.approx(0.5, abs=0.03)
    assert row["angle"] == pytest.approx(0, abs=1e-3)
    assert row["flags"] == Flag.FROM_MASK


@pytest.mark.parametrize("kind", ["heat_map", "mask"])
def test_nothing_is_found_where_nothing_is_drawn(kind):
    for empty in (np.zeros(SHAPE), np.full(SHAPE, np.nan), np.full(SHAPE, -np.inf)):
        assert len(detect_drawn(empty.astype(np.float32), kind)) == 0


def test_what_cannot_be_read_is_named():
    with pytest.raises(ValueError, match="give one plane"):
        detect_drawn(np.zeros((3, 4, 5)), "mask")
    with pytest.raises(ValueError, match="threshold is 0"):
        detect_drawn(np.zeros((3, 4)), "mask", 0)
    with pytest.raises(ValueError, match="give heat_map or mask"):
        detect_drawn(np.zeros((3, 4)), "image")
