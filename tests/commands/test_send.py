"""``livem send`` into ``livem live``, over a real socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Start = Callable[..., Any]


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "movie.npy"
    np.save(path, np.random.default_rng(1).integers(0, 9, (40, 12, 10), dtype=np.uint8))
    return path


def test_a_file_is_sent_and_every_frame_arrives(start: Start, pipeline: Path, movie: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    live = start("live", f"bind+{url}", "-p", pipeline, "--headless", "--series", 1, "--json")
    send = start("send", movie, "--to", f"connect+{url}", "--rate", 400, "--batch", 4, "--json", "--wait", 90)
    sent, stderr = send.end()
    assert send.returncode == 0, stderr
    report = json.loads(sent)
    assert (report["series"][0]["frames"], report["series"][0]["complete"]) == (40, True)
    received, stderr = live.end()
    assert live.returncode == 0, stderr
    (series,) = json.loads(received)["series"]
    assert (series["state"], series["received"], series["epoch"]) == (
        "complete",
        40,
        report["series"][0]["epoch"],
    )


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
