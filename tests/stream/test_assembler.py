"""Messages to blocks: order, gaps, duplicates, late frames, ends, crashes; and the 1,000 fault schedules."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from livem.consumers.virtual_detectors import VirtualDetectors
from livem.consumers.work.decode import FrameDecoder
from livem.kernels.bslz4 import encode
from livem.stream import wire
from livem.stream.accounting import Accounts
from livem.stream.assembler import Assembler
from livem.stream.block_builder import FIRST_FRAMES
from livem.stream.ingest import MS, AssemblerOptions
from livem.stream.messages import Start
from livem.stream.ring import Ring
from livem.stream.ring_reader import Lease, RingReader, SeriesEnd, SeriesStart
from livem.stream.ring_writer import RingWriter, StoppedError
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.simulate.fault_spec import FaultSpec
from livem.stream.simulate.faults import FaultInjector, Restart, Stall
from livem.stream.simulate.outgoing import Outgoing
from livem.stream.verdicts import scan_misfit

sys.path.insert(0, str(Path(__file__).parent))
from ring_tools import EPOCH, a_series, frame_content, make_ring

RING = 1 << 20


@dataclass
class Bench:
    """An assembler on a ring with one lossless reader, and a clock that the test moves."""

    ring: Ring = field(default_factory=lambda: make_ring(RING, vd="lossless"))
    options: AssemblerOptions = field(default_factory=AssemblerOptions)
    now: int = 1_000_000_000

    def __post_init__(self) -> None:
        self.writer = RingWriter(self.ring.writer_port())
        self.assembler = Assembler(self.writer, self.options)
        self.reader = RingReader(self.ring.reader_port("vd"))
        self.accounts = Accounts(self.ring)

    def feed(self, *messages: list) -> None:
        for parts in messages:
            self.assembler.feed(wire.decode(parts), self.now)

    def after(self, ms: float) -> None:
        self.now += int(ms * MS)
        self.assembler.tick(self.now)

    def events(self) -> list:
        found = []
        while (event := self.reader.next()) is not None:
            if isinstance(event, Lease):
                block = event.block
                found.append((block.first, block.count, "late" if block.late else ""))
                self.reader.count(event.serial, processed=block.count)
                event.release()
            elif isinstance(event, SeriesStart):
                found.append("start")
            else:
                found.append(("end", event.complete, event.reason))
        return found

    def account(self, serial: int = 0) -> dict:
        return self.accounts.of(serial)

    def unascribed(self) -> dict:
        return self.accounts.unascribed()


@pytest.fixture
def bench():
    made = []

    def make(**options) -> Bench:
        made.append(Bench(options=AssemblerOptions(**options)))
        return made[-1]

    yield make
    for one in made:
        one.ring.close()


def frames(first: int, count: int, series: Series | None = None) -> list:
    series = series or a_series(count=100)
    return wire.encode_frames(series.key, first, count, frame_content(series, first, count))


def start(series: Series | None = None) -> list:
    return wire.encode_start(series or a_series(count=100))


def end(count: int, number: int = 0) -> list:
    return wire.encode_end(SeriesKey(EPOCH, number), count)


def identity_holds(account: dict) -> bool:
    known = account["received"] + account["lost"] + sum(account["rejected"].values())
    edges = all(
        account["received"] == e["processed"] + sum(e["dropped"].values()) + e["in_flight"]
        for e in account["edges"].values()
    )
    return edges and (account["sent"] is None or account["sent"] == known)


def test_frames_are_coalesced_until_the_block_is_old(bench):
    b = bench()
    b.feed(start(), frames(0, 3), frames(3, 2))
    assert b.events() == ["start"]
    b.after(4.9)
    assert b.events() == []
    b.after(0.1)
    assert b.events() == [(0, 5, "")]


def test_the_last_frames_arrived_when_they_did_and_not_when_their_block_began(bench):
    b = bench()
    series = a_series(count=30)
    b.feed(start(series), frames(0, 10, series))
    b.after(1000.0)
    b.feed(frames(10, 10, series))
    b.after(4.0)
    b.feed(frames(20, 10, series), end(30))
    assert b.events() == ["start", (0, 10, ""), (10, 20, ""), ("end", True, "")]
    assert b.account()["frames_per_second"] == pytest.approx(30 / 1.004, abs=0.1)


def test_the_last_frames_of_an_announced_number_wait_for_nothing(bench):
    b = bench()
    series = a_series(count=30)
    b.feed(start(series), frames(0, 10, series), frames(10, 10, series))
    assert b.events() == ["start"]
    b.feed(frames(20, 10, series))
    assert b.events() == [(0, 30, "")]


def test_a_whole_series(bench):
    b = bench()
    b.feed(start(), *[frames(i, 10) for i in range(0, 100, 10)], end(100))
    assert FIRST_FRAMES == 64  # the first picture does not wait for a full block
    assert b.events() == ["start", (0, 70, ""), (70, 30, ""), ("end", True, "")]
    account = b.account()
    assert (account["state"], account["sent"], account["received"], account["lost"]) == (
        "complete",
        100,
        100,
        0,
    )
    assert identity_holds(account)


def test_a_swap_is_put_in_order(bench):
    b = bench()
    b.feed(start(), frames(0, 10), frames(20, 10), frames(10, 10), frames(30, 70), end(100))
    assert b.events() == ["start", (0, 100, ""), ("end", True, "")]


def test_a_gap_is_given_up_in_time_and_a_late_frame_still_counts(bench):
    b = bench()
    b.feed(start(), frames(0, 10), frames(20, 10))
    b.after(20)
    b.after(5)
    assert b.events() == ["start", (0, 10, ""), (20, 10, "")]
    assert b.account()["lost"] == 10
    b.feed(frames(10, 10))
    b.after(5)
    assert b.events()[-1] == (10, 10, "late")
    account = b.account()
    assert (account["lost"], account["late"], account["received"]) == (0, 10, 30)


def test_a_gap_is_given_up_when_the_window_is_full(bench):
    b = bench(reorder_messages=4)
    b.feed(start(), *[frames(10 * i, 10) for i in (1, 2, 3, 4, 5)])
    b.after(5)
    assert b.events() == ["start", (10, 50, "")]


def test_duplicates_are_counted_and_not_delivered(bench):
    b = bench()
    b.feed(start(), frames(0, 10), frames(0, 10), frames(5, 10), start(), frames(15, 85), end(100), end(100))
    assert b.events() == ["start", (0, 100, ""), ("end", True, "")]
    account = b.account()
    assert (account["duplicate"], account["received"], account["state"]) == (15, 100, "complete")
    assert identity_holds(account)


def test_a_missing_frame_makes_the_series_incomplete(bench):
    b = bench()
    b.feed(start(), frames(0, 40), frames(50, 50), end(100))
    b.after(50)
    assert b.events() == ["start", (0, 40, ""), (50, 50, "")]
    b.after(51)
    assert b.events() == [("end", False, "10 frames lost")]
    assert identity_holds(b.account())


def test_an_early_end_says_so(bench):
    b = bench()
    b.feed(start(), frames(0, 40), end(40))
    assert b.events()[-1] == ("end", False, "ended after 40 of 100 announced frames")


def test_wrong_payloads_are_rejected_with_their_frames(bench):
    b = bench()
    bad = frames(10, 10)
    bad[1] = bytes(bad[1])[:-1]
    b.feed(start(), frames(0, 10), bad, frames(20, 80), end(100))
    assert b.events()[-1] == ("end", False, "10 rejected")
    account = b.account()
    assert account["rejected"] == {"payload_size": 10}
    assert identity_holds(account)


def test_what_belongs_to_no_series_is_counted_apart(bench):
    b = bench()
    b.feed([b"\xc1"], frames(0, 7), start(), frames(0, 100), end(100), frames(3, 1), [b""])
    assert b.accounts.unascribed() == {"bad_header": 2, "unknown_series": 7, "after_end": 1}
    assert identity_holds(b.account())


def test_a_newer_series_ends_an_open_one(bench):
    b = bench()
    second = a_series(1, count=5)
    b.feed(start(), frames(0, 10), start(second), frames(0, 5, second), end(5, 1))
    assert b.events() == [
        "start",
        (0, 10, ""),
        ("end", False, "a newer series began"),
        "start",
        (0, 5, ""),
        ("end", True, ""),
    ]


def test_fault_02_a_restarted_sender_is_another_series(bench):
    """The same series number from a new epoch, 20 times: 20 series, none mixed."""
    b = bench()
    for epoch in range(20):
        series = Series(SeriesKey(bytes([epoch] * 8), 7), (4, 8), "uint16", count=50)
        b.feed(wire.encode_start(series), wire.encode_frames(series.key, 0, 30, frame_content(series, 0, 30)))
    b.assembler.close("the session was stopped", b.now)
    b.events()
    for serial in range(20):
        account = b.account(serial)
        assert (account["epoch"], account["received"]) == (bytes([serial] * 8).hex(), 30)
        assert account["state"] == "incomplete"


def test_fault_01_a_lost_sender_ends_the_series_soon_and_may_come_back(bench):
    b = bench()
    b.feed(start(), frames(0, 10))
    b.assembler.link_lost(b.now)
    b.after(399)
    assert ("end", False, "the sender is gone") not in b.events()
    b.after(2)
    assert b.events()[-1] == ("end", False, "the sender is gone")
    b.assembler.link_back()
    b.feed(frames(10, 90), end(100))
    b.after(5)
    assert b.events() == ["start", (10, 90, ""), ("end", True, "")]
    account = b.account(1)
    assert (account["received"], account["lost"], account["state"]) == (100, 0, "complete")


def test_silence_ends_a_series_but_not_too_soon(bench):
    b = bench(idle_timeout_ns=2_000 * MS)
    b.feed(start(), frames(0, 10))
    b.after(1_999)
    assert b.account()["state"] == "open"
    b.after(2)
    assert b.account()["reason"] == "no frames for 2 s"


def test_a_series_whose_frames_are_all_there_needs_no_end(bench):
    b = bench()
    b.feed(start(), frames(0, 100))
    b.after(99)
    assert b.account()["state"] == "open"
    b.after(2)
    assert b.events() == ["start", (0, 100, ""), ("end", True, "")]
    b.feed(end(100), frames(0, 1))
    assert b.unascribed() == {"after_end": 1}, "the END says what is known, the frame does not"


def test_a_series_without_an_end_waits_longer_for_what_is_missing(bench):
    b = bench()
    b.feed(start(), frames(0, 50), frames(60, 40))
    b.after(25)
    b.after(970)
    assert b.account()["state"] == "open"
    b.after(10)
    assert b.account()["reason"] == "10 frames lost"


def test_frames_beyond_the_announced_count_are_refused(bench):
    b = bench()
    b.feed(start(), frames(0, 100), frames(100, 20), end(120))
    b.after(101)
    account = b.account()
    assert (account["received"], account["rejected"], account["sent"]) == (100, {"beyond_count": 20}, 120)
    assert identity_holds(account)


def test_a_message_larger_than_a_block_is_cut(bench):
    b = bench()
    series = a_series(shape=(64, 64), count=100)
    b.feed(
        wire.encode_start(series),
        wire.encode_frames(series.key, 0, 100, frame_content(series, 0, 100)),
        end(100),
    )
    blocks = [e for e in b.events() if isinstance(e, tuple) and isinstance(e[0], int)]
    assert len(blocks) > 1
    assert [first for first, _, _ in blocks] == list(np.cumsum([0] + [n for _, n, _ in blocks])[:-1])
    assert sum(n for _, n, _ in blocks) == 100


def test_fault_10_a_new_ingest_goes_on_with_the_open_series(bench):
    """What was in the ring stays counted; what the dead process had not published is a gap."""
    b = bench()
    b.feed(start(), frames(0, 10))
    b.after(5)
    b.feed(frames(10, 10))
    second = Assembler(RingWriter(b.ring.writer_port()), b.options)
    assert second.resume(b.now)
    b.assembler = second
    b.feed(frames(20, 80), frames(0, 5), end(100))
    b.after(101)
    assert b.events() == ["start", (0, 10, ""), (20, 80, ""), ("end", False, "10 frames lost")]
    account = b.account()
    assert (account["received"], account["lost"], account["duplicate"]) == (90, 10, 5)
    assert identity_holds(account)


def test_resume_without_an_open_series_does_nothing(bench):
    b = bench()
    assert not b.assembler.resume(b.now)
    b.feed(start(), frames(0, 100), end(100))
    assert not Assembler(RingWriter(b.ring.writer_port())).resume(b.now)


def test_stopping_behind_a_stuck_consumer_keeps_the_account_exact():
    stop = []
    b = Bench()
    try:
        b.writer = RingWriter(b.ring.writer_port(), lambda: bool(stop) or bool(stop.append(1)))
        b.assembler = Assembler(b.writer, b.options)
        series = a_series(shape=(256, 256), count=100)
        with pytest.raises(StoppedError):
            b.feed(wire.encode_start(series), *[frames(i, 1, series) for i in range(100)])
        b.assembler.abandon(b.now)
        b.events()
        account = b.account()
        assert account["state"] == "incomplete"
        assert account["edges"]["vd"]["processed"] == account["received"] > 0
        assert identity_holds(account)
    finally:
        b.ring.close()


# -- fault 3: the identity and the picture under random faults -----------------------------------------

SCAN = Scan((10, 12), "raster", skip=1)
MOVIE = {"shape": (6, 5), "dtype": "uint16", "count": SCAN.frame_count, "scan": SCAN}
DETECTORS = {"total": {"kind": "total"}, "com": {"kind": "com"}}


def random_frames(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1000, (SCAN.frame_count, 6, 5), dtype=np.uint16)


def outgoing(series: Series, data: np.ndarray, batch: int):
    yield Outgoing(tuple(wire.encode_start(series)), series.key, 0, 0, "start")
    for first in range(0, len(data), batch):
        part = data[first : first + batch]
        parts = tuple(wire.encode_frames(series.key, first, len(part), part))
        yield Outgoing(parts, series.key, first, len(part), "frames")
    yield Outgoing(tuple(wire.encode_end(series.key, len(data))), series.key, len(data), 0, "end")


def a_schedule(seed: int) -> FaultSpec:
    rng = np.random.default_rng([seed, 1])
    shares = rng.dirichlet(np.ones(6))[:5] * rng.choice([0.0, 0.05, 0.3, 0.9])
    names = ("drop", "duplicate", "corrupt", "truncate", "shape")
    parts = [f"{name}={share:.4f}" for name, share in zip(names, shares, strict=True)]
    if rng.random() < 0.7:
        parts.append(f"reorder={int(rng.integers(1, 80))}")
    if rng.random() < 0.3:
        parts.append(f"restart@{int(rng.integers(1, SCAN.frame_count))}")
    return FaultSpec.parse(",".join([*parts, f"seed={seed}"]))


def images_of(bench: Bench, consumer: VirtualDetectors, images: dict, decoders: dict) -> None:
    """Run the consumer over what the ring has, as a worker does; keep the images at each series' end."""
    while (event := bench.reader.next()) is not None:
        if isinstance(event, SeriesStart):
            consumer.open(event.series)
            decoders[event.serial] = FrameDecoder(event.series)
            images[event.serial] = {}
        elif isinstance(event, SeriesEnd):
            bench.reader.finalised(event)
        else:
            block, serial = event.block, event.serial
            some, bad = decoders[serial].decode(block)
            outputs = consumer.merge(consumer.process(some))
            event.release()
            bench.reader.count(serial, processed=len(some), undecodable=bad)
            images[serial] = {o.name: o.arrays["image"].copy() for o in outputs}


