"""Sums and centres of mass of detector regions, frame by frame, for blocks of frames.

One call reduces a block with every region while each frame is in cache. Knows arrays only: what the regions
mean, and where a frame belongs in a scan, is the consumer's business.

Exactness: integer frames are summed in int64 (uint64 for uint32), which no frame of 65536 x 65536 pixels
overflows. First moments are exact integers for 8 and 16 bit; for 32 bit the row and column sums are exact
integers and their moments float64. Float frames are summed in float64, column by column and then along the
row: always in the same order, on every machine and however frames are split into blocks.

NaN and Inf: pixels that are not finite are left out and counted in ``Reduction.excluded``; a region whose
pixels are all left out sums to NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import from_dtype, njit, types

from .masks import Center, Mask, frame_center, row_runs

DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")
"""Pixel types that every kernel here takes."""
MAX_SIDE = 65_536
"""Pixels in a row or column that the accumulators are sure to hold."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels of a frame that are reduced together."""

    mask: Mask
    """(h, w) bool."""
    center: Center | None = None
    """Not None: the centre of mass is wanted, relative to this point (y, x) in px."""


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Regions made ready for the kernel; immutable, to be shared between threads."""

    shape: tuple[int, int]
    runs: npt.NDArray[np.int32]
    """(r, 3) y, x0, x1, region after region."""
    offsets: npt.NDArray[np.int64]
    """(d + 1,) where the runs of each region begin."""
    wanted: npt.NDArray[np.bool_]
    """(d,) regions whose centre of mass is wanted."""
    centers: npt.NDArray[np.float64]
    """(d, 2) y, x in px; NaN where not wanted."""
    sizes: npt.NDArray[np.int64]
    """(d,) pixels of each region."""

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """What n frames and d regions reduce to."""

    sums: npt.NDArray[Any]
    """(n, d) int64, uint64 (uint32 frames) or float64 (float frames); counts."""
    com: npt.NDArray[np.float64]
    """(n, d, 2) centre of mass (y, x) in px relative to the region's centre; NaN where its sum is zero (an
    empty frame has no centre) and for regions that do not want one."""
    excluded: npt.NDArray[np.int64]
    """(n, d) pixels left out because they were not finite; zero for integer frames."""


def compile_regions(shape: tuple[int, int], regions: Sequence[Region]) -> Regions:
    """Turn masks into runs, once per change of a detector.

    Raises
    ------
    ValueError
        When a mask has another shape than the frame, or the frame more than 65536 pixels in a row or column.
    """
    if max(shape) > MAX_SIDE:
        raise ValueError(f"frames of {shape}: the kernels take up to {MAX_SIDE} pixels a side")
    for region in regions:
        if region.mask.shape != shape:
            raise ValueError(f"mask of shape {region.mask.shape} for frames of shape {shape}")
    tables = [row_runs(region.mask) for region in regions]
    offsets = np.cumsum([0, *(len(table) for table in tables)])
    centers = [(np.nan, np.nan) if region.center is None else region.center for region in regions]
    return Regions(
        shape,
        _frozen(np.concatenate([np.empty((0, 3)), *tables]), np.int32),
        _frozen(offsets, np.int64),
        _frozen([region.center is not None for region in regions], np.bool_),
        _frozen(np.array(centers).reshape(-1, 2), np.float64),
        _frozen([np.count_nonzero(region.mask) for region in regions], np.int64),
    )


def reduce_block(block: npt.NDArray[Any], regions: Regions) -> Reduction:
    """Sum every region of every frame, with centres of mass where wanted.

    Parameters
    ----------
    block : (n, h, w) of one of `DTYPES`, C order, aligned; may be read-only.
    regions : made by `compile_regions` for frames of shape (h, w).

    Raises
    ------
    ValueError
        When the block has another shape, dtype, order or alignment.
    """
    _check(block, regions.shape)
    types_of = _accumulators(block.dtype)
    n, d = len(block), len(regions)
    sums = np.zeros((n, d), types_of.sums)
    moments = np.zeros((n, d, 2), np.float64)
    excluded = np.zeros((n, d), np.int64)
    coordinates = np.arange(max(regions.shape), dtype=types_of.coordinates)
    columns = np.empty((2, regions.shape[1]), types_of.columns)
    kernel = _float_kernel if block.dtype.kind == "f" else _integer_kernel
    kernel(
        _read_only(block),
        regions.runs,
        regions.offsets,
        regions.wanted,
        coordinates,
        columns,
        sums,
        moments,
        excluded,
    )
    com = _relative(moments, sums, regions.centers)
    if block.dtype.kind == "f":
        sums[(excluded == regions.sizes) & (excluded > 0)] = np.nan
    return Reduction(sums, com, excluded)


def detector_sums(block: npt.NDArray[Any], masks: Sequence[Mask]) -> npt.NDArray[Any]:
    """Sum of each mask in each frame, (n, k); see `reduce_block`."""
    return reduce_block(block, compile_regions(block.shape[1:], [Region(mask) for mask in masks])).sums


def center_of_mass(
    block: npt.NDArray[Any], center: Center | None = None, mask: Mask | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Centre of mass (n, 2) as (y, x) in px relative to ``center``, and the sums (n,) behind it."""
    shape = block.shape[1:]
    whole = np.ones(shape, bool) if mask is None else mask
    region = Region(whole, frame_center(shape) if center is None else center)
    reduction = reduce_block(block, compile_regions(shape, [region]))
    return reduction.com[:, 0], reduction.sums[:, 0]


