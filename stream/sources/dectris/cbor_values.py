"""The part of CBOR (RFC 8949) that DECTRIS stream v2 speaks, read strictly into plain values.

Definite lengths and a closed list of tags; depth and number of items are bounded, no value is larger than the
message. Pixels stay where they are: arrays are views of the message until somebody decodes them. (A general
decoder builds regular expressions and big numbers from tags before it asks anyone.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...messages import BSLZ4_HEADER
from . import cbor_scan as scan
from .unpack import Algorithm, unpack

MAX_DEPTH = 8
MAX_ITEMS = 65_536
"""Values of one message that become Python objects: 65,536 cost 30 ms and 8 MB."""
MAX_SKIPPED = 1 << 20
"""Items of values that nobody asked for: stepping over them costs 2 ns each."""
MAX_TEXT = 65_536
MAX_NAME = 64
SELF_DESCRIBED = bytes.fromhex("d9d9f7")

DATE, ROW_MAJOR, COLUMN_MAJOR, COMPRESSED = 0, 40, 1040, 56500
TYPES: Mapping[int, np.dtype[Any]] = {
    64: np.dtype("u1"),
    65: np.dtype(">u2"),
    66: np.dtype(">u4"),
    68: np.dtype("u1"),
    69: np.dtype("<u2"),
    70: np.dtype("<u4"),
    73: np.dtype(">i2"),
    74: np.dtype(">i4"),
    77: np.dtype("<i2"),
    78: np.dtype("<i4"),
    81: np.dtype(">f4"),
    82: np.dtype(">f8"),
    85: np.dtype("<f4"),
    86: np.dtype("<f8"),
}
"""Typed arrays (RFC 8746) of the types that a frame may have."""


class CborError(ValueError):
    """Bytes that are no such CBOR, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A byte string, compressed or not."""

    algorithm: Algorithm
    element_bytes: int
    data: memoryview

    @property
    def raw_bytes(self) -> int:
        """Decoded size as the blob itself says it."""
        if self.algorithm == "raw":
            return len(self.data)
        return BSLZ4_HEADER.unpack_from(self.data)[0] if len(self.data) >= BSLZ4_HEADER.size else 0


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """An array whose numbers have not been looked at."""

    type_tag: int
    blob: Blob
    shape: tuple[int, ...] | None
    """None: a typed array without dimensions."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As in the message, byte order included."""
        return TYPES[self.type_tag]

    def array(self, most_bytes: int) -> npt.NDArray[Any] | None:
        """The numbers, little-endian; None when they do not decode, or not to their shape, or to more than
        ``most_bytes``."""
        count = None if self.shape is None else math.prod(self.shape)
        raw_bytes = self.blob.raw_bytes if count is None else count * self.dtype.itemsize
        if raw_bytes > most_bytes:
            return None
        blob = self.blob
        flat = unpack(blob.data, blob.algorithm, blob.element_bytes, self.dtype, raw_bytes)
        return flat if flat is None or self.shape is None else flat.reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Fields:
    """What a message says under the keys that were asked for."""

    values: Mapping[str, Any]
    faults: Mapping[str, str]
    """Keys whose value could not be read, and why: a user's own data must not cost the series."""


def read_fields(message: memoryview, wanted: frozenset[str]) -> Fields:
    """The wanted values of a message's map; all others are stepped over.

    Raises
    ------
    CborError
        When the bytes are no map of CBOR from the first to the last.
    """
    return _Reader(message).fields(wanted)


def named_before_fault(message: memoryview, wanted: frozenset[str]) -> dict[str, Any]:
    """The wanted values up to where the bytes stop making sense: whom a broken message is about."""
    values: dict[str, Any] = {}
    try:
        _Reader(message).fields(wanted, values)
    except CborError:
        pass  # what was read up to here is the answer
    return values


