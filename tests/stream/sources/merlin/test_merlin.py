"""The Merlin source against real sockets: a detector that is late, slow, dies, comes back or is none."""

from __future__ import annotations

import socket as bsd
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from merlin_tools import acquisition, content, frame, frames_in, hdr

from livem.errors import SourceError
from livem.stream.messages import DEFAULT_LIMITS, End, FrameBatch, Message, Reason, Rejected, Start
from livem.stream.series import Series, SeriesKey
from livem.stream.sources.base import Link
from livem.stream.sources.detector_url import DetectorUrl, parse_detector_url
from livem.stream.sources.merlin.source import DATA_PORT, MerlinSource, open_merlin

PATIENCE_S = 20.0


class Loop:
    """What the ingest loop does with a source: its descriptors are polled as they were after ``open``."""

    def __init__(self, source: MerlinSource) -> None:
        self.source = source
        source.open()
        self._poller = zmq.Poller()
        for pollable in source.pollables():
            self._poller.register(pollable, zmq.POLLIN)
        self.wakes = 0

    def until(self, done: Callable[[list[Message], Link], bool]) -> list[Message]:
        messages: list[Message] = []
        deadline = time.monotonic() + PATIENCE_S
        while not done(messages, self.source.link()):
            assert time.monotonic() < deadline, (messages, self.source.link())
            self._poll()
            while (message := self.source.receive()) is not None:
                messages.append(message)
        return messages

    def _poll(self) -> None:
        due = self.source.due_ns()
        wait_ms = 200 if due is None else max(0, min(200, (due - time.monotonic_ns()) // 1_000_000 + 1))
        self.wakes += 1
        self._poller.poll(wait_ms)

    def connected(self) -> None:
        self.until(lambda _, link: link.peers == 1)

    def take(self, n: int) -> list[Message]:
        return self.until(lambda messages, _: len(messages) >= n)

    def ended(self) -> list[Message]:
        return self.until(lambda messages, _: any(isinstance(each, End) for each in messages))


@pytest.fixture
def server() -> Iterator[bsd.socket]:
    with bsd.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        yield listening


@pytest.fixture
def loop(server: bsd.socket) -> Iterator[Loop]:
    source = MerlinSource("127.0.0.1", server.getsockname()[1])
    yield Loop(source)
    source.close()


def accept(server: bsd.socket) -> bsd.socket:
    peer, _ = server.accept()
    peer.settimeout(PATIENCE_S)
    return peer


def test_frames_come_through_a_socket(server, loop):
    with accept(server) as detector:
        detector.sendall(acquisition(20))
        start, *rest = loop.ended()
        assert isinstance(start, Start)
        found = frames_in(rest)
        assert sorted(found) == list(range(20))
        assert all((found[i] == content(i)).all() for i in found)
        place = f"merlin://127.0.0.1:{server.getsockname()[1]}"
        assert loop.source.link() == Link(1, True, None, 0, f"connected to {place}")


def test_a_detector_that_says_nothing_is_asked_about(server, loop):
    with accept(server):
        loop.connected()
        assert loop.source.link().detail.endswith("which has sent no header yet: is an acquisition started?")


def test_a_zeromq_sender_is_told_from_a_merlin(server, loop):
    greeting = b"\xff\0\0\0\0\0\0\0\1\x7f"
    with accept(server) as stranger:
        stranger.sendall(greeting)
        loop.until(lambda _, link: "10 bytes" in link.detail)
        assert "use tcp://HOST:PORT or dectris://HOST:PORT" in loop.source.link().detail
    (rejected,) = loop.take(1)
    assert "ZeroMQ" in rejected.detail


def test_several_series_over_one_connection(server, loop):
    with accept(server) as detector:
        for number in (1, 2, 3):
            detector.sendall(acquisition(4))
            assert loop.ended()[0].series.key.number == number


def test_a_detector_that_is_not_there_yet_is_waited_for(server):
    port = server.getsockname()[1]
    server.close()
    loop = Loop(MerlinSource("127.0.0.1", port))
    try:
        loop.until(lambda _, link: "refused" in link.detail)
        assert not loop.source.link().ever_connected
        before = loop.wakes
        with bsd.create_server(("127.0.0.1", port)) as late:
            late.settimeout(PATIENCE_S)
            loop.connected()
            with accept(late) as detector:
                detector.sendall(acquisition(2))
                assert isinstance(loop.ended()[0], Start)
        assert loop.wakes - before < 100, "waiting for a connection must not spin"
    finally:
        loop.source.close()


def test_a_detector_that_dies_and_comes_back_begins_a_new_series(server, loop):
    with accept(server) as detector:
        detector.sendall(hdr(10) + frame(0) + frame(1))
        (first, *_) = loop.take(2)
    loop.until(lambda _, link: link.peers == 0)
    link = loop.source.link()
    assert link.last_disconnect_ns is not None
    assert "is gone" in link.detail
    loop.connected()
    with accept(server) as detector:
        detector.sendall(acquisition(3))
        messages = loop.ended()
        assert loop.source.link().detail.startswith("connected to merlin://")
    keys = [each.series.key for each in messages if isinstance(each, Start)]
    assert keys == [SeriesKey(first.series.key.epoch, 2)]


def test_a_cut_connection_goes_on_with_its_series(server, loop):
    with accept(server) as detector:
        detector.sendall(hdr(10) + frame(0) + frame(1) + frame(2)[:100])
        (start, *_) = loop.take(2)
    (rejected,) = loop.until(lambda messages, link: bool(messages) and not link.peers)
    assert (rejected.reason, rejected.first) == (Reason.PAYLOAD_SIZE, 2)
    loop.connected()
    with accept(server) as detector:
        detector.sendall(frame(3))
        (batch,) = loop.take(1)
    assert isinstance(batch, FrameBatch)
    assert (batch.key, batch.first) == (start.series.key, 3)


def test_an_endless_acquisition_ends_with_its_connection(server, loop):
    with accept(server) as detector:
        detector.sendall(hdr(0) + frame(0))
    (start, _, end) = loop.ended()
    assert end == End(start.series.key, None)


def test_a_stranger_is_counted_and_named(server, loop):
    with accept(server) as stranger:
        stranger.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        loop.until(lambda _, link: "6342" in link.detail)
    (rejected,) = loop.until(lambda messages, link: bool(messages) and not link.peers)
    assert isinstance(rejected, Rejected)
    assert loop.source.link().handshake_failures == 1


def test_a_resumed_series_keeps_its_key(server, loop):
    series = Series(SeriesKey(b"8 bytes!", 3), (8, 16), "uint16", count=6)
    loop.source.resume(series)
    with accept(server) as detector:
        detector.sendall(frame(4) + frame(5))
        messages = loop.ended()
    assert messages[-1] == End(series.key, 6)


def test_nothing_blocks_and_nothing_is_left_open(server):
    source = MerlinSource("127.0.0.1", server.getsockname()[1])
    assert source.receive() is None
    assert source.link() == Link()
    source.open()
    assert source.receive() is None
    (descriptor,) = source.pollables()
    assert source.pollables() == [descriptor]
    source.close()
    source.close()
    assert source.receive() is None


def test_a_name_with_several_addresses_is_tried_at_all_of_them(server):
    loop = Loop(MerlinSource("localhost", server.getsockname()[1]))
    try:
        loop.connected()
    finally:
        loop.source.close()


def test_an_unknown_host_is_said_at_open():
    source = MerlinSource("no-such-host.invalid")
    with pytest.raises(SourceError, match=r"no-such-host\.invalid"):
        source.open()
    source.close()


def test_the_url_names_host_port_and_scan():
    assert DATA_PORT == 6342
    open_merlin(parse_detector_url("merlin://10.0.0.1"), DEFAULT_LIMITS)
    open_merlin(parse_detector_url("merlin://10.0.0.1:7000?scan=none"), DEFAULT_LIMITS)
    with pytest.raises(SourceError, match="did you mean 'scan'"):
        open_merlin(DetectorUrl("merlin", "10.0.0.1", None, {"scam": "none"}), DEFAULT_LIMITS)
    with pytest.raises(SourceError, match="scan=raster is not one of header, none"):
        open_merlin(DetectorUrl("merlin", "10.0.0.1", None, {"scan": "raster"}), DEFAULT_LIMITS)
