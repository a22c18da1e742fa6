"""Results as trains: read by karabo_bridge's own client, whatever other clients do."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from typing import Any

import karabo_bridge
import numpy as np
import pytest
import zmq
from hub_tools import ServedHub

from livem.errors import SourceError, UnauthorisedBindError
from livem.stream.bus import Publisher
from livem.stream.karabo_out import KaraboOut, KaraboOutOptions, run_karabo_out, source_parts
from livem.stream.karabo_wire import decode
from livem.stream.results import Result
from livem.stream.series import SeriesKey

PATIENCE_S = 20.0
KEY = SeriesKey(b"12345678", 4)


def image(n: int, topic: str = "vd.bf") -> Result:
    pixels = np.full((3, 4), float(n), np.float32)
    valid = np.ones((3, 4), bool)
    fields: dict[str, Any] = {"units": {"image": "counts"}, "attrs": {"radius": 2.5, "estimate": False}}
    return Result(topic, "image", KEY, (0, n), n, {"image": pixels, "valid": valid}, **fields)


class Session:
    """A hub on a thread, and a publisher to it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._served = ServedHub(on_child=lambda name, message: self.told.append((name, message)))
        self.hub = self._served.hub
        self.publisher = Publisher(self.hub.addresses.results)

    def close(self) -> None:
        self.publisher.close()
        self._served.close()


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.fixture
def out(session: Session) -> Iterator[KaraboOut]:
    """A server of the session's results, on a thread."""
    out = KaraboOut(KaraboOutOptions("tcp://127.0.0.1:*", (session.hub.addresses.control,)))
    stop = threading.Event()
    thread = threading.Thread(target=out.serve, args=(stop.is_set,))
    thread.start()
    yield out
    stop.set()
    thread.join()
    out.close()
    out.close()


def until(client: karabo_bridge.Client, wanted: Callable[[dict[str, Any]], bool]) -> tuple[Any, Any]:
    """The first train as wanted; each call fails by itself after PATIENCE_S."""
    while True:
        data, meta = client.next()
        if wanted(data):
            return data, meta


def test_the_foreign_client_reads_results(session: Session, out: KaraboOut) -> None:
    curve = Result("fps.curve", "curve", None, (0, 3), 1, {"x": np.arange(3), "y": np.arange(3.0)})
    with karabo_bridge.Client(out.address, timeout=PATIENCE_S) as client:
        session.publisher.publish(image(5))
        session.publisher.publish(curve)
        session.publisher.publish(Result("status", "status", None, (0, 0), 1, attrs={"x": 1}))
        data, meta = until(client, lambda data: len(data) == 2)
    assert set(data) == {"vd.bf", "fps.curve"}
    bf = data["vd.bf"]
    assert bf["image"].dtype == np.float32
    assert np.array_equal(bf["image"], np.full((3, 4), 5.0))
    assert bf["valid"].dtype == bool
    assert bf["valid"].all()
    named = ("kind", "series", "epoch", "frames.first", "frames.stop", "final", "units.image", "attrs.radius")
    assert [bf[name] for name in named] == ["image", 4, KEY.epoch.hex(), 0, 5, False, "counts", 2.5]
    assert np.array_equal(data["fps.curve"]["y"], [0, 1, 2])
    assert meta["vd.bf"]["timestamp.tid"] == meta["fps.curve"]["timestamp.tid"] >= 1


def test_each_train_is_newer_and_the_last_result_is_always_seen(session: Session, out: KaraboOut) -> None:
    tids: list[int] = []
    seen: list[int] = []
    with karabo_bridge.Client(out.address, timeout=PATIENCE_S) as client:
        for n in range(1, 60):
            session.publisher.publish(image(n), final=n == 59)
        assert session.publisher.flush(PATIENCE_S)
        while not seen or seen[-1] < 59:
            data, meta = client.next()
            seen.append(int(data["vd.bf"]["frames.stop"]))
            tids.append(meta["vd.bf"]["timestamp.tid"])
    assert seen == sorted(set(seen))
    assert tids == sorted(set(tids))


