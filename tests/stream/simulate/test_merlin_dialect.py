"""livem as a Merlin: what it says, over which line, and that our own source hears every fault."""

from __future__ import annotations

import re
import socket as bsd
import threading
from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest
from merlin_tools import drain, feed, frames_in

from livem.errors import SessionError, SourceError, UnauthorisedBindError
from livem.stream.endpoints import Endpoint, parse_endpoint
from livem.stream.files.acquisition import Acquisition, FrameBank
from livem.stream.messages import End, Rejected, Start
from livem.stream.series import Scan, SeriesKey
from livem.stream.simulate.compress import BlobCache
from livem.stream.simulate.dialects import Speech, dialect_of
from livem.stream.simulate.fault_spec import FaultSpec
from livem.stream.simulate.faults import FaultInjector, Stall
from livem.stream.simulate.merlin_dialect import Merlin
from livem.stream.simulate.merlin_frames import Readout
from livem.stream.simulate.merlin_line import ServerLine
from livem.stream.simulate.outgoing import Outgoing
from livem.stream.simulate.sender import Sender, SenderOptions
from livem.stream.sources.merlin.stream import MerlinStream

PATIENCE_S = 20.0
KEY = SeriesKey(b"8 bytes!", 1)


class Frames(Acquisition):
    """Random counts, with holes where asked."""

    name = "frames"
    meta = {"frame_time": 0.002}  # noqa: RUF012

    def __init__(self, shape=(8, 64), dtype="uint16", count=24, scan=None, holes=(), top=64) -> None:
        stock = np.random.default_rng(5).integers(0, top, (count or 24, *shape)).astype(dtype)
        self.bank, self.count, self.scan, self._holes = FrameBank(stock), count, scan, holes

    def present(self, first, n):
        there = ~np.isin(np.arange(first, first + n), self._holes)
        return there if self._holes else None

    def truth(self):
        return {}


def speech_of(acquisition: Acquisition, repeat: int = 1, clock=None) -> Speech:
    return Speech(acquisition, KEY, 1, "raw", repeat, BlobCache(acquisition.bank), clock)


def said(dialect: Merlin, acquisition: Acquisition, repeat: int = 1) -> bytes:
    return b"".join(b"".join(each.parts) for each in dialect.messages(speech_of(acquisition, repeat)))


def heard(data: bytes) -> list:
    stream = MerlinStream()
    messages = feed(stream, data)
    stream.line_lost(orderly=False)
    return messages + drain(stream)


@pytest.mark.parametrize(
    ("dialect", "shape", "dtype", "top"),
    [
        (Merlin(), (8, 64), "uint8", 64),
        (Merlin(), (8, 64), "uint16", 4096),
        (Merlin(), (8, 64), "uint32", 1 << 24),
        (Merlin(), (1, 1), "uint16", 4096),
        (Merlin(raw=True), (8, 64), "uint8", 64),
        (Merlin(raw=True, depth=1), (8, 64), "uint8", 2),
        (Merlin(raw=True), (8, 64), "uint16", 4096),
        (Merlin(raw=True), (8, 256), "uint32", 1 << 24),
        (Merlin(raw=True, layout="2x2"), (8, 64), "uint16", 4096),
        (Merlin(layout="2x2"), (8, 64), "uint16", 4096),
    ],
)
def test_what_is_sent_is_what_arrives(dialect, shape, dtype, top):
    acquisition = Frames(shape, dtype, top=top, scan=Scan((4, 6)))
    start, *rest = heard(said(dialect, acquisition))
    assert isinstance(start, Start)
    series = start.series
    assert (series.shape, series.dtype, series.count, series.scan) == (shape, dtype, 24, Scan((4, 6)))
    assert series.meta["exposure_time"] == pytest.approx(0.002)
    found = frames_in(rest, Readout(dtype, shape))
    np.testing.assert_array_equal(np.stack([found[i] for i in range(24)]), acquisition.frames(0, 24))
    assert isinstance(rest[-1], End)


def test_absent_frames_are_numbers_never_sent():
    acquisition = Frames(holes=(0, 5, 6, 23))
    found = frames_in(heard(said(Merlin(), acquisition)), Readout("uint16", (8, 64)))
    assert sorted(found) == [i for i in range(24) if i not in (0, 5, 6, 23)]


