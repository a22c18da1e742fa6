"""What each fitted particle is: its significance, covariance and second moments, and who overlaps whom."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from .refine import SUMS, Particles, Values, outline

MEASURED = 10
"""Columns of `measure`."""
OVERLAPPING, TWICE = 1, 2
"""States of `crowd`."""


@njit("void(f4[:,::1], f4[:,::1], i8[::1], f8, f8, f8, f8[::1])", nogil=True, cache=True, fastmath=SUMS)
def _sums(residual, scratch, box, height, s2, spread, out):  # type: ignore[no-untyped-def]
    """See `measure`; float32 along a row, float64 over the rows."""
    c0, c1, c2, c3, c4 = scratch[6, 0], scratch[6, 1], scratch[6, 2], scratch[6, 3], scratch[6, 4]
    d0, d1, d2, d3, d4 = scratch[7, 0], scratch[7, 1], scratch[7, 2], scratch[7, 3], scratch[7, 4]
    half, two, three, four = np.float32(0.5), np.float32(2), np.float32(3), np.float32(4)
    tall, wide = np.float32(height), np.float32(spread)
    n = box[3] - box[2]
    ex, ux, dx = scratch[1], scratch[3], scratch[5]
    qd = yy = xx = yx = hh = hr = rr = mass = my = mx = myy = mxx = myx = np.float64(0)
    for j in range(max(box[1] - box[0], 0)):
        line = residual[box[0] + j, box[2] : box[3]]
        ey, uy, dy = scratch[0, j], scratch[2, j], scratch[4, j]
        s_qd = s_tt = s_tx = s_xx = s_hh = s_hr = s_rr = s_m = s_mx = s_mxx = np.float32(0)
        for i in range(n):
            u = uy + ux[i]
            e = ey * ex[i]
            p = c0 + u * (c1 + u * (c2 + u * (c3 + u * c4)))
            fall = c1 + u * (two * c2 + u * (three * c3 + u * four * c4)) - half * p
            grow = e * (d0 + u * (d1 + u * (d2 + u * (d3 + u * d4))) - wide * u * fall)
            q = e * p
            t = e * fall
            s_qd += q * line[i]
            s_hh += q * q
            s_hr += q * grow
            s_rr += grow * grow
            s_tt += t * t
            s_tx += t * t * dx[i]
            s_xx += t * t * dx[i] * dx[i]
            seen = e * (line[i] + tall * q)
            s_m += seen
            s_mx += seen * dx[i]
            s_mxx += seen * dx[i] * dx[i]
        qd += s_qd
        hh += s_hh
        hr += s_hr
        rr += s_rr
        yy += s_tt * dy * dy
        yx += s_tx * dy
        xx += s_xx
        mass += s_m
        my += s_m * dy
        mx += s_mx
        myy += s_m * dy * dy
        myx += s_mx * dy
        mxx += s_mxx
    slope = 4 * height * height / (s2 * s2)
    out[0] = 2 * height * (qd + height * hh) - height * height * hh
    out[1], out[2], out[3] = slope * yy, slope * xx, slope * yx
    out[4], out[5], out[6] = hh, height * hr, height * height * rr
    if mass * height > 0:
        cy, cx = my / mass, mx / mass
        out[7], out[8], out[9] = myy / mass - cy * cy, mxx / mass - cx * cx, myx / mass - cy * cx
    else:
        out[7] = out[8] = out[9] = math.nan


@njit("void(f4[:,::1], f4[:,::1], f8, f8, f8, f8, f8[:,::1], i8, f8[:,::1])", nogil=True, cache=True)
def measure(
    residual: Values, table: Values, start: float, step: float, variance: float, reach: float,
    particles: Particles, n: int, out: Particles,
) -> None:  # fmt: skip
    """Sums over the pixels of each particle, in the residual of all others.

    Parameters
    ----------
    residual, table, start, step, variance, reach, particles, n : as in `refine.fit_together`.
    out : (>= n, `MEASURED`) float64, written. Column 0 is the gain of the particle in chi squared, 1 to 3 the
        information on the centre (yy, xx, yx), 4 to 6 on (height, ln radius): hh, hr, rr, all for noise of
        variance 1; 7 to 9 the Gaussian-weighted second moments yy, xx, yx, px^2 (NaN where the weighted
        sum is not of the height's sign), weighted by exp(-u / 2) of the profile.
    """
    side = 2 * int(math.exp(start + step * (table.shape[0] - 1)) + reach) + 4
    scratch, box = np.zeros((8, max(side, 8)), np.float32), np.empty(4, np.int64)
    for k in range(n):
        outline(residual, table, start, step, variance, particles[k], reach, scratch, box)
        radius2 = math.exp(2 * particles[k, 3])
        s2 = radius2 / 5 + variance
        _sums(residual, scratch, box, particles[k, 2], s2, 2 * radius2 / (5 * s2), out[k])


@njit("void(f8[:,::1], i8[::1], i8, f8[::1], f8, u1[::1])", nogil=True, cache=True)
def crowd(
    particles: Particles, order: npt.NDArray[np.int64], n: int, gain: npt.NDArray[np.float64], same: float,
    state: npt.NDArray[np.uint8],
) -> None:  # fmt: skip
    """Who is the same particle twice, and who overlaps a neighbour.

    Parameters
    ----------
    particles : (>= n, 4) as in `refine`; ``order``: (n,) their rows by y.
    gain : (>= n,) of two that are the same the smaller goes, of equals the later row.
    same : two are the same where their centres are nearer than so many of the larger radius.
    state : (>= n,) uint8, written: 0 alone, 1 overlapping, 2 the same as another.
    """
    widest = 0.0
    for k in range(n):
        state[k] = 0
        widest = max(widest, math.exp(particles[k, 3]))
    for i in range(n):
        a = order[i]
        if state[a] == 2:
            continue
        radius = math.exp(particles[a, 3])
        for j in range(i + 1, n):
            b = order[j]
            dy = particles[b, 0] - particles[a, 0]
            if dy > radius + widest:
                break
            if state[b] == 2:
                continue
            other = math.exp(particles[b, 3])
            dx = particles[b, 1] - particles[a, 1]
            d2 = dy * dy + dx * dx
            near = same * max(radius, other)
            if d2 < near * near:
                if gain[b] > gain[a] or (gain[b] == gain[a] and b < a):
                    state[a] = 2
                    break
                state[b] = 2
            elif d2 < (radius + other) ** 2:
                state[a] = state[b] = 1
