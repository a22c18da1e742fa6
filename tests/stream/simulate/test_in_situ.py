"""The simulated movie shows the particles of its truth, and they obey the physics that it promises."""

from __future__ import annotations

import numpy as np
import pytest

from livem.stream.simulate.in_situ import InSitu
from livem.stream.simulate.nanoparticles import CellConditions, LiquidCell

SMALL = "shape=96x128&frames=60&particles=10&seed=2"


def conditions(**changes: object) -> CellConditions:
    base: dict[str, object] = {
        "shape": (400, 400),
        "particles": 30,
        "diffusion": 40.0,
        "nucleation": 0.0,
        "growth": 0.0,
        "dissolving": 0.0,
        "drift": 0.0,
        "max_radius": 9.0,
    }
    return CellConditions(**(base | changes))  # type: ignore[arg-type]


def test_particles_are_dark_where_the_truth_says() -> None:
    movie = InSitu.open(SMALL)
    rows = movie.truth()["particles"]
    large = rows[(rows["frame"] == 30) & (rows["radius"] > 4)]
    assert len(large) >= 3
    frame, background = movie.frames(30, 1)[0], movie.truth()["background"]
    ratio = frame[np.rint(large["y"]).astype(int), np.rint(large["x"]).astype(int)]
    assert (ratio / background[np.rint(large["y"]).astype(int), np.rint(large["x"]).astype(int)] < 0.9).all()


def test_noise_is_poisson_around_the_clean_frames() -> None:
    movie = InSitu.open(SMALL)
    clean = movie.clean(10, 4)
    residual = (movie.frames(10, 4) - clean) / np.sqrt(clean)
    assert residual.mean() == pytest.approx(0, abs=0.02)
    assert residual.std() == pytest.approx(1, abs=0.02)


def test_low_doses_are_exact_poisson() -> None:
    movie = InSitu.open("shape=64x64&frames=8&dose=2&particles=4")
    clean = movie.clean(0, 8)
    assert movie.frames(0, 8).mean() == pytest.approx(clean.mean(), rel=0.02)


def test_coalescence_conserves_volume() -> None:
    cell = LiquidCell(conditions(particles=60, diffusion=400.0), np.random.default_rng(0))
    history = cell.watch(200, 1 / 30)
    merged = history.events[history.events["event"] == "coalescence"]
    assert len(merged) >= 5
    assert merged["radius"] ** 3 == pytest.approx(merged["radius_before"] ** 3 + merged["radius_other"] ** 3)
    volume = np.bincount(history.particles["frame"], history.particles["radius"] ** 3)
    assert volume == pytest.approx(volume[0])


def test_a_particle_that_has_merged_is_never_seen_again() -> None:
    cell = LiquidCell(conditions(particles=60, diffusion=400.0), np.random.default_rng(0))
    history = cell.watch(100, 1 / 30)
    for event in history.events[history.events["event"] == "coalescence"]:
        of_it = history.particles["frame"][history.particles["particle"] == event["other"]]
        assert of_it.max(initial=-1) < event["frame"]


def test_brownian_motion_has_the_diffusion_coefficient_that_was_asked() -> None:
    cell = LiquidCell(conditions(shape=(4000, 4000), particles=200), np.random.default_rng(4))
    history = cell.watch(40, 0.01)
    rows = history.particles
    first, last = rows[rows["frame"] == 0], rows[rows["frame"] == 39]
    _, here, there = np.intersect1d(first["particle"], last["particle"], return_indices=True)
    square = (last["y"][there] - first["y"][here]) ** 2 + (last["x"][there] - first["x"][here]) ** 2
    measured = (square * first["radius"][here] / 8.0).mean() / (4 * 0.39)
    assert measured == pytest.approx(40.0, rel=0.25)


def test_everything_that_can_happen_happens_and_is_told() -> None:
    movie = InSitu.open(
        "shape=128x128&frames=300&fps=10&particles=16&dissolving=0.5&nucleation=3&growth=2&dose=40"
    )
    events = movie.truth()["events"]
    assert set(events["event"]) == {"nucleation", "coalescence", "dissolution"}
    assert (np.diff(events["frame"]) >= 0).all()


def test_a_long_movie_plays_back_and_forth_without_a_jump() -> None:
    movie = InSitu.open("shape=32x32&frames=0&fps=1&particles=2")
    stored = len(movie.bank.stock)
    assert movie.count is None
    assert movie.bank.period == 2 * stored - 2
    assert np.array_equal(movie.frames(stored, 1), movie.frames(stored - 2, 1))
    assert np.array_equal(movie.frames(movie.bank.period - 1, 2), movie.bank.stock[[1, 0]])


def test_the_same_seed_gives_the_same_movie() -> None:
    first, again, other = (
        InSitu.open(f"shape=48x48&frames=10&particles=3&seed={seed}") for seed in (1, 1, 2)
    )
    assert np.array_equal(first.frames(0, 10), again.frames(0, 10))
    assert not np.array_equal(first.frames(0, 10), other.frames(0, 10))
    np.testing.assert_equal(first.truth()["events"].tolist(), again.truth()["events"].tolist())


def test_an_empty_cell_is_only_background() -> None:
    movie = InSitu.open("shape=32x32&frames=3&particles=0&nucleation=0")
    assert len(movie.truth()["particles"]) == 0
    assert np.array_equal(movie.clean(2, 1)[0], movie.truth()["background"])