def test_a_client_that_waits_or_dies_holds_up_no_other(session: Session, out: KaraboOut) -> None:
    session.publisher.publish(image(1))
    with karabo_bridge.Client(out.address, timeout=PATIENCE_S) as idle:
        until(idle, lambda data: True)
        idle._socket.send(b"next")  # there is nothing newer: this one waits
        with karabo_bridge.Client(out.address, timeout=PATIENCE_S) as dies:
            dies._socket.send(b"next")
        with karabo_bridge.Client(out.address, timeout=PATIENCE_S) as other:
            data, _ = other.next()
            assert data["vd.bf"]["frames.stop"] == 1
            session.publisher.publish(image(2))
            data, _ = other.next()
            assert data["vd.bf"]["frames.stop"] == 2
        idle._recv_ready = True
        assert idle.next()[0]["vd.bf"]["frames.stop"] == 2


def test_wrong_requests_and_garbage_cost_nothing(session: Session, out: KaraboOut) -> None:
    session.publisher.publish(image(1))
    context = zmq.Context()
    with context.socket(zmq.REQ) as client, context.socket(zmq.DEALER) as odd:
        client.linger = odd.linger = 0
        client.connect(out.address)
        odd.connect(out.address)
        for parts in ([b"next"], [b""] * 500, [b"", b"next", b"more"], [b"", b"x" * 4000]):
            odd.send_multipart(parts)
        client.send(b"last")
        assert client.recv() == b"Error: bad request last"
        client.send(b"next")
        assert decode(client.recv_multipart()).sources["vd.bf"].arrays["image"].shape == (3, 4)
    context.term()


def test_only_the_topics_asked_for_are_served(session: Session) -> None:
    out = KaraboOut(KaraboOutOptions("tcp://127.0.0.1:*", (session.hub.addresses.control,), topics=("vd.",)))
    with karabo_bridge.Client(out.address, timeout=PATIENCE_S) as client:
        session.publisher.publish(image(1, "other.bf"), final=True)
        session.publisher.publish(image(1), final=True)
        client._socket.send(b"next")
        client._recv_ready = True
        while not client._socket.poll(0):
            out.turn(10)
        assert list(client.next()[0]) == ["vd.bf"]
    out.close()


def test_attributes_that_are_not_plain_are_left_out() -> None:
    result = Result(
        "t", "image", KEY, (0, 1), 1, {"image": np.zeros((1, 1))}, attrs={"a": object(), "b": [1]}
    )
    assert decode(source_parts(result, 1, 1)).fault is None


def test_addresses_that_cannot_be_used(out: KaraboOut) -> None:
    for bind in ("tcp://0.0.0.0:45000", "tcp://*:45000"):
        with pytest.raises(UnauthorisedBindError, match=r"would show the results.*tcp://127.0.0.1:45000"):
            KaraboOut(KaraboOutOptions(bind, ()))
    with pytest.raises(SourceError, match="already in use"):
        KaraboOut(KaraboOutOptions(out.address, ()))
    with pytest.raises(SourceError, match="no port"):
        KaraboOut(KaraboOutOptions("tcp://127.0.0.1", ()))


def test_as_a_process_of_a_session(session: Session) -> None:
    addresses = session.hub.addresses
    options = KaraboOutOptions("tcp://127.0.0.1:*", (addresses.control,), children_address=addresses.children)
    process = multiprocessing.get_context("spawn").Process(target=run_karabo_out, args=(options,))
    process.start()
    ready = threading.Event()
    while not session.told and process.is_alive():
        ready.wait(0.01)
    (name, message), *_ = session.told
    assert (name, message["type"]) == ("karabo-out", "ready")
    session.publisher.publish(image(7), final=True)
    assert session.publisher.flush(PATIENCE_S)
    with karabo_bridge.Client(message["address"], timeout=PATIENCE_S) as client:
        assert client.next()[0]["vd.bf"]["frames.stop"] == 7
    process.terminate()
    process.join(PATIENCE_S)
    assert process.exitcode == 0
