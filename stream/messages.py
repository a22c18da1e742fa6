"""What every source yields, whatever its protocol: Start, FrameBatch, End or Rejected.

The words between the sources and the assembler, and what makes frames fit their series. Nothing here knows
sockets, byte formats or the ring.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from .series import Series, SeriesKey

BSLZ4_HEADER = struct.Struct(">QI")
"""HDF5 bitshuffle-LZ4: raw bytes of the frame, bytes of a block."""
NO_HEADER = (0, 0)
"""A mock detector of LiberTEM-live sends zeros there: the announced shape holds then."""
BSLZ4_LARGEST_BLOCK = 1 << 20
"""bitshuffle's own default is 8 KiB; a decoder's scratch memory grows with this number."""


class Reason(StrEnum):
    """Why something was rejected: a closed set, so that counters of reasons stay bounded."""

    BAD_PARTS = "bad_parts"
    HEADER_TOO_LARGE = "header_too_large"
    BAD_HEADER = "bad_header"
    BAD_VERSION = "bad_version"
    BAD_TYPE = "bad_type"
    BAD_EPOCH = "bad_epoch"
    BAD_SERIES = "bad_series"
    BAD_SHAPE = "bad_shape"
    BAD_DTYPE = "bad_dtype"
    BAD_ENCODING = "bad_encoding"
    BAD_COUNT = "bad_count"
    BAD_SCAN = "bad_scan"
    BAD_META = "bad_meta"
    BAD_INDEX = "bad_index"
    BAD_TIME = "bad_time"
    BAD_SIZES = "bad_sizes"
    BAD_POSITIONS = "bad_positions"
    BAD_TABLE = "bad_table"
    PAYLOAD_SIZE = "payload_size"
    FRAME_TOO_LARGE = "frame_too_large"
    BAD_PAYLOAD = "bad_payload"
    """Encoded bytes that contradict the announced frame or do not decode."""
    DUPLICATE_START = "duplicate_start"
    UNKNOWN_SERIES = "unknown_series"
    AFTER_END = "after_end"
    BEYOND_COUNT = "beyond_count"
    NOT_REPLAYED = "not_replayed"
    """Frames before the one at which a replay was told to begin."""
    UNKNOWN_ORDER = "unknown_order"
    """Frames whose pixels could be put together in several ways."""


UNASCRIBED: tuple[Reason, ...] = tuple(Reason)
"""The order in which a ring counts what was rejected and belongs to no frame of a series."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before anything is allocated for it."""

    header_bytes: int = 65_536
    max_frame_bytes: int = 256 << 20
    """One decoded frame; 256 MiB holds 8192 x 8192 float32."""
    max_message_bytes: int = 256 << 20
    """One part of a message (ZMQ_MAXMSGSIZE): a peer that announces more is disconnected."""
    max_batch_frames: int = 1 << 20
    """Frames of one message: bounds what a single hostile header can be charged with in the accounting."""
    max_scan_pixels: int = 1 << 28
    """Pixels of one scan (16384 x 16384): consumers hold whole scan images."""


DEFAULT_LIMITS = Limits()

PIXEL_MASK = "pixel_mask"
FLATFIELD = "flatfield"
COUNTRATE = "countrate"
TABLES = (PIXEL_MASK, FLATFIELD, COUNTRATE)
"""(h, w) uint32, not 0 where a pixel is not to be used; (h, w) float32 factors; float32 count rates."""


@dataclass(frozen=True, slots=True)
class Start:
    """A series begins."""

    series: Series
    tables: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Arrays that belong to the series, by TABLES' names; too large for a header."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Consecutive frames of one series, as received.

    The arrays are views of the received buffers: they keep them alive, copy nothing, are read-only, and may
    be unaligned.
    """

    key: SeriesKey
    first: int
    """Index of the first frame; the others follow without a gap."""
    count: int
    time_ns: int | None
    """Sender's clock at the first frame, ns since the Unix epoch: a label."""
    sizes: npt.NDArray[np.int64] | None
    """(count,) bytes of each payload; None when raw."""
    payload: npt.NDArray[np.uint8]
    """The payloads back to back, (bytes,)."""
    positions: npt.NDArray[np.float32] | None
    """(count, 2) (y, x) in scan pixels; only for scan order "positions"."""


@dataclass(frozen=True, slots=True)
class End:
    """A series ends."""

    key: SeriesKey
    count: int | None
    """Frames that were sent; None when the detector does not say."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that is not used, and which frames that concerns as far as its header could tell."""

    reason: Reason
    detail: str
    """The field, its value, the limit: for the log and the user; at most a few hundred characters."""
    key: SeriesKey | None = None
    first: int | None = None
    count: int | None = None
    advice: str = ""
    """The next step where it can be known: whose protocol the bytes are, say."""


