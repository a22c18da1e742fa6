"""livem/1, the native wire format: ZeroMQ message parts to and from words of the field.

Part 0 is a msgpack map, the rest raw bytes. ``decode`` takes whatever a peer sends and never raises; what it
gives has been held against every limit but the announced series (that is ``check``). Nothing here knows
sockets or the ring, and nothing is allocated beyond a few times the header's own size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import numpy.typing as npt

from .announcement import read_series, series_map
from .messages import (
    COUNTRATE,
    DEFAULT_LIMITS,
    FLATFIELD,
    PIXEL_MASK,
    TABLES,
    End,
    FrameBatch,
    Limits,
    Message,
    Reason,
    Rejected,
    Start,
    check,
)
from .series import Series, SeriesKey
from .wire_fields import Refusal, integer, refuse, show

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = [
    "DEFAULT_LIMITS",
    "VERSION",
    "End",
    "FrameBatch",
    "Limits",
    "Message",
    "Reason",
    "Rejected",
    "Start",
    "check",
    "decode",
    "encode_end",
    "encode_frames",
    "encode_start",
]

VERSION = 1
EPOCH_BYTES = 8
MAX_HEADER_ARRAY = 1024
"""msgpack reserves 8 bytes an element at every one of up to 1,024 nested levels before it sees one: 8 MiB
with this, 82 MiB measured with 65,535. So at most 1,024 encoded frames a message; raw ones have no sizes."""
MAX_HEADER_MAP = 256
TABLE_DTYPES = {PIXEL_MASK: "<u4", FLATFIELD: "<f4", COUNTRATE: "<f4"}

Header = Mapping[str, Any]
Parts = Sequence["ReadableBuffer"]


def decode(parts: Parts, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Understand one multipart message.

    Parameters
    ----------
    parts : sequence of buffers
        The message as received. The arrays of a FrameBatch are views of parts 1 and 2 and keep them alive.
    limits : Limits, optional

    Returns
    -------
    Start, FrameBatch, End or Rejected
        Never raises, whatever the bytes. A rejection names the series and the frames that it concerns
        whenever the header was sound enough to know them. A FrameBatch is still to be checked against its
        series.
    """
    header: Header = {}
    try:
        header = _header(parts, limits)
        return _READERS[header["type"]](header, _key(header), parts, limits)
    except Refusal as refusal:
        return _rejected(refusal, header, limits)


def _header(parts: Parts, limits: Limits) -> Header:
    """The map of part 0, of a version and type known here."""
    if not parts:
        raise Refusal(Reason.BAD_PARTS, "a message without parts")
    size = memoryview(parts[0]).nbytes
    if size > limits.header_bytes:
        refuse(Reason.HEADER_TOO_LARGE, "the header's size", size, f"<= {limits.header_bytes} bytes")
    header = _unpack(parts[0])
    if type(header) is not dict:
        refuse(Reason.BAD_HEADER, "the header", header, "a msgpack map")
    version, kind = header.get("livem"), header.get("type")
    if type(version) is not int or version != VERSION:
        refuse(Reason.BAD_VERSION, "'livem'", version, f"{VERSION} (the version of the wire format)")
    if type(kind) is not str or kind not in _READERS:
        refuse(Reason.BAD_TYPE, "'type'", kind, f"one of {', '.join(_READERS)}")
    return header


def _unpack(part: ReadableBuffer) -> Any:
    try:
        return msgpack.unpackb(
            part,
            max_array_len=MAX_HEADER_ARRAY,
            max_map_len=MAX_HEADER_MAP,
            max_str_len=DEFAULT_LIMITS.header_bytes,
            max_bin_len=DEFAULT_LIMITS.header_bytes,
            max_ext_len=0,
        )
    # StackError and FormatError are ValueErrors; OutOfData and others derive from UnpackException alone.
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise Refusal(Reason.BAD_HEADER, f"the header is not msgpack: {show(error)}") from None


@lru_cache(maxsize=64)
def _series_key(epoch: bytes, number: int) -> SeriesKey:
    return SeriesKey(epoch, number)


def _key(header: Header) -> SeriesKey:
    epoch = header.get("epoch")
    if type(epoch) is not bytes or len(epoch) != EPOCH_BYTES:
        refuse(Reason.BAD_EPOCH, "'epoch'", epoch, f"{EPOCH_BYTES} bytes (msgpack bin)")
    return _series_key(epoch, integer(header, "series", 0, Reason.BAD_SERIES))


def _frame_range(header: Header, limits: Limits) -> tuple[int, int]:
    first = integer(header, "index", 0, Reason.BAD_INDEX)
    count = integer(header, "count", 1, Reason.BAD_COUNT, limits.max_batch_frames + 1)
    return first, count


