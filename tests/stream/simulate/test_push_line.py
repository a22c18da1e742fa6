"""Connections within this machine get a buffer that lets both ends work at once; others are left alone."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import zmq

from livem.stream.endpoints import parse_endpoint
from livem.stream.simulate.push_line import PushLine, _widen

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
CAN_LIST = pytest.mark.skipif(sys.platform != "linux", reason="/proc lists a process's sockets")


def sent_through(connection: socket.socket) -> int:
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)


def usual() -> int:
    """The buffer of a Unix socket that nobody asked for another."""
    here, there = socket.socketpair()
    with here, there:
        return sent_through(here)


def buffers(path: Path) -> list[int]:
    """Of this process's connections that were accepted at ``path``, or made to it, the sending buffers."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as one:
                places = (one.getsockname(), one.getpeername())
                found += [sent_through(one)] if str(path) in places else []
        except OSError:  # no socket, not connected, or gone
            continue
    return found


@pytest.fixture
def pull() -> Iterator[zmq.Socket[bytes]]:
    context = zmq.Context()
    receiver = context.socket(zmq.PULL)
    receiver.set(zmq.RCVTIMEO, 20_000)
    yield receiver
    receiver.close(0)
    context.term()


@CAN_LIST
@pytest.mark.parametrize("binds", [True, False])
def test_a_receiver_on_this_machine_gets_a_larger_buffer(pull, tmp_path, binds):
    path = tmp_path / "s"
    address = f"ipc://{path}"
    if not binds:
        pull.bind(address)
    line = PushLine(parse_endpoint(f"{'bind' if binds else 'connect'}+{address}"), 4)
    try:
        if binds:
            pull.connect(address)
        assert line.wait_for_receiver(20.0, Event())
        both_ends = buffers(path)  # of one connection: the sender's alone was asked for
        assert len(both_ends) == 2
        assert max(both_ends) > usual() == min(both_ends)
        assert line.send([b"frame"], Event(), 20.0)
        assert pull.recv() == b"frame"
    finally:
        line.close(0.0)


def test_other_connections_and_numbers_that_are_none_are_left_alone():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as one:
        one.connect(server.getsockname())
        before = sent_through(one)
        _widen(one.fileno())
        assert sent_through(one) == before
        gone = one.fileno()
    _widen(gone)
    _widen(-1)