Message = Start | FrameBatch | End | Rejected

Fault = tuple[Reason, str]
"""Why something is refused, in the code and in words."""


def check(batch: FrameBatch, series: Series, limits: Limits = DEFAULT_LIMITS) -> Rejected | None:
    """Hold frames against what their series announced, before a byte of them is kept.

    Parameters
    ----------
    batch : FrameBatch
        From any source; its key is taken to be the series' own.
    series : Series
        The announcement.
    limits : Limits, optional

    Returns
    -------
    Rejected or None
        None when the frames fit: positions there when the scan wants them, bytes as many as the shape and
        the sizes say, every bslz4 header in agreement with the shape. Encoded bytes are not decoded here.
    """
    fault = (
        _frame_fault(series, limits)
        or (_raw_fault(batch, series) if series.encoding == "raw" else _encoded_fault(batch, series))
        or _positions_fault(batch, series)
    )
    return None if fault is None else Rejected(*fault, batch.key, batch.first, batch.count)


def _frame_fault(series: Series, limits: Limits) -> Fault | None:
    if series.frame_bytes <= limits.max_frame_bytes:
        return None
    return Reason.FRAME_TOO_LARGE, frame_too_large(series, limits)


def frame_too_large(series: Series, limits: Limits) -> str:
    h, w = series.shape
    return (
        f"a frame of {h} x {w} {series.dtype} has {series.frame_bytes:,} bytes, the limit is "
        f"{limits.max_frame_bytes:,}"
    )


def _raw_fault(batch: FrameBatch, series: Series) -> Fault | None:
    if batch.sizes is not None:
        return Reason.BAD_SIZES, "the series is raw, yet its frames come with sizes: leave 'sizes' out"
    expected = batch.count * series.frame_bytes
    if batch.payload.nbytes == expected:
        return None
    h, w = series.shape
    return Reason.PAYLOAD_SIZE, (
        f"{batch.count} raw frames of {h} x {w} {series.dtype} are {expected:,} bytes, "
        f"received {batch.payload.nbytes:,}"
    )


def _encoded_fault(batch: FrameBatch, series: Series) -> Fault | None:
    if batch.sizes is None:
        return Reason.BAD_SIZES, f"the series is {series.encoding}, so its frames need 'sizes' (bytes each)"
    sizes: list[int] = batch.sizes.tolist()  # Python integers: sums cannot wrap around
    if len(sizes) != batch.count or min(sizes, default=0) < 1:
        return Reason.BAD_SIZES, f"{batch.count} frames need as many sizes >= 1, received {len(sizes)} sizes"
    if sum(sizes) != batch.payload.nbytes:
        return Reason.PAYLOAD_SIZE, (
            f"the sizes of {batch.count} frames add up to {sum(sizes):,} bytes, "
            f"received {batch.payload.nbytes:,}"
        )
    return _bslz4_fault(batch, sizes, series.frame_bytes) if series.encoding == "bslz4" else None


def _bslz4_fault(batch: FrameBatch, sizes: list[int], frame_bytes: int) -> Fault | None:
    """Each frame's 12-byte header; 0.25 us a frame."""
    offset, buffer = 0, batch.payload.data
    for number, size in enumerate(sizes):
        if size < BSLZ4_HEADER.size:
            return Reason.BAD_PAYLOAD, (
                f"frame {batch.first + number} has {size} bytes, less than its bslz4 header "
                f"({BSLZ4_HEADER.size} bytes)"
            )
        raw, block = header = BSLZ4_HEADER.unpack_from(buffer, offset)
        if header != NO_HEADER and (raw != frame_bytes or not _sane_block(block, frame_bytes)):
            return Reason.BAD_PAYLOAD, (
                f"the bslz4 header of frame {batch.first + number} says {raw:,} bytes in blocks of "
                f"{block:,}; the announced frame has {frame_bytes:,} bytes"
            )
        offset += size
    return None


def _sane_block(block: int, frame_bytes: int) -> bool:
    """Bitshuffle works on eights of elements, and no block needs to be larger than the frame."""
    return block >= 8 and block % 8 == 0 and block <= max(frame_bytes, BSLZ4_LARGEST_BLOCK)


def _positions_fault(batch: FrameBatch, series: Series) -> Fault | None:
    wanted = series.scan is not None and series.scan.order == "positions"
    if batch.positions is None:
        if not wanted:
            return None
        return Reason.BAD_POSITIONS, "the scan order is 'positions', yet no positions came with the frames"
    if not wanted:
        return (
            Reason.BAD_POSITIONS,
            "positions came with frames of a series whose scan order is not 'positions'",
        )
    if batch.positions.shape == (batch.count, 2):
        return None
    return Reason.BAD_POSITIONS, (
        f"{batch.count} frames need ({batch.count}, 2) positions, received {batch.positions.shape}"
    )
