"""The ring's shared-memory protocol: the few steps whose order matters, compiled, over atomics.

One writer, many readers. ``HEAD`` is the next block to be published; ``TAIL`` the oldest that may still be
read. The writer moves TAIL *before* it overwrites anything; a reader that has used a block looks at TAIL
*afterwards*: if it moved past the block, what was read may be torn and is thrown away. Lossless readers
publish their cursor, and the writer does not move TAIL past it.
"""

from __future__ import annotations

import numpy as np
from numba import boolean, int64, njit, uint64, void

from ..atomics import exchange, full_fence, load_acquire, store_release
from .ring_layout import (
    D_BEGIN,
    D_STAMP,
    DROP_REASONS,
    E_DROPPED,
    E_PROCESSED,
    H_HEAD,
    H_TAIL,
    H_WRITER_WAITING,
    R_AT_WORK,
    R_CURSOR,
    R_GATES,
    R_WAITING,
    SLOT_WORDS,
    Words,
)

_HEADER = uint64[::1]
_TABLE = uint64[:, ::1]
_DROPPED_END = E_DROPPED + len(DROP_REASONS)
NOT_YET, READABLE, LAPPED = 0, 1, 2
WHOLE, WAKE = 1, 2
"""Bits of what ``give_back`` says."""


@njit(nogil=True, cache=True)
def _word(array: Words, row: int, word: int) -> np.uint64:
    """Address of a word of a table. All in uint64: numba makes uint64 + int64 a float64."""
    index = np.uint64(row) * np.uint64(array.shape[1]) + np.uint64(word)
    return np.uint64(array.ctypes.data) + np.uint64(8) * index


@njit(nogil=True, cache=True)
def _header_word(header: Words, word: int) -> np.uint64:
    return np.uint64(header.ctypes.data) + np.uint64(8 * word)


@njit(int64(_HEADER, _TABLE, _TABLE, int64), nogil=True, cache=True)
def blocking_reader(header: Words, rows: Words, slots: Words, limit: int) -> int:
    """Row of a lossless reader that still needs bytes below ``limit`` (or the next slot); -1 = none."""
    head = header[H_HEAD]
    nslots = np.uint64(slots.shape[0])
    for row in range(rows.shape[0]):
        if rows[row, R_GATES] == 0:
            continue
        cursor = load_acquire(_word(rows, row, R_CURSOR))
        if cursor >= head:
            continue
        begins = np.int64(slots[cursor % nslots, D_BEGIN])
        if begins < limit or head - cursor >= nslots - np.uint64(1):
            return row
    return -1


@njit(void(_HEADER, _TABLE, int64), nogil=True, cache=True)
def evict(header: Words, slots: Words, limit: int) -> None:
    """Give up every block that has bytes below ``limit``, visibly, before anything is overwritten."""
    head = header[H_HEAD]
    tail = header[H_TAIL]
    nslots = np.uint64(slots.shape[0])
    while tail < head and (
        np.int64(slots[tail % nslots, D_BEGIN]) < limit or head - tail >= nslots - np.uint64(1)
    ):
        tail += np.uint64(1)
    store_release(_header_word(header, H_TAIL), tail)
    full_fence()


@njit(int64(_HEADER, _TABLE, _TABLE, int64), nogil=True, cache=True)
def make_room(header: Words, rows: Words, slots: Words, limit: int) -> int:
    """``evict`` unless a lossless reader is in the way: then its row, else -1. One call: 1 us less."""
    row: int = blocking_reader(header, rows, slots, limit)
    if row < 0:
        evict(header, slots, limit)
    return row


@njit(uint64(_HEADER, _TABLE, _TABLE, _HEADER), nogil=True, cache=True)
def publish(header: Words, rows: Words, slots: Words, values: Words) -> np.uint64:
    """Publish the next block; returns a bit mask of the reader rows that sleep and must be woken."""
    head = header[H_HEAD]
    slot = head % np.uint64(slots.shape[0])
    stamp = _word(slots, slot, D_STAMP)
    store_release(stamp, np.uint64(0))
    full_fence()
    for word in range(1, SLOT_WORDS):
        slots[slot, word] = values[word]
    store_release(stamp, head + np.uint64(1))
    store_release(_header_word(header, H_HEAD), head + np.uint64(1))
    full_fence()
    sleepers = np.uint64(0)
    for row in range(rows.shape[0]):
        waiting = _word(rows, row, R_WAITING)
        if load_acquire(waiting) != 0 and exchange(waiting, np.uint64(0)) != 0:
            sleepers |= np.uint64(1) << np.uint64(row)
    return sleepers


@njit(int64(_HEADER, _TABLE, uint64, _HEADER), nogil=True, cache=True)
def read_slot(header: Words, slots: Words, seq: int, out: Words) -> int:
    """Copy the descriptor of block ``seq``: READABLE, NOT_YET published, or LAPPED by the writer."""
    if seq >= load_acquire(_header_word(header, H_HEAD)):
        return NOT_YET
    slot = np.uint64(seq) % np.uint64(slots.shape[0])
    stamp = _word(slots, slot, D_STAMP)
    if load_acquire(stamp) != seq + np.uint64(1):
        return LAPPED
    for word in range(SLOT_WORDS):
        out[word] = slots[slot, word]
    full_fence()
    if load_acquire(stamp) != seq + np.uint64(1):
        return LAPPED
    if load_acquire(_header_word(header, H_TAIL)) > seq:
        return LAPPED
    return READABLE


@njit(boolean(_HEADER, uint64, int64), nogil=True, cache=True)
def comes_soon(header: Words, seq: int, looks: int) -> bool:
    """Whether block ``seq`` is published by the last of so many looks."""
    head = _header_word(header, H_HEAD)
    while looks > 0 and load_acquire(head) <= seq:
        looks -= 1
    return looks > 0


@njit(boolean(_HEADER, uint64), nogil=True, cache=True)
def still_readable(header: Words, seq: int) -> bool:
    """After a block was used: whether all that was read of it is whole."""
    full_fence()
    return bool(load_acquire(_header_word(header, H_TAIL)) <= seq)


@njit(boolean(_HEADER, _TABLE, int64, uint64), nogil=True, cache=True)
def move_cursor(header: Words, rows: Words, row: int, cursor: int) -> bool:
    """Say that all blocks before ``cursor`` are done with; True when the writer waits for that."""
    store_release(_word(rows, row, R_CURSOR), np.uint64(cursor))
    full_fence()
    waiting = _header_word(header, H_WRITER_WAITING)
    return bool(load_acquire(waiting) != 0 and exchange(waiting, np.uint64(0)) != 0)


@njit(int64(_HEADER, _TABLE, int64, uint64, uint64), nogil=True, cache=True)
def give_back(header: Words, rows: Words, row: int, seq: int, cursor: int) -> int:
    """``still_readable`` of block ``seq``, then ``move_cursor``: WHOLE and WAKE, as bits.

    In this order: behind the moved cursor the writer may take the block at once.
    """
    rows[row, R_AT_WORK] = 0
    whole = still_readable(header, seq)
    wake = move_cursor(header, rows, row, cursor)
    said: int = WHOLE * whole | WAKE * wake
    return said


@njit(uint64(_HEADER), nogil=True, cache=True)
def accounted(record: Words) -> np.uint64:
    """Frames of an edge's record that were processed or dropped."""
    frames: np.uint64 = record[E_PROCESSED]
    for word in range(E_DROPPED, _DROPPED_END):
        frames += record[word]
    return frames
