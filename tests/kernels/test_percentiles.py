"""Percentiles of all pixels are numpy's, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.percentiles import distribution

TYPES = ("bool", "uint8", "uint16", "int16", "uint32", "int64", "float32", "float64")


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    dtype=st.sampled_from(TYPES),
    share=st.sampled_from([None, 0.0, 0.3, 0.9]),
    percents=st.lists(st.floats(0, 100), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_percentiles_are_those_of_numpy(shape: Any, dtype: Any, share: Any, percents: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.random(shape) * rng.choice([1, 50, 60_000])).astype(dtype)
    if image.dtype.kind == "f":
        image[rng.random(shape) < 0.2] = rng.choice([np.nan, np.inf])
    valid = None if share is None else rng.random(shape) >= share
    image.flags.writeable = False
    found = distribution(image, valid)
    values = image[np.ones(shape, bool) if valid is None else valid]
    values = values[np.isfinite(values)]
    values = values.view(np.uint8) if values.dtype == bool else values
    assert found.size == len(values)
    if len(values):
        assert found.percentiles(percents) == tuple(np.percentile(values, percents).astype(float))
        assert found.lowest == values.min()
        middle = float(np.median(values))
        assert found.above(middle).size == np.count_nonzero(values > middle)
        assert found.above(-1e5).size == found.size
        assert found.above(1e9 if dtype != "int64" else 2.0**63).size == 0


def test_those_above_a_ground_have_percentiles_of_their_own() -> None:
    image = np.zeros((100, 100), np.uint16)
    image[0, :50] = np.arange(1, 51)
    above = distribution(image).above(0.0)
    assert above.percentiles([0, 50, 100]) == (1.0, 25.5, 50.0)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_of_nothing_there_is_none(dtype: str) -> None:
    assert distribution(np.zeros((0, 4), dtype)).size == 0
    assert distribution(np.zeros((2, 4), dtype), np.zeros((2, 4), bool)).size == 0
