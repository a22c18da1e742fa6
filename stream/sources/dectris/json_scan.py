"""Compiled reading of the JSON that DECTRIS detectors write: flat, ASCII, plain integers.

Whatever else JSON allows is left to an ordinary reader: nothing is read here that it would read otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int64, njit, types, uint8

CONST = types.Array(uint8, 1, "C", readonly=True)
MAX_DIGITS = 15
"""Fifteen digits stay below 2^53, the limit of simplon_json.py."""

_QUOTE, _COMMA, _COLON, _OPEN, _CLOSE = (ord(c) for c in '",:{}')
_ZERO, _NINE, _BACKSLASH = ord("0"), ord("9"), ord("\\")
_HTYPE, _SERIES, _FRAME = (np.frombuffer(word, np.uint8) for word in (b"htype", b"series", b"frame"))
_IMAGE = np.frombuffer(b"dimage-", np.uint8)


def read_identity(part: bytes) -> tuple[int, int] | None:
    """(series, frame) of an image's first part; None when it must be read the ordinary way."""
    numbers = np.zeros(2, np.int64)
    data = np.frombuffer(part, np.uint8).copy()
    return (int(numbers[0]), int(numbers[1])) if identity(data, 0, len(part), numbers) else None


@njit(int64(uint8[::1], int64, int64), nogil=True, cache=True)
def _skip_space(data: Any, at: Any, end: Any) -> Any:
    while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13):
        at += 1
    return at


@njit(int64(uint8[::1], int64, int64), nogil=True, cache=True)
def _string_end(data: Any, at: Any, end: Any) -> Any:
    """The closing quote of plain ASCII without escapes; -1 otherwise."""
    while at < end and data[at] != _QUOTE:
        if data[at] < 32 or data[at] > 126 or data[at] == _BACKSLASH:
            return -1
        at += 1
    return at if at < end else -1


@njit(types.UniTuple(int64, 2)(uint8[::1], int64, int64), nogil=True, cache=True)
def number(data: Any, at: Any, end: Any) -> Any:
    """(value, place behind it) of a plain integer >= 0; (-1, at) otherwise."""
    start, value = at, 0
    while at < end and at - start <= MAX_DIGITS and _ZERO <= data[at] <= _NINE:
        value = value * 10 + int(data[at]) - _ZERO
        at += 1
    digits = at - start
    if digits == 0 or digits > MAX_DIGITS or (digits > 1 and data[start] == _ZERO):
        return -1, start
    return value, at


@njit(boolean(uint8[::1], int64, int64, CONST), nogil=True, cache=True)
def is_word(data: Any, at: Any, end: Any, word: Any) -> Any:
    if end - at != len(word):
        return False
    for i in range(len(word)):  # noqa: SIM110 (numba compiles no generators into a loop)
        if data[at + i] != word[i]:
            return False
    return True


@njit(int64(uint8[::1], int64, int64), nogil=True, cache=True)
def _key(data: Any, at: Any, end: Any) -> Any:
    """Which key of an image's identity this is: 1 htype, 2 series, 4 frame, 0 another."""
    if is_word(data, at, end, _HTYPE):
        return 1
    if is_word(data, at, end, _SERIES):
        return 2
    return 4 if is_word(data, at, end, _FRAME) else 0


@njit(int64(uint8[::1], int64, int64, int64, int64[::1]), nogil=True, cache=True)
def _value(data: Any, at: Any, end: Any, key: Any, numbers: Any) -> Any:
    """Read the value of a key; the place behind it, or -1."""
    if at < end and data[at] == _QUOTE:
        close = _string_end(data, at + 1, end)
        if close < 0 or key > 1:
            return -1
        if key == 1 and not (
            close - at > len(_IMAGE) and is_word(data, at + 1, at + 1 + len(_IMAGE), _IMAGE)
        ):
            return -1
        return close + 1
    value, behind = number(data, at, end)
    if value < 0 or key == 1:
        return -1
    if key:
        numbers[key // 4] = value
    return behind


@njit(boolean(uint8[::1], int64, int64, int64[::1]), nogil=True, cache=True)
def identity(data: Any, at: Any, size: Any, numbers: Any) -> Any:
    """Read ``{"htype":"dimage-...","series":n,"frame":n,...}`` into numbers [series, frame]."""
    end, seen = at + size, 0
    at = _skip_space(data, at, end)
    separator = _OPEN
    while at < end and data[at] == separator:
        at = _skip_space(data, at + 1, end)
        if at == end or data[at] != _QUOTE:
            return False
        close = _string_end(data, at + 1, end)
        if close < 0:
            return False
        key = _key(data, at + 1, close)
        at = _skip_space(data, close + 1, end)
        if seen & key or at == end or data[at] != _COLON:
            return False
        at = _value(data, _skip_space(data, at + 1, end), end, key, numbers)
        if at < 0:
            return False
        seen |= key
        at = _skip_space(data, at, end)
        separator = _COMMA
    return seen == 7 and at < end and data[at] == _CLOSE and _skip_space(data, at + 1, end) == end
