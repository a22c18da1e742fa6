"""Centre, height and radius of all particles together: each is fitted to what the others leave.

Least squares by Gauss-Newton, one particle at a time in the residual of all (after DAOPHOT's groups: Stetson,
Publ. Astron. Soc. Pac. 99 (1987) 191). The weights of a centre's step are the slope of a blurred, nearly
Gaussian projection times the residual: the Gaussian-mask fixed point (Thompson, Larson & Webb, Biophys. J. 82
(2002) 2775) with the particle's own scale. Curvatures are those of a lone particle, from a table: they change
the path, not where it ends.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from .profile import Profile

Values = npt.NDArray[np.float32]
Particles = npt.NDArray[np.float64]
"""(n, 4) y, x, height at the centre before the blur in standard deviations of the noise, ln radius."""

LONGEST = 0.8
"""Of a step of the centre, px."""
STRETCH = 0.2
"""Most that ln radius changes in a step."""
SETTLED = 0.05
"""A particle that moved (px) and grew (in its radius) less waits until the end."""
SUMS = {"reassoc", "contract", "nsz", "arcp"}


def curvatures(profile: Profile) -> npt.NDArray[np.float64]:
    """Sums over the pixels of a lone particle of height 1, for each row of the profile's table.

    Returns
    -------
    (rows, 4) float64 : of the squared slope along y; of the squared height; of height times change with
        ln radius; of that change squared.
    """
    radii = np.exp(profile.start + profile.step * np.arange(len(profile.table)))
    sums = np.empty((len(radii), 4))
    for k, radius in enumerate(radii):
        rho = np.linspace(0, radius + 4 * math.sqrt(profile.variance), 100)
        height = profile.exact(radius, rho)
        change = (profile.exact(radius * 1.01, rho) - profile.exact(radius / 1.01, rho)) / (
            2 * math.log(1.01)
        )
        area = 2 * math.pi * rho * (rho[1] - rho[0])
        slope = np.gradient(height, rho)
        sums[k] = (
            (area * slope**2 / 2).sum(),
            *((area * f).sum() for f in (height**2, height * change, change**2)),
        )
    return sums


@njit("f8(f8[:,::1], f8, f8, f8, i8)", nogil=True, cache=True)
def at_radius(curves: Particles, start: float, step: float, log_radius: float, column: int) -> float:
    """A column of `curvatures` for one radius, straight between its rows."""
    at = min(max((log_radius - start) / step, 0.0), curves.shape[0] - 1.0)
    row = min(int(at), curves.shape[0] - 2)
    return float(curves[row, column] + (at - row) * (curves[row + 1, column] - curves[row, column]))


@njit("void(f8[:,::1], f8, f8, f8[:,::1], i8, f8[::1])", nogil=True, cache=True)
def lone_gains(
    curves: Particles, start: float, step: float, particles: Particles, n: int, out: npt.NDArray[np.float64]
) -> None:
    """Chi squared that each particle explains if it is alone: ``out`` (>= n,)."""
    for k in range(n):
        out[k] = particles[k, 2] ** 2 * at_radius(curves, start, step, particles[k, 3], 1)


@njit("void(f4[:,::1], f8, f8, f8, f4[::1], f4[::1])", nogil=True, cache=True)
def coefficients(
    table: Values, start: float, step: float, log_radius: float, c: Values, slope: Values
) -> None:
    """Of the profile of one radius, and their change with ln radius; radii beyond the table are its ends'."""
    at = min(max((log_radius - start) / step, 0.0), table.shape[0] - 1.0)
    k = min(int(at), table.shape[0] - 2)
    part = at - k
    low, high = table[k], table[k + 1]
    for i in range(low.size):
        rise = high[i] - low[i]
        c[i] = low[i] + part * rise
        slope[i] = rise / step


