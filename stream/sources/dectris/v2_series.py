"""What a DECTRIS stream v2 ``start`` message and the first image say of a series. Values in, values out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ...messages import COUNTRATE, FLATFIELD, PIXEL_MASK, Limits, Reason, Rejected
from ...series import DTYPES, MAX_DIM, Encoding, Series, SeriesKey
from ...wire_fields import Refusal, integer, refuse
from .cbor_values import Fields, Numbers
from .simplon_series import Announced, detector_meta, frames_announced, make_series
from .v2_scan import MAX_CHANNELS

MAX_TABLE_BYTES = 16 << 20
"""Of a count rate table, which has no shape to hold it against."""
MAX_UNIQUE_ID = 256
META = "stream"
"""Our key in Series.meta: {"channels": [...], "first_id": n}, what a restarted ingest must know."""
START_KEYS = frozenset(
    {
        "channels",
        "count_time",
        "countrate_correction_lookup_table",
        "detector_description",
        "detector_serial_number",
        "flatfield",
        "flatfield_enabled",
        "frame_time",
        "image_dtype",
        "image_size_x",
        "image_size_y",
        "incident_energy",
        "number_of_images",
        "pixel_mask",
        "pixel_mask_enabled",
        "pixel_size_x",
        "saturation_value",
        "threshold_energy",
        "user_data",
    }
)
TABLE_KEYS: Mapping[str, tuple[str, str]] = {
    PIXEL_MASK: ("pixel_mask", "uint32"),
    FLATFIELD: ("flatfield", "float32"),
}
NOTED = ("detector_serial_number", "flatfield_enabled", "pixel_mask_enabled", "threshold_energy")
"""Fields that go into Series.meta under their own name."""


@dataclass(frozen=True, slots=True)
class Armed:
    """A series that was announced by the detector, before its first image."""

    key: SeriesKey
    unique_id: str
    """Empty when the detector gives none."""
    shape: tuple[int, int] | None
    """(h, w) of one channel; None when only the images say it."""
    dtype: str | None
    count: int | None
    channels: tuple[str, ...]
    """All that the detector has, in its order; empty when only the images say it."""
    frame_time: float | None
    meta: Mapping[str, Any]
    user_data: Any
    fields: Fields = field(repr=False)

    def tables(self, channels: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
        """The tables of the channels, one above the other as their pixels are; only those that are there for
        every channel, decode, and have the shape of its images."""
        found = {name: self._stacked(*where, channels) for name, where in TABLE_KEYS.items()}
        rates = self.fields.values.get("countrate_correction_lookup_table")
        table = rates.array(MAX_TABLE_BYTES) if isinstance(rates, Numbers) else None
        found[COUNTRATE] = None if table is None else table.astype(np.float32)
        return {name: table for name, table in found.items() if table is not None}

    def _stacked(self, key: str, dtype: str, channels: tuple[str, ...]) -> npt.NDArray[Any] | None:
        by_channel = self.fields.values.get(key)
        tables = []
        for channel in channels:
            numbers = by_channel.get(channel) if isinstance(by_channel, dict) else None
            if not isinstance(numbers, Numbers) or numbers.shape != self.shape or self.shape is None:
                return None
            tables.append(numbers.array(self.shape[0] * self.shape[1] * numbers.dtype.itemsize))
        found = [table.astype(dtype, copy=False) for table in tables if table is not None]
        return np.concatenate(found) if len(found) == len(channels) > 0 else None


def key_of(number: int, unique_id: str) -> SeriesKey:
    """A detector's own unique id makes the epoch: a restarted ingest, or detector, comes to the right one."""
    return SeriesKey(hashlib.sha256(unique_id.encode()).digest()[:8], number)