def warm_up(dtype: npt.DTypeLike) -> None:
    """Compile the kernel for one pixel type, or load it from numba's cache.

    Per dtype and not for all seven at import: compiling costs 0.6-0.9 s each (a load 3 ms).
    """
    pixel = np.dtype(dtype)
    kernel = _float_kernel if pixel.kind == "f" else _integer_kernel
    kernel.compile(_signature(pixel))


def _signature(pixel: np.dtype[Any]) -> tuple[types.Type, ...]:
    used = _accumulators(pixel)
    return (
        types.Array(from_dtype(pixel), 3, "C", readonly=True),
        types.Array(types.int32, 2, "C", readonly=True),
        types.Array(types.int64, 1, "C", readonly=True),
        types.Array(types.boolean, 1, "C", readonly=True),
        types.Array(from_dtype(used.coordinates), 1, "C"),
        types.Array(from_dtype(used.columns), 2, "C"),
        types.Array(from_dtype(used.sums), 2, "C"),
        types.Array(types.float64, 3, "C"),
        types.Array(types.int64, 2, "C"),
    )


class _Accumulators(NamedTuple):
    """Types that a frame is summed in."""

    columns: np.dtype[Any]
    """Of sums along one row or column: 32 bits hold 65536 pixels of 16 bits (1.8 x faster than 64)."""
    sums: np.dtype[Any]
    """Of sums over a whole frame."""
    coordinates: np.dtype[Any]
    """Of the levers of the first moments, and so of the moments while they are summed."""


def _accumulators(pixel: np.dtype[Any]) -> _Accumulators:
    if pixel.kind == "f":
        return _Accumulators(*[np.dtype(np.float64)] * 3)
    signed = pixel.kind == "i"
    if pixel.itemsize == 4:
        whole = np.dtype(np.int64 if signed else np.uint64)
        return _Accumulators(whole, whole, np.dtype(np.float64))
    line = np.dtype(np.int32 if signed else np.uint32)
    return _Accumulators(line, np.dtype(np.int64), np.dtype(np.int64))


def _check(block: npt.NDArray[Any], shape: tuple[int, int]) -> None:
    if block.ndim != 3 or block.shape[1:] != shape:
        raise ValueError(f"block of shape {block.shape} for regions of frames {shape}: wants (n, h, w)")
    if block.dtype.name not in DTYPES or not block.dtype.isnative:
        raise ValueError(f"pixels of type {block.dtype.str}: one of {', '.join(DTYPES)} (native byte order)")
    if not (block.flags.c_contiguous and block.flags.aligned):
        raise ValueError("block is not C-contiguous and aligned: copy it first (numpy.require)")


