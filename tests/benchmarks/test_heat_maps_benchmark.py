"""The benchmark of heat maps: its classical side finds what is there; its tables and pictures are made."""

from __future__ import annotations

import numpy as np
import pytest

from livem.benchmarks import PICTURES, SUITE, heat_map_pictures, heat_maps
from livem.benchmarks.heat_map_scenes import (
    classical_peaks,
    column_cases,
    difference_of_gaussians,
    fit_gaussians,
    particle_cases,
    show,
)
from livem.errors import MissingDependencyError


def blobs(frame: np.ndarray) -> np.ndarray:
    """Stands for a model: a classical response, at most 1."""
    return np.minimum(difference_of_gaussians(frame, 1.6, 1) / 6, 1).astype(np.float32)


def test_it_is_in_the_suite():
    assert SUITE["heat_maps"] == "livem.benchmarks.heat_maps:run"
    assert PICTURES["heat_maps"] == "livem.benchmarks.heat_map_pictures:draw"


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"livem\[torch\]"):
        heat_maps.run(True)


def test_the_tuned_detector_finds_what_is_plain_to_see():
    case = next(one for one in particle_cases(160) if one.name == "r 4 px, dark, sparse, SNR 4")
    found, width = heat_maps.tuned(case, show(case, 1))
    assert found.f1 > 0.97
    assert found.rms < 0.5
    assert 1 < width < 4


def test_a_fitted_gaussian_is_where_the_column_is():
    y, x = np.indices((40, 40))
    place = np.array([[20.3, 18.6]])
    frame = (5 + 3 * np.exp(-((y - 20.3) ** 2 + (x - 18.6) ** 2) / 8)).astype(np.float32)
    np.testing.assert_allclose(fit_gaussians(frame, np.rint(place), 2.0), place, atol=0.02)
    assert fit_gaussians(frame, np.empty((0, 2)), 2.0).shape == (0, 2)


def test_frames_are_drawn_anew_and_the_same_for_a_seed():
    case = column_cases(96)[0]
    first, second = show(case, 2)
    assert not np.array_equal(first.counts, second.counts)
    np.testing.assert_array_equal(show(case, 1)[0].counts, first.counts)
    assert first.counts.mean() == pytest.approx(1.0, rel=0.1)
    places, scores = classical_peaks(first.stabilised, 1.5, 1)
    assert places.shape == (len(scores), 2)


def test_tables_and_pictures(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "trackpy", None)
    monkeypatch.setattr(heat_maps, "load", lambda name: blobs)
    monkeypatch.setattr(heat_map_pictures, "load", lambda name: blobs)
    monkeypatch.setattr(heat_map_pictures, "column_cases", lambda: column_cases(64))
    monkeypatch.setattr(heat_map_pictures, "particle_cases", lambda: particle_cases(64))
    plan = heat_maps.Plan(particle_cases(96, quick=True)[:1], column_cases(96, quick=True)[:1], 1)
    measured = heat_maps.measure(plan)
    assert [row["model"] for row in measured["rows"]] == ["particles"] * 2 + ["columns"] * 2
    assert measured["rows"][0]["trackpy F1"] == "not installed"
    assert len(measured["gates"]) == 6
    files = heat_map_pictures.draw(tmp_path / "new")
    assert len(files) == 6
    assert all(file.stat().st_size > 1000 for file in files)
