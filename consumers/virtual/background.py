"""A background frame taken off what detectors measure, without touching a pixel.

Sums and first moments are linear: those of (frame - background) are those of the frame less those of the
background, which are known beforehand. So it costs nothing a frame, and works on compressed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import PipelineError
from ...kernels.masks import RadialBins, Shape
from ...kernels.reduce import Region, Regions
from .mask_files import load_numbers


@dataclass(frozen=True, slots=True, eq=False)
class Offset:
    """What a background B adds to each of d regions R, pixels p with weights w (1 where there are none).

    sums: S = sum over R of w(p) B(p). levers: L = sum over R of (p - c) B(p), c the region's centre.
    """

    sums: npt.NDArray[np.float64]
    """(d,) counts a frame."""
    levers: npt.NDArray[np.float64]
    """(d, 2) counts x px; 0 for regions without a centre."""

    def taken_off(
        self, sums: npt.NDArray[Any], com: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Sums s (n, d) become s - S, centres of mass m (n, d, 2) become (m s - L) / (s - S).

        Nothing is clipped: sums may be negative. Where s - S is not greater than 0 there is no centre of mass
        (NaN). Pixels of float frames that are not finite count as 0 in the frame, not in the background.
        """
        s = sums.astype(np.float64)
        left = s - self.sums
        moments = np.where((s == 0)[..., None], 0.0, com * s[..., None]) - self.levers
        with np.errstate(invalid="ignore", divide="ignore"):
            return left, np.where((left > 0)[..., None], moments / left[..., None], np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """Mean counts of each pixel in a frame without beam (or of stray light)."""

    path: str
    pixels: npt.NDArray[np.float64]
    """(h, w)"""

    @classmethod
    def load(cls, where: str, value: Any, shape: Shape) -> Background | None:
        """From what `path_of` takes; PipelineError where the file does not serve."""
        path = path_of(where, value)
        return None if path is None else cls(path, load_numbers(where, Path(path), shape))

    def of(self, regions: Regions) -> Offset:
        offsets = [_offset(region, self.pixels) for region in regions.regions]
        table = np.array(offsets, np.float64).reshape(-1, 3)
        return Offset(table[:, 0].copy(), table[:, 1:].copy())

    def rings(self, bins: RadialBins) -> npt.NDArray[np.float64]:
        """(rings,) counts a frame."""
        inside = bins.index >= 0
        return np.bincount(bins.index[inside], self.pixels[inside], bins.count).astype(np.float64)


def path_of(where: str, value: Any) -> str | None:
    """The path in ``"FILE"`` or ``{ path = "FILE" }``; None for none ("" or nothing)."""
    path = value.get("path") if isinstance(value, Mapping) and set(value) == {"path"} else value
    if path is None or path == "":
        return None
    if not isinstance(path, str):
        raise PipelineError(f'{where} is {value!r}; it must be {{ path = "FILE" }}')
    return path


def _offset(region: Region, pixels: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    inside = np.where(region.mask, pixels, 0.0)
    if region.weights is not None:
        return float((inside * np.where(region.mask, region.weights, 0)).sum()), 0.0, 0.0
    if region.center is None:
        return float(inside.sum()), 0.0, 0.0
    y, x = (np.arange(side) - c for side, c in zip(pixels.shape, region.center, strict=True))
    return float(inside.sum()), float(inside.sum(axis=1) @ y), float(inside.sum(axis=0) @ x)
