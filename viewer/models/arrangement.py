"""Rows, columns and tabs of panels, with their shares of the room. Knows no window.

A share is a length relative to those beside it. A panel says how wide and how high it would be: a row
gives its parts room by their widths, a column by their heights, and a column is as wide as the widest
panel that is to be seen in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

Side = Literal["right", "below", "with"]
"""Of another panel; "with": as a tab."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One panel."""

    name: str
    width: float = 1.0
    height: float = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """Side by side."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Below each other."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Tabs:
    """On top of each other, the first in front."""

    parts: tuple[Leaf, ...]


Tree = Leaf | Row | Column | Tabs


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel goes that an arrangement does not name: next to another one, or else at the end."""

    near: str = ""
    side: Side = "below"
    width: float = 1.0
    height: float = 1.0


@dataclass(frozen=True, slots=True)
class Division:
    """How the parts of one row or column share its length.

    ``lengths`` are px, by a panel that is moved with its part. A part that has none such takes what is left.
    """

    across: bool
    lengths: dict[str, int]


def row(*parts: Tree) -> Row:
    """Side by side, left to right."""
    return Row(parts)


def column(*parts: Tree) -> Column:
    """Below each other, top to bottom."""
    return Column(parts)


def tabs(*parts: Leaf) -> Tabs:
    """On top of each other, the first in front."""
    return Tabs(parts)


def leaves(tree: Tree) -> Iterator[Leaf]:
    """All panels, left to right and top to bottom."""
    if isinstance(tree, Leaf):
        yield tree
    else:
        for part in tree.parts:
            yield from leaves(part)


def names(tree: Tree) -> tuple[str, ...]:
    """Of all panels, left to right and top to bottom."""
    return tuple(leaf.name for leaf in leaves(tree))


def fronts(tree: Tree) -> Iterator[str]:
    """Of panels on top of each other, those in front."""
    if isinstance(tree, Tabs):
        yield tree.parts[0].name
    elif not isinstance(tree, Leaf):
        for part in tree.parts:
            yield from fronts(part)


def pruned(tree: Tree, kept: Collection[str]) -> Tree | None:
    """The arrangement of these panels only; None where there is none of them."""
    if isinstance(tree, Leaf):
        return tree if tree.name in kept else None
    if isinstance(tree, Tabs):
        left = tuple(leaf for leaf in tree.parts if leaf.name in kept)
        return _alone(replace(tree, parts=left))
    parts = (pruned(part, kept) for part in tree.parts)
    return _alone(replace(tree, parts=tuple(part for part in parts if part is not None)))


def _alone(tree: Row | Column | Tabs) -> Tree | None:
    if not tree.parts:
        return None
    return tree if len(tree.parts) > 1 else tree.parts[0]


def joined(tree: Tree, name: str, place: Place) -> Tree:
    """The arrangement with one more panel; the same where it is there already."""
    if name in names(tree):
        return tree
    leaf = Leaf(name, place.width, place.height)
    if place.near not in names(tree):
        return row(tree, leaf) if not isinstance(tree, Row) else row(*tree.parts, leaf)
    return _beside(tree, leaf, place)


def _beside(tree: Tree, leaf: Leaf, place: Place) -> Tree:
    """Next to the panel that is known to be in here."""
    if place.side == "with" and isinstance(tree, (Leaf, Tabs)):
        return Tabs((*leaves(tree), leaf))
    kind = Row if place.side == "right" else Column
    if isinstance(tree, (Leaf, Tabs)):
        return kind((tree, leaf))
    parts: list[Tree] = []
    for part in tree.parts:
        here = place.near in names(part)
        if here and isinstance(part, (Leaf, Tabs)) and isinstance(tree, kind) and place.side != "with":
            parts += [part, leaf]
        else:
            parts.append(_beside(part, leaf, place) if here else part)
    return replace(tree, parts=tuple(parts))


def width(tree: Tree) -> float:
    """Share that a part of a row wants."""
    each = (width(part) for part in tree.parts) if not isinstance(tree, Leaf) else (tree.width,)
    return sum(each) if isinstance(tree, Row) else max(each)


def height(tree: Tree) -> float:
    """Share that a part of a column wants."""
    each = (height(part) for part in tree.parts) if not isinstance(tree, Leaf) else (tree.height,)
    return sum(each) if isinstance(tree, Column) else max(each)


def divisions(tree: Tree, room: tuple[int, int], gap: int) -> Iterator[Division]:
    """How to divide a room of (width, height) px with borders of ``gap`` px: outer ones before inner ones."""
    if isinstance(tree, (Leaf, Tabs)):
        return
    across = isinstance(tree, Row)
    length = room[0 if across else 1] - gap * (len(tree.parts) - 1)
    wanted = [width(part) if across else height(part) for part in tree.parts]
    lengths = [max(1, round(length * share / sum(wanted))) for share in wanted]
    handles = [_handle(part) for part in tree.parts]
    yield Division(across, {name: n for name, n in zip(handles, lengths, strict=True) if name})
    for part, part_length in zip(tree.parts, lengths, strict=True):
        yield from divisions(part, (part_length, room[1]) if across else (room[0], part_length), gap)


def _handle(part: Tree) -> str:
    """The panel by which a part of a row or column is made wider or higher: one of its own, since a panel
    deeper in moves the border inside of the part."""
    if isinstance(part, Leaf):
        return part.name
    own = (each for each in part.parts if isinstance(each, (Leaf, Tabs)))
    return next((_handle(each) for each in own), "")
