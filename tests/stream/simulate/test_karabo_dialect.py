"""livem as a karabo-bridge server: read by karabo_bridge's own client and by livem's own source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import karabo_bridge
import numpy as np
import pytest
import zmq

from livem.errors import SessionError, SourceError, UnauthorisedBindError
from livem.stream.endpoints import parse_endpoint
from livem.stream.karabo_wire import decode
from livem.stream.messages import DEFAULT_LIMITS, End, FrameBatch, Message, Rejected, Start, check
from livem.stream.series import Scan, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.compress import BlobCache
from livem.stream.simulate.dialects import Speech, dialect_of
from livem.stream.simulate.fault_report import Action
from livem.stream.simulate.fault_spec import FaultSpec
from livem.stream.simulate.faults import FaultInjector
from livem.stream.simulate.karabo_dialect import Karabo, KaraboLine, KaraboPub, KaraboPush
from livem.stream.simulate.outgoing import Outgoing
from livem.stream.simulate.sender import Sender, SenderOptions
from livem.stream.sources.detector_url import parse_detector_url
from livem.stream.sources.karabo.series import Reading, TrainReader
from livem.stream.sources.karabo.source import KaraboSource, open_karabo

PATIENCE_S = 20.0
KEY = SeriesKey(b"8 bytes!", 1)
FRAMES = np.arange(10 * 4 * 6, dtype=np.uint16).reshape(2, 5, 4, 6)


@pytest.fixture
def scan_file(tmp_path: Path) -> str:
    np.save(tmp_path / "scan.npy", FRAMES)
    return str(tmp_path / "scan.npy")


def speech(spec: str, batch: int = 3, repeat: int = 1) -> Speech:
    acquisition = open_acquisition(spec)
    return Speech(acquisition, KEY, batch, "raw", repeat, BlobCache(acquisition.bank), None)


def follow(source: KaraboSource) -> list[Message]:
    """All of one series; fails after PATIENCE_S."""
    poller = zmq.Poller()
    for pollable in source.pollables():
        poller.register(pollable, zmq.POLLIN)
    messages: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while not any(isinstance(message, End) for message in messages):
        assert time.monotonic() < deadline, messages
        poller.poll(100)
        while (message := source.receive()) is not None:
            messages.append(message)
        source.link()
    return messages


@pytest.fixture
def send(scan_file: str) -> Iterator[Callable[..., tuple[str, Sender]]]:
    """Start a sender in a thread; gives its address."""
    threads: list[tuple[Sender, threading.Thread]] = []

    def start(**options: Any) -> tuple[str, Sender]:
        chosen = {"spec": scan_file, "endpoint": "bind+tcp://127.0.0.1:*", "protocol": "karabo", "batch": 3}
        sender = Sender(SenderOptions(**(chosen | options)))
        address = sender.prepare()
        thread = threading.Thread(target=sender.run, daemon=True)
        thread.start()
        threads.append((sender, thread))
        return address, sender

    yield start
    for sender, thread in threads:
        sender.stop()
        thread.join(PATIENCE_S)


def test_the_foreign_client_reads_every_frame(send: Callable[..., tuple[str, Sender]]) -> None:
    address, _ = send(batch=5)
    with karabo_bridge.Client(address, timeout=PATIENCE_S) as client:
        trains = [client.next() for _ in range(3)]
    found = [data["livem/detector"]["image.data"] for data, _ in trains[:2]]
    assert np.array_equal(np.concatenate(found), FRAMES.reshape(10, 4, 6))
    metas = [meta["livem/detector"] for _, meta in trains]
    assert [meta["timestamp.tid"] for meta in metas] == [1, 2, 3]
    assert abs(metas[0]["timestamp"] - time.time()) < 3600
    assert "image.data" not in trains[2][0]["livem/detector"]
    assert metas[2]["livem"]["end"] == 10


@pytest.mark.parametrize("fault", ["", "drop=0.3,seed=2", "duplicate=0.3,seed=3", "reorder=3,seed=4"])
def test_livem_reads_every_frame_in_its_place(send: Callable[..., tuple[str, Sender]], fault: str) -> None:
    address, _ = send(fault=fault, repeat=4, batch=2)
    source = open_karabo(parse_detector_url(address.replace("tcp", "karabo")))
    source.open()
    messages = follow(source)
    source.close()
    start, end = messages[0], messages[-1]
    assert isinstance(start, Start)
    assert (start.series.scan, start.series.count) == (Scan((2, 5), repeats=4), 40)
    assert start.series.meta["title"] == "scan.npy"
    assert isinstance(end, End)
    assert end.count == 40
    flat = FRAMES.reshape(10, 24)
    for batch in messages[1:-1]:
        assert isinstance(batch, FrameBatch)
        assert check(batch, start.series) is None
        pixels = batch.payload.view(np.uint16).reshape(-1, 24)
        assert np.array_equal(pixels, flat[np.arange(batch.first, batch.first + batch.count) % 10])


def test_positions_travel_with_the_frames(tmp_path: Path) -> None:
    positions = np.array([[0, 0], [1.5, 2.25], [3, 1]], np.float32)
    np.savez(tmp_path / "s.npz", positions=positions, values=np.arange(3.0), shape=(4, 5))
    trains = list(Karabo().messages(speech(str(tmp_path / "s.npz"), batch=2)))
    found = [decode(train.parts).sources["livem/detector"].arrays for train in trains[:2]]
    assert np.array_equal(np.concatenate([arrays["image.positions"] for arrays in found]), positions)


def test_the_payload_is_where_it_is_said_to_be(scan_file: str) -> None:
    message = next(iter(Karabo().messages(speech(scan_file))))
    payload = bytes(message.parts[message.payload_part])
    assert payload == FRAMES.reshape(10, 4, 6)[:3].tobytes()


def test_the_same_arguments_give_the_same_bytes(scan_file: str) -> None:
    once, again = (
        [bytes(p) for m in Karabo().messages(speech(scan_file)) for p in m.parts] for _ in range(2)
    )
    assert once == again


@pytest.mark.parametrize(("dialect", "theirs"), [(KaraboPush, "PULL"), (KaraboPub, "SUB")])
def test_it_deals_out_and_publishes_too(scan_file: str, dialect: type[Karabo], theirs: str) -> None:
    speaker, stop = dialect(), threading.Event()
    line = speaker.line(parse_endpoint("bind+tcp://127.0.0.1:*"), 8, False)
    try:
        with karabo_bridge.Client(line.address, sock=theirs, timeout=PATIENCE_S) as client:
            assert line.wait_for_receiver(PATIENCE_S, stop)
            messages = list(speaker.messages(speech(scan_file, batch=5)))
            assert all(line.send(message.parts, stop, PATIENCE_S) for message in messages)
            found = [client.next()[0]["livem/detector"]["image.data"] for _ in range(2)]
    finally:
        line.close(0.0)
    assert np.array_equal(np.concatenate(found), FRAMES.reshape(10, 4, 6))


def test_a_wrong_request_is_answered_and_costs_no_train() -> None:
    stop, context = threading.Event(), zmq.Context()
    line = KaraboLine(parse_endpoint("bind+tcp://127.0.0.1:*"), "rep", 8, False)
    with context.socket(zmq.REQ) as client:
        client.linger = 0
        client.connect(line.address)
        client.send(b"previous")
        sender = threading.Thread(target=line.send, args=([b"a", b"b"], stop, PATIENCE_S))
        sender.start()
        assert client.recv() == b"Error: bad request previous"
        client.send(b"next")
        assert client.recv_multipart() == [b"a", b"b"]
        sender.join()
    line.close(0.0)
    context.term()


def test_waiting_ends_when_nobody_comes_or_it_is_stopped() -> None:
    line, stop = KaraboLine(parse_endpoint("bind+tcp://127.0.0.1:*"), "rep", 8, False), threading.Event()
    with pytest.raises(
        SourceError, match=r"no client at tcp://127.0.0.1:\d+ within 0 s: start `livem live karabo:"
    ):
        line.wait_for_receiver(0.0, stop)
    with pytest.raises(SessionError, match="has been gone for 0 s"):
        line.send([b""], stop, 0.0)
    stop.set()
    assert not line.wait_for_receiver(PATIENCE_S, stop)
    assert not line.send([b""], stop, PATIENCE_S)
    line.close(1.0)
    line.close(0.0)


def test_addresses_that_cannot_be_used() -> None:
    with pytest.raises(UnauthorisedBindError):
        KaraboLine(parse_endpoint("bind+tcp://0.0.0.0:*"), "rep", 8, False)
    with pytest.raises(SourceError, match="sub"):
        KaraboLine(parse_endpoint("sub+tcp://127.0.0.1:1"), "rep", 8, False)
    first = KaraboLine(parse_endpoint("bind+tcp://127.0.0.1:*"), "rep", 8, False)
    with pytest.raises(SourceError, match="already in use"):
        KaraboLine(parse_endpoint(f"bind+{first.address}"), "rep", 8, False)
    first.close(0.0)


def test_the_catalogue_of_dialects_knows_it() -> None:
    assert isinstance(dialect_of("karabo"), Karabo)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_trains_are_charged_to_the_frames_that_were_damaged(scan_file: str, seed: int) -> None:
    injector = FaultInjector(FaultSpec.parse(f"corrupt=0.2,truncate=0.3,shape=0.2,seed={seed}"))
    reader = TrainReader(Reading(), DEFAULT_LIMITS)
    told: list[Message] = []
    for step in injector.inject(Karabo().messages(speech(scan_file, batch=2, repeat=20))):
        assert isinstance(step, Outgoing)
        told += reader.read(decode([bytes(part) for part in step.parts]))
    good = [message for message in told if isinstance(message, FrameBatch)]
    bad = [message for message in told if isinstance(message, Rejected) and message.first is not None]
    assert {m.first for m in good} == firsts(injector, "delivered")
    assert {m.first for m in bad} == firsts(injector, "truncated") | firsts(injector, "misshapen")
    assert all((m.key, m.count) == (KEY, 2) for m in bad)
    flat = FRAMES.reshape(10, 24)
    for batch in good:
        pixels = batch.payload.view(np.uint16).reshape(-1, 24)
        assert np.array_equal(pixels, flat[np.arange(batch.first, batch.first + 2) % 10])


def firsts(injector: FaultInjector, action: Action) -> set[int]:
    """First frames of the messages of two that met a fate."""
    ranges = injector.report.ranges(action, KEY)
    return {first for start, stop in ranges for first in range(start, stop, 2)}
