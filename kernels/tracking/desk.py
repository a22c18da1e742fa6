"""What one thread works on while it looks at a frame, and the Gaussians that it searches with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import backgrounds, peaks, scales, shapes
from .profile import Profile

Values = npt.NDArray[np.float32]

APART = 0.8
"""Peaks of two scales nearer than so many radii are one particle's."""


class Scale:
    """A Gaussian of a search, and the particles that are started at its peaks."""

    def __init__(self, profile: Profile, radius: float, sigma: float) -> None:
        self.radius = min(max(2 * sigma, profile.least), profile.most)
        self.halvings = scales.halvings(sigma)
        self.half = scales.taps(sigma / 2**self.halvings)
        self.white = scales.white_spread(self.half)
        self.gain = profile.blurred_height(radius, sigma) * 2**self.halvings
        """Peak of the response to a particle of height 1."""
        self.reach = max(1, round(sigma / 2**self.halvings))


class Desk:
    """What one thread works on: a frame's arrays and its particles."""

    def __init__(self, shape: tuple[int, int], cell: int, most: int) -> None:
        cells = backgrounds.cells_of(shape, cell)
        self.residual, self.response = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self.means, self.counts = np.empty(cells, np.float32), np.empty(cells, np.float32)
        self.background, self.shift = np.empty(cells, np.float32), np.empty(cells, np.float32)
        self.rows = min(2 * most, shape[0] * shape[1])
        self.peaks = np.empty((self.rows, 3))
        self.particles, self.measured = np.zeros((self.rows, 4)), np.zeros((self.rows, shapes.MEASURED))
        self.moved, self.gain = np.zeros(self.rows), np.zeros(self.rows)
        self.state, self.scores = np.zeros(self.rows, np.uint8), np.zeros(0)
        self.n, self.full, self.crowding, self.nothing = 0, False, 1.0, 0.0

    def add(
        self, response: Values, size: int, scale: Scale, sign: float, least: float, log_radius: float
    ) -> None:
        """Particles at the peaks of a response whose pixels are ``size`` of the frame's."""
        found = peaks.local_maxima(response, least, scale.reach, 0, self.peaks)
        self.full |= found >= self.rows
        if found > self.rows - self.n:
            self.full = True
            order = np.argsort(-self.peaks[:found, 2], kind="stable")[: self.rows - self.n]
            self.peaks[: len(order)] = self.peaks[order]
            found = len(order)
        new, at = slice(self.n, self.n + found), self.peaks[:found]
        self.particles[new, :2] = (at[:, :2] + 0.5) * size - 0.5
        self.particles[new, 2] = sign * at[:, 2] / scale.gain
        self.particles[new, 3] = log_radius
        self.gain[new] = (at[:, 2] / scale.white) ** 2
        self.moved[new] = 1
        self.n += found

    def suppress(self, first: int) -> None:
        """Of peaks of several scales that are one particle's, the highest stays."""
        new = np.ascontiguousarray(self.particles[first : self.n])
        order = np.argsort(new[:, 0], kind="stable")
        state = np.zeros(len(new), np.uint8)
        shapes.crowd(new, order, len(new), self.gain[first : self.n].copy(), APART, state)
        self.keep(np.concatenate([np.arange(first), first + np.flatnonzero(state != shapes.TWICE)]), self.n)

    def keep(self, rows: npt.NDArray[np.intp], n: int) -> None:
        """Only these particles, in this order."""
        k = len(rows)
        for column in (self.particles, self.moved, self.gain, self.measured, self.state):
            column[:k] = column[:n][rows]
        self.n = k
