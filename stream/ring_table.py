"""Reading the ring's tables: series, blocks, ledgers. No state and no atomics: for whoever has the views.

Safe for values that no longer change (a series' header, a block under lease); a number read while the
writer is busy may be one block old.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace

import msgpack
import numpy as np

from ..errors import RingError
from . import wire
from .ring_layout import (
    D_ARRIVAL,
    D_BEGIN,
    D_COUNT,
    D_FIRST,
    D_FLAGS,
    D_NBYTES,
    D_ORDINAL,
    D_SERIAL,
    D_TIME,
    F_LATE,
    F_POSITIONS,
    F_SIZES,
    F_TIME,
    H_HEAD,
    H_TAIL,
    OPEN,
    S_ENTERED,
    S_HEADER_SIZE,
    S_LEDGER_SIZE,
    S_LEDGER_STAMP,
    S_REASON_SIZE,
    S_SERIAL,
    S_STATE,
    STATE_NAMES,
    Views,
)
from .series import Block, Series

_START_SIZE = struct.Struct("<I")


def pack_series(series: Series) -> bytes:
    """A series as the table holds it: its livem/1 start header, and where its arrays lie."""
    start = bytes(wire.encode_start(series)[0])
    return b"".join((_START_SIZE.pack(len(start)), start, msgpack.packb(dict(series.tables))))


def series_of(views: Views, serial: int) -> Series:
    """The announced series with this serial. Raises RingError when it is no longer in the table."""
    words = views.series_words(serial)
    packed = bytes(views.series_header(serial)[: int(words[S_HEADER_SIZE])])
    if int(words[S_SERIAL]) == serial + 1 and len(packed) > _START_SIZE.size:
        split = _START_SIZE.size + _START_SIZE.unpack_from(packed)[0]
        message = wire.decode([packed[_START_SIZE.size : split]])
        if isinstance(message, wire.Start):
            return replace(message.series, tables=msgpack.unpackb(packed[split:]))
    raise RingError(f"series with serial {serial} is no longer in the ring's table")


def received_in_ring(views: Views, serial: int) -> int:
    """Frames of a series that entered the ring; of an open one, from its last block that is there."""
    words = views.series_words(serial)
    if words[S_STATE] != OPEN:
        return int(words[S_ENTERED])
    slots, head, tail = views.slots, int(views.header[H_HEAD]), int(views.header[H_TAIL])
    for seq in range(head - 1, tail - 1, -1):
        slot = slots[seq % len(slots)]
        if int(slot[D_SERIAL]) == serial:
            return int(slot[D_ORDINAL]) + int(slot[D_COUNT])
    return 0


def ledger_of(views: Views, serial: int) -> bytes | None:
    """Ledger snapshot as it was with the last published block of a series; None before the first."""
    words, head = views.series_words(serial), int(views.header[H_HEAD])
    stamps = [(int(words[S_LEDGER_STAMP + side]), side) for side in (0, 1)]
    published = [(stamp, side) for stamp, side in stamps if 0 < stamp <= head]
    if not published:
        return None
    _, side = max(published)
    return bytes(views.series_ledger(serial, side)[: int(words[S_LEDGER_SIZE + side])])


def state_of(views: Views, serial: int) -> tuple[str, str]:
    """State ("open", "complete", "incomplete") of a series and why it ended."""
    words = views.series_words(serial)
    reason = bytes(views.series_reason(serial)[: int(words[S_REASON_SIZE])])
    return STATE_NAMES[int(words[S_STATE])], reason.decode(errors="replace")


def is_known(views: Views, serial: int) -> bool:
    """Whether the series is still in the table (the last 32 are)."""
    return serial >= 0 and int(views.series_words(serial)[S_SERIAL]) == serial + 1


def block_of(views: Views, seq: int, slot: Sequence[int], series: Series) -> Block:
    """The block that a descriptor (its words) speaks of, as views into the arena."""
    count, nbytes, flags, time_ns = slot[D_COUNT], slot[D_NBYTES], slot[D_FLAGS], slot[D_TIME]
    at = slot[D_BEGIN] % views.layout.data_bytes
    payload = views.stored[at : at + nbytes]
    at += -(-nbytes // 64) * 64
    sizes = positions = None
    if flags & F_SIZES:
        sizes = views.stored[at : at + 8 * count].view(np.int64)
        at += -(-8 * count // 64) * 64
    if flags & F_POSITIONS:
        positions = views.stored[at : at + 8 * count].view(np.float32).reshape(count, 2)
    return Block(
        series=series,
        first=slot[D_FIRST],
        count=count,
        payload=payload,
        sizes=sizes,
        positions=positions,
        time_ns=(time_ns if time_ns < 1 << 63 else time_ns - (1 << 64)) if flags & F_TIME else None,
        arrival_ns=slot[D_ARRIVAL],
        ordinal=slot[D_ORDINAL],
        late=bool(flags & F_LATE),
        seq=seq,
    )
