"""The pixels of a particle: what they ask of it, and it drawn into them.

The profile (`profile`) is ``exp(-u / 2)`` times a polynomial in ``u = u_y + u_x``. Every power of a sum is a
sum of products, ``u^k / k! = sum over a + b = k of (u_y^a / a!) (u_x^b / b!)``: sums over pixels are taken
along y first, under tables of one axis, for eight columns at a time (`lanes`), and a pixel costs 11
multiplications and additions for its pull on centre, height and radius, 5 where the particle is drawn.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from .lanes import LANES, powers, spreading, summing

Values = npt.NDArray[np.float32]
Particles = npt.NDArray[np.float64]
Box = npt.NDArray[np.int64]

SUMS = {"reassoc", "contract", "nsz", "arcp"}
TABLES = 39
"""Rows of the tables (`outline`)."""
Y, Z, X, DY, DX, Q, V, C, F, G, SCALED = 0, 6, 11, 17, 18, 19, 24, 35, 36, 37, 38
"""Where they begin: exp(-u_y / 2) u_y^a / a! for a to 5; the same times dy for a to 4; along x as Y; offsets
from the centre, px; rows of the drawn particle; sums of the pixels under Y and Z; and, times k!, coefficients
of the height, of its slope and of its change with ln radius; those of the height as it is drawn."""
_SETS = 11
_pulled = summing(_SETS, 1)
_rows = summing(5, 1)
_drawn = spreading(5)
_along_y, _along_x = powers(6, 5), powers(6, 0)


@njit("f4[:,::1](i8)", nogil=True, cache=True)
def tables_for(side: int) -> Values:
    """Tables of particles whose boxes are ``side`` px at most."""
    return np.zeros((TABLES, (side // LANES + 2) * LANES), np.float32)


@njit("i8(f8, f8)", nogil=True, cache=True)
def widest(last: float, reach: float) -> int:
    """Side of the largest box: of radius exp(``last``), with ``reach`` px around."""
    return 2 * int(math.exp(last) + reach) + 4


@njit("void(f4[:,::1], f8, f8, f8, f8, f8, f4[:,::1])", nogil=True, cache=True)
def _shapes(
    table: Values, start: float, step: float, variance: float, log_radius: float, s2: float, t: Values
) -> None:
    """Rows C, F and G of the tables; radii beyond the profile's table are its ends'."""
    at = min(max((log_radius - start) / step, 0.0), table.shape[0] - 1.0)
    k = min(int(at), table.shape[0] - 2)
    part = np.float32(at - k)
    spread = np.float32(2 * (1 - variance / s2))  # of ln s^2 with ln radius
    turn, half = np.float32(1 / step), np.float32(0.5)
    factorial = np.float32(1)
    before = np.float32(0)
    for i in range(5):
        rise = table[k + 1, i] - table[k, i]
        height = table[k, i] + part * rise
        after = np.float32(0) if i == 4 else table[k, i + 1] + part * (table[k + 1, i + 1] - table[k, i + 1])
        fall = np.float32(i + 1) * after - half * height
        t[C, i] = factorial * height
        t[F, i] = factorial * fall
        t[G, i] = factorial * (rise * turn - spread * before)
        before = fall
        factorial *= np.float32(i + 1)
    t[G, 5] = -factorial * spread * before


@njit("void(f4[:,::1], f4[:,::1], f8, f8, f8, f8[::1], f8, f4[:,::1], i8[::1])", nogil=True, cache=True)
def outline(
    residual: Values, table: Values, start: float, step: float, variance: float,
    particle: Particles, reach: float, t: Values, box: Box,
) -> None:  # fmt: skip
    """Box of a particle in the frame, and the tables that its pixels are computed from.

    ``box``: y0, y1, x0, x1, written. Its columns are a multiple of `LANES` where the frame has so many;
    outside the particle's own the tables are 0.
    """
    h, w = residual.shape
    radius = math.exp(particle[3])
    half, s2 = radius + reach, radius * radius / 5 + variance
    inverse = 1 / s2
    y0, y1 = max(math.ceil(particle[0] - half), 0), min(math.floor(particle[0] + half) + 1, h)
    x0, x1 = max(math.ceil(particle[1] - half), 0), min(math.floor(particle[1] + half) + 1, w)
    if y1 <= y0 or x1 <= x0:
        box[:] = 0
        return
    columns = min((x1 - x0 + LANES - 1) // LANES * LANES, w)
    left = min(x0, w - columns)
    box[0], box[1], box[2], box[3] = y0, y1, left, left + columns
    side, over = t.shape[1], np.float32(inverse)
    _along_y(t, side, Y * side, Z * side, DY * side, np.float32(y0 - particle[0]), over,
             (y1 - y0 + LANES - 1) // LANES, 0, y1 - y0)  # fmt: skip
    _along_x(t, side, X * side, 0, DX * side, np.float32(left - particle[1]), over,
             (columns + LANES - 1) // LANES, x0 - left, x1 - left)  # fmt: skip
    _shapes(table, start, step, variance, particle[3], s2, t)


@njit("void(f4[:,::1], f4[:,::1], i8[::1], f4)", nogil=True, cache=True)
def add_profile(residual: Values, t: Values, box: Box, height: float) -> None:
    """Add a particle of so much height, outlined before, to the residual."""
    rows, columns, w = box[1] - box[0], box[3] - box[2], residual.shape[1]
    side = t.shape[1]
    for k in range(5):
        t[SCALED, k] = height * t[C, k]
    for b in range(0, rows, LANES):
        _rows(t, Y * side + b, side, 5, t, SCALED * side, 1, t, Q * side + b, side)
    whole = columns // LANES * LANES
    for b in range(0, whole, LANES):
        _drawn(residual, box[0] * w + box[2] + b, w, rows, t, Q * side, side, t, X * side + b, side)
    if whole < columns:  # a frame narrower than the box
        for j in range(rows):
            for i in range(whole, columns):
                for s in range(5):
                    residual[box[0] + j, box[2] + i] += t[Q + s, j] * t[X + s, i]


@njit("void(f4[:,::1], f4[:,::1], i8[::1])", nogil=True, cache=True)
def gather(residual: Values, t: Values, box: Box) -> None:
    """Sums of the residual's columns under the rows Y and Z of the tables, into their rows V."""
    rows, columns, w, side = box[1] - box[0], box[3] - box[2], residual.shape[1], t.shape[1]
    whole = columns // LANES * LANES
    for b in range(0, whole, LANES):
        _pulled(residual, box[0] * w + box[2] + b, w, rows, t, Y * side, side, t, V * side + b, side)
    if whole < columns:
        for s in range(_SETS):
            for i in range(whole, whole + LANES):
                total = np.float32(0)
                if i < columns:
                    for j in range(rows):
                        total += t[Y + s, j] * residual[box[0] + j, box[2] + i]
                t[V + s, i] = total


