"""Sums and centres of mass of regions, for batches of bslz4 blobs, without making a pixel.

What a plan cannot do it refuses when it is compiled; then frames are decoded and `reduce_block` does it,
whose results these are, bit for bit. Knows no consumer and no stream. The numba code is in batch.py
and sums.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..cells import frozen
from ..masks import Mask, Shape
from ..reduce import Reduction, Region, Regions, compile_regions, relative_centers
from .batch import LINE, Format, run_batch
from .sums import WORD, Tables, pack

DTYPES = ("uint8", "uint16", "uint32", "int16", "int32")
"""Pixel types that a plan takes."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPlan:
    """Regions made ready to be summed over encoded frames; immutable, to be shared between threads."""

    dtype: np.dtype[Any]
    regions: Regions
    """Without dead pixels: `reduce_block` with them gives the same results from decoded frames."""
    tables: Tables
    skip_outside: bool
    """Blocks that no region touches are not decoded by `run`; see `compile_plan`."""

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def shape(self) -> Shape:
        """(h, w) of a frame."""
        return self.regions.shape

    def run(
        self,
        payload: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
        sums: npt.NDArray[Any],
        moments: npt.NDArray[np.int64],
        status: npt.NDArray[np.int8],
    ) -> None:
        """Reduce a batch of blobs, in one call without the interpreter's lock.

        Parameters
        ----------
        payload : (b,) uint8, blob after blob; may be read-only.
        offsets : (n + 1,) int64 byte of ``payload`` where each blob begins, and where the last one ends.
        sums : (n, d) int64, uint64 for uint32 frames; counts.
        moments : (n, d, 2) int64 sums of y * v and x * v, in px from the frame's first pixel; zero for
            regions that want no centre of mass.
        status : (n,) int8 as `decode_frames` gives it; where it is not zero, sums and moments are zero.

        Raises
        ------
        ValueError
            When an array has another shape, type or order, or offsets fall or leave the payload.
        """
        n, d = len(status), len(self)
        counts = np.dtype(np.uint64 if self.dtype == np.uint32 else np.int64)
        _check("payload", payload, payload.shape[:1], np.dtype(np.uint8))
        _check("offsets", offsets, (n + 1,), np.dtype(np.int64))
        _check("sums", sums, (n, d), counts)
        _check("moments", moments, (n, d, 2), np.dtype(np.int64))
        _check("status", status, (n,), np.dtype(np.int8))
        run_batch(
            _read_only(payload),
            _read_only(offsets),
            Format(self.shape[0] * self.shape[1], self.dtype.itemsize, self.skip_outside),
            self.tables,
            sums.view(np.int64),
            moments,
            status,
        )

    def reduction(self, sums: npt.NDArray[Any], moments: npt.NDArray[np.int64]) -> Reduction:
        """What `reduce_block` gives for the same frames, with centres relative to those of the regions."""
        com = relative_centers(moments, sums, self.regions.centers)
        none = np.empty((len(sums), 0), np.int64)
        return Reduction(sums, com, np.zeros(sums.shape, np.int64), none.astype(sums.dtype), none)


def compile_plan(
    shape: Shape,
    dtype: npt.DTypeLike,
    regions: Sequence[Region],
    live: Mask | None = None,
    *,
    skip_outside: bool = False,
) -> EncodedPlan | None:
    """Make a plan, once per change of a detector; None where frames must be decoded.

    Parameters
    ----------
    shape, dtype : of a frame as announced.
    regions : what `compile_regions` takes.
    live : (h, w) bool, false where a pixel is dead: such pixels are taken out of every region, and planes
        in which only they have bits count as empty.
    skip_outside : leave blocks that no region touches compressed, which halves the time of a detector half as
        high as the frame. Damage there then goes unnoticed by `EncodedPlan.run`: the status is that of
        the blocks that were needed, and no longer in every case that of `decode_frames`.

    Raises
    ------
    ValueError
        When a mask or ``live`` has another shape than the frame, or the frame more than 65536 pixels in a row
        or column.

    Notes
    -----
    None for weighted regions, for floats, for another byte order, and for 32-bit frames so large that first
    moments might not fit 64 bits.
    """
    pixel = np.dtype(dtype)
    possible = pixel.name in DTYPES and pixel.isnative and sys.byteorder == "little"
    if not possible or any(region.weights is not None for region in regions):
        return None
    if live is not None and live.shape != shape:
        raise ValueError(f"live pixels of shape {live.shape} for frames of shape {shape}")
    inside = [region if live is None else Region(region.mask & live, region.center) for region in regions]
    compiled = compile_regions(shape, inside)
    if _largest_moment(shape, pixel, inside) >= 1 << 63:
        return None
    return EncodedPlan(pixel, compiled, _tables(compiled, pixel), skip_outside)


def _largest_moment(shape: Shape, pixel: np.dtype[Any], regions: Sequence[Region]) -> int:
    """Bound of what first moments of these regions can be."""
    pixels = max(
        (np.count_nonzero(region.mask) for region in regions if region.center is not None), default=0
    )
    return int(pixels) * max(shape) << 8 * pixel.itemsize


def _tables(regions: Regions, pixel: np.dtype[Any]) -> Tables:
    wanted = [region.center is not None for region in regions.regions]
    rows, row_bits = _geometry(regions.shape)
    packed = np.array([pack(region.mask) for region in regions.regions], np.uint64).reshape(-1, len(rows))
    union = np.bitwise_or.reduce(packed, axis=0)
    weights = 1 << np.arange(8 * pixel.itemsize)
    weights[-1] *= -1 if pixel.kind == "i" else 1
    spans = [_span(words) for words in (*packed, union)]
    return Tables(
        _aligned(packed),
        frozen(spans, np.int64),
        _aligned(union),
        frozen(np.where(wanted, np.cumsum(wanted) - 1, -1), np.int64),
        rows,
        row_bits,
        frozen(weights, np.int64),
        sum(wanted),
        regions.shape[1],
    )


def _aligned(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Read-only, from the start of a cache line on, so that no vector lies in two."""
    space = np.empty(words.nbytes + LINE, np.uint8)
    start = -space.ctypes.data % LINE
    array = space[start : start + words.nbytes].view(np.uint64).reshape(words.shape)
    array[...] = words
    array.flags.writeable = False
    return array


def _span(words: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """From and to which word a mask has pixels."""
    found = np.flatnonzero(words)
    return (int(found[0]), int(found[-1]) + 1) if found.size else (0, 0)


@lru_cache(maxsize=4)
def _geometry(shape: Shape) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """``rows`` and ``row_bits`` of `Tables`: the same for all detectors that one frame is looked at with."""
    h, w = shape
    first = np.arange(0, h * w, WORD) // w
    if w % WORD == 0:
        return frozen(first, np.int64), frozen(np.empty((0, len(first))), np.uint64)
    row = np.repeat(np.arange(h, dtype=np.int32), w) - np.repeat(first.astype(np.int32), WORD)[: h * w]
    bits = int(row.max(initial=0)).bit_length()
    packed = [pack((row >> k & 1).astype(bool)) for k in range(bits)]
    return frozen(first, np.int64), frozen(np.array(packed).reshape(bits, len(first)), np.uint64)


def _check(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"{name} of {array.shape} {array.dtype}: wants {shape} {dtype} in C order")


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of one type for the dispatcher, whoever owns the bytes."""
    view = array.view()
    view.flags.writeable = False
    return view
