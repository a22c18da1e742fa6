"""Many waiting messages taken from a ZeroMQ socket, or given to one, in one compiled call.

A pyzmq loop spends Python and its lock on every part of every message; this takes what is there in one go and
lets other threads run meanwhile. Knows messages and parts, not what they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import zmq

from .arenas import Arenas
from .burst_loops import (
    ERROR,
    LEFT_BYTES,
    LEFT_PARTS,
    PENDING,
    STATE_WORDS,
    TOO_LARGE,
    TOO_MANY_PARTS,
    WANTED,
    begin_message,
    drain_into,
    end_message,
    send_from,
)
from .zmq_calls import MESSAGE_WORDS, Addresses

__all__ = ["TOO_LARGE", "TOO_MANY_PARTS", "Burst", "BurstSocket", "pack", "send_burst"]

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.int64]

ARENA_BYTES = 1 << 20
"""What a core's second cache holds; 120 frames of 8.5 KB. Measured: 8 MiB cost 4 us a frame more."""
MAX_PARTS = 32
"""Parts of a message that are kept; a detector's longest has ten."""
MAX_MESSAGES = 1024
MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Burst:
    """Whole messages in the order of their arrival.

    Valid until the next ``drain``, except for ``data``: while anything refers to it or to a view of it, that
    memory is not used again. The tables are.
    """

    data: Bytes
    """(bytes,) all parts, back to back; a parser may move bytes about in it."""
    parts: Table
    """(n_parts, 2) offset and size of each part in ``data``."""
    first: Table
    """(n_messages + 1,) the first part of each message, and the end."""
    flags: Bytes
    """(n_messages,) 0, or TOO_MANY_PARTS | TOO_LARGE."""

    def __len__(self) -> int:
        """Messages."""
        return len(self.flags)

    def message(self, number: int) -> list[memoryview]:
        """The parts of one message, as views."""
        data = self.data.data
        rows = self.parts[self.first[number] : self.first[number + 1]].tolist()
        return [data[offset : offset + size] for offset, size in rows]

    def first_byte(self, number: int) -> int:
        """Of the message's first part; -1 when that is empty."""
        offset, size = self.parts[self.first[number]].tolist()
        return int(self.data[offset]) if size else -1


def pack(messages: Sequence[Sequence[bytes | memoryview]]) -> Burst:
    """Messages as the burst that they would arrive in; for senders."""
    parts = [part for message in messages for part in message]
    sizes = np.array([len(part) for part in parts], np.int64)
    table = np.stack([np.cumsum(sizes) - sizes, sizes], axis=1)
    counts = [0, *(len(message) for message in messages)]
    data = np.frombuffer(bytearray().join(parts), np.uint8)
    return Burst(data, table, np.cumsum(counts, dtype=np.int64), np.zeros(len(messages), np.uint8))


