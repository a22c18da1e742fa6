"""Trains as a source: identity from train numbers, series that karabo does not know, servers that go away."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import karabo_bridge
import numpy as np
import pytest
import zmq
from karabo_bridge.serializer import serialize
from karabo_bridge.server import ServerInThread
from karabo_bridge.simulation import data_generator

from livem.errors import SourceError
from livem.stream.karabo_wire import decode, encode, stamp
from livem.stream.messages import (
    DEFAULT_LIMITS,
    End,
    FrameBatch,
    Limits,
    Message,
    Reason,
    Rejected,
    Start,
    check,
)
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.sources.detector_url import parse_detector_url
from livem.stream.sources.karabo.series import Reading, TrainReader
from livem.stream.sources.karabo.source import KaraboSource, open_karabo

PATIENCE_S = 20.0
FRAMES = np.arange(2 * 4 * 6, dtype=np.uint16).reshape(2, 4, 6)


def parts_of(
    tid: int | None, frames: Any = FRAMES, path: str = "image.data", source: str = "det"
) -> list[Any]:
    meta = {} if tid is None else {"timestamp.tid": tid, "timestamp.sec": "5", "timestamp.frac": "0" * 18}
    parts: list[Any] = serialize({source: {path: frames, "n": 1}}, {source: meta})
    return parts


def read(reader: TrainReader, *parts: list[Any]) -> list[Message]:
    return list(itertools.chain(*(reader.read(decode(each, DEFAULT_LIMITS)) for each in parts)))


def reader_of(**reading: Any) -> TrainReader:
    return TrainReader(Reading(**reading), DEFAULT_LIMITS)


def brief(messages: list[Message]) -> list[tuple[Any, ...]]:
    """What matters of messages, for comparison."""
    told: list[tuple[Any, ...]] = []
    for message in messages:
        if isinstance(message, Start):
            told.append(("start", message.series.key.number))
        elif isinstance(message, FrameBatch):
            told.append(("frames", message.key.number, message.first, message.count))
        elif isinstance(message, End):
            told.append(("end", message.key.number, message.count))
        else:
            told.append(("rejected", message.reason, message.first, message.count))
    return told


# -- which frame is which ----------------------------------------------------------------------------


def test_the_first_train_announces_a_series_and_train_numbers_place_the_frames() -> None:
    messages = read(reader_of(), parts_of(100), parts_of(101), parts_of(104))
    start = messages[0]
    assert isinstance(start, Start)
    series = start.series
    assert (series.shape, series.dtype, series.encoding, series.count) == ((4, 6), "uint16", "raw", None)
    assert series.meta["detector"] == "det"
    assert brief(messages[1:]) == [("frames", 1, 0, 2), ("frames", 1, 2, 2), ("frames", 1, 8, 2)]
    batch = messages[1]
    assert isinstance(batch, FrameBatch)
    assert batch.time_ns == 5_000_000_000
    assert check(batch, series) is None
    assert np.array_equal(batch.payload.view(np.uint16).reshape(2, 4, 6), FRAMES)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(">u2", "uint16"), ("bool", "uint8"), ("int8", "int16"), ("float16", "float32"), (">f8", "float64")],
)
def test_frames_of_every_dtype_keep_their_values(sent: str, kept: str) -> None:
    frames = np.array([[0, 1], [1, 0]], sent)
    start, batch = read(reader_of(), parts_of(1, frames))
    assert isinstance(start, Start)
    assert isinstance(batch, FrameBatch)
    assert (start.series.dtype, batch.count) == (kept, 1)
    assert np.array_equal(batch.payload.view(start.series.numpy_dtype).reshape(2, 2), frames)


def test_the_array_that_is_asked_for_is_taken_and_otherwise_the_first_of_2_or_3_dimensions() -> None:
    parts = serialize(
        {
            "a": {"line": np.zeros(3), "cube": np.zeros((1, 1, 2, 2))},
            "b": {"x": FRAMES[0], "y": FRAMES[0] + 1},
        },
        {name: {"timestamp.tid": 1} for name in "ab"},
    )
    for reading, value in (
        ({}, 0),
        ({"path": "y"}, 1),
        ({"source": "b", "path": "y"}, 1),
        ({"source": "b"}, 0),
    ):
        batch = read(reader_of(**reading), parts)[1]
        assert isinstance(batch, FrameBatch)
        assert batch.payload.view(np.uint16)[0] == value
    (rejected,) = read(reader_of(source="a", path="y"), parts)
    assert isinstance(rejected, Rejected)
    assert "b/x (4, 6) uint16, b/y (4, 6) uint16" in rejected.detail
    (rejected,) = read(reader_of(path="cube"), parts)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.BAD_SHAPE
    (rejected,) = read(reader_of(path="line"), parts)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.BAD_SHAPE


def test_another_source_that_joins_later_changes_nothing() -> None:
    reader = reader_of()
    both = parts_of(2, FRAMES + 1, source="a") + parts_of(2)
    messages = read(reader, parts_of(1), both, parts_of(3, source="a"))
    assert brief(messages)[1:] == [
        ("frames", 1, 0, 2),
        ("frames", 1, 2, 2),
        ("rejected", Reason.BAD_PARTS, 4, 2),
    ]
    batch = messages[2]
    assert isinstance(batch, FrameBatch)
    assert batch.payload.view(np.uint16)[0] == 0


def test_a_train_without_number_is_refused_unless_order_of_arrival_is_asked_for() -> None:
    (rejected,) = read(reader_of(), parts_of(None))
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.BAD_INDEX
    assert "index=arrival" in rejected.detail
    told = brief(read(reader_of(by_arrival=True), parts_of(None), [b"garbage"], parts_of(None)))
    assert told[1:] == [
        ("frames", 1, 0, 2),
        ("rejected", Reason.BAD_VERSION, None, None),
        ("frames", 1, 4, 2),
    ]


# -- where series begin and end ----------------------------------------------------------------------


def test_count_ends_a_series_and_the_next_train_begins_another() -> None:
    reader = reader_of(count=3, scan=Scan((1, 3)))
    messages = read(reader, parts_of(5), parts_of(6), parts_of(6), parts_of(9), parts_of(20))
    assert brief(messages) == [
        ("start", 1),
        ("frames", 1, 0, 2),
        ("frames", 1, 2, 1),
        ("end", 1, 3),
        ("frames", 1, 2, 1),  # the same train again: the assembler's to count
        ("start", 2),
        ("frames", 2, 0, 2),
        ("start", 3),  # the rest of the second series never came
        ("frames", 3, 0, 2),
    ]
    keys = [message.series.key for message in messages if isinstance(message, Start)]
    assert len({key.epoch for key in keys}) == 1


def test_other_shapes_and_types_begin_another_series() -> None:
    wider, signed, more = FRAMES[:, :, :5], FRAMES[:, :, :5].astype(np.int16), np.zeros((3, 4, 5), np.int16)
    told = brief(
        read(reader_of(), *(parts_of(tid, f) for tid, f in enumerate([FRAMES, wider, signed, more])))
    )
    assert [each for each in told if each[0] != "frames"] == [
        ("start", 1),
        ("end", 1, None),
        ("start", 2),
        ("end", 2, None),
        ("start", 3),
        ("end", 3, None),
        ("start", 4),
    ]


def test_a_shorter_train_leaves_a_gap() -> None:
    told = brief(read(reader_of(), parts_of(1), parts_of(2, FRAMES[:1]), parts_of(3)))
    assert told[1:] == [("frames", 1, 0, 2), ("frames", 1, 2, 1), ("frames", 1, 4, 2)]


def test_a_late_train_comes_to_its_place_and_shifts_nothing() -> None:
    told = brief(read(reader_of(count=16), *map(parts_of, [100, 101, 102, 105, 103, 106, 104, 107])))
    places = [("frames", 1, index, 2) for index in (0, 2, 4, 10, 6, 12, 8, 14)]
    assert told == [("start", 1), *places, ("end", 1, 16)]


def test_a_train_that_comes_behind_the_end_of_its_series_belongs_to_it_all_the_same() -> None:
    told = brief(read(reader_of(count=6), *map(parts_of, [1, 3, 4, 2, 5, 6])))
    assert told == [
        ("start", 1),
        ("frames", 1, 0, 2),
        ("frames", 1, 4, 2),
        ("end", 1, 6),
        ("start", 2),
        ("frames", 2, 0, 2),
        ("frames", 1, 2, 2),
        ("frames", 2, 2, 2),
        ("frames", 2, 4, 2),
        ("end", 2, 6),
    ]


@pytest.mark.parametrize(("trains", "epochs"), [((9, 30, 10), 1), ((9, 90, 10), 2), ((9, 10, 9), 2)])
def test_only_a_train_far_behind_or_a_second_time_begins_an_epoch(
    trains: tuple[int, ...], epochs: int
) -> None:
    messages = read(reader_of(), *map(parts_of, trains))
    assert len({message.series.key.epoch for message in messages if isinstance(message, Start)}) == epochs


def test_a_late_train_that_is_broken_is_charged_with_its_frames() -> None:
    broken = parts_of(2)
    broken[-1] = bytes(broken[-1])[:5]
    told = brief(read(reader_of(), parts_of(1), parts_of(4), broken))
    assert told[-1] == ("rejected", Reason.PAYLOAD_SIZE, 2, 2)


def test_a_train_of_more_frames_than_a_message_may_have_is_refused() -> None:
    reader = TrainReader(Reading(), Limits(max_batch_frames=1))
    assert brief(read(reader, parts_of(1))) == [("rejected", Reason.BAD_COUNT, None, None)]
    assert brief(read(reader, parts_of(2, FRAMES[:1])))[-1] == ("frames", 1, 0, 1)


def test_train_numbers_that_go_back_are_another_epoch() -> None:
    messages = read(reader_of(), parts_of(9), parts_of(8))
    first, second = (message.series.key for message in messages if isinstance(message, Start))
    assert first.epoch != second.epoch
    assert brief(messages)[2:] == [("start", 1), ("frames", 1, 0, 2)]


def test_a_train_absurdly_far_ahead_begins_another_series() -> None:
    told = brief(read(reader_of(), parts_of(9), parts_of(9 + (1 << 40))))
    assert told[2:] == [("start", 2), ("frames", 2, 0, 2)]


def test_a_broken_train_is_charged_with_its_frames() -> None:
    broken = parts_of(2)
    broken[-1] = bytes(broken[-1])[:5]
    told = brief(read(reader_of(), parts_of(1), broken, parts_of(3)))
    assert told[1:] == [
        ("frames", 1, 0, 2),
        ("rejected", Reason.PAYLOAD_SIZE, 2, 2),
        ("frames", 1, 4, 2),
    ]


def test_a_source_that_starts_again_goes_on_with_the_series() -> None:
    start = read(reader_of(), parts_of(100))[0]
    assert isinstance(start, Start)
    reader = reader_of()
    reader.resume(start.series)
    (batch,) = read(reader, parts_of(103))
    assert isinstance(batch, FrameBatch)
    assert (batch.key, batch.first) == (start.series.key, 6)


# -- trains of a livem sender ------------------------------------------------------------------------


def marked(index: int, /, **changes: Any) -> list[Any]:
    mark = {
        "epoch": b"8 bytes!",
        "series": 3,
        "index": index,
        "frames": 2,
        "shape": [4, 6],
        "dtype": "uint16",
    }
    metadata = stamp("det", 1, None) | {"livem": mark | {"count": 9, "meta": {"title": "t"}} | changes}
    return list(encode("det", metadata, {}, {"image.data": FRAMES}))


def test_a_livem_sender_says_which_frames_they_are() -> None:
    reader = reader_of()
    messages = read(reader, marked(4), marked(0), marked(0, end=6))
    assert brief(messages) == [("start", 3), ("frames", 3, 4, 2), ("frames", 3, 0, 2), ("end", 3, 6)]
    start = messages[0]
    assert isinstance(start, Start)
    assert start.series == Series(SeriesKey(b"8 bytes!", 3), (4, 6), "uint16", count=9, meta={"title": "t"})
    again = reader_of()
    again.resume(start.series)
    assert brief(read(again, marked(6))) == [("frames", 3, 6, 2)]


def test_a_series_is_announced_even_by_a_train_whose_frames_are_broken() -> None:
    broken = marked(0)
    broken[-1] = bytes(broken[-1])[:7]
    told = brief(read(reader_of(), broken, marked(2)))
    assert told == [("start", 3), ("rejected", Reason.PAYLOAD_SIZE, 0, 2), ("frames", 3, 2, 2)]


@pytest.mark.parametrize(
    ("changes", "reason", "first"),
    [
        ({"epoch": b"short"}, Reason.BAD_EPOCH, None),
        ({"series": -1}, Reason.BAD_SERIES, None),
        ({"index": "0"}, Reason.BAD_INDEX, None),
        ({"frames": 1 << 30}, Reason.BAD_COUNT, None),
        ({"frames": 3}, Reason.BAD_COUNT, 4),
        ({"shape": [4, 5]}, Reason.BAD_SHAPE, 4),
        ({"dtype": "int16"}, Reason.BAD_SHAPE, 4),
        ({"dtype": "object"}, Reason.BAD_DTYPE, 4),
        ({"scan": 3}, Reason.BAD_SCAN, 4),
        ({"end": -1}, Reason.BAD_COUNT, 4),
    ],
)
def test_wrong_marks_are_rejected(changes: dict[str, Any], reason: Reason, first: int | None) -> None:
    message = read(reader_of(), marked(4, **changes))[-1]
    assert isinstance(message, Rejected)
    assert (message.reason, message.first) == (reason, first)


# -- over sockets ------------------------------------------------------------------------------------

Bound = Callable[[int], "tuple[zmq.Socket[bytes], int]"]


def is_complete(messages: list[Message]) -> bool:
    return any(isinstance(message, End) for message in messages)


def follow(source: KaraboSource, done: Callable[[list[Message]], bool] = is_complete) -> list[Message]:
    """What a loop as ingest's receives until ``done``; fails after PATIENCE_S."""
    poller = zmq.Poller()
    for pollable in source.pollables():
        poller.register(pollable, zmq.POLLIN)
    messages: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while not done(messages):
        assert time.monotonic() < deadline, messages
        due = source.due_ns()
        wait_ns = 500_000_000 if due is None else min(max(0, due - time.monotonic_ns()), 500_000_000)
        poller.poll(-(-wait_ns // 1_000_000))
        while (message := source.receive()) is not None:
            messages.append(message)
        source.link()
    return messages


@pytest.fixture
def sources() -> Iterator[Callable[[str], KaraboSource]]:
    opened: list[KaraboSource] = []

    def make(url: str) -> KaraboSource:
        opened.append(open_karabo(parse_detector_url(url)))
        opened[-1].open()
        return opened[-1]

    yield make
    for source in opened:
        source.close()
        source.close()


@pytest.fixture
def bound() -> Iterator[Callable[[int], tuple[zmq.Socket[bytes], int]]]:
    """Sockets of a peer, bound, and their ports."""
    context = zmq.Context()
    sockets: list[zmq.Socket[bytes]] = []

    def make(kind: int) -> tuple[zmq.Socket[bytes], int]:
        sockets.append(context.socket(kind))
        return sockets[-1], sockets[-1].bind_to_random_port("tcp://127.0.0.1")

    yield make
    context.destroy(linger=0)


def feed(server: ServerInThread, first: int, last: int) -> None:
    for tid in range(first, last):
        server.feed({"det": {"image.data": FRAMES + tid}}, {"det": {"timestamp.tid": tid}})


def address(server: ServerInThread) -> str:
    return str(server.endpoint).replace("tcp://", "karabo://")


def pixels(messages: list[Message]) -> dict[int, int]:
    """First pixel of the first frame of each train of the first series, by the frame's index."""
    batches = [message for message in messages if isinstance(message, FrameBatch) and message.key.number == 1]
    return {batch.first: int(batch.payload.view(np.uint16)[0]) for batch in batches}


@pytest.mark.parametrize(("theirs", "ours"), [("REP", "req"), ("PUSH", "pull")])
def test_the_foreign_server_is_read_to_the_end(
    sources: Callable[[str], KaraboSource], theirs: str, ours: str
) -> None:
    with ServerInThread("tcp://127.0.0.1:*", sock=theirs, maxlen=40) as server:
        source = sources(f"{address(server)}?socket={ours}&count=40&scan=5x8")
        feed(server, 3, 23)
        messages = follow(source)
    assert pixels(messages) == {2 * k: 3 + k for k in range(20)}
    start = messages[0]
    assert isinstance(start, Start)
    assert (start.series.scan, start.series.count) == (Scan((5, 8)), 40)
    assert source.link().peers in (0, 1)


def test_a_publishing_server_is_read(sources: Callable[[str], KaraboSource], bound: Bound) -> None:
    publisher, port = bound(zmq.XPUB)
    source = sources(f"karabo://127.0.0.1:{port}?socket=sub&count=4")
    assert publisher.poll(int(PATIENCE_S * 1000))
    publisher.recv()
    publisher.send_multipart(parts_of(1))
    publisher.send_multipart(parts_of(2))
    assert brief(follow(source))[-1] == ("end", 1, 4)


def test_trains_that_the_server_gave_to_others_are_a_gap(sources: Callable[[str], KaraboSource]) -> None:
    with ServerInThread("tcp://127.0.0.1:*", maxlen=40) as server:
        source = sources(f"{address(server)}?count=18")
        feed(server, 0, 3)
        messages = follow(source, lambda messages: len(messages) > 3)
        with karabo_bridge.Client(server.endpoint, timeout=PATIENCE_S) as other:
            feed(server, 3, 5)  # one for each of two requests, whichever came first
            _, meta = other.next()
        feed(server, 5, 9)
        messages += follow(source)
    gone = meta["det"]["timestamp.tid"]
    assert gone in (3, 4)
    assert pixels(messages) == {2 * tid: tid for tid in range(9) if tid != gone}


def test_a_request_to_a_server_that_dies_is_made_again(sources: Callable[[str], KaraboSource]) -> None:
    first = ServerInThread("tcp://127.0.0.1:*")
    first.start()
    endpoint = first.endpoint
    source = sources(f"{address(first)}?count=8")
    feed(first, 1, 3)
    messages = follow(source, lambda messages: len(messages) == 3)
    first.stop()  # with our request in its hands
    follow_until_gone(source)
    with ServerInThread(endpoint) as second:
        feed(second, 3, 5)
        messages += follow(source)
    assert brief(messages)[-1] == ("end", 1, 8)
    assert pixels(messages) == {0: 1, 2: 2, 4: 3, 6: 4}


def follow_until_gone(source: KaraboSource) -> None:
    monitor, deadline = source.pollables()[1], time.monotonic() + PATIENCE_S
    while source.link().peers or not source.link().ever_connected:
        assert time.monotonic() < deadline
        monitor.poll(100)


def test_a_lost_answer_is_asked_for_again(
    sources: Callable[[str], KaraboSource], bound: Bound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that swallows a request gives no sign of it."""
    monkeypatch.setattr("livem.stream.sources.karabo.source.PATIENCE_NS", 50_000_000)
    server, port = bound(zmq.ROUTER)
    source = sources(f"karabo://127.0.0.1:{port}?count=2")
    asked: list[list[bytes]] = []

    def twice(messages: list[Message]) -> bool:
        while server.poll(0):
            asked.append(server.recv_multipart())
        return len(asked) >= 2

    assert not follow(source, twice)
    assert asked[0][1:] == [b"", b"next"]
    server.send_multipart([asked[1][0], b"", *parts_of(1)])
    assert brief(follow(source))[-1] == ("end", 1, 2)


def test_garbage_is_counted_and_said(sources: Callable[[str], KaraboSource], bound: Bound) -> None:
    server, port = bound(zmq.PUSH)
    source = sources(f"karabo://127.0.0.1:{port}?socket=pull")
    for parts in ([b"x"], [b""] * 2000, [b"\xc1", b"", b"\xff"], parts_of(1)):
        server.send_multipart(parts)
    messages = follow(source, lambda messages: len(messages) >= 3)
    reasons = [message.reason for message in messages if isinstance(message, Rejected)]
    assert reasons == [Reason.BAD_VERSION, Reason.BAD_PARTS, Reason.BAD_HEADER]
    if len(messages) == 3:
        assert "the last train was not used: the header is not msgpack" in source.link().detail
        messages += follow(source, lambda messages: len(messages) >= 2)
    assert brief(messages)[3:] == [("start", 1), ("frames", 1, 0, 2)]
    assert "not used" not in source.link().detail


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("karabo://127.0.0.1", "has no port"),
        ("karabo://127.0.0.1:1?sockets=req", "did you mean 'socket'"),
        ("karabo://127.0.0.1:1?socket=dealer", "socket=dealer is not one of req, pull, sub"),
        ("karabo://127.0.0.1:1?scan=3", "scan=3 is not NYxNX"),
        ("karabo://127.0.0.1:1?scan=0x3", "scan=0x3 is not NYxNX"),
        ("karabo://127.0.0.1:1?scan=65536x65536", "4,294,967,296 pixels, the limit is 268,435,456"),
        ("karabo://127.0.0.1:1?count=0", "count=0 is no number of frames"),
        ("karabo://127.0.0.1:1?index=time", "index=time is not one of tid, arrival"),
    ],
)
def test_wrong_parameters_say_what_is_right(url: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_karabo(parse_detector_url(url))


def test_an_unknown_host_is_said_at_opening() -> None:
    with pytest.raises(SourceError, match="does not know the host"):
        open_karabo(parse_detector_url("karabo://no.such.host.invalid:1")).open()
    with pytest.raises(SourceError, match="is not open"):
        open_karabo(parse_detector_url("karabo://127.0.0.1:1")).receive()


def test_trains_of_the_foreign_simulation(sources: Callable[[str], KaraboSource]) -> None:
    """A detector module of the European XFEL, as the package simulates it: other arrays travel beside it."""
    trains = list(
        itertools.islice(data_generator("AGIPDModule", raw=True, datagen="zeros", data_like="file"), 2)
    )
    for tid, (data, _) in enumerate(trains):
        (name,) = data
        data[name]["image.data"] += np.uint16(tid + 1)
    with ServerInThread("tcp://127.0.0.1:*") as server:
        source = sources(f"{address(server)}?path=image.data&count=128")
        for data, meta in trains:
            server.feed(data, meta)
        messages = follow(source)
    start = messages[0]
    assert isinstance(start, Start)
    assert (start.series.shape, start.series.dtype) == ((512, 128), "uint16")
    assert start.series.meta["detector"] == "SPB_DET_AGIPD1M-1/DET/0CH0:xtdf"
    assert brief(messages)[1:] == [("frames", 1, 0, 64), ("frames", 1, 64, 64), ("end", 1, 128)]
    assert pixels(messages) == {0: 1, 64: 2}
