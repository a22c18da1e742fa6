"""Run by test_simulator.py in a process of its own, in which numba simulates the device.

Not collected by itself: the simulator has to be chosen before numba is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import config, cuda

sys.path.insert(0, str(Path(__file__).parent))
import turns  # noqa: F401 - or its threads wait for each other most of the time
from hypothesis import given, settings
from hypothesis import strategies as st
from inpaint_cases import assert_alike, samples

from livem.benchmarks import gpu_plates
from livem.kernels.cuda import inpaint, inpaint_kernels
from livem.kernels.cuda.inpaint import CudaThinPlate
from livem.kernels.inpaint.solution import Budget
from livem.kernels.inpaint.thin_plate import ThinPlate

assert config.ENABLE_CUDASIM, "NUMBA_ENABLE_CUDASIM=1 has to be set before numba is imported"

FEW = Budget(iterations=2, tolerance=1e-5)
"""Enough to see every kernel's mistake: from the second on each image depends on all of them."""


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    """So that tiny images have several."""
    for module, name, value in (
        (inpaint_kernels, "ROWS", 4),
        (inpaint_kernels, "COLUMNS", 4),
        (inpaint_kernels, "TILE", (8, 8)),
        (inpaint, "ROWS", 4),
        (inpaint, "COLUMNS", 4),
    ):
        monkeypatch.setattr(module, name, value)


def a_plate(threads: int = 1, blocks: int = 1, **how: Any) -> CudaThinPlate:
    """Of few threads, each of which is one of Python's here."""
    return CudaThinPlate(threads=threads, blocks=blocks, **{"bottom_cells": 4, **how})


@pytest.mark.parametrize(
    ("shape", "strength"),
    [
        *(((1, ny, 5), strength) for ny, strength in ((5, 0.0), (9, 0.5))),
        *(((2, 5, 3), strength) for strength in (0.0, 5.0)),
        *((shape, 0.5) for shape in ((1, 1, 7), (1, 6, 1), (1, 2, 2), (1, 1, 1))),
    ],
)
def test_the_device_agrees_with_the_processor(shape, strength):
    plate = a_plate(blocks=2 if max(shape[1:]) > 4 else 1)
    assert_alike(plate, *samples(shape, counts=True), strength=strength, budget=FEW)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 3), st.integers(3, 14), st.integers(3, 14)),
    st.sampled_from([0.0, 1e-3, 0.5]),
    st.sampled_from([0.4, 1.0]),
    st.booleans(),
    st.sampled_from([(1, 1, 4), (1, 3, 16), (2, 1, 1), (4, 2, 4)]),
    st.integers(0, 2**32),
)
def test_images_of_any_shape_agree(shape, strength, share, counts, how, seed):
    """With grids that one block does alone from any level on.

    Not of two or three samples, nor of strengths where three iterations decide nothing: rounding is then more
    than 1e-4 of the samples' spread.
    """
    threads, blocks, bottom_cells = how
    data, weight = samples(shape, share, counts, seed)
    assert_alike(a_plate(threads, blocks, bottom_cells=bottom_cells), data, weight, None, strength, FEW)


def test_till_the_end_with_several_threads():
    found = assert_alike(a_plate(2), *samples((1, 5, 6)), budget=Budget(tolerance=1e-4))
    assert found.converged
    assert found.residual <= 1e-4


@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_from_a_start_with_the_same_buffers(strength):
    plate = a_plate()
    for seed in range(2):
        data, weight = samples((1, 3, 5), seed=seed)
        start = np.full_like(data, 38)
        assert_alike(plate, data, weight, start, strength, FEW)


def test_strengths_weights_and_scales_of_all_sizes():
    plate = a_plate()
    data, weight = samples((1, 3, 5), counts=True)
    for factor, dose, strength in ((1e12, 1.0, 1e9), (1e-12, 1e6, 1e-9), (1.0, 1e-6, 1e-4)):
        assert_alike(
            plate, data * np.float32(factor), weight * np.float32(dose), strength=strength, budget=FEW
        )


def test_a_free_plate():
    assert_alike(a_plate(tension=0.0), *samples((1, 5, 4)), strength=1.0, budget=FEW, tension=0.0)


def test_samples_that_are_none():
    data, weight = samples((2, 4, 5))
    data[1].flat[np.flatnonzero(weight)[:2]] = np.nan, np.inf
    weight.flat[np.flatnonzero(weight)[2:4]] = -1, np.nan
    found = a_plate().solve(data, weight, None, 1.0, FEW)
    expected = ThinPlate().solve(data, weight, None, 1.0, FEW)
    np.testing.assert_allclose(found.image, expected.image, atol=1e-3)


def test_no_samples_one_and_equal_ones():
    data, weight = np.full((1, 3, 4), 7, np.float32), np.zeros((3, 4), np.float32)
    assert np.isnan(a_plate().solve(data, weight).image).all()
    weight[1, 1] = 1
    for strength in (0.0, 1.0):
        for known in (weight, weight + 1):
            found = a_plate().solve(data, known, None, strength)
            np.testing.assert_array_equal(found.image, data)
            assert (found.iterations, found.residual, found.converged) == (0, 0.0, True)


def test_arrays_of_the_device_are_taken():
    data, weight = samples((1, 3, 4))
    on_card, dose, start = (cuda.to_device(array) for array in (data, weight, np.zeros_like(data)))
    found = a_plate().solve(on_card, dose, start, 0.5, FEW)
    expected = a_plate().solve(data, weight, np.zeros_like(data), 0.5, FEW)
    np.testing.assert_array_equal(found.image, expected.image)


def test_budgets_are_kept():
    data, weight = samples((1, 5, 5))
    assert a_plate().solve(data, weight, None, 0.0, Budget(iterations=0)).iterations == 0
    assert a_plate().solve(data, weight, None, 0.0, Budget(seconds=0.0)).iterations == 0


def test_arguments_that_do_not_fit_are_refused():
    data, weight = samples((1, 4, 5))
    plate = a_plate()
    with pytest.raises(ValueError, match="weight is"):
        plate.solve(data, weight[1:])
    with pytest.raises(ValueError, match="strength is"):
        plate.solve(data, weight, strength=-1)
    with pytest.raises(ValueError, match="not finite"):
        plate.solve(data, weight, data * np.float32("nan"))
    with pytest.raises(ValueError, match="start is"):
        plate.solve(data, weight, cuda.to_device(data[:, 1:]))
    with pytest.raises(ValueError, match="power of two"):
        CudaThinPlate(threads=3)
    with pytest.raises(ValueError, match="tension"):
        CudaThinPlate(-1.0)


def test_the_benchmark_runs_and_finds_both_alike():
    how = (("threads", 1), ("blocks", 1))
    measured = gpu_plates.measure(gpu_plates.Plan((6,), 1, how))
    (row,) = measured["rows"]
    assert {"case", "CPU cold", "CPU warm", "GPU cold", "GPU warm", "x the CPU"} == set(row)
    assert all(gate["ok"] for gate in measured["gates"])
