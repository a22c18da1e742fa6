"""One bare LZ4 block, decoded in ingest where a frame cannot travel as it came. Rare, so plain and safe.

LZ4 block format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import boolean, int64, njit, types, uint8

_MIN_MATCH = 4
_BYTES = types.Array(uint8, 1, "C", readonly=True)


def decode_lz4_block(block: memoryview, nbytes: int) -> npt.NDArray[np.uint8] | None:
    """The ``nbytes`` bytes that a block holds; None when it is corrupt or holds another number."""
    target = np.empty(nbytes, np.uint8)
    return target if _decode(np.frombuffer(block, np.uint8), target) else None


@njit(types.UniTuple(int64, 2)(_BYTES, int64, int64), nogil=True, cache=True)
def _length(source: Any, at: Any, nibble: Any) -> Any:
    """A length that begins with ``nibble`` and goes on at ``at``, and the place behind; -1 at the end."""
    length = nibble
    more = nibble == 15
    while more:
        if at >= len(source):
            return -1, at
        length += source[at]
        more = source[at] == 255
        at += 1
    return length, at


@njit(int64(uint8[::1], int64, int64, int64), nogil=True, cache=True)
def _repeat(target: Any, to: Any, distance: Any, length: Any) -> Any:
    """Copy what lies ``distance`` back, byte by byte: it may overlap itself. The place behind, or -1."""
    if distance == 0 or distance > to or to + length > len(target):
        return -1
    for i in range(to, to + length):
        target[i] = target[i - distance]
    return to + length


@njit(boolean(_BYTES, uint8[::1]), nogil=True, cache=True)
def _decode(source: Any, target: Any) -> Any:
    at = to = 0
    while at < len(source):
        token = int(source[at])
        literals, at = _length(source, at + 1, token >> 4)
        if literals < 0 or at + literals > len(source) or to + literals > len(target):
            return False
        target[to : to + literals] = source[at : at + literals]
        at, to = at + literals, to + literals
        if at == len(source):
            return to == len(target)
        if at + 2 > len(source):
            return False
        distance = int(source[at]) | int(source[at + 1]) << 8
        length, at = _length(source, at + 2, token & 15)
        if length < 0:
            return False
        to = _repeat(target, to, distance, length + _MIN_MATCH)
        if to < 0:
            return False
    return False
