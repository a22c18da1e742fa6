"""What is known of each particle that was found in a frame: a row a particle. Knows no method that finds any.

Positions are (y, x) in pixels, pixel centres whole numbers, origin top left.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Detections: TypeAlias = npt.NDArray[Any]
"""(n,) of `DETECTION`."""

DETECTION = np.dtype(
    [
        ("y", "f8"),  # centre, px
        ("x", "f8"),
        ("radius", "f4"),  # of the sphere with this projection, px
        ("mass", "f4"),  # integrated intensity above (bright) or below (dark) the background, counts
        ("score", "f4"),  # by which it stands out, in standard deviations of the noise
        ("var_y", "f4"),  # covariance of the centre, px^2
        ("var_x", "f4"),
        ("cov_yx", "f4"),
        ("var_radius", "f4"),  # px^2
        ("area", "f4"),  # of the projection, px^2
        ("diameter", "f4"),  # of the circle with this area, px
        ("ellipticity", "f4"),  # 1 - minor / major axis: 0 round, towards 1 a needle
        ("angle", "f4"),  # of the major axis, from +x towards +y, in [-pi/2, pi/2)
        ("contrast", "f4"),  # height at the centre, in the background: < 0 dark, > 0 bright
        ("background", "f4"),  # counts of a pixel there without the particle
        ("flags", "u4"),  # `Flag`
    ]
)
"""One particle in one frame; NaN where a figure was not measured. 72 bytes."""


class Flag(IntFlag):
    """What to know before a row is used."""

    WEAK = 1
    """Below the threshold of a particle on its own: may continue a track, must not start one."""
    EDGE = 2
    """Its disc reaches over the frame's edge: measured from the part that is seen."""
    SATURATED = 4
    """Pixels of it are at the highest value that the detector counts."""
    OVERLAPPING = 8
    """Its disc overlaps a neighbour's: measured together with it."""
    FROM_MASK = 16
    """A region of a mask or of a segmentation: its shape is the region's."""
    INVALID_PIXELS = 32
    """Pixels of it are not finite and were left out."""
    UNREFINED = 64
    """The fit of centre and radius did not settle: centre and radius are those of the peak."""


def empty_detections(n: int = 0) -> Detections:
    """(n,) rows of `DETECTION`, all NaN, no flags."""
    rows = np.zeros(n, DETECTION)
    for name in DETECTION.names or ():
        if name != "flags":
            rows[name] = np.nan
    return rows
