"""The parts of a diffraction pattern: bright-field disk, Bragg disks of two grains, high-angle ring.

Each part is one density over the detector, from which single electrons are drawn (few electrons) or
expected frames are computed (many), so that both have the same mean. Knows no scan and no specimen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

# Lengths in units of min(h, w). The disk, moved by at most SHIFT, stays inside BF_RADIUS; the ring begins
# beyond.
DISK_RADIUS = 0.18
SHIFT = 0.022
BF_RADIUS = 0.205
BRAGG_DISTANCE = 0.395
RING = (0.24, 0.49)
RING_DECAY = 0.14

PARTS = ("disk", "bragg of grain 0", "bragg of grain 1", "ring")
POOL = 1 << 16
"""Electrons drawn in advance for each part; frames pick from them at random."""


@dataclass(frozen=True)
class DiffractionPattern:
    """Densities of the parts on a detector of ``shape`` (h, w), for grains turned by ``angles`` (degrees)."""

    shape: tuple[int, int]
    angles: tuple[float, float]

    @property
    def size(self) -> int:
        return min(self.shape)

    def density(self, part: int, y: FloatArray, x: FloatArray) -> FloatArray:
        """Relative density (0..1) of a part at (y, x) px from the centre; edges are 1 px soft."""
        if part == 0:
            return self._disk(y, x, 0.0, 0.0)
        if part == 3:
            return self._ring(y, x)
        turns = np.deg2rad(self.angles[part - 1] + 60.0 * np.arange(6))
        centres = BRAGG_DISTANCE * self.size * np.stack([np.sin(turns), np.cos(turns)], axis=1)
        total = np.zeros(np.broadcast(y, x).shape, np.float32)
        for centre in centres:
            total += self._disk(y, x, *centre)
        return total

    def expected(self, shift: npt.NDArray[np.float64], electrons: FloatArray) -> FloatArray:
        """Mean counts (h, w) of a pattern moved by ``shift`` (y, x) px, ``electrons`` (4,) in its parts."""
        height, width = self.shape
        y = (np.arange(height, dtype=np.float32) - np.float32((height - 1) / 2 + shift[0]))[:, None]
        x = (np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2 + shift[1]))[None, :]
        frame = np.zeros(self.shape, np.float32)
        for part in np.flatnonzero(electrons):
            frame += self.density(int(part), y, x) * np.float32(electrons[part] / self.areas[part])
        return frame

    @cached_property
    def areas(self) -> FloatArray:
        """(4,) integral of each density in px^2, beyond the edge of the detector included."""
        grid = np.arange(-0.7 * self.size, 0.7 * self.size + 1, dtype=np.float32)
        sums = [self.density(part, grid[:, None], grid[None, :]).sum(dtype=np.float64) for part in range(4)]
        return np.maximum(np.array(sums, np.float32), 1e-6)

    def electrons(self, part: int, rng: np.random.Generator) -> FloatArray:
        """(POOL, 2) float32 places (y, x) in px from the centre, drawn from the density by rejection.

        Each comes with its mirror image, as the densities are even: the pool has no centre of mass of its
        own.
        """
        reach = (DISK_RADIUS if part == 0 else BRAGG_DISTANCE + DISK_RADIUS) * self.size + 1.0
        kept: list[FloatArray] = []
        while sum(map(len, kept)) < POOL // 2:
            place = (rng.random((POOL, 2), dtype=np.float32) * 2 - 1) * np.float32(reach)
            density = self.density(part, place[:, 0], place[:, 1])
            kept.append(place[rng.random(len(place), dtype=np.float32) < density])
        half = np.concatenate(kept)[: POOL // 2]
        return np.concatenate([half, -half])

    def _disk(self, y: FloatArray, x: FloatArray, cy: float, cx: float) -> FloatArray:
        radius = np.sqrt((y - np.float32(cy)) ** 2 + (x - np.float32(cx)) ** 2)
        return np.clip(np.float32(DISK_RADIUS * self.size + 0.5) - radius, 0, 1)

    def _ring(self, y: FloatArray, x: FloatArray) -> FloatArray:
        radius = np.sqrt(y * y + x * x)
        inner, outer = (np.float32(r * self.size) for r in RING)
        edges = np.clip(radius - inner + np.float32(0.5), 0, 1) * np.clip(
            outer + np.float32(0.5) - radius, 0, 1
        )
        return np.asarray(
            edges * np.exp(-(radius - inner).clip(0) / np.float32(RING_DECAY * self.size)), np.float32
        )
