"""The bright-field disk as the mean pattern tells it: where it is, how large, how sure. Knows no window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .geometry import Point
from .layout import UNCALIBRATED, Calibration
from .numbers import level_text, positive

SURE = 0.5
"""Confidence below which the disk is said with a question mark."""


@dataclass(frozen=True, slots=True)
class BrightField:
    """A disk in pixels of the full frame; without a radius none was found, for ``reason``."""

    center: Point = (0.0, 0.0)
    radius: float | None = None
    mrad_per_px: float | None = None
    semi_convergence: float | None = None
    """mrad."""
    confidence: float | None = None
    reason: str = ""

    @property
    def text(self) -> str:
        """ "alpha 21.4 mrad", "disk r 46.2 px", "no bright-field disk: ..."."""
        if self.radius is None:
            return f"no bright-field disk: {self.reason}"
        doubt = " ?" if self.confidence is not None and self.confidence < SURE else ""
        if self.semi_convergence is not None:
            return f"\N{GREEK SMALL LETTER ALPHA} {level_text(self.semi_convergence)} mrad{doubt}"
        return f"disk r {level_text(self.radius)} px{doubt}"

    @property
    def calibration(self) -> Calibration:
        """Of a detector pixel, as a scattering angle; uncalibrated where it is not known."""
        return UNCALIBRATED if self.mrad_per_px is None else Calibration(self.mrad_per_px, "mrad")


def is_pattern(attrs: Mapping[str, Any]) -> bool:
    """Whether a result is a mean diffraction pattern: it tells of a disk, or why there is none."""
    return "disk_center" in attrs or "no_disk" in attrs


def bright_field(attrs: Mapping[str, Any]) -> BrightField:
    """Read a mean pattern's attrs; what is missing or of another type counts as not said."""
    radius, center = positive(attrs.get("disk_radius")), _point(attrs.get("disk_center"))
    if radius is None or center is None:
        return BrightField(reason=str(attrs.get("no_disk") or "not said why"))
    confidence = attrs.get("disk_confidence")
    return BrightField(
        center,
        radius,
        positive(attrs.get("mrad_per_px")),
        positive(attrs.get("semi_convergence_mrad")),
        float(confidence) if isinstance(confidence, (int, float)) else None,
    )


def _point(value: object) -> Point | None:
    match value:
        case [int() | float() as y, int() | float() as x]:
            return float(y), float(x)
    return None
