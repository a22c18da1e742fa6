"""Grids and what is built on them: the way up and down, and push-pull against its plain form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.inpaint import reference
from livem.kernels.inpaint.grids import cells, expand_row, grids, shrink
from livem.kernels.inpaint.pyramid import PushPull

SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))


def expanded(coarse, shape):
    mix, out = np.empty(coarse.shape[1] + 2, np.float32), np.empty(shape, np.float32)
    for i in range(shape[0]):
        expand_row(coarse, i, mix, out[i])
    return out


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 99))
def test_grids_are_left_as_their_matrices_say(shape, seed):
    rng = np.random.default_rng(seed)
    up = [reference.interpolation(n) for n in shape]
    coarse = rng.normal(size=tuple((n + 1) // 2 for n in shape)).astype(np.float32)
    fine = rng.normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(expanded(coarse, shape), up[0] @ coarse @ up[1].T, atol=1e-5)
    shrunk = np.full_like(coarse, np.nan)
    shrink(fine, shrunk)
    np.testing.assert_allclose(shrunk, up[0].T @ fine @ up[1], atol=1e-5)


def test_grids_end_with_one_cell_and_take_a_third_of_the_image():
    assert grids((1, 1)).shape == (0, 3)
    assert grids((5, 1)).tolist() == [[0, 3, 1], [3, 2, 1], [5, 1, 1]]
    assert cells(grids((1024, 1024))) == pytest.approx(1024**2 / 3, rel=1e-4)


@settings(max_examples=80, deadline=None)
@given(
    shape=SHAPES,
    seed=st.integers(0, 999),
    density=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    strength=st.sampled_from([0.0, 0.5, 20.0]),
)
def test_push_pull_is_its_plain_form(shape, seed, density, strength):
    rng = np.random.default_rng(seed)
    weight = ((rng.random(shape) < density) * rng.integers(1, 9, shape)).astype(np.float32)
    data = np.where(weight > 0, rng.normal(size=shape), np.nan).astype(np.float32)
    found = PushPull().solve(data[None], weight, strength=strength).image[0]
    wanted = reference.push_pull(data.astype(np.float64), weight.astype(np.float64), strength)
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    if strength == 0:
        np.testing.assert_array_equal(found[weight > 0], data[weight > 0])


def test_push_pull_runs_on_torch_alike():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    weight = (rng.random((9, 6)) < 0.3).astype(np.float64)
    data = rng.normal(size=(9, 6))
    found = reference.push_pull(torch.asarray(data), torch.asarray(weight), 0.5, torch)
    np.testing.assert_allclose(found.numpy(), reference.push_pull(data, weight, 0.5), atol=1e-12)


def test_nothing_known_is_nan_one_sample_a_constant_and_constants_stay():
    data, weight = np.full((2, 6, 5), np.nan, np.float32), np.zeros((6, 5), np.float32)
    assert np.isnan(PushPull().solve(data, weight).image).all()
    data[:, 4, 1], weight[4, 1] = (3.5, -2.0), 0.25
    image = PushPull().solve(data, weight).image
    assert (image == np.array([3.5, -2.0], np.float32)[:, None, None]).all()
    weight[:3] = 7
    data[:, :3] = data[:, 4:5, 1:2]
    np.testing.assert_allclose(PushPull().solve(data, weight).image, image, rtol=1e-6)


def test_values_at_the_ends_of_float32_neither_overflow_nor_vanish():
    rng = np.random.default_rng(1)
    weight = (rng.random((16, 16)) < 0.4).astype(np.float32)
    data = rng.uniform(1, 2, (1, 16, 16)).astype(np.float32)
    plain = PushPull().solve(data, weight).image
    for scale in (1e38, 1e-30):
        scaled = PushPull().solve(data * np.float32(scale), weight * np.float32(1e30)).image
        np.testing.assert_allclose(scaled, plain * np.float32(scale), rtol=1e-5)
