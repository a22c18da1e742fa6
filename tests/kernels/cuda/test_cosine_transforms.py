"""Sparse cosines by transforms: with numpy and scipy in the place of cupy, and with cupy on a GPU."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from livem.kernels.cuda.inpaint_cosine import CupyCosines
from livem.kernels.device import find_cuda
from livem.kernels.inpaint import reference
from livem.kernels.inpaint.cosine import SparseCosines
from livem.kernels.inpaint.cosine_problem import Field, Level
from livem.kernels.inpaint.solution import Budget

scipy_fft = pytest.importorskip("scipy.fft")
END = Budget(iterations=3000, tolerance=1e-6)


def a_lattice(shape=(2, 40, 36), share=0.25, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]]
    data = 7 + np.stack([np.sin(0.9 * y + c) * np.cos(0.8 * x) for c in range(shape[0])])
    weight = (rng.random(shape[1:]) < share) * rng.integers(1, 3, shape[1:])
    return data.astype(np.float32), weight.astype(np.float32)


def by_transforms() -> CupyCosines:
    return CupyCosines(np, scipy_fft)


@pytest.mark.parametrize("strength", [0.1, 0.4])
def test_they_minimise_the_same(strength):
    data, weight = a_lattice((1, 40, 36))
    level, field = Level.of(data[0][weight > 0], weight[weight > 0], strength), Field(weight)
    rows, columns = field.y.shape[1], field.x.shape[1]
    threshold = field.threshold(level)
    least = []
    for solver in (by_transforms(), SparseCosines()):
        image = solver.solve(data, weight, None, strength, END).image[0] - level.mean
        found = reference.cosines(40, rows).T @ image @ reference.cosines(36, columns)
        least.append(
            reference.cosine_objective(found, data[0] - level.mean, weight / weight.max(), threshold)
        )
    assert least[0] == pytest.approx(least[1], rel=1e-3)


def test_the_images_of_several_channels_and_tiles():
    data, weight = a_lattice((2, 400, 30))
    for start in (None, np.full_like(data, 7)):
        found = by_transforms().solve(data, weight, start, 0.2, END).image
        expected = SparseCosines().solve(data, weight, start, 0.2, END).image
        assert np.abs(found - expected).max() < 0.02 * data.std()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_unit_of_the_samples_does_not_matter(scale):
    data, weight = a_lattice((1, 40, 36))
    for start in (None, data):
        expected = by_transforms().solve(data, weight, start, 0.2).image
        begun = None if start is None else start * np.float32(scale)
        found = by_transforms().solve(data * np.float32(scale), weight, begun, 0.2).image
        np.testing.assert_allclose(found / np.float32(scale), expected, rtol=1e-3)


def test_strength_0_keeps_the_samples():
    data, weight = a_lattice()
    found = by_transforms().solve(data, weight).image
    np.testing.assert_array_equal(found[:, weight > 0], data[:, weight > 0])


def test_no_samples_and_equal_ones():
    data, weight = np.full((1, 8, 9), 3, np.float32), np.zeros((8, 9), np.float32)
    assert np.isnan(by_transforms().solve(data, weight).image).all()
    np.testing.assert_array_equal(by_transforms().solve(data, weight + 1).image, data)


def test_budgets_are_kept():
    data, weight = a_lattice()
    assert by_transforms().solve(data, weight, None, 0.1, Budget(iterations=5)).iterations == 5
    assert by_transforms().solve(data, weight, None, 0.1, Budget(seconds=0.0)).iterations == 0


@pytest.mark.gpu
@pytest.mark.skipif(find_cuda().name is None, reason=find_cuda().text)
@pytest.mark.skipif(find_spec("cupy") is None, reason="cupy is not installed")
def test_on_a_gpu():
    data, weight = a_lattice((2, 256, 256), 0.1)
    found = CupyCosines().solve(data, weight, None, 0.2, END).image
    expected = by_transforms().solve(data, weight, None, 0.2, END).image
    assert np.abs(found - expected).max() < 1e-3 * data.std()
