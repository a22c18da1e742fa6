"""TCP keepalive finds a dead host or cable within 5 s; there are no ZeroMQ heartbeats (decision 0006)."""

from __future__ import annotations

import os
import socket as bsd
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest
import zmq

from livem.stream.control import ControlClient
from livem.stream.messages import DEFAULT_LIMITS
from livem.stream.sources.base import Source
from livem.stream.sources.plan import plan_source

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems name these options otherwise")

PATIENCE_S = 20.0
FOUND_WITHIN_S = 5


@pytest.fixture
def server() -> Iterator[bsd.socket]:
    """A detector, or a session, that takes connections and says nothing."""
    with bsd.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        yield listening


def seconds_until_found(local: int, remote: int) -> int:
    """For how long this process' connection between two ports goes on without an answer; 0 = for ever."""
    (handle,) = (
        each.fd
        for each in psutil.Process().net_connections("tcp4")
        if each.raddr and (each.laddr.port, each.raddr.port) == (local, remote)
    )
    with bsd.socket(fileno=os.dup(handle)) as same:
        if not same.getsockopt(bsd.SOL_SOCKET, bsd.SO_KEEPALIVE):
            return 0
        idle, interval, count = (
            same.getsockopt(bsd.IPPROTO_TCP, getattr(bsd, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        )
        return idle + interval * count


def merlin_is_connected(source: Source) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not source.link().peers:
        assert time.monotonic() < deadline
        zmq.select(source.pollables(), [], [], 0.02)
        source.receive()


@pytest.mark.parametrize("scheme", ["tcp", "dectris", "merlin", "karabo"])
def test_of_every_source_that_connects(server: bsd.socket, scheme: str) -> None:
    port = server.getsockname()[1]
    with closing(plan_source(f"{scheme}://127.0.0.1:{port}").make_source(DEFAULT_LIMITS)) as source:
        source.open()
        peer, (_, local) = server.accept()
        with peer:
            peer.settimeout(PATIENCE_S)
            if scheme == "merlin":
                merlin_is_connected(source)
            else:
                assert peer.recv(1)  # libzmq greets when it has set its options
            assert seconds_until_found(local, port) == FOUND_WITHIN_S


def test_of_a_source_that_is_connected_to() -> None:
    with closing(plan_source("bind+tcp://127.0.0.1:*").make_source(DEFAULT_LIMITS)) as source:
        source.open()
        port = int(source.address.rpartition(":")[2])
        with bsd.create_connection(("127.0.0.1", port), PATIENCE_S) as peer:
            peer.settimeout(PATIENCE_S)
            assert peer.recv(1)
            assert seconds_until_found(port, peer.getsockname()[1]) == FOUND_WITHIN_S


def test_of_whoever_attaches_to_a_session(server: bsd.socket) -> None:
    port = server.getsockname()[1]
    with ControlClient(f"tcp://127.0.0.1:{port}"):
        peer, (_, local) = server.accept()
        with peer:
            peer.settimeout(PATIENCE_S)
            assert peer.recv(1)
            assert seconds_until_found(local, port) == FOUND_WITHIN_S
