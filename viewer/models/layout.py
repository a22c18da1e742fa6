"""Where panes go: how many columns, how much room, how long a scale bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

PANE_MARGINS = (48.0, 92.0)
"""Screen pixels of a pane that its picture cannot have: title above, colour bar at the right."""
NICE = (1.0, 2.0, 5.0, 10.0)
LARGER_UNIT = {"pm": ("nm", 1e-3), "nm": ("µm", 1e-3), "um": ("mm", 1e-3), "µm": ("mm", 1e-3)}


def columns_for(count: int, width: float, height: float, aspect: float = 1.0) -> int:
    """Columns that make `count` pictures of width/height `aspect` largest in width x height."""
    if count < 1:
        return 1

    def picture_width(columns: int) -> float:
        rows = math.ceil(count / columns)
        room_y = max(1.0, height / rows - PANE_MARGINS[0])
        room_x = max(1.0, width / columns - PANE_MARGINS[1])
        return min(room_x, room_y * aspect)

    return max(range(1, count + 1), key=lambda columns: (picture_width(columns), -columns))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Size of a pixel; unit "px" where nobody told."""

    size: float = 1.0
    unit: str = "px"


UNCALIBRATED = Calibration()


def calibration_in(attrs: Mapping[str, Any]) -> Calibration:
    """Size of a pixel as ``pixel_size`` and ``pixel_unit`` say it; uncalibrated where they do not."""
    size, unit = attrs.get("pixel_size"), attrs.get("pixel_unit")
    if not isinstance(size, (int, float)) or not unit or not size > 0:
        return UNCALIBRATED
    return Calibration(float(size), str(unit))


@dataclass(frozen=True, slots=True)
class ScaleBar:
    """A bar of `pixels` image pixels that says `text`."""

    pixels: float
    text: str


def scale_bar(pixels_across: float, calibration: Calibration, share: float = 0.25) -> ScaleBar:
    """The longest bar of length 1, 2 or 5 times a power of ten within `share` of the picture's width."""
    wanted = max(pixels_across * share * calibration.size, 1e-30)
    decade = 10.0 ** math.floor(math.log10(wanted))
    length = next((a * decade for a, b in pairwise(NICE) if b * decade > wanted), decade)
    return ScaleBar(length / calibration.size, _length_text(length, calibration.unit))


def _length_text(length: float, unit: str) -> str:
    while length >= 1000 and unit in LARGER_UNIT:
        unit, factor = LARGER_UNIT[unit]
        length *= factor
    return f"{length:.4g} {unit}"


def shape_aspect(shapes: Sequence[tuple[int, int]]) -> float:
    """Width over height of the widest of some (h, w) pictures, within 1:4 and 4:1."""
    aspects = [w / h for h, w in shapes if h and w]
    return min(4.0, max(0.25, max(aspects, default=1.0)))
