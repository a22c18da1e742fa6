"""Bursts: the same messages as pyzmq's own methods give, within limits, and memory that nobody looks at."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.stream.arenas import Arenas
from livem.stream.burst import TOO_LARGE, TOO_MANY_PARTS, Burst, BurstSocket, pack, send_burst
from livem.stream.zmq_calls import find_calls

WAYS = ["compiled", "plain"]
PATIENCE_MS = 20_000


class Line:
    """A sender and a receiver of bursts over loopback TCP."""

    def __init__(self, way: str, **options: int) -> None:
        self.calls = find_calls() if way == "compiled" else None
        self.context = zmq.Context()
        self.sender, self.socket = self.context.socket(zmq.PUSH), self.context.socket(zmq.PULL)
        self.sender.sndtimeo = PATIENCE_MS
        self.sender.bind("tcp://127.0.0.1:*")
        self.socket.connect(self.sender.getsockopt_string(zmq.LAST_ENDPOINT))
        self.receiver = BurstSocket(self.socket, self.calls, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.receiver.close()
        self.context.destroy(linger=0)

    def send(self, messages: list[list[bytes]]) -> None:
        """Wait for the connection and for room, then as much as goes, until all are sent."""
        burst, at = pack(messages), 0
        while at < len(burst):
            assert self.sender.poll(PATIENCE_MS, zmq.POLLOUT), "no room"
            at = send_burst(self.sender, self.calls, burst, at)

    def next(self) -> Burst:
        while (burst := self.receiver.drain()) is None:
            assert self.socket.poll(PATIENCE_MS), "nothing came"
        return burst

    def take(self, n: int) -> list[list[bytes]]:
        """The next n messages."""
        found: list[list[bytes]] = []
        while len(found) < n:
            found += contents(self.next())
        assert len(found) == n
        return found


def contents(burst: Burst) -> list[list[bytes]]:
    return [[bytes(part) for part in burst.message(i)] for i in range(len(burst))]


@pytest.fixture(params=WAYS)
def line(request) -> Iterator[Line]:
    with Line(request.param) as made:
        yield made


def an_image(i: int, size: int = 300) -> list[bytes]:
    return [b"first %d" % i, b"second", bytes([i % 256]) * size, b"fourth"]


def test_nothing_there_is_no_burst(line):
    assert line.receiver.drain() is None


def test_messages_arrive_whole_and_in_order(line):
    sent = [an_image(i, i * 7) for i in range(600)]
    line.send(sent)
    assert line.take(600) == sent


def test_empty_parts_stay(line):
    sent = [[b""], [b"", b"x", b""], [b"y", b""]]
    for parts in sent:
        line.sender.send_multipart(parts)
    assert line.take(3) == sent
    line.sender.send(b"")
    assert line.next().first_byte(0) == -1


def test_pack_gives_what_would_arrive():
    sent = [[b"ab", b""], [b"c"]]
    assert contents(pack(sent)) == sent
    assert pack(sent).first_byte(0) == ord("a")


@pytest.mark.parametrize("way", WAYS)
def test_a_burst_holds_no_more_than_its_limits(way):
    with Line(way, max_messages=3, arena_bytes=1 << 16) as line:
        for i in range(10):
            line.sender.send_multipart(an_image(i))
        sizes = []
        while sum(sizes) < 10:
            sizes.append(len(line.next()))
        assert max(sizes) <= 3


@pytest.mark.parametrize("way", WAYS)
def test_a_message_larger_than_the_arena_is_a_burst_by_itself(way):
    sent = [an_image(0), an_image(1, 5_000), an_image(2, 100_000), an_image(3), an_image(4, 700)]
    with Line(way, arena_bytes=1_000) as line:
        for parts in sent:
            line.sender.send_multipart(parts)
        assert line.take(5) == sent


@pytest.mark.parametrize("way", WAYS)
def test_too_many_parts_are_read_to_their_end(way):
    with Line(way, max_parts=4) as line:
        line.sender.send_multipart([b"%d" % i for i in range(9)])
        line.sender.send_multipart(an_image(1))
        bursts = [line.next()]
        found = contents(bursts[0])
        assert bursts[0].flags[0] == TOO_MANY_PARTS
        assert found[0] == [b"0", b"1", b"2", b"3"]
        assert (found[1:] or line.take(1)) == [an_image(1)]


@pytest.mark.parametrize("way", WAYS)
def test_a_message_above_the_limit_is_flagged_and_the_next_is_whole(way):
    with Line(way, arena_bytes=1_000, max_bytes=2_000) as line:
        line.sender.send_multipart([b"head", b"x" * 3_000, b"tail"])
        line.sender.send_multipart(an_image(1))
        burst = line.next()
        assert burst.flags[0] == TOO_LARGE
        assert contents(burst)[0] == [b"head", b"", b"tail"]
        assert (contents(burst)[1:] or line.take(1)) == [an_image(1)]


def test_memory_that_is_looked_at_is_not_used_again(line):
    line.sender.send_multipart(an_image(1))
    kept = [line.next().data]
    was = [kept[0].copy()]
    for i in range(2, 7):
        line.sender.send_multipart(an_image(i))
        kept.append(line.next().data[2:])
        was.append(kept[-1].copy())
        assert all((view == copy).all() for view, copy in zip(kept, was, strict=True))


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_arenas_are_used_again_once_they_are_free():
    arenas = Arenas(100)
    first = arenas.take()[:10]
    second = arenas.take()[:10]
    assert first.base is not second.base
    address = first.base.ctypes.data
    del first
    assert arenas.take().ctypes.data == address
    assert len(arenas.take(1_000)) >= 1_000


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_an_arena_that_nobody_looks_at_is_taken_again_at_once():
    arenas = Arenas(100)
    assert len({arenas.take(5_000).ctypes.data for _ in range(6)}) == 1
    previous, addresses = arenas.take(5_000)[:10], set()
    for _ in range(6):  # as ingest does: the last burst is looked at while the next one comes
        previous = arenas.take(5_000)[:10]
        addresses.add(previous.base.ctypes.data)
    assert len(addresses) == 2


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="counts references")
def test_the_arena_that_is_too_small_is_the_one_that_is_replaced():
    arenas = Arenas(100)
    held = arenas.take(5_000)[:10]
    arenas.take()  # the small one is now looked at first
    address = held.base.ctypes.data
    other = arenas.take(5_000)[:10]
    assert other.base.ctypes.data != address
    del held
    assert arenas.take(5_000).ctypes.data == address


def test_a_full_queue_stops_the_sender_between_messages():
    context = zmq.Context()
    sender, calls = context.socket(zmq.PUSH), find_calls()
    sender.sndhwm = 5
    receiver = context.socket(zmq.PULL)
    receiver.rcvhwm = 5
    try:
        sender.bind("inproc://full")
        receiver.connect("inproc://full")
        sent = [an_image(i) for i in range(50)]
        burst = pack(sent)
        at, found = send_burst(sender, calls, burst), []
        assert 0 < at < 50
        while receiver.poll(0):
            found.append(receiver.recv_multipart())
            if sender.poll(0, zmq.POLLOUT):
                at = send_burst(sender, calls, burst, at)
        assert found == sent
    finally:
        context.destroy(linger=0)


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_socket_is_an_error_and_no_crash(way):
    with Line(way) as line:
        line.socket.close(0)
        with pytest.raises(zmq.ZMQError):
            line.receiver.drain()
        line.receiver.close()
        line.receiver.close()


def test_a_message_that_waits_for_room_is_let_go_of_by_close():
    """Its bytes are libzmq's: the context could not end otherwise, and the memory would be lost."""
    with Line("compiled", arena_bytes=400) as line:
        line.sender.send_multipart(an_image(0, 200))
        line.sender.send_multipart([b"x" * 100, b"y" * 1_000])
        line.next()