def expected_images(data: np.ndarray, delivered: list[tuple[int, int]]) -> dict[str, np.ndarray]:
    """The images from the delivered frames alone, by numpy."""
    total, com = np.full(SCAN.shape, np.nan), np.full((*SCAN.shape, 2), np.nan)
    y, x = np.mgrid[:6, :5]
    for first, stop in delivered:
        for i in range(first, stop):
            line, column = divmod(i, SCAN.shape[1] + SCAN.skip)
            if column < SCAN.shape[1]:
                frame = data[i].astype(np.int64)
                total[line, column] = frame.sum()
                com[line, column] = (
                    (frame * y).sum() / frame.sum() - 2.5,
                    (frame * x).sum() / frame.sum() - 2.0,
                )
    return {"total": total, "com": com}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", range(10))
def test_fault_03_identity_and_pixels_under_1000_random_fault_schedules(block):
    """The account is exact and the image is the one of the delivered frames, bit for bit."""
    for seed in range(100 * block, 100 * block + 100):
        rng = np.random.default_rng([seed, 2])
        data, injector = random_frames(seed), FaultInjector(a_schedule(seed))
        b = Bench(options=AssemblerOptions(reorder_messages=int(rng.integers(0, 40))))
        try:
            run_schedule(b, injector, data, int(rng.integers(1, 20)), rng)
            check_schedule(b, injector, data, seed)
        finally:
            b.ring.close()


