"""Regions and profiles as lists of pixels for the device: what each row of a result sums, cut into pieces.

Every region and every ring of a profile is a row of its own with its own list. A piece is what one CUDA block
sums; pieces of a row are added in order, so that floats are rounded alike whatever else is reduced, and
however frames come in batches. numpy only: no device is needed to make a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cells import frozen
from ..masks import RadialBins
from ..parts import Region
from ..reduce import Regions

PIECE = 16_384
"""Pixels of a piece: first moments of 32-bit pixels fit 63 bits (2^14 x 2^32 x 2^16), 64 frames of
256 x 256 pixels make 256 blocks a region, two for each multiprocessor of a large device."""
MAX_PIXELS = 1 << 31
"""Of a frame: places are int32."""

START, STOP, MOMENTS, WEIGHTS = range(4)
"""Columns of a piece."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows that one kernel sums."""

    pixels: npt.NDArray[np.int32]
    """(m,) flat places in a frame, rising within a row."""
    weights: npt.NDArray[Any]
    """(w,) int64 or float64, of the rows that have weights; one 0 where none has."""
    pieces: npt.NDArray[np.int64]
    """(p, 4) start and stop in ``pixels``, whether first moments are wanted, and where its weights begin (-1:
    it has none)."""
    rows: npt.NDArray[np.int64]
    """(r + 1,) first piece of each row."""
    columns: npt.NDArray[np.intp]
    """Regions of the first rows; the others are the rings of the profile."""
    is_exact: bool
    """Whether sums are integers."""

    @property
    def rings(self) -> int:
        return len(self.rows) - 1 - len(self.columns)


def tables_for(pixel: np.dtype[Any], regions: Regions) -> tuple[Table, ...]:
    """At most two tables: sums that are exact for such pixels, and those that are not."""
    everything, exact = range(len(regions)), []
    if pixel.kind != "f":
        exact = [i for i in everything if regions.regions[i].is_exact]
    inexact = [i for i in everything if i not in exact]
    profile = regions.profile
    found = []
    if exact or (profile is not None and pixel.kind != "f"):
        found.append(_table(regions.regions, exact, profile, is_exact=True))
        profile = None
    if inexact or profile is not None:
        found.append(_table(regions.regions, inexact, profile, is_exact=False))
    return tuple(found)


def _table(
    regions: Sequence[Region], columns: Sequence[int], profile: RadialBins | None, *, is_exact: bool
) -> Table:
    lists = [*(np.flatnonzero(regions[i].mask) for i in columns), *_rings(profile)]
    weights = [_weights(regions[i], is_exact) for i in columns]
    moments = [regions[i].center is not None for i in columns]
    pieces, rows = _cut(lists, moments, [0 if w is None else len(w) for w in weights])
    kind = np.int64 if is_exact else np.float64
    known = [w for w in weights if w is not None]
    return Table(
        frozen(np.concatenate([np.empty(0, np.int64), *lists]), np.int32),
        frozen(np.concatenate(known) if any(map(len, known)) else np.zeros(1), kind),
        pieces,
        rows,
        np.array(columns, np.intp),
        is_exact,
    )


def _weights(region: Region, is_exact: bool) -> npt.NDArray[Any] | None:
    if region.weights is None:
        return None
    return region.weights[region.mask].astype(np.int64 if is_exact else np.float64)


def _rings(profile: RadialBins | None) -> Iterator[npt.NDArray[np.intp]]:
    if profile is None:
        return
    index = profile.index.ravel()
    order = np.argsort(index, kind="stable")
    edges = np.searchsorted(index[order], np.arange(profile.count + 1))
    for start, stop in pairwise(edges.tolist()):
        yield order[start:stop]


def _cut(
    lists: Sequence[npt.NDArray[np.intp]], moments: Sequence[bool], weights: Sequence[int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pieces of all rows, and where those of each begin; ``weights`` says how many weights a row has."""
    pieces: list[tuple[int, int, int, int]] = []
    rows, start, weight = [0], 0, 0
    for row, pixels in enumerate(lists):
        moment, own = (moments[row], weights[row]) if row < len(moments) else (False, 0)
        for first in range(0, len(pixels), PIECE):
            stop = min(first + PIECE, len(pixels))
            pieces.append((start + first, start + stop, int(moment), weight + first if own else -1))
        rows.append(len(pieces))
        start, weight = start + len(pixels), weight + own
    return frozen(np.array(pieces, np.int64).reshape(-1, 4), np.int64), frozen(rows, np.int64)
