"""Results as bytes: one multipart message a result.

A result travels as ``[topic, header, array, array, ...]``; on its way out the hub puts a stamp behind the
topic. Decoding never raises and allocates nothing that the bytes do not pay for. No sockets here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import ResultError
from .plain_map import BadMessage, Part, pack_map, unpack_map
from .results import KINDS, Result, fault_of
from .series import DTYPES, SeriesKey

MAX_TOPIC: Final = 128
MAX_ARRAYS: Final = 64
MAX_NDIM: Final = 4
MAX_LENGTH: Final = 1 << 24
"""Of one axis: a table of 16 million rows; a display never gets near it."""
MAX_PART: Final = 256 * 1024 * 1024
"""Bytes of one array: 4096 x 4096 float64 is 128 MiB. Also the sockets' MAXMSGSIZE."""
MAX_TEXT: Final = 256
"""Characters of one entry of a text column."""

BUS_DTYPES: Final[Mapping[str, np.dtype[Any]]] = MappingProxyType(
    {
        **DTYPES,
        **{name: np.dtype(name).newbyteorder("<") for name in ("bool", "int8", "int64", "uint64")},
    }
)
_CODES: Final = {dtype: name for name, dtype in BUS_DTYPES.items()}


class _Bad(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.message = BadMessage(reason, detail)


def topic_bytes(topic: str) -> bytes:
    """The topic as it travels; raises ResultError when it is empty, too long or not printable."""
    raw = topic.encode("utf-8", "surrogatepass")
    if not 1 <= len(raw) <= MAX_TOPIC or not topic.isprintable():
        raise ResultError(f"topic {topic!r} must be 1 to {MAX_TOPIC} bytes of printable text")
    return raw


def encode(result: Result) -> list[bytes | memoryview]:
    """Multipart message of a result: ``[topic, header, array, ...]``.

    The array parts are views of the result's own memory (a copy only where an array is not C-contiguous or
    not little-endian): send them before the consumer changes its state.

    Raises
    ------
    ResultError
        When the arrays do not fit the kind, a dtype is not in the table, or a limit is passed.
    """
    fault = fault_of(result.kind, result.arrays)
    if fault is not None:
        raise ResultError(f"result {result.topic!r}: {fault}")
    if len(result.arrays) > MAX_ARRAYS:
        raise ResultError(
            f"result {result.topic!r} has {len(result.arrays)} arrays; the limit is {MAX_ARRAYS}"
        )
    described = [_described(result.topic, name, array) for name, array in result.arrays.items()]
    series = result.series
    header = {
        "livem": 1,
        "kind": result.kind,
        "series": None if series is None else [series.epoch, series.number],
        "frames": [int(result.frames[0]), int(result.frames[1])],
        "t_ns": int(result.t_ns),
        "final": bool(result.final),
        "arrays": [spec for spec, _ in described],
        "units": dict(result.units),
        "attrs": dict(result.attrs),
    }
    try:
        packed = pack_map(header)
    except ResultError as error:
        raise ResultError(f"result {result.topic!r}: {error}") from error
    return [topic_bytes(result.topic), packed, *(part for _, part in described)]


def _described(topic: str, name: str, array: npt.NDArray[Any]) -> tuple[list[Any], bytes | memoryview]:
    what = f"result {topic!r}, array {name!r}"
    little = array.dtype.newbyteorder("<")
    code = _CODES.get(little) or _text_code(little)
    if code is None:
        known = ", ".join(BUS_DTYPES)
        raise ResultError(f"{what} has dtype {array.dtype}; the bus carries {known} and short text")
    if array.ndim > MAX_NDIM or array.nbytes > MAX_PART or any(n > MAX_LENGTH for n in array.shape):
        raise ResultError(
            f"{what} is {array.shape} ({array.nbytes} bytes); the limits are {MAX_NDIM} axes, "
            f"{MAX_LENGTH} along one, {MAX_PART} bytes. Publish less, or bin it first"
        )
    flat = np.ascontiguousarray(array, dtype=little).reshape(-1)
    return [name, code, list(array.shape)], flat.view(np.uint8).data if flat.size else b""


def _text_code(dtype: np.dtype[Any]) -> str | None:
    width = dtype.itemsize // (4 if dtype.kind == "U" else 1)
    return f"{dtype.kind}{width}" if dtype.kind in "US" and 1 <= width <= MAX_TEXT else None


def decode(parts: Sequence[Part]) -> Result | BadMessage:
    """The result in ``[topic, header, array, ...]``, or why there is none; never raises.

    The arrays are read-only views of the received buffers, which they keep alive (an array that lies
    unaligned in its buffer, which only small ones do, is copied: compiled kernels refuse such).
    """
    try:
        return _result(parts)
    except _Bad as bad:
        return bad.message


def _result(parts: Sequence[Part]) -> Result:
    if not 2 <= len(parts) <= 2 + MAX_ARRAYS:
        raise _Bad("wrong number of parts", str(len(parts)))
    topic = topic_of(parts[0])
    if topic is None:
        raise _Bad("bad topic")
    header = unpack_map(parts[1])
    if isinstance(header, BadMessage):
        raise _Bad(header.reason, header.detail)
    if header.get("livem") != 1 or header.get("kind") not in KINDS:
        raise _Bad("not a livem result")
    arrays = _arrays(header.get("arrays"), parts[2:])
    fault = fault_of(header["kind"], arrays)
    if fault is not None:
        raise _Bad("arrays do not fit the kind", fault)
    return Result(
        topic=topic,
        kind=header["kind"],
        series=_series(header.get("series")),
        frames=_frames(header.get("frames")),
        t_ns=_whole(header.get("t_ns"), "bad time"),
        arrays=arrays,
        units=_text_map(header.get("units")),
        attrs=_any_map(header.get("attrs")),
        final=header.get("final") is True,
    )


def topic_of(part: Part) -> str | None:
    """The topic in these bytes; None where they are empty, too long or not printable text."""
    raw = memoryview(part)
    if not 1 <= raw.nbytes <= MAX_TOPIC:
        return None
    try:
        text = str(raw, "utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None


def _whole(value: object, reason: str) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise _Bad(reason)
    return value


def _series(value: object) -> SeriesKey | None:
    match value:
        case None:
            return None
        case [bytes(epoch), int(number)] if len(epoch) == 8:
            return SeriesKey(epoch, _whole(number, "bad series"))
    raise _Bad("bad series")


def _frames(value: object) -> tuple[int, int]:
    match value:
        case [first, stop]:
            first, stop = _whole(first, "bad frames"), _whole(stop, "bad frames")
            if first <= stop:
                return first, stop
    raise _Bad("bad frames")


def _any_map(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _Bad("bad attributes")
    return value


def _text_map(value: object) -> dict[str, str]:
    fields = _any_map(value)
    if not all(isinstance(unit, str) for unit in fields.values()):
        raise _Bad("bad units")
    return fields


def _arrays(specs: object, parts: Sequence[Part]) -> dict[str, npt.NDArray[Any]]:
    if not isinstance(specs, list) or len(specs) != len(parts):
        raise _Bad("wrong number of parts", f"{len(parts)} arrays came")
    arrays: dict[str, npt.NDArray[Any]] = {}
    for spec, part in zip(specs, parts, strict=True):
        match spec:
            case [str(name), str(code), list(shape)] if name not in arrays:
                arrays[name] = _array(code, shape, memoryview(part))
            case _:
                raise _Bad("bad array description")
    return arrays


def _array(code: str, shape: list[object], raw: memoryview) -> npt.NDArray[Any]:
    dtype = _dtype(code)
    if len(shape) > MAX_NDIM:
        raise _Bad("bad shape", f"{len(shape)} axes")
    dims = tuple(_whole(length, "bad shape") for length in shape)
    if any(length > MAX_LENGTH for length in dims):
        raise _Bad("bad shape", str(dims))
    if math.prod(dims) * dtype.itemsize != raw.nbytes or raw.nbytes > MAX_PART:
        raise _Bad("size and shape disagree", f"{dims} {code} in {raw.nbytes} bytes")
    flat = np.frombuffer(raw, dtype) if raw.nbytes else np.empty(0, dtype)
    if not flat.flags.aligned:
        flat = flat.copy()
    _check_content(flat)
    flat.setflags(write=False)
    return flat.reshape(dims)


def _dtype(code: str) -> np.dtype[Any]:
    """From the closed table, or a text column: np.dtype() never sees a string that came over a wire."""
    known = BUS_DTYPES.get(code)
    if known is not None:
        return known
    digits = code[1:]
    if code[:1] in ("U", "S") and 1 <= len(digits) <= 3 and digits.isascii() and digits.isdecimal():
        width = int(digits)
        if 1 <= width <= MAX_TEXT:
            return np.dtype((np.str_ if code[0] == "U" else np.bytes_, width)).newbyteorder("<")
    raise _Bad("unknown dtype", code[:32])


def _check_content(flat: npt.NDArray[Any]) -> None:
    """Bytes that are no bool or no character would be undefined behaviour, or raise far from here."""
    if flat.dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
        raise _Bad("not a bool")
    if flat.dtype.kind == "U" and flat.size and flat.view("<u4").max() > sys.maxunicode:
        raise _Bad("not text")
