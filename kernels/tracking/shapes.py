"""What each fitted particle is: its significance, covariance and second moments, and who overlaps whom."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from .footprint import (
    DX,
    DY,
    SUMS,
    Box,
    C,
    F,
    G,
    Particles,
    V,
    Values,
    X,
    Y,
    gather,
    outline,
    tables_for,
    widest,
)
from .lanes import LANES
from .refine import at_radius

Gains = npt.NDArray[np.float64]
MEASURED = 10
"""Columns of `measure`."""
WIDE = 12.0
"""Radius in blurs beyond which a particle is wide: its own pixels are summed, not the table of lone ones
taken, which gave centres 1.4 times their variance at 40 blurs, for the five terms are not a sphere's in the
corners of the box. What a disc leaves of its shape is no noise: it counts in full (`verdict`)."""
OVERLAPPING, TWICE = 1, 2
"""States of `crowd`."""


@njit("void(f4[:,::1], i8[::1], f8[::1])", nogil=True, cache=True, fastmath=SUMS)
def _weighed(t: Values, box: Box, out: Particles) -> None:
    """Of a residual that was gathered: its sum under the profile, and under exp(-u / 2) those of 1, dy, dx,
    u_y, u_x and dy dx."""
    columns = (box[3] - box[2] + LANES - 1) // LANES * LANES
    c0, c1, c2, c3, c4 = t[C, 0], t[C, 1], t[C, 2], t[C, 3], t[C, 4]
    height = mass = my = mx = myy = mxx = myx = np.float32(0)
    for i in range(columns):
        x0, x1, x2, x3, x4 = t[X, i], t[X + 1, i], t[X + 2, i], t[X + 3, i], t[X + 4, i]
        v0, v1, v2, v3, v4, z0 = t[V, i], t[V + 1, i], t[V + 2, i], t[V + 3, i], t[V + 4, i], t[V + 6, i]
        height += (
            v0 * (c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3 + c4 * x4)
            + v1 * (c1 * x0 + c2 * x1 + c3 * x2 + c4 * x3)
            + v2 * (c2 * x0 + c3 * x1 + c4 * x2) + v3 * (c3 * x0 + c4 * x1) + v4 * (c4 * x0)
        )  # fmt: skip
        dx = t[DX, i]
        mass += v0 * x0
        my += z0 * x0
        mx += v0 * x0 * dx
        myy += v1 * x0
        mxx += v0 * x1
        myx += z0 * x0 * dx
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = height, mass, my, mx, myy, mxx, myx


@njit("void(f4[:,::1], i8[::1], f8, f8[::1])", nogil=True, cache=True, fastmath=SUMS)
def _clipped(t: Values, box: Box, s2: float, out: Particles) -> None:
    """Of a particle of height 1 and the pixels of its box: sums of the squared height, of height times change
    with ln radius, of that squared, of the slopes' squares yy, xx, yx times s^4 / 4; and under exp(-u / 2) of
    its height those of 1, dy, dx, u_y, u_x, dy dx."""
    out[:] = 0
    over = np.float32(1 / s2)
    c0, c1, c2, c3, c4 = t[C, 0], t[C, 1], t[C, 2] / 2, t[C, 3] / 6, t[C, 4] / 24
    f0, f1, f2, f3, f4 = t[F, 0], t[F, 1], t[F, 2] / 2, t[F, 3] / 6, t[F, 4] / 24
    g0, g1, g2, g3, g4, g5 = t[G, 0], t[G, 1], t[G, 2] / 2, t[G, 3] / 6, t[G, 4] / 24, t[G, 5] / 120
    for j in range(box[1] - box[0]):
        dy, ey = t[DY, j], t[Y, j]
        hh = hr = rr = tt = tx = txx = m = mx = mxx = 0.0
        for i in range(box[3] - box[2]):
            dx, e = t[DX, i], ey * t[X, i]
            u = (dy * dy + dx * dx) * over
            height = e * (c0 + u * (c1 + u * (c2 + u * (c3 + u * c4))))
            fall = e * (f0 + u * (f1 + u * (f2 + u * (f3 + u * f4))))
            grow = e * (g0 + u * (g1 + u * (g2 + u * (g3 + u * (g4 + u * g5)))))
            hh += height * height
            hr += height * grow
            rr += grow * grow
            tt += fall * fall
            tx += fall * fall * dx
            txx += fall * fall * dx * dx
            m += e * height
            mx += e * height * dx
            mxx += e * height * dx * dx
        out[0] += hh
        out[1] += hr
        out[2] += rr
        out[3] += tt * dy * dy
        out[4] += txx
        out[5] += tx * dy
        out[6] += m
        out[7] += m * dy
        out[8] += mx
        out[9] += m * dy * dy * over
        out[10] += mxx * over
        out[11] += mx * dy


@njit("void(f8[:,::1], f8, f8, f8, f8, f8[::1])", nogil=True, cache=True)
def _whole(
    curves: Particles, start: float, step: float, log_radius: float, s2: float, out: Particles
) -> None:
    """As `_clipped`, of a particle whose pixels are all in the frame: from the table of lone ones."""
    out[:] = 0
    out[0] = at_radius(curves, start, step, log_radius, 1)
    out[1] = at_radius(curves, start, step, log_radius, 2)
    out[2] = at_radius(curves, start, step, log_radius, 3)
    out[3] = out[4] = at_radius(curves, start, step, log_radius, 0) * s2 * s2 / 4
    out[6] = at_radius(curves, start, step, log_radius, 4)
    out[9] = out[10] = at_radius(curves, start, step, log_radius, 5) / s2


@njit(
    "void(f4[:,::1], f4[:,::1], f8[:,::1], f8, f8, f8, f8, f8[:,::1], i8, f8[:,::1])", nogil=True, cache=True
)
def measure(
    residual: Values, table: Values, curves: Particles, start: float, step: float, variance: float,
    reach: float, particles: Particles, n: int, out: Particles,
) -> None:  # fmt: skip
    """Sums over the pixels of each particle, in the residual of all others.

    Parameters
    ----------
    residual, table, curves, start, step, variance, reach, particles, n : as in `refine.fit_together`.
    out : (>= n, `MEASURED`) float64, written. Column 0 is the gain of the particle in chi squared, 1 to 3 the
        information on the centre (yy, xx, yx), 4 to 6 on (height, ln radius): hh, hr, rr, all for noise of
        variance 1; 7 to 9 the Gaussian-weighted second moments yy, xx, yx, px^2 (NaN where the weighted
        sum is not of the height's sign), weighted by exp(-u / 2) of the profile.
    """
    tables = tables_for(widest(start + step * (table.shape[0] - 1), reach))
    box, seen, own = np.empty(4, np.int64), np.empty(7), np.empty(12)
    h, w = residual.shape
    for k in range(n):
        outline(residual, table, start, step, variance, particles[k], reach, tables, box)
        gather(residual, tables, box)
        _weighed(tables, box, seen)
        y, x, height, radius = particles[k, 0], particles[k, 1], particles[k, 2], math.exp(particles[k, 3])
        s2, far = radius * radius / 5 + variance, radius + reach
        is_whole = min(y, x) >= far and y + far <= h - 1 and x + far <= w - 1
        if not is_whole or radius * radius > WIDE * WIDE * variance:
            _clipped(tables, box, s2, own)
        else:
            _whole(curves, start, step, particles[k, 3], s2, own)
        slope, row = 4 * height * height / (s2 * s2), out[k]
        row[0] = 2 * height * seen[0] + height * height * own[0]
        row[1], row[2], row[3] = slope * own[3], slope * own[4], slope * own[5]
        row[4], row[5], row[6] = own[0], height * own[1], height * height * own[2]
        mass = seen[1] + height * own[6]
        if mass * height > 0:
            cy, cx = (seen[2] + height * own[7]) / mass, (seen[3] + height * own[8]) / mass
            row[7] = s2 * (seen[4] + height * own[9]) / mass - cy * cy
            row[8] = s2 * (seen[5] + height * own[10]) / mass - cx * cx
            row[9] = (seen[6] + height * own[11]) / mass - cy * cx
        else:
            row[7] = row[8] = row[9] = math.nan


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
    largest, radii = 0.0, np.empty(n)
    for k in range(n):
        state[k] = 0
        radii[k] = math.exp(particles[k, 3])
        largest = max(largest, radii[k])
    for i in range(n):
        a = order[i]
        if state[a] == 2:
            continue
        radius = radii[a]
        for j in range(i + 1, n):
            b = order[j]
            dy = particles[b, 0] - particles[a, 0]
            if dy > radius + largest:
                break
            if state[b] == 2:
                continue
            other = radii[b]
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


@njit("f8[::1](f8[:,::1], i8[::1], f8[::1])", nogil=True, cache=True)
def apart(particles: Particles, order: npt.NDArray[np.int64], gain: Gains) -> Gains:
    """Distance to the centre of a particle that gains more, in the sum of the radii, where the discs overlap.

    Parameters
    ----------
    particles : (n, 4) as in `refine`; ``order``: (n,) their rows by y.
    gain : (n,) of equals the later row gains less.

    Returns
    -------
    (n,) float64 : of several the least; 1 where no stronger one overlaps.
    """
    n = len(order)
    radii, out = np.exp(particles[:, 3]), np.ones(n)
    largest = radii.max() if n else 0.0
    for i in range(n):
        a = order[i]
        for j in range(i + 1, n):
            b = order[j]
            dy = particles[b, 0] - particles[a, 0]
            if dy > radii[a] + largest:
                break
            dx, both = particles[b, 1] - particles[a, 1], radii[a] + radii[b]
            if dy * dy + dx * dx < both * both:
                weaker = a if gain[a] < gain[b] or (gain[a] == gain[b] and a > b) else b
                out[weaker] = min(out[weaker], math.sqrt(dy * dy + dx * dx) / both)
    return out
