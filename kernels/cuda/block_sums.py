"""Sums over the threads of a block, for kernels of several rooms."""

from __future__ import annotations

from numba import cuda


@cuda.jit(device=True, inline="always")
def block_total(part, shared, me):  # type: ignore[no-untyped-def]
    """The sum over the threads of a block, by halves, for each of them."""
    shared[me] = part
    half = cuda.blockDim.x // 2
    while half > 0:
        cuda.syncthreads()
        if me < half:
            shared[me] += shared[me + half]
        half //= 2
    cuda.syncthreads()
    found = shared[0]
    cuda.syncthreads()
    return found
