"""Run by test_simulator.py in a process of its own: that threads see of each other what barriers promise."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config, cuda

sys.path.insert(0, str(Path(__file__).parent))
import turns  # noqa: F401 - what is tested here

assert config.ENABLE_CUDASIM, "NUMBA_ENABLE_CUDASIM=1 has to be set before numba is imported"
THREADS = 4


def neighbours(barriers: int, step: int) -> list[int]:
    """What each thread finds in its neighbour's cell, behind so many barriers."""

    @cuda.jit
    def kernel(out):
        cells = cuda.shared.array(THREADS, np.int64)
        other = cuda.shared.array(1, np.int64)
        me = cuda.threadIdx.x
        if me == 0:
            for k in range(THREADS):
                cells[k] = -1
            other[0] = 7
        cuda.syncthreads()
        if barriers == 2:
            cuda.syncthreads()
        cells[me] = me
        if barriers:
            cuda.syncthreads()
        out[cuda.blockIdx.x, me] = cells[(me + step) % THREADS] + other[0] - 7

    out = np.zeros((2, THREADS), np.int64)
    kernel[2, THREADS](out)
    assert out[0].tolist() == out[1].tolist()
    return out[0].tolist()


@pytest.mark.parametrize("step", [1, -1])
def test_behind_a_barrier_all_is_written_and_without_one_somebody_misses_it(step):
    right = [(me + step) % THREADS for me in range(THREADS)]
    assert neighbours(1, step) == neighbours(2, step) == right
    missed = neighbours(0, step)
    assert missed != right
    assert -1 in missed


def test_a_fault_of_one_thread_ends_them_all_and_is_raised():
    @cuda.jit
    def kernel(out):
        if cuda.threadIdx.x == 2:
            out[9] = 1
        cuda.syncthreads()
        out[0] = 1

    out = np.zeros(1)
    with pytest.raises(IndexError, match="out of bounds"):
        kernel[1, THREADS](out)
    assert out[0] == 0


def test_threads_may_end_before_the_others_barrier():
    @cuda.jit
    def kernel(out):
        if cuda.threadIdx.x % 2:
            return
        cuda.syncthreads()
        out[cuda.threadIdx.x] = cuda.grid(1)

    out = np.full(2 * THREADS, -1)
    kernel[1, 2 * THREADS](out)
    assert out.tolist() == [0, -1, 2, -1, 4, -1, 6, -1]


def test_a_thread_that_is_alone_waits_for_nobody():
    @cuda.jit
    def kernel(out):
        cuda.syncthreads()
        out[cuda.blockIdx.x] = cuda.blockIdx.x + cuda.blockDim.x
        cuda.syncthreads()

    out = np.zeros(3)
    kernel[3, 1](out)
    assert out.tolist() == [1, 2, 3]
