"""The bus between real sockets: latest-only, snapshots, repairs, restarts, hostile peers, stalled viewers."""

from __future__ import annotations

import random
import socket as plain_socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from hub_tools import ServedHub

from livem.errors import SessionError, SourceError, UnauthorisedBindError, UsageError
from livem.stream.bus import Publisher, Subscriber
from livem.stream.bus_codec import encode
from livem.stream.hub import Hub
from livem.stream.results import Result
from livem.stream.series import SeriesKey
from livem.stream.slots import KEPT_MESSAGES, MAX_TOPICS, HubSlots, ViewerSlots

KEY = SeriesKey(b"12345678", 0)


def image(n: int, topic: str = "vd.bf", size: int = 8, **fields: Any) -> Result:
    return Result(topic, "image", KEY, (0, n), n, {"image": np.full((size, size), float(n))}, **fields)


def event(n: int, topic: str = "track.events") -> Result:
    return Result(topic, "event", KEY, (n, n + 1), n, attrs={"n": n})


def value(result: Result | None) -> float:
    assert result is not None
    return float(result.arrays["image"][0, 0])


def upto(n: int) -> Callable[[Result], bool]:
    return lambda result: result.frames[1] >= n


@contextmanager
def served(**options: Any) -> Iterator[Hub]:
    session = ServedHub(**options)
    try:
        yield session.hub
    finally:
        session.close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with served() as hub:
        yield hub


@contextmanager
def publishing(hub: Hub) -> Iterator[Publisher]:
    publisher = Publisher(hub.addresses.results)
    try:
        yield publisher
    finally:
        publisher.close()


def wait_until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    """For what no socket tells; the interval only bounds how often the condition is looked at."""
    deadline, tick = time.monotonic() + timeout, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        tick.wait(0.002)


def gather(take: Callable[[], list[Result]], count: int) -> list[Result]:
    """What ``viewer.events`` or ``viewer.finals`` gives, until there are ``count`` of them."""
    results: list[Result] = []

    def enough() -> bool:
        results.extend(take())
        return len(results) >= count

    wait_until(enough)
    return results


@contextmanager
def live(hub: Hub) -> Iterator[Subscriber]:
    """A subscriber that already gets what is published."""
    with Subscriber(hub.addresses.control) as viewer:
        wait_until(lambda: viewer.state.phase == "live")
        yield viewer


# -- the memories, without sockets -----------------------------------------------------------------


def passed(slots: HubSlots, result: Result) -> Any:
    message = slots.take(result, encode(result))
    assert message is not None
    return message


def test_viewer_slots_keep_the_newest_and_every_final() -> None:
    hub_slots, slots = HubSlots(b"sessions"), ViewerSlots()
    messages = [passed(hub_slots, image(n, final=n % 10 == 9)) for n in range(30)]
    random.Random(1).shuffle(messages)
    for message in [*messages, *messages]:
        slots.put(message)
    (newest,) = slots.take_changed()
    assert newest.stamp.seq == 30
    assert slots.take_changed() == []
    assert sorted(message.stamp.seq for message in slots.take_finals()) == [10, 20, 30]
    assert not slots.behind(hub_slots.topics())


def test_viewer_slots_tell_what_is_missing_and_settle_what_is_gone() -> None:
    hub_slots, slots = HubSlots(b"sessions"), ViewerSlots(["track", "vd.b"])
    events = [passed(hub_slots, event(n)) for n in range(6)]
    finals = [passed(hub_slots, image(n, final=n < 2)) for n in range(3)]
    passed(hub_slots, image(1, "vd.haadf"))
    for message in (events[0], events[1], events[4], finals[1], finals[2]):
        slots.put(message)
    assert slots.behind(hub_slots.topics()) == ["track.events", "vd.bf"]
    for message in hub_slots.everything(["vd.bf"]):
        slots.put(message)
    assert slots.behind(hub_slots.topics()) == ["track.events"]
    slots.put(events[3])
    slots.settle({"track.events": hub_slots.topics()["track.events"]})
    assert slots.forgotten == 2
    slots.put(events[5])
    assert [message.stamp.seq for message in slots.take_events()] == [1, 2, 5, 4]
    assert [message.stamp.seq for message in slots.take_finals()] == [2, 1]


