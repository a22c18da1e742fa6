"""CBOR (RFC 8949) for compiled code: heads, strings and numbers found in bytes, nothing built.

Definite lengths only, each held against the end. Knows no message.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.int64]

INT = types.int64
BUFFER = types.Array(types.uint8, 1, "C", readonly=True)
EDGES = types.Array(INT, 1, "C", readonly=True)
_FOUND = types.Tuple((INT, INT, INT))

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
"""Major types."""


def words_of(*words: str) -> tuple[Bytes, Table]:
    """Texts back to back, as ``which`` takes them, and where each begins and the last one ends."""
    encoded = [word.encode() for word in words]
    edges = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), edges


@njit(_FOUND(BUFFER, INT, INT), nogil=True, cache=True)
def head(buf: Any, at: Any, end: Any) -> Any:
    """The first bytes of an item: (major type, its number, where it goes on); at -1 when it has none.

    Integers from 2^63 up come out negative, of a float this is the bit pattern; no length is that large.
    """
    if at < 0 or at >= end:
        return -1, 0, -1
    major, more = np.int64(buf[at]) >> 5, np.int64(buf[at]) & 31
    if more < 24:
        return major, more, at + 1
    if more > 27:  # reserved, indefinite length, break
        return -1, 0, -1
    size = np.int64(1) << (more - 24)
    if size > end - at - 1:
        return -1, 0, -1
    value = np.int64(0)
    for place in range(at + 1, at + 1 + size):
        value = value << 8 | np.int64(buf[place])
    if value < 0 and NEGATIVE < major < SIMPLE:
        return -1, 0, -1
    return major, value, at + 1 + size


@njit(INT(BUFFER, INT, INT, INT), nogil=True, cache=True)
def skip(buf: Any, at: Any, end: Any, most: Any) -> Any:
    """Where the item at ``at`` ends; -1 when it is broken or has more than ``most`` items in it."""
    left = np.int64(1)
    while left > 0:
        major, value, at = head(buf, at, end)
        most -= 1
        left -= 1
        if at < 0 or most < 0:
            return -1
        if major in (BYTES, TEXT):
            if value > end - at:
                return -1
            at += value
        elif major in (ARRAY, MAP):
            if value > end - at:
                return -1
            left += value if major == ARRAY else 2 * value
        elif major == TAG:
            left += 1
    return at


@njit(types.boolean(BUFFER, INT, BUFFER, INT, INT), nogil=True, cache=True)
def same(buf: Any, at: Any, words: Any, start: Any, size: Any) -> Any:
    """Whether ``size`` bytes of the words stand there."""
    for place in range(size):  # noqa: SIM110 (compiled)
        if buf[at + place] != words[start + place]:
            return False
    return True


@njit(INT(BUFFER, INT, INT, BUFFER, EDGES), nogil=True, cache=True)
def which(buf: Any, at: Any, size: Any, words: Any, edges: Any) -> Any:
    """Which of the words stands there; -1 when none does."""
    for word in range(len(edges) - 1):
        if edges[word + 1] - edges[word] == size and same(buf, at, words, edges[word], size):
            return word
    return -1


@njit(_FOUND(BUFFER, INT, INT, INT), nogil=True, cache=True)
def string(buf: Any, at: Any, end: Any, wanted: Any) -> Any:
    """A text or byte string: (where it begins, its bytes, where it ends); the end is -1 when it is none."""
    major, size, at = head(buf, at, end)
    if at < 0 or major != wanted or size > end - at:
        return 0, 0, -1
    return at, size, at + size


@njit(types.Tuple((INT, INT))(BUFFER, INT, INT, INT), nogil=True, cache=True)
def number(buf: Any, at: Any, end: Any, wanted: Any) -> Any:
    """The number, below 2^63, of an item of one major type, and where it goes on (-1 when it is another)."""
    major, value, at = head(buf, at, end)
    return (value, at) if major == wanted and value >= 0 else (0, np.int64(-1))


@njit(types.Tuple((types.float64, INT))(BUFFER, INT, INT), nogil=True, cache=True)
def real(buf: Any, at: Any, end: Any) -> Any:
    """An integer or a float of 16, 32 or 64 bits, and where it ends."""
    begin = at
    major, value, at = head(buf, at, end)
    if at < 0 or (major != SIMPLE and major > NEGATIVE):
        return 0.0, -1
    if major != SIMPLE:
        return (float(value) if major == UNSIGNED else -1.0 - float(value)), (at if value >= 0 else -1)
    size = at - begin - 1
    if size < 2:  # true, false, null
        return 0.0, -1
    fraction_bits = 10 if size == 2 else 23 if size == 4 else 52
    exponent_bits = 8 * size - 1 - fraction_bits
    exponent = value >> fraction_bits & ((1 << exponent_bits) - 1)
    fraction = value & ((np.int64(1) << fraction_bits) - 1)
    if exponent == (1 << exponent_bits) - 1:
        infinite = -math.inf if value >> (8 * size - 1) & 1 else math.inf
        return math.nan if fraction else infinite, at
    least = 2 - (1 << (exponent_bits - 1)) - fraction_bits
    if exponent:
        fraction |= np.int64(1) << fraction_bits
        least += exponent - 1
    result = math.ldexp(float(fraction), least)
    return -result if value >> (8 * size - 1) & 1 else result, at
