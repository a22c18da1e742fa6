"""Looking back into the ring without an edge of it: what is there, any frame again, and what is gone told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.stream.ring import Ring
from livem.stream.ring_history import Found, RingHistory, arrival_of, stretches
from livem.stream.ring_writer import RingWriter

sys.path.insert(0, str(Path(__file__).parent))
from ring_tools import Feeder, a_series, frame_content, make_ring

MIB = 1 << 20
LARGE = (128, 128)
"""32 KiB a frame: 32 of them in the smallest ring."""


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = make_ring(MIB, vd="latest")
    yield made
    made.close()


@pytest.fixture
def feeder(ring: Ring) -> Feeder:
    return Feeder(RingWriter(ring.writer_port()))


@pytest.fixture
def history(ring: Ring) -> Iterator[RingHistory]:
    looking = RingHistory(ring.history_port())
    yield looking
    looking.close()


def value(found: Found | None) -> int | None:
    """What the pixels of a frame are, if they are all alike."""
    if found is None:
        return None
    series = found.block.series
    data = found.block.payload.view(series.numpy_dtype).reshape(found.block.count, *series.shape)
    (value,) = np.unique(data[found.place])
    return int(value)


def test_what_is_there_is_told_series_by_series(ring, feeder):
    assert stretches(ring.views) == ()
    feeder.start(a_series(3))
    assert stretches(ring.views) == ()
    for first in (0, 5, 20):
        feeder.frames(first, 5)
    feeder.frames(12, 2, late=True)
    feeder.end()
    feeder.start(a_series(4))
    feeder.frames(7, 1)
    past, now = stretches(ring.views)
    assert (past.key.number, past.first, past.stop, past.frames, past.state) == (3, 0, 25, 17, "complete")
    assert (now.key.number, now.first, now.stop, now.frames, now.state) == (4, 7, 8, 1, "open")
    assert past.knots[:, 1].tolist() == [0, 5, 20]
    assert (np.diff(past.knots[:, 0]) > 0).all()
    begin, middle, end = past.knots[:, 0].tolist()
    assert arrival_of(past, 0) == begin
    assert arrival_of(past, 24) == end
    assert begin < arrival_of(past, 3) < middle
    assert past.as_plain()["index"] == [0, 5, 20]


def test_a_long_series_is_told_by_some_of_its_moments(ring, feeder):
    feeder.start(a_series())
    for first in range(2000):
        feeder.frames(first, 1)
    (there,) = stretches(ring.views)
    assert len(there.knots) <= 512
    assert there.stop == 2000
    assert there.knots[-1, 1] == 1999
    assert there.first == there.knots[0, 1] == 2000 - there.frames


def test_a_frame_is_found_by_its_number_and_the_nearest_one_where_it_is_missing(feeder, history):
    key = a_series(3).key
    assert history.find(key, 0) is None
    feeder.start(a_series(3))
    for first in (2, 5, 20):
        feeder.frames(first, 3)
    feeder.end()
    feeder.start(a_series(4))
    feeder.frames(11, 1)
    assert [value(history.find(key, index)) for index in (2, 4, 6, 22)] == [2, 4, 6, 22]
    assert history.find(key, 11) is None
    assert history.find(a_series(9).key, 2) is None
    assert [value(history.find(key, 11, toward)) for toward in (-1, 1)] == [7, 20]
    assert (history.find(key, 1, -1), history.find(key, 23, 1)) == (None, None)
    assert value(history.find(a_series(4).key, 11)) == 11
    assert history.series(key) == a_series(3)
    assert history.series(a_series(9).key) is None


def test_nobody_waits_for_who_looks_back_and_an_overwritten_frame_is_told(ring, feeder, history):
    key = a_series().key
    feeder.start(a_series(shape=LARGE))
    feeder.frames(0, 1)
    found = history.find(key, 0)
    assert found is not None
    assert history.is_whole(found.block)
    for first in range(1, 60):
        feeder.frames(first, 1)
    assert not history.is_whole(found.block)
    assert history.find(key, 0) is None
    assert value(history.find(key, 59)) == 59
    assert value(history.find(key, 0, 1)) == history.stretch(key).first
    assert ring.views.header[91] == 0  # H_BLOCKED_NS: the writer has not waited


def test_blocks_come_in_the_order_of_their_frames(feeder, history):
    feeder.start(a_series())
    for first in (10, 0, 5, 30):
        feeder.frames(first, 5, late=first < 10)
    assert [block.first for block in history.blocks(a_series().key, 3, 30)] == [0, 5, 10]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans()), min_size=1, max_size=60),
    st.integers(0, 120),
)
def test_every_frame_that_is_found_is_the_one_that_was_asked_for(steps, wanted):
    """Whatever was lost, interrupted and overwritten: (frames lost, frames sent, new series) one by one."""
    ring = make_ring(MIB, vd="latest")
    feeder, history = Feeder(RingWriter(ring.writer_port())), RingHistory(ring.history_port())
    try:
        number = at = 0
        feeder.start(a_series(number, shape=LARGE))
        for lost, count, ends in steps:
            at += lost
            feeder.frames(at, count)
            at += count
            if ends:
                feeder.end()
                number, at = number + 1, 0
                feeder.start(a_series(number, shape=LARGE))
        told = stretches(ring.views)
        for there in told:
            found = history.find(there.key, wanted)
            content = frame_content(a_series(shape=(1, 1)), wanted, 1)[0, 0, 0]
            assert value(found) in (None, content)
            assert found is None or there.first <= found.index < there.stop
            assert value(history.find(there.key, there.first)) is not None
            found_all = [history.find(there.key, index) for index in range(there.first, there.stop)]
            assert sum(each is not None for each in found_all) == there.frames
    finally:
        history.close()
        ring.close()
