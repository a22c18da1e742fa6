"""The native source against real sockets: order of arrival of both sides, death, garbage, keys."""

from __future__ import annotations

import contextlib
import random
import socket as bsd
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from livem.errors import SourceError, UnauthorisedBindError
from livem.stream import wire
from livem.stream.curve import CurveKeys
from livem.stream.endpoints import Endpoint, parse_endpoint
from livem.stream.messages import End, FrameBatch, Limits, Message, Reason, Rejected, Start
from livem.stream.series import Series, SeriesKey
from livem.stream.sources.base import Link, Source
from livem.stream.sources.monitor import PeerBook
from livem.stream.sources.native import NativeSource

KEY = SeriesKey(b"8 bytes!", 1)
SERIES = Series(KEY, (8, 8), "uint16")
PATIENCE_S = 20.0
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix sockets or signals")

MakeSource = Callable[..., NativeSource]
MakeSocket = Callable[..., "zmq.Socket[bytes]"]


@pytest.fixture
def make_source() -> Iterator[MakeSource]:
    """Opened native sources, closed at the end."""
    sources: list[NativeSource] = []

    def make(text: str = "bind+tcp://127.0.0.1:*", **options: Any) -> NativeSource:
        sources.append(NativeSource(parse_endpoint(text), **options))
        sources[-1].open()
        return sources[-1]

    yield make
    for source in sources:
        source.close()


@pytest.fixture
def make_socket() -> Iterator[MakeSocket]:
    """Sockets of a peer, in a context of its own."""
    context = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def make(kind: int = zmq.PUSH, keys: CurveKeys | None = None) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = context.socket(kind)
        made.linger = 0
        if keys is not None and keys.server is not None:
            made.curve_publickey, made.curve_secretkey = keys.public, keys.secret
            made.curve_serverkey = keys.server
        sockets.append(made)
        return made

    yield make
    context.destroy(linger=0)


def wait_link(source: Source, wanted: Callable[[Link], bool]) -> Link:
    """Follow the link until it is as wanted; fails after PATIENCE_S."""
    monitor = source.pollables()[1]
    deadline = time.monotonic() + PATIENCE_S
    while not wanted(link := source.link()):
        assert time.monotonic() < deadline, link
        monitor.poll(100)
    return link


def take(source: Source, n: int) -> list[Message]:
    """The next n messages; fails after PATIENCE_S. Follows the link as a loop would."""
    poller = zmq.Poller()
    for pollable in source.pollables():
        poller.register(pollable, zmq.POLLIN)
    messages: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(messages) < n:
        assert time.monotonic() < deadline, messages
        poller.poll(100)
        source.link()
        while len(messages) < n and (message := source.receive()) is not None:
            messages.append(message)
    return messages


def frame(index: int) -> list[bytes | memoryview]:
    return wire.encode_frames(KEY, index, 1, np.full((8, 8), index, "<u2"))


def indices(messages: list[Message]) -> list[int]:
    assert all(isinstance(message, FrameBatch) for message in messages), messages
    return [message.first for message in messages if isinstance(message, FrameBatch)]


def free_port() -> int:
    with bsd.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def call(source: NativeSource) -> bsd.socket:
    """A plain TCP connection to a bound source."""
    return bsd.create_connection(("127.0.0.1", int(source.address.rpartition(":")[2])), timeout=PATIENCE_S)


# -- both orders, both ends, both transports -------------------------------------------------------------


def test_sender_connects_to_the_waiting_source(make_source: MakeSource, make_socket: MakeSocket) -> None:
    source = make_source()
    assert source.link().detail.endswith("for a sender")
    sender = make_socket()
    sender.connect(source.address)
    for parts in (wire.encode_start(SERIES), frame(0), wire.encode_end(KEY, 1)):
        sender.send_multipart(parts)
    start, batch, end = take(source, 3)
    assert (start, end) == (Start(SERIES), End(KEY, 1))
    assert indices([batch]) == [0]
    assert source.receive() is None
    assert wait_link(source, lambda link: link.peers == 1).detail.startswith("1 sender connected")


