"""One batch of frames on the device: tables, results, and the launches that lead from one to the other.

Issues work on streams that the caller owns; waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import config, cuda

from ..reduce import Reduction, Regions, relative_centers
from . import kernels
from .tables import Table, tables_for

DeviceArray: TypeAlias = Any
"""numba's; it has no types."""
Stream: TypeAlias = Any

MAX_FRAMES = 65_535
"""Of a batch: the second dimension of a grid."""

config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # the last batch of a series is as small as it is


@dataclass(frozen=True, slots=True, eq=False)
class Uploaded:
    """A table on the device."""

    table: Table
    pixels: DeviceArray
    weights: DeviceArray
    pieces: DeviceArray
    rows: DeviceArray

    @classmethod
    def of(cls, table: Table, stream: Stream) -> Uploaded:
        pieces = table.pieces if len(table.pieces) else np.zeros((1, 4), np.int64)
        pixels = table.pixels if len(table.pixels) else np.zeros(1, np.int32)
        arrays = [cuda.to_device(a, stream=stream) for a in (pixels, table.weights, pieces, table.rows)]
        return cls(table, *arrays)


@dataclass(frozen=True, slots=True, eq=False)
class OnDevice:
    """Regions ready for frames of one pixel type."""

    regions: Regions
    pixel: np.dtype[Any]
    tables: tuple[Uploaded, ...]

    @classmethod
    def of(cls, regions: Regions, pixel: np.dtype[Any], stream: Stream) -> OnDevice:
        """Upload; the arrays may be used by work that is issued on other streams after this one's."""
        found = tuple(Uploaded.of(table, stream) for table in tables_for(pixel, regions))
        return cls(regions, pixel, found)


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What a table gives for up to ``capacity`` frames: on the device, and where it is downloaded to."""

    device: tuple[DeviceArray, ...]
    """Sums, moments, and of floats the pixels that are not finite."""
    host: tuple[npt.NDArray[Any], ...]
    """The same, page-locked."""
    partial: DeviceArray

    @classmethod
    def of(cls, table: Table, capacity: int) -> Results:
        device = tuple(cuda.device_array(shape, kind) for shape, kind in _shapes(table, capacity))
        host = tuple(cuda.pinned_array(shape, kind) for shape, kind in _shapes(table, capacity))
        partial = cuda.device_array(_partial_shape(table, capacity), _kind(table))
        return cls(device, host, partial)


def result_bytes(table: Table, capacity: int) -> int:
    """Device memory that `Results` of a table take."""
    arrays = [*_shapes(table, capacity), (_partial_shape(table, capacity), _kind(table))]
    return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in arrays)


def issue(
    frames: DeviceArray, width: int, of: Uploaded, results: Results, stream: Stream, threads: int
) -> None:
    """Reduce ``frames`` (n, h * w) on a stream."""
    table, n = of.table, frames.shape[0]
    partial = results.partial[:n]
    is_exact = table.is_exact
    if len(table.pieces):
        launch = (kernels.sum_integers if is_exact else kernels.sum_floats)[
            (len(table.pieces), n), threads, stream
        ]
        launch(frames, width, of.pixels, of.weights, of.pieces, partial)
    blocks = -(-n * (len(table.rows) - 1) // threads)
    join = (kernels.join_integers if is_exact else kernels.join_floats)[blocks, threads, stream]
    join(partial, of.rows, *(array[:n] for array in results.device))


def download(results: Results, n: int, stream: Stream) -> None:
    """Bring the results of ``n`` frames to the host, on a stream."""
    for device, host in zip(results.device, results.host, strict=True):
        device[:n].copy_to_host(host[:n], stream=stream)


def reduction(on_device: OnDevice, results: Sequence[Results], n: int) -> Reduction:
    """What downloaded results say, in the arrays and types of `kernels.reduce.reduce_block`; copies."""
    regions, pixel, is_float = on_device.regions, on_device.pixel, on_device.pixel.kind == "f"
    counts = np.dtype("f8" if is_float else "u8" if pixel == np.uint32 else "i8")
    d = len(regions)
    sums = np.zeros((n, d), _sum_type(regions, pixel, counts))
    moments, excluded = np.zeros((n, d, 2)), np.zeros((n, d), np.int64)
    profile = np.zeros((n, 0 if regions.profile is None else regions.profile.count), counts)
    profile_excluded = np.zeros(profile.shape, np.int64)
    for uploaded, found in zip(on_device.tables, results, strict=True):
        columns, own = uploaded.table.columns, len(uploaded.table.columns)
        of_table = found.host[0][:n]
        sums[:, columns] = of_table[:, :own]
        if uploaded.table.is_exact:
            of_table = of_table.view(counts)
            plain = np.flatnonzero([regions.regions[i].weights is None for i in columns])
            sums[:, columns[plain]] = of_table[:, plain]  # with weights: signed
        moments[:, columns] = found.host[1][:n, :own]
        bad = found.host[2][:n] if len(found.host) > 2 else np.zeros(of_table.shape, np.int64)
        excluded[:, columns] = bad[:, :own]
        if uploaded.table.rings and regions.profile is not None:
            profile[:] = of_table[:, own:]
            profile_excluded[:] = bad[:, own:]
            if is_float:
                profile[(bad[:, own:] == regions.profile.pixels) & (bad[:, own:] > 0)] = np.nan
    com = relative_centers(moments, sums, regions.centers)
    if is_float:
        sums[(excluded == regions.sizes) & (excluded > 0)] = np.nan
    return Reduction(sums, com, excluded, profile, profile_excluded)


def _sum_type(regions: Regions, pixel: np.dtype[Any], counts: np.dtype[Any]) -> np.dtype[Any]:
    """As `kernels.reduce` has it: weights make integers signed, and float weights floats."""
    if pixel.kind == "f" or all(region.weights is None for region in regions.regions):
        return counts
    return np.dtype("i8" if regions.is_exact else "f8")


def _shapes(table: Table, capacity: int) -> list[tuple[tuple[int, ...], type]]:
    rows, d = len(table.rows) - 1, max(len(table.columns), 1)
    kind = _kind(table)
    shapes: list[tuple[tuple[int, ...], type]] = [((capacity, rows), kind), ((capacity, d, 2), np.float64)]
    return shapes if table.is_exact else [*shapes, ((capacity, rows), np.int64)]


def _partial_shape(table: Table, capacity: int) -> tuple[int, int, int]:
    return (capacity, max(len(table.pieces), 1), 3 if table.is_exact else 4)


def _kind(table: Table) -> type:
    return np.int64 if table.is_exact else np.float64
