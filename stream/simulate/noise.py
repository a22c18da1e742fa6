"""Counting noise for simulated frames. Pure numpy; knows no frame, scan or specimen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

EXACT_BELOW = 30.0
"""Expected counts below which the exact Poisson sampler is used."""


def poisson_counts(rng: np.random.Generator, expected: FloatArray, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Poisson counts, saturated at what ``dtype`` holds.

    Below 30 expected counts exact; above by the Cornish-Fisher expansion ``m + sqrt(m) z + (z^2 - 1) / 6``
    of a normal z, which has Poisson's mean, variance and skewness and costs a third of the exact sampler
    (34 ns/px).

    Parameters
    ----------
    expected : array of float32, counts
    dtype : an unsigned integer type
    """
    if float(expected.min(initial=np.inf)) < EXACT_BELOW:
        counts = rng.poisson(expected).astype(np.float64)
    else:
        counts = _cornish_fisher(rng, expected)
    return np.clip(counts, 0, np.iinfo(dtype).max, out=counts).astype(dtype)


def _cornish_fisher(rng: np.random.Generator, expected: FloatArray) -> npt.NDArray[Any]:
    z = rng.standard_normal(expected.shape, dtype=np.float32)
    counts = np.sqrt(expected)
    counts *= z
    counts += expected
    z *= z
    z -= 1.0
    z *= np.float32(1.0 / 6.0)
    counts += z
    return np.rint(counts, out=counts)
