"""The bending energy of a thin plate on pixels, and its gradient. Knows arrays; no samples, no solver.

The energy of an image u is the sum of u_yy^2 + 2 u_xy^2 + u_xx^2 (Duchon 1977), each difference taken where
all of its pixels exist, so that the edges are free: constants and ramps cost nothing. A tension T adds
T (u_y^2 + u_x^2), as in Smith & Wessel (Geophysics 55 (1990) 293): beyond 1 / sqrt(T) pixels from any sample
the plate then levels out, where a free one would go on as a ramp, far out of the range of the samples.

With B = D2' D2 of second and G = D' D of first differences along a line, the gradient is E u, where

    E = B_y + B_x + 2 G_y G_x + T (G_y + G_x):

inside 13 terms, the biharmonic 20, -8, 2, 1 plus the tension's; near edges fewer. Rows are told by their own
coefficients (`row_terms`). Columns need none: with two ghosts at each end that continue a row straight on, B
is the inner stencil everywhere and G wants one term at either end (`bend_row`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

MOST_TENSION = 16.0
"""Up to here all terms are exact in float32."""
FULL = 20.0
"""The stencil's centre, tension apart."""
GHOSTS = 2
"""Columns added on each side of a row."""


def second_differences(n: int) -> npt.NDArray[np.float64]:
    """B as (n, 5): the terms of rows i - 2 to i + 2."""
    terms = np.zeros((n, 5))
    for first in range(n - 2):
        for row, weight in enumerate((1.0, -2.0, 1.0)):
            terms[first + row, 2 - row : 5 - row] += weight * np.array([1.0, -2.0, 1.0])
    return terms


def first_differences(n: int) -> npt.NDArray[np.float64]:
    """G as (n, 3): the terms of rows i - 1 to i + 1."""
    terms = np.zeros((n, 3))
    terms[1:, 0] = terms[:-1, 2] = -1.0
    terms[:, 1] = -terms[:, 0] - terms[:, 2]
    return terms


def exact(tension: float) -> float:
    """The nearest multiple of 2^-16, which leaves all terms exact in float32: a row of E that sums to -1e-6
    instead of 0 has no least energy."""
    return round(tension * 65536) / 65536


@lru_cache(maxsize=32)
def row_terms(ny: int, tension: float) -> npt.NDArray[np.float32]:
    """(ny, 8) coefficients of each row, read-only: of the pixel and its neighbours beside it (the next but
    one have 1), of the pixel above and those beside that, the same below, of the second above and below."""
    tension = exact(tension)
    b, g = second_differences(ny), first_differences(ny)
    terms = [
        b[:, 2] + 6 + 4 * g[:, 1] + tension * (g[:, 1] + 2),
        -4 - 2 * g[:, 1] - tension,
        b[:, 1] + 4 * g[:, 0] + tension * g[:, 0],
        -2 * g[:, 0],
        b[:, 3] + 4 * g[:, 2] + tension * g[:, 2],
        -2 * g[:, 2],
        b[:, 0],
        b[:, 4],
    ]
    table = np.stack(terms, axis=1).astype(np.float32)
    table.flags.writeable = False
    return table


@njit(nogil=True, cache=True)
def set_ghosts(plate, i, nx):  # type: ignore[no-untyped-def]
    """Continue row ``i`` of ``nx`` pixels straight on at both ends; a single pixel as a constant."""
    first, last = plate[i, GHOSTS], plate[i, nx + 1]
    before = first - plate[i, GHOSTS + 1] if nx > 1 else np.float32(0)
    after = last - plate[i, nx] if nx > 1 else np.float32(0)
    plate[i, 1] = first + before
    plate[i, 0] = first + before + before
    plate[i, nx + 2] = last + after
    plate[i, nx + 3] = last + after + after


@njit(nogil=True, cache=True, fastmath={"contract"})
def bend_row(plate, i, terms, tension, out):  # type: ignore[no-untyped-def]
    """Row ``i`` of ``out`` (ny, nx) becomes that of E times ``plate`` (ny, nx + 2 GHOSTS)."""
    ny, nx = out.shape
    a, b, a2, b2 = max(i - 1, 0), min(i + 1, ny - 1), max(i - 2, 0), min(i + 2, ny - 1)
    c0, c1, t0, t1 = terms[i, 0], terms[i, 1], terms[i, 2], terms[i, 3]
    u0, u1, t2, u2 = terms[i, 4], terms[i, 5], terms[i, 6], terms[i, 7]
    for j in range(nx):
        value = c0 * plate[i, j + 2] + c1 * (plate[i, j + 1] + plate[i, j + 3])
        value += t0 * plate[a, j + 2] + t1 * (plate[a, j + 1] + plate[a, j + 3])
        value += u0 * plate[b, j + 2] + u1 * (plate[b, j + 1] + plate[b, j + 3])
        value += t2 * plate[a2, j + 2] + u2 * plate[b2, j + 2]
        out[i, j] = value + (plate[i, j] + plate[i, j + 4])
    if nx > 1:
        for edge, inner in ((2, 3), (nx + 1, nx)):
            # what G lacks there: 2 G_y + T times the difference of the last two columns
            step = (t1 + u1 + tension) * (plate[i, edge] - plate[i, inner])
            step -= t1 * (plate[a, edge] - plate[a, inner]) + u1 * (plate[b, edge] - plate[b, inner])
            out[i, edge - 2] += step
