"""What a detector looks for. Knows no frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Polarity = Literal["dark", "bright", "both"]

OCTAVE = 2.3
"""Ratio of the largest to the smallest radius that one Gaussian is enough for."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What is looked for."""

    radius: float = 4.0
    """Typical radius, px, 1 or more."""
    spread: float = 0.2
    """Standard deviation of ln radius: 0.2 for particles of one batch, 0.8 for 2 to 40 px."""
    polarity: Polarity = "dark"
    false_alarms: float = 1.0
    """Expected in a frame of noise; more are let in where they are outweighed by what is found."""
    weak_alarms: float = 20.0
    """The same with the weak detections, which may continue tracks."""
    blur: float = 0.8
    """Standard deviation of the optical blur, px."""
    saturation: float = math.inf
    """Counts from which a pixel is saturated."""
    most: int = 10_000
    """Particles of a frame; of more the weakest are left out."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius) and self.radius >= 1):
            raise ValueError(f"radius is {self.radius}: give a typical one in px, 1 or more")
        if not 0 < self.spread <= 1.5:
            raise ValueError(f"spread is {self.spread}: give a deviation of ln radius, > 0 and <= 1.5")
        if self.polarity not in ("dark", "bright", "both"):
            raise ValueError(f"polarity is {self.polarity!r}: give dark, bright or both")
        if not 0 < self.false_alarms <= self.weak_alarms < math.inf:
            alarms = f"false_alarms is {self.false_alarms}, weak_alarms {self.weak_alarms}"
            raise ValueError(f"{alarms}: give 0 < false_alarms <= weak_alarms")
        if math.isnan(self.saturation):
            raise ValueError("saturation is nan: give counts, or inf where none is known")
        if self.most < 1:
            raise ValueError(f"most is {self.most}: give 1 particle or more")

    @property
    def radii(self) -> tuple[float, float]:
        """Least and largest radius that a fit may give, px."""
        down, up = max(1.05, 3 * self.spread), max(0.95, 3 * self.spread)
        return self.radius * math.exp(-down), self.radius * math.exp(up)

    @property
    def ladder(self) -> tuple[float, ...]:
        """Radii, px, whose Gaussians are searched first; from the largest to the smallest."""
        steps = max(1, math.ceil(4 * self.spread / math.log(OCTAVE)))
        return tuple(self.radius * OCTAVE ** ((steps - 1) / 2 - k) for k in range(steps))
