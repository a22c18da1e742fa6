"""Rows, columns and tabs of panels: who is where and how the room is shared. No window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livem.viewer.models.arrangement import (
    Column,
    Leaf,
    Place,
    Row,
    Tabs,
    Tree,
    column,
    divisions,
    fronts,
    height,
    joined,
    leaves,
    names,
    pruned,
    row,
    tabs,
)
from livem.viewer.models.modes import IMAGING, IN_SITU, MODES
from livem.viewer.models.workspace import Workspace

A, B, C, D = (Leaf(name) for name in "abcd")
ROOM = (1006, 606)
GAP = 6


def shapes(depth: int) -> st.SearchStrategy[Tree]:
    """Arrangements in which every row and column has a panel of its own, all of one name."""
    leaf = st.builds(Leaf, st.just(""), st.floats(1, 9), st.floats(1, 9))
    if depth == 0:
        return leaf
    inner = st.lists(shapes(depth - 1), min_size=1, max_size=2)
    return leaf | st.builds(
        lambda kind, own, more: kind((own, *more)), st.sampled_from([Row, Column]), leaf, inner
    )


def numbered(tree: Any, numbers: Iterator[int]) -> Any:
    if isinstance(tree, Leaf):
        return replace(tree, name=f"p{next(numbers)}")
    return type(tree)(tuple(numbered(part, numbers) for part in tree.parts))


TREES = shapes(3).map(lambda tree: numbered(tree, count()))


def test_panels_are_named_in_reading_order() -> None:
    assert names(row(A, column(B, tabs(C, D)))) == ("a", "b", "c", "d")


def test_what_is_not_seen_leaves_no_empty_row() -> None:
    tree = row(A, column(B, tabs(C, D)))
    assert pruned(tree, "abd") == row(A, column(B, D))
    assert pruned(tree, "bc") == column(B, C)
    assert pruned(tree, "d") == D
    assert pruned(tree, "") is None


@pytest.mark.parametrize(
    ("side", "inside_a_row", "inside_a_column"),
    [
        ("right", row(A, D, B), column(row(A, D), B)),
        ("below", row(column(A, D), B), column(A, D, B)),
        ("with", row(Tabs((A, D)), B), column(Tabs((A, D)), B)),
    ],
)
def test_a_panel_that_is_not_named_goes_next_to_its_neighbour(
    side: str, inside_a_row: Tree, inside_a_column: Tree
) -> None:
    place = Place("a", side)
    assert joined(row(A, B), "d", place) == inside_a_row
    assert joined(column(A, B), "d", place) == inside_a_column


def test_tabs_are_joined_as_one() -> None:
    tree = row(tabs(A, B), C)
    assert joined(tree, "d", Place("b", "with")) == row(tabs(A, B, D), C)
    assert joined(tree, "d", Place("b", "below")) == row(column(tabs(A, B), D), C)
    assert joined(tree, "d", Place("b", "right")) == row(tabs(A, B), D, C)


def test_a_panel_without_a_neighbour_goes_to_the_end() -> None:
    assert joined(row(A, B), "d", Place("nobody")) == row(A, B, D)
    assert joined(column(A, B), "d", Place()) == row(column(A, B), D)
    assert joined(row(A, B), "b", Place("a")) == row(A, B)
    for near in ("a", "nobody"):
        assert Leaf("d", 2.0, 3.0) in leaves(joined(row(A, B), "d", Place(near, "right", 2.0, 3.0)))


def test_rows_share_by_width_columns_by_height_and_the_widest_decides() -> None:
    tree = row(Leaf("a", width=2), column(Leaf("b", width=3, height=1), Leaf("c", width=1, height=2)))
    outer, inner = divisions(tree, ROOM, GAP)
    assert (outer.across, outer.lengths) == (True, {"a": 400, "b": 600})
    assert (inner.across, inner.lengths) == (False, {"b": 200, "c": 400})
    assert list(divisions(A, ROOM, GAP)) == []


def test_heights_add_up_in_a_column_and_the_highest_decides_in_a_row() -> None:
    low, high = Leaf("low", height=1), Leaf("high", height=3)
    assert [height(tree) for tree in (row(low, high), column(low, high), tabs(low, high))] == [3, 4, 3]
    tree = column(row(Leaf("a"), column(Leaf("b", height=1), Leaf("c", height=2))), Leaf("d"))
    outer, across, inner = divisions(tree, ROOM, GAP)
    assert (outer.across, outer.lengths) == (False, {"a": 450, "d": 150})
    assert (across.across, across.lengths) == (True, {"a": 500, "b": 500})
    assert inner.lengths == {"b": 148, "c": 296}, "of the 450 px that its row has, less the border"


def test_a_part_is_moved_by_a_panel_of_its_own_and_one_without_takes_what_is_left() -> None:
    deep = column(row(A, B), C)
    (outer, *_) = divisions(row(deep, D), ROOM, GAP)
    assert outer.lengths == {"c": 667, "d": 333}
    (outer, *_) = divisions(row(column(row(A, B), row(C, D)), Leaf("e")), ROOM, GAP)
    assert outer.lengths == {"e": 333}


@given(TREES)
def test_shares_fill_the_room(tree: Tree) -> None:
    for division in divisions(tree, (10_000, 10_000), GAP):
        assert all(length > 0 for length in division.lengths.values())
    for outer in list(divisions(tree, (10_000, 10_000), GAP))[:1]:
        total = sum(outer.lengths.values()) + GAP * (len(tree.parts) - 1)
        assert total == pytest.approx(10_000, abs=len(tree.parts))


@given(TREES, st.data())
def test_joining_and_pruning_give_back_what_was(tree: Tree, data: st.DataObject) -> None:
    near = data.draw(st.sampled_from(names(tree)))
    side = data.draw(st.sampled_from(["right", "below", "with"]))
    more = joined(tree, "new", Place(near, side))
    assert sorted(names(more)) == sorted((*names(tree), "new"))
    assert pruned(more, names(tree)) == tree


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_modes_name_each_panel_once_and_each_part_has_a_handle(mode: object) -> None:
    tree = mode.tree  # type: ignore[attr-defined]
    assert len(set(names(tree))) == len(names(tree))
    assert all(leaf.width > 0 < leaf.height for leaf in leaves(tree))
    for division in divisions(tree, ROOM, GAP):
        assert all(division.lengths)


def test_the_mode_follows_the_session_until_the_user_chooses_or_moves() -> None:
    space = Workspace({"frame": Place(), "tracks": Place()})
    assert space.wanted(IN_SITU, ["frame", "tracks"]).seen == {"frame", "tracks"}
    assert space.mode is IN_SITU
    space.choose(IMAGING)
    wanted = space.wanted(IN_SITU, ["frame", "tracks"])
    assert (space.mode, wanted.seen, wanted.shares) == (IMAGING, {"frame"}, True)
    space.choose(None)
    assert space.wanted(IN_SITU, ["frame", "tracks"]).seen == {"frame", "tracks"}
    space.moved()
    assert not space.wanted(IMAGING, ["frame"]).shares
    assert space.mode is IN_SITU
    space.choose(None)
    assert space.wanted(IMAGING, ["frame"]).shares
    assert space.mode is IMAGING


def test_what_the_user_closed_stays_closed_and_what_he_asked_for_is_there() -> None:
    space = Workspace({"frame": Place(), "curves": Place(), "mine": Place("frame", "below")})
    space.ask("frame", False)
    space.ask("curves", True)
    wanted = space.wanted(IMAGING, ["frame"])
    assert wanted.seen == {"curves"}
    assert set(names(wanted.tree)) >= {"frame", "curves", "mine"}
    space.choose(IMAGING)
    assert space.wanted(IMAGING, ["frame"]).seen == {"frame"}


def test_the_first_of_panels_on_top_of_each_other_is_in_front() -> None:
    tree = row(Leaf("a"), column(tabs(Leaf("b"), Leaf("c")), tabs(Leaf("d"), Leaf("e"))))
    assert list(fronts(tree)) == ["b", "d"]
    left = pruned(tree, {"a", "c", "d", "e"})
    assert left is not None
    assert list(fronts(left)) == ["d"]
