"""Sockets of sources have the same options, say what fails in the user's words, and can be released twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import zmq

from livem.errors import SourceError
from livem.stream.endpoints import Endpoint, parse_endpoint
from livem.stream.opening import require_known_host
from livem.stream.sources.data_socket import attach, release, set_options
from livem.stream.sources.monitor import LinkMonitor

HERE = parse_endpoint("bind+tcp://127.0.0.1:*")


Make = Callable[[int], zmq.Socket[bytes]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes sockets of one context that are closed behind the test."""
    context = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def socket(kind: int) -> zmq.Socket[bytes]:
        made.append(context.socket(kind))
        return made[-1]

    yield socket
    for one in made:
        one.close(0)
    context.term()


def test_the_queue_and_the_length_of_a_part_are_bounded_and_nothing_lingers(make):
    socket = make(zmq.PULL)
    set_options(socket, [HERE], high_water=7, max_bytes=1 << 20)
    assert (socket.get(zmq.RCVHWM), socket.get(zmq.MAXMSGSIZE), socket.get(zmq.LINGER)) == (7, 1 << 20, 0)
    assert not socket.get(zmq.IPV6)


def test_one_address_of_ipv6_is_enough_to_need_it(make):
    socket = make(zmq.PULL)
    set_options(socket, [HERE, Endpoint("tcp://[::1]:9999")], high_water=7, max_bytes=1)
    assert socket.get(zmq.IPV6)


def test_a_subscriber_subscribes_to_everything(make):
    publisher, subscriber = make(zmq.XPUB), make(zmq.SUB)
    publisher.set(zmq.RCVTIMEO, 20_000)
    publisher.bind("inproc://frames")
    set_options(subscriber, [HERE], high_water=7, max_bytes=1 << 20)
    subscriber.connect("inproc://frames")
    assert publisher.recv() == b"\x01"


def test_an_address_in_use_is_said_in_words(make):
    first, second = make(zmq.PULL), make(zmq.PULL)
    attach(first, HERE)
    taken = parse_endpoint("bind+" + first.get_string(zmq.LAST_ENDPOINT))
    with pytest.raises(SourceError, match="already in use"):
        attach(second, taken)


def test_releasing_again_or_before_anything_was_opened_does_nothing():
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    monitor = LinkMonitor(socket, HERE)
    for _ in range(2):
        release(monitor, socket, context)
    assert socket.closed
    assert monitor.socket.closed
    assert context.closed
    release(None, None)


def test_a_host_that_nobody_knows_is_named_with_the_place_it_stands_in():
    require_known_host("tcp://127.0.0.1:9999", "127.0.0.1")
    with pytest.raises(SourceError, match=r"^merlin://m\.invalid: .* know the host 'm\.invalid'"):
        require_known_host("merlin://m.invalid", "m.invalid")
