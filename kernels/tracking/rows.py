"""From what was fitted to rows of the table, in the frame's own units."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from .table import Detections, Flag, empty_detections

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
    rows = empty_detections(len(particles))
    root = np.sqrt(background)
    height = particles[:, 2]
    absorbed = np.clip(-sign * height / root, 0, 1)
    radius = np.exp(particles[:, 3]) * (1 - FLAT * absorbed)
    rows["y"], rows["x"], rows["radius"] = particles[:, 0], particles[:, 1], radius
    rows["mass"] = np.abs(height) * root * (2 / 3 * math.pi) * radius**2
    rows["score"] = np.sqrt(np.maximum(measured[:, 0], 0)) / noise
    yy, xx, yx = measured[:, 1], measured[:, 2], measured[:, 3]
    unit = noise**2 / np.maximum(yy * xx - yx**2, 1e-30)
    rows["var_y"], rows["var_x"], rows["cov_yx"] = unit * xx, unit * yy, -unit * yx
    hh, hr, rr = measured[:, 4], measured[:, 5], measured[:, 6] + belief * noise**2
    rows["var_radius"] = (noise * radius) ** 2 * hh / np.maximum(hh * rr - hr**2, 1e-30)
    rows["area"], rows["diameter"] = math.pi * radius**2, 2 * radius
    rows["ellipticity"], rows["angle"] = _axes(measured, radius**2 / 5 + variance, variance)
    rows["contrast"], rows["background"] = sign * height / root, background
    return rows


def _axes(measured: Columns, weight: Columns, blur: float) -> tuple[Columns, Columns]:
    """Ellipticity and angle of the major axis, from moments under a Gaussian weight.

    The weight's own inverse variance is taken out (adaptive moments: Bernstein & Jarvis, Astron. J. 123
    (2002) 583, sec. 3), then the blur's variance; NaN where noise leaves no ellipse.
    """
    yy, xx, yx = measured[:, 7], measured[:, 8], measured[:, 9]
    with np.errstate(divide="ignore", invalid="ignore"):
        det = yy * xx - yx**2
        a, b, c = xx / det - 1 / weight, yy / det - 1 / weight, -yx / det  # inverse moments
        det = a * b - c**2
        vy, vx, cross = b / det - blur, a / det - blur, -c / det
        middle, half = (vy + vx) / 2, np.hypot((vx - vy) / 2, cross)
        ellipse = (det > 0) & (a > 0) & (middle > half)
        ellipticity = np.where(ellipse, 1 - np.sqrt((middle - half) / (middle + half)), np.nan)
    angle = np.where(ellipse, np.arctan2(2 * cross, vx - vy) / 2, np.nan)
    return ellipticity, np.where(angle >= math.pi / 2, -math.pi / 2, angle)


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
