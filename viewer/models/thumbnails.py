"""Small pictures of series that are over. Knows no window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...kernels.percentiles import distribution
from ...kernels.tones import tones
from ...stream.results import Result, valid_of
from ..colour import GREY, about_median, checker_cell, curve, palette
from .archive import PastSeries
from .contrast import SCAN_RULE, percentile_levels
from .picture import pixels_of

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
    image, valid = pixels_of(result), valid_of(result)
    if image.ndim == 3:
        away, _ = about_median(image, valid)
        image = np.hypot(away[..., 0], away[..., 1])
    factor = -(-max(image.shape) // SIDE)
    small = (-(-image.shape[0] // factor), -(-image.shape[1] // factor))
    levels = percentile_levels(distribution(image, valid), SCAN_RULE)
    if levels is None:
        return np.full((*small, 4), palette(GREY)[0], np.uint8)
    line, cell = (levels.low, levels.high), checker_cell(small)
    drawn: Pixels = palette(GREY)[
        tones(image, line, curve("linear"), factor=(factor, factor), valid=valid, cell=cell)
    ]
    return drawn
