"""Tiles: every pixel from one of them, and the same answer as the whole frame's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from livem.consumers.models.tiles import Grid, Tiling

SIDES = st.integers(1, 75)


def pooled(planes, radius: int, factor: int):
    """What a UNet does to a frame: average pools of a grid, a convolution padded by zeros, back up again."""
    h, w = planes.shape[-2:]
    means = planes.reshape(-1, h // factor, factor, w // factor, factor).mean(axis=(2, 4))
    kernel = np.random.default_rng(1).random((2 * radius + 1, 2 * radius + 1))
    found = [ndimage.convolve(plane, kernel, mode="constant") for plane in means.astype(np.float64)]
    return np.repeat(np.repeat(found, factor, axis=-2), factor, axis=-1)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.tuples(SIDES, SIDES), st.integers(0, 2), st.sampled_from([1, 2, 4]), st.integers(0, 3))
def test_tiles_give_what_the_whole_frame_gives(shape, radius, factor, more):
    halo = radius * factor + factor - 1
    tiling = Tiling((2 * -(-halo // factor) + 1 + more) * factor, halo, factor)
    frame = np.random.default_rng(0).random((1, *shape), np.float32)
    whole, cut = (
        Grid.of(shape, Tiling(None, 0, factor), Tiling(None, 0, factor)),
        Grid.of(shape, tiling, tiling),
    )
    expected = whole.join(pooled(whole.cut(frame)[:, 0], radius, factor)[:, None])
    found = cut.join(np.stack([pooled(tile, radius, factor) for tile in cut.cut(frame)]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 500), st.integers(0, 20), st.sampled_from([1, 2, 8]), st.integers(1, 5))
def test_every_pixel_comes_from_exactly_one_tile(length, halo, multiple, more):
    margin = -(-halo // multiple) * multiple
    tiling = Tiling(2 * margin + more * multiple, halo, multiple)
    spans = tiling.spans(length)
    assert [span.first for span in spans] == [0, *(span.last for span in spans[:-1])]
    assert spans[-1].last == length
    assert len({span.stop - span.start for span in spans}) == 1
    for span in spans:
        assert span.start % multiple == 0
        assert span.first >= span.start + (halo if span.start else 0)
        assert span.last <= span.stop - (halo if span.stop < tiling.padded(length) else 0)


def test_a_fixed_size_pads_what_is_smaller_and_cuts_what_is_larger():
    tiling = Tiling(32, 4, 1, fixed=True)
    assert Grid.of((20, 32), tiling, tiling).tile_shape == (32, 32)
    assert len(Grid.of((50, 32), tiling, tiling)) == 2
    with pytest.raises(ValueError, match="leaves nothing for tiles"):
        Grid.of((50, 32), Tiling(32, 16, fixed=True), tiling)


def test_what_is_padded_mirrors_the_frame():
    frame = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    (tile,) = Grid.of((2, 3), Tiling(None, 0, 4), Tiling(None, 0, 4)).cut(frame)
    assert tile[0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [0, 1, 2, 2]]
