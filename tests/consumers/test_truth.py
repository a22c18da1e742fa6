"""How far a picture is from the truth of a simulation: of a pass, of a frame, of binned ones, and of none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livem.consumers.truth import Truth
from livem.errors import PipelineError


def decibels(image: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((image - truth) ** 2)))


def a_stack(path: Path, count: int = 4) -> np.ndarray:
    stack = np.random.default_rng(0).random((count, 8, 10))
    np.save(path, stack)
    return stack


def test_a_file_is_waited_for(tmp_path: Path) -> None:
    truth, picture = Truth("here", str(tmp_path / "t.npy")), np.zeros((8, 10), np.float32)
    assert (truth.psnr(picture, 0), truth.psnr_of_frame(picture, 0)) == (None, None)
    stack = a_stack(tmp_path / "t.npy")
    assert truth.psnr(picture, 9) == pytest.approx(decibels(picture, stack[-1]))
    assert truth.psnr(picture[1:], 0) is None


def test_a_movie_is_played_back_and_forth(tmp_path: Path) -> None:
    stack, picture = a_stack(tmp_path / "t.npy"), np.zeros((8, 10), np.float32)
    truth = Truth("here", str(tmp_path / "t.npy"))
    for index, at in enumerate([0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]):
        assert truth.psnr_of_frame(picture, index) == pytest.approx(decibels(picture, stack[at]))
    alone = a_stack(tmp_path / "one.npy", 1)
    once = Truth("here", str(tmp_path / "one.npy"))
    assert once.psnr_of_frame(picture, 5) == pytest.approx(decibels(picture, alone[0]))


def test_a_binned_frame_has_a_binned_truth(tmp_path: Path) -> None:
    stack = a_stack(tmp_path / "t.npy")
    picture = np.full((2, 3), 0.25, np.float32)
    picture[1, 1] = np.nan
    expected = stack[1, :6, :9].reshape(2, 3, 3, 3).mean(axis=(1, 3))
    known = np.isfinite(picture)
    error = np.mean((picture - expected)[known] ** 2)
    found = Truth("here", str(tmp_path / "t.npy")).psnr_of_frame(picture, 1, 3)
    assert found == pytest.approx(10 * np.log10(np.ptp(expected) ** 2 / error))


def test_what_is_no_truth_is_said(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"truth = 3; it must be the path of a \.npy file"):
        Truth("here", 3)
    np.save(tmp_path / "t.npy", np.zeros(3))
    with pytest.raises(PipelineError, match=r"is \(3,\): give \(ny, nx\)"):
        Truth("here", str(tmp_path / "t.npy")).psnr(np.zeros((3, 3), np.float32), 0)
    np.save(tmp_path / "flat.npy", np.ones((3, 3)))
    assert Truth("here", str(tmp_path / "flat.npy")).psnr(np.zeros((3, 3), np.float32), 0) is None
    assert Truth("here", "").psnr(np.zeros((3, 3), np.float32), 0) is None
