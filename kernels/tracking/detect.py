"""Particles of a frame: found at their own scale, fitted together, sized, and given their significance.

A frame is freed of its background and scaled by its noise (`backgrounds`); peaks of its Gaussians (`scales`,
`peaks`) start particles that are fitted together (`refine`); what they leave, with its background taken out
once more, is searched again at a finer scale for those that a neighbour hid; `shapes` says what each is.
All thresholds are in standard deviations of the noise. Knows no other frame.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from . import backgrounds, peaks, refine, scales, shapes
from .desk import Desk, Scale
from .options import DetectorOptions
from .profile import Profile
from .rows import flag_pixels
from .table import Detections
from .verdict import Fit, Found, bounds_of, nothing_found, order_of, rows_of

Frame = npt.NDArray[np.generic]

CELL = 2.0
"""Side of a background's cell, in typical radii; at least 4 px."""
CELLS_AROUND = 2
"""Cells on each side that its background is smoothed over."""
BROAD, FINE, FINE_WIDE = 0.6, 0.5, 0.4
"""Standard deviation of the Gaussians of the first and of the second search, in radii; and of the second
one for wide particles (`shapes.WIDE`), by which one that is no sphere is split as in the frame before."""
REACH = 2.5
"""Of a particle beyond its radius, in blurs."""
LEAST_BROAD, LEAST_FINE, LEAST_FINE_WIDE, LEAST_KEPT = 2.3, 3.0, 3.25, 2.1
"""Weaker peaks and particles are left alone: they cost time and disturb their neighbours."""
SWEEPS_BROAD, SWEEPS_FINE = 2, 2
"""Of the fit after each search."""
SAME = 0.5
"""Two centres nearer than so many radii are one particle."""
LEAST_WIDE = 3.5
"""Where several scales are searched: at more places the noise of one or the other looks like a particle."""
OVERFIT = 1.075
"""Noise in that of the residual, of which peaks of the noise have been fitted away. Measured on noise."""
NOTHING = 1e-5
"""Noise of a scaled frame in which nothing varies, in the root of its background: float32's rounding."""
REST = 16.0
"""Steps of `Found.rest` in a standard deviation."""


def second_search(radius: float, wide: float) -> tuple[float, float]:
    """Gaussian, in radii, and least peak of the second search for particles of ``radius``, px."""
    return (FINE, LEAST_FINE) if radius <= wide else (FINE_WIDE, LEAST_FINE_WIDE)


