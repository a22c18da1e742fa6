"""Grids, each half as fine as the one before, and the way between them. Knows arrays only.

A cell of a grid covers 2 x 2 of the finer one (fewer at the end of an odd row or column). Values go up by
linear interpolation between the cells' centres, 3/4 of the nearer and 1/4 of the farther one in each
direction, constant beyond the edge: repeated, these are the smooth quadratic B-splines (Chaikin 1974), and so
good directions for a plate's slow bends. What goes down goes by the transposed.

All coarse grids lie one after the other in one array, as `grids` says: a third of the image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Grids = npt.NDArray[np.int64]
"""(levels, 3): first element, rows, columns."""

NEAR, FAR = np.float32(0.75), np.float32(0.25)


def grids(shape: tuple[int, int]) -> Grids:
    """The coarse grids of an image, down to a single cell; none for a single pixel."""
    table: list[tuple[int, int, int]] = []
    start, (ny, nx) = 0, shape
    while ny * nx > 1:
        ny, nx = (ny + 1) // 2, (nx + 1) // 2
        table.append((start, ny, nx))
        start += ny * nx
    return np.array(table, np.int64).reshape(-1, 3)


def cells(table: Grids) -> int:
    """Cells of all coarse grids together."""
    return int((table[:, 1] * table[:, 2]).sum())


@njit(nogil=True, cache=True)
def grid(flat, table, level):  # type: ignore[no-untyped-def]
    """One grid (rows, columns) of those that lie in ``flat``: a view."""
    start, ny, nx = table[level]
    return flat[start : start + ny * nx].reshape(ny, nx)


@njit(nogil=True, cache=True)
def farther(i, rows):  # type: ignore[no-untyped-def]
    """The coarse row beyond the nearest one (i // 2) of fine row ``i``."""
    return max(i // 2 - 1, 0) if i % 2 == 0 else min(i // 2 + 1, rows - 1)


@njit(nogil=True, cache=True)
def expand_row(coarse, i, mix, out):  # type: ignore[no-untyped-def]
    """Row ``i`` of the finer grid into ``out``; ``mix`` is scratch of columns + 2."""
    near, far = coarse[i // 2], coarse[farther(i, coarse.shape[0])]
    count, nx = near.size, out.size
    for c in range(count):
        mix[c + 1] = NEAR * near[c] + FAR * far[c]
    mix[0], mix[count + 1] = mix[1], mix[count]
    for c in range(nx // 2):
        out[2 * c] = NEAR * mix[c + 1] + FAR * mix[c]
        out[2 * c + 1] = NEAR * mix[c + 1] + FAR * mix[c + 2]
    if nx % 2:
        out[nx - 1] = NEAR * mix[count] + FAR * mix[count - 1]


@njit(nogil=True, cache=True)
def shrink_row(padded, i, nx, sums, coarse):  # type: ignore[no-untyped-def]
    """Add row ``i`` of a finer grid to the coarse one, by the transposed of `expand_row`.

    ``padded`` holds a zero, the ``nx`` values and zeros up to 2 * columns + 2; ``sums`` is scratch.
    """
    near, far = coarse[i // 2], coarse[farther(i, coarse.shape[0])]
    count = near.size
    for c in range(count):
        sums[c] = FAR * (padded[2 * c] + padded[2 * c + 3]) + NEAR * (padded[2 * c + 1] + padded[2 * c + 2])
    sums[0] += FAR * padded[1]
    if nx % 2 == 0:
        sums[count - 1] += FAR * padded[nx]
    for c in range(count):
        near[c] += NEAR * sums[c]
    for c in range(count):
        far[c] += FAR * sums[c]


@njit(nogil=True, cache=True)
def shrink(fine, coarse):  # type: ignore[no-untyped-def]
    """``coarse`` becomes what ``fine`` is on it."""
    ny, nx = fine.shape
    padded = np.zeros(2 * coarse.shape[1] + 2, np.float32)
    sums = np.empty(coarse.shape[1], np.float32)
    coarse[:] = 0
    for i in range(ny):
        padded[1 : nx + 1] = fine[i]
        shrink_row(padded, i, nx, sums, coarse)


@njit(nogil=True, cache=True)
def add_expanded(coarse, fine):  # type: ignore[no-untyped-def]
    """Add to ``fine`` what ``coarse`` is on it."""
    ny, nx = fine.shape
    mix, row = np.empty(coarse.shape[1] + 2, np.float32), np.empty(nx, np.float32)
    for i in range(ny):
        expand_row(coarse, i, mix, row)
        for j in range(nx):
            fine[i, j] += row[j]
