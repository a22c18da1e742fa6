"""The ring contract: order, gates, leases, lapping, history, crashes, room."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.errors import LeaseExpiredError, PipelineError, RingError
from livem.stream import ring_reader
from livem.stream.policy import Policy
from livem.stream.ring import ReaderSpec, Ring
from livem.stream.ring_layout import E_PROCESSED, R_GATES, R_WAITING, merge_dropped
from livem.stream.ring_reader import Lease, RingReader, SeriesStart
from livem.stream.ring_writer import RingWriter, StoppedError, _Standstill
from livem.stream.segment import Owner
from livem.stream.series import Scan

sys.path.insert(0, str(Path(__file__).parent))
from ring_tools import Feeder, a_series, drain_events, frame_content, make_ring
from segment_children import SYSTEMS, use, used

MIB = 1 << 20


@pytest.fixture(params=SYSTEMS)
def ring(request, monkeypatch, tmp_path):
    """Makes rings as they are on this system, and as they are elsewhere."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    use(request.param, monkeypatch.setattr)
    made: list[Ring] = []

    def make(nbytes: int = MIB, **policies: str) -> Ring:
        made.append(make_ring(nbytes, **policies))
        return made[-1]

    yield make
    for one in made:
        one.close()


def account(ring: Ring, name: str, serial: int) -> tuple[int, dict[str, int]]:
    record = ring.views.edge(ring.row(name), serial)
    return int(record[E_PROCESSED]), merge_dropped(record)


def test_blocks_arrive_in_order_with_their_series(ring):
    r = ring(vd="lossless")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    feeder.start(a_series(3))
    feeder.frames(0, 5)
    feeder.frames(5, 2)
    feeder.end(False, "2 frames lost")
    assert drain_events(reader) == [
        ("start", 3),
        ("frames", 0, 5),
        ("frames", 5, 2),
        ("end", 3, False, "2 frames lost"),
    ]
    assert reader.next() is None
    assert account(r, "vd", 0) == (7, {})


def test_positions_sizes_and_labels_travel_with_the_block(ring):
    r = ring(vd="lossless")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    series = a_series(scan=Scan((4, 4), "positions"), meta={"sample": "gold"})
    feeder.start(series)
    positions = np.arange(6, dtype=np.float32).reshape(3, 2)
    sizes = np.array([64, 64, 64])
    feeder.frames(7, 3, sizes=sizes, positions=positions, late=True)
    assert isinstance(reader.next(), SeriesStart)
    lease = reader.next()
    block = lease.block
    assert block.series == series
    assert block.series.meta["sample"] == "gold"
    np.testing.assert_array_equal(block.positions, positions)
    np.testing.assert_array_equal(block.sizes, sizes)
    assert (block.first, block.count, block.late, block.time_ns) == (7, 3, True, 1_700_000_000)
    assert not block.payload.flags.writeable
    assert block.payload.ctypes.data % 64 == 0
    lease.release()


def test_a_lease_that_has_ended_raises(ring):
    r = ring(vd="lossless")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    feeder.start(a_series())
    feeder.frames(0, 1)
    reader.next()
    lease = reader.next()
    assert lease.release()
    with pytest.raises(LeaseExpiredError, match="copy what is to be kept"):
        _ = lease.block
    with pytest.raises(LeaseExpiredError):
        lease.release()


def test_a_lossless_reader_gates_the_writer(ring):
    r = ring(vd="lossless")
    writer = RingWriter(r.writer_port())
    feeder, reader = Feeder(writer), RingReader(r.reader_port("vd"))
    feeder.start(a_series(shape=(256, 256)))
    for i in range(7):
        feeder.frames(i, 1)
    tried = threading.Event()
    with pytest.raises(StoppedError):
        writer.reserve(200_000, stop=lambda: tried.is_set() or tried.set())
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: (feeder.frames(7, 1), waited.append(True)))
    thread.start()
    events = drain_events(reader)
    thread.join(10)
    assert waited == [True]
    events += drain_events(reader)
    assert [e[1] for e in events if e[0] == "frames"] == list(range(8))
    assert account(r, "vd", 0) == (8, {})


