"""Reading single values of a hostile header: each is of the right kind and within its limits, or refused.

The closed type checks (``type(x) is int``) keep bools out of integers. Nothing here knows messages or series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from reprlib import Repr
from typing import Any, NoReturn

from .messages import Reason
from .series import MAX_DIM

INTEGER_END = 1 << 62
"""Indices and counts stay below this, so that no sum of two of them leaves int64."""

_show = Repr()
_show.maxstring = _show.maxother = 60
_show.maxlong = 40
show = _show.repr
"""A value as text for the log, cut to a length that no peer decides."""


class Refusal(Exception):
    """A value that is not used, on its way to ``decode``, which never lets it out."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def refuse(reason: Reason, name: str, value: object, wanted: str) -> NoReturn:
    raise Refusal(reason, f"{name} is {show(value)}, must be {wanted}")


def integer(header: Mapping[str, Any], name: str, low: int, reason: Reason, end: int = INTEGER_END) -> int:
    """``header[name]``, an integer with ``low <= value < end``."""
    value = header.get(name)
    if type(value) is not int or not low <= value < end:
        refuse(reason, f"'{name}'", value, f"an integer from {low} to {end - 1}")
    return value


def choice(value: Any, name: str, choices: Mapping[str, Any] | Sequence[str], reason: Reason) -> str:
    """A text that is one of a closed set."""
    if type(value) is not str or value not in choices:
        refuse(reason, name, value, f"one of {', '.join(choices)}")
    return value


def dims(value: Any, name: str, reason: Reason) -> tuple[int, int]:
    """Two dimensions (rows, columns), each from 1 to MAX_DIM."""
    wanted = f"two integers from 1 to {MAX_DIM}"
    if type(value) is not list or len(value) != 2:
        refuse(reason, name, value, wanted)
    if any(type(dim) is not int or not 1 <= dim <= MAX_DIM for dim in value):
        refuse(reason, name, value, wanted)
    return value[0], value[1]
