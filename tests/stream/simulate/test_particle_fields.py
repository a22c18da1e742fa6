"""Simulated fields of particles are what their conditions say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livem.stream.simulate.particle_fields import (
    FieldConditions,
    ParticleField,
    around,
    particle_field,
    uneven,
)

PLAIN = FieldConditions((200, 240), 6.0, spread=0.0, blur=0.0, unevenness=0.0, dose=50.0)


def drawn(conditions: FieldConditions, seed: int = 0) -> ParticleField:
    return particle_field(conditions, np.random.default_rng(seed))


def at(field: ParticleField) -> tuple[np.ndarray, np.ndarray]:
    """Expected electrons in the middle of particles well inside of the field, and how far apart they are."""
    h, w = field.expected.shape
    inside = ((field.places > 8) & (field.places < np.array([h, w]) - 9)).all(axis=1)
    y, x = np.rint(field.places[inside]).astype(int).T
    return field.expected[y, x], inside


@pytest.mark.parametrize(("bright", "middle"), [(False, 35.0), (True, 65.0)])
def test_a_particle_has_its_contrast_in_its_middle_and_none_outside(bright, middle):
    field = drawn(replace(PLAIN, bright=bright))
    values, _ = at(field)
    assert len(values) > 10
    np.testing.assert_allclose(values, middle, rtol=0.02)
    y, x = np.indices(field.expected.shape)
    outside = np.min([np.hypot(y - a, x - b) for a, b in field.places], axis=0) > 6.01
    np.testing.assert_allclose(field.expected[outside], 50.0, rtol=1e-5)


@pytest.mark.parametrize("gap", [0.8, 1.1])
def test_particles_keep_their_distance_and_cover_their_share(gap):
    field = drawn(replace(PLAIN, gap=gap, coverage=0.2, spread=0.3))
    between = np.hypot(*(field.places[:, None] - field.places[None]).T)
    wanted = gap * (field.radii[:, None] + field.radii[None])
    np.fill_diagonal(between, np.inf)
    assert (between >= wanted - 1e-9).all()
    covered = np.pi * np.sum(field.radii**2) / (212 * 252)
    assert 0.14 < covered < 0.26
    assert 0.2 < np.log(field.radii).std() < 0.4


def test_a_disk_is_flat_and_an_ellipse_has_its_area():
    flat = drawn(replace(PLAIN, roundness=0.01, coverage=0.02))
    inner = flat.expected < 50.0 * 0.72
    assert inner.sum() == pytest.approx(np.sum(flat.expected < 49.9), rel=0.1)
    apart = replace(PLAIN, roundness=0.01, coverage=0.1, radius=12.0, gap=1.5)
    round_ones, stretched = drawn(apart), drawn(replace(apart, eccentricity=0.6))
    areas = [(field.expected < 49.9).sum() for field in (round_ones, stretched)]
    assert areas[0] == pytest.approx(areas[1], rel=0.03)
    assert not np.array_equal(round_ones.expected, stretched.expected)


def test_the_ground_varies_slowly_about_its_mean():
    ground = uneven((300, 400), 60.0, 0.2, np.random.default_rng(1))
    assert ground.mean() == pytest.approx(1, abs=0.1)
    assert 0.03 < ground.std() < 0.15
    assert np.abs(np.diff(ground, axis=1)).max() < 0.02
    assert (uneven((50, 60), 20.0, 0.0, np.random.default_rng(1)) == 1).all()


def test_the_same_seed_gives_the_same_field_and_a_field_may_be_empty():
    np.testing.assert_array_equal(drawn(PLAIN, 5).expected, drawn(PLAIN, 5).expected)
    assert not np.array_equal(drawn(PLAIN, 5).expected, drawn(PLAIN, 6).expected)
    empty = drawn(replace(PLAIN, coverage=0.0))
    assert empty.places.shape == (0, 2)
    np.testing.assert_allclose(empty.expected, 50.0, rtol=1e-6)


def test_pixels_around_places_are_those_in_reach_inside_of_the_field():
    which, pixels, dy, dx = around((10, 12), np.array([[0.2, 3.0], [5.0, 11.4]]), np.array([1.0, 2.0]))
    y, x = np.divmod(pixels, 12)
    np.testing.assert_allclose(np.array([[0.2, 3.0], [5.0, 11.4]])[which], np.stack([y - dy, x - dx], axis=1))
    assert sorted(pixels[which == 0]) == [2, 3, 4, 14, 15, 16]
    assert set(x[which == 1]) == {10, 11}
    assert set(y[which == 1]) == {3, 4, 5, 6, 7}
