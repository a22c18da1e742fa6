"""Protocol Buffers on the wire, read and written by tables of the fields that a message may have.

Everything else is refused, so that what is written anew is what was looked at. Knows no kind of message.
Encoding: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import ModelError

Kind = Literal["int", "text", "bytes", "f4", "f8", "message", "left out", "refused"]
"""How a field's value is understood; "left out": whatever it says is not kept."""
MOST_FIELDS = 2_000_000
"""Of a whole file: a graph of 10,000 nodes has some 200,000."""
MOST_DEPTH = 32
MOST_TEXT = 4096
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {"f4": (4, _FIXED32), "f8": (8, _FIXED64)}
_SIGN, _MODULUS = 1 << 63, 1 << 64


@dataclass(frozen=True, slots=True)
class Field:
    """What a field of a message may hold."""

    name: str
    kind: Kind
    many: bool = False
    """Repeated; numbers become a list, of floats the bytes of all of them."""
    of: str = ""
    """The kind of message."""


Schema = Mapping[int, Field]
Message = dict[str, Any]
"""Values by the names of their fields; those that are not there are absent."""


class Reader:
    """Reads one file.

    Parameters
    ----------
    where : for messages: which file.
    schemas : fields by their number, of each kind of message.
    """

    def __init__(self, where: str, schemas: Mapping[str, Schema]) -> None:
        self._where, self._schemas, self._left = where, schemas, MOST_FIELDS

    def read(self, data: bytes | memoryview, of: str, depth: int = 0) -> Message:
        """A message of this kind. Raises ModelError for fields that it has not, or bytes that are none."""
        if depth > MOST_DEPTH:
            raise ModelError(f"{self._where}: messages within messages, more than {MOST_DEPTH} deep")
        found: Message = {}
        for number, wire, value in self._fields(memoryview(data)):
            field = self._schemas[of].get(number)
            if field is None or field.kind == "refused":
                raise ModelError(
                    f"{self._where}: {field.name if field else f'field {number}'} in {of} is refused"
                )
            if field.kind == "left out":
                continue
            if field.many:
                self._add(found, field, wire, value, depth)
            elif field.name in found:
                raise ModelError(f"{self._where}: two values of {field.name!r} in {of}")
            else:
                found[field.name] = self._value(field, wire, value, depth)
        return found

    def _fields(self, data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise ModelError(f"{self._where}: more than {MOST_FIELDS:,} fields")
            tag, at = self._varint(data, at)
            number, wire = tag >> 3, tag & 7
            if wire == _VARINT:
                value, at = self._varint(data, at)
                yield number, wire, value
                continue
            if wire == _BYTES:
                size, at = self._varint(data, at)
            elif wire in (_FIXED32, _FIXED64):
                size = 4 if wire == _FIXED32 else 8
            else:
                raise self._damaged(f"wire type {wire}")
            if size > len(data) - at:
                raise self._damaged("a field goes beyond its message")
            yield number, wire, data[at : at + size]
            at += size

    def _varint(self, data: memoryview, at: int) -> tuple[int, int]:
        value = 0
        for k in range(10):
            if at + k >= len(data):
                break
            byte = data[at + k]
            value |= (byte & 0x7F) << (7 * k)
            if byte < 0x80:
                return value % _MODULUS, at + k + 1
        raise self._damaged("a number without an end")

    def _value(self, field: Field, wire: int, value: int | memoryview, depth: int) -> Any:
        if field.kind == "int":
            if wire != _VARINT or not isinstance(value, int):
                raise self._damaged(f"{field.name!r} is no number")
            return value - _MODULUS if value & _SIGN else value
        expected = _WIDTHS[field.kind][1] if field.kind in _WIDTHS else _BYTES
        if wire != expected or isinstance(value, int):
            raise self._damaged(f"{field.name!r} of wire type {wire}")
        if field.kind == "message":
            return self.read(value, field.of, depth + 1)
        return self._text(field, value) if field.kind == "text" else bytes(value)

    def _add(self, found: Message, field: Field, wire: int, value: int | memoryview, depth: int) -> None:
        """One more of a repeated field; numbers may come packed, several in one."""
        if field.kind in _WIDTHS:
            width = _WIDTHS[field.kind][0]
            if isinstance(value, int) or len(value) % width:
                raise self._damaged(f"{field.name!r} is no list of numbers")
            found[field.name] = found.get(field.name, b"") + bytes(value)
            return
        values = found.setdefault(field.name, [])
        if field.kind != "int" or isinstance(value, int):
            values.append(self._value(field, wire, value, depth))
            return
        at = 0
        while at < len(value):
            one, at = self._varint(value, at)
            values.append(one - _MODULUS if one & _SIGN else one)
            self._left -= 1
            if self._left < 0:
                raise ModelError(f"{self._where}: more than {MOST_FIELDS:,} fields")

    def _text(self, field: Field, value: memoryview) -> str:
        try:
            text = bytes(value[: MOST_TEXT + 1]).decode()
        except UnicodeDecodeError as error:
            raise self._damaged(f"{field.name!r} is no text") from error
        if len(text) > MOST_TEXT or not text.isprintable():
            raise ModelError(f"{self._where}: {field.name!r} is {text[:80]!r}, which is no name")
        return text

    def _damaged(self, what: str) -> ModelError:
        return ModelError(f"{self._where}: its messages cannot be read: {what}; copy it again")


def write(message: Message, schemas: Mapping[str, Schema], of: str) -> bytes:
    """A message as bytes, fields in the order of their numbers, numbers packed."""
    parts: list[bytes] = []
    for number, field in sorted(schemas[of].items()):
        if field.name not in message or field.kind == "left out":
            continue
        value = message[field.name]
        if field.many and (field.kind in _WIDTHS or field.kind == "int"):
            packed = value if field.kind in _WIDTHS else b"".join(map(_varint, value))
            parts.append(_varint(number << 3 | _BYTES) + _varint(len(packed)) + packed)
            continue
        values = value if field.many else [value]
        parts += [_written(number, field, one, schemas) for one in values]
    return b"".join(parts)


def _written(number: int, field: Field, value: Any, schemas: Mapping[str, Schema]) -> bytes:
    if field.kind == "int":
        return _varint(number << 3 | _VARINT) + _varint(value)
    if field.kind in _WIDTHS:
        return _varint(number << 3 | _WIDTHS[field.kind][1]) + bytes(value)
    content: bytes = write(value, schemas, field.of) if field.kind == "message" else value
    if field.kind == "text":
        content = value.encode()
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value %= _MODULUS
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