def test_latest_reader_jumps_and_counts_what_it_skipped(ring):
    r = ring(preview="latest")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("preview"))
    feeder.start(a_series())
    for i in range(10):
        feeder.frames(3 * i, 3)
    assert drain_events(reader) == [("start", 0), ("frames", 27, 3)]
    for i in range(10, 14):
        feeder.frames(3 * i, 3)
    feeder.end()
    assert drain_events(reader) == [("frames", 39, 3), ("end", 0, True, "")]
    assert account(r, "preview", 0) == (6, {"skipped": 36})


def test_latest_reader_learns_of_every_series(ring):
    r = ring(preview="latest")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("preview"))
    for number in range(4):
        feeder.start(a_series(number))
        feeder.frames(0, 5)
        feeder.end()
    events = drain_events(reader)
    assert [e[:2] for e in events if e[0] != "frames"] == [
        (kind, number) for number in range(4) for kind in ("start", "end")
    ]
    for serial in range(4):
        processed, dropped = account(r, "preview", serial)
        assert processed + sum(dropped.values()) == 5


def test_sampling_reader_waits_for_its_clock_but_not_for_the_end(ring):
    r = ring(preview="sample_hz:0.001")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("preview"))
    feeder.start(a_series())
    feeder.frames(0, 1)
    assert ("frames", 0, 1) in drain_events(reader)
    feeder.frames(1, 1)
    assert drain_events(reader) == []
    assert reader.prepare_wait(5.0) == 5.0
    feeder.end()
    assert drain_events(reader) == [("frames", 1, 1), ("end", 0, True, "")]


def test_a_lapped_reader_counts_exactly(ring):
    r = ring(track="every_nth:1")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("track"))
    feeder.start(a_series(shape=(128, 128)))
    for i in range(200):
        feeder.frames(i, 1)
    feeder.end()
    events = drain_events(reader)
    seen = [e[1] for e in events if e[0] == "frames"]
    assert seen == list(range(200 - len(seen), 200))
    assert account(r, "track", 0) == (len(seen), {"lapped": 200 - len(seen)})


def test_a_block_overwritten_under_its_lease_is_reported_torn(ring):
    r = ring(track="every_nth:1")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("track"))
    feeder.start(a_series(shape=(128, 128)))
    feeder.frames(0, 1)
    reader.next()
    lease = reader.next()
    for i in range(1, 200):
        feeder.frames(i, 1)
    assert not lease.release()


def test_a_reader_of_a_dense_stream_sees_a_block_without_being_woken(ring, monkeypatch):
    monkeypatch.setattr(ring_reader, "DENSE_NS", 1 << 62)
    r = ring(vd="lossless")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    assert reader.prepare_wait(5.0) == 5.0
    assert r.views.rows[0, R_WAITING] == 1
    feeder.start(a_series())
    assert r.views.rows[0, R_WAITING] == 0
    assert reader.prepare_wait(5.0) == 0.0
    assert r.views.rows[0, R_WAITING] == 0
    drain_events(reader)
    assert reader.prepare_wait(5.0) == 5.0


def test_history_is_what_the_ring_still_has(ring):
    r = ring(vd="every_nth:1")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    serial = feeder.start(a_series(shape=(64, 64)))
    for i in range(50):
        feeder.frames(i, 1)
    drain_events(reader)
    again = []
    for seq in reader.history_of(serial, reader.position):
        lease = reader.history(seq)
        if lease is not None:
            again.append(lease.block.first)
            assert lease.release()
    assert again == list(range(50))
    assert account(r, "vd", 0) == (50, {})
    for i in range(50, 500):
        feeder.frames(i, 1)
    assert reader.history(1) is None


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_frame_is_processed_or_dropped(data):
    """Whatever the policies, block sizes and reading pattern: processed + dropped = entered."""
    policies = {"a": "lossless", "b": "latest", "c": "every_nth:1"}
    r = make_ring(MIB, **policies)
    try:
        feeder = Feeder(RingWriter(r.writer_port()))
        readers = {name: RingReader(r.reader_port(name)) for name in policies}
        entered = []
        for number in range(data.draw(st.integers(1, 4))):
            feeder.start(a_series(number, shape=(64, 64)))
            for _ in range(data.draw(st.integers(0, 12))):
                feeder.frames(feeder.entered, data.draw(st.integers(1, 30)))
                drain_events(readers["a"])
                if data.draw(st.booleans()):
                    drain_events(readers[data.draw(st.sampled_from("bc"))])
            feeder.end()
            entered.append(feeder.entered)
        for name, reader in readers.items():
            drain_events(reader)
            for serial, frames in enumerate(entered):
                processed, dropped = account(r, name, serial)
                assert processed + sum(dropped.values()) == frames, (name, serial)
    finally:
        r.close()


