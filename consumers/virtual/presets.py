"""Detectors by the names of the field, sized by the bright-field disk; and what is known of the pattern.

Knows geometry; neither frames nor where a calibration comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import PipelineError
from ...kernels.calibrate import Disk
from ...kernels.electrons import mrad_per_px
from ...kernels.masks import Center, Shape, frame_center

BEYOND_RIM = 1.1
"""In units of the disk's radius: where dark fields begin, so that the rim's softness and shift stay out."""
HIGH_ANGLE = 3.0
"""Least inner angle of HAADF in semi-convergence angles: a rule of the laboratory; below, Bragg scattering
shows."""
SHORT_CAMERA = 0.8
"""Share of the half side of the frame that HAADF begins at where 3 alpha lies farther out."""
PRESETS: Mapping[str, tuple[float, float | None]] = {
    "bf": (0.0, 1.0),
    "abf": (0.5, 1.0),
    "adf": (BEYOND_RIM, HIGH_ANGLE),
    "haadf": (HIGH_ANGLE, None),
    "df": (BEYOND_RIM, None),
}
"""Inner and outer radius in units of the bright-field disk's; None: to the farthest corner of the frame.

bf: the whole direct disk. abf: its outer half (Findlay et al., Ultramicroscopy 110 (2010) 903,
doi:10.1016/j.ultramic.2010.04.004). df: all that is scattered out of the disk; adf and haadf: its two parts.
"""
ASSUMED_RADIUS = 0.18
"""Of the frame's shorter side: the disk while none has been found."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of the diffraction pattern of a series."""

    disk: Disk | None = None
    """The bright-field disk; None while it has not been found."""
    mrad_per_px: float | None = None
    missing: str = "pixel_size and pixel_unit are missing"
    """Why there is no mrad_per_px."""

    @classmethod
    def of(cls, meta: Mapping[str, Any], disk: Disk | None = None) -> Calibration:
        """From a series' meta: pixel_size, pixel_unit and, for 1/nm and the like, beam_energy (keV)."""
        size, unit, energy = (meta.get(key) for key in ("pixel_size", "pixel_unit", "beam_energy"))
        try:
            angle = mrad_per_px(_number(size), unit if isinstance(unit, str) else None, _number(energy))
        except ValueError as error:
            return cls(disk, None, str(error))
        return cls(disk, angle, "")

    def center(self, shape: Shape) -> Center:
        """Of the disk; the middle of the frame while it is not known."""
        return frame_center(shape) if self.disk is None else self.disk.center

    def radius(self, shape: Shape) -> float:
        """Of the disk in px; an assumed one while it is not known."""
        return max(ASSUMED_RADIUS * min(shape), 1.0) if self.disk is None else self.disk.radius

    def px_per(self, unit: str, where: str) -> float:
        """Pixels in one ``unit`` (px or mrad).

        Raises
        ------
        PipelineError
            Where mrad are asked for and the key that they take is missing.
        """
        if unit == "px":
            return 1.0
        if self.mrad_per_px is None:
            raise PipelineError(
                f"{where} is in mrad, but {self.missing}; say it in the series' meta, or give lengths in px"
            )
        return 1.0 / self.mrad_per_px


UNCALIBRATED = Calibration()


def preset_radii(name: str, shape: Shape, calibration: Calibration) -> tuple[float, float]:
    """Inner and outer radius in px of one of PRESETS about the disk's centre.

    Where the frame ends before 3 alpha (a long camera), HAADF is what lies beyond 0.8 of its half side, but
    outside of the disk: the best that the frame has.
    """
    alpha = calibration.radius(shape)
    inner, outer = PRESETS[name]
    if name == "haadf":
        inner = max(min(inner, SHORT_CAMERA * min(shape) / 2 / alpha), BEYOND_RIM)
    corner = _farthest_corner(shape, calibration.center(shape)) + 1.0
    return inner * alpha, corner if outer is None else outer * alpha


def _farthest_corner(shape: Shape, center: Center) -> float:
    dy, dx = (max(c, side - 1 - c) for c, side in zip(center, shape, strict=True))
    return float((dy * dy + dx * dx) ** 0.5)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
