"""Bulk copies are exact at every alignment and length, and touch nothing beside their target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.stream.bulk_copy import STREAM_FROM, bulk_copy, stream_bytes

GUARD = 64
UNTOUCHED = 0xA5
NOISE = np.random.default_rng(0).integers(0, 256, 4 * STREAM_FROM, np.uint8)


def target_for(nbytes: int, offset: int) -> np.ndarray:
    """(nbytes,) view that begins ``offset`` bytes behind a cache line, between guards."""
    memory = np.full(nbytes + 3 * GUARD, UNTOUCHED, np.uint8)
    begin = -memory.ctypes.data % GUARD + offset
    return memory[begin : begin + GUARD + nbytes + GUARD - offset]


def assert_copied(guarded: np.ndarray, source: np.ndarray) -> None:
    inside = slice(GUARD, GUARD + len(source))
    np.testing.assert_array_equal(guarded[inside], source)
    assert (np.delete(guarded, inside) == UNTOUCHED).all()


@pytest.mark.parametrize("nbytes", [*range(300), STREAM_FROM - 1, STREAM_FROM, STREAM_FROM + 1])
def test_every_length(nbytes):
    source = NOISE[3 : 3 + nbytes]
    guarded = target_for(nbytes, 7)
    stream_bytes(guarded.ctypes.data + GUARD, source.ctypes.data, nbytes)
    assert_copied(guarded, source)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 63), st.integers(0, 63), st.integers(0, 3 * STREAM_FROM))
def test_every_alignment_of_source_and_target(target_offset, source_offset, nbytes):
    source = NOISE[source_offset : source_offset + nbytes]
    guarded = target_for(nbytes, target_offset)
    bulk_copy(guarded.ctypes.data + GUARD, source)
    assert_copied(guarded, source)


def test_bytes_that_may_not_be_written_can_be_copied():
    source = np.frombuffer(NOISE.tobytes(), np.uint8)
    guarded = target_for(len(source), 0)
    bulk_copy(guarded.ctypes.data + GUARD, source)
    assert_copied(guarded, source)


def test_an_array_with_gaps_is_refused():
    with pytest.raises(TypeError):
        bulk_copy(target_for(100, 0).ctypes.data, NOISE[:200:2])
