"""``livem send`` into ``livem live``, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_tools import SHARED, free_address, identity_holds

Start = Callable[..., Any]
REAL = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder with real data is not there")


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "movie.npy"
    np.save(path, np.random.default_rng(1).integers(0, 9, (40, 12, 10), dtype=np.uint8))
    return path


def sent_and_received(
    start: Start, pipeline: Path, path: Path, *pace: object
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `livem send` says of a file's series, and what `livem live` does."""
    address, out = free_address(), pipeline.parent / "out"
    told = ["--headless", "--series", 1, "--json", "--out", out]
    live = start("live", f"bind+{address}", "-p", pipeline, *told)
    send = start("send", path, "--to", f"connect+{address}", "--wait", 90, "--json", *pace)
    said, stderr = send.end()
    assert send.returncode == 0, stderr
    (sent,) = json.loads(said)["series"]
    said, stderr = live.end()
    assert live.returncode == 0, stderr
    (received,) = json.loads(said)["series"]
    assert (received["state"], received["received"]) == ("complete", sent["frames"])
    assert received["epoch"] == sent["epoch"]
    assert identity_holds(received)
    return sent, received


def test_a_file_is_sent_and_every_frame_arrives(start: Start, pipeline: Path, movie: Path) -> None:
    sent, _ = sent_and_received(start, pipeline, movie, "--rate", 400, "--batch", 4)
    assert (sent["frames"], sent["complete"]) == (40, True)


@REAL
def test_a_real_movie_is_sent_and_processed_frame_by_frame(start: Start, pipeline: Path) -> None:
    path = SHARED / "data" / "colloid_movie.npz"
    _, series = sent_and_received(start, pipeline, path, "--rate", "inf")
    assert series["edges"]["vd"]["processed"] == 50
    with np.load(path) as data:
        sums = data["frames"].sum((1, 2), np.int64)
    told = np.loadtxt(series["results"]["vd.total"], delimiter=",", skiprows=2)
    np.testing.assert_array_equal(told[:, 1], sums)


@REAL
def test_a_real_sparse_scan_is_sent_and_shows_exactly_its_samples(start: Start, pipeline: Path) -> None:
    path = SHARED / "data" / "sparse_spiral_scan.npz"
    _, series = sent_and_received(start, pipeline, path, "--rate", "inf")
    with np.load(path) as data:
        truth, missing = data["spiral_y"], data["spiral_missing"].astype(bool)
    image = np.load(series["results"]["vd.value"])
    np.testing.assert_array_equal(np.isfinite(image), ~missing)
    np.testing.assert_array_equal(image[~missing], truth[~missing].astype(np.float64))


def test_ctrl_c_while_waiting_tells_that_nothing_was_sent(start: Start, movie: Path, tmp_path: Path) -> None:
    send = start("send", movie, "--to", f"ipc://{tmp_path}/s", "--wait", 60)
    (intention,) = send.lines_until("waiting up to 60 s")
    assert "40 frames of 12x10 uint8, as fast as possible" in intention
    send.ctrl_c()
    stdout, stderr = send.end()
    assert (send.returncode, stdout) == (130, "nothing was sent\n")
    assert "Traceback" not in stderr


def test_no_receiver_is_an_error_with_the_other_side_in_it(start: Start, movie: Path, tmp_path: Path) -> None:
    send = start("send", movie, "--to", f"ipc://{tmp_path}/s", "--wait", 0.2)
    _, stderr = send.end()
    assert send.returncode == 2
    assert f"livem live ipc://{tmp_path}/s" in stderr.splitlines()[-1]