def run_schedule(b: Bench, injector: FaultInjector, data, batch: int, rng) -> None:
    b.images, b.decoders = {}, {}
    b.consumer = VirtualDetectors("vd", detectors=DETECTORS)
    epoch, again = 0, True
    while again:
        epoch, again = epoch + 1, False
        series = Series(SeriesKey(bytes([epoch] * 8), 0), **MOVIE)
        for step in injector.inject(outgoing(series, data, batch)):
            if isinstance(step, Restart):
                again = True
            elif isinstance(step, Outgoing):
                b.assembler.feed(wire.decode(step.parts), b.now)
                b.after(float(rng.choice([0.0, 0.1, 3.0, 25.0], p=[0.7, 0.2, 0.07, 0.03])))
                images_of(b, b.consumer, b.images, b.decoders)
            else:
                assert isinstance(step, Stall)
    b.assembler.close("the session was stopped", b.now + 10_000 * MS)
    images_of(b, b.consumer, b.images, b.decoders)


def check_schedule(b: Bench, injector: FaultInjector, data, seed: int) -> None:
    for serial in range(b.accounts.series_count()):
        account = b.account(serial)
        assert identity_holds(account), (seed, account)
        edge = account["edges"]["vd"]
        assert edge["in_flight"] == 0
        assert edge["processed"] == account["received"], (seed, account)
        received = b_received(b, serial)
        key = SeriesKey(bytes.fromhex(account["epoch"]), account["series"])
        intact = [injector.report.ranges(action, key) for action in ("delivered", "duplicated")]
        assert covered(received) == covered(intact[0]) | covered(intact[1]), (seed, account)
        if received:
            for name, image in expected_images(data, received).items():
                np.testing.assert_array_equal(b.images[serial][name], image, err_msg=f"seed {seed} {name}")


