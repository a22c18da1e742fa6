"""karabo-bridge 2.2: message parts to and from trains, a train being what several sources say at one time.

Parts come in pairs, a msgpack header and its content: a msgpack map of values, or a raw array. ``decode``
never raises, whatever a peer sends, and allocates no more than a few times the headers. Values are not read:
no frame depends on them. Content of other kinds and protocol 1.0 (msgpack-numpy, which may unpickle) are
refused. Nothing here knows sockets, frames or series.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import numpy.typing as npt

from .messages import DEFAULT_LIMITS, Limits, Reason
from .series import DTYPES
from .wire_fields import INTEGER_END, Refusal, choice, refuse, show

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

REQUEST = b"next"
"""What a client says to have a train."""
MAX_PARTS = 512
"""256 pairs: a detector of 16 modules with a dozen arrays each fits."""
MAX_DIMS, MAX_LENGTH = 8, 1 << 31
MAX_HEADER_ITEMS = 256
"""Of each list and map in a header: bounds what msgpack reserves at every nested level."""
MAX_NAME = 256

WIRE_DTYPES: Mapping[str, np.dtype[Any]] = {
    **{str(kind.newbyteorder("=")): kind for kind in DTYPES.values()},
    **{kind.newbyteorder(">").str: kind.newbyteorder(">") for kind in DTYPES.values() if kind.itemsize > 1},
    **{name: np.dtype(name).newbyteorder("<") for name in ("bool", "int8", "int64", "uint64", "float16")},
}
"""Closed table, by ``str(array.dtype)``: a hostile text kept numpy.dtype busy for 193 ms."""

Array = npt.NDArray[Any]


@dataclass(slots=True)
class SourceData:
    """What one source says in a train."""

    metadata: Mapping[str, Any]
    """``timestamp``, ``timestamp.tid`` and such."""
    arrays: dict[str, Array] = field(default_factory=dict)
    """Read-only views of the received bytes, by path, in the order in which they came."""
    unread: dict[str, str] = field(default_factory=dict)
    """Paths of the arrays that hold no numbers known here: their dtype (text, complex), or "empty"."""

    @property
    def tid(self) -> int | None:
        """Train number; None when the source gives none."""
        tid = self.metadata.get("timestamp.tid")
        return tid if type(tid) is int and 0 <= tid < INTEGER_END else None

    @property
    def time_ns(self) -> int | None:
        """Sender's clock in ns since the Unix epoch; None when it says none that makes sense."""
        sec, frac = (_digits(self.metadata.get(f"timestamp.{part}")) for part in ("sec", "frac"))
        if sec is not None and len(sec) <= 10:
            # attoseconds, of which there are 18 digits
            return int(sec) * 1_000_000_000 + int((frac or "0").rjust(18, "0")[:9])
        stamp = self.metadata.get("timestamp")
        if isinstance(stamp, int | float) and math.isfinite(stamp) and 0 <= stamp < 1e10:
            return round(stamp * 1e9)
        return None


@dataclass(frozen=True, slots=True)
class Train:
    """What came in one message."""

    sources: dict[str, SourceData]
    fault: Refusal | None = None
    """Why it cannot be used; ``sources`` then holds what came before the fault."""


def _digits(value: object) -> str | None:
    """Whole numbers travel as text or as integers."""
    text = str(value) if type(value) is int and abs(value) < INTEGER_END else value
    return text if type(text) is str and text.isascii() and text.isdigit() and len(text) <= 18 else None


def decode(parts: Sequence[ReadableBuffer], limits: Limits = DEFAULT_LIMITS) -> Train:
    """Understand one message.

    Parameters
    ----------
    parts : sequence of buffers
        The message as received; the arrays are views that keep it alive.
    limits : Limits, optional
        ``header_bytes`` bounds each header; the arrays are as large as they have come.

    Returns
    -------
    Train
        Where it has no fault, every array has as many bytes as its dtype and shape say.
    """
    sources: dict[str, SourceData] = {}
    try:
        _check_parts(parts)
        for header_part, content in zip(parts[::2], parts[1::2], strict=False):
            _add(sources, _header(header_part, limits), content)
        if len(parts) % 2:
            refuse(Reason.BAD_PARTS, "the number of parts", len(parts), "even: headers and their contents")
    except Refusal as refusal:
        return Train(sources, refusal)
    return Train(sources)


def _check_parts(parts: Sequence[ReadableBuffer]) -> None:
    if len(parts) == 1:
        raise Refusal(
            Reason.BAD_VERSION,
            "one part: an error of the server, or protocol 1.0 (msgpack-numpy), which is refused since it "
            "may unpickle; start the server with protocol version 2.2",
        )
    if not 2 <= len(parts) <= MAX_PARTS:
        refuse(Reason.BAD_PARTS, "the number of parts", len(parts), f"from 2 to {MAX_PARTS}")


