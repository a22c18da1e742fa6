"""Fields of atomic columns as an annular dark-field image shows them: lattices, grains, vacancies, an edge.

Every number can be drawn from a range; lattice.py has the one crystal of the 4D-STEM simulator. Expected
electrons only: the noise is noise.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from .particle_fields import around, uneven

FloatArray = npt.NDArray[np.float32]
Places = npt.NDArray[np.float64]

REACH = 4.0
"""Widths of a column's image beyond which it is not drawn."""
CROWDED = 0.62
"""Spacings from a column of another grain within which there is no room for one."""


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """A cell in units of the least distance of two columns."""

    cell: tuple[tuple[float, float], tuple[float, float]]
    """Two vectors (y, x)."""
    basis: tuple[tuple[float, float], ...]
    """Columns of a cell, (y, x)."""
    second: tuple[bool, ...]
    """Which of them are of the second kind."""


_ROOT = 3**0.5
LATTICES: Mapping[str, Lattice] = MappingProxyType(
    {
        "hexagonal": Lattice(((_ROOT / 2, 0.5), (0.0, 1.0)), ((0.0, 0.0),), (False,)),
        "square": Lattice(((1.0, 0.0), (0.0, 1.0)), ((0.0, 0.0),), (False,)),
        "rectangular": Lattice(((1.35, 0.0), (0.0, 1.0)), ((0.0, 0.0),), (False,)),
        "perovskite": Lattice(((1.0, 1.0), (1.0, -1.0)), ((0.0, 0.0), (1.0, 0.0)), (False, True)),
        "honeycomb": Lattice(((1.5, _ROOT / 2), (0.0, _ROOT)), ((0.0, 0.0), (1.0, 0.0)), (False, True)),
        "dumbbell": Lattice(((8**0.5 / 2, 2.0), (0.0, 4.0)), ((0.0, 0.0), (0.0, 1.0)), (False, True)),
    }
)
"""Dumbbells as of diamond and zinc blende along [110]."""


@dataclass(frozen=True, slots=True)
class ColumnConditions:
    """One field of columns. Lengths in px."""

    shape: tuple[int, int]
    spacing: float
    """Least distance of two columns."""
    lattice: str = "hexagonal"
    """One of `LATTICES`."""
    grains: int = 1
    width: float = 0.2
    """Standard deviation of a column's image, in spacings."""
    second: float = 1.0
    """Height of columns of the second kind, in that of the first."""
    uneven_columns: float = 0.05
    """Scatter of the heights: thickness."""
    vacancies: float = 0.005
    """Share of sites without a column."""
    disorder: float = 0.01
    """Standard deviation of each coordinate about its site, in spacings."""
    edge: float = 1.0
    """Share of the field that the crystal fills; the rest is empty."""
    pedestal: float = 0.3
    """Between the columns, in what the first kind adds in its middle."""
    unevenness: float = 0.1
    """Amplitude of brightness over the field."""
    dose: float = 10.0
    """Electrons a pixel, on average."""


@dataclass(frozen=True, slots=True, eq=False)
class ColumnField:
    """What is there, and what is expected of it."""

    expected: FloatArray
    """(h, w) electrons."""
    columns: Places
    """(n, 2) (y, x); some lie outside of the field."""
    heights: Places
    """(n,) relative."""


def column_field(conditions: ColumnConditions, rng: np.random.Generator) -> ColumnField:
    """Gaussian columns of grains that meet along straight lines, with what a real crystal lacks."""
    columns, second = _grains(conditions, rng)
    kept = _within(columns, conditions, rng) & (rng.random(len(columns)) >= conditions.vacancies)
    columns, second = columns[kept], second[kept]
    columns = columns + conditions.disorder * conditions.spacing * rng.standard_normal(columns.shape)
    heights = np.where(second, conditions.second, 1.0)
    heights = heights * np.clip(1 + conditions.uneven_columns * rng.standard_normal(len(columns)), 0.2, None)
    image = draw_columns(conditions.shape, columns, heights, conditions.width * conditions.spacing)
    image += np.float32(conditions.pedestal)
    image *= uneven(conditions.shape, max(96.0, 4 * conditions.spacing), conditions.unevenness, rng)
    return ColumnField(image * np.float32(conditions.dose / image.mean()), columns, heights)


def draw_columns(shape: tuple[int, int], columns: Places, heights: Places, width: float) -> FloatArray:
    """(h, w) sum of Gaussians of the ``width``, in px, at columns (n, 2) with heights (n,)."""
    which, pixels, dy, dx = around(shape, columns, np.full(len(columns), REACH * width))
    values = heights[which] * np.exp(-0.5 * (dy * dy + dx * dx) / width**2)
    return np.bincount(pixels, values, shape[0] * shape[1]).astype(np.float32).reshape(shape)


def _grains(conditions: ColumnConditions, rng: np.random.Generator) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Columns (n, 2) of all grains, each with what is nearest to it; and which are of the second kind."""
    seeds = rng.random((conditions.grains, 2)) * conditions.shape
    places, kinds = np.empty((0, 2)), np.empty(0, bool)
    for number in range(conditions.grains):
        sites, second = _sites(conditions, rng)
        own = np.argmin(np.hypot(*(sites[:, None] - seeds).T), axis=0) == number
        sites, second = sites[own], second[own]
        if len(places) and len(sites):
            free = cKDTree(places).query(sites)[0] > CROWDED * conditions.spacing
            sites, second = sites[free], second[free]
        places, kinds = np.concatenate([places, sites]), np.concatenate([kinds, second])
    return places, kinds


def _sites(conditions: ColumnConditions, rng: np.random.Generator) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Sites of one lattice, turned and moved at random, over the field and a margin of two spacings."""
    lattice, spacing, shape = LATTICES[conditions.lattice], conditions.spacing, np.array(conditions.shape)
    cell = np.array(lattice.cell)
    reach = int(np.hypot(*shape) / spacing) + 4
    steps = np.stack(np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1)), -1).reshape(
        -1, 2
    )
    sites = ((steps + rng.random(2)) @ cell)[:, None] + np.array(lattice.basis)
    second = np.broadcast_to(np.array(lattice.second), sites.shape[:2]).reshape(-1)
    turn = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    turned = spacing * sites.reshape(-1, 2) @ np.array([[cos, sin], [-sin, cos]]) + shape / 2
    near = np.all((turned > -2 * spacing) & (turned < shape + 2 * spacing), axis=1)
    return turned[near], second[near]


def _within(columns: Places, conditions: ColumnConditions, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which columns lie on the crystal's side of its wavy edge."""
    turn, phase = rng.uniform(0, 2 * np.pi, 2)
    if conditions.edge >= 1:
        return np.ones(len(columns), bool)
    size = np.array(conditions.shape)
    y, x = ((columns - size / 2) / size.mean()).T
    across, along = np.cos(turn) * y + np.sin(turn) * x, np.cos(turn) * x - np.sin(turn) * y
    return np.asarray(across + 0.05 * np.sin(9 * along + phase) < conditions.edge - 0.5)
