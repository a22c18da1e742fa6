"""Parameters of a simulator: declared once as a frozen dataclass, read from ``?key=value&key=value``.

Knows no simulator; every wrong key, value or range becomes a SourceError with the nearest key, the value
and the limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from ...errors import SourceError

T = TypeVar("T")
Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a value may be, and what it means."""

    low: float
    high: float
    choices: tuple[str, ...]
    doc: str


def option(default: T, doc: str, low: float = 0.0, high: float = 1e12, choices: tuple[str, ...] = ()) -> T:
    """A dataclass field that ``parse_options`` can read: int, float, str of ``choices``, or (h, w)."""
    limits = Limits(1 if isinstance(default, tuple) else low, high, choices, doc)
    return field(default=default, metadata={"limits": limits})


def parse_options(cls: type[T], name: str, query: str) -> T:
    """Read ``a=1&b=2x3`` into the frozen dataclass ``cls``.

    Raises
    ------
    SourceError
        An unknown or repeated key, a value that cannot be read or is out of range.
    """
    known = {f.name: f for f in fields(cast(Any, cls))}
    values: dict[str, Any] = {}
    for key, text in _pairs(name, query):
        if key not in known:
            raise SourceError(f"{name} has no parameter {key!r}; {_hint(key, list(known))}")
        if key in values:
            raise SourceError(f"{name}: parameter {key!r} is given twice; give it once")
        values[key] = _read(name, known[key], text)
    return cls(**values)


def describe_options(cls: type[Any]) -> Iterator[tuple[str, str, str]]:
    """(key, default, meaning) of each parameter, for help texts."""
    for item in fields(cls):
        default = "x".join(map(str, item.default)) if isinstance(item.default, tuple) else str(item.default)
        yield item.name, default, item.metadata["limits"].doc


def _pairs(name: str, query: str) -> Iterator[tuple[str, str]]:
    for part in query.split("&") if query else []:
        key, equals, text = part.partition("=")
        if not equals or not text:
            raise SourceError(f"{name}: {part!r} is not key=value; write for example fps=2000")
        yield key, text


def _hint(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(sorted(known))}"


def _read(name: str, item: Field[Any], text: str) -> Any:
    limits: Limits = item.metadata["limits"]
    if isinstance(item.default, str):
        return _choice(name, item.name, text, limits)
    if isinstance(item.default, tuple):
        return tuple(_number(name, item.name, part, limits, int) for part in _shape_parts(name, item, text))
    return _number(name, item.name, text, limits, type(item.default))


def _choice(name: str, key: str, text: str, limits: Limits) -> str:
    if text not in limits.choices:
        raise SourceError(f"{name}: {key}={text} is not one of {', '.join(limits.choices)}")
    return text


def _shape_parts(name: str, item: Field[Any], text: str) -> list[str]:
    parts = text.split("x")
    if len(parts) != 2:
        raise SourceError(f"{name}: {item.name}={text} is not HEIGHTxWIDTH; write {item.name}=256x256, say")
    return parts


def _number(name: str, key: str, text: str, limits: Limits, kind: type) -> float:
    pattern = r"[+-]?\d{1,18}" if kind is int else r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
    if len(text) > 40 or not re.fullmatch(pattern, text):
        wanted = "a whole number" if kind is int else "a number"
        raise SourceError(f"{name}: {key}={text} is not {wanted}; {limits.doc}")
    value: float = kind(text)
    if not limits.low <= value <= limits.high:
        raise SourceError(
            f"{name}: {key}={text} is out of range; "
            f"it must be from {limits.low:g} to {limits.high:g} ({limits.doc})"
        )
    return value