def test_source_connects_before_the_sender_binds(make_source: MakeSource, make_socket: MakeSocket) -> None:
    port = free_port()
    source = make_source(f"tcp://127.0.0.1:{port}")
    link = wait_link(source, lambda link: "refused" in link.detail)
    assert link.detail == f"connection refused by 127.0.0.1:{port}: is the sender running?"
    assert (link.peers, link.ever_connected) == (0, False)
    sender = make_socket()
    sender.bind(f"tcp://127.0.0.1:{port}")
    sender.send_multipart(frame(7))
    assert indices(take(source, 1)) == [7]
    assert wait_link(source, lambda link: link.peers == 1).detail == f"connected to 127.0.0.1:{port}"


def test_sender_that_comes_back_is_seen(make_source: MakeSource, make_socket: MakeSocket) -> None:
    source = make_source()
    for _ in range(3):
        sender = make_socket()
        sender.connect(source.address)
        wait_link(source, lambda link: link.peers == 1)
        sender.close()
        link = wait_link(source, lambda link: link.peers == 0)
        assert link.last_disconnect_ns is not None
        assert "the sender is gone" in link.detail
    assert source.link().handshake_failures == 0


@posix
def test_ipc_in_both_orders(make_source: MakeSource, make_socket: MakeSocket, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/s"
    source, sender = make_source(address), make_socket()
    assert "refused" in wait_link(source, lambda link: "refused" in link.detail).detail
    sender.bind(address)
    sender.send_multipart(frame(1))
    assert indices(take(source, 1)) == [1]
    bound = make_source(f"bind+ipc://{tmp_path}/t")
    other = make_socket()
    other.connect(bound.address)
    other.send_multipart(frame(2))
    assert indices(take(bound, 1)) == [2]


def test_subscriber(make_source: MakeSource, make_socket: MakeSocket) -> None:
    publisher = make_socket(zmq.XPUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    source = make_source(f"sub+tcp://127.0.0.1:{port}")
    assert publisher.recv() == b"\x01"
    publisher.send_multipart(frame(3))
    assert indices(take(source, 1)) == [3]


def test_ipv6(make_source: MakeSource, make_socket: MakeSocket) -> None:
    try:
        source = make_source("bind+tcp://[::1]:*")
    except SourceError:
        pytest.skip("no IPv6 loopback here")
    sender = make_socket()
    sender.ipv6 = True
    sender.connect(source.address)
    sender.send_multipart(frame(3))
    assert indices(take(source, 1)) == [3]


# -- memory ----------------------------------------------------------------------------------------------


def test_received_frames_are_views_that_outlive_the_source(
    make_source: MakeSource, make_socket: MakeSocket
) -> None:
    source, sender = make_source(), make_socket()
    sender.connect(source.address)
    sender.send_multipart(frame(513))
    (batch,) = take(source, 1)
    assert isinstance(batch, FrameBatch)
    owner: object = batch.payload.base
    assert isinstance(owner, zmq.Frame)
    assert not batch.payload.flags.writeable
    source.close()
    source.close()
    assert set(batch.payload.view("<u2")) == {513}


def test_a_message_of_many_parts_is_read_off_and_refused(
    make_source: MakeSource, make_socket: MakeSocket
) -> None:
    source, sender = make_source(), make_socket()
    sender.connect(source.address)
    sender.send_multipart([*frame(0), *[b""] * 1000])
    sender.send_multipart(frame(1))
    rejected, batch = take(source, 2)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.first) == (Reason.BAD_PARTS, 0)
    assert indices([batch]) == [1]


@pytest.mark.parametrize(
    ("budget", "message", "expected"), [(256 << 20, 8 << 20, 32), (1 << 20, 8 << 20, 4), (1 << 40, 1, 1000)]
)
def test_high_water_mark_follows_the_byte_budget(
    make_source: MakeSource, budget: int, message: int, expected: int
) -> None:
    source = make_source(byte_budget=budget, message_bytes=message)
    assert source.pollables()[0].rcvhwm == expected


GREETING = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"


def test_a_message_announced_too_large_ends_the_peer_and_allocates_nothing(make_source: MakeSource) -> None:
    """A hand-made ZMTP peer that announces 8 GiB."""
    source = make_source(limits=Limits(max_message_bytes=1 << 20))
    with call(source) as peer:
        peer.sendall(GREETING + b"\x04" + bytes([len(READY)]) + READY)
        wait_link(source, lambda link: link.peers == 1)
        before = psutil.Process().memory_info().vms
        peer.sendall(b"\x02" + (8 << 30).to_bytes(8, "big") + bytes(1000))
        wait_link(source, lambda link: link.peers == 0)
        assert psutil.Process().memory_info().vms - before < 100 << 20
    assert source.receive() is None


# -- death and pauses ------------------------------------------------------------------------------------

SENDER = """
import sys, zmq
socket = zmq.Context().socket(zmq.PUSH)
socket.connect(sys.argv[1])
socket.send(b"not msgpack")
sys.stdin.read()
"""


@pytest.fixture
def sender_process() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a sender in a process of its own."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(address: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SENDER, address]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_fault_01_a_killed_sender_is_gone_at_once(
    make_source: MakeSource, sender_process: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    source = make_source()
    process = sender_process(source.address)
    (rejected,) = take(source, 1)
    assert isinstance(rejected, Rejected)
    wait_link(source, lambda link: link.peers == 1)
    process.kill()
    link = wait_link(source, lambda link: link.peers == 0)
    assert link.ever_connected
    assert link.last_disconnect_ns is not None


def fill(sender: zmq.Socket[bytes], payload_bytes: int) -> int:
    """Send frames until every buffer on the way has been full for half a second; how many."""
    payload, sent = np.zeros(payload_bytes, np.uint8), 0
    while sender.poll(500, zmq.POLLOUT):
        sender.send_multipart(wire.encode_frames(KEY, sent, 1, payload))
        sent += 1
    return sent


def test_long_back_pressure_loses_nothing(make_source: MakeSource, make_socket: MakeSocket) -> None:
    """With heartbeats libzmq would cut the waiting sender, and with it what is on its way."""
    source, sender = make_source(byte_budget=1, message_bytes=1), make_socket()
    sender.sndhwm = 4
    sender.connect(source.address)
    sent = fill(sender, 1 << 20)
    assert indices(take(source, sent)) == list(range(sent))
    assert source.link().last_disconnect_ns is None


def test_a_sender_that_ends_while_we_hold_it_back_is_read_to_its_last_frame(
    make_source: MakeSource, make_socket: MakeSocket
) -> None:
    source, sender = make_source(byte_budget=1, message_bytes=1), make_socket()
    sender.sndhwm = 4
    sender.connect(source.address)
    sent = fill(sender, 5_000)
    sender.close(int(PATIENCE_S * 1000))
    assert indices(take(source, sent)) == list(range(sent))


# -- strangers -------------------------------------------------------------------------------------------

ZMTP_1 = b"\x01\x00" + b"\x05\x00abcd"
GARBAGE = [
    ZMTP_1,
    b"",
    b"\x00" * 64,
    b"\xff" * 200,
    b"GET / HTTP/1.1\r\nHost: camera\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    b"SSH-2.0-OpenSSH_9.2\r\n",
    GREETING[:10],
    GREETING,
    GREETING.replace(b"NULL", b"CURV"),
    GREETING + b"\x04\x05\x05READY",
    GREETING + b"\x04\xff" + bytes(300),
    GREETING + b"\x06" + (1 << 62).to_bytes(8, "big"),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_fault_18_garbage_is_counted_and_nothing_else(
    make_source: MakeSource, make_socket: MakeSocket, garbage: bytes
) -> None:
    source, sender = make_source(), make_socket()
    sender.connect(source.address)
    wait_link(source, lambda link: link.peers == 1)
    with call(source) as stranger:
        stranger.sendall(garbage)
    link = wait_link(source, lambda link: link.handshake_failures == 1)
    assert (link.peers, link.last_disconnect_ns) == (1, None)
    sender.send_multipart(frame(0))
    assert indices(take(source, 1)) == [0]


def test_fault_18_a_port_scan_between_frames_has_no_effect(
    make_source: MakeSource, make_socket: MakeSocket
) -> None:
    chance = random.Random(18)
    source, sender = make_source(), make_socket()
    sender.connect(source.address)
    wait_link(source, lambda link: link.peers == 1)
    strangers = 2000
    for number in range(strangers):
        with call(source) as stranger:
            stranger.sendall(chance.randbytes(chance.randrange(1, 200)))
        if number % 100 == 0:
            sender.send_multipart(frame(number))
            assert indices(take(source, 1)) == [number]
    link = wait_link(source, lambda link: link.handshake_failures == strangers)
    assert (link.peers, link.last_disconnect_ns) == (1, None)


def test_fault_18_a_port_scan_that_nobody_watches_does_not_stop_reception(
    make_source: MakeSource, make_socket: MakeSocket
) -> None:
    """libzmq's I/O thread would wait for a monitor that is full: its high-water mark is off."""
    source, sender = make_source(), make_socket()
    sender.connect(source.address)
    for _ in range(900):
        call(source).close()
    sender.send_multipart(frame(1))
    data = source.pollables()[0]
    assert data.poll(int(PATIENCE_S * 1000))
    message = source.receive()
    assert message is not None
    assert indices([message]) == [1]


def test_a_peer_of_another_kind_is_no_sender(make_source: MakeSource, make_socket: MakeSocket) -> None:
    source = make_source()
    make_socket(zmq.REQ).connect(source.address)
    link = wait_link(source, lambda link: link.handshake_failures >= 1)
    assert link.peers == 0
    assert "no livem sender" in link.detail


def test_the_other_end_is_no_zeromq_socket(make_source: MakeSource) -> None:
    with bsd.create_server(("127.0.0.1", 0)) as server:
        source = make_source(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100))
            with contextlib.suppress(ConnectionResetError):  # hung up, with our words unread
                connection.recv(100)
        link = wait_link(source, lambda link: link.handshake_failures >= 1)
    assert link.peers == 0


@given(st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_peers_are_counted_right_once_the_strangers_are_gone(kinds: list[str], chance: random.Random) -> None:
    """Handshakes in any order: HANDSHAKE_SUCCEEDED does not say whose it was."""
    book = PeerBook()
    for fd in range(len(kinds)):
        book.opened(fd)
    for fd in chance.sample(range(len(kinds)), len(kinds)):
        if kinds[fd] == "good":
            book.succeeded()
        else:
            book.failed()
            book.disconnected(fd, 1)
    good = [fd for fd, kind in enumerate(kinds) if kind == "good"]
    assert book.peers == set(good)
    assert book.failures == kinds.count("bad")
    assert book.last_disconnect_ns is None
    for fd in good:
        book.disconnected(fd, 2)
    assert book.peers == set()
    assert book.failures == kinds.count("bad")


# -- keys ------------------------------------------------------------------------------------------------

SERVER, ALLOWED, UNKNOWN = (zmq.curve_keypair() for _ in range(3))
BOUND = CurveKeys(*SERVER, allowed=frozenset({ALLOWED[0]}))


def client_keys(pair: tuple[bytes, bytes], server: bytes = SERVER[0]) -> CurveKeys:
    return CurveKeys(*pair, server=server)


def test_fault_17_an_allowed_key_gets_in(make_source: MakeSource, make_socket: MakeSocket) -> None:
    source, sender = make_source(curve=BOUND), make_socket(keys=client_keys(ALLOWED))
    sender.connect(source.address)
    sender.send_multipart(frame(1))
    assert indices(take(source, 1)) == [1]
    assert wait_link(source, lambda link: link.peers == 1).handshake_failures == 0


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(client_keys(UNKNOWN), id="unknown key"),
        pytest.param(client_keys(ALLOWED, UNKNOWN[0]), id="wrong server key"),
        pytest.param(None, id="no CURVE"),
    ],
)
def test_fault_17_whoever_has_no_allowed_key_stays_out(
    make_source: MakeSource, make_socket: MakeSocket, keys: CurveKeys | None
) -> None:
    source, stranger = make_source(curve=BOUND), make_socket(keys=keys)
    stranger.connect(source.address)
    stranger.send_multipart(frame(666))
    wait_link(source, lambda link: link.handshake_failures >= 1)
    friend = make_socket(keys=client_keys(ALLOWED))
    friend.connect(source.address)
    friend.send_multipart(frame(1))
    assert indices(take(source, 1)) == [1]
    assert source.receive() is None
    wait_link(source, lambda link: link.peers == 1)


