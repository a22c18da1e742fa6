"""The benchmark of movies on tiny fields: it gives its table, nothing is asked of speed."""

import pytest

from livem.benchmarks.denoise_movies import (
    BRIGHT,
    DARK,
    OURS,
    Plan,
    counted,
    drift,
    estimates,
    measure,
    particles,
    psnr,
)
from livem.kernels.denoise.movies import MovieFilter

TINY = Plan(frames=6, side=64, doses=(1.0,), sides=(64,), bm3d=0)


@pytest.fixture(autouse=True)
def _limits_of_tiny_fields(monkeypatch):
    monkeypatch.setattr("livem.benchmarks.denoise_movies.CPU_MS", {64: 1e9})


def test_its_table():
    measured = measure(TINY)
    ways = {row["way"] for row in measured["rows"]}
    assert {"raw", "exponential", "Kalman, each pixel", OURS} <= ways
    names = [gate["name"] for gate in measured["gates"]]
    assert len(set(names)) == len(names)
    assert any("above raw" in name for name in names)
    assert any("px off" in name for name in names)


def test_the_movie_is_noisy_and_its_rims_are_a_part():
    truth, rims = particles(DARK, 1.0, 3, 64)
    assert -6 < psnr(counted(truth), truth) < 6
    assert 0 < rims.mean() < 0.8
    assert truth.shape == rims.shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("scene", "dose", "least"), [(DARK, 1.0, 25.35), (BRIGHT, 1.0, 17.0), (BRIGHT, 20.0, 10.95)]
)
def test_movies_are_as_good_as_was_measured(scene, dose, least):
    """dB above the raw frames; 0.1 to 0.6 less where the past is followed by a rougher look at a frame."""
    truth, _ = particles(scene, dose, 30, 256)
    frames = counted(truth)
    found, _ = estimates(MovieFilter(), frames)
    assert psnr(found[15:], truth[15:]) - psnr(frames[15:], truth[15:]) > least


def test_a_drift_costs_no_more_than_is_promised():
    _, gates = drift(Plan(frames=30, side=128, doses=(), sides=(), bm3d=0))
    assert len(gates) == 5
    assert all(gate["ok"] for gate in gates), gates
