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


@njit(nogil=True, cache=True, fastmath={"contract"})
def expand_row(coarse, i, mix, out):  # type: ignore[no-untyped-def]
    """Row ``i`` of the finer grid into ``out``; ``mix`` is scratch of columns + 2."""
    rows, count = coarse.shape
    nx = out.size
    near = i // 2
    far = max(near - 1, 0) if i % 2 == 0 else min(near + 1, rows - 1)
    for c in range(count):
        mix[c + 1] = NEAR * coarse[near, c] + FAR * coarse[far, c]
    mix[0], mix[count + 1] = mix[1], mix[count]
    for c in range(nx // 2):
        out[2 * c] = NEAR * mix[c + 1] + FAR * mix[c]
        out[2 * c + 1] = NEAR * mix[c + 1] + FAR * mix[c + 2]
    if nx % 2:
        out[nx - 1] = NEAR * mix[count] + FAR * mix[count - 1]


@njit(nogil=True, cache=True, fastmath={"contract"})
def shrink_row(fine, ny, c, sums, coarse):  # type: ignore[no-untyped-def]
    """Row ``c`` of the coarse grid, by the transposed of `expand_row`.

    ``fine`` holds row i of ``ny`` at i modulo its own rows, so that four do; ``sums`` is scratch of
    2 * columns + 2, 0 where the fine grid has no column.
    """
    held, nx = fine.shape
    first = 2 * c
    second = NEAR if first + 1 < ny else np.float32(0)
    beyond = FAR if first + 1 < ny else np.float32(0)
    above = max(first - 1, 0) % held
    below = min(first + 2, ny - 1) % held
    here, next_ = first % held, min(first + 1, ny - 1) % held
    for j in range(nx):
        inner = NEAR * fine[here, j] + second * fine[next_, j]
        sums[j + 1] = inner + FAR * fine[above, j] + beyond * fine[below, j]
    sums[0] = sums[1]
    if nx % 2 == 0:
        sums[nx + 1] = sums[nx]
    for j in range(coarse.shape[1]):
        outer = sums[2 * j] + sums[2 * j + 3]
        coarse[c, j] = FAR * outer + NEAR * (sums[2 * j + 1] + sums[2 * j + 2])


@njit(nogil=True, cache=True)
def shrink(fine, coarse):  # type: ignore[no-untyped-def]
    """``coarse`` becomes what ``fine`` is on it."""
    sums = np.zeros(2 * coarse.shape[1] + 2, np.float32)
    for c in range(coarse.shape[0]):
        shrink_row(fine, fine.shape[0], c, sums, coarse)
