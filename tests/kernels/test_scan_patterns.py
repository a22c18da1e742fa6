"""Every pattern stays in its field and keeps its promises; coverage and figures are what a count gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels.scan_path import (
    MAX_SAMPLES,
    ScanPath,
    held_inside,
    largest_gap,
    make_path,
    path_figures,
    samples_of,
)
from livem.kernels.scan_patterns import PATTERNS, options_of, plan, random_walk

SIDES = st.integers(1, 40)
SHAPES = st.tuples(SIDES, SIDES)


def path(pattern: str, shape=(64, 64), n=1024, **options) -> ScanPath:
    return plan(pattern, shape, n, 1e-6, **options)


@given(st.sampled_from(list(PATTERNS)), SHAPES, st.floats(1e-3, 3.0), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_any_pattern_has_n_positions_in_the_field(pattern, shape, fraction, seed) -> None:
    n = samples_of(shape, fraction)
    planned = path(pattern, shape, n, seed=seed)
    assert planned.positions.shape == (n, 2)
    assert planned.positions.dtype == np.float32
    assert (planned.positions >= -0.5).all()
    assert (np.floor(planned.positions + 0.5) < shape).all()
    assert planned.seconds == pytest.approx(n * 1e-6)
    again = path(pattern, shape, n, seed=seed)
    assert np.array_equal(planned.positions, again.positions)


@given(st.sampled_from(list(PATTERNS)), SHAPES, st.floats(0.01, 2.0))
@settings(max_examples=60, deadline=None)
def test_coverage_counts_rounded_positions(pattern, shape, fraction) -> None:
    rng = np.random.default_rng(0)
    n = samples_of(shape, fraction)
    dwell = rng.uniform(1e-7, 1e-5, n)
    planned = make_path(shape, path(pattern, shape, n).positions, dwell, 1e-6)
    visits, seconds = np.zeros(shape), np.zeros(shape)
    y, x = np.floor(planned.positions.astype(float) + 0.5).astype(int).T
    np.add.at(visits, (y, x), 1)
    np.add.at(seconds, (y, x), dwell)
    assert planned.visits().dtype == np.float32
    assert np.array_equal(planned.visits(), visits)
    assert np.allclose(planned.beam_seconds(), seconds, rtol=1e-6)
    figures = path_figures(planned)
    assert figures.visited == pytest.approx(np.mean(visits > 0))
    assert figures.seconds == pytest.approx(dwell.sum() + n * 1e-6)


# -- lines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 8), (64, 33)])
def test_a_whole_raster_is_every_pixel_in_order(shape) -> None:
    n = shape[0] * shape[1]
    y, x = np.divmod(np.arange(n), shape[1])
    assert np.array_equal(path("raster", shape, n).positions, np.stack([y, x], axis=1))
    turned = np.where(y % 2, shape[1] - 1 - x, x)
    assert np.array_equal(path("serpentine", shape, n).positions, np.stack([y, turned], axis=1))


@given(SHAPES, st.integers(1, 3000), st.integers(1, 50))
@settings(max_examples=80, deadline=None)
def test_every_line_is_visited_and_equally_full(shape, n, lines) -> None:
    lines = min(lines, n)
    y = path("raster", shape, n, lines=lines).positions[:, 0]
    places, counts = np.unique(y, return_counts=True)
    assert len(places) == lines
    assert np.ptp(counts) <= 1
    assert (np.diff(y) >= 0).all()
    assert np.allclose(np.diff(places), shape[0] / lines, atol=1e-4)


@given(SHAPES, st.integers(1, 3000), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_jitter_stays_within_its_cell(shape, n, jitter) -> None:
    even, moved = path("serpentine", shape, n), path("jittered", shape, n, jitter=jitter)
    rows, line, counts = np.unique(even.positions[:, 0], return_inverse=True, return_counts=True)
    half = np.stack([np.full(n, shape[0] / len(rows)), shape[1] / counts[line]], axis=1) / 2
    assert (np.abs(moved.positions - even.positions.astype(float)) <= jitter * half + 1e-4).all()


def test_a_quarter_of_jittered_samples_leaves_no_large_hole() -> None:
    figures = path_figures(path("jittered", (128, 128), 4096))
    assert figures.visited == pytest.approx(0.25)  # cells of 2 x 2 pixels: none is hit twice
    assert figures.largest_gap <= math.hypot(3, 3)


@pytest.mark.parametrize("lines", [None, 4, 16])
def test_line_hop_stays_in_its_bands(lines) -> None:
    ny, nx, n = 64, 64, 1024
    y = path("line_hop", (ny, nx), n, lines=lines).positions[:, 0]
    lines = lines or 16
    band = np.arange(n) // (n // lines)
    assert (y >= band * ny / lines).all()
    assert (y < (band + 1) * ny / lines).all()


# -- curves ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [None, 12])
@pytest.mark.parametrize("shape", [(128, 128), (90, 200)])
def test_the_speed_of_a_spiral_is_constant(shape, turns) -> None:
    planned = path("spiral", shape, 3000, turns=turns, reach="edges")
    steps = planned.steps()
    assert steps[50:].std() / steps[50:].mean() < 0.02
    radius = np.linalg.norm(planned.positions - (np.array(shape) - 1) / 2, axis=1)
    assert (np.diff(radius) > 0).all()
    assert radius[-1] == pytest.approx(min(shape) / 2, rel=0.02)


@pytest.mark.parametrize("reach", ["edges", "corners"])
def test_the_angular_speed_of_a_spiral_is_constant(reach) -> None:
    planned = path("spiral_angular", (128, 128), 4000, turns=20.0, reach=reach)
    y, x = (planned.positions - 63.5).T
    inside = np.hypot(y, x) < 63
    angle = np.unwrap(np.arctan2(y, x)[inside])
    assert np.ptp(np.diff(angle)[20:]) < 1e-3
    radius = np.hypot(y, x)[inside]
    assert np.ptp(np.diff(radius)) < 1e-3
    turns = (angle[-1] - angle[0]) / (2 * np.pi)
    assert turns == pytest.approx(20 * radius[-1] / (64 if reach == "edges" else 64 * math.sqrt(2)), rel=0.02)


@pytest.mark.parametrize("pattern", ["spiral", "spiral_angular"])
@pytest.mark.parametrize(("shape", "fraction"), [((512, 512), 0.25), ((256, 256), 0.1), ((100, 300), 0.25)])
def test_a_spiral_fills_the_corners(pattern, shape, fraction) -> None:
    """Samples over what fits are not cut off at the end: that left 36 px of a corner of 512 x 512."""
    figures = path_figures(path(pattern, shape, samples_of(shape, fraction), reach="corners"))
    assert figures.largest_gap < 4 / math.sqrt(fraction)


def test_lissajous_is_smooth_and_reaches_the_border() -> None:
    planned = path("lissajous", (64, 96), 1536)
    assert planned.positions.min(axis=0) == pytest.approx([0, 0], abs=0.5)
    assert planned.positions.max(axis=0) == pytest.approx([63, 95], abs=0.5)
    steps = np.diff(planned.positions.astype(float), axis=0)
    turning = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    assert turning.max() < np.linalg.norm(steps, axis=1).max()
    assert path_figures(planned).step_max < 6


@pytest.mark.parametrize(("shape", "reach"), [((1, 60_000), "corners"), ((60_000, 2), "corners")])
@pytest.mark.parametrize("pattern", ["spiral", "spiral_angular"])
def test_a_spiral_in_a_field_like_a_line_is_refused(pattern, shape, reach) -> None:
    with pytest.raises(ValueError, match="outside the field nearly everywhere"):
        path(pattern, shape, 15_000, reach=reach)


# -- random ------------------------------------------------------------------------------------------------


@given(SHAPES, st.integers(1, 400), st.floats(0.05, 100))
@settings(max_examples=80, deadline=None)
def test_no_step_of_a_walk_is_longer_than_its_limit(shape, n, jump) -> None:
    assert path_figures(path("random_walk", shape, n, jump=jump)).step_max <= jump * (1 + 1e-5)


def test_a_walk_in_a_large_field_keeps_its_limit_too() -> None:
    steps = make_path(
        (4096, 4096), random_walk((4096, 4096), 3000, np.random.default_rng(0), jump=2.0), 1
    ).steps()
    assert steps.max() <= 2
    assert steps.mean() > 1


def test_a_walk_avoids_where_it_has_been() -> None:
    """A plain random walk of as many steps visits 22 % and leaves holes of 15 px and more."""
    figures = path_figures(path("random_walk", (128, 128), 4096, seed=3))
    assert figures.visited > 0.23
    assert figures.largest_gap < 9


def test_random_visits_nothing_twice_before_it_has_to() -> None:
    assert path("random", (8, 9), 72).visits().max() == 1
    assert np.unique(path("random", (8, 9), 100).visits()).tolist() == [1, 2]


# -- the value ---------------------------------------------------------------------------------------------


def test_waiting_behind_flybacks() -> None:
    planned = path("raster", (8, 16), 128).settled(1e-5)
    assert np.flatnonzero(planned.wait).tolist() == list(range(0, 128, 16))
    assert planned.seconds == pytest.approx(128e-6 + 8e-5)
    assert not path("serpentine", (8, 16), 128).settled(1e-5).wait[1:].any()
    assert path("random", (1, 1), 1).settled(1e-5).wait.tolist() == [1e-5]


def test_there_and_back() -> None:
    planned = path("spiral", n=100)
    both = planned.there_and_back()
    assert np.array_equal(both.positions[100:], planned.positions[::-1])
    assert both.seconds == pytest.approx(2 * planned.seconds)


def test_back_it_waits_behind_the_same_jumps() -> None:
    both = path("raster", (4, 4), 16).settled(5e-6).there_and_back()
    assert np.flatnonzero(both.wait).tolist() == [0, 4, 8, 12, 20, 24, 28]
    steps = both.steps()
    assert (np.flatnonzero(steps > 3) + 1).tolist() == [4, 8, 12, 20, 24, 28]
    assert path("random", (1, 1), 1).settled(5e-6).there_and_back().wait.tolist() == [5e-6, 0]


def test_figures_of_a_raster_with_a_limit() -> None:
    figures = path_figures(path("raster", (32, 64), 2048), 10e3)
    assert figures.frequency == pytest.approx(1e6 / 64, rel=0.03)
    assert figures.too_fast
    assert figures.beyond_limit == 1
    calm = path_figures(path("raster", (32, 64), 2048), 100e3)
    assert not calm.too_fast
    assert calm.beyond_limit == 0
    assert figures.step_max == pytest.approx(math.hypot(63, 1), rel=1e-6)
    serpentine = path_figures(path("serpentine", (32, 64), 2048))
    assert serpentine.frequency == pytest.approx(0.5e6 / 64, rel=0.05)
    spiral = path_figures(path("spiral", (64, 64), 4096, reach="edges"), 2 * figures.frequency)
    assert 0 < spiral.beyond_limit < 0.5  # its centre
    assert (serpentine.step_max, serpentine.largest_gap) == (1, 0)


def test_turns_a_second_of_a_spiral() -> None:
    figures = path_figures(path("spiral_angular", (64, 64), 5000, turns=25.0, reach="edges"))
    assert figures.frequency == pytest.approx(25 / 5e-3, rel=0.05)


@given(st.integers(1, 25), st.integers(1, 25), st.floats(0.001, 0.5), st.integers(0, 50))
@settings(max_examples=80, deadline=None)
def test_the_largest_gap_is_that_of_a_search(ny, nx, share, seed) -> None:
    visited = np.random.default_rng(seed).random((ny, nx)) < share
    y, x = np.nonzero(visited)
    v, u = np.mgrid[:ny, :nx]
    expected = np.hypot(v[..., None] - y, u[..., None] - x).min(axis=-1, initial=np.inf).max()
    assert largest_gap(visited) == pytest.approx(expected)


def test_the_largest_gap_of_a_field_that_is_nearly_empty() -> None:
    visited = np.zeros((1500, 2000), bool)
    visited[0, 0] = True
    assert largest_gap(visited) == pytest.approx(math.hypot(1499, 1999))


def test_held_inside_is_inside_for_any_side() -> None:
    for side in (1, 2, 3, 64, 511, 4096, 65_536):
        shape = (side, min(side, 4096))
        placed = held_inside(np.array([[side - 0.5, -0.5], [1e9, -1e9]]), shape)
        rounded = np.floor(placed + np.float32(0.5))
        assert ((rounded >= 0) & (rounded < shape)).all()
        make_path(shape, placed, 1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: samples_of((8, 8), 0), "above 0"),
        (lambda: samples_of((8, 8), math.nan), "above 0"),
        (lambda: samples_of((8, 8), math.inf), str(MAX_SAMPLES)),
        (lambda: samples_of((0, 8), 1), "each side"),
        (lambda: samples_of((8, 65_537), 1), "65536"),
        (lambda: samples_of((65_536, 65_536), 1e-6), "268435456 in all"),
        (lambda: path("spirla"), "there are: raster"),
        (lambda: path("random", lines=3), "random has no option 'lines'; it has: none"),
        (lambda: path("spiral", jump=3), "turns, reach"),
        (lambda: path("raster", n=0), "1 to"),
        (lambda: path("raster", n=10, lines=11), "1 to 10"),
        (lambda: path("line_hop", lines=65), "1 to 64"),
        (lambda: path("jittered", jitter=1.5), "0 to 1"),
        (lambda: path("spiral", turns=0), "more than 0"),
        (lambda: path("spiral", reach="moon"), "corners or edges"),
        (lambda: path("random_walk", jump=0), "longer than 0"),
        (lambda: path("random_walk", (4096, 8192), 1 << 25), "jittered"),
        (lambda: plan("raster", (8, 8), 64, 0.0), "dwell of sample 0"),
        (lambda: plan("raster", (8, 8), 64, math.nan), "dwell of sample 0"),
        (lambda: make_path((8, 8), np.zeros((3, 2), np.float32), 1, [0, -1, 0]), "wait of sample 1"),
        (
            lambda: make_path((8, 8), np.zeros((3, 2), np.float32), np.ones(3), np.ones((3, 1))),
            "wait has the shape",
        ),
        (lambda: make_path((8, 8), np.zeros((3, 2)), 1), "float32"),
        (lambda: make_path((8, 8), np.zeros((3, 3), np.float32), 1), "float32"),
        (lambda: make_path((8, 8), np.full((1, 2), 7.5, np.float32), 1), "position 0"),
        (lambda: make_path((8, 8), np.full((1, 2), np.nan, np.float32), 1), "position 0"),
    ],
)
def test_what_makes_no_sense_is_refused(call, words) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_options_that_are_none_count_as_not_given() -> None:
    assert options_of("spiral") == ("turns", "reach")
    assert np.array_equal(path("random", lines=None).positions, path("random").positions)
