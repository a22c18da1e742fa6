"""``livem doctor SOURCE``: what a sender says, and what silence means."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import msgpack
import pytest
import zmq
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


@pytest.fixture
def speak() -> Iterator[Callable[[str], str]]:
    """Starts a small endless sender of a protocol; returns ``host:port``."""
    running: list[tuple[Sender, Thread]] = []

    def begin(protocol: str) -> str:
        spec = "sim:4dstem?shape=16x16&scan=8x8&fps=2000"
        options = SenderOptions(
            spec, "bind+tcp://127.0.0.1:*", protocol=protocol, series_count=0, linger_s=0.0
        )
        sender = Sender(options)
        address = sender.prepare()
        thread = Thread(target=sender.run)
        thread.start()
        running.append((sender, thread))
        return address.removeprefix("tcp://")

    yield begin
    for sender, thread in running:
        sender.stop()
        thread.join()


def heard(url: str) -> dict[str, dict[str, Any]]:
    """What ``livem doctor`` finds at a SOURCE, by name."""
    done = CliRunner().invoke(main, ["doctor", url, "--seconds", "0.8", "--json"])
    assert done.exit_code in (0, 1), done.output
    return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}


@pytest.mark.parametrize(
    ("protocol", "tried", "right"),
    [
        ("dectris1", "tcp://", "dectris://"),
        ("dectris2", "tcp://", "dectris://"),
        ("livem", "dectris://", "tcp://"),
        ("karabo-push", "tcp://", "karabo://"),
        ("dectris1", "karabo://{}?socket=pull", "dectris://"),
    ],
)
def test_messages_of_another_protocol_name_the_right_source(
    protocol: str, tried: str, right: str, speak: Callable[[str], str]
) -> None:
    place = speak(protocol)
    findings = heard(tried.format(place) if "{}" in tried else tried + place)
    assert findings["messages"]["level"] == "problem"
    assert "refused (" in findings["messages"]["text"]
    assert "; the first: " in findings["messages"]["text"]
    assert f"use {right}{place}" in findings["messages"]["fix"]
    assert findings["frames"]["fix"] == ""


@contextmanager
def sending(*messages: list[bytes]) -> Iterator[str]:
    """The address of a socket from which these messages go to whoever connects."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        sender.linger, sender.sndtimeo = 0, 20_000
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        thread = Thread(target=lambda: [sender.send_multipart(parts) for parts in messages])
        thread.start()
        yield f"tcp://127.0.0.1:{port}"
        thread.join()


@pytest.mark.parametrize(
    ("wrong", "said"), [({"scan": {"shape": [0, 5]}}, "[0, 5]"), ({"shape": [0, 64]}, "[0, 64]")]
)
def test_an_announcement_of_size_zero_is_said_with_value_and_limit(wrong: dict[str, Any], said: str) -> None:
    start = {
        "livem": 1,
        "type": "start",
        "epoch": bytes(8),
        "series": 1,
        "shape": [16, 64],
        "dtype": "uint16",
        "encoding": "raw",
        "meta": {},
        **wrong,
    }
    with sending([msgpack.packb(start)]) as address:
        messages = heard(address)["messages"]
    assert said in messages["text"]
    assert "from 1 to" in messages["text"]
    assert messages["fix"] == "correct what the sender announces and sends"


def test_a_detector_that_is_connected_and_silent_is_no_missing_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as merlin:
        findings = heard(f"merlin://127.0.0.1:{merlin.getsockname()[1]}")
    assert findings["connection"]["level"] == "ok"
    assert "has sent no header yet: is an acquisition started?" in findings["connection"]["text"]
    assert findings["frames"]["fix"].startswith("arm the detector")


def test_frames_that_are_not_as_announced_are_a_problem() -> None:
    """The listener holds them against their series, as a session does."""
    common = {"livem": 1, "epoch": bytes(8), "series": 1}
    start = {**common, "type": "start", "shape": [4, 4], "dtype": "uint16", "encoding": "raw", "meta": {}}
    frames = {**common, "type": "frames", "index": 0, "count": 1}
    with sending([msgpack.packb(start)], [msgpack.packb(frames), bytes(30)]) as address:
        findings = heard(address)
    assert "1 refused (payload_size 1)" in findings["messages"]["text"]
    assert "are 32 bytes, received 30" in findings["messages"]["text"]
