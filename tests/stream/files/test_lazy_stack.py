"""Frames that stay on disk: every range gives the array's own frames, whatever pieces are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.errors import SourceError
from livem.stream.files import lazy_stack
from livem.stream.files.lazy_stack import LazyStack


class OnDisk:
    """An array that counts what is read of it."""

    def __init__(self, data: Any, chunks: tuple[Any, ...] | None = None) -> None:
        self.data, self.chunks, self.reads = data, chunks, 0
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

    def __getitem__(self, which: Any) -> Any:
        self.reads += 1
        return self.data[which]


@st.composite
def arrays(draw: st.DrawFn) -> OnDisk:
    nav = draw(st.lists(st.integers(1, 7), min_size=1, max_size=2))
    data = np.arange(np.prod(nav) * 6, dtype=draw(st.sampled_from(["<u4", ">u4"]))).reshape(*nav, 2, 3)
    chunks = [draw(st.integers(1, side)) for side in nav]
    kind = draw(st.sampled_from(["none", "one", "dask"]))
    if kind == "none":
        return OnDisk(data)
    return OnDisk(data, tuple((c, c) if kind == "dask" else c for c in (*chunks, 2, 3)))


@given(
    arrays(), st.integers(1, 2000), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1)
)
def test_every_range_is_the_arrays_own(data: OnDisk, slab: int, ranges: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy_stack, "SLAB_BYTES", slab)
        stack = LazyStack(data, np.dtype("<u4"))
        flat = data.data.reshape(-1, 2, 3)
        assert len(stack) == len(flat)
        for start, stop in ranges:
            found = stack[start:stop]
            assert found.dtype == np.dtype("<u4")
            assert found.flags.c_contiguous
            assert np.array_equal(found, flat[start:stop])
        which = np.array([start % len(flat) for start, _ in ranges])
        assert np.array_equal(stack[which], flat[which])


def test_a_chunk_of_many_frames_is_read_once() -> None:
    data = OnDisk(np.zeros((64, 4, 4), np.uint8), (32, 4, 4))
    stack = LazyStack(data)
    for start in range(0, 64, 4):
        stack[start : start + 4]
    assert data.reads == 1


def test_what_cannot_be_read_is_named() -> None:
    class Broken(OnDisk):
        def __getitem__(self, which: Any) -> Any:
            raise OSError("bad block")

    with pytest.raises(SourceError, match=r"run\.h5: the frames from 3 on cannot be read: bad block"):
        LazyStack(Broken(np.zeros((9, 2, 2))), None, "run.h5")[3:4]
