"""Regions as tables for the kernels: which pixels are read, in which order, and where they count.

A **cell** is the set of pixels that belong to the very same regions. Every pixel is in one cell at most, so
that a frame is read once however many regions there are, and what a region needs is the sum of its cells.
Knows masks only, no pixel values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .masks import Mask, Shape, row_runs
from .run_sums import MAX_RUN

BRIDGE = 32
"""Pixels outside of all regions that a run may go over: reading them costs less than another run."""
HOPELESS = 4
"""Pixels of the frame a run below which masks are too ragged for runs: not even bridged are they few."""
GROUP = 8
"""Masks that one label tells apart: 256 sums of 16 frames are 16 KiB, half of a first-level cache."""

Y, X0, X1, CELL, HOLES = range(5)
"""Columns of a run."""


@dataclass(frozen=True, slots=True, eq=False)
class RunTable:
    """Runs of pixels in the order of the memory, and how their sums make regions."""

    runs: npt.NDArray[np.int32]
    """(r, 5) row y, pixels x0 to x1 (half-open), cell, and whether pixels in between do not count."""
    keep: npt.NDArray[np.int8]
    """(h * w,) -1 where a pixel is in a region, else 0; empty where no run has holes."""
    moments: npt.NDArray[np.bool_]
    """(c,) cells whose first moments are wanted."""
    offsets: npt.NDArray[np.int64]
    """(d + 1,) where the cells of each region begin in ``members``."""
    members: npt.NDArray[np.int32]


def shared_cells(shape: Shape, masks: Sequence[Mask], wanted: Sequence[bool]) -> RunTable:
    """Runs of cells, for sums that do not depend on their order.

    Parameters
    ----------
    shape : (h, w).
    masks : d masks (h, w).
    wanted : whether the first moments of each mask are wanted.
    """
    table, memberships = _cell_runs(shape, masks)
    bridged = _bridged(table)
    used = memberships.T
    offsets, members = _lists([np.flatnonzero(row) for row in used])
    moments = (used & np.asarray(wanted, bool)[:, None]).any(axis=0)
    return RunTable(
        frozen(_cut(bridged), np.int32),
        frozen(_keep(masks) if bridged[:, HOLES].any() else [], np.int8),
        frozen(moments, np.bool_),
        offsets,
        members,
    )


def own_runs(masks: Sequence[Mask], wanted: Sequence[bool]) -> RunTable:
    """Runs of each mask by itself, for sums of floats: no other mask may change how they are rounded."""
    tables = [_with_cell(row_runs(mask), number) for number, mask in enumerate(masks)]
    table = np.concatenate([np.empty((0, 5), np.int64), *tables])
    order = np.lexsort((table[:, X0], table[:, Y]))
    offsets, members = _lists([np.array([number]) for number in range(len(masks))])
    return RunTable(
        frozen(_cut(table[order]), np.int32),
        frozen([], np.int8),
        frozen(wanted, np.bool_),
        offsets,
        members,
    )


def count_cell_runs(shape: Shape, masks: Sequence[Mask]) -> int:
    """Runs that `shared_cells` would begin with: what it costs, to choose another way where they are many."""
    return int(np.count_nonzero(_edges(shape, masks)))


def label_layers(
    shape: Shape, masks: Sequence[Mask]
) -> list[tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]]:
    """A label a pixel, and the masks that each label is in, for as few passes over a frame as will do.

    Returns
    -------
    list of (labels, inside)
        (h * w,) int32, -1 for pixels in none; (labels, masks) bool. One layer of cells where they are few,
        else a layer for every `GROUP` masks, of which the bits of a label tell. Masks follow each other.
    """
    if count_cell_runs(shape, masks) * HOPELESS <= shape[0] * shape[1]:
        runs, inside = _cell_runs(shape, masks)
        if len(inside) <= 1 << GROUP:
            return [(_painted(shape, runs), inside)]
    groups = [masks[i : i + GROUP] for i in range(0, len(masks), GROUP)]
    return [(_bits(group), _bit_table(len(group))) for group in groups]


def _painted(shape: Shape, runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The cell of each pixel (h * w,)."""
    cells = np.full(shape[0] * shape[1], -1, np.int32)
    lengths = runs[:, X1] - runs[:, X0]
    before = np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(runs[:, Y] * shape[1] + runs[:, X0], lengths) + np.arange(lengths.sum()) - before
    cells[places] = np.repeat(runs[:, CELL], lengths)
    return cells