class Detector:
    """Finds the particles of frames of one shape. Frames may be given from several threads at once.

    Parameters
    ----------
    shape : (h, w) of the frames, px.
    options : what is looked for; default: dark particles of 4 px.

    Raises
    ------
    ValueError
        A shape that is none.
    """

    def __init__(self, shape: tuple[int, int], options: DetectorOptions | None = None) -> None:
        if len(shape) != 2 or min(shape) < 1:
            raise ValueError(f"shape is {shape}: give (h, w) of a frame, 1 or more each")
        self.shape = (int(shape[0]), int(shape[1]))
        self.options = DetectorOptions() if options is None else options
        self.profile = Profile(*self.options.radii, self.options.blur)
        self._curves = refine.curvatures(self.profile)
        self._cell = max(4, round(CELL * self.options.radius))
        self._broad = [Scale(self.profile, r, BROAD * r) for r in self.options.ladder]
        least = self.options.ladder[-1]
        self.wide = shapes.WIDE * math.sqrt(self.profile.variance)
        """px, radius beyond which particles are wide."""
        fine, self._least_fine = second_search(self.options.radius, self.wide)
        self._fine = [Scale(self.profile, fine / BROAD * least, fine * least)]
        self._reach = REACH * math.sqrt(self.profile.variance)
        self._shape = (self.profile.table, *self.profile.rule, self._reach)
        self._spare: list[Desk] = []

    def detect(self, frame: Frame) -> Detections:
        """The detections of a frame (h, w) of numbers, by falling score; see `examine`."""
        return self.examine(frame).detections

    def examine(self, frame: Frame, keep_rest: bool = False) -> Found:
        """The detections of a frame, and how they were found.

        Parameters
        ----------
        frame : (h, w), any real dtype. Pixels that are not finite count as background. A frame in which
            nothing varies has no particles.
        keep_rest : with `Found.rest`, in which fainter particles may be looked for.

        Raises
        ------
        ValueError
            A frame of another shape.
        """
        if frame.shape != self.shape:
            raise ValueError(f"frame is {frame.shape}: this detector was made for {self.shape}")
        desk = self._spare.pop() if self._spare else Desk(self.shape, self._cell, self.options.most)
        try:
            found = self._examine(np.ascontiguousarray(frame, np.float32), desk)
            return replace(found, rest=self._rest(found, desk)) if keep_rest else found
        finally:
            self._spare.append(desk)

    def _examine(self, frame: npt.NDArray[np.float32], desk: Desk) -> Found:
        options = self.options
        invalid = backgrounds.cell_means(frame, self._cell, desk.means, desk.counts)
        backgrounds.smooth_cells(desk.means, desk.counts, CELLS_AROUND, desk.background)
        level = float(np.abs(desk.background).mean())
        sign = -1.0 if options.polarity == "dark" else 1.0
        floor = max(level * backgrounds.FLOOR, 1e-6)
        backgrounds.scale_frame(frame, desk.background, self._cell, floor, sign, desk.residual)
        desk.n, desk.full, desk.nothing = 0, False, NOTHING * math.sqrt(max(level, floor))
        noise = self._search(desk, self._broad, LEAST_BROAD if len(self._broad) == 1 else LEAST_WIDE)
        if noise > 0:
            self._fit(desk, SWEEPS_BROAD, noise)
            start, step, _ = self.profile.rule
            refine.lone_gains(self._curves, start, step, desk.particles, desk.n, desk.gain)
            self._prune(desk, LEAST_KEPT * noise)
            backgrounds.cell_means(desk.residual, self._cell, desk.means, desk.counts)
            backgrounds.smooth_cells(desk.means, desk.counts, CELLS_AROUND, desk.shift)
            backgrounds.subtract_cells(desk.residual, desk.shift, self._cell)
            desk.moved[: desk.n] = 1
            spread = noise
            noise = min(spread, OVERFIT * self._search(desk, self._fine, self._least_fine))
            desk.crowding = spread / max(noise, desk.nothing)
        if noise > 0:
            self._fit(desk, SWEEPS_FINE, noise)
        table, rule = self.profile.table, self.profile.rule
        shapes.measure(
            desk.residual, table, self._curves, *rule, self._reach, desk.particles, desk.n, desk.measured
        )
        desk.gain[: desk.n] = desk.measured[: desk.n, 0]
        self._prune(desk, LEAST_KEPT * noise)
        return self._found(frame, desk, noise, floor, invalid)

    def _rest(self, found: Found, desk: Desk) -> npt.NDArray[np.int8]:
        """See `Found.rest`; the desk's residual is used up."""
        rest = np.zeros(self.shape, np.int8)
        if found.noise > 0:
            weak = np.ascontiguousarray(desk.particles[: desk.n][desk.scores < found.threshold])
            refine.add_particles(desk.residual, *self._shape, weak, 0, len(weak), 1.0)
            backgrounds.rounded(desk.residual, REST / found.noise, rest)
        return rest

    def _search(self, desk: Desk, steps: list[Scale], least: float) -> float:
        """Start particles at the peaks of the residual; the noise that it has, of the finest Gaussian."""
        first, noise = desk.n, 0.0
        for scale in steps:
            values, size = desk.residual, 1
            for _ in range(scale.halvings):
                if min(values.shape) < 2:
                    break
                smaller = np.empty((values.shape[0] // 2, values.shape[1] // 2), np.float32)
                scales.halve(values, smaller)
                values, size = smaller, 2 * size
            response = desk.response if size == 1 else np.empty_like(values)
            scales.blur(values, scale.half, response)
            noise = peaks.spread_of(response) / scale.white
            if noise > desk.nothing:
                for sign in (1.0, -1.0) if self.options.polarity == "both" else (1.0,):
                    desk.add(response, size, scale, sign, least * noise * scale.white, math.log(scale.radius))
                    if self.options.polarity == "both":
                        np.negative(response, response)
        if noise <= desk.nothing:
            return 0.0
        if len(steps) > 1:
            desk.suppress(first)
        refine.add_particles(desk.residual, *self._shape, desk.particles, first, desk.n, -1.0)
        return noise

    def _fit(self, desk: Desk, sweeps: int, noise: float) -> None:
        options, table, rule = self.options, self.profile.table, self.profile.rule
        refine.fit_together(
            desk.residual, table, self._curves, *rule, self._reach, desk.particles, desk.moved, desk.n,
            sweeps, math.log(options.radius), options.spread, noise,
        )  # fmt: skip

    def _prune(self, desk: Desk, least: float) -> None:
        """Drop, and put back into the residual, what is too weak or found twice."""
        n = desk.n
        order = np.argsort(desk.particles[:n, 0], kind="stable")
        shapes.crowd(desk.particles, order, n, desk.gain, SAME, desk.state)
        kept = (desk.gain[:n] > least * least) & (desk.state[:n] != shapes.TWICE)
        if kept.all():
            return
        gone = np.ascontiguousarray(desk.particles[:n][~kept])
        refine.add_particles(desk.residual, *self._shape, gone, 0, len(gone), 1.0)
        desk.keep(np.flatnonzero(kept), n)

    def _found(
        self,
        frame: npt.NDArray[np.float32],
        desk: Desk,
        noise: float,
        floor: float,
        invalid: int,
    ) -> Found:
        """Thresholds, and the rows above them."""
        options, n = self.options, desk.n
        if noise == 0:
            return nothing_found(invalid)
        state, measured = desk.state[:n], desk.measured[:n]
        fit = Fit(desk.particles[:n], measured, desk.moved[:n], state, noise, desk.crowding, self.wide)
        desk.scores = fit.scores
        bounds = bounds_of(fit, options, self.profile.variance, frame.size)
        order = order_of(fit, bounds)
        particles = fit.particles[order]
        level = backgrounds.level_at(
            desk.background, self._cell, particles[:, 0].copy(), particles[:, 1].copy()
        )
        rows = rows_of(
            fit, order, np.maximum(level, floor), bounds, options, self.profile.variance, self.shape
        )
        if invalid or options.saturation < math.inf:
            flag_pixels(frame, np.ascontiguousarray(particles), len(order), options.saturation, rows)
        truncated = desk.full or len(rows) > options.most
        return Found(rows[: options.most], noise, *bounds, invalid, truncated)
