"""DECTRIS stream v2 messages (CBOR): one map a message, with a SIMPLON detector's keys in its order.

Bytes only. What is the same in all images of a series is written once, so that an image costs no encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from cbor2 import CBORTag, dumps

from ..messages import COUNTRATE, FLATFIELD, PIXEL_MASK
from ..series import Encoding, Series
from .simplon_v1 import MAX_IMAGES, HeaderDetail

Array = npt.NDArray[Any]
Payload = bytes | memoryview

SELF_DESCRIBED = bytes.fromhex("d9d9f7")
"""Tag 55799: detectors begin every message with it (seen in the recorded messages that DECTRIS publishes)."""
DATE, ROW_MAJOR, COMPRESSED = 0, 40, 56500
NANOSECOND = 1_000_000_000
"""The time base that is sent: denominator of every time."""
TYPED: Mapping[str, int] = {
    "|u1": 64,
    ">u2": 65,
    ">u4": 66,
    "<u2": 69,
    "<u4": 70,
    ">i2": 73,
    ">i4": 74,
    "<i2": 77,
    "<i4": 78,
    ">f4": 81,
    ">f8": 82,
    "<f4": 85,
    "<f8": 86,
}
"""Tag of a typed array (RFC 8746) by numpy's spelling of its type."""


def start_message(
    series: Series,
    unique_id: str,
    channels: Sequence[str],
    detail: HeaderDetail,
    tables: Mapping[str, Array],
    user_data: Any,
    date: str,
) -> bytes:
    """The message at ``arm``; tables only with header detail "all", the same for every channel."""
    height, width = series.shape
    frame_time = float(series.meta.get("frame_time", 0.001))
    fields: dict[str, Any] = {
        "type": "start",
        "series_id": series.key.number,
        "series_unique_id": unique_id,
        "beam_center_x": (width - 1) / 2,
        "beam_center_y": (height - 1) / 2,
        "channels": list(channels),
        "count_time": frame_time,
        "countrate_correction_enabled": False,
        "detector_description": str(series.meta.get("detector", "livem simulated detector")),
        "detector_serial_number": "E-00-0000",
        "detector_translation": [0.0, 0.0, 0.0],
        "flatfield_enabled": False,
        "frame_time": frame_time,
        "goniometer": {"omega": {"increment": 0.0, "start": 0.0}},
        "image_dtype": series.dtype,
        "image_size_x": width,
        "image_size_y": height,
        "incident_energy": 1000.0 * float(series.meta.get("beam_energy", 0.0)),
        "number_of_images": min(series.count or MAX_IMAGES, MAX_IMAGES),
        "pixel_mask_enabled": False,
        "pixel_size_x": 7.5e-05,
        "pixel_size_y": 7.5e-05,
        "sensor_material": "Si",
        "sensor_thickness": 0.00045,
        "threshold_energy": {name: 4000.0 * (place + 1) for place, name in enumerate(channels)},
        "user_data": user_data,
        "virtual_pixel_interpolation_enabled": True,
    }
    if series.numpy_dtype.kind in "iu":
        fields["saturation_value"] = int(np.iinfo(series.numpy_dtype).max) - 1
    if date:
        fields["arm_date"] = CBORTag(DATE, date)
    if detail == "all":
        fields |= _tables(tables, channels)
    return SELF_DESCRIBED + dumps(fields)


def end_message(series: Series, unique_id: str) -> bytes:
    """The message at disarm."""
    number = series.key.number
    return SELF_DESCRIBED + dumps({"type": "end", "series_id": number, "series_unique_id": unique_id})


class ImageWords:
    """What surrounds the pixels of one series' images.

    Parameters
    ----------
    dtype : str
        numpy's spelling with byte order ("<u2"), as the pixels are sent.
    element_bytes : int
        Width of the bit shuffle of bslz4.
    date : str
        RFC 3339 date of the series' start; empty = left out.
    """

    def __init__(
        self,
        series: Series,
        unique_id: str,
        channels: Sequence[str],
        encoding: Encoding,
        dtype: str,
        element_bytes: int,
        date: str,
    ) -> None:
        self._exposure_ns = int(float(series.meta.get("frame_time", 0.001)) * 1e9)
        self._encoding = encoding
        ids = [("type", "image"), ("series_id", series.key.number), ("series_unique_id", unique_id)]
        self._ids = b"".join(dumps(key) + dumps(value) for key, value in ids) + dumps("image_id")
        self._date = dumps("series_date") + dumps(CBORTag(DATE, date)) if date else b""
        self._real = dumps("real_time") + dumps([self._exposure_ns, NANOSECOND]) + self._date
        self._stop = dumps("stop_time") + b"\x82"
        self._data = dumps("data") + _head(5, len(channels))
        self._names = [dumps(name) for name in channels]
        self._typed = _head(6, TYPED[dtype])
        algorithm = dumps(encoding) + dumps(element_bytes if encoding == "bslz4" else 0)
        self._compressed = b"" if encoding == "raw" else _head(6, COMPRESSED) + b"\x83" + algorithm

    def identity(self, image_id: int, user_data: Any = None) -> bytes:
        """The message up to its image_id; behind these bytes it is known which image it is."""
        fields = 8 + bool(self._date) + (user_data is not None)
        return SELF_DESCRIBED + _head(5, fields) + self._ids + _head(0, image_id)

    def times(self, start_ns: int, user_data: Any = None) -> bytes:
        """From the image_id to the pixels: exposure times since the series began, user data."""
        base = _head(0, NANOSECOND)
        stop = start_ns + self._exposure_ns
        user = b"" if user_data is None else dumps("user_data") + dumps(user_data)
        start = _START + _head(0, start_ns) + base
        return self._real + start + self._stop + _head(0, stop) + base + user + self._data

    def pixels(self, channel: int, shape: tuple[int, int], size: int) -> bytes:
        """What stands before the ``size`` bytes of a channel's pixels."""
        dims = b"\x82" + _head(0, shape[0]) + _head(0, shape[1])
        return self._names[channel] + _ARRAY + dims + self._typed + self._compressed + _head(2, size)


def _head(major: int, value: int) -> bytes:
    """The first bytes of a CBOR item (RFC 8949, 3): its major type and a number below 2^64."""
    if value < 24:
        return bytes([major << 5 | value])
    for more, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([major << 5 | more]) + value.to_bytes(size, "big")
    raise ValueError(f"{value} does not fit into 64 bits")


_START = dumps("start_time") + b"\x82"
_ARRAY = _head(6, ROW_MAJOR) + b"\x82"


def _tables(tables: Mapping[str, Array], channels: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, key in ((FLATFIELD, "flatfield"), (PIXEL_MASK, "pixel_mask")):
        if name in tables:
            fields[key] = {channel: multi_dimensional(tables[name]) for channel in channels}
    if COUNTRATE in tables:
        fields["countrate_correction_lookup_table"] = typed_array(tables[COUNTRATE].reshape(-1))
    return fields


def typed_array(array: Array) -> CBORTag:
    """Numbers of one type; the array's own byte order is kept."""
    return CBORTag(TYPED[array.dtype.str], array.tobytes())


def multi_dimensional(array: Array) -> CBORTag:
    """An array in row-major order."""
    return CBORTag(ROW_MAJOR, [list(array.shape), typed_array(array)])
