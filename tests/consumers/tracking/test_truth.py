"""Tracks beside the truth: counts of CLEAR MOT as the field's own scorers give them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_tools import SHARED
from track_tools import a_movie, a_series, frames_of

from livem.consumers.testing import run
from livem.consumers.track import Track
from livem.consumers.tracking.truth import TrueParticles, TruthScore
from livem.errors import PipelineError
from livem.kernels.tracking.tracks import TRACK

SHAPE = (96, 112)
SCORER = SHARED / "tracking" / "score_tracks.py"


def write(path: Path, rows: np.ndarray) -> Path:
    """Columns frame, particle, y, x."""
    lines = ["# places in px", "frame,particle,y,x,radius"]
    lines += [f"{int(f)},{int(p)},{y},{x},4.0" for f, p, y, x in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def tracks(rows: np.ndarray) -> np.ndarray:
    """Final rows of a frame from (n, 3) particle, y, x."""
    found = np.zeros(len(rows), TRACK)
    found["particle"], found["y"], found["x"] = rows.T
    return found


def walks(frames: int = 30, count: int = 12, seed: int = 0) -> np.ndarray:
    """Truth (n, 4) frame, particle, y, x, some of it in the rim."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, np.array(SHAPE) - 1, (count, 2)) + np.cumsum(
        rng.normal(0, 0.6, (frames, count, 2)), axis=0
    )
    f, p = np.meshgrid(np.arange(frames), np.arange(count), indexing="ij")
    return np.column_stack([f.ravel(), p.ravel(), places.reshape(-1, 2)])


def followed(truth: np.ndarray, seed: int = 1) -> np.ndarray:
    """Rows (n, 4) of a tracker: 0.5 px off, some missing, some of nothing, two mixed up."""
    rng = np.random.default_rng(seed)
    rows = truth[rng.random(len(truth)) > 0.1].copy()
    rows[:, 2:] += rng.normal(0, 0.5, (len(rows), 2))
    swapped = (rows[:, 0] > 15) & (rows[:, 1] < 2)
    rows[swapped, 1] = 1 - rows[swapped, 1]
    places = rng.uniform(0, SHAPE, (25, 2))
    false = np.column_stack([rng.integers(0, 30, 25), 100 + np.arange(25), places])
    return np.vstack([rows, false])


def score_of(truth: Path, rows: np.ndarray, frames: int) -> dict[str, float]:
    score = TruthScore("consumer 't'", truth, SHAPE)
    for frame in range(frames):
        score.add(frame, tracks(rows[rows[:, 0] == frame][:, 1:]))
    return {name: float(column[0]) for name, column in score.output({}, 1.0).arrays.items()}


def test_perfect_tracks_have_a_perfect_score(tmp_path: Path) -> None:
    truth = walks()
    found = score_of(write(tmp_path / "t.csv", truth), truth, 30)
    assert (found["f1"], found["mota"], found["error"]) == (1, 1, 0)
    assert (found["missed"], found["false"], found["switches"]) == (0, 0, 0)
    assert found["frames"] == 30
    assert found["newest_particles"] == found["newest_matched"] > 0


def test_a_miss_a_false_one_and_a_mix_up_are_counted(tmp_path: Path) -> None:
    truth = np.array([(f, p, 40.0, 30.0 + 30 * p) for f in range(3) for p in range(2)])
    rows = truth.copy()
    rows[2:4, 1] = rows[3:1:-1, 1]
    rows[4, 3] += 4.0
    found = score_of(write(tmp_path / "t.csv", truth), rows, 3)
    assert (found["matched"], found["missed"], found["false"]) == (5, 1, 1)
    assert found["switches"] == 3
    assert found["mota"] == pytest.approx(1 - 5 / 6)


@pytest.mark.skipif(not SCORER.is_file(), reason="the scorer is not here")
def test_counts_are_those_of_the_scorer_of_the_field(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("score_tracks", SCORER)
    assert spec is not None
    assert spec.loader is not None
    scorer: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    truth = walks()
    rows = followed(truth)
    inside = (rows[:, 2:] >= 10).all(1) & (rows[:, 2:] <= np.array(SHAPE) - 11).all(1)
    real = (truth[:, 2:] >= 10).all(1) & (truth[:, 2:] <= np.array(SHAPE) - 11).all(1)
    names = ("frame", "id", "y", "x")
    given, told = (dict(zip(names, one.T, strict=True)) for one in (truth[real], rows[inside]))
    expected = scorer.score(given, told, border=0, size=1000)
    found = score_of(write(tmp_path / "t.csv", truth), rows, 30)
    assert found["mota"] == pytest.approx(expected["MOTA"], abs=0.004)
    assert found["switches"] == expected["IDSW"]
    assert found["f1"] == pytest.approx(expected["F1"], abs=0.002)
    assert found["error"] == pytest.approx(expected["rmse"], rel=0.01)


def test_longer_movies_go_back_and_forth(tmp_path: Path) -> None:
    true = TrueParticles.load("t", write(tmp_path / "t.csv", walks(5)))
    there = [true.of(k)[1] for k in range(12)]
    for k, same in ((5, 3), (6, 2), (7, 1), (8, 0), (9, 1)):
        np.testing.assert_array_equal(there[k], there[same])


def test_files_that_are_no_truth_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("frame,y\n0,1\n")
    with pytest.raises(PipelineError, match="has the columns frame, y"):
        TrueParticles.load("consumer 't'", path)
    path.write_text("frame,particle,y,x\n0,1,2,here\n")
    with pytest.raises(PipelineError, match="a row that is no numbers"):
        TrueParticles.load("consumer 't'", path)
    with pytest.raises(PipelineError, match=r"path of a \.csv"):
        Track("t", truth="truth.npy")


def test_a_tracker_shows_its_score_and_without_the_truth_none(tmp_path: Path) -> None:
    series, (places, frames) = a_series(), a_movie()
    rows = [(k, p, *places[k, p]) for k in range(len(places)) for p in range(12)]
    path = write(tmp_path / "t.csv", np.array(rows))
    blocks = [frames_of(series, frames)]
    result = run(Track("t", truth=str(path)), series, blocks)
    score = {name: column[0] for name, column in result["score"]["arrays"].items()}
    assert score["frames"] == 24
    assert score["f1"] > 0.95
    assert score["switches"] == 0
    assert 0 < score["error"] < 0.8
    assert result["score"]["units"] == {"error": "px"}
    assert "score" not in run(Track("t"), series, blocks)
    nothing = run(Track("t", truth=str(tmp_path / "no.csv")), series, blocks)["score"]
    assert nothing["arrays"]["frames"][0] == 0