def b_received(b: Bench, serial: int) -> list[tuple[int, int]]:
    from livem.stream.ledger import SeriesLedger
    from livem.stream.ring_table import ledger_of

    data = ledger_of(b.ring.views, serial)
    return [] if data is None else SeriesLedger.restore(data)._received.ranges


def covered(ranges) -> set[int]:
    return {i for first, stop in ranges for i in range(first, stop)}


def test_a_longer_run_behind_a_gap_takes_the_place_of_the_shorter_one(bench):
    """Bursts end anywhere: [5] waits for frame 0, then [5, 6, 7] comes as one run."""
    b = bench()
    b.feed(start(), frames(5, 1), frames(5, 3), frames(0, 5))
    b.after(10)
    account = b.account()
    assert (account["received"], account["lost"], account["duplicate"]) == (8, 0, 1)


def test_one_bad_blob_costs_its_neighbours_nothing(bench):
    series = a_series(encoding="bslz4", count=10)
    good = encode(frame_content(series, 0, 1)[0])
    bad = (1 << 40).to_bytes(8, "big") + good[8:]
    blobs = [good] * 8
    blobs[3] = bad
    sizes = [len(blob) for blob in blobs]
    b = bench()
    b.feed(start(series), wire.encode_frames(series.key, 0, 8, b"".join(blobs), sizes=sizes))
    b.feed(wire.encode_frames(series.key, 8, 4, good * 4, sizes=[len(good)] * 4))
    b.after(10)
    account = b.account()
    assert account["received"] == 9
    assert account["rejected"]["bad_payload"] == 1
    b.feed(end(10))
    b.after(200)
    account = b.account()
    assert (account["received"], account["lost"]) == (9, 0)
    assert identity_holds(account)


