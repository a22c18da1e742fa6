"""Small msgpack maps: the header of a result and the requests of the control channel.

Plain values only, bounded in every direction; reading never raises, whatever the bytes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgpack
import numpy as np

from ..errors import ResultError

Part: TypeAlias = Any
"""bytes, memoryview or zmq.Frame: whatever offers the buffer protocol."""

MAX_HEADER: Final = 64 * 1024

# Limits of the decoder itself: 1 MiB of empty arrays cost 447 ms and 74 MB, 64 KiB a sixteenth of that.
_UNPACK: Final = {
    "raw": False,
    "strict_map_key": True,
    "max_str_len": MAX_HEADER,
    "max_bin_len": MAX_HEADER,
    "max_array_len": 8192,
    "max_map_len": 4096,
    "max_ext_len": 0,
}


@dataclass(frozen=True, slots=True)
class BadMessage:
    """Bytes that are no result, and why."""

    reason: str
    """One of a closed set of short codes, fit to be counted by."""
    detail: str = ""


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUS" and value.size <= 1024:
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a plain value")


def pack_map(fields: Mapping[str, Any], limit: int = MAX_HEADER) -> bytes:
    """Bytes of a small map; numpy scalars and small arrays become plain values.

    Raises ResultError when a value is not plain (bool, int, float, str, bytes, None, list, dict) or when
    more than ``limit`` bytes come out.
    """
    try:
        packed: bytes = msgpack.packb(dict(fields), default=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ResultError(f"cannot be written as a header: {error}; use plain values and arrays") from error
    if len(packed) > limit:
        raise ResultError(f"a header of {len(packed)} bytes; the limit is {limit}. Put long values in arrays")
    return packed


def unpack_map(part: Part) -> dict[str, Any] | BadMessage:
    """The map in these bytes, or what is wrong with them; never raises."""
    raw = memoryview(part)
    if raw.nbytes > MAX_HEADER:
        return BadMessage("header too long", f"{raw.nbytes} bytes, the limit is {MAX_HEADER}")
    try:
        value = msgpack.unpackb(raw, **_UNPACK)
    except (ValueError, RecursionError, OverflowError) as error:
        return BadMessage("not msgpack", f"{type(error).__name__}: {error}"[:200])
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return BadMessage("not a map")
    return value
