"""Frames cut into tiles with a halo, and put together again: every output pixel comes from exactly one tile.

Pure arithmetic on arrays; knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one axis, in px of the padded frame."""

    start: int
    stop: int
    """What the model sees."""
    first: int
    last: int
    """What is kept of its output: [first, last)."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one axis is cut.

    Tiles begin at multiples of ``multiple``, so that a model that pools by it sees the same grid in each;
    they end at the frame's own edges without a halo: a convolution pads there as it would the whole frame.

    Raises
    ------
    ValueError
        A tile that is no multiple, or has nothing left between its halos.
    """

    side: int | None
    """px of a tile; None: the whole axis at once."""
    halo: int = 0
    """px from a tile's rim whose output is not kept."""
    multiple: int = 1
    fixed: bool = False
    """Shorter axes are padded to ``side``, too."""

    def __post_init__(self) -> None:
        if self.side is None:
            return
        if self.side % self.multiple:
            raise ValueError(f"a tile of {self.side} px is no multiple of {self.multiple}")
        if not self.fixed and self.side <= 2 * self.margin:
            raise ValueError(
                f"a tile of {self.side} px has nothing left between halos of {self.margin} px; make it larger"
            )

    @property
    def margin(self) -> int:
        """The halo as a multiple."""
        return -(-self.halo // self.multiple) * self.multiple

    def padded(self, length: int) -> int:
        """px of an axis of ``length`` px once it can be cut."""
        whole = -(-length // self.multiple) * self.multiple
        return max(whole, self.side) if self.fixed and self.side is not None else whole

    def spans(self, length: int) -> list[Span]:
        """Tiles of an axis of ``length`` px, all of one size; their kept parts follow each other.

        Raises ValueError where an axis is longer than a tile without room for halos.
        """
        end = self.padded(length)
        if self.side is None or end <= self.side:
            return [Span(0, end, 0, length)]
        step = self.side - 2 * self.margin
        if step <= 0:
            raise ValueError(
                f"{length} px are more than the {self.side} px of the model, and its halo of {self.margin} "
                "px leaves nothing for tiles"
            )
        starts = [*range(0, end - self.side, step), end - self.side]
        cuts = [0, *(start + self.margin for start in starts[1:]), length]
        return [
            Span(start, start + self.side, first, last)
            for start, first, last in zip(starts, cuts[:-1], cuts[1:], strict=True)
            if first < last
        ]


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of frames of one shape."""

    shape: tuple[int, int]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]
    padding: tuple[int, int]
    """px added below and at the right."""

    @classmethod
    def of(cls, shape: tuple[int, int], y: Tiling, x: Tiling) -> Grid:
        """Raises ValueError where the shape cannot be cut."""
        padding = (y.padded(shape[0]) - shape[0], x.padded(shape[1]) - shape[1])
        return cls(shape, tuple(y.spans(shape[0])), tuple(x.spans(shape[1])), padding)

    @property
    def tile_shape(self) -> tuple[int, int]:
        row, column = self.rows[0], self.columns[0]
        return row.stop - row.start, column.stop - column.start

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def cut(self, frames: Values) -> Values:
        """Frames (c, h, w) as tiles (n, c, th, tw), C-contiguous; what is padded mirrors the frame."""
        if any(self.padding):
            frames = np.pad(frames, ((0, 0), (0, self.padding[0]), (0, self.padding[1])), "symmetric")
        th, tw = self.tile_shape
        tiles = np.empty((len(self), len(frames), th, tw), np.float32)
        for tile, (row, column) in zip(tiles, self._places(), strict=True):
            tile[...] = frames[:, row.start : row.stop, column.start : column.stop]
        return tiles

    def join(self, tiles: npt.NDArray[Any]) -> Values:
        """Outputs (n, k, th, tw) of the tiles as one picture (k, h, w)."""
        picture = np.empty((tiles.shape[1], *self.shape), np.float32)
        for tile, (row, column) in zip(tiles, self._places(), strict=True):
            kept = tile[:, row.first - row.start : row.last - row.start]
            picture[:, row.first : row.last, column.first : column.last] = kept[
                :, :, column.first - column.start : column.last - column.start
            ]
        return picture

    def _places(self) -> Iterator[tuple[Span, Span]]:
        return ((row, column) for row in self.rows for column in self.columns)
