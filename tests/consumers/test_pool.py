"""A worker's threads: every frame once, in order, and nobody left behind when one raises."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.consumers import pool as room
from livem.consumers.pool import Pool, default_threads, frame_threads, ranges


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 64))
def test_ranges_cover_everything_once(count, parts, least):
    found = ranges(count, parts, least)
    assert [i for start, stop in found for i in range(start, stop)] == list(range(count))
    assert len(found) <= parts
    assert len(found) == 1 or min(stop - start for start, stop in found) >= least


def test_results_come_in_the_order_of_the_pieces():
    pool = Pool(3)
    together = threading.Barrier(3, timeout=20)

    def square(number: int) -> int:
        together.wait()  # all three run at once, or this breaks
        return number * number

    assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
    pool.close()


def test_a_piece_that_raises_waits_for_the_others():
    pool, done = Pool(2), threading.Event()
    begun = threading.Event()

    def work(piece: str) -> None:
        if piece == "bad":
            assert begun.wait(20)
            raise ValueError("bad")
        begun.set()
        done.set()

    with pytest.raises(ValueError, match="bad"):
        pool.map(work, ["bad", "good"])
    assert done.is_set()
    pool.close()


def test_one_thread_is_the_callers():
    pool = Pool(1)
    assert pool.map(lambda _: threading.current_thread(), [0]) == [threading.current_thread()]
    pool.close()
    assert default_threads() >= 1
    with pytest.raises(ValueError, match="at least 1"):
        Pool(0)


@pytest.mark.parametrize(("cores", "of_blocks", "of_a_frame"), [(1, 1, 1), (2, 1, 2), (4, 3, 4), (64, 4, 4)])
def test_a_frame_is_shared_by_all_cores_and_blocks_leave_one(monkeypatch, cores, of_blocks, of_a_frame):
    monkeypatch.setattr(room, "_cores", lambda: cores)
    assert (default_threads(), frame_threads()) == (of_blocks, of_a_frame)
