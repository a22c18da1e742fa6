"""Which frames a look back takes from the ring, and which it leaves to the recordings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from livem.consumers.work import lookback
from livem.consumers.work.lookback import Lookback
from livem.stream.series import Block, Series, SeriesKey

SERIES = Series(SeriesKey(b"12345678", 1), (2, 3), "uint8", "raw", 100)


def a_block(first: int, count: int = 10, *, late: bool = False) -> Block:
    return Block(SERIES, first, count, np.zeros(6 * count, np.uint8), None, None, None, 0, 0, late=late)


class FakeReader:
    """Blocks of frames by their number in the ring; other numbers are marks, or below the tail."""

    def __init__(self, blocks: dict[int, Block], tail: int = 0) -> None:
        self.blocks, self.tail = blocks, tail

    def history(self, number: int) -> Any:
        if number < self.tail or number not in self.blocks:
            return None
        return SimpleNamespace(block=self.blocks[number])


def recorded_before(monkeypatch, back: Lookback) -> int:
    """Up to which frame the recording is read."""
    asked: list[int] = []

    def blocks(recording: str, series: Series, before: int):
        asked.append(before)
        yield a_block(0, before)

    monkeypatch.setattr("livem.stream.files.recordings.open_recording", lambda path: path)
    monkeypatch.setattr(lookback, "_blocks", blocks)
    while back.block() is not None:
        pass
    return asked[0]


def leased(back: Lookback, reader: FakeReader) -> list[int]:
    found = []
    while (lease := back.lease(reader)) is not None:
        found.append(lease.block.first)
    return found


def test_a_ring_that_has_everything_has_lost_nothing(monkeypatch):
    back, reader = Lookback(), FakeReader({n + 1: a_block(10 * n) for n in range(5)})
    back.begin(range(6), SERIES, ["a.h5"])
    assert leased(back, reader) == [0, 10, 20, 30, 40]
    assert not back.lost
    assert recorded_before(monkeypatch, back) == 0


def test_blocks_that_go_while_it_looks_back_come_from_the_recording(monkeypatch):
    back, reader = Lookback(), FakeReader({n: a_block(10 * n) for n in range(2, 9)}, tail=2)
    back.begin(range(2, 9), SERIES, ["a.h5"])
    assert back.lease(reader).block.first == 20
    reader.tail = 6
    assert leased(back, reader) == [60, 70, 80]
    assert recorded_before(monkeypatch, back) == 60
    assert back.lacking() == (0, 60)


def test_a_block_that_was_overwritten_while_it_was_read_comes_from_the_recording(monkeypatch):
    back, reader = Lookback(), FakeReader({n: a_block(10 * n) for n in range(2, 5)}, tail=2)
    back.begin(range(2, 5), SERIES, ["a.h5"])
    back.lease(reader)
    back.miss(back.lease(reader).block)
    assert leased(back, reader) == [40]
    assert recorded_before(monkeypatch, back) == 40


def test_a_late_block_does_not_say_what_the_ring_has(monkeypatch):
    blocks = {2: a_block(3, 2, late=True), 3: a_block(20), 4: a_block(30)}
    back, reader = Lookback(), FakeReader(blocks, tail=2)
    back.begin(range(2, 5), SERIES, ["a.h5"])
    leased(back, reader)
    assert recorded_before(monkeypatch, back) == 20


def test_frames_that_nobody_has_are_counted_once():
    blocks = {2: a_block(3, 2, late=True), 3: a_block(20), 4: a_block(30)}
    back, reader = Lookback(), FakeReader(blocks, tail=2)
    back.begin(range(2, 5), SERIES)
    leased(back, reader)
    assert back.lacking() == (18, 20)
    assert back.lacking() == (0, 0)
