"""Tails, rings and numbers in an overlay: where they are, how strong, and which of two is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livem.kernels import reference_marks
from livem.kernels.marks import draw_numbers, draw_rings
from livem.kernels.tails import draw_tails

RED = 0xFFFF0000
WHITE = 0xFFFFFFFF


def channels(words: Any) -> np.ndarray:
    """(..., 4): alpha, red, green, blue."""
    words = np.asarray(words, np.int64)
    return np.stack([words >> shift & 255 for shift in (24, 16, 8, 0)], axis=-1)


def points(rng: np.random.Generator, n: int, shape: tuple[int, int], bad: float) -> tuple[np.ndarray, ...]:
    y, x = (rng.uniform(-6, size + 6, n) for size in shape)
    if rng.random() < 0.3:
        y, x = np.round(y), np.round(x)
    y[rng.random(n) < bad] = rng.choice([np.nan, np.inf, -np.inf])
    # Grey of few strengths: where two lines cross, either of equal ones may be seen.
    strength = rng.choice([60, 200, 255], n).astype(np.uint32)
    return y, x, (strength << 24 | 0x646464).astype(np.uint32)


SEEDS = st.integers(0, 2**32)
SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=SEEDS, shape=SHAPES, n=st.integers(2, 30), width=st.sampled_from([1.0, 1.5, 3.0]))
def test_tails_agree_with_the_reference(seed: int, shape: tuple[int, int], n: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    y, x, colour = points(rng, n, shape, 0.1)
    track = np.sort(rng.integers(0, 4, n))
    overlay = np.zeros(shape, np.uint32)
    draw_tails(overlay, y, x, track, colour, width)
    with np.errstate(invalid="ignore"):
        wanted = reference_marks.tails(shape, y, x, track, colour, width)
    assert np.abs(channels(overlay) - channels(wanted)).max() <= 2


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=SEEDS, shape=SHAPES, n=st.integers(1, 8), width=st.sampled_from([1.0, 1.5, 3.0]))
def test_rings_agree_with_the_reference(seed: int, shape: tuple[int, int], n: int, width: float) -> None:
    rng = np.random.default_rng(seed)
    y, x, colour = points(rng, n, shape, 0.1)
    radius, dashed = rng.uniform(0.1, 30, n), rng.random(n) < 0.5
    overlay = np.zeros(shape, np.uint32)
    draw_rings(overlay, y, x, radius, colour, dashed, width)
    with np.errstate(invalid="ignore"):
        wanted = reference_marks.rings(shape, y, x, radius, colour, dashed, width)
    different = np.abs(channels(overlay) - channels(wanted)).max(axis=-1) > 2
    # Where a dash ends, rounding decides.
    rows, columns = np.indices(shape)
    angles = 8 * np.arctan2(rows - y[:, None, None], columns - x[:, None, None])
    at_an_end = (np.abs(np.cos(angles)) < 1e-9).any(axis=0)
    assert not (different & ~at_an_end).any()


def test_columns_of_a_table_from_the_bus_are_drawn_which_are_read_only() -> None:
    places, radius, ids = np.array([8.0, 16.0]), np.array([5.0, 5.0]), np.array([1, 1])
    colour, dashed = np.array([RED, RED], np.uint32), np.array([False, True])
    for column in (places, radius, ids, colour, dashed):
        column.flags.writeable = False
    overlay = np.zeros((24, 24), np.uint32)
    draw_rings(overlay, places, places, radius, colour, dashed, 1.5)
    assert channels(overlay)[8, 13, 1] > 100
    draw_tails(overlay, places, places, ids, colour, 1.5)
    assert channels(overlay)[12, 12, 1] > 100


def test_lines_join_points_of_one_track_only() -> None:
    overlay = np.zeros((8, 20), np.uint32)
    draw_tails(overlay, [4, 4, 4, 4], [1, 5, 10, 14], [7, 7, 8, 8], np.full(4, RED, np.uint32))
    assert (np.flatnonzero(overlay[4]) == [1, 2, 3, 4, 5, 10, 11, 12, 13, 14]).all()
    assert (overlay[4][overlay[4] > 0] == RED).all()
    assert not overlay[[2, 3, 5, 6]].any()


def test_the_stronger_of_two_lines_is_seen_in_any_order() -> None:
    y, x, track = np.array([1, 1, 1, 1.0]), np.array([0, 9, 0, 9.0]), np.array([1, 1, 2, 2])
    colour = np.array([0x40FF0000, 0x40FF0000, 0xC00000FF, 0xC00000FF], np.uint32)
    drawn = []
    for order in ([0, 1, 2, 3], [2, 3, 0, 1]):
        overlay = np.zeros((3, 10), np.uint32)
        draw_tails(overlay, y[order], x[order], track[order], colour[order])
        drawn.append(overlay)
    np.testing.assert_array_equal(*drawn)
    assert tuple(channels(drawn[0][1, 4])) == (0xC0, 0, 0, 0xC0)


def test_lines_that_end_far_away_are_cut_at_the_edges() -> None:
    overlay = np.zeros((5, 6), np.uint32)
    draw_tails(overlay, [-5e7, 5e7, 2, 2], [3, 3, -9e7, 9e7], [1, 1, 2, 2], np.full(4, RED, np.uint32))
    assert (overlay[:, 3] == RED).all()
    assert (overlay[2] == RED).all()


DIGITS = np.zeros((10, 5, 4), np.uint32)
DIGITS[:, 1:4, 1:3] = 0xFFFF
DIGITS[DIGITS == 0] = 0x8000
DIGITS[7, 2, 2] = 0xFF00


def test_numbers_are_stamped_digit_by_digit_with_a_dark_rim() -> None:
    overlay = np.zeros((9, 20), np.uint32)
    assert draw_numbers(overlay, [6], [2], [171], DIGITS, np.array([RED], np.uint32)) == 1
    written = overlay[2:7, 2:14]
    assert not overlay[:2].any()
    assert not overlay[:, 14:].any()
    assert (written[1, [1, 2, 5, 6, 9, 10]] == RED).all()
    assert written[0, 0] == 0x80000000
    assert (written[2, 6], written[2, 2]) == (0xFF000000, RED)


def test_a_number_that_would_touch_an_earlier_one_is_left_out() -> None:
    overlay = np.zeros((40, 60), np.uint32)
    places = np.array([[10, 5], [12, 11], [10, 13], [30, 5], [-50, 5], [np.nan, 1], [30, 30]])
    numbers = [12, 34, 56, 7, 8, 9, -1]
    count = draw_numbers(overlay, places[:, 0], places[:, 1], numbers, DIGITS, np.full(7, WHITE, np.uint32))
    assert count == 3
    boxes = np.argwhere(overlay)
    assert set(map(tuple, boxes)) == {
        (y, x)
        for top, left, wide in ((6, 5, 8), (6, 13, 8), (26, 5, 4))
        for y in range(top, top + 5)
        for x in range(left, left + wide)
    }


def test_a_number_over_a_line_shows_both() -> None:
    overlay = np.full((8, 10), RED, np.uint32)
    draw_numbers(overlay, [6], [2], [1], DIGITS, np.array([WHITE], np.uint32))
    assert tuple(channels(overlay[2, 2])) == (255, 127, 0, 0)
    assert overlay[3, 3] == WHITE


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint32), np.zeros((4, 8), "u4")[:, ::2]]
)
def test_wrong_arguments_are_named(wrong: np.ndarray) -> None:
    none, words = np.zeros(0), np.zeros(0, np.uint32)
    with pytest.raises(ValueError, match="overlay is uint32"):
        draw_tails(wrong, none, none, none, words)
    good = np.zeros((4, 4), np.uint32)
    with pytest.raises(ValueError, match="of one n"):
        draw_rings(good, none, none, np.zeros(1), words, none)
    with pytest.raises(ValueError, match="digits are"):
        draw_numbers(good, none, none, none, np.zeros((9, 4, 4), np.uint32), words)