def test_repeats_and_endless_series():
    start, *rest = heard(said(Merlin(), Frames(count=6, scan=Scan((2, 3))), repeat=3))
    assert (start.series.count, start.series.scan) == (18, Scan((2, 3), repeats=3))
    assert len(frames_in(rest, Readout("uint16", (8, 64)))) == 18
    endless = Merlin().messages(speech_of(Frames(count=6), repeat=0))
    assert b"Frames in Acquisition (Number):\t0\r" in bytes(next(endless).parts[1])
    assert [next(endless).first for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("scan", [None, Scan((4, 6), "serpentine"), Scan((4, 5), skip=1)])
def test_a_scan_that_a_merlin_cannot_tell_is_left_to_the_user(scan):
    start, *_ = heard(said(Merlin(), Frames(scan=scan)))
    assert start.series.scan is None


def test_times_come_from_the_clock():
    ticks = iter(range(1_700_000_000_000_000_000, 2**63, 1_000_003))
    messages = Merlin().messages(speech_of(Frames(), clock=lambda: next(ticks)))
    (_, batch, *_) = heard(b"".join(b"".join(each.parts) for each in messages))
    assert batch.time_ns == 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("dialect", "acquisition", "words"),
    [
        (Merlin(), Frames(dtype="float32"), "float32"),
        (Merlin(), Frames(dtype="int16"), "int16"),
        (Merlin(), Frames((1, 10_000), count=1), "9999"),
        (Merlin(), Frames(scan=Scan((4, 6), "positions")), "positions"),
        (Merlin(raw=True), Frames((8, 63)), "63 pixels"),
        (Merlin(raw=True, depth=1, layout="2x2"), Frames((8, 64), "uint8"), "32 pixels"),
        (Merlin(raw=True, depth=1), Frames(), "1-bit"),
    ],
)
def test_what_a_merlin_has_not_cannot_be_sent(dialect, acquisition, words):
    with pytest.raises(SourceError, match=words):
        list(dialect.messages(speech_of(acquisition)))


def test_it_is_set_up_by_what_stands_behind_its_name():
    dialect = dialect_of("merlin?pixels=raw&layout=2x2&raw24=rows-low")
    text = said(dialect, Frames((8, 512), "uint32", count=1))
    assert b",2048,0004,R64,   2x2," in text
    for protocol, words in (
        ("merlin?pixel=raw", "did you mean 'pixels'"),
        ("merlin?raw24=quarters", "not one of halves, halves-low"),
        ("dectris1?pixels=raw", "has no parameters"),
    ):
        with pytest.raises(SourceError, match=words):
            dialect_of(protocol)


def test_it_is_found_by_its_name():
    dialect = dialect_of("merlin")
    assert isinstance(dialect, Merlin)
    assert (dialect.encodings, dialect.one_frame_a_message) == (("raw",), True)


# -- faults ------------------------------------------------------------------------------------------------


def met(injector: FaultInjector, *actions) -> set[int]:
    return {i for first, stop in injector.report.ranges(actions, KEY) for i in range(first, stop)}


@pytest.mark.parametrize(
    "spec",
    [
        "drop=0.2,seed=1",
        "duplicate=0.2,seed=2",
        "corrupt=0.2,seed=13",
        "truncate=0.3,seed=4",
        "shape=0.2,seed=5",
        "reorder=6,seed=6",
        "drop=0.1,duplicate=0.1,corrupt=0.1,truncate=0.1,shape=0.1,reorder=6,seed=7",
    ],
)
def test_every_fault_is_heard_as_what_it_is(spec):
    acquisition = Frames(count=120)
    injector = FaultInjector(FaultSpec.parse(spec))
    steps = injector.inject(Merlin().messages(speech_of(acquisition)))
    messages = heard(b"".join(b"".join(step.parts) for step in steps if isinstance(step, Outgoing)))
    found = frames_in(messages, Readout("uint16", (8, 64)))
    intact = met(injector, "delivered", "duplicated")
    damaged, garbled = met(injector, "truncated", "misshapen"), met(injector, "garbled")
    for index, pixels in found.items():
        np.testing.assert_array_equal(pixels, acquisition.frames(index, 1)[0])
    named = [each for each in messages if isinstance(each, Rejected) and each.first is not None]
    rejected = {(each.first or 0) + i for each in named for i in range(each.count or 0)}
    assert set(found) <= intact, "a damaged frame was taken for a good one"
    assert damaged <= rejected
    # a frame before a damaged one cannot always be told from it; it is then refused by name
    assert set(found) | rejected == intact | damaged
    assert len(intact - set(found)) <= len(garbled | damaged) // 8
    assert sum(isinstance(each, Start) for each in messages) == 1


