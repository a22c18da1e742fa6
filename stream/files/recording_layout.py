"""What stands where in a recording, and how a series is written down in it.

A recording is a NeXus HDF5 file. Its whole structure is there before the first frame, so that a file whose
writer was killed needs no more than its header put right. Knows no HDF5 library and no ring.
"""

from __future__ import annotations

import base64
import json
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import SourceError
from ..announcement import read_series, series_map
from ..checksum import checksums
from ..messages import DEFAULT_LIMITS
from ..segment import Owner
from ..series import Series, SeriesKey
from ..wire_fields import Refusal

VERSION = 1
VERSION_ATTRIBUTE = "livem_recording"
"""Of the root group: VERSION, the mark of a recording."""

DATA = "entry/data/data"
"""(n, h, w): a frame at its own index, one chunk each, as received; a hole is a chunk never written."""
SCAN = "entry/scan"
"""4-D view (y, x, ky, kx) of DATA (``data``), and of FRAMES' ``valid``; only where a scan has one."""
DETECTOR = "entry/instrument/detector"
"""Also holds the detector's tables, by messages.TABLES' names."""
FRAMES = "entry/frames"
"""One row a frame; as many rows as the last flush knew of. What a row lacks is 0."""
BOOKS = "entry/livem"
SERIES = "entry/livem/series"
"""The announcement as JSON."""
ACCOUNTS = "entry/livem/accounts"
"""The accounts as JSON, in a text of ACCOUNTS_BYTES: their place is there from the start."""
ACCOUNTS_BYTES = 8192
WRITER = "writer"
"""Attribute of BOOKS: computer, process and its start, of who writes or wrote the file."""
HEADERS_MADE = "headers_made"
"""Attribute of DATA: how many payloads came with zeros in place of the bslz4 header and got a true one."""
ENCODING = "encoding"
"""Attribute of DATA: how its chunks are stored, one of series.ENCODINGS."""

ROWS: Mapping[str, np.dtype[Any]] = {
    "index": np.dtype("<i8"),
    "valid": np.dtype("u1"),
    "timestamp": np.dtype("<i8"),
    "size": np.dtype("<i8"),
    "xxh64": np.dtype("<u8"),
}
"""Data sets of FRAMES: the frame's number, whether it is there, its time (ns since the Unix epoch, 0 =
unknown), bytes of its chunk, and their checksum. Scans by positions have ``position`` (n, 2) float32 too."""
POSITION = "position"
POSITION_TYPE = np.dtype("<f4")
POSITION_SUM = "position_xxh64"
"""Beside POSITION, its checksum; not in older recordings, 0 where a frame came without a position."""
COLUMNS = (*ROWS, POSITION, POSITION_SUM)
SUM = "xxh64"
"""Attribute of SERIES and of the detector's tables: the checksum of their bytes; not in older recordings."""
ROWS_PER_CHUNK = 1024

FILTERS: Mapping[str, int] = {"bslz4": 32008, "lz4": 32004}
"""HDF5's registered numbers."""
SMALL_FRAME = 4096
SMALL_CHUNK = 1 << 16


def this_writer() -> str:
    """This process, as WRITER names it."""
    me = Owner.me()
    return f"{platform.node()} {me.pid} {me.started}"


def is_alive(writer: str) -> bool:
    """Whether the process that WRITER names still runs on this computer."""
    node, pid, started = [*writer.rsplit(" ", 2), "", ""][:3]
    if node != platform.node() or not (pid.isdigit() and started.isdigit()):
        return False
    return Owner(int(pid), int(started)).alive()


def frames_per_chunk(series: Series, encoding: str) -> int:
    """1, but for raw frames below 4 KiB: a chunk costs 10 us, a point detector has a million frames/s."""
    if encoding != "raw" or series.frame_bytes >= SMALL_FRAME:
        return 1
    return SMALL_CHUNK // series.frame_bytes


def position_sums(positions: npt.NDArray[np.float32]) -> npt.NDArray[np.uint64]:
    """(n,) checksums of (n, 2) positions."""
    data = np.ascontiguousarray(positions, POSITION_TYPE).view(np.uint8).reshape(-1)
    return checksums(data, 8 * np.arange(1, len(positions) + 1, dtype=np.int64))


def pack_series(series: Series) -> str:
    """The announcement as JSON; bytes in ``meta`` become {"base64": text}."""
    key = {"epoch": series.key.epoch.hex(), "series": series.key.number}
    return json.dumps(key | series_map(series), default=_plain)


def unpack_series(text: str, name: str) -> Series:
    """The series that a recording says it holds.

    Raises SourceError, naming the file, for whatever a start header may not say either.
    """
    try:
        header = json.loads(text)
        if type(header) is not dict:
            raise ValueError("it is no map")
        key = SeriesKey(bytes.fromhex(header["epoch"]), int(header["series"]))
        return read_series({**header, "meta": _unplain(header.get("meta"))}, key, DEFAULT_LIMITS)
    except Refusal as refusal:
        raise SourceError(f"{name}: its announcement is not sound: {refusal.detail}") from refusal
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise SourceError(f"{name}: its announcement cannot be read: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _unplain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            return base64.b64decode(value["base64"])
        return {name: _unplain(entry) for name, entry in value.items()}
    return [_unplain(entry) for entry in value] if isinstance(value, list) else value
