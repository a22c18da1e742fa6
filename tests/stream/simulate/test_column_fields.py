"""Simulated fields of atomic columns are what their conditions say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from livem.stream.simulate.column_fields import LATTICES, ColumnConditions, ColumnField, column_field

PERFECT = ColumnConditions(
    (160, 200), 10.0, vacancies=0.0, disorder=0.0, uneven_columns=0.0, unevenness=0.0, dose=8.0
)
DENSITY = {
    "hexagonal": 2 / 3**0.5,
    "square": 1.0,
    "rectangular": 1 / 1.35,
    "perovskite": 1.0,
    "honeycomb": 4 / 27**0.5,
    "dumbbell": 4 / 128**0.5,
}
"""Columns a squared spacing."""


def drawn(conditions: ColumnConditions, seed: int = 0) -> ColumnField:
    return column_field(conditions, np.random.default_rng(seed))


def inside(field: ColumnField) -> np.ndarray:
    return field.columns[((field.columns > 0) & (field.columns < np.array([159, 199]))).all(axis=1)]


@pytest.mark.parametrize("lattice", LATTICES)
def test_a_lattice_has_its_spacing_and_its_density(lattice):
    field = drawn(replace(PERFECT, lattice=lattice))
    distances = cKDTree(field.columns).query(inside(field), 2)[0][:, 1]
    np.testing.assert_allclose(distances, 10.0, rtol=1e-9)
    assert len(inside(field)) == pytest.approx(DENSITY[lattice] * 159 * 199 / 100, rel=0.08)
    assert field.expected.mean() == pytest.approx(8.0, rel=1e-5)


def test_columns_are_bright_where_they_are_said_to_be():
    field = drawn(replace(PERFECT, lattice="perovskite", second=0.5))
    y, x = np.rint(inside(field)).astype(int).T
    values = field.expected[y, x]
    strong = values > 0.75 * values.max()
    assert 0.4 < strong.mean() < 0.6
    assert values.min() > 2 * field.expected.min()


def test_vacancies_disorder_and_the_edge():
    perfect = drawn(PERFECT)
    assert len(drawn(replace(PERFECT, vacancies=0.3)).columns) < 0.8 * len(perfect.columns)
    shaken = drawn(replace(PERFECT, disorder=0.05)).columns - perfect.columns
    assert shaken.std() == pytest.approx(0.5, rel=0.1)
    cut = drawn(replace(PERFECT, edge=0.5))
    assert 0.3 < len(inside(cut)) / len(inside(perfect)) < 0.7
    assert len(drawn(replace(PERFECT, edge=-1.0)).columns) == 0


def test_grains_are_turned_against_each_other_and_do_not_overlap():
    field = drawn(replace(PERFECT, grains=3, shape=(200, 200)), 2)
    distances = cKDTree(field.columns).query(field.columns, 2)[0][:, 1]
    assert distances.min() > 6.2
    steps = field.columns[cKDTree(field.columns).query(field.columns, 2)[1][:, 1]] - field.columns
    regular = np.isclose(distances, 10.0)
    angles = np.round(np.rad2deg(np.arctan2(*steps[regular].T)) % 60, 3)
    assert len(np.unique(angles)) == 3
