"""Sums by label: a table of sums that every pixel is added to at its label.

For radial profiles, whose runs are too short to be worth one, and for many ragged masks: with the bits of
eight masks as its label, one addition a pixel serves all eight ("four Russians"; Arlazarov et al. 1970).

Adding pixel after pixel to a table is slow by itself (each addition waits for the last). So `LANES` frames
are taken at once: a line of each is transposed, and a pixel of all of them is added as one vector. 256 x 256
uint16, 16 random masks: 30 us a frame, against 330 us for one frame at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from .cells import frozen
from .vector import I64, STEP_BYTES, Value, elements, extended, pick_two, read, write

LANES = 16
TILE = 64
"""Pixels of each frame that are transposed together: a cache line of uint8 frames."""
COPIES = 2
"""Of the table, taken in turns: neighbours of one label then do not wait for each other's addition."""
MIN_FRAMES = 4
"""From here on, `LANES` frames at once are faster than one at a time, even if some of them are nobody's."""
FLUSH = 65_536 // TILE
"""Tiles after which sums of 32 bits are moved to 64: so many pixels of 16 bit they are sure to hold."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """Labels of the pixels, in layers that each see the whole frame."""

    labels: npt.NDArray[np.int32]
    """(layers, h * w), numbered through all layers."""
    tiles: npt.NDArray[np.int32]
    """(layers, tiles, TILE) the same from tile to tile, times `COPIES`, plus the number of the copy of the
    table that a pixel is added to; in the last tile, which ends with the frame, the
    pixels that the one before has seen go to the last label, which nobody reads. Empty for tiny frames."""
    first: npt.NDArray[np.int64]
    """(layers + 1,) first label of each layer."""

    @property
    def count(self) -> int:
        """Labels, with the one that nobody reads."""
        return int(self.first[-1]) + 1


def label_table(layers: Sequence[npt.NDArray[np.int32]], counts: Sequence[int]) -> LabelTable:
    """Layers of labels (h * w,), each from 0 to below its count; -1 for pixels that do not count."""
    first = np.cumsum([0, *counts])
    labels = [
        np.where(layer < 0, first[-1], layer + start) for layer, start in zip(layers, first[:-1], strict=True)
    ]
    table = np.stack(labels)
    return LabelTable(
        frozen(table, np.int32), frozen(_copied(_tiled(table, first[-1])), np.int32), frozen(first, np.int64)
    )


def sum_by_label(block: npt.NDArray[Any], table: LabelTable) -> npt.NDArray[np.int64]:
    """Exact sums (n, labels) of integer frames (n, h, w); of uint32, modulo 2^64."""
    sums = np.zeros((len(block), table.count), np.int64)
    flat = block.reshape(len(block), -1)
    if len(block) < MIN_FRAMES or not table.tiles.size:
        scatter_integers(flat, table.labels, np.zeros((table.count, 2), np.int64), sums)
        return sums
    lanes = _on_lines((table.count * COPIES, LANES), lane_type(block.dtype))
    scratch = _on_lines((TILE, LANES), block.dtype)
    scatter_lanes(flat, table.tiles, scratch, lanes, sums)
    return sums


def lane_type(pixel: np.dtype[Any]) -> np.dtype[Any]:
    """Type of a lane's sum."""
    return np.dtype(f"{'i' if pixel.kind == 'i' else 'u'}{4 if pixel.itemsize < 4 else 8}")


