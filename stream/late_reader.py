"""A lossless reader that joins a running ring: from where on it reads, and what it leaves to the past.

Knows the ring's words; moves nothing but the row of the reader that joins.
"""

from __future__ import annotations

import numpy as np

from .ring_layout import (
    D_SERIAL,
    DROP_REASONS,
    E_DROPPED,
    E_FINAL,
    E_SERIAL,
    H_HEAD,
    H_NEXT_SERIAL,
    H_TAIL,
    R_GATES,
    SERIES_KEPT,
    Views,
)
from .ring_protocol import move_cursor
from .ring_table import is_known, received_in_ring, state_of

REASON = "not_recorded"
"""Of frames that went through the ring before."""


def join(views: Views, row: int) -> tuple[int, int]:
    """Let a reader that slept begin, and the writer wait for it from now on.

    It begins with the open series, as far back as the ring holds it; of series that are over, all frames are
    counted as not recorded.

    Returns
    -------
    seq : int
        The first block that it reads.
    serial : int
        The last series that is none of its business; -1 = none.
    """
    newest = int(views.header[H_NEXT_SERIAL]) - 1
    is_open = newest >= 0 and state_of(views, newest)[0] == "open"
    last = newest - is_open
    views.rows[row, R_GATES] = 1
    first = _first_of(views, newest) if is_open else int(views.header[H_HEAD])
    move_cursor(views.header, views.rows, row, first)
    for serial in range(max(0, last + 1 - SERIES_KEPT), last + 1):
        if is_known(views, serial):
            _leave(views, row, serial, first)
    return max(first, int(views.header[H_TAIL])), last


def _first_of(views: Views, serial: int) -> int:
    """The oldest block of a series that is still there."""
    tail, head = int(views.header[H_TAIL]), int(views.header[H_HEAD])
    seqs = np.arange(tail, head)
    mine = seqs[views.slots[seqs % len(views.slots), D_SERIAL] == serial]
    return int(mine[0]) if mine.size else head


def _leave(views: Views, row: int, serial: int, seq: int) -> None:
    record = views.edge(row, serial)
    record[:] = 0
    record[E_SERIAL] = serial + 1
    record[E_DROPPED + DROP_REASONS.index(REASON)] = received_in_ring(views, serial)
    record[E_FINAL] = max(seq, 1)
