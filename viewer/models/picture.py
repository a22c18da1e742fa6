"""One picture and what is written around it; how a result becomes one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.results import Result, valid_of
from ..colour import about_median
from .bright_field import BrightField, bright_field
from .captions import badge_of, notes_of, said_of, warnings_of
from .cuts import cut_in
from .geometry import Point
from .layout import UNCALIBRATED, Calibration
from .numbers import count_text, level_text, value_text
from .session import calibration_of, frame_factor, frame_shape

SIGNED = ("dcom", "residual")
"""Kinds whose sign is the message: charge densities, sources and sinks of a field; what an estimate left."""
ANGLES = ("mrad", "rad", "deg", "1/nm", "1/A", "1/\N{ANGSTROM SIGN}")
"""Units of lengths that mean nothing without the beam that they are measured from."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Values to draw, in the coordinates of what was measured."""

    image: npt.NDArray[Any]
    """(ny, nx) values or (ny, nx, 2) vectors (y, x)."""
    valid: npt.NDArray[np.bool_] | None
    """(ny, nx); None = all. What is not finite is no value either way."""
    title: str
    caption: str
    unit: str = ""
    factor: int = 1
    """Full-frame pixels along one pixel of `image`."""
    corner: tuple[int, int] = (0, 0)
    """(y, x) of the first pixel, in those of the whole, where this is a part of it."""
    whole: tuple[int, int] | None = None
    """(h, w) of the whole; None: this is all of it."""
    calibration: Calibration = UNCALIBRATED
    is_masked: bool = False
    """Whether pixels are invalid because every detector pixel behind them is masked."""
    is_signed: bool = False
    """Values about 0, whose sign matters."""
    sampled: npt.NDArray[np.bool_] | None = None
    """(ny, nx) pixels of an estimate that were measured; None = no estimate."""
    too_fine: npt.NDArray[np.bool_] | None = None
    """(ny, nx) where an estimate is finer than its samples tell; None = no estimate, or not known."""
    badge: str = ""
    """What it is, where it was not measured."""
    notes: tuple[str, ...] = ()
    """Lines of their own: how good it is, and how it was made. Pictures side by side have as many."""
    is_doubtful: bool = False
    """Whether the last of them begins with a warning."""

    of_frame: bool = False
    """Whether its pixels are those of the detector, and not of a scan."""
    origin: Point | None = None
    """Where distances are measured from, in full-frame pixels (y, x): the beam, the middle of a spectrum."""
    reduced_by: str = "mean"
    """How one pixel was made of ``factor`` x ``factor``."""

    @property
    def is_vector(self) -> bool:
        return self.image.ndim == 3

    @property
    def extent(self) -> tuple[int, int]:
        """(h, w) of the whole, in full-frame or scan pixels."""
        if self.whole is not None:
            return self.whole
        return (self.image.shape[0] * self.factor, self.image.shape[1] * self.factor)

    def reading(self, y: float, x: float) -> str:
        """The value under the point (y, x), in full-frame or scan pixels; empty outside."""
        top, left = self.corner
        row, column = int((y + 0.5 - top) // self.factor), int((x + 0.5 - left) // self.factor)
        if not (0 <= row < self.image.shape[0] and 0 <= column < self.image.shape[1]):
            return ""
        place = f"y {top + row * self.factor}  x {left + column * self.factor}{self._distance(y, x)}"
        if self.valid is not None and not self.valid[row, column]:
            return f"{place}   {'masked' if self.is_masked else 'not measured'}"
        pixel = np.atleast_1d(self.image[row, column])
        if not np.isfinite(pixel).all():
            return f"{place}   not measured"
        values = ", ".join(value_text(v.item()) for v in pixel)
        return f"{place}   {values} {self.unit}".rstrip() + self._reduction() + self._origin(row, column)

    def _distance(self, y: float, x: float) -> str:
        """Of a point from the origin, or from the top left pixel, in the calibrated unit."""
        size, unit = self.calibration.size, self.calibration.unit
        if self.calibration == UNCALIBRATED:
            return ""
        if self.origin is not None:
            away = math.hypot(y - self.origin[0], x - self.origin[1])
            return f"  ({level_text(away * size)} {unit})"
        if unit in ANGLES:
            return ""
        return f"  ({level_text(round(y) * size)}, {level_text(round(x) * size)} {unit})"

    def _reduction(self) -> str:
        """That the value is of several pixels: the read-out never passes it for a measured one."""
        return f"   {self.reduced_by} of {self.factor} x {self.factor}" if self.factor > 1 else ""

    def _origin(self, row: int, column: int) -> str:
        """Where the value of an estimate comes from."""
        if self.sampled is None:
            return ""
        doubt = self.too_fine is not None and self.too_fine[row, column]
        finer = ", finer than the samples tell" if doubt else ""
        return "   measured" if self.sampled[row, column] else f"   estimated{finer}"


def frame_picture(result: Result, disk: BrightField | None = None) -> Picture:
    """The live frame. Its validity map tells where the detector is blind, NaN where it gave no number.

    ``disk``: the bright-field disk in it; None where nobody looks for it.
    """
    parts = _frame_parts(result) + ([disk.text] if disk else [])
    title = "Earlier frame" if result.attrs.get("held") else "Live frame"
    return _detector_picture(result, title, parts, disk)


def pattern_picture(result: Result) -> Picture:
    """The mean diffraction pattern, with the disk that was found in it."""
    disk = bright_field(result.attrs)
    h, w = result.arrays["image"].shape[:2]
    frames = f"mean of {count_text(_pixels(result.attrs.get('frames')))} frames"
    return _detector_picture(result, "Mean pattern", [frames, f"{h} x {w} px", disk.text], disk)


def _detector_picture(result: Result, title: str, parts: list[str], disk: BrightField | None) -> Picture:
    known = result.arrays.get("valid")
    return Picture(
        pixels_of(result),
        known,
        title,
        "   ".join(parts),
        result.units.get("image", ""),
        calibration=_calibration(result, disk),
        is_masked=known is not None,
        of_frame=True,
        origin=None if disk is None or disk.radius is None else disk.center,
        reduced_by=str(result.attrs.get("mode", "mean")),
        **_place(result, frame_factor(result)),
    )


def _place(result: Result, factor: int) -> dict[str, Any]:
    """Where a part lies in the whole; ``factor`` of a picture that is no part."""
    cut = cut_in(result.attrs)
    if cut is None:
        return {"factor": factor}
    return {"factor": cut.factor, "corner": cut.corner, "whole": cut.shape}


def pixels_of(result: Result) -> npt.NDArray[Any]:
    """An image result's values (ny, nx), or vectors (ny, nx, 2).

    Truth values count as 0 and 1, of complex numbers the amplitude is shown.
    """
    image = result.arrays["image"]
    if image.dtype == bool:
        return image.view(np.uint8)
    return np.abs(image) if image.dtype.kind == "c" else image


def _calibration(result: Result, disk: BrightField | None) -> Calibration:
    """In mrad where it is known what they are, else as the detector says."""
    angle = UNCALIBRATED if disk is None else disk.calibration
    return calibration_of(result) if angle == UNCALIBRATED else angle


def _frame_parts(result: Result) -> list[str]:
    """Which frame, how large, how it was reduced, and which of its pixels are not to be trusted."""
    attrs, factor = result.attrs, frame_factor(result)
    h, w = frame_shape(result)
    parts = [f"{h} x {w} px"]
    if (index := attrs.get("index")) is not None:
        parts.insert(0, f"frame {count_text(int(index))}")
    if factor > 1:
        parts.append(f"{attrs.get('mode', 'mean')} of {factor} x {factor}")
    if saturated := _pixels(attrs.get("saturated_pixels")):
        parts.append(f"{count_text(saturated)} saturated")
    if masked := _pixels(attrs.get("masked_pixels")):
        parts.append(f"{count_text(masked)} masked" if attrs.get("pixel_mask") else "RAW, mask off")
    return parts


def _pixels(count: object) -> int:
    """A number of pixels; 0 where a consumer says something else."""
    return count if isinstance(count, int) else 0


def scan_picture(result: Result, past: bool) -> Picture:
    """A scan image, with how much of it is there."""
    image, valid = pixels_of(result), valid_of(result)
    cut = cut_in(result.attrs)
    h, w = image.shape[:2] if cut is None else cut.shape
    parts = [f"{h} x {w}"] + ([f"mean of {cut.factor} x {cut.factor}"] if cut and cut.factor > 1 else [])
    filled = float(np.count_nonzero(valid)) / valid.size
    if filled < 1 and cut is None:
        # Never "100 %" of a scan that has a hole: the last per cent is rounded down.
        share = f"{np.floor(filled * 1000) / 10:.1f} %" if filled > 0.99 else f"{filled * 100:.0f} %"
        parts.insert(0, share)
    index = result.attrs.get("index")
    if result.attrs.get("of_frame") and isinstance(index, int):
        parts.insert(0, f"frame {count_text(index)}")
    if isinstance(as_of := result.attrs.get("as_of"), int):
        parts.append(f"up to frame {count_text(as_of)}")
    parts += said_of(result.attrs)
    if past and result.series is not None:
        parts.append(f"series {result.series.number}")
    if result.attrs.get("blind"):
        parts.append("BLIND: all its pixels are masked")
    if image.ndim == 3:
        _, (y, x) = about_median(image, valid)
        parts.append(f"zero at y {_rounded(y)} x {_rounded(x)}")
    unit = result.units.get("image", "")
    signed, size = result.attrs.get("kind") in SIGNED, calibration_of(result)
    return Picture(
        image,
        valid,
        result.topic,
        "   ".join(parts),
        unit,
        calibration=size,
        is_signed=signed,
        sampled=_mask(result, "sampled"),
        too_fine=_mask(result, "too_fine"),
        of_frame=result.attrs.get("of_frame") is True,
        badge="NOT AVAILABLE" if result.attrs.get("unavailable") else badge_of(result.attrs),
        notes=_notes(result),
        is_doubtful=bool(warnings_of(result.attrs)),
        **_place(result, 1),
    )


def _notes(result: Result) -> tuple[str, ...]:
    """Two lines of an estimate and of the pictures beside it, empty or not; else none."""
    lines = tuple("   ".join(phrases) for phrases in notes_of(result.attrs))
    return lines if any(lines) or result.attrs.get("of_frame") else ()


def _mask(result: Result, name: str) -> npt.NDArray[np.bool_] | None:
    """A map of an estimate's pixels; one without a map of what was measured has measured nothing."""
    shape, mask = result.arrays["image"].shape[:2], result.arrays.get(name)
    if not result.attrs.get("estimate"):
        return None
    return np.zeros(shape, bool) if mask is None or mask.shape != shape else mask.astype(bool, copy=False)


def _rounded(offset: float) -> str:
    """A mean deflection: a thousandth of a pixel is below what any field is drawn with."""
    return f"{round(float(offset), 3) + 0.0:g}"