def _on_lines(shape: tuple[int, int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Scratch that begins with a cache line: vectors across two of them cost twice."""
    size = shape[0] * shape[1] * dtype.itemsize
    room = np.empty(size + STEP_BYTES, np.uint8)
    first = -room.ctypes.data % STEP_BYTES
    return room[first : first + size].view(dtype).reshape(shape)


def _tiled(labels: npt.NDArray[Any], nobody: int) -> npt.NDArray[Any]:
    layers, pixels = labels.shape
    if pixels < TILE:
        return np.empty((layers, 0, TILE), np.int32)
    whole = pixels // TILE * TILE
    tiles = labels[:, :whole].reshape(layers, -1, TILE)
    if whole == pixels:
        return tiles
    last = labels[:, -TILE:].copy()
    last[:, : TILE - (pixels - whole)] = nobody
    return np.concatenate([tiles, last[:, None]], axis=1)


def _copied(tiles: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return tiles * COPIES + np.arange(TILE) % COPIES


@intrinsic
def transpose_line(typingctx, block, start, stride, last, scratch, pixel):  # type: ignore[no-untyped-def]
    """A line (`STEP_BYTES`) of `LANES` frames into scratch[pixel:], pixel after pixel.

    The line of frame i begins at the flat index start + stride * min(i, last).
    """
    signature = types.void(block, types.int64, types.int64, types.int64, scratch, types.int64)
    stored = ir.IntType(block.dtype.bitwidth)
    count = STEP_BYTES * 8 // stored.width

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        pixels = elements(context, builder, sig, args, 0, args[1])
        into = elements(context, builder, sig, args, 4, builder.mul(args[5], I64(LANES)))
        lines = []
        for lane in range(LANES):
            within = builder.icmp_signed("<", I64(lane), args[3])
            frame = builder.select(within, I64(lane), args[3])
            place = builder.mul(args[2], frame)
            parts = range(0, count, LANES)
            lines.append([read(builder, pixels, builder.add(place, I64(k)), stored, LANES) for k in parts])
        for part in range(count // LANES):
            for k, values in enumerate(_transposed(builder, [line[part] for line in lines])):
                write(builder, into, I64((part * LANES + k) * LANES), values)
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def add_pixel(typingctx, scratch, pixel, lanes, label):  # type: ignore[no-untyped-def]
    """lanes[label] += scratch[pixel], all lanes at once."""
    signature = types.void(scratch, types.int64, lanes, types.int64)

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        values = elements(context, builder, sig, args, 0, builder.mul(args[1], I64(LANES)))
        sums = elements(context, builder, sig, args, 2, builder.mul(args[3], I64(LANES)))
        added = read(builder, values, I64(0), values.type.pointee, LANES)
        known = read(builder, sums, I64(0), sums.type.pointee, LANES)
        added = extended(builder, added, known.type.element, sig.args[0].dtype.signed)
        write(builder, sums, I64(0), builder.add(known, added))
        return context.get_dummy_value()

    return signature, emit


@njit(nogil=True, cache=True)
def scatter_lanes(block, tiles, scratch, lanes, sums):  # type: ignore[no-untyped-def]
    """Sums (n, labels) of frames (n, h * w); ``lanes`` (labels, LANES), ``scratch`` (TILE, LANES)."""
    pixels = block.shape[1]
    line = STEP_BYTES // block.itemsize
    for f in range(0, block.shape[0], LANES):
        last = np.int64(min(LANES, block.shape[0] - f) - 1)
        lanes[:] = 0
        for t in range(tiles.shape[1]):
            start = f * pixels + min(t * TILE, pixels - TILE)
            for k in range(0, TILE, line):
                transpose_line(block, start + k, pixels, last, scratch, k)
            for layer in range(tiles.shape[0]):
                for k in range(TILE):
                    add_pixel(scratch, k, lanes, np.int64(tiles[layer, t, k]))
            if (t + 1) % FLUSH == 0:
                _flush(lanes, last, sums[f:])
        _flush(lanes, last, sums[f:])


@njit(nogil=True, cache=True)
def _flush(lanes, last, sums):  # type: ignore[no-untyped-def]
    for lane in range(last + 1):
        for row in range(lanes.shape[0]):
            sums[lane, row // COPIES] += np.int64(lanes[row, lane])
    lanes[:] = 0


@njit(nogil=True, cache=True)
def scatter_integers(block, labels, table, sums):  # type: ignore[no-untyped-def]
    """The same, one frame at a time; ``table`` (labels, 2) takes pixels in turns: neighbours of one label
    then do not wait for each other."""
    for f in range(block.shape[0]):
        pixels = block[f]
        for layer in range(labels.shape[0]):
            table[:] = 0
            for k in range(pixels.size):
                table[labels[layer, k], k & 1] += np.int64(pixels[k])
            for label in range(table.shape[0]):
                sums[f, label] += table[label, 0] + table[label, 1]


@njit(nogil=True, cache=True)
def scatter_floats(block, labels, sums, excluded):  # type: ignore[no-untyped-def]
    """Sums (n, labels) of the finite pixels in the order of the memory, and how many are not finite."""
    for f in range(block.shape[0]):
        pixels = block[f]
        for k in range(pixels.size):
            value = np.float64(pixels[k])
            if value - value == 0.0:
                sums[f, labels[0, k]] += value
            else:
                excluded[f, labels[0, k]] += 1


def _transposed(builder: Value, rows: list[Value]) -> list[Value]:
    """Columns of a square matrix: each pass interleaves the upper with the lower half of its rows."""
    count = len(rows)
    zipped = [lane + side * count for lane in range(count) for side in (0, 1)]
    for _ in range(count.bit_length() - 1):
        half = count // 2
        rows = [
            pick_two(builder, upper, lower, lanes)
            for upper, lower in zip(rows[:half], rows[half:], strict=True)
            for lanes in (zipped[:count], zipped[count:])
        ]
    return rows
