"""The compiled loops of burst.py: what is done to each part of each message, without Python and its lock.

Addresses, tables and numbers; no pyzmq object comes here.
"""

from __future__ import annotations

import errno
from typing import Any

import zmq
from numba import int64, njit, uint8, void

from .raw_memory import move_bytes
from .zmq_calls import (
    CALLS,
    CLOSE,
    DATA,
    ERRNO,
    INIT,
    MORE,
    RECV,
    SEND,
    SIZE,
    ask_int,
    ask_word,
    last_error,
    receive_part,
    send_part,
)

TOO_MANY_PARTS = 1
"""The message had more parts; those beyond are not there."""
TOO_LARGE = 2
"""A part did not fit what a message may have; it stands in the table with size 0."""

PENDING, FLAG, WANTED, ERROR, LEFT_PARTS, LEFT_BYTES, STATE_WORDS = range(7)
"""What a drain says besides the number of messages: whether libzmq holds a part that found no room (WANTED
bytes would do), the flags, parts and bytes of the message it belongs to, why nothing more was received."""

_EINTR, _EAGAIN = errno.EINTR, int(zmq.EAGAIN)
_DONTWAIT, _SNDMORE = int(zmq.DONTWAIT), int(zmq.SNDMORE)


@njit(void(CALLS, int64), nogil=True, cache=True)
def begin_message(calls: Any, message: Any) -> None:
    ask_int(calls[INIT], message)


@njit(void(CALLS, int64), nogil=True, cache=True)
def end_message(calls: Any, message: Any) -> None:
    ask_int(calls[CLOSE], message)


@njit(int64(CALLS, int64, int64), nogil=True, cache=True)
def _next_part(calls: Any, socket: Any, message: Any) -> Any:
    """Receive one part; 0, or the error's number."""
    while receive_part(calls[RECV], message, socket, _DONTWAIT) < 0:
        error = last_error(calls[ERRNO])
        if error != _EINTR:
            return error
    return 0


@njit(
    int64(
        CALLS,
        int64,
        int64,
        uint8[::1],
        int64[:, ::1],
        int64[::1],
        uint8[::1],
        int64[::1],
        int64,
        int64,
    ),
    nogil=True,
    cache=True,
)
def drain_into(
    calls: Any,
    socket: Any,
    message: Any,
    arena: Any,
    parts: Any,
    first: Any,
    flags: Any,
    state: Any,
    max_parts: Any,
    max_bytes: Any,
) -> Any:
    """Whole messages into ``arena``; returns how many. ``state``: what was and what is left over."""
    pending, flag = state[PENDING], state[FLAG]
    row, used = state[LEFT_PARTS], state[LEFT_BYTES]
    n = start_row = start = largest = 0
    first[0] = state[WANTED] = state[ERROR] = 0
    while True:
        if not pending:
            between = row == start_row and flag == 0
            full = n == len(flags) or row + max_parts > len(parts) or used + largest > len(arena)
            if between and full:
                break
            state[ERROR] = _next_part(calls, socket, message)
            if state[ERROR] != 0:
                break
            pending = 1
        size = ask_word(calls[SIZE], message)
        if row - start_row == max_parts:
            flag |= TOO_MANY_PARTS
        else:
            if used - start + size > max_bytes:
                flag |= TOO_LARGE
                size = 0
            if used + size > len(arena):
                state[WANTED] = used - start + size
                break
            parts[row, 0], parts[row, 1] = used, size
            move_bytes(arena.ctypes.data + used, ask_word(calls[DATA], message), size)
            used += size
            row += 1
        pending = 0
        if ask_int(calls[MORE], message) == 0:
            flags[n] = flag
            n += 1
            first[n] = row
            largest = max(largest, used - start)
            start_row, start, flag = row, used, 0
    state[PENDING], state[FLAG] = pending, flag
    state[LEFT_PARTS], state[LEFT_BYTES] = row - start_row, used - start
    return n


@njit(int64(CALLS, int64, uint8[::1], int64[:, ::1], int64[::1], int64, int64), nogil=True, cache=True)
def send_from(calls: Any, socket: Any, data: Any, parts: Any, first: Any, at: Any, stop: Any) -> Any:
    """As many messages as the socket takes; the number reached, or the error's number, negative."""
    for number in range(at, stop):
        last = first[number + 1] - 1
        for row in range(first[number], last + 1):
            flags = _DONTWAIT if row == last else _DONTWAIT | _SNDMORE
            where = data.ctypes.data + parts[row, 0]
            while send_part(calls[SEND], socket, where, parts[row, 1], flags) < 0:
                error = last_error(calls[ERRNO])
                if error != _EINTR:
                    return number if error == _EAGAIN else -error
    return stop
