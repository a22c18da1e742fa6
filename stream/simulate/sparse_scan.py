"""Simulated sparse scan: a point detector (HAADF) that sees a crystal at a fraction of the scan positions.

Frames are 1x1, each with its own position. Knows no reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ...kernels.scan_patterns import PATTERNS
from ..files.acquisition import Acquisition, Array, FrameBank, Positions
from ..series import Scan
from .lattice import Crystal, grow_crystal, projected_columns, sample_columns
from .noise import poisson_counts
from .options import option, parse_options

HAADF_SHARE = (0.03, 0.22)
"""Share of the electrons that the detector catches: between the columns, and what a column adds."""
MAX_SAMPLES = 1 << 26


@dataclass(frozen=True, slots=True)
class SparseScanOptions:
    """Parameters of ``sim:sparse``."""

    scan: tuple[int, int] = option((256, 256), "scan pixels, NYxNX", high=4096)
    pattern: str = option("spiral", "path of the probe", choices=tuple(PATTERNS))
    fraction: float = option(0.25, "samples per scan pixel", 1e-4, 4.0)
    dose: float = option(400.0, "electrons per sample", 1.0, 1e6)
    fps: float = option(20_000.0, "samples per second", 1e-3, 1e8)
    seed: int = option(0, "seed of specimen, path and noise", 0, 2**31)
    repeats: int = option(1, "passes with new positions each; the vacancy hops between them", 1, 10_000)
    spacing: float = option(14.0, "distance of atomic columns in scan pixels", 3.0, 256.0)
    delay: float = option(0.0, "samples by which the probe is behind its positions as sent", 0.0, 1000.0)
    frames: int = option(0, "end the series after so many samples; 0 = all passes", 0, 10**12)


class SparseScan(Acquisition):
    """1x1 uint16 samples with explicit positions; SparseScanOptions tells what can be set."""

    def __init__(self, options: SparseScanOptions) -> None:
        self.name = "sim:sparse"
        self.options = options
        ny, nx = options.scan
        self.samples_per_pass = max(1, round(ny * nx * options.fraction))
        total = self.samples_per_pass * options.repeats
        self._check(total)
        self.count = options.frames or total
        self.scan = Scan(options.scan, "positions", repeats=options.repeats)
        self.crystals = _hopping_vacancy(options)
        self._positions, values = self._scan_all()
        self.bank = FrameBank(values.reshape(-1, 1, 1))
        self.meta = {
            "title": f"simulated sparse scan ({options.pattern})",
            "sample": "two grains, one vacancy (simulated)",
            "detector": "livem simulator, HAADF",
            "frame_time": 1.0 / options.fps,
            "counts_per_electron": 1.0,
            "scan_step": 0.256 / options.spacing,
            "scan_unit": "nm",
        }

    @classmethod
    def open(cls, query: str) -> SparseScan:
        """The simulator for the text behind ``sim:sparse?``."""
        return cls(parse_options(SparseScanOptions, "sim:sparse", query))

    def positions(self, first: int, n: int) -> Positions:
        """(n, 2) float32 (y, x) in scan pixels; the passes begin again after the last."""
        start = first % len(self._positions)
        if start + n <= len(self._positions):
            return self._positions[start : start + n]
        return self._positions[self.bank.stock_indices(first, n)]

    def truth(self) -> Mapping[str, Array]:
        """Expected counts at the pixel centres, and the specimen.

        Returns
        -------
        haadf : (ny, nx), or (repeats, ny, nx) when there are several passes; float64, electrons
        columns : (n, 2) of the first pass, vacancy : (repeats, 2); float64, (y, x) in scan pixels
        """
        images = [self._counts(projected_columns(crystal)[0]) for crystal in self.crystals]
        return {
            "haadf": images[0] if len(images) == 1 else np.stack(images),
            "columns": self.crystals[0].columns,
            "vacancy": np.stack([crystal.vacancy for crystal in self.crystals]),
        }

    def _check(self, total: int) -> None:
        if total > MAX_SAMPLES:
            raise SourceError(
                f"{self.name}: {total} samples are more than the limit of {MAX_SAMPLES}; "
                "lower scan, fraction or repeats"
            )
        if self.options.frames > total:
            raise SourceError(
                f"{self.name}: frames={self.options.frames} is more than the {total} samples of all passes; "
                "leave it out, or raise repeats"
            )

    def _counts(self, image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (HAADF_SHARE[0] + HAADF_SHARE[1] * image) * self.options.dose

    def _scan_all(self) -> tuple[Positions, npt.NDArray[np.uint16]]:
        """Positions (n, 2) and counts (n,) of all passes."""
        rng = np.random.default_rng([self.options.seed, 2])
        positions = self._paths(rng)
        places = np.split(self._visited(np.concatenate(positions)), len(positions))
        expected = [sample_columns(crystal, at) for crystal, at in zip(self.crystals, places, strict=True)]
        counts = self._counts(np.concatenate(expected)).astype(np.float32)
        return np.concatenate(positions), poisson_counts(rng, counts, np.uint16)

    def _visited(self, commanded: Positions) -> Positions:
        """Where the probe was: coils that hold each position until the next average two of them."""
        if not self.options.delay:
            return commanded
        numbers = np.arange(len(commanded), dtype=np.float64)
        axes = [np.interp(numbers - self.options.delay, numbers, axis) for axis in commanded.T]
        return np.stack(axes, axis=1).astype(np.float32)

    def _paths(self, rng: np.random.Generator) -> list[Positions]:
        """The path of each pass."""
        path, n = PATTERNS[self.options.pattern], self.samples_per_pass
        try:
            return [path(self.options.scan, n, rng) for _ in self.crystals]
        except ValueError as error:  # a spiral in a field of one line, a walk of 10^8 steps
            raise SourceError(f"{self.name}: {error}") from error


def _hopping_vacancy(options: SparseScanOptions) -> list[Crystal]:
    """The crystal of each pass: from one to the next the vacancy moves to a neighbouring site."""
    crystals = [grow_crystal(options.scan, options.spacing, options.seed)]
    rng = np.random.default_rng([options.seed, 3])
    for _ in range(options.repeats - 1):
        last = crystals[-1]
        distance = np.linalg.norm(last.sites - last.vacancy, axis=1)
        near = np.flatnonzero((distance > 0) & (distance < 1.3 * last.spacing))
        crystals.append(last.without(int(rng.choice(near))) if len(near) else last)
    return crystals
