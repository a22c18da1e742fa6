"""Nanoparticles in a liquid cell: where each one is at every frame, and what happens to it.

Brownian motion, nucleation, growth, coalescence (volume is conserved), dissolution and drift of the field.
Pure numbers in pixels and seconds; knows neither pixel values nor noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

PARTICLE_COLUMNS = np.dtype(
    [("frame", "i8"), ("particle", "i8"), ("y", "f8"), ("x", "f8"), ("radius", "f8")], align=False
)
EVENT_COLUMNS = np.dtype(
    [
        ("frame", "i8"),
        ("event", "U12"),
        ("particle", "i8"),
        ("other", "i8"),
        ("y", "f8"),
        ("x", "f8"),
        ("radius", "f8"),
        ("radius_before", "f8"),
        ("radius_other", "f8"),
    ]
)
"""``coalescence``: ``other`` has merged into ``particle``, whose radius was ``radius_before`` and is
``radius``."""

BIRTH_RADIUS = 1.5
"""px; a particle begins, and ends, at this radius."""


@dataclass(frozen=True, slots=True)
class CellConditions:
    """What happens in the cell. Lengths in px, times in s."""

    shape: tuple[int, int]
    particles: int
    diffusion: float
    """px^2/s of a particle with a radius of 8 px; others as 1/radius (Stokes-Einstein)."""
    nucleation: float
    """New particles per second."""
    growth: float
    """px/s of the radius, at most."""
    dissolving: float
    """Share of the particles that dissolve."""
    drift: float
    """px, amplitude of the field's slow wander."""
    max_radius: float


@dataclass(frozen=True, eq=False)
class CellHistory:
    """Everything that happened."""

    particles: npt.NDArray[np.void]
    """PARTICLE_COLUMNS, ordered by frame and particle; those outside the field included."""
    events: npt.NDArray[np.void]
    """EVENT_COLUMNS, ordered by frame."""
    drift: FloatArray
    """(frames, 2) displacement (y, x) of the field."""


