"""Compile or load every kernel that a series of virtual detectors may need, before its first frame.

A change while frames come must never wait for the compiler: 1 to 20 s.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ..kernels import reduce
from ..kernels.bslz4 import encode
from ..kernels.encoded.plan import compile_plan
from ..stream.series import Series
from . import pattern

SHAPE = (16, 16)


def warm_up(series: Series) -> None:
    """All kernels for frames like these; 0.1 s where they are known already, nothing a second time.

    Those for compressed frames too: a stream that comes raw may be recorded compressed, and is read from
    there when a detector is moved.
    """
    _warm_up(series.numpy_dtype)


@cache
def _warm_up(dtype: np.dtype[Any]) -> None:
    reduce.warm_up(dtype)
    pattern.warm_up()
    _warm_up_encoded(dtype)


def _warm_up_encoded(dtype: np.dtype[Any]) -> None:
    regions = [reduce.Region(np.ones(SHAPE, bool), (0.0, 0.0))]
    plan = compile_plan(SHAPE, dtype, regions)
    if plan is None:
        return
    blob = np.frombuffer(encode(np.zeros(SHAPE, dtype)), np.uint8)
    counts = np.uint64 if dtype == np.uint32 else np.int64
    sums, moments = np.zeros((1, 1), counts), np.zeros((1, 1, 2), np.int64)
    plan.run(blob, np.array([0, len(blob)]), sums, moments, np.zeros(1, np.int8))
