"""Simulated 4D-STEM: a diffraction pattern per scan pixel of a crystal with a grain boundary and a vacancy.

The bright-field disk moves with the local field, Bragg disks turn with the grain, and what the atomic
columns scatter to high angles is missing in the disk. Knows no consumer: the virtual detectors in ``truth``
are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..files.acquisition import Acquisition, Array, FrameBank
from ..series import IndexArray, Order, Scan
from .detector_faults import said_of_faults, spoil
from .diffraction import BF_RADIUS, DISK_RADIUS, POOL, RING, SHIFT, DiffractionPattern
from .lattice import (
    BOUNDARY_NORMAL,
    GRAIN_ANGLES,
    Crystal,
    boundary_distance,
    grow_crystal,
    projected_columns,
)
from .noise import poisson_counts
from .options import option, parse_options

FloatArray = npt.NDArray[np.float64]

SEMI_CONVERGENCE_MRAD = 5.15
"""The disk's radius. Columns 0.256 nm apart in a hexagonal lattice are planes 0.222 nm apart, which diffract
200 keV electrons (2.51 pm) by 11.3 mrad: that is where the Bragg disks are."""
BRAGG_FRACTION = 0.12
RING_FRACTION = (0.02, 0.18)
"""Share of the electrons in the ring: between the columns, and what a column adds."""

# What may be spent on the bank, so that any setting is ready within a second or so: memory (4,096 different
# frames of 128x128; with the interpreter and a full queue 210 MiB a process), single electrons (30 ns each),
# pixels of the dense sampler (45 ns each).
BANK_BYTES = 128 << 20
BANK_ELECTRONS = 24_000_000
BANK_PIXELS = 24_000_000


@dataclass(frozen=True, slots=True)
class FourDStemOptions:
    """Parameters of ``sim:4dstem``."""

    shape: tuple[int, int] = option((128, 128), "frame in detector pixels, HxW", high=8192)
    scan: tuple[int, int] = option((64, 64), "scan pixels, NYxNX", high=4096)
    fps: float = option(2000.0, "frames per second", 1e-3, 1e7)
    dose: float = option(3000.0, "electrons per frame", 1.0, 1e8)
    seed: int = option(0, "seed of specimen and noise", 0, 2**31)
    order: str = option("raster", "order of the scan", choices=("raster", "serpentine"))
    skip: int = option(0, "flyback frames at the end of each line", 0, 65_536)
    repeats: int = option(1, "how often the scan is repeated; 0 = endless", 0, 1_000_000)
    spacing: float = option(8.0, "distance of atomic columns in scan pixels", 3.0, 256.0)
    frames: int = option(0, "end the series after so many frames; 0 = all of the scan", 0, 10**12)
    dead: int = option(0, "pixels that never count", 0, 10_000)
    hot: int = option(0, "pixels that always read the largest count", 0, 10_000)
    saturation: int = option(0, "counts at which a pixel ends counting, and says so; 0 = never", 0, 65_535)


@dataclass(frozen=True, eq=False)
class BeamStates:
    """What each scan pixel does to the beam, flat over the scan."""

    column: FloatArray
    """(n,) 0 between the atomic columns .. 1 on one."""
    shift: FloatArray
    """(n, 2) displacement (y, x) of the pattern in detector pixels."""
    grain: IndexArray
    """(n,) 0 or 1."""

    def __len__(self) -> int:
        return len(self.column)

    def shares(self) -> FloatArray:
        """(n, 4) share of the electrons in each of diffraction.PARTS."""
        ring = RING_FRACTION[0] + RING_FRACTION[1] * self.column
        bragg = [np.where(self.grain == grain, BRAGG_FRACTION, 0.0) for grain in (0, 1)]
        return np.stack([1.0 - ring - BRAGG_FRACTION, *bragg, ring], axis=1)

    def take(self, where: IndexArray | slice) -> BeamStates:
        return BeamStates(self.column[where], self.shift[where], self.grain[where])


class FourDStem(Acquisition):
    """Diffraction frames, uint16, of a raster or serpentine scan; FourDStemOptions tells what can be set."""

    scan: Scan

    def __init__(self, options: FourDStemOptions) -> None:
        self.name = "sim:4dstem"
        self.options = options
        self.scan = Scan(options.scan, cast(Order, options.order), options.skip, options.repeats)
        self.count = _count(self.name, options.frames, self.scan)
        self.crystal = grow_crystal(options.scan, options.spacing, options.seed)
        self.pattern = DiffractionPattern(options.shape, GRAIN_ANGLES)
        self.states = _beam_states(self.crystal, self.pattern.size)
        self.bank = self._fill_bank()
        self.meta = _meta(options)

    @classmethod
    def open(cls, query: str) -> FourDStem:
        """The simulator for the text behind ``sim:4dstem?``."""
        return cls(parse_options(FourDStemOptions, "sim:4dstem", query))

    def detectors(self) -> Mapping[str, tuple[float, float]]:
        """(inner, outer) radius in px, about the centre, of the virtual detectors that ``truth`` uses."""
        size = self.pattern.size
        return {"bf": (0.0, BF_RADIUS * size), "haadf": (RING[0] * size, RING[1] * size)}

    def truth(self) -> Mapping[str, Array]:
        """Expected images and the specimen.

        Returns
        -------
        bf, haadf : (ny, nx) float64, electrons
            In the annuli of ``detectors``, for the pattern at its mean place (the shift changes them by < 1
            %).
        com, field : (ny, nx, 2) float64, px, (y, x)
            Centre of mass of whole frames; displacement of the pattern by the local field.
        columns : (n, 2), vacancy : (1, 2) float64, (y, x) in scan pixels
        """
        mean = self.states.shares() * self.options.dose
        unit = np.stack([self._share_in(inner, outer) for inner, outer in self.detectors().values()])
        bf, haadf = (mean @ share for share in unit)
        scan = self.options.scan
        return {
            "bf": bf.reshape(scan),
            "haadf": haadf.reshape(scan),
            "com": (self.states.shift * self._com_gain()).reshape(*scan, 2),
            "field": self.states.shift.reshape(*scan, 2),
            "columns": self.crystal.columns,
            "vacancy": self.crystal.vacancy[None],
        }

    def _share_in(self, inner: float, outer: float) -> FloatArray:
        """(4,) share of each part's electrons that an annulus about the default centre catches."""
        height, width = self.options.shape
        y, x = np.ogrid[:height, :width]
        radius = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
        mask = (radius >= inner) & (radius < outer)
        centred = np.zeros(2)
        return np.array(
            [self.pattern.expected(centred, one)[mask].sum() for one in np.eye(4, dtype=np.float32)]
        )

    def _com_gain(self) -> float:
        """Centre of mass per px of shift: below 1, since what leaves the detector at one side is not seen."""
        shares = self.states.shares().mean(axis=0).astype(np.float32)
        step = SHIFT * self.pattern.size
        frame = self.pattern.expected(np.array([0.0, step]), shares)
        columns = np.arange(frame.shape[1]) - (frame.shape[1] - 1) / 2
        return float((frame.sum(axis=0) @ columns) / frame.sum() / step)

    def _fill_bank(self) -> FrameBank:
        """A frame for each scan pixel where the budget allows, else from a library of alike pixels."""
        library, state_of_pixel = _library(self.states, _bank_size(self.options))
        stock = _render(library, self.pattern, self.options)
        spoil(stock, self.options)
        pixels = self.scan.pixels(np.arange(self.scan.frames_per_pass, dtype=np.int64))
        order = state_of_pixel[np.maximum(pixels, 0)]  # flyback shows the first pixel again
        return FrameBank(stock, None if np.array_equal(order, np.arange(len(stock))) else order)