def test_an_event_topic_of_which_nothing_is_left_is_settled_too() -> None:
    slots = ViewerSlots()
    slots.settle({"track.events": (7, 7)})
    assert slots.forgotten == 7


def test_the_memories_are_bounded() -> None:
    hub_slots, slots = HubSlots(b"sessions"), ViewerSlots()
    for n in range(3 * KEPT_MESSAGES):
        slots.put(passed(hub_slots, event(n)))
    assert slots.forgotten == 2 * KEPT_MESSAGES
    assert len(hub_slots.everything(["track.events"])) == len(slots.take_events()) == KEPT_MESSAGES
    for n in range(MAX_TOPICS - 1):
        passed(hub_slots, image(n, f"t.{n}"))
    assert hub_slots.take(image(0, "one.more"), encode(image(0, "one.more"))) is None
    for n in range(20):
        slots.put(passed(hub_slots, image(n, "t.0", size=1024, final=True)))
    assert len(hub_slots.everything(["t.0"])) == 3, "each is 8 MiB and a header"
    assert len(slots.take_finals()) == 7
    assert slots.forgotten == 2 * KEPT_MESSAGES + 13


# -- hub, publisher, subscriber --------------------------------------------------------------------


def test_a_result_reaches_viewer_and_supervisor() -> None:
    came: list[Result] = []
    with served(on_result=came.append) as hub, publishing(hub) as publisher:
        with Subscriber(hub.addresses.control) as viewer:
            assert publisher.publish(image(5, attrs={"centre": [1, 2]}, units={"image": "counts"}))
            result = viewer.wait("vd.bf", 20)
            assert value(result) == 5
            assert result is not None
            assert (result.attrs, result.units) == ({"centre": [1, 2]}, {"image": "counts"})
            assert list(viewer.poll()) == ["vd.bf"]
            assert viewer.poll() == {}
            assert value(viewer.latest("vd.bf")) == 5
            assert viewer.topics() == ("vd.bf",)
            assert viewer.state.phase == "live"
        assert [value(result) for result in came] == [5]


def test_a_flood_leaves_the_newest_and_all_finals(hub: Hub) -> None:
    """Polled seldom (every 500 results), it sees the newest, not a backlog; no final result is missed."""
    with live(hub) as viewer, publishing(hub) as publisher:
        seen: list[float] = []
        for n in range(1, 5001):
            publisher.publish(image(n, size=64, final=n % 1000 == 0))
            if n % 500 == 0:
                seen += [value(result) for result in viewer.poll().values()]
        assert publisher.flush(20)
        assert value(viewer.wait("vd.bf", 20, upto(5000))) == 5000
        finals = gather(viewer.finals, 5)
        assert sorted(map(value, finals)) == [1000, 2000, 3000, 4000, 5000]
        assert seen == sorted(set(seen))
        assert len(seen) <= 10
        assert viewer.forgotten == 0


def test_a_late_joiner_gets_the_snapshot(hub: Hub) -> None:
    with publishing(hub) as publisher:
        for n in range(1, 4):
            publisher.publish(image(n, final=n == 2))
            publisher.publish(event(n))
        publisher.publish(image(9, "den.out"), final=True)
        with Subscriber(hub.addresses.control, ["vd.", "track"]) as viewer:
            assert value(viewer.wait("vd.bf", 20, upto(3))) == 3
            events = gather(viewer.events, 3)
            assert sorted(result.attrs["n"] for result in events) == [1, 2, 3]
            assert [value(result) for result in gather(viewer.finals, 1)] == [2]
            assert viewer.latest("den.out") is None


