"""``livem doctor SOURCE``: what a sender says, and what silence means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from livem.cli import main
from livem.stream.simulate.sender import Sender, SenderOptions


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[str]:
    """The address of a small 4D-STEM scan that is sent in a loop."""
    address = f"ipc://{tmp_path}/s"
    spec = "sim:4dstem?shape=16x16&scan=8x8&fps=2000"
    sender = Sender(SenderOptions(spec, f"bind+{address}", series_count=0, linger_s=0.0))
    sender.prepare()
    thread = Thread(target=sender.run)
    thread.start()
    yield address
    sender.stop()
    thread.join()


def test_a_sender_is_heard(sender: str) -> None:
    done = CliRunner().invoke(main, ["doctor", sender, "--seconds", "1", "--json"])
    assert done.exit_code == 0, done.stdout
    told = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert told["connection"]["level"] == "ok"
    assert "64 frames of 16x16 uint16, raw, raster scan 8x8" in told["series"]["text"]
    assert "frames/s" in told["frames"]["text"]


def test_silence_is_a_problem_with_a_next_step() -> None:
    done = CliRunner().invoke(main, ["doctor", "tcp://127.0.0.1:1", "--seconds", "0.3"])
    assert done.exit_code == 1
    assert "connection refused" in done.stdout
    assert "firewall" in done.stdout
