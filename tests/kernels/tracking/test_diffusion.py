"""Figures of all particles: diffusion free of the places' error and of motion blur; distances; series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from walks import follow, found, scattered, walk

from livem.kernels.tracking.diffusion import FULL_SHUTTER, LAGS, Displacements
from livem.kernels.tracking.growth import mean_rate
from livem.kernels.tracking.link import Linker, LinkOptions
from livem.kernels.tracking.statistics import POINTS, Series, Statistics, nearest_neighbours
from livem.kernels.tracking.tracks import TRACK


def rows_of(frame: int, places: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(places), TRACK)
    rows["frame"], rows["particle"] = frame, np.arange(len(places))
    rows["measured_y"], rows["measured_x"] = rows["y"], rows["x"] = places.T
    rows["radius"] = 4
    return rows


@pytest.mark.parametrize("is_blurred", [False, True])
def test_the_coefficient_does_not_depend_on_the_error_of_places_nor_on_blur(is_blurred: bool) -> None:
    rng = np.random.default_rng(1)
    fine = np.cumsum(math.sqrt(2 * 0.5 / 20) * rng.standard_normal((150 * 20, 80, 2)), axis=0)
    frames = fine.reshape(150, 20, 80, 2)
    truth = frames.mean(axis=1) if is_blurred else frames[:, -1]
    measured = truth + 0.6 * rng.standard_normal(truth.shape)
    displacements = Displacements(FULL_SHUTTER if is_blurred else 0.0)
    for k, places in enumerate(measured):
        displacements.add(k, rows_of(k, places), (0.0, 0.0))
    told = displacements.diffusion()
    assert told.coefficient == pytest.approx(0.5, abs=4 * told.error)
    assert 0.003 < told.error < 0.02
    assert told.by_slope == pytest.approx(0.5, rel=0.06)
    assert told.place_error == pytest.approx(0.6, rel=0.06)
    assert displacements.msd[0] > 1.2 * 4 * 0.5


def test_frames_that_were_blended_with_those_before_do_not_slow_particles_down() -> None:
    rng = np.random.default_rng(6)
    places = np.cumsum(math.sqrt(2 * 0.5) * rng.standard_normal((203, 120, 2)), axis=0)
    blended = (places[3:] + places[2:-1] + places[1:-2] + places[:-3]) / 4
    displacements = Displacements()
    for k, seen in enumerate(blended + 0.1 * rng.standard_normal(blended.shape)):
        displacements.add(k, rows_of(k, seen), (0.0, 0.0))
    told = displacements.diffusion()
    assert told.coefficient == pytest.approx(0.5, abs=4 * told.error)
    assert told.error < 0.02


def test_lags_are_frames_as_the_series_counts_and_missing_ones_leave_out_what_spans_them() -> None:
    displacements = Displacements()
    for k in (0, 1, 3, 4, 5, 40):
        displacements.add(k, rows_of(k, np.array([[float(k), 0.0]])), (0.0, 0.0))
    np.testing.assert_allclose(displacements.msd[:5], np.arange(1, 6) ** 2.0)
    assert displacements.counts.tolist() == [3, 2, 2, 2, 1, 0, 0, 0]
    assert displacements.counts.size == LAGS


def test_sums_are_those_of_all_pairs_of_rows_of_the_same_particle() -> None:
    """Of particles that come, go and are missed, in frames of which two were lost, on a field that drifts."""
    rng = np.random.default_rng(8)
    frames = [*range(6), *range(8, 20)]
    where = {k: rng.normal(0, 5, (9, 2)) for k in frames}
    drift = {k: (0.3 * k, -0.7 * k) for k in frames}
    there = {k: rng.random(9) < 0.7 for k in frames}
    missed = {k: rng.random(9) < 0.2 for k in frames}
    displacements = Displacements()
    for k in frames:
        rows = rows_of(k, where[k] + drift[k])
        rows["measured_y"][missed[k]] = rows["measured_x"][missed[k]] = np.nan
        displacements.add(k, rows[there[k]], drift[k])
    known = {(k, i): where[k][i] for k in frames for i in range(9) if there[k][i] and not missed[k][i]}
    for lag in range(1, LAGS + 1):
        squares = [
            ((at - known[k - lag, i]) ** 2).sum() for (k, i), at in known.items() if (k - lag, i) in known
        ]
        assert displacements.counts[lag - 1] == len(squares)
        assert displacements.msd[lag - 1] == pytest.approx(np.mean(squares))
    pairs = [
        (at - known[k - 1, i], known[k - 1, i] - known[k - 2, i])
        for (k, i), at in known.items()
        if {(k - 1, i), (k - 2, i)} <= known.keys()
    ]
    assert displacements.diffusion().steps == 2 * len(pairs)
    late, early = (np.concatenate(steps) for steps in zip(*pairs, strict=True))
    square, product = (late**2 + early**2).mean() / 2, (late * early).mean()
    place = FULL_SHUTTER * square + (2 * FULL_SHUTTER - 1) * product
    assert displacements.diffusion().place_error == pytest.approx(math.sqrt(place))


def test_the_standard_error_is_what_estimates_of_equal_movies_scatter_by() -> None:
    rng, found = np.random.default_rng(9), []
    for _ in range(60):
        places = np.cumsum(rng.standard_normal((40, 12, 2)), axis=0) + 0.5 * rng.standard_normal((40, 12, 2))
        displacements = Displacements(0.0)
        for k, seen in enumerate(places):
            displacements.add(k, rows_of(k, seen), (0.0, 0.0))
        found.append(displacements.diffusion())
    scatter = float(np.std([one.coefficient for one in found]))
    assert 0.75 < np.median([one.error for one in found]) / scatter < 1.35


def test_drift_is_taken_out() -> None:
    places = walk(scattered(60, 2), 60, 3, drift=(2.0, -1.0))
    _, updates = follow([found(p, error=0.05) for p in places])
    displacements, place = Displacements(), np.zeros(2)
    origins = []
    for update in updates:
        place = place + update.drift
        origins.append(place)
        for number in np.unique(update.final["frame"]):
            rows = update.final[update.final["frame"] == number]
            displacements.add(int(number), rows, tuple(origins[number]))
    assert displacements.diffusion().coefficient == pytest.approx(0.5, rel=0.08)


def test_distances_of_neighbours_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(4)
    for n in (2, 3, 50, 400):
        places = rng.uniform(0, 100, (n, 2)) * (1, 0.02 if n == 50 else 1)
        distance = np.empty(n)
        nearest_neighbours(*places.T.copy(), distance)
        pairs = np.hypot(*(places[:, None] - places[None]).T)
        np.testing.assert_allclose(distance, np.where(np.eye(n) > 0, np.inf, pairs).min(axis=0))
    alone = np.empty(1)
    nearest_neighbours(np.zeros(1), np.zeros(1), alone)
    assert np.isnan(alone[0])


def test_a_series_of_any_length_keeps_its_means_in_the_same_memory() -> None:
    series = Series(2)
    for k in range(5 * POINTS):
        series.add(7 + k, (float(k), math.nan if k % 2 else 1.0))
    assert len(series.frames) == len(series.values) <= POINTS
    np.testing.assert_allclose(series.values[:, 0], series.frames - 7)
    np.testing.assert_allclose(series.values[:, 1], 1)


def test_statistics_count_size_and_cover() -> None:
    statistics = Statistics((100, 100))
    statistics.add(0, rows_of(0, np.array([[10.0, 10.0], [10.0, 40.0], [50.0, 10.0]])), (0.0, 0.0))
    now = statistics.figures().now
    assert (now["count"], now["mean_radius"], now["median_radius"]) == (3, 4, 4)
    assert now["coverage"] == pytest.approx(3 * math.pi * 16 / 1e4)
    assert now["neighbour_distance"] == pytest.approx((30 + 30 + 40) / 3)
    assert statistics.histogram.sum() == 3


def test_growth_is_the_slope_of_the_radii() -> None:
    rng = np.random.default_rng(5)
    places = scattered(30, 6)
    rate = np.where(np.arange(30) < 15, 0.02, -0.01)
    linker = Linker(LinkOptions(shape=(256, 256)))
    for k in range(60):
        linker.step(k, found(places, 5 + rate * k + 0.1 * rng.standard_normal(30)))
    growth = linker.growth()
    assert growth["particle"].tolist() == list(range(30))
    assert np.abs((growth["rate"] - rate) / growth["error"]).max() < 4.5
    assert growth["error"].max() < 0.002
    assert mean_rate(growth) == pytest.approx(0.005, abs=0.001)
