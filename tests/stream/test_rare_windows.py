"""Crashes between two stores, stolen wake-ups, full tables, clocks that jump: what rarely happens."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from livem.stream import ring_writer, segment, wire
from livem.stream.accounting import Accounts
from livem.stream.assembler import Assembler
from livem.stream.ingest import MS, AssemblerOptions
from livem.stream.ring_layout import R_BEAT, R_PID, R_STARTED
from livem.stream.ring_reader import Lease, RingReader
from livem.stream.ring_writer import RingWriter, StoppedError
from livem.stream.segment import Owner
from livem.stream.series import Series, SeriesKey

sys.path.insert(0, str(Path(__file__).parent))
from ring_tools import EPOCH, Feeder, a_series, drain_events, frame_content, make_ring

MIB = 1 << 20
SECOND = 1000 * MS
SERIES = a_series(count=100)
NO_SUCH_PID = 1 << 30


class Killed(BaseException):
    """Stands for kill -9 at one instruction."""


@pytest.fixture
def ring():
    made = []

    def make(nbytes: int = MIB, **policies: str):
        made.append(make_ring(nbytes, **policies))
        return made[-1]

    yield make
    for one in made:
        one.close()


def feed(assembler: Assembler, now: int, *messages: list) -> None:
    for parts in messages:
        assembler.feed(wire.decode(parts), now)


def frames(first: int, count: int) -> list:
    return wire.encode_frames(SERIES.key, first, count, frame_content(SERIES, first, count))


def test_an_end_that_a_dying_writer_did_not_publish_is_published_by_the_next(ring, monkeypatch):
    r = ring(vd="lossless")
    reader, writer = RingReader(r.reader_port("vd")), RingWriter(r.writer_port())
    assembler = Assembler(writer)
    feed(assembler, 1, wire.encode_start(SERIES), frames(0, 100))

    def die(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(writer, "_publish_mark", die)
    with pytest.raises(Killed):
        feed(assembler, 2, wire.encode_end(SERIES.key, 100))
    following = Assembler(RingWriter(r.writer_port()))
    following.resume(3)
    following.tick(100 * SECOND)
    assert drain_events(reader)[-1][0] == "end"


def test_two_deadly_blocks_of_one_series_are_both_passed_over(ring):
    r = ring(vd="lossless")
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series())
    for i in range(10):
        feeder.frames(i, 1)
    assert any(survives(RingReader(r.reader_port("vd")), deadly={3, 6}) for _ in range(10))


def survives(reader: RingReader, deadly: set[int]) -> bool:
    while (event := reader.next()) is not None:
        if isinstance(event, Lease):
            if event.block.first in deadly:
                return False
            count = event.block.count
            event.release()
            reader.count(event.serial, processed=count)
    return True


def test_a_lossless_reader_that_died_busy_holds_its_gate_for_a_while(ring):
    r = ring(vd="lossless")
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series(0, (128, 256), "uint8"))
    row = r.views.rows[0]
    row[R_PID], row[R_STARTED], row[R_BEAT] = NO_SUCH_PID, 1, 0
    for i in range(10):
        feeder.frames(3 * i, 3)
    asked = iter(range(8))  # the writer asks every 0.1 s
    with pytest.raises(StoppedError):
        feeder.writer.reserve(MIB // 4, stop=lambda: next(asked, None) is None)


def test_the_reader_that_makes_room_wakes_the_writer_whoever_moved_before(ring, monkeypatch):
    monkeypatch.setattr(ring_writer, "WAIT_S", 60.0)
    r = ring(slow="lossless", other="latest")
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series(0, (128, 256), "uint8"))
    for i in range(10):
        feeder.frames(3 * i, 3)
    slow, other = RingReader(r.reader_port("slow")), RingReader(r.reader_port("other"))
    stop = threading.Event()
    thread = threading.Thread(target=feeder.writer.reserve, args=(MIB // 4,), kwargs={"stop": stop.is_set})
    thread.start()
    while not int(r.views.header[ring_writer.H_BLOCKED_BY]):
        os.sched_yield()
    while not int(r.views.header[ring_writer.H_WRITER_WAITING]):
        os.sched_yield()
    drain_events(other)
    drain_events(slow)
    thread.join(2.0)
    woken = not thread.is_alive()
    stop.set()
    feeder.writer._wakes[0].send(b"")
    r.reader_port("slow").wake.send(b"\0")
    thread.join()
    assert woken


def test_an_encoded_frame_larger_than_a_block_is_rejected(ring):
    r = ring(vd="lossless")
    assembler = Assembler(RingWriter(r.writer_port()))
    series = Series(SeriesKey(EPOCH, 0), (64, 64), "uint16", "lz4", count=1)
    blob = np.zeros(200_000, np.uint8)
    feed(assembler, 1, wire.encode_start(series))
    feed(assembler, 1, wire.encode_frames(series.key, 0, 1, blob, sizes=[blob.nbytes]))
    feed(assembler, 2, wire.encode_end(series.key, 1))
    assert sum(Accounts(r).of(0)["rejected"].values()) == 1


def reopened(r, now: int = SECOND) -> Assembler:
    """A series of 50 frames whose sender went and came back."""
    assembler = Assembler(RingWriter(r.writer_port()), AssemblerOptions())
    feed(assembler, 1, wire.encode_start(SERIES), frames(0, 50))
    assembler.link_lost(2)
    assembler.tick(now)
    feed(assembler, now, frames(50, 10))
    return assembler


def test_a_crash_after_a_series_went_on_loses_nothing_of_its_first_part(ring):
    r = ring(vd="lossless")
    reopened(r)
    following = Assembler(RingWriter(r.writer_port()))
    following.resume(2 * SECOND)
    feed(following, 2 * SECOND, frames(60, 40))
    following.tick(2 * SECOND + 30 * MS)
    feed(following, 2 * SECOND + 40 * MS, wire.encode_end(SERIES.key, 100))
    following.tick(3 * SECOND)
    account = Accounts(r).of(1)
    assert (account["received"], account["lost"]) == (90, 10)


def test_the_identity_holds_while_a_reopened_series_runs(ring):
    r = ring(vd="lossless")
    assembler, reader = reopened(r), RingReader(r.reader_port("vd"))
    assembler.tick(2 * SECOND)
    drain_events(reader)
    account = Accounts(r).of(1)
    edge = account["edges"]["vd"]
    assert account["received"] == edge["processed"] + sum(edge["dropped"].values()) + edge["in_flight"]


@pytest.mark.skipif(sys.platform != "linux", reason="start times of other systems do not move")
def test_a_clock_step_makes_nobody_dead(monkeypatch):
    me, boot_time = Owner.me(), psutil._pslinux.boot_time
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot_time() + 3600)
    assert me.alive()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the registry is the user's own")
def test_another_users_leftover_does_not_stop_a_start(monkeypatch, tmp_path):
    (tmp_path / f"{segment.PREFIX}{NO_SUCH_PID}-1-abcd-ring").touch()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(segment, "_SHM", tmp_path)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert segment.reclaim() == []


def test_a_full_series_table_makes_the_writer_wait_for_its_owner(ring):
    """The 33rd series takes the place of the first only when that is written down."""
    r = ring(vd="latest")
    feeder = Feeder(RingWriter(r.writer_port(), lambda: True))
    r.note_settled(0)
    for number in range(32):
        feeder.start(a_series(number))
        feeder.end()
    with pytest.raises(StoppedError):
        feeder.start(a_series(32))
    r.note_settled(1)
    assert feeder.start(a_series(32)) == 32


def test_a_worker_killed_right_after_its_last_word_does_not_say_it_again(ring):
    """E_FINAL is one store: a restart begins behind the series, and counts nothing of it again."""
    r = ring(vd="lossless")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    feeder.start(a_series(0))
    feeder.frames(0, 7)
    feeder.end()
    assert drain_events(reader)[-1][0] == "end"
    feeder.start(a_series(1))
    feeder.frames(0, 3)
    assert drain_events(RingReader(r.reader_port("vd"))) == [("start", 1), ("frames", 0, 3)]
