"""The dose meter: electrons a frame and in sum, by what the live frames say of their counts.

Each frame that is seen stands for those since the last one: a meter, and no measurement of every frame.
Knows attrs; no window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...kernels.electrons import LENGTHS
from ...stream.series import SeriesKey
from .numbers import level_text, positive

PER_A2 = "e/\N{LATIN CAPITAL LETTER A WITH RING ABOVE}\N{SUPERSCRIPT TWO}"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one frame gives."""

    counts: float
    """A pixel, mean; less the offset."""
    gain: float | None
    """Counts of an electron; None where the series does not say."""
    pixels: int
    area: float | None
    """Square angstroms that the frame's electrons fall on: of the image, or of the probe's step; None where
    it is not calibrated."""

    @property
    def electrons(self) -> float | None:
        """A pixel."""
        return None if self.gain is None else self.counts / self.gain

    @property
    def per_area(self) -> float | None:
        """Electrons a square angstrom."""
        electrons = self.electrons
        return None if electrons is None or self.area is None else electrons * self.pixels / self.area


class DoseMeter:
    """Adds up until it is reset, over series too: the specimen stays."""

    def __init__(self) -> None:
        self.last: Exposure | None = None
        self._at: tuple[SeriesKey | None, int] | None = None
        self.reset()

    def reset(self) -> None:
        """Begin at 0 with the next frame."""
        self._counts = self._per_area = 0.0
        self.frames = 0
        """Frames that the sum stands for."""

    def take(self, series: SeriesKey | None, attrs: Mapping[str, Any]) -> None:
        """A live frame's attrs; one that was seen before adds nothing. The first one stands for all of its
        series before it: the meter may have been opened late."""
        exposure, index = exposure_of(attrs), attrs.get("index")
        if exposure is None or not isinstance(index, int):
            return
        before, at = self._at, (series, index)
        if before is not None and before[0] == series and index <= before[1]:
            return
        self._at, self.last = at, exposure
        goes_on = before is not None and before[0] == series
        passed = index - before[1] if before is not None and goes_on else index + 1
        self.frames += passed
        self._counts += passed * exposure.counts
        self._per_area += passed * (exposure.per_area or 0.0)

    @property
    def total(self) -> str:
        """The sum since the beginning, or the reset."""
        if self.last is None:
            return ""
        if self.last.per_area is not None:
            return f"{level_text(self._per_area)} {PER_A2}"
        if self.last.gain is not None:
            return f"{level_text(self._counts / self.last.gain)} e/px"
        return f"{level_text(self._counts)} counts/px"

    @property
    def each(self) -> str:
        """What the newest frame gave."""
        if self.last is None:
            return ""
        if self.last.per_area is not None:
            return f"{level_text(self.last.per_area)} {PER_A2}"
        if self.last.electrons is not None:
            return f"{level_text(self.last.electrons)} e/px"
        return f"{level_text(self.last.counts)} counts/px"


def exposure_of(attrs: Mapping[str, Any]) -> Exposure | None:
    """None where a frame does not say its counts."""
    mean, pixels = attrs.get("mean_counts"), attrs.get("live_pixels")
    if not isinstance(mean, (int, float)) or not math.isfinite(mean) or not isinstance(pixels, int):
        return None
    gain = positive(attrs.get("counts_per_electron"))
    offset = attrs.get("offset")
    offset = float(offset) if isinstance(offset, (int, float)) and math.isfinite(offset) else 0.0
    return Exposure(float(mean) - offset, gain, pixels, _area(attrs, pixels))


def _area(attrs: Mapping[str, Any], pixels: int) -> float | None:
    """Of an image its own; of a scanned probe that of a step."""
    image = _square(attrs.get("pixel_size"), attrs.get("pixel_unit"))
    step = _square(attrs.get("scan_step"), attrs.get("scan_unit"))
    return pixels * image if image is not None else step


def _square(size: object, unit: object) -> float | None:
    """Square angstroms; None of what is no length."""
    length, known = positive(size), LENGTHS.get(unit.strip().lower()) if isinstance(unit, str) else None
    return None if length is None or known is None else (length * known * 1e10) ** 2
