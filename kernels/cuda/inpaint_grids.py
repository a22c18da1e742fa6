"""The functions of `kernels.inpaint.grids` for a device: between a grid and the next coarser one.

Called by the kernels of `inpaint_kernels`, which says what the pyramid holds.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, float64

from ..inpaint.grids import FAR, NEAR

SOFT, WEIGHT = -2, -1
"""Rows of the pyramid, from its end."""
ZERO = np.float32(0)


@cuda.jit(device=True, inline="always")
def _far(i, count):  # type: ignore[no-untyped-def]
    """The cell beside the one that i lies in, of so many: `grids.expand_row`."""
    return min(max(i // 2 + 2 * (i % 2) - 1, 0), count - 1)


@cuda.jit(device=True, inline="always")
def expanded(pyramid, row, start, ny, nx, i, j):  # type: ignore[no-untyped-def]
    """A pixel of the finer grid, from the coarse one of ny x nx cells that begins at ``start``."""
    near, far = start + (i // 2) * nx, start + _far(i, ny) * nx
    here, beside = j // 2, _far(j, nx)
    nearer = NEAR * pyramid[row, near + here] + FAR * pyramid[row, far + here]
    farther = NEAR * pyramid[row, near + beside] + FAR * pyramid[row, far + beside]
    return NEAR * nearer + FAR * farther


@cuda.jit(device=True, inline="always")
def _tap(place, k, n):  # type: ignore[no-untyped-def]
    """Weight of the k-th of four fine rows (or columns) of n in a coarse one; an odd n's last is alone."""
    if place >= n and n % 2 == 1:
        return ZERO
    return FAR if k == 0 or k == 3 else NEAR


@cuda.jit(device=True, inline="always")
def _shrunk(pyramid, row, start, ny, nx, i, j):  # type: ignore[no-untyped-def]
    """A cell of the coarser grid, by the transposed of `expanded`, from the fine one of ny x nx."""
    found = ZERO
    for k in range(4):
        y = 2 * i - 1 + k
        line = start + min(max(y, 0), ny - 1) * nx
        part = ZERO
        for m in range(4):
            x = 2 * j - 1 + m
            part += _tap(x, m, nx) * pyramid[row, line + min(max(x, 0), nx - 1)]
        found += _tap(y, k, ny) * part
    return found


@cuda.jit(device=True, inline="always")
def shrink_to(pyramid, table, level, row, first, step):  # type: ignore[no-untyped-def]
    """A level from the one before, every ``step``-th cell; the sum of their squares over their stiffness."""
    start, ny, nx = table[level, 0], table[level, 1], table[level, 2]
    fine, fine_ny, fine_nx = table[level - 1, 0], table[level - 1, 1], table[level - 1, 2]
    soft = pyramid.shape[0] + SOFT
    found = 0.0
    for k in range(first, ny * nx, step):
        value = _shrunk(pyramid, row, fine, fine_ny, fine_nx, k // nx, k % nx)
        pyramid[row, start + k] = value
        found += float64(value * value * pyramid[soft, start + k])
    return found


@cuda.jit(device=True, inline="always")
def correct_on(pyramid, table, level, row, first, step):  # type: ignore[no-untyped-def]
    """Residuals on a level become corrections, with those of the coarser ones."""
    start, ny, nx = table[level, 0], table[level, 1], table[level, 2]
    soft = pyramid.shape[0] + SOFT
    for k in range(first, ny * nx, step):
        value = pyramid[row, start + k] * pyramid[soft, start + k]
        if level + 1 < table.shape[0]:
            above, rows, columns = table[level + 1, 0], table[level + 1, 1], table[level + 1, 2]
            value += expanded(pyramid, row, above, rows, columns, k // nx, k % nx)
        pyramid[row, start + k] = value
