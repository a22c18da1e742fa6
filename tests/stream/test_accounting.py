"""The account of a series is exact while writer and reader are at work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livem.stream import accounting, wire
from livem.stream.accounting import Accounts
from livem.stream.assembler import Assembler, AssemblerOptions
from livem.stream.ring_reader import RingReader
from livem.stream.ring_writer import RingWriter

sys.path.insert(0, str(Path(__file__).parent))
from ring_tools import a_series, drain_events, frame_content, make_ring

SERIES = a_series(count=1000)
S = 1_000_000_000


class Bench:
    """Writer, reader and accounts of one ring, in one thread."""

    def __init__(self) -> None:
        self.ring = make_ring(1 << 20, vd="lossless")
        self.assembler = Assembler(RingWriter(self.ring.writer_port()), AssemblerOptions(max_latency_ns=0))
        self.reader, self.accounts = RingReader(self.ring.reader_port("vd")), Accounts(self.ring)
        self.sent, self.now = 0, S
        self.feed(wire.encode_start(SERIES))

    def feed(self, message: list) -> None:
        self.assembler.feed(wire.decode(message), self.now)
        self.assembler.tick(self.now)

    def frames(self, count: int) -> None:
        content = frame_content(SERIES, self.sent, count)
        self.feed(wire.encode_frames(SERIES.key, self.sent, count, content))
        self.sent += count

    def interrupt(self) -> None:
        """The sender is lost, and long enough for the series to be closed."""
        self.assembler.link_lost(self.now)
        self.now += 100 * S
        self.assembler.tick(self.now)


@pytest.fixture
def bench():
    one = Bench()
    yield one
    one.accounts.close()
    one.ring.close()


def sums(account: dict) -> tuple[int, int]:
    edge = account["edges"]["vd"]
    return account["received"], edge["processed"] + sum(edge["dropped"].values()) + edge["in_flight"]


@pytest.mark.parametrize("moment", ["ledger_of", "state_of", "_together"])
def test_frames_that_pass_while_the_account_is_read_break_no_identity(bench, monkeypatch, moment):
    bench.frames(10)
    drain_events(bench.reader)
    read = getattr(accounting, moment)

    def while_frames_pass(*args):
        bench.frames(10)
        drain_events(bench.reader)
        monkeypatch.setattr(accounting, moment, read)
        return read(*args)

    monkeypatch.setattr(accounting, moment, while_frames_pass)
    received, known = sums(bench.accounts.of(0))
    assert received == known >= 10


def test_an_interrupted_series_is_one_account_at_any_moment(bench):
    for part in range(40):  # more than the table remembers
        bench.frames(10)
        account = bench.accounts.of(part)
        assert sums(account) == (10 * (part + 1),) * 2
        assert account["edges"]["vd"]["in_flight"] == 10
        drain_events(bench.reader)
        account = bench.accounts.of(part)
        assert account["edges"]["vd"]["processed"] == 10 * (part + 1)
        bench.interrupt()
        drain_events(bench.reader)


def test_before_its_first_block_a_part_has_the_account_of_the_former(bench):
    bench.frames(50)
    bench.interrupt()
    bench.assembler._builder._max_latency_ns = S
    bench.frames(10)
    drain_events(bench.reader)
    assert bench.accounts.series_count() == 2
    assert sums(bench.accounts.of(1)) == (50, 50)
