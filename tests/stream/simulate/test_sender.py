"""The sender over real sockets: loopback only, in this process and as a process of its own."""

from __future__ import annotations

import math
import multiprocessing
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from livem.errors import SourceError, UnauthorisedBindError
from livem.stream.messages import End, FrameBatch, Message, Start
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.sender import Sender, SenderOptions, SendReport, run_sender
from livem.stream.wire import decode

SCAN = "sim:4dstem?shape=16x16&scan=8x8&skip=1"
ANY_PORT = "bind+tcp://127.0.0.1:*"


Pull = Callable[..., zmq.Socket[bytes]]


@pytest.fixture
def puller() -> Iterator[Pull]:
    """Makes PULL sockets that are closed behind the test."""
    context = zmq.Context()
    sockets = []

    def make(address: str, bind: bool = False) -> zmq.Socket[bytes]:
        pull = context.socket(zmq.PULL)
        sockets.append(pull)
        pull.set(zmq.RCVTIMEO, 20_000)
        (pull.bind if bind else pull.connect)(address)
        return pull

    yield make
    for pull in sockets:
        pull.close(0)
    context.term()


def options(**changes: Any) -> SenderOptions:
    base: dict[str, Any] = {"spec": SCAN, "endpoint": ANY_PORT, "rate": math.inf, "batch": 5, "wait_s": 20.0}
    return SenderOptions(**(base | changes))


def receive(pull: zmq.Socket[bytes], series: int = 1) -> list[Message]:
    """Messages up to the end of the n-th series."""
    messages: list[Message] = []
    while sum(isinstance(message, End) for message in messages) < series:
        messages.append(decode(pull.recv_multipart()))
    return messages


def pixels(messages: list[Message]) -> Any:
    data = np.concatenate([message.payload for message in messages if isinstance(message, FrameBatch)])
    return data.view("<u2").reshape(-1, 16, 16)


def run_in_thread(sender: Sender) -> tuple[threading.Thread, list[SendReport]]:
    reports: list[SendReport] = []
    thread = threading.Thread(target=lambda: reports.append(sender.run()), daemon=True)
    thread.start()
    return thread, reports


def test_every_frame_arrives_and_the_report_agrees(puller: Pull, tmp_path: Path) -> None:
    sender = Sender(options(series_count=2, truth_dir=str(tmp_path / "truth")))
    pull = puller(sender.prepare())
    thread, reports = run_in_thread(sender)
    messages = receive(pull, 2)
    thread.join(20)
    starts = [message.series for message in messages if isinstance(message, Start)]
    assert [series.key.number for series in starts] == [1, 2]
    assert starts[0].key.epoch == starts[1].key.epoch
    expected = open_acquisition(SCAN).frames(0, 72)
    assert np.array_equal(pixels(messages), np.concatenate([expected, expected]))
    (report,) = reports
    assert (report.frames, report.messages) == (144, len(messages))
    assert all(sent.complete for sent in report.series)
    assert np.load(tmp_path / "truth" / "haadf.npy").shape == (8, 8)
    assert report.as_dict()["rate"] is None


def test_tables_of_truth_are_csv(tmp_path: Path) -> None:
    sender = Sender(options(spec="sim:insitu?shape=32x32&frames=3&particles=2", truth_dir=str(tmp_path)))
    sender.prepare()
    sender.close()
    lines = (tmp_path / "particles.csv").read_text().splitlines()
    assert lines[0].startswith("# y, x and radii in px")
    assert lines[1] == "frame,particle,y,x,radius"
    assert {path.name for path in tmp_path.iterdir()} >= {"events.csv", "background.npy", "drift.npy"}


def test_faults_on_the_wire_are_the_ones_reported(puller: Pull) -> None:
    sender = Sender(
        options(batch=1, fault="drop=0.2,duplicate=0.2,reorder=4,restart@30,stall=0.01s@3,seed=5")
    )
    pull = puller(sender.prepare())
    thread, reports = run_in_thread(sender)
    messages = receive(pull)
    thread.join(20)
    (report,) = reports
    first, second = report.series
    assert (first.series, second.series) == (1, 1)
    assert first.epoch != second.epoch
    assert (first.complete, second.complete) == (False, True)
    for sent, key in zip(report.series, report.faults.series(), strict=True):
        arrived = [m.first for m in messages if isinstance(m, FrameBatch) and m.key == key]
        assert len(set(arrived)) == sent.frames
        assert len(arrived) == sent.frames + report.faults.tally("duplicated", key).frames


def test_a_receiver_that_binds_first_is_connected_to(puller: Pull, tmp_path: Path) -> None:
    for address in (f"ipc://{tmp_path / 'x'}", "tcp://127.0.0.1:*"):
        if len(address) > 100:
            continue
        pull = puller(address, bind=True)
        sender = Sender(options(endpoint=pull.get_string(zmq.LAST_ENDPOINT)))
        sender.prepare()
        thread, reports = run_in_thread(sender)
        assert len(pixels(receive(pull))) == 72
        thread.join(20)
        assert reports[0].frames == 72


