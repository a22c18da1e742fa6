"""The simulated movie shows the particles of its truth, and they obey the physics that it promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.in_situ import ABSORPTION_LENGTH, InSitu
from livem.stream.simulate.nanoparticles import CellConditions, LiquidCell
from livem.stream.simulate.truth_files import write_truth

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


STILL = "shape=96x96&particles=4&diffusion=0&nucleation=0&dissolving=0&dose=20000"


def thickness(movie: InSitu, index: int) -> np.ndarray:
    """px of particle at each pixel, as a frame's counts tell them; noise of the bare field cut off."""
    seen = -ABSORPTION_LENGTH * np.log(movie.frames(index, 1)[0] / movie.truth()["background"])
    return np.where(seen > 1, seen, 0)


def test_the_field_drifts_as_the_truth_says() -> None:
    movie = InSitu.open(f"{STILL}&frames=40&growth=0&drift=6&seed=1")
    drift = movie.truth()["drift"]
    assert np.ptp(drift, axis=0).min() > 2

    def centre(index: int) -> np.ndarray:
        seen = thickness(movie, index)
        return np.array([(seen * axis).sum() / seen.sum() for axis in np.indices(seen.shape)])

    first = centre(0)
    measured = [centre(index) - first for index in range(0, 40, 3)]
    np.testing.assert_allclose(measured, drift[::3] - drift[0], atol=0.1)


def test_particles_grow_towards_the_largest_radius_and_so_do_their_pictures() -> None:
    movie = InSitu.open(f"{STILL}&frames=60&fps=10&growth=2&drift=0&seed=3")
    rows, largest = movie.truth()["particles"], 9.6
    first, last = rows[rows["frame"] == 0], rows[rows["frame"] == 59]
    _, here, there = np.intersect1d(first["particle"], last["particle"], return_indices=True)
    assert len(here) == 4
    room = (largest - last["radius"][there]) / (largest - first["radius"][here])
    pace = -largest * np.log(room) / 5.9  # of dr/dt = pace (1 - r / largest)
    assert ((pace > 0.4 * 2) & (pace < 1.05 * 2)).all()
    for index, them in ((0, first), (59, last)):
        volume = 4 / 3 * np.pi * (them["radius"] ** 3).sum()
        assert thickness(movie, index).sum() == pytest.approx(volume, rel=0.02)


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
    background = movie.truth()["background"]
    assert np.array_equal(movie.clean(2, 1)[0], background)
    dose = movie.options.dose
    assert (background.min(), background.max()) == pytest.approx((0.65 * dose, 1.25 * dose))


def test_the_movie_without_noise_is_kept_beside_the_stream(tmp_path: Path) -> None:
    """Up to the first frame that comes again."""
    movie = InSitu.open("shape=64x48&frames=7&dose=200&particles=3")
    assert tmp_path / "movie.npy" in write_truth(movie, tmp_path)
    kept = np.load(tmp_path / "movie.npy")
    assert (kept.shape, kept.dtype) == ((7, 64, 48), np.float16)
    np.testing.assert_allclose(kept, movie.clean(0, 7), rtol=6e-4)
    assert not list(tmp_path.glob(".*"))
    scan = open_acquisition("sim:sparse?scan=32x32")
    assert tmp_path / "movie.npy" not in write_truth(scan, tmp_path / "scan")
