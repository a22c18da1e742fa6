"""Frames of particles and of atomic columns with known places, and classical detectors for them.

Other seeds than those of training. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..consumers.models.training.heat_maps import Places, Plane
from ..kernels.heat_maps import find_peaks
from ..kernels.noise import NoiseModel
from ..stream.simulate.column_fields import ColumnConditions, column_field
from ..stream.simulate.particle_fields import FieldConditions, particle_field

FIRST_SEED = 100
MARGIN = 10.0
"""px from the rim within which nothing is a miss or a false one."""
ELECTRONS = NoiseModel()
SCALES = (0.35, 0.45, 0.6, 0.8)
"""Widths of the inner Gaussian that a tuned DoG may choose from, in radii."""
RATIO = 1.6
"""Of the outer Gaussian's width and the inner one's: near a Laplacian (Marr & Hildreth 1980)."""


@dataclass(frozen=True, slots=True)
class Case:
    """Frames of one kind."""

    name: str
    conditions: FieldConditions | ColumnConditions

    @property
    def radius(self) -> float:
        """px, of a particle; of a column, half of the spacing."""
        same = self.conditions
        return same.radius if isinstance(same, FieldConditions) else same.spacing / 2

    @property
    def gate(self) -> float:
        """px within which a found place is a true one."""
        if isinstance(self.conditions, ColumnConditions):
            return 0.3 * self.conditions.spacing
        return max(3.0, 0.5 * self.conditions.radius)

    @property
    def sign(self) -> int:
        """-1 where dark things are looked for; a classical detector is told."""
        return 1 if isinstance(self.conditions, ColumnConditions) or self.conditions.bright else -1


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame and what is there."""

    counts: Plane
    """(h, w) electrons."""
    places: Places
    """(n, 2) (y, x)"""
    radii: Places
    """(n,) px; of columns half of the spacing."""

    @property
    def stabilised(self) -> Plane:
        """With noise of variance 1."""
        return ELECTRONS.stabilise(self.counts)


def particle_cases(side: int = 256, quick: bool = False) -> list[Case]:
    """Radii of 2 to 40 px at contrast over noise of 1 to 4, few and crowded, dark and bright."""
    radii = (4.0,) if quick else (2.0, 4.0, 10.0, 36.0)
    snrs = (1.0, 2.0) if quick else (1.0, 2.0, 4.0)
    kinds = product((False,) if quick else (False, True), radii, (False, True), snrs)
    return [_particles(side, *kind) for kind in kinds]


def _particles(side: int, bright: bool, radius: float, crowded: bool, snr: float) -> Case:
    contrast, share = 0.3, (0.35 if crowded else 0.06) if radius < 16 else (0.4 if crowded else 0.15)
    look = f"{'bright' if bright else 'dark'}, {'crowded' if crowded else 'sparse'}"
    conditions = FieldConditions(
        (side, side),
        radius,
        coverage=share,
        contrast=contrast,
        bright=bright,
        dose=(snr / contrast) ** 2,
    )
    return Case(f"r {radius:g} px, {look}, SNR {snr:g}", conditions)


def column_cases(side: int = 256, quick: bool = False) -> list[Case]:
    """Lattices of three grains with vacancies and an edge, at 1 to 20 electrons a pixel."""
    wanted = [
        ("hexagonal", 7.0, 1.0, (1.0, 5.0, 20.0)),
        ("hexagonal", 12.0, 1.0, (1.0, 5.0)),
        ("square", 9.0, 1.0, (1.0, 5.0)),
        ("perovskite", 8.0, 0.5, (1.0, 5.0, 20.0)),
        ("honeycomb", 10.0, 0.7, (1.0, 5.0)),
        ("dumbbell", 6.0, 1.0, (1.0, 5.0, 20.0)),
    ]
    return [
        Case(
            f"{lattice}, {spacing:g} px, {dose:g} e-/px",
            ColumnConditions(
                (side, side),
                spacing,
                lattice,
                grains=3,
                second=second,
                uneven_columns=0.1,
                vacancies=0.02,
                disorder=0.02,
                edge=0.85,
                dose=dose,
            ),
        )
        for lattice, spacing, second, doses in (wanted[:1] if quick else wanted)
        for dose in (doses[:2] if quick else doses)
    ]