def test_sizes_and_room_are_checked(ring):
    with pytest.raises(RingError, match="set \\[ring\\] bytes higher"):
        Ring.create(1000, [])
    writer = RingWriter(ring(MIB, vd="lossless").writer_port())
    with pytest.raises(RingError, match="a quarter of the ring"):
        writer.reserve(MIB // 2)
    writer.reserve(100)
    for nbytes, at in ((101, 0), (50, 51), (50, -1)):
        with pytest.raises(RingError, match="do not fit a reservation of 100 bytes"):
            writer.fill(np.zeros(nbytes, np.uint8), at)
    with pytest.raises(RingError, match="has no reader 'x'"):
        ring(vd="lossless").reader_port("x")


@pytest.mark.parametrize(
    "text", ["lossles", "every_nth", "every_nth:0", "sample_hz:-1", "sample_hz:x", "latest:3"]
)
def test_policies_are_a_closed_set(text):
    with pytest.raises(PipelineError, match="lossless, latest, every_nth:N, sample_hz:F"):
        Policy.parse(text)


def test_policies_print_as_they_parse():
    for text in ("lossless", "latest", "every_nth:3", "sample_hz:30"):
        assert str(Policy.parse(text)) == text


# -- processes and crashes ---------------------------------------------------------------------------


def write_many(system: str, port, frames: int) -> None:
    use(system)
    feeder = Feeder(RingWriter(port))
    feeder.start(a_series(shape=(64, 64)))
    for i in range(0, frames, 4):
        feeder.frames(i, 4)
    feeder.end()


def test_two_processes_lossless(ring):
    r = ring(4 * MIB, vd="lossless")
    reader = RingReader(r.reader_port("vd"))
    process = multiprocessing.get_context("spawn").Process(
        target=write_many, args=(used(), r.writer_port(), 4000)
    )
    process.start()
    seen: list[int] = []
    done = False
    while (not done and process.is_alive()) or not done:
        assert reader.wait(30), "the writer has stopped"
        for event in drain_events(reader):
            done |= event[0] == "end"
            if event[0] == "frames":
                seen += range(event[1], event[1] + event[2])
    process.join(10)
    assert seen == list(range(4000))


def read_and_hang(system: str, port, started) -> None:
    use(system)
    reader = RingReader(port)
    while True:
        event = reader.next()
        if event is None:
            reader.wait(1)
        elif isinstance(event, Lease):
            started.set()
            signal.pause()


def test_fault_09_a_killed_reader_resumes_where_it_was(ring):
    """kill -9 with a block on lease: the next process of the same edge gets every frame."""
    r = ring(4 * MIB, vd="lossless")
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series(shape=(64, 64)))
    for i in range(20):
        feeder.frames(i, 1)
    spawn = multiprocessing.get_context("spawn")
    started = spawn.Event()
    process = spawn.Process(target=read_and_hang, args=(used(), r.reader_port("vd"), started))
    process.start()
    assert started.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    events = drain_events(RingReader(r.reader_port("vd")))
    assert [e[1] for e in events if e[0] == "frames"] == list(range(20))
    assert account(r, "vd", 0) == (20, {})


def test_a_block_that_kills_its_readers_is_passed_over(ring):
    """Three processes in a row die on block 3: the fourth goes past it, and the account says so."""
    r = ring(MIB, vd="lossless")
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series())
    for i in range(6):
        feeder.frames(10 * i, 10)
    for _ in range(3):
        reader = RingReader(r.reader_port("vd"))
        assert isinstance(reader.next(), SeriesStart)
        for _ in range(3):
            lease = reader.next()
            reader.count(lease.serial, processed=lease.block.count)
            lease.release()
        assert reader.next().block.first == 30  # and here the process dies
    events = drain_events(RingReader(r.reader_port("vd")))
    assert [e[1] for e in events if e[0] == "frames"] == [0, 10, 20, 40, 50]
    assert account(r, "vd", 0) == (50, {"consumer_error": 10})