def _read_only(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of one type for the dispatcher, whoever owns the frames."""
    view = block.view()
    view.flags.writeable = False
    return view


def _frozen(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    array = np.ascontiguousarray(values, dtype)
    array.flags.writeable = False
    return array


def _relative(
    moments: npt.NDArray[np.float64], sums: npt.NDArray[Any], centers: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        com = moments / sums[..., None] - centers
    return np.where(np.isfinite(com), com, np.nan)


@njit(nogil=True, cache=True)
def _integer_kernel(block, runs, offsets, wanted, coordinates, columns, sums, moments, excluded):  # type: ignore[no-untyped-def]
    for f in range(block.shape[0]):
        frame = block[f]
        for d in range(offsets.size - 1):
            region = runs[offsets[d] : offsets[d + 1]]
            if wanted[d]:
                columns[0, :] = 0
                _integer_moments(frame, region, coordinates, columns[0], sums[f, d : d + 1], moments[f, d])
            else:
                _integer_sum(frame, region, columns[0], sums[f, d : d + 1])


# Unsigned, since numba then tests no index for being negative, and plain indices, since slicing costs more
# than summing where dead pixels make many short runs: 256 x 256 uint16 with the default detectors take 9.6 us
# a frame (10.3 us by slices), 14.6 us (17.1 us) with 1 % of the pixels dead.
@njit(nogil=True, cache=True)
def _place(region, r):  # type: ignore[no-untyped-def]
    return np.uint64(region[r, 0]), np.uint64(region[r, 1]), np.uint64(region[r, 2])


@njit(nogil=True, cache=True)
def _integer_sum(frame, region, columns, total):  # type: ignore[no-untyped-def]
    for r in range(region.shape[0]):
        y, x0, x1 = _place(region, r)
        row = columns.dtype.type(0)
        for x in range(x0, x1):
            row = columns.dtype.type(row + frame[y, x])
        total[0] += row


@njit(nogil=True, cache=True)
def _integer_moments(frame, region, coordinates, columns, total, moments):  # type: ignore[no-untyped-def]
    """Sum of the region, and of y * v and x * v. ``columns`` is zeroed scratch (w,)."""
    vertical, horizontal = coordinates[0], coordinates[0]
    for r in range(region.shape[0]):
        y, x0, x1 = _place(region, r)
        row = columns.dtype.type(0)
        for x in range(x0, x1):
            row = columns.dtype.type(row + frame[y, x])
            columns[x] += frame[y, x]
        total[0] += row
        vertical += coordinates[y] * row
    for x in range(columns.size):
        horizontal += coordinates[x] * columns[x]
    moments[0], moments[1] = vertical, horizontal


@njit(nogil=True, cache=True)
def _float_kernel(block, runs, offsets, wanted, coordinates, columns, sums, moments, excluded):  # type: ignore[no-untyped-def]
    for f in range(block.shape[0]):
        frame = block[f]
        for d in range(offsets.size - 1):
            region = runs[offsets[d] : offsets[d + 1]]
            columns[:] = 0.0
            excluded[f, d] = _float_columns(frame, region, coordinates, columns)
            for x in range(columns.shape[1]):
                sums[f, d] += columns[0, x]
            if wanted[d]:
                for x in range(columns.shape[1]):
                    moments[f, d, 0] += columns[1, x]
                    moments[f, d, 1] += coordinates[x] * columns[0, x]


@njit(nogil=True, cache=True)
def _float_columns(frame, region, coordinates, columns):  # type: ignore[no-untyped-def]
    """Column sums of v and of y * v: columns are independent, so they vectorise in a fixed order."""
    bad = 0
    for r in range(region.shape[0]):
        y, x0, x1 = _place(region, r)
        for x in range(x0, x1):
            value = np.float64(frame[y, x])
            finite = value - value == 0.0
            kept = value if finite else 0.0
            bad += not finite
            columns[0, x] += kept
            columns[1, x] += coordinates[y] * kept
    return bad