def _count(name: str, frames: int, scan: Scan) -> int | None:
    whole = scan.frame_count
    if whole is not None and frames > whole:
        raise SourceError(
            f"{name}: frames={frames} is more than the scan's {whole}; leave it out, or raise repeats"
        )
    return frames or whole


def _meta(options: FourDStemOptions) -> Mapping[str, Any]:
    return {
        "title": "simulated 4D-STEM",
        "sample": "two grains, one vacancy (simulated)",
        "detector": "livem simulator",
        "frame_time": 1.0 / options.fps,
        "counts_per_electron": 1.0,
        "beam_energy": 200.0,
        "scan_step": 0.256 / options.spacing,
        "scan_unit": "nm",
        "pixel_size": SEMI_CONVERGENCE_MRAD / (DISK_RADIUS * min(options.shape)),
        "pixel_unit": "mrad",
        **said_of_faults(options),
    }


def _beam_states(crystal: Crystal, size: int) -> BeamStates:
    """Columns attract the beam; a charged boundary adds a field along its normal."""
    ny, nx = crystal.shape
    image, gy, gx = projected_columns(crystal)
    y, x = np.mgrid[:ny, :nx]
    distance = boundary_distance(y, x, crystal.shape)
    charge = np.exp(-0.5 * (distance / (0.55 * crystal.spacing)) ** 2)[..., None]
    slope = np.stack([gy, gx], axis=-1) * crystal.sigma  # at most exp(-1/2) beside a single column
    shift = 0.75 * slope + 0.55 * charge * BOUNDARY_NORMAL
    length = np.maximum(np.linalg.norm(shift, axis=-1, keepdims=True), 1.0)
    flat_shift = (shift / length * SHIFT * size).reshape(-1, 2)
    return BeamStates(np.clip(image, 0, 1).ravel(), flat_shift, (distance.ravel() >= 0).astype(np.int64))


