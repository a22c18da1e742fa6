"""Compile or load every kernel that a series of virtual detectors may need, before its first frame.

A change while frames come must never wait for the compiler: 1 to 20 s.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import numpy as np

from ...kernels import reduce
from ...kernels.bslz4 import DEFAULT_BLOCK, HEADER
from ...kernels.encoded.plan import compile_plan
from ...stream.series import Series
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
    blob = np.frombuffer(_dark(dtype.itemsize * SHAPE[0] * SHAPE[1]), np.uint8)
    counts = np.uint64 if dtype == np.uint32 else np.int64
    sums, moments = np.zeros((1, 1), counts), np.zeros((1, 1, 2), np.int64)
    plan.run(blob, np.array([0, len(blob)]), sums, moments, np.zeros(1, np.int8))


def _dark(size: int) -> bytes:
    """So many bytes of zeros, at most a block, as bitshuffle-LZ4 without any match.

    Written out: the encoder comes with h5py, 0.06 s that no worker needs.
    """
    more = divmod(size - 15, 255)
    block = b"\xf0" + more[0] * b"\xff" + bytes([more[1]]) + bytes(size)
    return HEADER.pack(size, DEFAULT_BLOCK) + struct.pack(">I", len(block)) + block