class LiquidCell:
    """The state that ``watch`` moves on frame by frame; arrays with one entry a living particle."""

    def __init__(self, conditions: CellConditions, rng: np.random.Generator) -> None:
        self.conditions = conditions
        self.rng = rng
        self.place = np.empty((0, 2))
        self.radius = np.empty(0)
        self.rate = np.empty(0)
        self.identity = np.empty(0, np.int64)
        self.born = 0
        self.events: list[tuple[object, ...]] = []
        for _ in range(conditions.particles):
            self._nucleate(-1, float(rng.uniform(0.35, 0.9)) * conditions.max_radius)

    def watch(self, frames: int, frame_time: float) -> CellHistory:
        """Run for ``frames`` frames of ``frame_time`` seconds."""
        drift = _wander(self.rng, frames, self.conditions.drift)
        rows: list[npt.NDArray[np.void]] = []
        for frame in range(frames):
            if frame:
                self._step(frame, frame_time)
            rows.append(self._rows(frame, drift[frame]))
        return CellHistory(np.concatenate(rows), np.array(self.events, EVENT_COLUMNS), drift)

    def _step(self, frame: int, dt: float) -> None:
        self._move(dt)
        self._grow(frame, dt)
        for _ in range(self.rng.poisson(self.conditions.nucleation * dt)):
            self._nucleate(frame, BIRTH_RADIUS)
        self._coalesce(frame)

    def _move(self, dt: float) -> None:
        """A Brownian step, reflected at the walls of the cell, a margin outside the field."""
        sigma = np.sqrt(2 * self.conditions.diffusion * 8.0 / self.radius * dt)
        self.place = self.place + self.rng.standard_normal(self.place.shape) * sigma[:, None]
        wall = self.conditions.drift + self.conditions.max_radius
        low, high = -wall, np.array(self.conditions.shape) - 1 + wall
        span = high - low
        folded = np.abs((self.place - low) % (2 * span))
        self.place = low + np.where(folded > span, 2 * span - folded, folded)

    def _grow(self, frame: int, dt: float) -> None:
        """Growth slows towards the largest radius; dissolution quickens as the particle gets small."""
        room = np.clip(1.0 - self.radius / self.conditions.max_radius, 0.0, 1.0)
        shrink = np.clip(8.0 / self.radius, 0.5, 3.0)
        self.radius = self.radius + dt * self.rate * np.where(self.rate > 0, room, shrink)
        gone = self.radius < BIRTH_RADIUS
        for index in np.flatnonzero(gone):
            self._record(frame, "dissolution", int(index), radius=BIRTH_RADIUS)
        self._keep(~gone)

    def _nucleate(self, frame: int, radius: float) -> None:
        """A new particle where there is room; ``frame`` -1 = there from the beginning, no event."""
        margin = self.conditions.max_radius
        for _ in range(20):
            place = self.rng.uniform(margin, np.maximum(np.array(self.conditions.shape) - margin, margin + 1))
            gap = np.linalg.norm(self.place - place, axis=1) - self.radius
            if gap.min(initial=np.inf) > radius + 2.0:
                break
        else:
            return
        dissolves = self.rng.random() < self.conditions.dissolving
        pace = self.conditions.growth * float(self.rng.uniform(0.4, 1.0))
        self.place = np.vstack([self.place, place])
        self.radius = np.append(self.radius, radius)
        self.rate = np.append(self.rate, -pace if dissolves and frame < 0 else pace)
        self.identity = np.append(self.identity, self.born)
        self.born += 1
        if frame >= 0:
            self._record(frame, "nucleation", len(self.radius) - 1, radius=radius)

    def _coalesce(self, frame: int) -> None:
        """Touching particles become one: the larger keeps its name, volume and centre of mass are
        conserved."""
        while (pair := self._touching()) is not None:
            small, large = sorted(pair, key=lambda i: (self.radius[i], -self.identity[i]))
            volumes = self.radius[[large, small]] ** 3
            before, other = self.radius[large], self.radius[small]
            self.place[large] = volumes @ self.place[[large, small]] / volumes.sum()
            self.radius[large] = np.cbrt(volumes.sum())
            name = int(self.identity[small])
            self._record(
                frame, "coalescence", large, name, float(self.radius[large]), float(before), float(other)
            )
            self._keep(np.arange(len(self.radius)) != small)

    def _touching(self) -> tuple[int, int] | None:
        """The pair that overlaps most, or None."""
        gap = np.linalg.norm(self.place[:, None] - self.place[None], axis=2)
        gap -= self.radius[:, None] + self.radius[None]
        np.fill_diagonal(gap, np.inf)
        if gap.min(initial=np.inf) >= 0:
            return None
        first, second = np.unravel_index(int(np.argmin(gap)), gap.shape)
        return int(first), int(second)

    def _keep(self, which: npt.NDArray[np.bool_]) -> None:
        self.place, self.radius = self.place[which], self.radius[which]
        self.rate, self.identity = self.rate[which], self.identity[which]

    def _record(
        self,
        frame: int,
        event: str,
        index: int,
        other: int = -1,
        radius: float = np.nan,
        before: float = np.nan,
        radius_other: float = np.nan,
    ) -> None:
        y, x = self.place[index]
        self.events.append((frame, event, self.identity[index], other, y, x, radius, before, radius_other))

    def _rows(self, frame: int, drift: FloatArray) -> npt.NDArray[np.void]:
        rows = np.empty(len(self.radius), PARTICLE_COLUMNS)
        rows["frame"], rows["particle"], rows["radius"] = frame, self.identity, self.radius
        rows["y"], rows["x"] = (self.place + drift).T
        return rows


def _wander(rng: np.random.Generator, frames: int, amplitude: float) -> FloatArray:
    """Smooth drift (frames, 2) that begins at 0 and stays within the amplitude."""
    time = np.arange(frames)[:, None] / max(frames, 2)
    phase = rng.uniform(0, 2 * np.pi, (2, 2))
    turns = np.array([[0.5, 0.4], [1.3, 1.7]])
    waves = [np.sin(2 * np.pi * turns[k] * time + phase[k]) - np.sin(phase[k]) for k in (0, 1)]
    return np.asarray(amplitude * (0.7 * waves[0] + 0.3 * waves[1]) / 2)
