"""Displacements of blocks, and images moved by them."""

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from movie_scenes import disks

from livem.kernels.denoise import reference_movies as reference
from livem.kernels.denoise.flow import CELL, block_flow, cell_flow, moved


@seed(1)
@settings(max_examples=8, deadline=None)
@given(rows=st.integers(4, 14), columns=st.integers(4, 14), number=st.integers(0, 99))
def test_cells_move_as_their_reference_says(rows, columns, number):
    rng = np.random.default_rng(number)
    now, before = rng.normal(0, 1, (2, rows, columns)).astype(np.float32)
    wanted = reference.flow_of_cells(now.astype(float), before.astype(float))
    np.testing.assert_allclose(cell_flow(now, before), wanted, atol=1e-3)


@seed(2)
@settings(max_examples=20, deadline=None)
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), number=st.integers(0, 99))
def test_moving_is_its_reference(shape, number):
    rng = np.random.default_rng(number)
    image = rng.normal(0, 1, shape).astype(np.float32)
    flow = rng.uniform(-4, 4, (2, *shape)).astype(np.float32)
    flow[:, rng.random(shape) < 0.3] = 0
    np.testing.assert_allclose(moved(image, flow), reference.moved(image.astype(float), flow), atol=1e-5)


def test_what_rests_is_copied_to_the_bit():
    image = np.random.default_rng(0).normal(0, 1, (17, 5)).astype(np.float32)
    np.testing.assert_array_equal(moved(image, np.zeros((2, 17, 5), np.float32)), image)


@pytest.mark.parametrize("step", [(1.0, 0.0), (0.0, -2.0), (1.5, 1.3), (-0.5, 2.25)])
def test_a_disk_that_moves_is_followed(step):
    before, now = disks([(30, 30), (30 + step[0], 30 + step[1])], 8, 2.0)
    flow = block_flow(now, before)
    inside = now > 2
    for axis in (0, 1):
        assert np.median(flow[axis][inside]) == pytest.approx(-step[axis], abs=0.25)
    assert np.abs(flow[:, : 2 * CELL]).max() == 0


def test_noise_alone_does_not_move():
    rng = np.random.default_rng(0)
    now, before = rng.normal(0, 0.1, (2, 128, 128)).astype(np.float32)
    assert np.count_nonzero(block_flow(now, before)) == 0


def test_half_a_pixel_leaves_the_noise_that_is_said():
    noise = np.random.default_rng(0).standard_normal((200, 200), np.float32)
    flow = np.zeros((2, 200, 200), np.float32)
    flow[0] = 0.5
    assert moved(noise, flow)[2:-2].var() == pytest.approx(0.64, abs=0.02)