def test_a_plain_sub_socket_gets_the_snapshot_too(hub: Hub) -> None:
    with publishing(hub) as publisher, zmq.Context() as context, context.socket(zmq.SUB) as script:
        publisher.publish(image(7, final=True))
        with Subscriber(hub.addresses.control) as viewer:
            assert viewer.wait("vd.bf", 20)
        script.setsockopt(zmq.LINGER, 0)
        script.subscribe("vd.")
        script.connect(hub.addresses.bus[-1])
        assert script.poll(20_000)
        assert script.recv_multipart()[0] == b"vd.bf"


def test_fault_19_a_viewer_that_reconnects_gets_the_snapshot_then_updates(hub: Hub) -> None:
    with publishing(hub) as publisher:
        publisher.publish(image(1), final=True)
        for n in range(1, 51):
            with Subscriber(hub.addresses.control) as viewer:
                assert value(viewer.wait("vd.bf", 20, upto(n))) == n
                publisher.publish(image(n + 1), final=True)
                assert value(viewer.wait("vd.bf", 20, upto(n + 1))) == n + 1
        assert publisher.dropped == 0
    assert hub.refused() == {}


def test_two_series_between_two_looks_leave_both_finals(hub: Hub) -> None:
    with live(hub) as viewer, publishing(hub) as publisher:
        publisher.publish(image(1, final=True))
        publisher.publish(image(2, final=True))
        publisher.publish(image(3), final=True)
        publisher.publish(image(4, "end"), final=True)
        assert viewer.wait("end", 20)
        assert sorted(map(value, gather(viewer.finals, 4))) == [1, 2, 3, 4]
        assert value(viewer.wait("vd.bf", 0, lambda result: result.final)) == 3


def test_wait_gives_up_in_time(hub: Hub) -> None:
    with Subscriber(hub.addresses.control) as viewer:
        assert viewer.wait("nothing.here", 0.05) is None


# -- sessions that end and come back ---------------------------------------------------------------


def test_a_restarted_session_is_found_again_and_the_slots_are_cleared() -> None:
    first = ServedHub()
    control = first.hub.addresses.control
    with Subscriber(control) as viewer:
        with publishing(first.hub) as publisher:
            publisher.publish(image(1, "old.topic"), final=True)
            assert viewer.wait("old.topic", 20)
        first.close()
        closed = time.monotonic()
        wait_until(lambda: viewer.state.phase == "lost")
        assert time.monotonic() - closed < 5, "1 s is promised; the rest is for a busy test machine"
        assert "gone" in viewer.state.text
        assert value(viewer.latest("old.topic")) == 1
        with served(control=control) as hub, publishing(hub) as publisher:
            publisher.publish(image(2, "new.topic"), final=True)
            assert value(viewer.wait("new.topic", 20)) == 2
            assert viewer.latest("old.topic") is None
            assert viewer.state.phase == "live"
            assert viewer.session["pid"]


def test_a_session_restarted_on_the_same_bus_is_noticed_by_its_stamp() -> None:
    """Faster than the silence is noticed: the bus reconnects by itself, to another session."""
    first = ServedHub()
    control, bus = first.hub.addresses.control, first.hub.addresses.bus[-1]
    with Subscriber(control) as viewer:
        with publishing(first.hub) as publisher:
            publisher.publish(image(1, "old.topic"), final=True)
            assert viewer.wait("old.topic", 20)
        first.close()
        with served(control=control, bus=bus) as hub, publishing(hub) as publisher:
            publisher.publish(image(2, "new.topic"), final=True)
            assert value(viewer.wait("new.topic", 20)) == 2
            assert viewer.topics() == ("new.topic",)


def test_a_subscriber_that_comes_first_waits_for_the_session() -> None:
    with nobody_there() as address, Subscriber(address) as viewer:
        assert viewer.state.phase == "connecting"
        assert "livem live" in viewer.state.text
        with served(control=address) as hub, publishing(hub) as publisher:
            publisher.publish(image(3), final=True)
            assert value(viewer.wait("vd.bf", 20)) == 3


@contextmanager
def nobody_there() -> Iterator[str]:
    """A TCP address at which nobody listens (yet)."""
    with plain_socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield f"tcp://127.0.0.1:{port}"


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "http://localhost:1", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        Subscriber(address)


# -- nobody slows anybody --------------------------------------------------------------------------


