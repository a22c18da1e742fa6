"""What a window shows of an image: a part of it, and how many of its pixels make one of the picture.

Between a viewer that asks for it, and whoever has the pixels. Knows arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .display import Mode, reduce_for_display
from .masks import Mask

STEP = 64
"""Picture pixels by which a cutout grows: while a view is dragged, it stays the same for most of the way."""
BLENDED = 1.5
"""Image pixels a screen pixel up to which none of them is left out by blending; beyond it areas are taken."""
MOST_FACTOR = 1 << 16


@dataclass(frozen=True, slots=True)
class Cutout:
    """Rows top .. bottom and columns left .. right of an image, in areas of factor x factor pixels."""

    top: int
    left: int
    bottom: int
    right: int
    factor: int

    @classmethod
    def of_view(
        cls, extent: tuple[int, int], part: tuple[float, float, float, float], crowding: float
    ) -> Cutout:
        """What a view needs.

        Parameters
        ----------
        extent : (h, w) of the whole image.
        part : left, top, width and height that the view shows, in image pixels.
        crowding : image pixels along one pixel of the screen.
        """
        factor = math.ceil(crowding) if crowding > BLENDED else 1
        left, top, width, height = part
        rows = _outward(top, top + height, extent[0], factor)
        columns = _outward(left, left + width, extent[1], factor)
        return cls(rows[0], columns[0], rows[1], columns[1], factor)

    @classmethod
    def parse(cls, value: object) -> Cutout | None:
        """From ``[top, left, bottom, right, factor]``; None where that is no cutout."""
        match value:
            case [int(top), int(left), int(bottom), int(right), int(factor)]:
                if 0 <= top < bottom and 0 <= left < right and 1 <= factor <= MOST_FACTOR:
                    return cls(top, left, bottom, right, factor)
        return None

    def plain(self) -> list[int]:
        """``[top, left, bottom, right, factor]``."""
        return [self.top, self.left, self.bottom, self.right, self.factor]

    def within(self, shape: Sequence[int]) -> Cutout:
        """As far as an image of (h, w) goes; all of it where nothing of the image would be left."""
        h, w = shape[0], shape[1]
        if self.top >= h or self.left >= w:
            return Cutout(0, 0, h, w, self.factor)
        return Cutout(self.top, self.left, min(self.bottom, h), min(self.right, w), self.factor)

    def is_whole(self, shape: Sequence[int]) -> bool:
        """Whether it is all of an image of (h, w), pixel by pixel."""
        return self.factor == 1 and (self.top, self.left) == (0, 0) and self.covers(shape)

    def covers(self, shape: Sequence[int]) -> bool:
        """Whether it reaches the lower right corner of an image of (h, w)."""
        return self.bottom >= shape[0] and self.right >= shape[1]

    @property
    def place(self) -> tuple[slice, slice]:
        """Where it is, as an index."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def take(
        self, image: npt.NDArray[Any], mode: Mode = "mean", live: Mask | None = None
    ) -> tuple[npt.NDArray[Any], int]:
        """Cut it out of an image (h, w) that it lies within.

        Parameters
        ----------
        mode : "mean" or "max" of each area; pixels are copies where the factor is 1.
        live : (h, w) bool, optional; pixels that count.

        Returns
        -------
        image : (ceil(rows / factor), ceil(columns / factor))
            As `display.reduce_for_display` has it.
        factor : int, of which areas it is; the cutout's own but for narrow rests.
        """
        part, alive = image[self.place], None if live is None else live[self.place]
        h, w = part.shape
        size = (-(-h // self.factor), -(-w // self.factor))
        return reduce_for_display(np.ascontiguousarray(part), size, mode, alive)


def _outward(low: float, high: float, length: int, factor: int) -> tuple[int, int]:
    """From the last step before to the first one behind, within the image; all where that is nothing."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0, length
    step = factor * STEP
    first, stop = max(0, math.floor(low / step) * step), min(length, math.ceil(high / step) * step)
    return (first, stop) if first < stop else (0, length)