@pytest.mark.parametrize(
    "garbage", [GARBAGE[3], GARBAGE[7], GREETING.replace(b"NULL\0", b"CURVE")], ids=range(3)
)
def test_fault_17_garbage_at_a_curve_port_is_counted(make_source: MakeSource, garbage: bytes) -> None:
    source = make_source(curve=BOUND)
    with call(source) as stranger:
        stranger.sendall(garbage)
    assert wait_link(source, lambda link: link.handshake_failures == 1).peers == 0


def test_a_source_with_keys_goes_to_a_sender_with_keys(
    make_source: MakeSource, make_socket: MakeSocket
) -> None:
    sender = make_socket()
    sender.curve_server, sender.curve_publickey, sender.curve_secretkey = True, *SERVER
    port = sender.bind_to_random_port("tcp://127.0.0.1")
    source = make_source(f"tcp://127.0.0.1:{port}", curve=client_keys(ALLOWED))
    sender.send_multipart(frame(1))
    assert indices(take(source, 1)) == [1]


def test_secret_keys_are_not_shown() -> None:
    assert repr(SERVER[1]) not in repr(BOUND)


# -- what cannot be opened -------------------------------------------------------------------------------


def test_fault_17_no_bind_beyond_this_machine_without_keys() -> None:
    for curve in (None, CurveKeys(*SERVER)):
        source = NativeSource(Endpoint("tcp://*:*", True), curve=curve)
        with pytest.raises(UnauthorisedBindError, match="--insecure-bind"):
            source.open()


