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

from .footprint import add_profile, gather, outline, pulls, tables_for, widest
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


def curvatures(profile: Profile) -> npt.NDArray[np.float64]:
    """Sums over the pixels of a lone particle of height 1, for each row of the profile's table.

    Returns
    -------
    (rows, 6) float64 : of the squared slope along y; of the squared height; of height times change with
        ln radius; of that change squared; of the height under exp(-u / 2), and of that times dy^2.
    """
    radii = np.exp(profile.start + profile.step * np.arange(len(profile.table)))
    sums = np.empty((len(radii), 6))
    for k, radius in enumerate(radii):
        rho = np.linspace(0, radius + 4 * math.sqrt(profile.variance), 100)
        height = profile.exact(radius, rho)
        change = (profile.exact(radius * 1.01, rho) - profile.exact(radius / 1.01, rho)) / (
            2 * math.log(1.01)
        )
        area = 2 * math.pi * rho * (rho[1] - rho[0])
        slope = np.gradient(height, rho)
        weight = np.exp(-(rho**2) / (2 * (radius**2 / 5 + profile.variance)))
        sums[k] = (
            (area * slope**2 / 2).sum(),
            *((area * f).sum() for f in (height**2, height * change, change**2)),
            *((area * f).sum() for f in (weight * height, weight * height * rho**2 / 2)),
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
    last = start + step * (table.shape[0] - 1)
    tables = tables_for(widest(last, reach))
    pull, box = np.empty(4), np.empty(4, np.int64)
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
            outline(residual, table, start, step, variance, particle, reach, tables, box)
            gather(residual, tables, box)
            pulls(tables, box, s2, pull)
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
            add_profile(residual, tables, box, height)
            particle[0] += dy
            particle[1] += dx
            particle[2] = height + up if (height + up) * height > 0 else 0.0
            particle[3] += grow
            moved[k] = max(length, abs(grow)) if particle[2] != 0 else 0.0
            outline(residual, table, start, step, variance, particle, reach, tables, box)
            add_profile(residual, tables, box, -particle[2])
    return steps


@njit("void(f4[:,::1], f4[:,::1], f8, f8, f8, f8, f8[:,::1], i8, i8, f8)", nogil=True, cache=True)
def add_particles(
    residual: Values, table: Values, start: float, step: float, variance: float, reach: float,
    particles: Particles, first: int, last: int, sign: float,
) -> None:  # fmt: skip
    """Add ``sign`` times the particles ``first`` to ``last`` - 1 to the residual."""
    tables = tables_for(widest(start + step * (table.shape[0] - 1), reach))
    box = np.empty(4, np.int64)
    for k in range(first, last):
        outline(residual, table, start, step, variance, particles[k], reach, tables, box)
        add_profile(residual, tables, box, sign * particles[k, 2])
