"""One series of DECTRIS stream v2 while its images come: what is kept of it, and runs of images found.

Knows bursts, no socket; the odd image is v2_image.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...burst import MAX_MESSAGES, Burst
from ...messages import FrameBatch, Reason
from ...series import Encoding, Series
from ...wire_fields import INTEGER_END, Refusal
from . import v2_scan as scan
from .v2_series import META, nanoseconds

TAGS: Mapping[str, int] = {
    "uint8": 64,
    "uint16": 69,
    "uint32": 70,
    "int16": 77,
    "int32": 78,
    "float32": 85,
    "float64": 86,
}
"""Tag under which each type travels as it is."""
ALGORITHMS: Mapping[Encoding, int] = {"raw": scan.RAW, "bslz4": scan.BSLZ4, "lz4": scan.LZ4}
NANOSECOND = 1_000_000_000
MAX_DATE = 64
"""Bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How the images of one series are read."""

    series: Series
    unique_id: str | None
    """None: not known yet, after a restart."""
    channels: tuple[str, ...]
    """Those that are used, in this order."""
    first_id: int
    block_bytes: int | None = None
    """Of all channels' blocks where they are joined without decoding."""
    dates: dict[bytes, int | None] = field(default_factory=dict)

    @property
    def channel_shape(self) -> tuple[int, int]:
        """(h, w) of one channel: they lie one above the other."""
        height, width = self.series.shape
        return height // len(self.channels), width

    @property
    def channel_bytes(self) -> int:
        return self.series.frame_bytes // len(self.channels)

    @property
    def wants_positions(self) -> bool:
        return self.series.scan is not None and self.series.scan.order == "positions"

    def refuse_index(self, image_id: int) -> None:
        """Raise Refusal for an image that cannot be."""
        if image_id < self.first_id:
            raise Refusal(
                Reason.BAD_INDEX,
                f"image_id is {image_id}, yet the images of series {self.series.key.number} are numbered "
                f"from {self.first_id}; if that is wrong, write ?first_id=0",
            )

    def room_behind(self, image_id: int) -> int:
        """Images from this one to the last announced; 0 when it is beyond it, or nothing was announced.

        A run ends there: what is beyond is refused as a whole, and must not take good frames along.
        """
        count = self.series.count
        return 0 if count is None else max(0, count + self.first_id - image_id)

    def time_ns(self, ticks: int, per_second: int, date: bytes) -> int | None:
        """The absolute time of an exposure, where the detector says its date and both make sense."""
        if not per_second or not 0 < len(date) <= MAX_DATE:
            return None
        if date not in self.dates:
            self.dates.clear()
            self.dates[date] = nanoseconds(date.decode("utf-8", "replace"))
        began = self.dates[date]
        moment = -1 if began is None else began + ticks * NANOSECOND // per_second
        return moment if 0 <= moment < INTEGER_END else None


def resumed_reading(series: Series) -> Reading | None:
    """How to go on with a series of a former process; None when it was not one of stream v2.

    Nothing in ``meta`` is believed that could not be ours: a stream v1 has its user's words there.
    """
    own = series.meta.get(META)
    if not isinstance(own, dict):
        return None
    channels = own.get("channels")
    if not isinstance(channels, list) or not all(type(name) is str for name in channels):
        return None
    first_id, block = own.get("first_id"), own.get("block_bytes")
    if first_id not in (0, 1) or not (block is None or type(block) is int):
        return None
    if not 0 < len(channels) <= scan.MAX_CHANNELS or series.shape[0] % len(channels):
        return None
    return Reading(series, None, tuple(channels), int(first_id), block)


class RunScanner:
    """Finds runs of images that are as expected, and joins their payloads where they lie."""

    def __init__(self, reading: Reading) -> None:
        series, channels = reading.series, len(reading.channels)
        self._reading = reading
        self._names, self._edges = scan.channel_words(reading.channels)
        self._unique_id = np.frombuffer((reading.unique_id or "").encode(), np.uint8)
        algorithm = ALGORITHMS[series.encoding]
        self._expected = scan.expectation(
            series.key.number,
            reading.channel_shape,
            TAGS[series.dtype],
            algorithm,
            series.numpy_dtype.itemsize if algorithm == scan.BSLZ4 else 0,
            reading.channel_bytes,
            positions=reading.wants_positions,
            block_bytes=reading.block_bytes,
        )
        self._rows = np.zeros((MAX_MESSAGES, scan.PIXELS + 2 * channels), np.int64)
        self._places = np.zeros((MAX_MESSAGES, 2), np.float64)

    def run(self, burst: Burst, at: int) -> tuple[int, FrameBatch | None]:
        """How many messages from ``at`` on are one run, and its frames; (0, None) when not even the first is
        as expected."""
        reading = self._reading
        found = int(
            scan.scan_images(
                burst.data,
                burst.parts,
                burst.first,
                at,
                self._unique_id,
                self._names,
                self._edges,
                self._expected,
                self._rows,
                self._places,
            )
        )
        first_id = int(self._rows[0, scan.ID])
        if not found or not reading.first_id <= first_id < INTEGER_END - found:
            return 0, None
        found = min(found, reading.room_behind(first_id) or found)
        rows = self._rows[:found]
        time_ns = self._time_ns(burst, rows[0])
        joined = self._joined(burst, rows)
        if joined is None:
            return 0, None
        sizes, payload = joined
        positions = self._places[:found].astype(np.float32) if reading.wants_positions else None
        key = reading.series.key
        return found, FrameBatch(key, first_id - reading.first_id, found, time_ns, sizes, payload, positions)

    def _time_ns(self, burst: Burst, row: npt.NDArray[np.int64]) -> int | None:
        ticks, per_second, at, size = row[scan.START : scan.PIXELS].tolist()
        return self._reading.time_ns(ticks, per_second, burst.data[at : at + size].tobytes())

    def _joined(
        self, burst: Burst, rows: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.uint8]] | None:
        """(sizes, payload) of the rows; None for payloads that do not lie one behind the other."""
        channels, raw = len(self._reading.channels), self._reading.series.encoding == "raw"
        header = 0 if raw or channels == 1 else scan.HEADER_BYTES
        sizes = np.empty(len(rows), np.int64)
        begin = int(rows[0, scan.PIXELS])
        end = int(scan.join_payloads(burst.data, burst.data.ctypes.data, rows, channels, header, sizes))
        if end < 0:
            return None
        payload = burst.data[begin:end]
        payload.flags.writeable = False
        return (None if raw else sizes), payload
