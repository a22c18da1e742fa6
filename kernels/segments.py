"""Segmented detectors: a ring cut into sectors, every pixel of it in exactly one.

Knows geometry only; what is made of the sums is `phase.segment_dpc`'s business.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .masks import Center, Mask, Shape, annulus, frame_center


def segment_directions(count: int, rotation_deg: float = 0.0) -> npt.NDArray[np.float64]:
    """(count,) degrees of the segments' middles, from +x towards +y (clockwise on a screen)."""
    return rotation_deg + 360.0 / count * np.arange(count, dtype=np.float64)


def ring_segments(
    shape: Shape,
    inner: float,
    outer: float,
    count: int = 4,
    rotation_deg: float = 0.0,
    center: Center | None = None,
) -> list[Mask]:
    """Masks (h, w) of the ``count`` sectors of an annulus inner <= r < outer (px).

    Parameters
    ----------
    rotation_deg : direction of the first segment's middle; 0 with 4 segments: right, below, left, above.
    center : (y, x) in px; default the middle of the frame. A pixel exactly there has direction 0.
    """
    cy, cx = frame_center(shape) if center is None else center
    ring = annulus(shape, inner, outer, (cy, cx))
    y, x = np.nonzero(ring)
    turns = (np.degrees(np.arctan2(y - cy, x - cx)) - rotation_deg) / 360.0
    number = np.floor(turns * count + 0.5).astype(np.int64) % count
    masks = [np.zeros(shape, bool) for _ in range(count)]
    for k, mask in enumerate(masks):
        mask[y[number == k], x[number == k]] = True
    return masks
