"""How far the whole field has moved between two frames, from particles alone.

Small displacements are the median of those of pairs that are each other's nearest; large ones the place where
most displacements of any pairs agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, float64, int32, int64, njit

BIN = 2.0
"""px, of the votes."""
SPAN = 96
"""px, the largest jump that is looked for."""
VOTERS = 256
LEAST = 6
"""Particles without which nothing is said about the field."""


@njit(int64(float64, float64, float64, int64), nogil=True, cache=True)
def _cell(place: Any, origin: Any, side: Any, most: Any) -> Any:
    return min(max(int((place - origin) / side), 0), most - 1)


@njit(
    boolean(
        float64[::1], float64[::1], int64, float64[::1], float64[::1], float64[::1], int32[::1], int32[::1],
        float64[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def jump(ty: Any, tx: Any, n: Any, y: Any, x: Any, grid: Any, first: Any, order: Any, shift: Any) -> Any:
    """Displacement on which most pairs agree; False where there is no such.

    At most VOTERS of the tracks vote, for each detection within SPAN of them. The best bin (of votes added
    over 3 x 3) must stand out by 6 standard deviations of what chance gives, and be twice as good as any
    that is further than two bins away.

    Parameters
    ----------
    ty, tx : (n or more,) px, where tracks were expected.
    y, x, grid, first, order : where particles are, as `nearby.lay_out` has sorted them.
    shift : (2,) filled: (y, x) px.
    """
    half = int(SPAN / BIN)
    side = 2 * half + 1
    rows, columns = int(grid[3]), int(grid[4])
    votes, sums = np.zeros((side + 2, side + 2), np.int32), np.zeros((side + 2, side + 2, 2))
    step = max(1, n // VOTERS)
    voters, total = 0, 0
    for i in range(0, n, step):
        voters += 1
        c0 = _cell(tx[i] - SPAN, grid[1], grid[2], columns)
        c1 = _cell(tx[i] + SPAN, grid[1], grid[2], columns)
        for row in range(
            _cell(ty[i] - SPAN, grid[0], grid[2], rows), _cell(ty[i] + SPAN, grid[0], grid[2], rows) + 1
        ):
            for k in range(first[row * columns + c0], first[row * columns + c1 + 1]):
                ey, ex = y[order[k]] - ty[i], x[order[k]] - tx[i]
                r, c = int(np.floor(ey / BIN + 0.5)) + half, int(np.floor(ex / BIN + 0.5)) + half
                if 0 <= r < side and 0 <= c < side:
                    votes[r + 1, c + 1] += 1
                    sums[r + 1, c + 1, 0] += ey
                    sums[r + 1, c + 1, 1] += ex
                    total += 1
    chance = 9 * total / side**2
    smooth = np.zeros((side, side), np.int32)
    for dr in range(3):
        for dc in range(3):
            smooth += votes[dr : dr + side, dc : dc + side]
    at = int(np.argmax(smooth))
    br, bc = at // side, at % side
    best, second = smooth[br, bc], 0
    for r in range(side):
        for c in range(side):
            if abs(r - br) > 2 or abs(c - bc) > 2:
                second = max(second, smooth[r, c])
    if best < LEAST or best < chance + 6 * np.sqrt(chance + 1) or best < 0.3 * voters or best < 2 * second:
        return False
    for axis in range(2):
        shift[axis] = sums[br : br + 3, bc : bc + 3, axis].sum() / best
    return True