def test_a_port_in_use_is_named(make_source: MakeSource) -> None:
    taken = make_source().address
    with pytest.raises(SourceError, match=r"port \d+ is already in use; stop the other program"):
        make_source(f"bind+{taken}")


@posix
def test_a_path_in_use_is_not_taken_away(
    make_source: MakeSource, make_socket: MakeSocket, tmp_path: Path
) -> None:
    address = f"bind+ipc://{tmp_path}/s"
    first = make_source(address)
    with pytest.raises(SourceError, match="is already in use"):
        make_source(address)
    sender = make_socket()
    sender.connect(first.address)
    sender.send_multipart(frame(1))
    assert indices(take(first, 1)) == [1]


@posix
def test_a_path_left_behind_by_a_dead_process_is_reused(make_source: MakeSource, tmp_path: Path) -> None:
    with bsd.socket(bsd.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/s")
    assert make_source(f"bind+ipc://{tmp_path}/s").address == f"ipc://{tmp_path}/s"


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("bind+tcp://192.0.2.1:9999", {"insecure_bind": True}, "no address of this machine"),
        ("tcp://no-such-host.invalid:9999", {}, "does not know the host 'no-such-host.invalid'"),
        ("bind+tcp://127.0.0.1:*", {"curve": CurveKeys(*SERVER)}, "list the senders'"),
        ("tcp://127.0.0.1:9999", {"curve": CurveKeys(*SERVER)}, "the sender's public key is needed"),
        ("tcp://127.0.0.1:9999", {"curve": CurveKeys(b"x", b"y", server=b"z")}, "40 characters of Z85"),
        pytest.param("bind+ipc:///no/such/folder/s", {}, "does not exist; make it first", marks=posix),
    ],
)
def test_what_cannot_be_opened_says_why(text: str, options: dict[str, Any], words: str) -> None:
    source = NativeSource(parse_endpoint(text), **options)
    with pytest.raises(SourceError, match=words):
        source.open()
    source.close()


def test_two_authenticators_in_one_context_are_refused() -> None:
    with zmq.Context() as context:
        first = NativeSource(parse_endpoint("bind+tcp://127.0.0.1:*"), curve=BOUND, context=context)
        first.open()
        second = NativeSource(parse_endpoint("bind+tcp://127.0.0.1:*"), curve=BOUND, context=context)
        with pytest.raises(SourceError, match="an authenticator already"):
            second.open()
        first.close()
        assert not context.closed


def test_a_source_that_is_not_open_says_so() -> None:
    source = NativeSource(parse_endpoint("tcp://127.0.0.1:9999"))
    assert source.link() == Link()
    with pytest.raises(SourceError, match="is not open"):
        source.receive()
