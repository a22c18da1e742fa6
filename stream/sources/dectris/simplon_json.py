"""The JSON parts of DECTRIS stream v1, read as hostile input: values or a Refusal, never anything else.

Part by part; how parts make messages and messages make series is v1.py's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...messages import COUNTRATE, FLATFIELD, PIXEL_MASK, Reason
from ...wire_fields import Refusal, choice, dims, integer, refuse
from .pixel_coding import Coding, parse_coding

MAX_JSON_BYTES = 1 << 20
"""A detector's whole configuration has some 10 KB."""
NUMBER_END = 1 << 53
"""Series and frame numbers; beyond it JSON readers disagree."""
PIXELS: Mapping[str, Any] = {"uint8": 8, "uint16": 16, "uint32": 32}
"""Pixel types and what ``bit_depth_image`` says of them."""

_TABLES = {
    "dflatfield": (FLATFIELD, np.dtype("<f4")),
    "dpixelmask": (PIXEL_MASK, np.dtype("<u4")),
    "dcountrate": (COUNTRATE, np.dtype("<f4")),
}
"""Beginning of the htype, name, and type as which a table is kept."""
_TABLE_TYPES = {
    name: np.dtype(name).newbyteorder("<") for name in ("uint8", "uint16", "uint32", "float32", "float64")
}


@dataclass(frozen=True, slots=True)
class ImageWords:
    """What an image's second part says."""

    shape: tuple[int, int]
    """(h, w); on the wire it is [w, h]."""
    dtype: str
    coding: Coding


@dataclass(frozen=True, slots=True)
class TableWords:
    """What stands before a table."""

    name: str
    """One of messages.TABLES; empty for a table that nobody here knows."""
    shape: tuple[int, int]
    dtype: np.dtype[Any]


def json_object(part: memoryview | bytes) -> dict[str, Any]:
    """A part as a JSON object; raises Refusal."""
    if len(part) > MAX_JSON_BYTES:
        raise Refusal(
            Reason.HEADER_TOO_LARGE, f"a JSON part of {len(part):,} bytes, the limit is {MAX_JSON_BYTES:,}"
        )
    try:
        value = json.loads(bytes(part))
    except (ValueError, RecursionError) as error:
        raise Refusal(Reason.BAD_HEADER, f"no JSON: {str(error)[:100]}") from error
    if type(value) is not dict:
        refuse(Reason.BAD_HEADER, "a JSON part", value, "an object")
    return value


def htype_of(part: memoryview | bytes) -> str | None:
    """The ``htype`` of a JSON object, empty when it has none; None when the part is no JSON object."""
    if not len(part) or part[0] != ord("{"):
        return None
    try:
        htype = json_object(part).get("htype")
    except Refusal:
        return None
    return htype if type(htype) is str else ""


def series_number(words: Mapping[str, Any]) -> int:
    return integer(words, "series", 0, Reason.BAD_SERIES, NUMBER_END)


def frame_number(words: Mapping[str, Any]) -> int:
    return integer(words, "frame", 0, Reason.BAD_INDEX, NUMBER_END)


def image_words(part: memoryview | bytes) -> ImageWords:
    """Read ``dimage_d-1.0``; raises Refusal."""
    words = json_object(part)
    width, height = dims(words.get("shape"), "an image's 'shape'", Reason.BAD_SHAPE)
    dtype = choice(words.get("type"), "an image's 'type'", PIXELS, Reason.BAD_DTYPE)
    return ImageWords((height, width), dtype, parse_coding(words.get("encoding")))


def image_shape(sizes: list[Any]) -> tuple[int, int] | None:
    """(h, w), or None where that is no shape of an image."""
    try:
        return dims(sizes, "an image's shape", Reason.BAD_SHAPE)
    except Refusal:
        return None


def table_words(part: memoryview | bytes) -> TableWords:
    """Read ``dflatfield-1.0``, ``dpixelmask-1.0`` or ``dcountrate_table-1.0``; raises Refusal."""
    words = json_object(part)
    htype = str(words.get("htype", ""))
    name = next((known for start, (known, _) in _TABLES.items() if htype.startswith(start)), "")
    width, height = dims(words.get("shape"), "a table's 'shape'", Reason.BAD_SHAPE)
    dtype = choice(words.get("type"), "a table's 'type'", _TABLE_TYPES, Reason.BAD_DTYPE)
    return TableWords(name, (height, width), _TABLE_TYPES[dtype])


def is_table(htype: str | None) -> bool:
    return htype is not None and htype.startswith(tuple(_TABLES))


def table(words: TableWords, part: memoryview | bytes) -> npt.NDArray[Any]:
    """The table's values in the type that ``messages.TABLES`` names; raises Refusal."""
    expected = words.shape[0] * words.shape[1] * words.dtype.itemsize
    if len(part) != expected:
        h, w = words.shape
        raise Refusal(
            Reason.PAYLOAD_SIZE,
            f"table {words.name!r} of {h} x {w} {words.dtype.name} has {len(part):,} bytes, not {expected:,}",
        )
    kept = next(dtype for name, dtype in _TABLES.values() if name == words.name)
    return np.frombuffer(bytes(part), words.dtype).astype(kept).reshape(words.shape)
