"""Frames to learn atomic columns from: lattices, spacings, grains and doses that the model is to meet."""

from __future__ import annotations

import numpy as np

from ....stream.simulate.column_fields import LATTICES, ColumnConditions, column_field
from .heat_maps import Recipe, Scene, draw_bumps
from .heat_models import HeatModel

SPACINGS = (5.0, 26.0)
"""px between neighbouring columns."""
DOSES = (0.7, 30.0)
"""Electrons a pixel."""
RADIUS = 0.4
"""Of a column, in spacings: what its bump is drawn with."""


def draw_conditions(rng: np.random.Generator, side: int) -> ColumnConditions:
    """For a dose of 1."""
    return ColumnConditions(
        (side, side),
        spacing=float(np.exp(rng.uniform(*np.log(SPACINGS)))),
        lattice=str(rng.choice(list(LATTICES))),
        grains=int(rng.choice([1, 2, 3, 5], p=[0.4, 0.3, 0.2, 0.1])),
        width=float(rng.uniform(0.15, 0.28)),
        second=float(rng.choice([1.0, rng.uniform(0.25, 1.0)])),
        uneven_columns=float(rng.uniform(0.0, 0.2)),
        vacancies=float(rng.choice([0.0, 0.01, 0.05])),
        disorder=float(rng.choice([0.0, 0.02, 0.06])),
        edge=float(1.0 if rng.random() < 0.6 else rng.uniform(0.0, 1.0)),
        pedestal=float(np.exp(rng.uniform(*np.log((0.05, 1.0))))),
        unevenness=float(rng.uniform(0.0, 0.3)),
        dose=1.0,
    )


def draw_scene(rng: np.random.Generator, side: int) -> Scene:
    """A crystal, or none."""
    conditions = draw_conditions(rng, side)
    field = column_field(conditions, rng)
    radii = np.full(len(field.columns), RADIUS * conditions.spacing)
    return Scene(field.expected, draw_bumps(conditions.shape, field.columns, radii), DOSES)


MODEL = HeatModel(
    "columns",
    Recipe(draw_scene, seed=3_000_000, crop=96),
    training="simulated lattices, grains, vacancies and edges, spacings of 5 to 26 px, 0.7 to 30 electrons "
    "a pixel",
    description="where atomic columns are: a Gaussian about each, a fifth of the spacing wide",
)
make = MODEL.make
