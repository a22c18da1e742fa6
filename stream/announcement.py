"""A series as it is announced: its map in a start header, read with every limit, and written.

Nothing here knows message parts, sockets or msgpack.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from .messages import Limits, Reason, frame_too_large
from .series import DTYPES, ENCODINGS, MAX_DIM, ORDERS, Scan, Series, SeriesKey
from .wire_fields import INTEGER_END, Refusal, choice, dims, integer, refuse

MAX_META_DEPTH = 8
POSITIVE_META = frozenset(
    {"pixel_size", "scan_step", "frame_time", "counts_per_electron", "beam_energy", "saturation"}
)
NUMBER_META = POSITIVE_META | {"offset", "read_noise"}
TEXT_META = frozenset({"pixel_unit", "scan_unit", "detector", "sample", "title"})


def read_series(header: Mapping[str, Any], key: SeriesKey, limits: Limits) -> Series:
    """The series that a start header announces; raises Refusal. What may be left out has its default."""
    encoding = choice(header.get("encoding", "raw"), "'encoding'", ENCODINGS, Reason.BAD_ENCODING)
    series = Series(
        key=key,
        shape=dims(header.get("shape"), "'shape'", Reason.BAD_SHAPE),
        dtype=choice(header.get("dtype"), "'dtype'", DTYPES, Reason.BAD_DTYPE),
        encoding=encoding,  # type: ignore[arg-type]
        count=None if header.get("count") is None else integer(header, "count", 0, Reason.BAD_COUNT),
        scan=_scan(header.get("scan"), limits),
        meta=_meta(header.get("meta")),
    )
    if series.frame_bytes > limits.max_frame_bytes:
        raise Refusal(Reason.FRAME_TOO_LARGE, frame_too_large(series, limits))
    return series


def series_map(series: Series) -> dict[str, Any]:
    """What a start header says of a series besides its key."""
    scan = series.scan
    return {
        "shape": list(series.shape),
        "dtype": series.dtype,
        "encoding": series.encoding,
        "count": series.count,
        "scan": None
        if scan is None
        else {"shape": list(scan.shape), "order": scan.order, "skip": scan.skip, "repeats": scan.repeats},
        "meta": dict(series.meta),
    }


def _scan(value: Any, limits: Limits) -> Scan | None:
    if value is None:
        return None
    if type(value) is not dict:
        refuse(Reason.BAD_SCAN, "'scan'", value, "nil (a movie) or a map")
    order = choice(value.get("order", "raster"), "the scan's 'order'", ORDERS, Reason.BAD_SCAN)
    scan = Scan(
        shape=dims(value.get("shape"), "the scan's 'shape'", Reason.BAD_SCAN),
        order=order,  # type: ignore[arg-type]
        skip=integer({"skip": 0} | value, "skip", 0, Reason.BAD_SCAN, MAX_DIM + 1),
        repeats=integer({"repeats": 1} | value, "repeats", 0, Reason.BAD_SCAN),
    )
    _bound_scan(scan, limits)
    return scan


def _bound_scan(scan: Scan, limits: Limits) -> None:
    pixels = scan.shape[0] * scan.shape[1]
    if pixels > limits.max_scan_pixels:
        refuse(Reason.BAD_SCAN, "the scan's number of pixels", pixels, f"<= {limits.max_scan_pixels:,}")
    if (scan.frame_count or 0) >= INTEGER_END:
        refuse(Reason.BAD_SCAN, "the scan's number of frames", scan.frame_count, f"< {INTEGER_END:,}")


def _meta(value: Any) -> dict[str, Any]:
    """The free map: known keys of the right kind, the others plain data that can be passed on as msgpack."""
    if value is None:
        return {}
    if type(value) is not dict or not _is_plain(value, MAX_META_DEPTH):
        wanted = f"a map of text keys to plain values, at most {MAX_META_DEPTH} levels deep"
        refuse(Reason.BAD_META, "'meta'", value, wanted)
    meta = {name: entry for name, entry in value.items() if entry is not None}
    for name, entry in meta.items():
        if name in TEXT_META and type(entry) is not str:
            refuse(Reason.BAD_META, f"meta '{name}'", entry, "text")
        if name in NUMBER_META and not _is_number(entry, positive=name in POSITIVE_META):
            wanted = "a finite number" + (" > 0" if name in POSITIVE_META else "")
            refuse(Reason.BAD_META, f"meta '{name}'", entry, wanted)
    return meta


def _is_number(value: Any, positive: bool) -> bool:
    return type(value) in (int, float) and isfinite(value) and (value > 0 or not positive)


def _is_plain(value: Any, depth: int) -> bool:
    if type(value) is dict:
        return depth > 0 and all(type(k) is str and _is_plain(v, depth - 1) for k, v in value.items())
    if type(value) is list:
        return depth > 0 and all(_is_plain(entry, depth - 1) for entry in value)
    return value is None or type(value) in (bool, int, float, str, bytes)