@njit("void(f4[:,::1], i8[::1], f8, f8[::1])", nogil=True, cache=True, fastmath=SUMS)
def pulls(t: Values, box: Box, s2: float, out: Particles) -> None:
    """What the residual (`gather`) asks of a particle of height 1: sums of it with the changes of the height
    with y and x of the centre, with the height, and with its change with ln radius."""
    columns = (box[3] - box[2] + LANES - 1) // LANES * LANES
    c0, c1, c2, c3, c4 = t[C, 0], t[C, 1], t[C, 2], t[C, 3], t[C, 4]
    f0, f1, f2, f3, f4 = t[F, 0], t[F, 1], t[F, 2], t[F, 3], t[F, 4]
    g0, g1, g2, g3, g4, g5 = t[G, 0], t[G, 1], t[G, 2], t[G, 3], t[G, 4], t[G, 5]
    along_y = along_x = heights = grows = np.float32(0)
    for i in range(columns):
        x0, x1, x2, x3, x4, x5 = t[X, i], t[X + 1, i], t[X + 2, i], t[X + 3, i], t[X + 4, i], t[X + 5, i]
        v0, v1, v2, v3, v4, v5 = t[V, i], t[V + 1, i], t[V + 2, i], t[V + 3, i], t[V + 4, i], t[V + 5, i]
        heights += (
            v0 * (c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3 + c4 * x4)
            + v1 * (c1 * x0 + c2 * x1 + c3 * x2 + c4 * x3)
            + v2 * (c2 * x0 + c3 * x1 + c4 * x2) + v3 * (c3 * x0 + c4 * x1) + v4 * (c4 * x0)
        )  # fmt: skip
        grows += (
            v0 * (g0 * x0 + g1 * x1 + g2 * x2 + g3 * x3 + g4 * x4 + g5 * x5)
            + v1 * (g1 * x0 + g2 * x1 + g3 * x2 + g4 * x3 + g5 * x4)
            + v2 * (g2 * x0 + g3 * x1 + g4 * x2 + g5 * x3)
            + v3 * (g3 * x0 + g4 * x1 + g5 * x2) + v4 * (g4 * x0 + g5 * x1) + v5 * (g5 * x0)
        )  # fmt: skip
        a0 = f0 * x0 + f1 * x1 + f2 * x2 + f3 * x3 + f4 * x4
        a1 = f1 * x0 + f2 * x1 + f3 * x2 + f4 * x3
        a2, a3, a4 = f2 * x0 + f3 * x1 + f4 * x2, f3 * x0 + f4 * x1, f4 * x0
        along_x += t[DX, i] * (v0 * a0 + v1 * a1 + v2 * a2 + v3 * a3 + v4 * a4)
        along_y += (
            t[V + 6, i] * a0 + t[V + 7, i] * a1 + t[V + 8, i] * a2 + t[V + 9, i] * a3 + t[V + 10, i] * a4
        )
    out[0], out[1] = -2 * along_y / s2, -2 * along_x / s2
    out[2], out[3] = heights, grows