def test_a_stalled_viewer_slows_nobody_and_costs_bounded_memory(hub: Hub) -> None:
    """Two viewers: one never reads. All that is final reaches the other; nothing is dropped at the worker."""
    with zmq.Context() as context, context.socket(zmq.SUB) as stalled:
        stalled.setsockopt(zmq.RCVHWM, 1)
        stalled.setsockopt(zmq.LINGER, 0)
        stalled.subscribe("")
        stalled.connect(hub.addresses.bus[0])
        assert stalled.poll(20_000)
        with Subscriber(hub.addresses.control) as viewer, publishing(hub) as publisher:
            for n in range(1, 301):
                publisher.publish(image(n, size=128), final=True)
                assert publisher.flush(20)
            assert value(viewer.wait("vd.bf", 20, upto(300))) == 300
        waiting = 0
        while stalled.poll(0):
            stalled.recv_multipart()
            waiting += 1
        assert waiting < 300, "the stalled viewer's queue must drop, not grow"


def test_what_the_bus_dropped_is_asked_for_again() -> None:
    """More topics at once than a viewer's queue holds: the rest comes over the control channel."""
    with served() as hub:
        topics = [f"t.{n}" for n in range(200)]
        with Subscriber(hub.addresses.control) as viewer, publishing(hub) as publisher:
            for topic in topics:
                publisher.publish(image(1, topic, size=128), final=True)
            for n in range(100):
                publisher.publish(event(n))
            assert publisher.flush(20)
            events = gather(viewer.events, 100)
            wait_until(lambda: set(viewer.topics()) == {*topics, "track.events"})
            assert sorted(result.attrs["n"] for result in events) == list(range(100))
            assert viewer.forgotten == 0


def test_a_publisher_without_a_hub_drops_what_is_not_final_and_keeps_the_rest(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="lv") as directory:
        publisher = Publisher(f"ipc://{directory}/results")
        for n in range(1, 101):
            publisher.publish(image(n))
        assert publisher.dropped > 0
        for n in range(101, 121):
            assert publisher.publish(image(n), final=True)
            assert publisher.publish(event(n))
        assert not publisher.publish(image(200))
        assert not publisher.flush(0.01)
        came: list[Result] = []
        with zmq.Context() as context, context.socket(zmq.PULL) as pull:
            pull.bind(f"ipc://{directory}/results")
            collect = threading.Thread(target=_collect, args=(pull, came, 40))
            collect.start()
            assert publisher.flush(20)
            collect.join()
        publisher.close()
        finals = [result.frames[1] for result in came if result.final]
        assert finals == list(range(101, 121))


def _collect(pull: Any, came: list[Result], wanted: int) -> None:
    from livem.stream.bus_codec import decode

    while sum(r.final or r.kind == "event" for r in came) < wanted:
        assert pull.poll(20_000)
        result = decode(pull.recv_multipart())
        assert isinstance(result, Result)
        came.append(result)


def publish_finals(publisher: Publisher, count: int) -> None:
    for n in range(count):
        publisher.publish(image(n), final=True)


def test_a_publisher_says_when_the_hub_is_gone_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livem.stream.bus.BLOCKED_S", 0.02)
    monkeypatch.setattr("livem.stream.bus.BACKLOG_BYTES", 10_000)
    with tempfile.TemporaryDirectory(prefix="lv") as directory:
        publisher = Publisher(f"ipc://{directory}/nobody")
        with pytest.raises(SessionError, match="has taken no result"):
            publish_finals(publisher, 100)
        assert publisher.close(0.01) is False


def test_arrays_may_change_right_after_publish(hub: Hub) -> None:
    with live(hub) as viewer, publishing(hub) as publisher:
        array = np.zeros((256, 256))
        for n in range(1, 21):
            array[:] = n
            publisher.publish(Result("a.b", "image", KEY, (0, n), n, {"image": array}), final=True)
            array[:] = -1
        assert publisher.flush(20)
        contents = [np.unique(result.arrays["image"]).tolist() for result in gather(viewer.finals, 20)]
        assert sorted(contents) == [[n] for n in range(1, 21)]


