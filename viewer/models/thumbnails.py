"""Small pictures of series that are over. Knows no window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...stream.results import Result, valid_of
from ..colour import GREY, about_median, area_mean, palette, to_indices
from .archive import PastSeries
from .contrast import SCAN_RULE, percentile_levels, sample

SIDE = 64
"""Pixels of the longer side, at most."""
Pixels = npt.NDArray[np.uint8]


def thumbnail_of(past: PastSeries) -> Pixels | None:
    """(h, w, 4) RGBA of its first scan image, or of another picture; None where it has none.

    Of vectors how far they are from their median; holes keep their checker.
    """
    images = [result for result in past.results.values() if result.kind == "image"]
    plain = [result for result in images if not result.attrs.get("estimate")]
    return _drawn((plain or images)[0]) if images else None


def _drawn(result: Result) -> Pixels:
    image, valid = result.arrays["image"], valid_of(result)
    if image.ndim == 3:
        away, _ = about_median(image, valid)
        image = np.hypot(away[..., 0], away[..., 1])
    small, there = area_mean(image, valid, -(-max(image.shape) // SIDE))
    levels = percentile_levels(sample(small, there), SCAN_RULE)
    shape = (small.shape[0], small.shape[1])
    if levels is None:
        return np.full((*shape, 4), palette(GREY)[0], np.uint8)
    drawn: Pixels = palette(GREY)[to_indices(small, there, levels)]
    return drawn