def _rejected(refusal: Refusal, header: Header, limits: Limits) -> Rejected:
    """Name the frames concerned, as far as the header can be believed."""
    key = first = count = None
    try:
        key = _key(header)
        if header["type"] == "frames":
            first, count = _frame_range(header, limits)
    except Refusal:
        pass  # the first refusal is the one to report
    return Rejected(refusal.reason, refusal.detail, key, first, count)


# -- frames ----------------------------------------------------------------------------------------------


def _read_frames(header: Header, key: SeriesKey, parts: Parts, limits: Limits) -> FrameBatch:
    first, count = _frame_range(header, limits)
    if not 2 <= len(parts) <= 3:
        refuse(Reason.BAD_PARTS, "the number of parts", len(parts), "2 (header, payload) or 3 (positions)")
    payload = _view(parts[1])
    time_ns = None if header.get("time") is None else integer(header, "time", 0, Reason.BAD_TIME)
    sizes = header.get("sizes")
    return FrameBatch(
        key,
        first,
        count,
        time_ns,
        None if sizes is None else _sizes(sizes, count, payload.nbytes),
        payload,
        None if len(parts) == 2 else _positions(parts[2], count),
    )


def _view(part: ReadableBuffer) -> npt.NDArray[np.uint8]:
    if not memoryview(part).nbytes:
        raise Refusal(Reason.PAYLOAD_SIZE, "the payload is empty")
    view: npt.NDArray[np.uint8] = np.frombuffer(part, np.uint8)  # type: ignore[call-overload]
    view.flags.writeable = False
    return view


def _sizes(sizes: Any, count: int, payload_bytes: int) -> npt.NDArray[np.int64]:
    if type(sizes) is not list or len(sizes) != count or any(type(size) is not int for size in sizes):
        refuse(Reason.BAD_SIZES, "'sizes'", sizes, f"a list of {count} integers")
    if not 1 <= min(sizes) <= max(sizes) <= payload_bytes:
        refuse(Reason.BAD_SIZES, "'sizes'", sizes, f"each from 1 to the payload's {payload_bytes} bytes")
    return np.array(sizes, np.int64)


def _positions(part: ReadableBuffer, count: int) -> npt.NDArray[np.float32]:
    size = memoryview(part).nbytes
    if size != count * 8:
        wanted = f"{count * 8} bytes: float32 ({count}, 2), (y, x)"
        refuse(Reason.BAD_POSITIONS, "the size of the positions", size, wanted)
    view: npt.NDArray[np.float32] = np.frombuffer(part, "<f4").reshape(count, 2)  # type: ignore[call-overload]
    view.flags.writeable = False
    return view


# -- start and end ---------------------------------------------------------------------------------------


def _read_end(header: Header, key: SeriesKey, parts: Parts, limits: Limits) -> End:
    _single_part(parts)
    return End(key, integer(header, "count", 0, Reason.BAD_COUNT))


def _read_start(header: Header, key: SeriesKey, parts: Parts, limits: Limits) -> Start:
    series = read_series(header, key, limits)
    shapes = header.get("tables", {})
    if type(shapes) is not dict or any(name not in TABLES for name in shapes):
        refuse(Reason.BAD_TABLE, "'tables'", shapes, f"a map from {', '.join(TABLES)} to shapes")
    if len(parts) != 1 + len(shapes):
        wanted = f"{1 + len(shapes)} (the header and its tables)"
        refuse(Reason.BAD_PARTS, "the number of parts", len(parts), wanted)
    named = zip(shapes.items(), parts[1:], strict=True)
    return Start(series, {name: _table(name, shape, part, series) for (name, shape), part in named})


def _table(name: str, shape: Any, part: ReadableBuffer, series: Series) -> npt.NDArray[Any]:
    if type(shape) is not list or not 1 <= len(shape) <= 2 or any(type(n) is not int or n < 1 for n in shape):
        refuse(Reason.BAD_TABLE, f"the shape of {name!r}", shape, "one or two integers above 0")
    if name != COUNTRATE and tuple(shape) != series.shape:
        refuse(Reason.BAD_TABLE, f"the shape of {name!r}", shape, f"that of a frame, {list(series.shape)}")
    size, wanted = memoryview(part).nbytes, 4 * math.prod(shape)
    if size != wanted:
        refuse(Reason.BAD_TABLE, f"the size of {name!r}", size, f"{wanted} bytes: 4 for each of {shape}")
    view: npt.NDArray[Any] = np.frombuffer(part, TABLE_DTYPES[name])  # type: ignore[call-overload]
    view.flags.writeable = False
    return view.reshape(shape)


