"""Trains that come after the end of their series: to their places, or counted; never another series."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from karabo_bridge.serializer import serialize

from livem.stream.accounting import Accounts
from livem.stream.assembler import Assembler
from livem.stream.ingest import MS, AssemblerOptions
from livem.stream.karabo_wire import decode, encode, stamp
from livem.stream.messages import DEFAULT_LIMITS, End, FrameBatch, Message, Rejected, Start
from livem.stream.policy import Policy
from livem.stream.ring import ReaderSpec, Ring
from livem.stream.ring_writer import RingWriter
from livem.stream.sources.karabo.series import Reading, TrainReader

FRAMES = np.arange(2 * 4 * 6, dtype=np.uint16).reshape(2, 4, 6)
END_GRACE_MS = AssemblerOptions().end_grace_ns / MS


def train(tid: int, frames: Any = FRAMES, **more: Any) -> list[Any]:
    """One train of two frames; ``more``: other sources with frames, before it."""
    names = {**more, "det": frames}
    data = {name: {"image.data": array} for name, array in names.items()}
    meta = {name: {"timestamp.tid": tid, "timestamp.sec": "5", "timestamp.frac": "0" * 18} for name in names}
    parts: list[Any] = serialize(data, meta)
    return parts


def marked(number: int, index: int, **changes: Any) -> list[Any]:
    """One train of a livem sender's series."""
    mark = {"epoch": b"8 bytes!", "series": number, "index": index, "frames": 2, "shape": [4, 6]}
    metadata = stamp("det", 1, None) | {"livem": mark | {"dtype": "uint16", "count": 6} | changes}
    return list(encode("det", metadata, {}, {"image.data": FRAMES}))


def read(reader: TrainReader, *parts: list[Any]) -> list[Message]:
    return list(itertools.chain(*(reader.read(decode(each, DEFAULT_LIMITS)) for each in parts)))


def places(messages: list[Message]) -> list[tuple[str, int | None, int | None]]:
    """What each message is, its series, and its first frame (an end: how many there were)."""
    told: list[tuple[str, int | None, int | None]] = []
    for message in messages:
        if isinstance(message, Start):
            told.append(("start", message.series.key.number, None))
        elif isinstance(message, FrameBatch):
            told.append(("frames", message.key.number, message.first))
        elif isinstance(message, End):
            told.append(("end", message.key.number, message.count))
        else:
            told.append(("rejected", message.key.number if message.key else None, message.first))
    return told


class Bench:
    """Trains through reader and assembler into the accounts; the test moves the clock."""

    def __init__(self, **reading: Any) -> None:
        self.ring = Ring.create(1 << 20, [ReaderSpec("vd", Policy.parse("latest"))])
        self.writer = RingWriter(self.ring.writer_port())
        self.assembler = Assembler(self.writer, AssemblerOptions())
        self.accounts = Accounts(self.ring)
        self.reader, self.now = TrainReader(Reading(**reading), DEFAULT_LIMITS), 1_000_000_000

    def take(self, *trains: list[Any]) -> None:
        for message in read(self.reader, *trains):
            self.assembler.feed(message, self.now)

    def after(self, ms: float) -> None:
        self.now += int(ms * MS)
        self.assembler.tick(self.now)

    def told(self, serial: int = 0) -> tuple[str, int, int]:
        account = self.accounts.of(serial)
        return account["state"], account["received"], account["lost"]


@pytest.fixture
def bench() -> Iterator[Any]:
    made: list[Bench] = []

    def make(**reading: Any) -> Bench:
        made.append(Bench(**reading))
        return made[-1]

    yield make
    for one in made:
        one.accounts.close()
        one.writer.close()
        one.ring.close()


def test_a_train_soon_after_the_end_completes_its_series(bench: Any) -> None:
    b = bench(count=6)
    b.take(train(1), train(3))  # the last frame: the end is said
    assert b.told()[0] == "open"
    b.take(train(2))
    b.after(END_GRACE_MS + 1)
    assert (b.told(), b.accounts.series_count(), b.accounts.unascribed()) == (("complete", 6, 0), 1, {})


def test_a_train_long_after_the_end_is_counted_and_begins_nothing(bench: Any) -> None:
    b = bench(count=6)
    b.take(train(1), train(3))
    b.after(20 * END_GRACE_MS)
    assert b.told() == ("incomplete", 4, 2)
    b.take(train(2))
    assert (b.told(), b.accounts.series_count()) == (("incomplete", 4, 2), 1)
    assert b.accounts.unascribed() == {"after_end": 2}
    b.take(train(4))
    assert b.accounts.series_count() == 2


def test_a_train_that_comes_again_after_the_end_begins_nothing(bench: Any) -> None:
    b = bench(count=4)
    b.take(train(1), train(2), train(2))
    b.after(20 * END_GRACE_MS)
    b.take(train(2))
    assert (b.told(), b.accounts.series_count()) == (("complete", 4, 0), 1)


def test_a_late_train_is_read_where_its_series_was_though_other_frames_have_joined() -> None:
    other = np.zeros((1, 9, 9), np.uint16)
    reader = TrainReader(Reading(count=6), DEFAULT_LIMITS)
    told = places(read(reader, train(1), train(3), train(2, camera=other)))
    assert told == [("start", 1, None), ("frames", 1, 0), ("frames", 1, 4), ("end", 1, 6), ("frames", 1, 2)]


def test_a_broken_late_train_is_charged_with_its_frames() -> None:
    broken = train(2)
    broken[-1] = bytes(broken[-1])[:5]
    reader = TrainReader(Reading(count=6), DEFAULT_LIMITS)
    assert places(read(reader, train(1), train(3), broken))[-1] == ("rejected", 1, 2)


def test_a_livem_senders_train_after_its_end_is_one_of_its_series(bench: Any) -> None:
    b = bench()
    b.take(marked(3, 0), marked(3, 4), marked(3, 0, end=6), marked(3, 2))
    b.after(END_GRACE_MS + 1)
    assert (b.told(), b.accounts.series_count()) == (("complete", 6, 0), 1)


def test_a_livem_senders_train_behind_the_next_series_does_not_end_that_one(bench: Any) -> None:
    b = bench()
    b.take(marked(3, 0), marked(3, 4), marked(3, 0, end=6), marked(4, 0))
    b.take(marked(3, 2), marked(4, 2), marked(4, 4), marked(4, 0, end=6))
    assert b.accounts.series_count() == 2
    assert (b.told(0), b.told(1)) == (("incomplete", 4, 2), ("complete", 6, 0))
    assert b.accounts.unascribed() == {"after_end": 2}


def test_late_trains_of_another_shape_than_the_next_series_fit_their_own() -> None:
    reader = TrainReader(Reading(), DEFAULT_LIMITS)
    messages = read(reader, marked(3, 0), marked(4, 0, shape=[4, 3]), marked(3, 2))
    assert places(messages)[-1] == ("frames", 3, 2)
    assert isinstance(messages[2], Start)
    assert isinstance(messages[3], Rejected)  # the next series' own frames are not as announced
