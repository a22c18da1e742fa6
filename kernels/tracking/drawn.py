"""Particles that a model has drawn: peaks of a heat map, regions of a mask, as rows of `table.DETECTION`.

Knows neither the model nor the frame that it saw.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..heat_maps import find_peaks
from .regions import detect_mask
from .rows import edge_flags
from .table import Detections, Flag, empty_detections

Kind: TypeAlias = Literal["heat_map", "mask"]

STRICT = 4.5
"""Score of a peak, or of a region, as high as the threshold: what a single particle is believed from."""
WEAK = 0.5
"""Of the threshold; lower peaks are none."""
RADII = 2.0
"""Of a particle, in the width of its bump: a Gaussian half a radius wide (decision 0017)."""
PLACE_ERROR, RADIUS_ERROR = 0.05, 0.2
"""Standard deviations of a peak's centre, along an axis, and of its radius, in radii. Maps do not tell; where
centres are worse, tracks are less smooth, where they are better than said, tracks would lag behind."""


def detect_drawn(
    drawn: npt.NDArray[Any], kind: Kind, threshold: float = 0.5, smallest: int = 4
) -> Detections:
    """What a model has drawn of one frame.

    Parameters
    ----------
    drawn : (h, w) bool, integers or floats; what is not finite belongs to no particle.
    kind : "heat_map": a bump about each particle, its height how sure the model is; "mask": the pixels of
        particles are above the threshold.
    threshold : of heights, > 0.
    smallest : regions of a mask of fewer pixels are left out.

    Returns
    -------
    Detections
        Of a heat map: place and width by `find_peaks`, the radius twice the width; ``mass`` the volume of the
        bump, ``contrast`` its height, `Flag.WEAK` below the threshold. Of a mask: as of `detect_mask`,
        ``mass`` the sum of what was drawn, ``contrast`` its mean.
        ``score`` is `STRICT` times the height in the threshold, so that links weigh it as a fit's.

    Raises
    ------
    ValueError
        Another kind or number of dimensions, a threshold of 0 or less.
    """
    if drawn.ndim != 2:
        raise ValueError(f"what was drawn is {drawn.shape}: give one plane (h, w)")
    if not 0 < threshold < math.inf:
        raise ValueError(f"threshold is {threshold}: give a height above 0")
    if kind not in ("heat_map", "mask"):
        raise ValueError(f"kind is {kind!r}: give heat_map or mask")
    plane = np.array(drawn, np.float32, order="C")
    rows = _peaks(plane, threshold) if kind == "heat_map" else _regions(plane, threshold, smallest)
    rows["score"] = STRICT * rows["contrast"] / threshold
    return rows


def _peaks(heat: npt.NDArray[np.float32], threshold: float) -> Detections:
    found = find_peaks(heat, WEAK * threshold)
    rows = empty_detections(len(found))
    radius = RADII * found.width.astype(np.float64)
    rows["y"], rows["x"], rows["radius"], rows["contrast"] = found.y, found.x, radius, found.score
    rows["mass"] = 2 * math.pi * found.width**2 * found.score
    rows["area"], rows["diameter"] = math.pi * radius**2, 2 * radius
    rows["var_y"] = rows["var_x"] = (PLACE_ERROR * radius) ** 2
    rows["cov_yx"], rows["var_radius"] = 0, (RADIUS_ERROR * radius) ** 2
    weak = np.where(found.score < threshold, np.uint32(Flag.WEAK), np.uint32(0))
    rows["flags"] = weak | edge_flags(rows, (heat.shape[0], heat.shape[1]))
    return rows


def _regions(drawn: npt.NDArray[np.float32], threshold: float, smallest: int) -> Detections:
    mask = np.asarray(drawn > threshold) & (drawn < np.inf)
    rows = detect_mask(mask, np.where(mask, drawn, np.float32(0)), smallest)
    rows["contrast"] = rows["mass"] / rows["area"]
    return rows