def test_an_address_in_use_cannot_be_bound(puller: Pull) -> None:
    pull = puller("tcp://127.0.0.1:*", bind=True)
    address = pull.get_string(zmq.LAST_ENDPOINT)
    with pytest.raises(SourceError, match=r"cannot bind tcp://127\.0\.0\.1:\d+: .*another program has it"):
        Sender(options(endpoint=f"bind+{address}")).prepare()


@pytest.mark.parametrize("endpoint", ["bind+tcp://*:*", "tcp://0.0.0.0:45671"])
def test_a_bind_beyond_this_machine_needs_leave(endpoint: str) -> None:
    with pytest.raises(UnauthorisedBindError, match="insecure-bind"):
        Sender(options(endpoint=endpoint)).prepare()


def test_no_receiver_is_an_error_that_says_what_to_start() -> None:
    with pytest.raises(
        SourceError, match=r"no receiver at tcp://127\.0\.0\.1:\d+ within 0\.01 s .*start `livem live tcp"
    ):
        Sender(options(wait_s=0.01)).run()


def test_stopping_ends_a_sender_whose_receiver_does_not_read(puller: Pull) -> None:
    sender = Sender(options(spec="sim:insitu?shape=256x256&frames=0&fps=1&particles=1", queue_bytes=1))
    pull = puller(sender.prepare())
    thread, reports = run_in_thread(sender)
    assert isinstance(decode(pull.recv_multipart()), Start)
    sender.stop()
    thread.join(20)
    assert not reports[0].series[0].complete


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 0.0}, "rate is 0 frames/s"),
        ({"rate": math.nan}, "rate is nan"),
        ({"batch": 0}, "batch is 0; it must be at least 1"),
        ({"batch": 600_000}, "a message holds at most 524288 raw frames of 16 x 16 uint16"),
        ({"batch": 1025, "encoding": "bslz4"}, "at most 1024 bslz4 frames"),
        ({"series_count": -1}, "series_count is -1"),
        ({"wait_s": math.inf}, "number of seconds"),
        ({"endpoint": "127.0.0.1"}, "did you mean 'tcp://127.0.0.1:9999'"),
        ({"fault": "dorp=1"}, "did you mean 'drop'"),
        ({"encoding": "lz4"}, "encoding 'lz4' cannot be sent"),
        ({"endpoint": "sub+tcp://127.0.0.1:9"}, "is for receivers"),
    ],
)
def test_wrong_options_are_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        Sender(options(**changes)).prepare()


ORPHANER = """
import multiprocessing, sys
from livem.stream.simulate.sender import SenderOptions, run_sender
options = SenderOptions("sim:insitu?shape=32x32&frames=0&particles=1&fps=1", sys.argv[1], rate=50.0)
process = multiprocessing.get_context("spawn").Process(target=run_sender, args=(options,))
process.start()
process.join()
"""


def test_a_sender_ends_with_its_parent(puller: Pull) -> None:
    pull = puller("tcp://127.0.0.1:*", bind=True)
    goodbye = pull.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANER, f"connect+{pull.get_string(zmq.LAST_ENDPOINT)}"]
    )
    try:
        assert isinstance(decode(pull.recv_multipart()), Start)
        assert goodbye.poll(0) == 0
    finally:
        parent.kill()
        parent.wait()
    assert goodbye.poll(20_000)
    pull.disable_monitor()
    goodbye.close(0)


def spawned(opts: SenderOptions) -> tuple[multiprocessing.process.BaseProcess, socket.socket]:
    ours, theirs = socket.socketpair()
    process = multiprocessing.get_context("spawn").Process(target=run_sender, args=(opts, theirs))
    process.start()
    theirs.close()
    ours.settimeout(60)
    return process, ours


def test_a_spawned_sender_waits_to_be_armed(puller: Pull) -> None:
    pull = puller("tcp://127.0.0.1:*", bind=True)
    process, arm = spawned(options(endpoint=f"connect+{pull.get_string(zmq.LAST_ENDPOINT)}"))
    with arm:
        assert arm.recv(1) == b"R"
        assert pull.poll(0) == 0
        arm.sendall(b"g")
        assert len(pixels(receive(pull))) == 72
    process.join(30)
    assert process.exitcode == 0


def test_a_spawned_sender_reports_what_is_wrong_and_kills_itself_when_told(puller: Pull) -> None:
    process, arm = spawned(options(spec="sim:nothing"))
    with arm:
        assert arm.recv(1000).startswith(b"Ethere is no simulator 'nothing'")
    process.join(30)
    assert process.exitcode == 2
    pull = puller("tcp://127.0.0.1:*", bind=True)
    process, arm = spawned(options(endpoint=pull.get_string(zmq.LAST_ENDPOINT), fault="kill@40"))
    with arm:
        assert arm.recv(1) == b"R"
        arm.sendall(b"g")
        process.join(30)
    assert process.exitcode in (-9, 137)