def show(case: Case, frames: int, seed: int = FIRST_SEED) -> list[Shown]:
    """Frames of a case, drawn anew each."""
    shown = []
    for number in range(frames):
        rng = np.random.default_rng([seed + number, *case.name.encode()])
        if isinstance(case.conditions, ColumnConditions):
            columns = column_field(case.conditions, rng)
            expected, places = columns.expected, columns.columns
            radii = np.full(len(places), case.radius)
        else:
            field = particle_field(case.conditions, rng)
            expected, places, radii = field.expected, field.places, field.radii
        shown.append(Shown(rng.poisson(expected).astype(np.float32), places, radii))
    return shown


def difference_of_gaussians(frame: Plane, width: float, sign: int = 1) -> Plane:
    """(h, w) how much brighter (darker for ``sign`` -1) than around, in noise of the stabilised frame."""
    response = ndimage.gaussian_filter(frame, width) - ndimage.gaussian_filter(frame, RATIO * width)
    return np.asarray(np.maximum(sign * width * response, 0), np.float32)


def classical_peaks(frame: Plane, width: float, sign: int) -> tuple[Places, npt.NDArray[np.float32]]:
    """Places (n, 2) and scores (n,) of a DoG, suppression within its width, and sub-pixel refinement."""
    peaks = find_peaks(difference_of_gaussians(frame, width, sign), 0.3, max(1.5, width))
    return np.stack([peaks.y, peaks.x], axis=1), peaks.score


def fit_gaussians(frame: Plane, places: Places, width: float, rounds: int = 8) -> Places:
    """Places (n, 2) at the fixed point of the centroid under a Gaussian mask, close to the likeliest.

    Thompson, Larson & Webb, Biophys. J. 82 (2002) 2775; the ground is the least value of the smoothed patch.
    """
    if not len(places):
        return places
    reach = int(np.ceil(2 * width))
    padded = np.pad(frame.astype(np.float64), reach + 1, "edge")
    steps = np.arange(-reach, reach + 1)
    start = np.rint(places).astype(np.int64)
    at = np.clip(start, 0, np.array(frame.shape) - 1) + reach + 1
    patch = padded[(at[:, 0, None] + steps)[:, :, None], (at[:, 1, None] + steps)[:, None, :]]
    patch = patch - np.quantile(patch, 0.2, axis=(1, 2), keepdims=True)
    offset = places - start
    for _ in range(rounds):
        dy = steps[None, :, None] - offset[:, 0, None, None]
        dx = steps[None, None, :] - offset[:, 1, None, None]
        weight = patch * np.exp(-0.5 * (dy * dy + dx * dx) / width**2)
        total = np.maximum(weight.sum((1, 2)), 1e-9)
        move = np.stack([(weight * dy).sum((1, 2)), (weight * dx).sum((1, 2))], axis=1) / total[:, None]
        offset = np.clip(offset + np.clip(2 * move, -0.5, 0.5), -1.5, 1.5)
    return np.asarray(start + offset)


def trackpy_peaks(frame: Plane, radius: float, sign: int) -> tuple[Places, npt.NDArray[np.float32]]:
    """Places and masses that `trackpy.locate` finds. Raises ImportError without trackpy."""
    import trackpy

    diameter = 2 * max(1, round(1.3 * radius)) + 1
    upright = frame if sign > 0 else frame.max() - frame
    found: Any = trackpy.locate(upright, diameter, engine="numba", characterize=False)
    return found[["y", "x"]].to_numpy(np.float64), found["mass"].to_numpy(np.float32)