class _Reader:
    """A position in one message."""

    def __init__(self, message: memoryview) -> None:
        self._message = message
        self._bytes: npt.NDArray[np.uint8] = np.frombuffer(message, np.uint8)
        self._at, self._end = 0, len(message)
        self._items = MAX_ITEMS

    def fields(self, wanted: frozenset[str], values: dict[str, Any] | None = None) -> Fields:
        values = {} if values is None else values
        faults: dict[str, str] = {}
        if self._message[:3] == SELF_DESCRIBED:
            self._at = 3
        for _ in range(self._map_size()):
            name = self._text(MAX_NAME)
            if name in values or name in faults:
                raise CborError(f"the key {name!r} is there twice")
            if name in wanted:
                self._value_of(name, values, faults)
            else:
                self._at = self._behind()
        if self._at != self._end:
            raise CborError(f"{self._end - self._at} bytes behind the map")
        return Fields(values, faults)

    def _value_of(self, name: str, values: dict[str, Any], faults: dict[str, str]) -> None:
        begin = self._at
        try:
            values[name] = self._value(MAX_DEPTH)
        except CborError as error:
            faults[name] = str(error)
            self._at = begin
            self._at = self._behind()

    def _behind(self) -> int:
        """Where the item here ends."""
        behind = int(scan.skip(self._bytes, self._at, self._end, MAX_SKIPPED))
        if behind < 0:
            raise CborError(f"the item at byte {self._at} is cut, of no definite length, or too large")
        return behind

    def _head(self) -> tuple[int, int]:
        major, value, at = scan.head(self._bytes, self._at, self._end)
        if at < 0:
            raise CborError(f"no CBOR at byte {self._at} of {self._end}")
        self._at = at
        return major, value

    def _map_size(self) -> int:
        major, size = self._head()
        if major != scan.MAP:
            raise CborError(f"a map was expected at byte {self._at - 1}")
        return self._spend(size)

    def _spend(self, items: int) -> int:
        self._items -= items
        if self._items < 0:
            raise CborError(f"more than {MAX_ITEMS:,} values")
        return items

    def _text(self, most: int) -> str:
        major, size = self._head()
        if major != scan.TEXT or size > most:
            raise CborError(f"a text of at most {most:,} bytes was expected before byte {self._at}")
        return self._decoded(size)

    def _decoded(self, size: int) -> str:
        try:
            return str(self._taken(size), "utf-8")
        except UnicodeDecodeError:
            raise CborError(f"the text before byte {self._at} is not UTF-8") from None

    def _taken(self, size: int) -> memoryview:
        if size > self._end - self._at:
            raise CborError(f"{size:,} bytes at byte {self._at} of {self._end}: the message is cut")
        self._at += size
        return self._message[self._at - size : self._at]

    def _value(self, depth: int) -> Any:
        """Any value, with at most ``depth`` levels below it."""
        if depth < 0:
            raise CborError(f"more than {MAX_DEPTH} levels deep")
        begin = self._at
        major, value = self._head()
        if major in (scan.UNSIGNED, scan.NEGATIVE):
            value &= (1 << 64) - 1
            return value if major == scan.UNSIGNED else -1 - value
        if major in (scan.BYTES, scan.TEXT):
            return self._string(major, value)
        if major == scan.SIMPLE:
            return self._simple(begin, value)
        return _CONTAINERS[major](self, value, depth - 1)

    def _string(self, major: int, size: int) -> Any:
        if major == scan.BYTES:
            return self._taken(size)
        if size > MAX_TEXT:
            raise CborError(f"a text of {size:,} bytes, the limit is {MAX_TEXT:,}")
        return self._decoded(size)

    def _simple(self, begin: int, value: int) -> Any:
        if self._at - begin > 2:
            return float(scan.real(self._bytes, begin, self._end)[0])
        if value not in _SIMPLE:
            raise CborError(f"the simple value {value} has no meaning here")
        return _SIMPLE[value]

    def _array(self, size: int, depth: int) -> list[Any]:
        return [self._value(depth) for _ in range(self._spend(size))]

    def _map(self, size: int, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for _ in range(self._spend(size)):
            name = self._text(MAX_TEXT)
            if name in result:
                raise CborError(f"the key {name[:40]!r} is there twice")
            result[name] = self._value(depth)
        return result

    def _tagged(self, tag: int, depth: int) -> Any:
        if tag == COLUMN_MAJOR:
            raise CborError("an array in column-major order (tag 1040): only row-major ones are read")
        if tag in TYPES:
            return self._typed(tag, depth)
        if tag not in _TAGS:
            raise CborError(f"tag {tag}, which stream v2 does not have")
        return _TAGS[tag](self, depth)

    def _typed(self, tag: int, depth: int) -> Numbers:
        content = self._value(depth)
        if isinstance(content, memoryview):
            content = Blob("raw", TYPES[tag].itemsize, content)
        if not isinstance(content, Blob):
            raise CborError(f"a typed array (tag {tag}) without a byte string")
        return Numbers(tag, content, None)

    def _dimensioned(self, depth: int) -> Numbers:
        content = self._value(depth)
        if not (isinstance(content, list) and len(content) == 2 and isinstance(content[1], Numbers)):
            raise CborError("an array (tag 40) that is not [dimensions, typed array]")
        dims, numbers = content
        plain = isinstance(dims, list) and all(type(dim) is int and dim >= 0 for dim in dims)
        if not plain or not 1 <= len(dims) <= 4 or numbers.shape is not None:
            raise CborError("an array (tag 40) whose dimensions are not 1 to 4 integers")
        return Numbers(numbers.type_tag, numbers.blob, tuple(dims))

    def _compressed(self, depth: int) -> Blob:
        content = self._value(depth)
        if not (isinstance(content, list) and len(content) == 3 and isinstance(content[2], memoryview)):
            raise CborError("compressed bytes (tag 56500) that are not [algorithm, element size, bytes]")
        algorithm, element_bytes, data = content
        if algorithm not in ("bslz4", "lz4") or type(element_bytes) is not int:
            raise CborError(f"compression {str(algorithm)[:40]!r}; there are bslz4 and lz4")
        return Blob(algorithm, element_bytes, data)

    def _date(self, depth: int) -> str:
        """Kept as text."""
        return self._text(MAX_NAME)


_SIMPLE: Mapping[int, bool | None] = {20: False, 21: True, 22: None, 23: None}
_CONTAINERS: Mapping[int, Callable[[_Reader, int, int], Any]] = {
    scan.ARRAY: _Reader._array,
    scan.MAP: _Reader._map,
    scan.TAG: _Reader._tagged,
}
_TAGS: Mapping[int, Callable[[_Reader, int], Any]] = {
    DATE: _Reader._date,
    ROW_MAJOR: _Reader._dimensioned,
    COMPRESSED: _Reader._compressed,
}