def _add(sources: dict[str, SourceData], header: Mapping[str, Any], content: ReadableBuffer) -> None:
    source = _name(header, "source")
    kind = choice(header.get("content"), "'content'", ("msgpack", "array"), Reason.BAD_TYPE)
    if kind == "msgpack":
        if source in sources:
            refuse(Reason.BAD_PARTS, "'source'", source, "in one message once, its arrays behind its values")
        metadata = header.get("metadata")
        sources[source] = SourceData(metadata if type(metadata) is dict else {})
        return
    if source not in sources:
        refuse(Reason.BAD_PARTS, "'source' of an array", source, "one whose values came before")
    path, named = _name(header, "path"), header.get("dtype")
    if type(named) is str and named not in WIRE_DTYPES:
        sources[source].unread[path] = show(named)
    elif memoryview(content).nbytes == 0:
        sources[source].unread[path] = "empty"
    else:
        sources[source].arrays[path] = _array(header, content)


def _name(header: Mapping[str, Any], key: str) -> str:
    name = header.get(key)
    if type(name) is not str or not 1 <= len(name) <= MAX_NAME:
        refuse(Reason.BAD_HEADER, f"'{key}'", name, f"text of 1 to {MAX_NAME} characters")
    return name


def _header(part: ReadableBuffer, limits: Limits) -> dict[str, Any]:
    size = memoryview(part).nbytes
    if size > limits.header_bytes:
        refuse(Reason.HEADER_TOO_LARGE, "the header's size", size, f"<= {limits.header_bytes} bytes")
    try:
        value = msgpack.unpackb(
            part,
            raw=False,
            strict_map_key=True,
            max_array_len=MAX_HEADER_ITEMS,
            max_map_len=MAX_HEADER_ITEMS,
            max_str_len=size,
            max_bin_len=size,
            max_ext_len=0,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise Refusal(Reason.BAD_HEADER, f"the header is not msgpack: {show(error)}") from None
    if type(value) is not dict:
        refuse(Reason.BAD_HEADER, "the header", value, "a msgpack map")
    return value


def _array(header: Mapping[str, Any], content: ReadableBuffer) -> Array:
    dtype = WIRE_DTYPES[choice(header.get("dtype"), "'dtype'", WIRE_DTYPES, Reason.BAD_DTYPE)]
    shape = header.get("shape")
    if (
        type(shape) is not list
        or len(shape) > MAX_DIMS
        or any(type(dim) is not int or not 1 <= dim < MAX_LENGTH for dim in shape)
    ):
        wanted = f"up to {MAX_DIMS} integers from 1 to {MAX_LENGTH - 1}"
        refuse(Reason.BAD_SHAPE, "'shape'", shape, wanted)
    expected, received = math.prod(shape) * dtype.itemsize, memoryview(content).nbytes
    if expected != received:
        wanted = f"{expected:,} for {shape} {dtype}"
        refuse(Reason.PAYLOAD_SIZE, "the number of bytes of an array", received, wanted)
    view: Array = np.frombuffer(content, dtype).reshape(shape)  # type: ignore[call-overload]
    view.flags.writeable = False
    return view


# -- encoding --------------------------------------------------------------------------------------------


def encode(
    source: str, metadata: Mapping[str, Any], values: Mapping[str, Any], arrays: Mapping[str, Array]
) -> list[bytes | memoryview]:
    """The parts of one source in a train; those of several sources follow one another.

    Parameters
    ----------
    source : str
    metadata : mapping
        See ``stamp``.
    values : mapping
        Plain values by path.
    arrays : mapping
        By path; not copied where they are C-contiguous, so they must not change before they have been sent.
    """
    parts: list[bytes | memoryview] = [
        _pack({"source": source, "content": "msgpack", "metadata": dict(metadata)}),
        _pack(dict(values)),
    ]
    for path, array in arrays.items():
        whole = np.ascontiguousarray(array)
        header = {"source": source, "content": "array", "path": path, "dtype": str(whole.dtype)}
        parts += [_pack({**header, "shape": list(whole.shape)}), whole.reshape(-1).view(np.uint8).data]
    return parts


def stamp(source: str, tid: int, time_ns: int | None) -> dict[str, Any]:
    """A source's metadata: train number and, where there is a clock, the time in its three spellings."""
    metadata: dict[str, Any] = {"source": source, "timestamp.tid": tid}
    if time_ns is not None:
        sec, frac = divmod(time_ns, 1_000_000_000)
        metadata |= {
            "timestamp": time_ns / 1e9,
            "timestamp.sec": str(sec),
            "timestamp.frac": f"{frac:09d}" + "0" * 9,
        }
    return metadata


def _pack(value: Mapping[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(value, default=_python_value)
    return packed


def _python_value(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{show(value)} cannot be sent: use numbers, text, lists and maps")
