"""What particles in a movie look like, from a few frames: how large, and dark or bright.

Frames are blurred to a range of sizes; where the differences of neighbouring blurs (Lindeberg, Int. J.
Comput. Vis. 30 (1998) 79) stand out furthest from what most of the frame shows,
there are particles of that size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

RADII = tuple(1.5 * 2 ** (k / 2) for k in range(11))
"""px that are tried, 1.5 to 48."""
BLUR, RATIO = 0.6, 1.6
"""Narrower Gaussian of a difference, in radii, and the other in this one."""
PART = 0.02
"""Of the area that particles are expected to cover at least."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What is looked for, as far as the frames tell."""

    radius: float
    """px."""
    polarity: Literal["dark", "bright"]
    contrast: float
    """How far particles stand out, in deviations of the rest; below 5 hardly anything is there."""


def first_guess(frames: npt.NDArray[np.generic]) -> Guess:
    """From frames (n, h, w) of numbers; pixels that are not finite count as the mean of the others."""
    stack = np.asarray(frames, np.float32)
    known = np.isfinite(stack)
    level = float(stack[known].mean()) if known.any() else 0.0
    mean = np.where(known, stack, np.float32(level))
    best = Guess(4.0, "dark", 0.0)
    for radius in RADII:
        if 6 * radius > min(stack.shape[1:]):
            break
        near = gaussian_filter(mean, (0, BLUR * radius, BLUR * radius))
        far = gaussian_filter(mean, (0, RATIO * BLUR * radius, RATIO * BLUR * radius))
        edge = int(radius)
        inner = (near - far)[:, edge : stack.shape[1] - edge, edge : stack.shape[2] - edge]
        spread = float(np.median(np.abs(inner - np.median(inner)))) / 0.6745
        if not spread > 0:
            continue
        few = max(PART, min(math.pi * radius**2 / inner[0].size, 0.1)) / 4
        high, low = np.quantile(inner, [1 - few, few]) / spread
        if max(high, -low) > best.contrast:
            best = Guess(radius, "bright" if high > -low else "dark", float(max(high, -low)))
    return best
