"""Traces and frame sets: bounded, and right however frames come."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.consumers.frame_set import PAGE, FrameSet
from livem.consumers.virtual.accumulators import Trace

index_blocks = st.lists(
    st.lists(st.integers(0, 400), min_size=1, max_size=20, unique=True).map(sorted), max_size=12
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(index_blocks, st.integers(1, 60))
def test_trace_shows_the_newest_frames_and_nan_between(blocks, capacity):
    trace = Trace(1, capacity)
    seen: set[int] = set()
    for block in blocks:
        indices = np.array(block, np.int64)
        trace.add(indices, None, indices[:, None] * 2.0)
        seen.update(block)
        arrays = trace.arrays(slice(0, 1))
        x, y = arrays["x"], arrays["y"]
        assert x[-1] == max(seen)
        assert len(x) <= capacity
        np.testing.assert_array_equal(x, np.arange(x[0], x[-1] + 1))
        shown = np.isfinite(y)
        np.testing.assert_array_equal(y[shown], 2.0 * x[shown])
        assert {int(index) for index in x[shown]} <= seen
    if len(blocks) and max(seen) - min(seen) < capacity:
        assert {int(index) for index in x[shown]} == seen


def test_long_traces_keep_bounded_memory_and_say_what_they_forgot():
    trace = Trace(2, capacity=1000)
    for start in range(0, 50_000, 500):
        indices = np.arange(start, start + 500, dtype=np.int64)
        trace.add(indices, None, np.stack([indices, -indices], axis=1).astype(float))
    arrays = trace.arrays(slice(0, 2))
    np.testing.assert_array_equal(arrays["x"], np.arange(49_000, 50_000))
    np.testing.assert_array_equal(arrays["y"][:, 1], -np.arange(49_000.0, 50_000))
    assert trace.attrs() == {"x_label": "frame", "forgotten": 49_000, "newest_frames": 1000}
    assert arrays["y"].base.nbytes <= 2 * 1000 * 2 * 8


def test_trace_of_a_far_jump_and_of_nothing():
    trace = Trace(1, 10)
    trace.add(np.empty(0, np.int64), None, np.empty((0, 1)))
    assert len(trace.arrays(slice(0, 1))["x"]) == 0
    trace.add(np.array([3]), None, np.array([[1.0]]))
    trace.add(np.array([10**12]), None, np.array([[np.inf]]))
    np.testing.assert_array_equal(trace.arrays(slice(0, 1))["x"][-1:], [10**12])
    assert np.isnan(trace.arrays(slice(0, 1))["y"]).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(index_blocks, st.sampled_from([0, PAGE - 200, 7 * PAGE - 5]))
def test_frame_set_tells_new_from_known(blocks, offset):
    frames, known = FrameSet(), set()
    for block in blocks:
        indices = np.array(block, np.int64) + offset
        new = frames.add(indices)
        np.testing.assert_array_equal(new, [int(index) not in known for index in indices])
        known.update(indices.tolist())
        assert len(frames) == len(known)


def test_full_pages_cost_nothing():
    frames = FrameSet()
    for start in range(0, 4 * PAGE, PAGE // 2):
        assert frames.add(np.arange(start, start + PAGE // 2)).all()
    assert not frames._pages
    assert not frames.add(np.arange(PAGE - 3, PAGE + 3)).any()
    assert len(frames) == 4 * PAGE