def test_a_restarted_reader_counts_what_the_ring_no_longer_has(ring):
    r = ring(MIB, vd="lossless")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    feeder.start(a_series(shape=(128, 128)))
    for i in range(100):
        feeder.frames(i, 1)
        drain_events(reader)
    again = RingReader(r.reader_port("vd"))
    events = drain_events(again)
    seen = [e[1] for e in events if e[0] == "frames"]
    assert seen == list(range(100 - len(seen), 100))
    assert account(r, "vd", 0) == (len(seen), {"restart": 100 - len(seen)})


def test_a_restarted_reader_does_not_repeat_a_finished_series(ring):
    r = ring(4 * MIB, vd="lossless")
    feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("vd"))
    for number in (0, 1):
        feeder.start(a_series(number))
        feeder.frames(0, 9)
        feeder.end()
    drain_events(reader)
    feeder.start(a_series(2))
    feeder.frames(0, 3)
    drain_events(reader)
    assert drain_events(RingReader(r.reader_port("vd"))) == [("start", 2), ("frames", 0, 3)]
    assert [account(r, "vd", serial) for serial in range(3)] == [(9, {}), (9, {}), (3, {})]


def test_a_dead_lossless_reader_is_passed_after_the_lease_timeout(ring, monkeypatch):
    monkeypatch.setattr("livem.stream.ring_writer.LEASE_TIMEOUT_NS", 0)
    monkeypatch.setattr(Owner, "alive", lambda self: False)
    r = ring(MIB, vd="lossless")
    RingReader(r.reader_port("vd"))
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series(shape=(256, 256)))
    for i in range(20):
        feeder.frames(i, 1)
    assert r.views.rows[0, R_GATES] == 0


def test_a_reader_that_stands_still_longer_than_its_patience_is_passed_until_it_rejoins():
    """The patience of a recorder whose disk hangs; the other lossless reader is waited for without limit."""
    lossless = Policy.parse("lossless")
    with contextlib.closing(Ring.create(MIB, [ReaderSpec("rec", lossless, 0.05)])) as r:
        feeder, reader = Feeder(RingWriter(r.writer_port())), RingReader(r.reader_port("rec"))
        feeder.start(a_series(shape=(256, 256)))
        feeder.frames(0, 1)
        reader.next()
        lease = reader.next()
        for i in range(1, 20):
            feeder.frames(i, 1)
        assert (r.passed(), reader.passed, lease.whole) == ({"rec"}, True, False)
        assert not lease.release()
        reader.count(0, not_recorded=1)
        reader.rejoin("not_recorded")
        assert (r.passed(), int(r.views.rows[0, R_GATES])) == (set(), 1)
        kept = drain_events(reader)
        feeder.end()
        assert drain_events(reader) == [("end", 0, True, "")]
        assert account(r, "rec", 0) == (len(kept), {"not_recorded": 20 - len(kept)})


def test_a_session_that_was_stopped_as_a_whole_does_not_pass_its_readers():
    standing = _Standstill(0, 0)
    standing.look(60 * 10**9)
    assert standing.stood_ns < 10**9


def test_a_new_writer_goes_on_behind_the_last_block(ring):
    r = ring(MIB, vd="lossless")
    reader = RingReader(r.reader_port("vd"))
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series())
    feeder.frames(0, 3)
    second = Feeder(RingWriter(r.writer_port()), feeder.serial, 3, feeder.series)
    second.frames(3, 3)
    assert [e for e in drain_events(reader) if e[0] == "frames"] == [("frames", 0, 3), ("frames", 3, 3)]


def test_torn_reads_are_detected_under_a_racing_writer(ring):
    """A reader that is lapped all the time never takes a torn block for a whole one."""
    r = ring(MIB, track="every_nth:1")
    reader = RingReader(r.reader_port("track"))
    feeder = Feeder(RingWriter(r.writer_port()))
    feeder.start(a_series(shape=(64, 64)))
    stop = threading.Event()

    def write() -> None:
        i = 0
        while not stop.is_set():
            feeder.frames(i, 3)
            i += 3

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while seen < 3000:
        seen += sum(e[2] for e in drain_events(reader) if e[0] == "frames")  # asserts content when whole
    stop.set()
    thread.join()
    drain_events(reader)
    processed, dropped = account(r, "track", 0)
    assert processed + sum(dropped.values()) == feeder.entered
    assert frame_content(a_series(), 0, 1).shape == (1, 4, 8)