def test_tables_that_cannot_be_kept_cost_no_frame(tmp_path):
    """A full temporary disk: the scan goes on, its dead pixels are said to count as live ones."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    said: list[str] = []
    ring = make_ring(RING, vd="lossless")
    try:
        writer = RingWriter(ring.writer_port())
        assembler = Assembler(writer, tables_folder=blocked / "tables", on_trouble=said.append)
        series = a_series(count=4)
        assembler.feed(Start(series, {"pixel_mask": np.zeros(series.shape, np.uint32)}), 1)
        assembler.feed(wire.decode(frames(0, 4, series)), 2)
        assembler.close("", 3)
        assert Accounts(ring).of(0)["received"] == 4
        assert "dead pixels count as live" in said[0]
    finally:
        ring.close()


def test_a_series_that_cannot_be_written_down_is_counted(bench):
    b = bench()
    b.assembler.feed(Start(a_series(number=5, meta={"sample": "x" * 70_000})), b.now)
    b.feed(start(), frames(0, 5))
    assert b.unascribed() == {"bad_header": 1}
    b.after(10)
    assert b.account()["received"] == 5


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        (Scan((4, 4)), ""),
        (Scan((3, 4)), "4 frames belong to no pixel"),
        (Scan((3, 5)), "1 frame belongs to no pixel"),
        (Scan((5, 4)), "its last 4 will not come"),
        (Scan((2, 4), repeats=2), ""),
        (Scan((4, 4), repeats=0), ""),
        (None, ""),
    ],
)
def test_peer_fault_a_scan_of_another_size_is_told(scan, words):
    """The peer gives nothing for a scan that is too large, and drops frames in silence for a small one."""
    said = scan_misfit(a_series(count=16, scan=scan))
    assert (words in said) if words else not said
