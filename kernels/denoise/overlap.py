"""Sums over overlapping windows, and what they make of a frame. Knows no transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Plane: TypeAlias = npt.NDArray[np.float32]
"""(ny, nx) float32, C-contiguous."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Weighted sums of windows, (ny, nx) each; those of several kinds of windows add up."""

    values: Plane
    weights: Plane
    freedom: Plane
    """Degrees of freedom that the windows keep, a pixel's share, weighted."""

    @classmethod
    def inside(cls, sums: npt.NDArray[np.float32], margin: int, shape: tuple[int, int]) -> Part:
        """Of sums (3, ...) over a padded frame, those of the frame."""
        ny, nx = shape
        values, weights, freedom = sums[:, margin : margin + ny, margin : margin + nx]
        return cls(values, weights, freedom)

    def __add__(self, other: Part) -> Part:
        return Part(self.values + other.values, self.weights + other.weights, self.freedom + other.freedom)

    def estimate(self) -> Estimate:
        return Estimate(self.values / self.weights, self.freedom / self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A denoised frame, (ny, nx) float32 each."""

    values: Plane
    freedom: Plane
    """By how much the pixel's value follows its own noise, 0 to 1: the divergence of Stein's risk."""


def padded(frame: Plane, side: int, step: int) -> Plane:
    """A frame mirrored outwards, so that as many windows cover its border as its middle.

    Its own first pixel is at (side - step, side - step).
    """
    margins = []
    for n in frame.shape:
        before = side - step
        margins.append((before, before + -(n - side + 2 * before) % step))
    return np.ascontiguousarray(np.pad(frame, margins, mode="symmetric"))
