"""What is measured on the frame itself: a profile along a line, the statistics of a region, the spectrum.

Only original pixels count: of a frame that was made smaller for the display there is nothing to measure.
Knows no window.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.results import Result
from .geometry import Point
from .layout import Calibration, calibration_in
from .session import frame_factor, frame_shape

Image = npt.NDArray[np.float64]
SPECTRUM_SIDE = 512
"""px: of a larger frame the middle is transformed, since this runs where the window is drawn."""
TRACE_LENGTH = 4096
MOST_ASKED = 4096
"""px: the largest picture that a preview gives."""


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """A frame as it was measured."""

    index: int
    image: npt.NDArray[Any]
    """(h, w)"""
    valid: npt.NDArray[np.bool_] | None
    """(h, w), false where there is no number to trust; None = all."""
    size: Calibration
    unit: str

    def at(self, place: Any) -> Image:
        """The values that an index takes from (h, w), NaN where there is none to trust; the rest of a large
        frame costs nothing."""
        values = self.image[place].astype(np.float64)
        return values if self.valid is None else np.where(self.valid[place], values, np.nan)


def original_of(frame: Result) -> Original | None:
    """The frame's own pixels; None where the result is a reduced one."""
    image = frame.arrays["image"]
    if frame_factor(frame) != 1 or image.ndim != 2 or image.shape != frame_shape(frame):
        return None
    index = frame.attrs.get("index")
    number = index if isinstance(index, int) else frame.frames[1] - 1
    size, unit = calibration_in(frame.attrs), frame.units.get("image", "")
    return Original(number, image, frame.arrays.get("valid"), size, unit)


def wanted_size(frame: Result) -> int | None:
    """The ``max_size`` that makes a preview show original pixels; None where it does, or cannot."""
    largest = max(frame_shape(frame))
    return largest if frame_factor(frame) > 1 and largest <= MOST_ASKED else None


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Values along a line."""

    distance: Image
    """(n,) from its beginning, in ``unit``."""
    values: Image
    """(n,) NaN outside of the frame and where a neighbour is not known."""
    unit: str


def line_profile(original: Original, start: Point, end: Point) -> Profile:
    """Between two points (y, x) in px: at steps of a pixel or less, each between its four neighbours."""
    length = math.dist(start, end)
    share = np.linspace(0.0, 1.0, max(2, math.ceil(length) + 1))
    y, x = (a + share * (b - a) for a, b in zip(start, end, strict=True))
    return Profile(share * length * original.size.size, _between(original, y, x), original.size.unit)


def _between(original: Original, y: Image, x: Image) -> Image:
    """Bilinear values at places (n,); NaN outside."""
    h, w = original.image.shape
    inside = (y >= 0) & (y <= h - 1) & (x >= 0) & (x <= w - 1)
    top = np.clip(np.floor(y), 0, max(h - 2, 0)).astype(int)
    left = np.clip(np.floor(x), 0, max(w - 2, 0)).astype(int)
    values = np.zeros(len(y))
    for row, weight_y in ((top, 1 - (y - top)), (np.minimum(top + 1, h - 1), y - top)):
        for column, weight_x in ((left, 1 - (x - left)), (np.minimum(left + 1, w - 1), x - left)):
            weight = weight_y * weight_x
            values += np.where(weight > 0, original.at((row, column)) * weight, 0.0)
    return np.where(inside, values, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Strength of the periods in a frame."""

    amplitude: Image
    """(n, n), the middle is the mean."""
    size: Calibration
    """Of one of its pixels: periods per unit of length."""
    side: int
    """px of the frame, from its middle, that were transformed."""


def spectrum(original: Original, most: int = SPECTRUM_SIDE) -> Spectrum | None:
    """Of the middle of a frame, less its mean, under a Hann window; None of frames below 8 px.

    Without the window the edges of the frame would be a cross through the middle (Harris, Proc. IEEE 66
    (1978) 51). Pixels that are not known count as the mean.
    """
    h, w = original.image.shape
    side = min(h, w, most) // 2 * 2
    if side < 8:
        return None
    top, left = (h - side) // 2, (w - side) // 2
    part = original.at((slice(top, top + side), slice(left, left + side)))
    known = np.isfinite(part)
    part = np.where(known, part - (part[known].mean() if known.any() else 0.0), 0.0)
    window = np.hanning(side + 1)[:side]
    amplitude = np.abs(np.fft.fftshift(np.fft.fft2(part * window[:, None] * window)))
    step = 1.0 / (side * original.size.size)
    return Spectrum(amplitude, Calibration(step, f"1/{original.size.unit}"), side)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a frame, in px; edges may be anywhere."""

    top: float
    left: float
    height: float
    width: float

    def pixels(self, original: Original) -> Image:
        """Known pixels whose centres are in it, flat."""
        h, w = original.image.shape
        rows = slice(max(0, math.ceil(self.top)), min(h, math.floor(self.top + self.height) + 1))
        columns = slice(max(0, math.ceil(self.left)), min(w, math.floor(self.left + self.width) + 1))
        part = original.at((rows, columns)).ravel()
        return np.asarray(part[np.isfinite(part)])


class RegionTrace:
    """Mean and scatter of a region over the frames that were shown; another region begins anew."""

    def __init__(self, length: int = TRACE_LENGTH) -> None:
        self._rows: deque[tuple[int, float, float]] = deque(maxlen=length)
        self._region: Region | None = None

    def see(self, original: Original, region: Region) -> None:
        """Take a frame; each counts once, and one with a lower number begins anew."""
        if region != self._region or (self._rows and original.index < self._rows[-1][0]):
            self._rows.clear()
            self._region = region
        if self._rows and self._rows[-1][0] == original.index:
            return
        inside = region.pixels(original)
        if len(inside):
            self._rows.append((original.index, float(inside.mean()), float(inside.std())))

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        """(n, 3): frame, mean, standard deviation."""
        return np.array(self._rows, np.float64).reshape(-1, 3)
