"""Which windows of a field say that it has changed, from how far new samples miss what was expected of them.

Knows sums of misses; neither where they come from nor what is forgotten then. What is said of a window is in
`motion.changes`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SURE = 4.0
"""Standard deviations of a window's misses beyond which it has changed."""
BESIDE = 1.0
"""The same where it touches a window that has: what moved has an edge that moved less."""
FEWEST = 4
"""Samples in a window below which nothing is said of it."""
SHARED = 0.25
"""Correlation of the picture's error across a window, squared."""
HALF = 32
"""Bits of a place's column where it waits as one number."""


@njit(
    "void(f4[:, :, ::1], f4[:, ::1], f4[:, :, ::1], f4[:, :, ::1], f4[:, :, ::1], f4[:, :, ::1])",
    nogil=True,
    cache=True,
    error_model="numpy",
)
def misses(data, weight, picture, noise, slack, sums):  # type: ignore[no-untyped-def]
    """Sums over channels of squared misses in their variances, of how many, and of how much they share."""
    channels, ny, nx = data.shape
    none, one, each = np.float32(0), np.float32(1), np.float32(channels)
    for y in range(ny):
        for x in range(nx):
            sums[0, y, x] = sums[2, y, x] = none
            sums[1, y, x] = each if weight[y, x] > 0 else none
        for c in range(channels):
            for x in range(nx):
                known = weight[y, x] > 0
                off = data[c, y, x] - picture[c, y, x]
                variance = noise[c, y, x] / (weight[y, x] if known else one) + slack[c, y, x]
                share = slack[c, y, x] / variance
                sums[0, y, x] += off * off / variance if known else none
                sums[2, y, x] += share * share if known else none


@njit("void(f8[::1], f4[::1], f8)", nogil=True, cache=True)
def _add_row(columns, row, sign):  # type: ignore[no-untyped-def]
    for x in range(row.size):
        columns[x] += sign * row[x]


@njit("void(f8[:, ::1], i8, f4[:, ::1])", nogil=True, cache=True)
def _slide(columns, radius, windows):  # type: ignore[no-untyped-def]
    """Sums along a row; the three side by side, as each adds only as fast as the one before it is there."""
    ahead = columns[:, 2 * radius + 1 :]
    first = second = third = 0.0
    for x in range(radius + 1, 2 * radius + 1):
        first += columns[0, x]
        second += columns[1, x]
        third += columns[2, x]
    for x in range(windows.shape[1]):
        first += ahead[0, x] - columns[0, x]
        second += ahead[1, x] - columns[1, x]
        third += ahead[2, x] - columns[2, x]
        windows[0, x] = first
        windows[1, x] = second
        windows[2, x] = third


@njit("void(f4[::1], f4[::1], f4[::1], u1[::1])", nogil=True, cache=True, error_model="numpy")
def _judge_row(missed, count, shared, level):  # type: ignore[no-untyped-def]
    """See `motion.changes`; cubes are compared, which takes no cube root."""
    one, least = np.float32(1), np.float32(FEWEST - 0.5)
    base, more = np.float32(2 / 9), np.float32(2 / 9 * SHARED)
    for x in range(level.size):
        n = max(count[x], least)
        unit = (base + more * shared[x]) / n
        root = np.sqrt(unit)
        near, far = one - unit + np.float32(BESIDE) * root, one - unit + np.float32(SURE) * root
        mean = missed[x] / n
        some = (count[x] > least) & (mean > one)
        level[x] = np.uint8(some & (mean > near * near * near)) + np.uint8(some & (mean > far * far * far))


@njit("void(f4[:, :, ::1], i8, u1[:, ::1])", nogil=True, cache=True)
def judge(sums, radius, level):  # type: ignore[no-untyped-def]
    """Of each window, by its middle: 2 beyond SURE, 1 beyond BESIDE, else 0; sums run on in float64."""
    ny, nx = level.shape
    columns = np.zeros((3, nx + 2 * radius + 1))
    windows = np.empty((3, nx), np.float32)
    for y in range(-radius, ny):
        for plane in range(3):
            middle = columns[plane, radius + 1 : radius + 1 + nx]
            if y + radius < ny:
                _add_row(middle, sums[plane, y + radius], 1.0)
            if y > radius:
                _add_row(middle, sums[plane, y - radius - 1], -1.0)
        if y >= 0:
            _slide(columns, radius, windows)
            _judge_row(windows[0], windows[1], windows[2], level[y])


@njit("void(u1[::1], u1[::1])", nogil=True, cache=True)
def _unite(other, out):  # type: ignore[no-untyped-def]
    for x in range(out.size):
        out[x] |= other[x]


@njit("void(u1[:, ::1], i8)", nogil=True, cache=True)
def _widen(found, radius):  # type: ignore[no-untyped-def]
    """All pixels within so many of what was found, along both axes: whole rows of bytes at a time."""
    ny, nx = found.shape
    line = np.zeros(nx + 2 * radius, np.uint8)
    rows = np.zeros((ny + 2 * radius, nx), np.uint8)
    for y in range(ny):
        line[radius : radius + nx] = found[y]
        for d in range(2 * radius + 1):
            _unite(line[d : d + nx], rows[radius + y])
    found[:] = 0
    for y in range(ny):
        for d in range(2 * radius + 1):
            _unite(rows[y + d], found[y])


@njit("Tuple((i8[::1], i8))(u1[:, ::1], u1[:, ::1], u1[:, ::1])", nogil=True, cache=True)
def _seeds(near, wide, found):  # type: ignore[no-untyped-def]
    """Mark them; their places, with room for all there are, and how many. No room where there are none."""
    ny, nx = near.shape
    waiting, count = np.empty(0, np.int64), 0
    for y in range(ny):
        some = 0
        for x in range(nx):
            seed = (near[y, x] == 2) | ((wide[y, x] == 2) & (near[y, x] > 0))
            found[y, x] = np.uint8(seed)
            some += seed
        if some and not waiting.size:
            waiting = np.empty(ny * nx, np.int64)
        for x in range(nx if some else 0):
            if found[y, x]:
                waiting[count] = y << HALF | x
                count += 1
    return waiting, count


@njit("b1(u1[:, ::1], u1[:, ::1], i8, u1[:, ::1])", nogil=True, cache=True)
def spread(near, wide, radius, found):  # type: ignore[no-untyped-def]
    """The windows of seeds, and of all beyond BESIDE that hang together with them, corners included; whether
    there are any. Seeds are beyond SURE, or beyond BESIDE where the wider window is beyond SURE."""
    ny, nx = near.shape
    waiting, count = _seeds(near, wide, found)
    while count:
        count -= 1
        y, x = waiting[count] >> HALF, waiting[count] & ((1 << HALF) - 1)
        for i in range(max(y - 1, 0), min(y + 2, ny)):
            for j in range(max(x - 1, 0), min(x + 2, nx)):
                if near[i, j] > 0 and not found[i, j]:
                    found[i, j] = 1
                    waiting[count] = i << HALF | j
                    count += 1
    if waiting.size:
        _widen(found, radius)
    return waiting.size > 0