# -- hostile peers ---------------------------------------------------------------------------------


def garbage(rng: random.Random) -> list[bytes]:
    good = [bytes(part) for part in encode(image(1))]
    match rng.randrange(4):
        case 0:
            return [rng.randbytes(rng.randrange(100)) for _ in range(rng.randrange(1, 6))]
        case 1:
            return good[: rng.randrange(1, 3)]
        case 2:
            part = rng.randrange(3)
            broken = bytearray(good[part])
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
            return [*good[:part], bytes(broken), *good[part + 1 :]]
    return [b"heartbeat", *good[1:]]


@pytest.mark.parametrize("seed", range(3))
def test_hostile_bytes_on_every_socket_change_nothing(hub: Hub, seed: int) -> None:
    rng = random.Random(seed)
    addresses = hub.addresses
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        peers = [
            (zmq.PUSH, addresses.results),
            (zmq.DEALER, addresses.control),
            (zmq.REQ, addresses.control),
            (zmq.DEALER, addresses.children),
            (zmq.XSUB, addresses.bus[0]),
            (zmq.XSUB, addresses.bus[1]),
        ]
        for kind, address in peers:
            peer = stack.enter_context(context.socket(kind))
            peer.setsockopt(zmq.LINGER, 0)
            peer.setsockopt(zmq.SNDTIMEO, 2000)
            peer.connect(address)
            for _ in range(1 if kind == zmq.REQ else 150):
                peer.send_multipart(garbage(rng))
        wait_until(lambda: sum(hub.refused().values()) > 200)
        with publishing(hub) as publisher, Subscriber(hub.addresses.control, ["sound"]) as viewer:
            publisher.publish(image(1, "sound"), final=True)
            assert value(viewer.wait("sound", 20)) == 1


def test_fault_18_port_scans_are_counted_and_change_nothing(hub: Hub) -> None:
    rng = random.Random(5)
    scans = [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 20, b"\xff" * 100, b"\x00" * 64, b""]
    scans += [b"\xff" + bytes(8) + b"\x7f" + rng.randbytes(80) for _ in range(20)]
    for address in (hub.addresses.control, hub.addresses.bus[-1]):
        host, port = address.removeprefix("tcp://").split(":")
        for scan in scans:
            with plain_socket.create_connection((host, int(port))) as scanner:
                scanner.sendall(scan)
    with publishing(hub) as publisher, Subscriber(hub.addresses.control) as viewer:
        publisher.publish(image(1), final=True)
        assert viewer.wait("vd.bf", 20)
    wait_until(lambda: hub.refused().get("failed handshake", 0) > 0)


def test_a_flood_of_topics_is_bounded(hub: Hub) -> None:
    with publishing(hub) as publisher, Subscriber(hub.addresses.control) as viewer:
        for n in range(MAX_TOPICS + 20):
            publisher.publish(image(n, f"t.{n}", size=2), final=True)
        assert publisher.flush(20)
        wait_until(lambda: hub.refused().get("too many topics") == 20)
        assert viewer.wait("t.0", 20)


def test_an_address_beyond_this_machine_needs_the_explicit_flag() -> None:
    with tempfile.TemporaryDirectory(prefix="lv") as directory:
        with pytest.raises(UnauthorisedBindError):
            Hub(Path(directory), "test", control="tcp://0.0.0.0:*")
        Hub(Path(directory), "test", control="tcp://0.0.0.0:*", insecure=True).close()


def test_an_address_in_use_is_told_and_leaves_nothing_open(hub: Hub) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="lv") as directory,
        pytest.raises(SourceError, match="choose another address or port"),
    ):
        Hub(Path(directory), "test", control=hub.addresses.control)


def test_threads_end_and_contexts_terminate() -> None:
    before = set(threading.enumerate())
    for _ in range(5):
        with served() as hub, publishing(hub), Subscriber(hub.addresses.control):
            pass
    with nobody_there() as address:
        Subscriber(address).close()
    assert set(threading.enumerate()) <= before
