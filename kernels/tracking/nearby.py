"""Which detections lie near each track: cells of a grid, the nearest few of each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int32, int64, njit, void

MOST = 8
"""Detections that one track is weighed against."""


@njit(void(float64[::1], float64[::1], float64, float64[::1], int32[::1], int32[::1]), nogil=True, cache=True)
def lay_out(y: Any, x: Any, side: Any, grid: Any, first: Any, order: Any) -> None:
    """Sort points by the cells of a grid.

    Parameters
    ----------
    y, x : (n,) px.
    side : px, of a cell; larger where there would be more than ``first`` has room for.
    grid : (5,) filled: top, left, side, rows, columns.
    first : (cells + 1,) filled: the points of cell c are ``order[first[c]:first[c + 1]]``.
    order : (n,) filled.
    """
    n, room = len(y), len(first) - 1
    top, left = (y.min(), x.min()) if n else (0.0, 0.0)
    height, width = (y.max() - top, x.max() - left) if n else (0.0, 0.0)
    while (np.floor(height / side) + 1) * (np.floor(width / side) + 1) > room:
        side *= 1.5
    columns = int(width / side) + 1
    grid[0], grid[1], grid[2], grid[3], grid[4] = top, left, side, int(height / side) + 1, columns
    cells = int(grid[3]) * columns
    first[: cells + 1] = 0
    for i in range(n):
        first[int((y[i] - top) / side) * columns + int((x[i] - left) / side) + 1] += 1
    for c in range(cells):
        first[c + 1] += first[c]
    for i in range(n - 1, -1, -1):
        c = int((y[i] - top) / side) * columns + int((x[i] - left) / side)
        first[c + 1] -= 1
        order[first[c + 1]] = i
    for c in range(cells):
        first[c] = first[c + 1]
    first[cells] = n


@njit(
    int64(
        float64, float64, float64, float64[::1], float64[::1], float64[::1], int32[::1], int32[::1],
        int32[::1], float64[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def nearest(
    py: Any, px: Any, reach: Any, y: Any, x: Any, grid: Any, first: Any, order: Any, found: Any, square: Any
) -> Any:
    """The points nearest to a place, of those within ``reach`` px, the nearest first; returns how many.

    Parameters
    ----------
    found, square : (MOST,) filled: which points, and their distances squared.
    """
    count, limit = 0, reach * reach
    columns, side = int(grid[4]), grid[2]
    r0, r1 = (
        max(int((py - reach - grid[0]) / side), 0),
        min(int((py + reach - grid[0]) / side), int(grid[3]) - 1),
    )
    c0, c1 = max(int((px - reach - grid[1]) / side), 0), min(int((px + reach - grid[1]) / side), columns - 1)
    if c1 < c0:
        return 0
    for r in range(r0, r1 + 1):
        for k in range(first[r * columns + c0], first[r * columns + c1 + 1]):
            j = order[k]
            d = (y[j] - py) ** 2 + (x[j] - px) ** 2
            if d > limit or (count == MOST and d >= square[count - 1]):
                continue
            at = min(count, MOST - 1)
            while at > 0 and square[at - 1] > d:
                found[at], square[at] = found[at - 1], square[at - 1]
                at -= 1
            found[at], square[at] = j, d
            count = min(count + 1, MOST)
    return count