@njit("void(f4[:,::1], f4[:,::1], f8, f8, f8, f8[::1], f8, f4[:,::1], i8[::1])", nogil=True, cache=True)
def outline(
    residual: Values, table: Values, start: float, step: float, variance: float,
    particle: Particles, reach: float, scratch: Values, box: npt.NDArray[np.int64],
) -> None:  # fmt: skip
    """Box of a particle, clipped to the frame (y0, y1, x0, x1), and what its pixels are computed from.

    ``scratch`` (8, width): its rows are the exponentials along y and x, u along y and x, offsets along y and
    x, the coefficients and their slopes.
    """
    radius = math.exp(particle[3])
    half, inverse = radius + reach, 1 / (radius * radius / 5 + variance)
    bend = math.exp(-inverse)
    for axis in range(2):
        place = particle[axis]
        first, last = max(math.ceil(place - half), 0), min(int(place + half) + 1, residual.shape[axis])
        box[2 * axis], box[2 * axis + 1] = first, last
        offset, over = first - place, np.float32(inverse)
        height, ratio = math.exp(-0.5 * offset * offset * inverse), math.exp(-(offset + 0.5) * inverse)
        heights, squares, offsets = scratch[axis], scratch[2 + axis], scratch[4 + axis]
        for k in range(last - first):
            heights[k] = height
            height *= ratio
            ratio *= bend
        for k in range(last - first):
            away = np.float32(offset) + np.float32(k)
            offsets[k] = away
            squares[k] = away * away * over
    coefficients(table, start, step, particle[3], scratch[6], scratch[7])


@njit("void(f4[:,::1], f4[:,::1], i8[::1], f4)", nogil=True, cache=True, fastmath=SUMS)
def add_profile(residual: Values, scratch: Values, box: npt.NDArray[np.int64], height: float) -> None:
    """Add a particle of so much height, outlined before, to the residual."""
    c0, c1, c2, c3, c4 = scratch[6, 0], scratch[6, 1], scratch[6, 2], scratch[6, 3], scratch[6, 4]
    n = box[3] - box[2]
    ex, ux = scratch[1], scratch[3]
    for j in range(max(box[1] - box[0], 0)):
        line = residual[box[0] + j, box[2] : box[3]]
        ey, uy = height * scratch[0, j], scratch[2, j]
        for i in range(n):
            u = uy + ux[i]
            line[i] += ey * ex[i] * (c0 + u * (c1 + u * (c2 + u * (c3 + u * c4))))


@njit("void(f4[:,::1], f4[:,::1], i8[::1], f4, f4, f8[::1])", nogil=True, cache=True, fastmath=SUMS)
def pulls(
    residual: Values, scratch: Values, box: npt.NDArray[np.int64], s2: float, spread: float, out: Particles
) -> None:
    """What the residual asks of a particle of height 1: sums of it with the slopes along y and x, with the
    height, and with the change with ln radius. ``spread`` is the change of ln s^2 with ln radius."""
    c0, c1, c2, c3, c4 = scratch[6, 0], scratch[6, 1], scratch[6, 2], scratch[6, 3], scratch[6, 4]
    d0, d1, d2, d3, d4 = scratch[7, 0], scratch[7, 1], scratch[7, 2], scratch[7, 3], scratch[7, 4]
    half = np.float32(0.5)
    two, three, four = np.float32(2), np.float32(3), np.float32(4)
    n = box[3] - box[2]
    ex, ux, dx = scratch[1], scratch[3], scratch[5]
    along_y = along_x = heights = grows = 0.0
    for j in range(max(box[1] - box[0], 0)):
        line = residual[box[0] + j, box[2] : box[3]]
        uy = scratch[2, j]
        a = b = g = f = np.float32(0)
        for i in range(n):
            u = uy + ux[i]
            d = line[i] * ex[i]
            p = c0 + u * (c1 + u * (c2 + u * (c3 + u * c4)))
            fall = c1 + u * (two * c2 + u * (three * c3 + u * four * c4)) - half * p
            grow = d0 + u * (d1 + u * (d2 + u * (d3 + u * d4))) - spread * u * fall
            t = d * fall
            a += t
            b += t * dx[i]
            g += d * p
            f += d * grow
        ey = scratch[0, j]
        along_y += ey * scratch[4, j] * a
        along_x += ey * b
        heights += ey * g
        grows += ey * f
    out[0], out[1] = -2 * along_y / s2, -2 * along_x / s2
    out[2], out[3] = heights, grows