parts = st.lists(st.binary(max_size=40) | st.builds(bytes, st.integers(0, 2_000)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def inproc():
    context = zmq.Context()
    sockets = [context.socket(zmq.PAIR) for _ in range(4)]
    for one, other, name in ((sockets[0], sockets[1], "a"), (sockets[2], sockets[3], "b")):
        one.bind(f"inproc://{name}")
        other.connect(f"inproc://{name}")
    yield sockets
    context.destroy(linger=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(parts, min_size=1, max_size=20), st.integers(1, 3_000), st.integers(1, 4_000))
def test_both_ways_of_receiving_agree(inproc, sent, arena_bytes, max_bytes):
    """Whatever is sent, whatever the limits: the same messages, and the same flags."""
    found = []
    for sender, socket, calls in ((*inproc[:2], find_calls()), (*inproc[2:], None)):
        receiver = BurstSocket(socket, calls, arena_bytes=arena_bytes, max_bytes=max_bytes, max_parts=8)
        for message in sent:
            sender.send_multipart(message)
        got: list = []
        while len(got) < len(sent):
            burst = receiver.drain()
            assert burst is not None
            got += zip(contents(burst), burst.flags.tolist(), strict=True)
        assert receiver.drain() is None
        receiver.close()
        found.append(got)
    assert found[0] == found[1]
    fitting = [message for message in sent if len(message) <= 8 and sum(map(len, message)) <= max_bytes]
    assert [message for message, flag in found[0] if not flag] == fitting


def test_the_beginning_of_a_large_message_finds_room_in_the_next_burst(inproc):
    """It came behind a small message, into an arena that is still looked at when the rest is taken."""
    sender, socket, *_ = inproc
    receiver = BurstSocket(socket, find_calls(), arena_bytes=1_000)
    for alone in (b"w" * 9_000, b"y"):
        sender.send(alone)
        assert contents(receiver.drain()) == [[alone]]
    large = [b"a" * 6_000, b"b" * 6_000]
    sender.send(b"x")
    sender.send_multipart(large)
    held = receiver.drain()
    assert contents(held) == [[b"x"]]
    assert contents(receiver.drain()) == [large]
    receiver.close()


def test_a_burst_is_views_of_one_arena(line):
    line.sender.send_multipart(an_image(3))
    burst = line.next()
    assert burst.data.dtype == np.uint8
    assert burst.parts.shape == (4, 2)
    assert burst.first.tolist() == [0, 4]
