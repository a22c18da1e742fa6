"""From what was fitted to rows of the table, in the frame's own units."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import from_dtype, njit, types

from .table import DETECTION, Detections, Flag

Columns = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]
SATURATED, INVALID = int(Flag.SATURATED), int(Flag.INVALID_PIXELS)

FLAT = 0.04
"""A sphere that absorbs looks flatter, so larger, than its projection: in its radius, where it absorbs all.
Measured at 0.3, radii of 3 and 4 px."""


def fill_rows(particles: Columns, measured: Columns, background: Columns, noise: float, sign: float,
              variance: float, belief: float) -> Detections:  # fmt: skip
    """Rows of `DETECTION` in the order of the particles; no flags yet.

    Parameters
    ----------
    particles : (n, 4) as in `refine`; ``measured``: (n, `shapes.MEASURED`).
    background : (n,) counts at the centres.
    noise : standard deviation of a pixel of the scaled frame; ``sign``: -1 where it was turned over.
    variance : of the blur, px^2.
    belief : 1 / variance of ln radius that was expected.
    """
    rows = np.empty(len(particles), DETECTION)
    _fill(particles, measured, background, noise, sign, variance, belief, rows)
    return rows


@njit("UniTuple(f8, 2)(f8, f8, f8, f8, f8)", nogil=True, cache=True)
def _axes(yy: float, xx: float, yx: float, weight: float, blur: float) -> tuple[float, float]:
    """Ellipticity and angle of the major axis, from moments under a Gaussian weight.

    The weight's own inverse variance is taken out (adaptive moments: Bernstein & Jarvis, Astron. J. 123
    (2002) 583, sec. 3), then the blur's variance; NaN where noise leaves no ellipse.
    """
    det = yy * xx - yx**2
    if math.isnan(det) or det == 0:
        return math.nan, math.nan
    a, b, c = xx / det - 1 / weight, yy / det - 1 / weight, -yx / det  # inverse moments
    det = a * b - c**2
    if not (det > 0 and a > 0):
        return math.nan, math.nan
    vy, vx, cross = b / det - blur, a / det - blur, -c / det
    middle, half = (vy + vx) / 2, math.hypot((vx - vy) / 2, cross)
    if not middle > half:
        return math.nan, math.nan
    angle = math.atan2(2 * cross, vx - vy) / 2
    return 1 - math.sqrt((middle - half) / (middle + half)), -math.pi / 2 if angle >= math.pi / 2 else angle


@njit((types.float64[:, ::1], types.float64[:, ::1], types.float64[::1], types.float64, types.float64,
       types.float64, types.float64, from_dtype(DETECTION)[::1]), nogil=True, cache=True)  # fmt: skip
def _fill(particles, measured, background, noise, sign, variance, belief, rows):  # type: ignore[no-untyped-def]
    """See `fill_rows`."""
    for k in range(len(rows)):
        row, seen, height = rows[k], measured[k], particles[k, 2]
        root = math.sqrt(background[k])
        absorbed = min(max(-sign * height / root, 0.0), 1.0)
        radius = math.exp(particles[k, 3]) * (1 - FLAT * absorbed)
        row.y, row.x, row.radius = particles[k, 0], particles[k, 1], radius
        row.mass = abs(height) * root * (2 / 3 * math.pi) * radius**2
        row.score = math.sqrt(max(seen[0], 0.0)) / noise
        unit = noise**2 / max(seen[1] * seen[2] - seen[3] ** 2, 1e-30)
        row.var_y, row.var_x, row.cov_yx = unit * seen[2], unit * seen[1], -unit * seen[3]
        hh, hr, rr = seen[4], seen[5], seen[6] + belief * noise**2
        row.var_radius = (noise * radius) ** 2 * hh / max(hh * rr - hr**2, 1e-30)
        row.area, row.diameter = math.pi * radius**2, 2 * radius
        row.ellipticity, row.angle = _axes(seen[7], seen[8], seen[9], radius**2 / 5 + variance, variance)
        row.contrast, row.background, row.flags = sign * height / root, background[k], 0


def edge_flags(rows: Detections, shape: tuple[int, int]) -> npt.NDArray[np.uint32]:
    """(n,) `Flag.EDGE` where a disc reaches over the edge of the frame."""
    y, x, r = rows["y"], rows["x"], rows["radius"]
    over = (np.minimum(y, x) - r < -0.5) | (y + r > shape[0] - 0.5) | (x + r > shape[1] - 0.5)
    return np.where(over, np.uint32(Flag.EDGE), np.uint32(0))


@njit("void(f4[:,::1], f8[:,::1], i8, f8, u4[::1])", nogil=True, cache=True)
def _flag_pixels(
    frame: npt.NDArray[np.float32],
    particles: Columns,
    n: int,
    saturation: float,
    flags: npt.NDArray[np.uint32],
) -> None:
    """See `flag_pixels`."""
    h, w = frame.shape
    for k in range(n):
        y, x, r = particles[k, 0], particles[k, 1], math.exp(particles[k, 3])
        for j in range(max(math.ceil(y - r), 0), min(math.floor(y + r) + 1, h)):
            for i in range(max(math.ceil(x - r), 0), min(math.floor(x + r) + 1, w)):
                if (j - y) ** 2 + (i - x) ** 2 < r * r:
                    if not math.isfinite(frame[j, i]):
                        flags[k] |= np.uint32(INVALID)
                    elif frame[j, i] >= saturation:
                        flags[k] |= np.uint32(SATURATED)


def flag_pixels(frame: Values, particles: Columns, n: int, saturation: float, rows: Detections) -> None:
    """Add to the flags of each particle what the pixels of its disc say: saturated, not finite."""
    flags = np.ascontiguousarray(rows["flags"])
    _flag_pixels(frame, particles, n, saturation, flags)
    rows["flags"] = flags