class BurstSocket:
    """Takes what waits in an open ZeroMQ socket; never waits, never holds the interpreter's lock meanwhile.

    Parameters
    ----------
    socket : zmq.Socket
        Nobody else may receive from it; closed by its owner, after ``close``.
    calls : (8,) int64, optional
        ``find_calls()``. None takes pyzmq's own methods: the same answers at a fraction of the speed.
    arena_bytes : int
        Bytes of a burst; a larger message is a burst by itself.
    max_bytes, max_parts, max_messages : int
        Bytes and parts of one message, and messages of one burst.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        calls: Addresses | None,
        *,
        arena_bytes: int = ARENA_BYTES,
        max_bytes: int = MAX_BYTES,
        max_parts: int = MAX_PARTS,
        max_messages: int = MAX_MESSAGES,
    ) -> None:
        self._socket, self._calls = socket, calls
        self._arena_bytes, self._max_bytes, self._max_parts = arena_bytes, max_bytes, max_parts
        self._arenas = Arenas(arena_bytes)
        self._parts = np.zeros((max_messages * 4 + max_parts, 2), np.int64)
        self._first = np.zeros(max_messages + 1, np.int64)
        self._flags = np.zeros(max_messages, np.uint8)
        self._state = np.zeros(STATE_WORDS, np.int64)
        self._left: tuple[Bytes, Table] | None = None
        self._message = np.zeros(MESSAGE_WORDS, np.uint64)
        if calls is not None:
            begin_message(calls, self._message.ctypes.data)

    @property
    def is_between(self) -> bool:
        """Whether all that was taken from libzmq was given away: no part of another message waits here."""
        return self._left is None and not self._state[PENDING]

    def drain(self, most: int | None = None) -> Burst | None:
        """All messages that are there, up to the limits and to ``most``; None when there is none.

        Raises zmq.ZMQError when the socket is closed or its context has ended.
        """
        flags = self._flags[:most]
        if self._calls is None:
            return self._drain_plain(len(flags))
        burst = self._drain_once(self._calls, 0, flags)
        while burst is None and self._state[WANTED]:
            burst = self._drain_once(self._calls, int(self._state[WANTED]), flags)
        return burst

    def close(self) -> None:
        """Let go of what libzmq still holds for us; may be called twice."""
        if self._calls is not None:
            end_message(self._calls, self._message.ctypes.data)
            self._calls = None

    # -- by libzmq's functions ---------------------------------------------------------------------------

    def _drain_once(self, calls: Addresses, wanted: int, flags: Bytes) -> Burst | None:
        begun = 0 if self._left is None else len(self._left[0])
        arena = self._arenas.take(max(wanted, begun))
        self._put_back(arena)
        n = drain_into(
            calls,
            self._socket.underlying,
            self._message.ctypes.data,
            arena,
            self._parts,
            self._first,
            flags,
            self._state,
            self._max_parts,
            self._max_bytes,
        )
        error = int(self._state[ERROR])
        if n == 0 and error not in (0, zmq.EAGAIN):
            raise zmq.ZMQError(error)
        self._set_aside(arena, n)
        return self._burst(arena, n) if n else None

    def _set_aside(self, arena: Bytes, n: int) -> None:
        """Keep the beginning of a message whose end found no room: the next drain has another arena."""
        parts, used = int(self._state[LEFT_PARTS]), int(self._state[LEFT_BYTES])
        self._left = None
        if parts:
            row = int(self._first[n])
            start = int(self._parts[row, 0])
            self._left = arena[start : start + used].copy(), self._parts[row : row + parts] - (start, 0)

    def _put_back(self, arena: Bytes) -> None:
        if self._left is not None:
            data, parts = self._left
            arena[: len(data)] = data
            self._parts[: len(parts)] = parts

    def _burst(self, arena: Bytes, n: int) -> Burst:
        rows = int(self._first[n])
        offset, size = self._parts[rows - 1].tolist()
        return Burst(arena[: offset + size], self._parts[:rows], self._first[: n + 1], self._flags[:n])

    # -- by pyzmq's methods ------------------------------------------------------------------------------

    def _drain_plain(self, most: int) -> Burst | None:
        messages: list[list[zmq.Frame]] = []
        flags: list[int] = []
        rows = nbytes = 0
        while len(messages) < most and nbytes < self._arena_bytes:
            if rows + self._max_parts > len(self._parts):
                break
            try:
                part = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            parts, flag = self._rest_of(part)
            messages.append(parts)
            flags.append(flag)
            rows += len(parts)
            nbytes += sum(len(part) for part in parts)
        return self._packed(messages, flags) if messages else None

    def _rest_of(self, part: zmq.Frame) -> tuple[list[zmq.Frame], int]:
        """A message to its end, and what had to be left out of it."""
        parts: list[zmq.Frame] = []
        room, flag = self._max_bytes, 0
        while True:
            if len(parts) == self._max_parts:
                flag |= TOO_MANY_PARTS
            elif len(part) > room:
                flag |= TOO_LARGE
                parts.append(zmq.Frame(b""))
            else:
                room -= len(part)
                parts.append(part)
            if not part.more:
                return parts, flag
            part = self._socket.recv(copy=False)

    def _packed(self, messages: list[list[zmq.Frame]], flags: list[int]) -> Burst:
        burst = pack([[part.buffer for part in parts] for parts in messages])
        return Burst(burst.data, burst.parts, burst.first, np.array(flags, np.uint8))


def send_burst(
    socket: zmq.Socket[bytes], calls: Addresses | None, burst: Burst, at: int = 0, stop: int | None = None
) -> int:
    """Send the messages ``at .. stop - 1``, as many as the socket takes now.

    Returns the number of the first message that was not sent: below ``stop`` the high-water mark holds, and
    the rest may be sent once the socket is writable. Raises zmq.ZMQError for anything else that is wrong.
    """
    stop = len(burst) if stop is None else stop
    if calls is None:
        return _send_plain(socket, burst, at, stop)
    reached: int = send_from(calls, socket.underlying, burst.data, burst.parts, burst.first, at, stop)
    if reached < 0:
        raise zmq.ZMQError(-reached)
    return reached


def _send_plain(socket: zmq.Socket[bytes], burst: Burst, at: int, stop: int) -> int:
    for number in range(at, stop):
        try:
            socket.send_multipart(burst.message(number), zmq.NOBLOCK)
        except zmq.Again:
            return number
    return stop
