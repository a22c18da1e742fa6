"""Movies without a truth are judged by neighbouring frames: the order of filters is that of the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livem.benchmarks.denoise_real import judged, rows, ways
from livem.kernels.noise import NoiseModel


def a_movie(count: int = 12, side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Truth and counts of disks that rest."""
    y, x = np.mgrid[:side, :side]
    truth = 4 + 8 * (np.hypot(y - 20, x - 24) < 9) + 0.0 * y
    movie = np.repeat(truth[None], count, axis=0).astype(np.float32)
    return movie, np.random.default_rng(0).poisson(movie).astype(np.float32)


def test_the_error_is_that_from_the_truth() -> None:
    truth, counts = a_movie()
    noise = NoiseModel()
    estimates = truth + 0.3 * np.random.default_rng(1).standard_normal(truth.shape).astype(np.float32)
    told = judged(counts, estimates, noise)
    exact = np.mean((noise.stabilise(estimates) - noise.stabilise(truth)) ** 2)
    assert told.error == pytest.approx(exact, abs=0.05)
    assert told.limit == pytest.approx(3 / 48)
    assert abs(told.correlation) < 0.1
    assert judged(counts, truth, noise).nats == pytest.approx(-1.42, abs=0.05)
    raw = judged(counts, counts, noise)
    assert (raw.error, raw.spread) == (pytest.approx(1.0, abs=0.1), pytest.approx(0.0))
    assert raw.decibels < told.decibels


def test_filters_are_nearer_to_frames_that_they_have_not_seen(tmp_path: Path) -> None:
    _, counts = a_movie()
    np.savez(tmp_path / "colloid_movie.npz", frames=counts)
    table = rows(tmp_path, 40, 12)
    assert [row["way"] for row in table] == list(ways(NoiseModel()))
    assert {row["real movie"] for row in table} == {"colloid_movie, 40x40"}
    held_out = {str(row["way"]): row["held out, nats/px"] for row in table}
    assert held_out["raw"] < held_out["exponential"] < held_out["livem, movie"] + 0.02
    assert rows(None, 40, 12) == rows(tmp_path / "nowhere", 40, 12) == []
