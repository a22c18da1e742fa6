"""Bumps for a network to learn, and how found places are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livem.consumers.models.training import columns, particles
from livem.consumers.models.training.heat_maps import (
    Examples,
    Found,
    best_threshold,
    compare,
    draw_bumps,
    total,
)
from livem.kernels.heat_maps import find_peaks

SHAPE = (100, 120)


def places(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, np.float64).reshape(-1, 2)


def test_peaks_of_bumps_are_the_places_and_their_widths_half_the_radii():
    there = places((20.3, 30.4), (60.0, 80.7), (80.2, 20.9))
    peaks = find_peaks(draw_bumps(SHAPE, there, np.array([3.0, 12.0, 6.0])), 0.5)
    np.testing.assert_allclose(np.stack([peaks.y, peaks.x], axis=1), there, atol=0.05)
    np.testing.assert_allclose(peaks.width, [1.5, 6.0, 3.0], rtol=0.05)
    assert not draw_bumps(SHAPE, places(), np.empty(0)).any()


def test_places_are_matched_one_to_one_within_the_gate():
    there = places((20, 20), (20, 26), (50, 50), (80, 80))
    found = places((20, 22.5), (20, 21), (50, 54), (81, 80))
    same = compare(found, there, 5.0, SHAPE)
    assert (same.matched, same.false, same.missed) == (4, 0, 0)
    assert same.square_error == pytest.approx(1 + 3.5**2 + 16 + 1)
    near = compare(found, there, 2.0, SHAPE)
    assert (near.matched, near.false, near.missed) == (2, 2, 2)
    assert (near.precision, near.recall, near.f1, near.rms) == (0.5, 0.5, 0.5, 1.0)


def test_what_lies_at_the_rim_may_match_but_is_no_miss_and_no_false_one():
    there, found = places((2, 50), (50, 50), (11, 80)), places((3, 90), (50, 50), (9, 80))
    assert compare(found, there, 3.0, SHAPE, 10.0) == Found(2, 0, 0, 4.0)
    assert compare(found, there, 3.0, SHAPE) == Found(2, 1, 1, 4.0)


def test_nothing_found_and_nothing_there():
    assert compare(places(), places(), 3.0, SHAPE) == Found()
    assert (Found().precision, Found().recall, Found().f1) == (1, 1, 1)
    assert np.isnan(Found().rms)
    assert compare(places(), places((5, 5)), 3.0, SHAPE).f1 == 0
    assert total([Found(1, 2, 3, 4.0), Found(1, 0, 0, 1.0)]) == Found(2, 2, 3, 5.0)


def test_the_oracle_finds_the_threshold_that_parts_true_from_false():
    there = places((20, 20), (50, 50))
    found = places((20, 20), (50, 50), (80, 80), (30, 90))
    scores = np.array([0.9, 0.7, 0.5, 0.2], np.float32)
    threshold, best = best_threshold([found], [scores], [there], 3.0, SHAPE)
    assert 0.5 < threshold <= 0.7
    assert best.f1 == 1
    assert best_threshold([places()], [np.empty(0, np.float32)], [there], 3.0, SHAPE)[1].f1 == 0


@pytest.mark.parametrize("model", [particles.MODEL, columns.MODEL], ids=lambda model: model.name)
def test_examples_are_of_the_models_range_and_the_same_for_a_seed(model):
    recipe = replace(model.recipe, scenes=6, side=96, crop=64, batch=4)
    frames, bumps = Examples(recipe).draw()
    assert frames.shape == bumps.shape == (4, 1, 64, 64)
    assert frames.dtype == bumps.dtype == np.float32
    assert np.isfinite(frames).all()
    assert bumps.min() >= 0
    assert 0.3 < bumps.max() <= 1
    again = Examples(recipe).draw()
    np.testing.assert_array_equal(frames, again[0])
    np.testing.assert_array_equal(bumps, again[1])
    other = Examples(replace(recipe, seed=1)).draw()
    assert not np.array_equal(frames, other[0])
