"""The oracles keep to the array API: a namespace that has nothing else gives what numpy gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest

from livem.kernels import reference
from livem.kernels.inpaint import reference as sparse
from livem.kernels.reduce import DTYPES

RNG = np.random.default_rng(5)
MASK = RNG.random((7, 9)) < 0.6
WEIGHTS = RNG.integers(-3, 4, (7, 9))
BINS = RNG.integers(0, 4, (7, 9))
IMAGE = RNG.normal(size=(6, 5))
SAMPLED = (RNG.random((6, 5)) < 0.5).astype(np.float64)
FEW = RNG.normal(size=(3, 2))


def frames_of(dtype: str) -> np.ndarray:
    """Four frames, one of them empty; among floats some pixels that are not finite."""
    frames = RNG.poisson(20.0, (4, 7, 9)).astype(dtype)
    frames[2] = 0
    if frames.dtype.kind == "f":
        frames[0, 1], frames[1, 2, 3], frames[3] = np.nan, np.inf, np.nan
    return frames


def same(oracle: Callable[..., Any], *arguments: Any) -> None:
    """With arrays of numpy, and with those of the strict namespace."""
    taken = [array_api_strict.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
    found, wanted = oracle(*taken, xp=array_api_strict), oracle(*arguments)
    if isinstance(wanted, int):
        assert found == wanted
        return
    found = np.asarray(found)
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_frames(dtype: str) -> None:
    frames = frames_of(dtype)
    for mask in (MASK, np.zeros_like(MASK)):
        same(reference.detector_sum, frames, mask)
        same(reference.excluded, frames, mask)
        same(reference.center_of_mass, frames, mask, (2.5, 4.0))
        for weights in (WEIGHTS, WEIGHTS.astype(np.float32)):
            same(reference.weighted_sum, frames, mask, weights)
    same(reference.radial_profile, frames, BINS, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pictures_of_frames(dtype: str) -> None:
    frame = frames_of(dtype)[1]
    for oracle in (reference.area_mean, reference.area_max):
        same(oracle, frame, 2)
        same(lambda pixels, live, xp=np, oracle=oracle: oracle(pixels, 2, xp, live), frame, MASK)


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_sparse_scans(strength: float) -> None:
    same(sparse.push_pull, IMAGE, SAMPLED, strength)
    same(sparse.thin_plate, IMAGE, SAMPLED, strength, 0.1)
    same(sparse.cosine_objective, FEW, IMAGE, SAMPLED, np.full((3, 2), strength))
    same(sparse.bending, (5, 4), strength)
    same(sparse.interpolation, 7)
    same(sparse.cosines, 7, 4)


def test_all_of_them_are_here() -> None:
    oracles = [
        name
        for module in (reference, sparse)
        for name, oracle in inspect.getmembers(module, inspect.isfunction)
        if oracle.__module__ == module.__name__ and not name.startswith("_")
    ]
    tested = inspect.getsource(inspect.getmodule(same))
    assert all(f"reference.{name}" in tested or f"sparse.{name}" in tested for name in oracles)