def _bits(masks: Sequence[Mask]) -> npt.NDArray[np.int32]:
    labels = np.zeros(masks[0].size, np.int32)
    for k, mask in enumerate(masks):
        labels |= mask.ravel().astype(np.int32) << k
    return labels


def _bit_table(masks: int) -> npt.NDArray[np.bool_]:
    return (np.arange(1 << masks)[:, None] >> np.arange(masks) & 1).astype(np.bool_)


def frozen(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """As a C-ordered array that nobody writes to: what the kernels are compiled for."""
    array = np.array(values, dtype, order="C")
    array.flags.writeable = False
    return array


def _edges(shape: Shape, masks: Sequence[Mask]) -> npt.NDArray[np.bool_]:
    """Pixels where a run begins: in the first column, and where a mask tells one from the pixel before."""
    edges = np.zeros(shape, np.bool_)
    edges[:, :1] = True
    for mask in masks:
        edges[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    return edges


def _cell_runs(shape: Shape, masks: Sequence[Mask]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Runs (r, 5) by rising y and x, and the regions of each cell (c, d)."""
    y, x0 = np.nonzero(_edges(shape, masks))
    stop = np.append(x0[1:], 0)
    x1 = np.where(stop > x0, stop, shape[1])
    inside = np.zeros((len(y), len(masks)), np.bool_)
    for number, mask in enumerate(masks):
        inside[:, number] = mask[y, x0]
    used = inside.any(axis=1)
    first, cell = _distinct(inside[used])
    runs = np.stack([y[used], x0[used], x1[used], cell, np.zeros_like(cell)], axis=1)
    return runs.astype(np.int64), inside[used][first]


def _distinct(rows: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where each distinct row is first met, and the number of each row's like."""
    number = np.zeros(len(rows), np.intp)
    for byte in np.packbits(rows, axis=1).T:
        number = np.unique(number * 256 + byte, return_inverse=True)[1]
    _, first, number = np.unique(number, return_index=True, return_inverse=True)
    return first, number


def _bridged(runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Neighbours of one cell as one run where what is between them is narrow and in no region."""
    if not len(runs):
        return runs
    before, after = runs[:-1], runs[1:]
    near = (after[:, Y] == before[:, Y]) & (after[:, CELL] == before[:, CELL])
    near &= after[:, X0] - before[:, X1] <= BRIDGE
    starts = np.flatnonzero(np.append(True, ~near))
    stops = np.append(starts[1:], len(runs)) - 1
    joined = runs[starts]
    joined[:, X1] = runs[stops, X1]
    joined[:, HOLES] = stops > starts
    return joined


def _cut(runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """In pieces of at most `MAX_RUN` pixels."""
    pieces = -(-(runs[:, X1] - runs[:, X0]) // MAX_RUN)
    cut = np.repeat(runs, pieces, axis=0)
    number = np.arange(len(cut)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    cut[:, X0] += number * MAX_RUN
    cut[:, X1] = np.minimum(cut[:, X1], cut[:, X0] + MAX_RUN)
    return cut


def _keep(masks: Sequence[Mask]) -> npt.NDArray[np.int8]:
    counted = np.logical_or.reduce(masks).ravel()
    return np.where(counted, np.int8(-1), np.int8(0))


def _with_cell(runs: npt.NDArray[np.int32], number: int) -> npt.NDArray[np.int64]:
    return np.concatenate([runs, np.full((len(runs), 1), number), np.zeros((len(runs), 1))], axis=1).astype(
        np.int64
    )


def _lists(lists: Sequence[npt.NDArray[Any]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    offsets = np.cumsum([0, *(len(found) for found in lists)])
    return frozen(offsets, np.int64), frozen(np.concatenate([np.empty(0, np.int32), *lists]), np.int32)