def _bank_size(options: FourDStemOptions) -> int:
    """Frames that memory and a second of work allow."""
    pixels = options.shape[0] * options.shape[1]
    work = BANK_PIXELS // pixels if _dense(options) else BANK_ELECTRONS / options.dose
    return max(1, min(BANK_BYTES // (2 * pixels), int(work)))


def _dense(options: FourDStemOptions) -> bool:
    """Whether a frame costs less pixel by pixel than electron by electron."""
    return options.dose > 1.2 * options.shape[0] * options.shape[1]


def _library(states: BeamStates, limit: int) -> tuple[BeamStates, IndexArray]:
    """At most ``limit`` states that stand for all, and which of them each scan pixel takes.

    The finest grid over (column, shift, grain) whose occupied cells take half of the limit; the pixels of a
    cell share its mean. The other half gives the larger cells several frames of different noise.
    """
    if len(states) <= limit:
        return states, np.arange(len(states), dtype=np.int64)
    cell = _finest_cells(states, limit // 2)
    variants = np.maximum(1, np.bincount(cell) * (limit // 2) // len(states))
    variant = np.arange(len(states)) * 40_503 % variants[cell]  # neighbours get different ones
    _, label = np.unique(cell * (limit + 1) + variant, return_inverse=True)
    return _cell_means(states, label), label.astype(np.int64)


def _finest_cells(states: BeamStates, limit: int) -> IndexArray:
    """Label the states by cells of a grid, as fine as at most ``limit`` occupied cells allow."""
    reach = float(np.abs(states.shift).max(initial=1e-9))
    axes = np.column_stack([states.column * 2, states.shift / reach, states.grain * 4])
    best = np.zeros(len(states), np.int64)
    low, high = 1, 64
    while low <= high:
        levels = (low + high) // 2
        cells = np.rint(axes * (levels / 2)).astype(np.int64) @ np.array([1, 10**3, 10**6, 10**9])
        _, label = np.unique(cells, return_inverse=True)
        if label.max() < limit:
            best, low = label.astype(np.int64), levels + 1
        else:
            high = levels - 1
    return best


def _cell_means(states: BeamStates, label: IndexArray) -> BeamStates:
    members = np.bincount(label).astype(np.float64)
    shift = np.stack([np.bincount(label, states.shift[:, axis]) for axis in (0, 1)], axis=1)
    grain = np.rint(np.bincount(label, states.grain) / members).astype(np.int64)
    return BeamStates(np.bincount(label, states.column) / members, shift / members[:, None], grain)


def _render(
    states: BeamStates, pattern: DiffractionPattern, options: FourDStemOptions
) -> npt.NDArray[np.uint16]:
    """(n, h, w) uint16 frames with Poisson counts."""
    rng = np.random.default_rng([options.seed, 1])
    stock = np.zeros((len(states), *options.shape), np.uint16)
    electrons = states.shares() * options.dose
    if _dense(options):
        for frame, shift, mean in zip(stock, states.shift, electrons, strict=True):
            frame[:] = poisson_counts(rng, pattern.expected(shift, mean.astype(np.float32)), np.uint16)
        return stock
    pools = np.stack([pattern.electrons(part, rng) for part in range(4)])
    step = max(1, int(200_000 / options.dose))  # chunks of 200,000 electrons stay in the cache
    for start in range(0, len(states), step):
        part = slice(start, start + step)
        _scatter(rng, stock[part], states.shift[part], electrons[part], pools)
    return stock


def _scatter(
    rng: np.random.Generator,
    frames: npt.NDArray[np.uint16],
    shift: FloatArray,
    mean: FloatArray,
    pools: npt.NDArray[np.float32],
) -> None:
    """Add single electrons to (n, h, w) frames: on average ``mean`` (n, 4) by part, moved by ``shift``.

    Flat arrays of one coordinate each: 3 x faster than (electrons, 2) ones.
    """
    n, height, width = frames.shape
    runs = rng.poisson(mean).T.ravel()  # electrons by (part, frame)
    pick = rng.integers(0, POOL, runs.sum(), dtype=np.uint16) + np.repeat(np.arange(4 * n) // n * POOL, runs)
    # Centres are integers, so half a pixel more makes floor the pixel; one more keeps truncation a floor.
    origin = np.tile(shift + np.array([height / 2 + 1, width / 2 + 1]), (4, 1)).astype(np.float32)
    y = (pools[..., 0].ravel()[pick] + np.repeat(origin[:, 0], runs)).astype(np.int32)
    x = (pools[..., 1].ravel()[pick] + np.repeat(origin[:, 1], runs)).astype(np.int32)
    inside = (y > 0) & (y <= height) & (x > 0) & (x <= width)
    corner = np.repeat(np.tile(np.arange(n), 4) * (height * width) - width - 1, runs)
    np.add.at(frames.reshape(-1), (corner + y * width + x)[inside], np.uint16(1))
