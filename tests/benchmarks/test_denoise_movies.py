"""The benchmark of movies on tiny fields: it gives its table, nothing is asked of speed."""

import pytest

from livem.benchmarks.denoise_movies import DARK, OURS, Plan, counted, measure, particles, psnr

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
