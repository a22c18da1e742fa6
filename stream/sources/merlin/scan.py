"""Finds frames in received bytes: a compiled loop over messages that are all alike.

Whatever is not exactly as the template says is left to the ordinary parser. Knows no pixels and no series.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

WAIT, OTHER, SUSPECT, MORE = 0, 1, 2, 3
"""Why the loop ended: more bytes are needed; something else begins; a frame is not followed by a message, so
that its length is in doubt; another run of frames begins, or there is no more room for results."""

COMMA, ZERO = ord(","), ord("0")


def pattern(text: bytes) -> npt.NDArray[np.uint8]:
    """Bytes as the loop takes them: compiled for arrays that can be written to."""
    return np.frombuffer(bytearray(text), np.uint8)


MARK_TEXT = b"MPX,"
MARK = pattern(MARK_TEXT)


@njit("boolean(uint8[::1], int64, int64, uint8[::1])", nogil=True, cache=True)
def _differs(buffer: Any, at: Any, stop: Any, pattern: Any) -> Any:
    """Whether the bytes that are there contradict the pattern."""
    for i in range(min(len(pattern), stop - at)):  # noqa: SIM110 - numba has no any() of a generator
        if buffer[at + i] != pattern[i]:
            return True
    return False


@njit("UniTuple(int64, 2)(uint8[::1], int64, int64)", nogil=True, cache=True)
def _number(buffer: Any, at: Any, stop: Any) -> Any:
    """The digits at ``at``: (value, position behind their comma); value -1: no number, -2: more is needed."""
    value = np.int64(0)
    for i in range(at, min(at + 11, stop)):
        byte = np.int64(buffer[i])
        if byte == COMMA and i > at:
            return value, i + 1
        if byte < ZERO or byte > ZERO + 9:
            return -1, i
        value = value * 10 + byte - ZERO
    return (-1 if stop >= at + 11 else -2), at


@njit(
    "UniTuple(int64, 4)(uint8[::1], int64, int64, uint8[::1], uint8[::1], int64, uint8[::1], int64[::1])",
    nogil=True,
    cache=True,
)
def find_run(
    buffer: Any, at: Any, stop: Any, prefix: Any, identity: Any, total: Any, mark: Any, places: Any
) -> Any:
    """Consecutive frames that lie complete in ``buffer[at:stop]``, one after the other.

    Parameters
    ----------
    buffer : (bytes,) uint8
    at, stop : int
        Where a message should begin; end of what was received.
    prefix, identity : uint8
        ``MPX,<length>,MQ1,`` and, behind the sequence number, the text that all frames share.
    total : int
        Bytes of a whole message.
    mark : (4,) uint8
        MARK.
    places : (n,) int64
        Filled with where the message of each frame begins; at most n are found.

    Returns
    -------
    (found, position, why, sequence) : int
        ``sequence`` is the number of the first frame.
    """
    found, first = 0, np.int64(0)
    while found < len(places):
        if _differs(buffer, at, stop, prefix):
            return found, at, OTHER, first
        sequence, behind = _number(buffer, at + len(prefix), stop)
        if sequence == -1 or (sequence >= 0 and _differs(buffer, behind, stop, identity)):
            return found, at, OTHER, first
        if at + total > stop:
            return found, at, WAIT, first
        if _differs(buffer, at + total, stop, mark):
            return found, at, SUSPECT, first
        if found == 0:
            first = sequence
        elif sequence != first + found:
            return found, at, MORE, first
        places[found] = at
        found += 1
        at += total
    return found, at, MORE, first
