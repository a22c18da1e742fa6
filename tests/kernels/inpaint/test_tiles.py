"""Overlapping tiles."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint.tiles import OVERLAP, TILE, cut_into_tiles


@given(st.integers(1, 1500), st.integers(1, 700))
@settings(max_examples=40, deadline=None)
def test_the_shares_of_a_pixel_sum_to_one(ny, nx):
    total = np.zeros((ny, nx))
    for tile in cut_into_tiles(ny, nx):
        assert total[tile.place].shape == tile.share.shape
        assert max(tile.share.shape) <= max(1.5 * TILE, TILE + OVERLAP)
        total[tile.place] += tile.share
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_a_small_image_stays_in_one_piece():
    (tile,) = cut_into_tiles(256, 384)
    assert tile.place == (slice(0, 256), slice(0, 384))
    assert (tile.share == 1).all()
