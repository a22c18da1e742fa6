"""Which of a frame's fitted particles are believed: by what noise alone would make, and their rows.

The same for whatever has fitted them, the processor or a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from . import peaks, shapes
from .options import DetectorOptions
from .rows import edge_flags, fill_rows
from .table import Detections, Flag, empty_detections

Columns = npt.NDArray[np.float64]
Bounds = tuple[float, float]
"""Score from which a detection stands on its own, and from which it may continue a track."""

FIELD = 0.1, 0.5
"""Variance of the field of false alarms beside the blur's: in squared radii, and px^2. Measured."""
CROWDED = 3.0
"""False alarms fall with this power of the first search's spread in the noise: it starts nothing at peaks
that are low in that spread. Measured."""
LOOSE = 1.1
"""Spread in noise that may come from noise alone."""
STRONG = 6.0
"""Score of what is certainly a particle."""
RESTLESS = 0.3
"""A particle whose last step was longer, px, has not settled."""
SHADE = 5.0
"""Radii around a particle where the noise makes no false alarm: measured on crowds of all densities. Its disc
and the next are taken, and what is too faint to be found there makes the noise look wider than it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A frame's detections, and how they were found."""

    detections: Detections
    """By falling score."""
    noise: float
    """Standard deviation of the scaled frame without particles: 1 where counts are electrons; 0 where
    nothing varies."""
    threshold: float
    """Score from which a detection stands on its own."""
    weak_threshold: float
    invalid_pixels: int
    """Pixels that are not finite."""
    truncated: bool
    """There were more than `DetectorOptions.most`: a frame in which everything looks like a particle."""
    rest: npt.NDArray[np.int8] | None = None
    """(h, w) the scaled frame without the detections that stand on their own, in sixteenths of the noise; of
    `Detector.examine` with ``keep_rest``."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """All particles of a frame, fitted and measured, before any is believed."""

    particles: Columns
    """(n, 4) as in `refine`."""
    measured: Columns
    """(n, `shapes.MEASURED`)"""
    moved: Columns
    """(n,) px, in the last step."""
    state: npt.NDArray[np.uint8]
    """(n,) of `shapes.crowd`."""
    noise: float
    """Standard deviation of a pixel of the scaled frame, > 0."""
    crowding: float
    """Spread of the first search in that noise."""

    wide: float = math.inf
    """px, radius beyond which a particle's score is not made less."""

    scores: Columns = field(init=False)
    """(n,) root of the chi squared that each explains, less where it lies on a stronger one (`shapes.apart`).

    What a fit leaves of a strong particle looks like a weak one on its rim, and particles seldom lie on each
    other. A wide one (`shapes.WIDE`) that is no sphere lies on itself: the stronger of its parts changes from
    frame to frame.
    """

    def __post_init__(self) -> None:
        particles = np.ascontiguousarray(self.particles, np.float64)
        gain = np.maximum(self.measured[:, 0], 0).astype(np.float64)
        order = np.argsort(particles[:, 0], kind="stable")
        apart = shapes.apart(particles, order, gain)
        apart[np.exp(particles[:, 3]) > self.wide] = 1
        object.__setattr__(self, "scores", np.sqrt(gain) / self.noise * apart)


def nothing_found(invalid: int) -> Found:
    """Of a frame in which nothing varies."""
    return Found(empty_detections(), 0.0, math.inf, math.inf, invalid, False)


def bounds_of(fit: Fit, options: DetectorOptions, variance: float, pixels: int) -> Bounds:
    """Thresholds of a frame of so many pixels; ``variance`` is that of the blur, px^2."""
    scores = fit.scores
    sigma = math.sqrt(FIELD[0] * options.radius**2 + FIELD[1] + variance)
    shaded = math.pi * SHADE**2 * float(np.exp(2 * fit.particles[scores > STRONG, 3]).sum())
    area = pixels * math.exp(-shaded / pixels) / max(fit.crowding / LOOSE, 1.0) ** CROWDED
    strict = peaks.threshold_for(options.false_alarms, area, sigma)
    threshold = peaks.balanced_threshold(scores, strict, area, sigma)
    return threshold, min(threshold, peaks.threshold_for(options.weak_alarms, area, sigma))


def order_of(fit: Fit, bounds: Bounds) -> npt.NDArray[np.intp]:
    """Those that are not too weak, by falling score."""
    scores = fit.scores
    order = np.flatnonzero(scores >= bounds[1])
    return order[np.argsort(-scores[order], kind="stable")]


def rows_of(
    fit: Fit,
    order: npt.NDArray[np.intp],
    level: Columns,
    bounds: Bounds,
    options: DetectorOptions,
    variance: float,
    shape: tuple[int, int],
) -> Detections:
    """Rows of the particles ``order``, with the flags that need no pixel; ``level``: counts there."""
    sign = -1.0 if options.polarity == "dark" else 1.0
    rows = fill_rows(fit.particles[order], fit.measured[order], level, fit.noise, sign, variance,
                     options.spread**-2)  # fmt: skip
    rows["score"] = fit.scores[order]
    flags = np.where(rows["score"] < bounds[0], np.uint32(Flag.WEAK), np.uint32(0))
    flags[fit.state[order] == shapes.OVERLAPPING] |= np.uint32(Flag.OVERLAPPING)
    flags[fit.moved[order] > RESTLESS] |= np.uint32(Flag.UNREFINED)
    rows["flags"] = flags | edge_flags(rows, shape)
    return rows
