"""Simulated in situ movie: dark nanoparticles on an uneven bright field, with counting noise.

What the particles do is decided in nanoparticles.py; this room paints them. Longer movies play the same
frames back and forth, so that the state never jumps. Knows no tracker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..files.acquisition import Acquisition, Array, FrameBank
from .detector_faults import said_of_faults, spoil
from .nanoparticles import CellConditions, CellHistory, LiquidCell
from .noise import poisson_counts
from .options import option, parse_options

FloatArray = npt.NDArray[np.float32]

ABSORPTION_LENGTH = 22.0
"""px of particle that let 1/e of the electrons through."""
BANK_BYTES = 128 << 20
BANK_PIXELS = 40_000_000
"""15 ns each: longer movies play what this allows back and forth."""


@dataclass(frozen=True, slots=True)
class InSituOptions:
    """Parameters of ``sim:insitu``."""

    shape: tuple[int, int] = option((256, 256), "frame in pixels, HxW", high=8192)
    frames: int = option(300, "frames of the series; 0 = endless", 0, 10**12)
    fps: float = option(30.0, "frames per second", 1e-3, 1e6)
    dose: float = option(150.0, "electrons per pixel and frame on the bright field", 0.1, 3e4)
    seed: int = option(0, "seed of everything", 0, 2**31)
    particles: int = option(24, "particles at the beginning", 0, 2000)
    diffusion: float = option(30.0, "px^2/s of a particle of 8 px radius", 0.0, 1e5)
    nucleation: float = option(1.5, "new particles per second", 0.0, 1e4)
    growth: float = option(1.2, "growth of the radius in px/s", 0.0, 1e3)
    dissolving: float = option(0.2, "share of the first particles that dissolve", 0.0, 1.0)
    drift: float = option(8.0, "amplitude of the drift in px", 0.0, 1e3)
    dead: int = option(0, "pixels that never count", 0, 10_000)
    hot: int = option(0, "pixels that always read the largest count", 0, 10_000)
    saturation: int = option(0, "counts at which a pixel ends counting, and says so; 0 = never", 0, 65_535)


class InSitu(Acquisition):
    """Movie frames, uint16; InSituOptions tells what can be set."""

    def __init__(self, options: InSituOptions) -> None:
        self.name = "sim:insitu"
        self.options = options
        self.count = options.frames or None
        self.scan = None
        rng = np.random.default_rng([options.seed, 4])
        stored = _stored_frames(options)
        conditions = _conditions(options)
        self._check_room(conditions)
        self.history: CellHistory = LiquidCell(conditions, rng).watch(stored, 1.0 / options.fps)
        self.background = _background(options.shape, rng) * np.float32(options.dose)
        self._first_row = np.searchsorted(self.history.particles["frame"], np.arange(stored + 1))
        self.bank = FrameBank(self._render(rng, stored), self._back_and_forth(stored))
        self.meta = {
            "title": "simulated in situ movie",
            "sample": "nanoparticles in liquid (simulated)",
            "detector": "livem simulator",
            "frame_time": 1.0 / options.fps,
            "counts_per_electron": 1.0,
            "pixel_size": 0.5,
            "pixel_unit": "nm",
            **said_of_faults(options),
        }

    @classmethod
    def open(cls, query: str) -> InSitu:
        """The simulator for the text behind ``sim:insitu?``."""
        return cls(parse_options(InSituOptions, "sim:insitu", query))

    def clean(self, first: int, n: int) -> FloatArray:
        """Expected counts (n, h, w) of the frames ``first .. first + n - 1``: the movie without noise."""
        return np.stack([self._paint(int(index)) for index in self.bank.stock_indices(first, n)])

    def truth(self) -> Mapping[str, Array]:
        """What happened, for the frames up to the first reversal (``period`` frames make one forth and back).

        Returns
        -------
        particles : frame, particle, y, x, radius of every particle whose centre is in the field
        events : frame, event (nucleation, coalescence, dissolution), particle, other, y, x, radii
        background : (h, w) float32, counts; drift : (frames, 2) float64, px (y, x)
        """
        rows = self.history.particles
        height, width = self.shape
        inside = (rows["y"] >= 0) & (rows["y"] <= height - 1) & (rows["x"] >= 0) & (rows["x"] <= width - 1)
        return {
            "particles": rows[inside],
            "events": self.history.events,
            "background": self.background,
            "drift": self.history.drift,
        }

    def _check_room(self, conditions: CellConditions) -> None:
        covered = conditions.particles * np.pi * (0.6 * conditions.max_radius) ** 2
        area = float(np.prod(conditions.shape))
        if min(conditions.shape) < 32 or covered > 0.5 * area:
            most = int(conditions.particles * 0.5 * area / covered) if covered else 0
            raise SourceError(
                f"{self.name}: {conditions.particles} particles in "
                f"{conditions.shape[0]}x{conditions.shape[1]} px are too crowded; "
                f"take a shape of at least 32x32 and at most {most} particles"
            )

    def _back_and_forth(self, stored: int) -> npt.NDArray[np.int64] | None:
        if self.count is not None and self.count <= stored:
            return None
        forth = np.arange(stored, dtype=np.int64)
        return np.concatenate([forth, forth[-2:0:-1]])

    def _render(self, rng: np.random.Generator, stored: int) -> npt.NDArray[np.uint16]:
        stock = np.empty((stored, *self.options.shape), np.uint16)
        for index, frame in enumerate(stock):
            frame[:] = poisson_counts(rng, self._paint(index), np.uint16)
        spoil(stock, self.options)
        return stock

    def _paint(self, index: int) -> FloatArray:
        """Expected counts of one stored frame."""
        thickness = np.zeros(self.options.shape, np.float32)
        for row in self.history.particles[self._first_row[index] : self._first_row[index + 1]]:
            _add_sphere(thickness, float(row["y"]), float(row["x"]), float(row["radius"]))
        np.multiply(thickness, np.float32(-1.0 / ABSORPTION_LENGTH), out=thickness)
        return np.asarray(np.exp(thickness, out=thickness) * self.background)


def _stored_frames(options: InSituOptions) -> int:
    pixels = options.shape[0] * options.shape[1]
    most = max(4, min(BANK_BYTES // (2 * pixels), BANK_PIXELS // pixels))
    wanted = options.frames or 20 * max(1, round(options.fps))
    return min(wanted, most)


def _conditions(options: InSituOptions) -> CellConditions:
    """Particles of at most a tenth of the field and 13 px radius, so that big frames hold more of them."""
    return CellConditions(
        shape=options.shape,
        particles=options.particles,
        diffusion=options.diffusion,
        nucleation=options.nucleation,
        growth=options.growth,
        dissolving=options.dissolving,
        drift=min(options.drift, 0.2 * min(options.shape)),
        max_radius=min(13.0, 0.1 * min(options.shape)),
    )


def _background(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Uneven illumination and liquid thickness, between 0.65 and 1.25."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    y0, x0 = rng.uniform(-0.3, 0.3, 2)
    glow = np.exp(-0.35 * ((y[:, None] - y0) ** 2 + (x[None, :] - x0) ** 2))
    slope = 0.12 * np.cos(rng.uniform(0, 6)) * y[:, None] + 0.12 * np.sin(rng.uniform(0, 6)) * x[None, :]
    ripple = 0.06 * np.sin(3.1 * y[:, None] + 2.3 * x[None, :] + rng.uniform(0, 6))
    field = (glow + slope + ripple).astype(np.float32)
    return np.asarray(0.65 + 0.6 * (field - field.min()) / np.ptp(field), np.float32)


def _add_sphere(thickness: FloatArray, y: float, x: float, radius: float) -> None:
    """Add the projected thickness (px) of a sphere to the image."""
    reach = radius + 1.0
    rows = slice(max(0, int(np.ceil(y - reach))), max(0, int(np.floor(y + reach)) + 1))
    columns = slice(max(0, int(np.ceil(x - reach))), max(0, int(np.floor(x + reach)) + 1))
    patch = thickness[rows, columns]
    if not patch.size:
        return
    dy = (np.arange(rows.start, rows.start + patch.shape[0], dtype=np.float32) - np.float32(y))[:, None]
    dx = (np.arange(columns.start, columns.start + patch.shape[1], dtype=np.float32) - np.float32(x))[None, :]
    patch += 2.0 * np.sqrt(np.clip(np.float32(radius**2) - dy * dy - dx * dx, 0, None))