def _single_part(parts: Parts) -> None:
    if len(parts) != 1:
        refuse(Reason.BAD_PARTS, "the number of parts", len(parts), "1 (the header)")


_Reader = Callable[[Header, SeriesKey, Parts, Limits], Message]
_READERS: dict[str, _Reader] = {"frames": _read_frames, "start": _read_start, "end": _read_end}


# -- encoding --------------------------------------------------------------------------------------------


def encode_start(series: Series, tables: Mapping[str, npt.NDArray[Any]] | None = None) -> list[bytes]:
    """The message that announces a series.

    Parameters
    ----------
    series : Series
    tables : mapping, optional
        Arrays of the detector by `messages.TABLES`' names: pixel mask and flatfield (h, w), count rates of
        one or two dimensions.

    Raises
    ------
    ValueError
        When a receiver would refuse it (its words are in the message).
    """
    header, tables = _common("start", series.key) | series_map(series), tables or {}
    if tables:
        header["tables"] = {name: list(array.shape) for name, array in tables.items()}
    parts = [_pack(header)]
    parts += [array.astype(TABLE_DTYPES.get(name, "<f4")).tobytes() for name, array in tables.items()]
    answer = decode(parts)
    if isinstance(answer, Rejected):
        raise ValueError(f"series {series.key} cannot be announced: {answer.detail}")
    return parts


def encode_frames(
    key: SeriesKey,
    first: int,
    count: int,
    payload: ReadableBuffer | npt.NDArray[Any],
    *,
    time_ns: int | None = None,
    sizes: Sequence[int] | npt.NDArray[np.int64] | None = None,
    positions: npt.NDArray[np.floating[Any]] | None = None,
) -> list[bytes | memoryview]:
    """The message that carries ``count`` consecutive frames.

    Parameters
    ----------
    key : SeriesKey
    first : int
        Index of the first frame.
    count : int
        Number of frames, at least 1; at most 1,024 when they are encoded.
    payload : C-contiguous buffer or little-endian array
        The frames back to back; not copied, so it must not change before it has been sent.
    time_ns : int, optional
        ns since the Unix epoch of the first frame.
    sizes : (count,) integers, optional
        Bytes of each frame; only when encoded.
    positions : (count, 2) float, optional
        (y, x) in scan pixels; only for scan order "positions".

    Raises
    ------
    ValueError
        For a payload that is not contiguous or not little-endian, or a header above the limit.
    """
    header = _common("frames", key) | {"index": first, "count": count}
    if time_ns is not None:
        header["time"] = time_ns
    if sizes is not None:
        header["sizes"] = [int(size) for size in sizes]
        if len(sizes) > MAX_HEADER_ARRAY:
            raise ValueError(
                f"{len(sizes)} encoded frames in one message, the limit is {MAX_HEADER_ARRAY}: send fewer"
            )
    parts: list[bytes | memoryview] = [_pack(header), _bytes_of(payload)]
    if positions is not None:
        parts.append(_bytes_of(np.ascontiguousarray(positions, "<f4")))
    return parts


def encode_end(key: SeriesKey, count: int) -> list[bytes]:
    """The message that ends a series of which ``count`` frames were sent."""
    return [_pack(_common("end", key) | {"count": count})]


def _common(kind: str, key: SeriesKey) -> dict[str, Any]:
    return {"livem": VERSION, "type": kind, "epoch": key.epoch, "series": key.number}


def _pack(header: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(header, default=_python_value)
    if len(packed) > DEFAULT_LIMITS.header_bytes:
        raise ValueError(
            f"the header has {len(packed):,} bytes, the limit is {DEFAULT_LIMITS.header_bytes:,}: "
            "shorten 'meta' or send fewer encoded frames a message"
        )
    return packed


def _python_value(value: object) -> object:
    """numpy values and read-only maps in ``meta`` travel as plain numbers, lists and maps."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{show(value)} cannot be sent: use numbers, text, lists and maps")


def _bytes_of(data: ReadableBuffer | npt.NDArray[Any]) -> memoryview:
    if isinstance(data, np.ndarray):
        if not data.flags.c_contiguous:
            raise ValueError("the frames are not C-contiguous: send numpy.ascontiguousarray(frames)")
        if data.dtype.newbyteorder("<") != data.dtype:
            raise ValueError(
                f"the frames are {data.dtype}, must be little-endian: send frames.astype('<...')"
            )
        return data.reshape(-1).view(np.uint8).data
    return memoryview(data).cast("B")