def read_start(fields: Fields, key: SeriesKey, unique_id: str) -> Armed:
    """Understand a ``start`` message; raises Refusal."""
    values = fields.values
    shape = None
    if "image_size_x" in values or "image_size_y" in values:
        sides = (integer(values, f"image_size_{axis}", 1, Reason.BAD_SHAPE, MAX_DIM + 1) for axis in "yx")
        height, width = sides
        shape = (height, width)
    dtype = values.get("image_dtype")
    if dtype is not None and (type(dtype) is not str or dtype not in DTYPES):
        refuse(Reason.BAD_DTYPE, "'image_dtype'", dtype, f"one of {', '.join(DTYPES)}")
    count = values.get("number_of_images")
    if count is not None:
        integer(values, "number_of_images", 0, Reason.BAD_COUNT)
    return Armed(
        key,
        unique_id,
        shape,
        dtype,
        frames_announced(count),
        _channel_names(values.get("channels", [])),
        _positive(values.get("frame_time")),
        _meta(values),
        _user_data(values.get("user_data")),
        fields,
    )


def choose_channels(wanted: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The channels that the user wants (a name, a number from 0, "all"; empty: the first); raises Refusal."""
    if wanted == "all":
        return names
    if not wanted:
        return names[:1]
    if wanted in names:
        return (wanted,)
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 and int(wanted) < len(names):
        return (names[int(wanted)],)
    raise Refusal(
        Reason.BAD_HEADER,
        f"there is no channel {wanted[:40]!r}; the detector has {', '.join(names)}: write ?channel=NAME, its "
        "number from 0, or all",
    )


def announced(
    armed: Armed, shape: tuple[int, int], dtype: str, encoding: Encoding, limits: Limits, own: dict[str, Any]
) -> tuple[Series, list[Rejected]]:
    """The series, and what of the user's data had to be left out; raises Refusal.

    Parameters
    ----------
    shape : (h, w) of a frame as it goes on, all channels.
    own : dict
        What META is to hold.
    """
    said = Announced(shape, dtype, encoding, armed.count, armed.meta, armed.user_data, {META: own})
    series, faults = make_series(said, armed.key, limits)
    if series is None:
        raise Refusal(faults[-1].reason, faults[-1].detail)
    return series, faults


def position_of(user_data: object) -> npt.NDArray[np.float32] | None:
    """(1, 2) (y, x) that an image's user data give; None when they do not."""
    place = user_data.get("position") if isinstance(user_data, dict) else None
    if isinstance(place, list) and len(place) == 1:
        place = place[0]
    if (
        not isinstance(place, list)
        or len(place) != 2
        or any(type(side) not in (int, float) for side in place)
    ):
        return None
    with np.errstate(over="ignore"):
        return np.array([place], np.float64).astype(np.float32)


def nanoseconds(date: str) -> int | None:
    """ns since the Unix epoch of an RFC 3339 date, all its digits; None when it is none."""
    whole, point, rest = date.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if point else ""
    try:
        moment = datetime.fromisoformat(whole + rest[len(digits) :])
        if moment.tzinfo is None:
            return None
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 1_000_000_000 + int(digits[:9].ljust(9, "0"))


def _channel_names(value: object) -> tuple[str, ...]:
    names = value if isinstance(value, list) else None
    if names is None or len(names) > MAX_CHANNELS or len(set(map(str, names))) < len(names):
        refuse(Reason.BAD_HEADER, "'channels'", value, f"at most {MAX_CHANNELS} different names")
    if any(type(name) is not str or not 0 < len(name.encode()) <= 64 for name in names):
        refuse(Reason.BAD_HEADER, "'channels'", value, "texts of 1 to 64 bytes")
    return tuple(names)


def _positive(value: object) -> float | None:
    if type(value) in (int, float) and isfinite(value) and value > 0:  # type: ignore[arg-type, operator]
        return float(value)  # type: ignore[arg-type]
    return None


def _meta(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the detector knows of itself: the known words of Series.meta, and some of its own."""
    noted = {name: values[name] for name in NOTED if name in values}
    plain = {name: value for name, value in noted.items() if not isinstance(value, memoryview | Numbers)}
    return {**plain, **detector_meta(values)}


def _user_data(value: object) -> Any:
    """A map, or the text of one (a header appendix may have been set as either)."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            pass  # then it is a text
    return value
