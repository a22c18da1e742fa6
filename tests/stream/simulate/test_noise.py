"""Counting noise has the moments of a Poisson distribution, whichever sampler makes it."""

from __future__ import annotations

import numpy as np
import pytest

from livem.stream.simulate.noise import poisson_counts


@pytest.mark.parametrize("mean", [0.0, 0.5, 20.0, 31.0, 200.0])
def test_mean_variance_and_skewness(mean: float) -> None:
    n = 200_000
    counts = poisson_counts(np.random.default_rng(1), np.full(n, mean, np.float32), np.uint16).astype(float)
    assert counts.mean() == pytest.approx(mean, abs=6 * np.sqrt(max(mean, 0.01) / n))
    assert counts.var() == pytest.approx(mean, rel=0.03, abs=1e-9)
    assert ((counts - mean) ** 3).mean() == pytest.approx(mean, rel=0.15, abs=0.04 * mean**1.5 + 1e-9)


def test_counts_saturate_at_what_the_dtype_holds() -> None:
    counts = poisson_counts(np.random.default_rng(1), np.full(10, 1000.0, np.float32), np.uint8)
    assert counts.dtype == np.uint8
    assert (counts == 255).all()