def test_a_stall_is_a_step():
    injector = FaultInjector(FaultSpec.parse("stall=1s@10"))
    steps = list(injector.inject(Merlin().messages(speech_of(Frames()))))
    assert [step.seconds for step in steps if isinstance(step, Stall)] == [1.0]


# -- the line ----------------------------------------------------------------------------------------------


@pytest.fixture
def line() -> Iterator[ServerLine]:
    made = Merlin().line(Endpoint("tcp://127.0.0.1:*", bind=True), 4, False)
    yield made
    made.close(0.0)


def call(line: ServerLine) -> bsd.socket:
    return bsd.create_connection(("127.0.0.1", int(line.address.rpartition(":")[2])), PATIENCE_S)


def receive(peer: bsd.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := peer.recv(size - len(data))):
        data += piece
    return data


def test_it_sends_to_who_has_connected_and_loses_nothing_at_the_end(line):
    stop = Event()
    with call(line) as peer:
        assert line.wait_for_receiver(PATIENCE_S, stop)
        assert line.send((b"MPX,", b"0123"), stop, PATIENCE_S)
        assert line.send((), stop, PATIENCE_S)
        closing = threading.Thread(target=line.close, args=(PATIENCE_S,))
        closing.start()
        assert receive(peer, 100) == b"MPX,0123"
        closing.join(PATIENCE_S)
        assert not closing.is_alive()


def test_a_receiver_that_comes_back_gets_whole_messages(line):
    stop, message = Event(), bytes(64 << 20)
    with call(line) as peer:
        assert line.wait_for_receiver(PATIENCE_S, stop)
        sending = threading.Thread(target=line.send, args=((b"head", message), stop, PATIENCE_S))
        sending.start()
        assert receive(peer, 4) == b"head"
    with call(line) as peer:
        assert receive(peer, 4) == b"head"
        assert len(receive(peer, len(message))) == len(message)
    sending.join(PATIENCE_S)
    assert not sending.is_alive()


def test_a_stopped_sender_does_not_wait(line):
    stop = Event()
    stop.set()
    assert not line.wait_for_receiver(PATIENCE_S, stop)
    assert not line.send((b"x",), stop, PATIENCE_S)


def test_nobody_there_is_said_with_the_next_step(line):
    with pytest.raises(SourceError, match=r"livem live merlin://127\.0\.0\.1:"):
        line.wait_for_receiver(0.0, Event())
    with pytest.raises(SessionError, match="gone for 0 s"):
        line.send((b"x",), Event(), 0.0)


@pytest.mark.parametrize(
    ("endpoint", "error", "words"),
    [
        ("connect+tcp://127.0.0.1:6342", SourceError, "TCP server"),
        ("ipc:///tmp/x.sock", SourceError, "TCP server"),
        ("bind+tcp://0.0.0.0:*", UnauthorisedBindError, "insecure-bind"),
        ("tcp://203.0.113.7:6342", UnauthorisedBindError, "insecure-bind"),
    ],
)
def test_addresses_that_cannot_be(endpoint, error, words):
    with pytest.raises(error, match=re.escape(words)):
        Merlin().line(parse_endpoint(endpoint), 4, False)


def test_a_port_that_is_taken_is_named(line):
    with pytest.raises(SourceError, match="cannot bind"):
        Merlin().line(Endpoint(line.address, bind=True), 4, False)


def test_the_sender_speaks_it():
    sender = Sender(
        SenderOptions(
            "sim:4dstem?shape=16x16&scan=4x4", "bind+tcp://127.0.0.1:*", rate=1e6, protocol="merlin"
        )
    )
    address = sender.prepare()
    reports: list = []
    sending = threading.Thread(target=lambda: reports.append(sender.run()))
    sending.start()
    try:
        with bsd.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), PATIENCE_S) as peer:
            data = receive(peer, 1 << 24)
    finally:
        sender.stop()
        sending.join(PATIENCE_S)
    (series,) = reports[0].series
    assert (series.frames, series.complete, series.bytes) == (16, True, len(data))
    start, *rest = heard(data)
    assert start.series.scan == Scan((4, 4))
    assert len(frames_in(rest, Readout(start.series.dtype, (16, 16)))) == 16