@njit(
    "i8(f4[:,::1], f4[:,::1], f8[:,::1], f8, f8, f8, f8, f8[:,::1], f8[::1], i8, i8, f8, f8, f8)",
    nogil=True, cache=True,
)  # fmt: skip
def fit_together(
    residual: Values, table: Values, curves: Particles, start: float, step: float, variance: float,
    reach: float, particles: Particles, moved: npt.NDArray[np.float64], n: int, sweeps: int,
    typical: float, tolerance: float, noise: float,
) -> int:  # fmt: skip
    """Fit all particles in turn, ``sweeps`` times.

    Parameters
    ----------
    residual : (h, w) float32, the scaled frame without any of the particles; kept so.
    table, start, step, variance : of the `Profile`; ``curves``: its `curvatures`.
    reach : pixels beyond the radius that belong to a particle.
    particles : (>= n, 4) float64, changed in place.
    moved : (>= n,) float64: how far each went in its last step; those below `SETTLED` are left alone.
    typical, tolerance : ln radius that is expected, and its standard deviation.
    noise : standard deviation of a pixel of the residual.

    Returns
    -------
    int
        Steps that were taken.
    """
    side = 2 * int(math.exp(start + step * (table.shape[0] - 1)) + reach) + 4
    scratch = np.zeros((8, max(side, 8)), np.float32)
    pull, box = np.empty(4), np.empty(4, np.int64)
    last = start + step * (table.shape[0] - 1)
    belief = (noise / tolerance) ** 2
    steps = 0
    for _ in range(sweeps):
        for k in range(n):
            if moved[k] < SETTLED:
                continue
            steps += 1
            particle = particles[k]
            height = particle[2]
            radius2 = math.exp(2 * particle[3])
            s2 = radius2 / 5 + variance
            outline(residual, table, start, step, variance, particle, reach, scratch, box)
            pulls(residual, scratch, box, s2, 2 * radius2 / (5 * s2), pull)
            add_profile(residual, scratch, box, height)
            slope2 = at_radius(curves, start, step, particle[3], 0)
            hh = at_radius(curves, start, step, particle[3], 1)
            hr = height * at_radius(curves, start, step, particle[3], 2)
            rr = height * height * at_radius(curves, start, step, particle[3], 3) + belief
            grow_pull = height * pull[3] + belief * (typical - particle[3])
            det = hh * rr - hr * hr
            up = (rr * pull[2] - hr * grow_pull) / det
            grow = min(max((hh * grow_pull - hr * pull[2]) / det, -STRETCH), STRETCH)
            grow = min(max(particle[3] + grow, start), last) - particle[3]
            dy = height * pull[0] / (height * height * slope2 + 1e-9)
            dx = height * pull[1] / (height * height * slope2 + 1e-9)
            length = math.hypot(dy, dx)
            if length > LONGEST:
                dy, dx, length = dy * LONGEST / length, dx * LONGEST / length, LONGEST
            particle[0] += dy
            particle[1] += dx
            particle[2] = height + up if (height + up) * height > 0 else 0.0
            particle[3] += grow
            moved[k] = max(length, abs(grow)) if particle[2] != 0 else 0.0
            outline(residual, table, start, step, variance, particle, reach, scratch, box)
            add_profile(residual, scratch, box, -particle[2])
    return steps


@njit("void(f4[:,::1], f4[:,::1], f8, f8, f8, f8, f8[:,::1], i8, i8, f8)", nogil=True, cache=True)
def add_particles(
    residual: Values, table: Values, start: float, step: float, variance: float, reach: float,
    particles: Particles, first: int, last: int, sign: float,
) -> None:  # fmt: skip
    """Add ``sign`` times the particles ``first`` to ``last`` - 1 to the residual."""
    side = 2 * int(math.exp(start + step * (table.shape[0] - 1)) + reach) + 4
    scratch, box = np.zeros((8, max(side, 8)), np.float32), np.empty(4, np.int64)
    for k in range(first, last):
        outline(residual, table, start, step, variance, particles[k], reach, scratch, box)
        add_profile(residual, scratch, box, sign * particles[k, 2])
