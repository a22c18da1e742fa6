"""Looking back into the ring: which frames it still has, and any of them again. No edge, no cursor, no row.

Whoever looks here is unknown to the writer and can never make it wait; a block that is overwritten meanwhile
is told. `stretches` serves the supervisor, which computes nothing: it imports no numba.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RingError
from .ring import HistoryPort, attach_views
from .ring_layout import (
    D_ARRIVAL,
    D_COUNT,
    D_FIRST,
    D_FLAGS,
    D_KIND,
    D_SERIAL,
    D_STAMP,
    F_LATE,
    H_HEAD,
    H_TAIL,
    K_FRAMES,
    SLOT_WORDS,
    Views,
    Words,
)
from .ring_table import block_of, series_of, state_of
from .series import Block, Series, SeriesKey

KNOTS = 512
"""Moments that are told of all stretches together: 8 kB of the 64 kB that an answer may have."""
STRETCHES = 16
"""The newest series that are told."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What the ring has of one series."""

    key: SeriesKey
    first: int
    """Lowest frame number."""
    stop: int
    """One more than the highest."""
    frames: int
    """How many are there; fewer than ``stop - first`` where some were lost on the way."""
    state: str
    """"open", "complete" or "incomplete"."""
    knots: Rows
    """(n, 2) time.monotonic_ns() of the session's machine, frame number; both increase. Of every so many-th
    block, of the first and of the last one: when the block's first frame had come."""

    def as_plain(self) -> dict[str, Any]:
        """For the control channel."""
        return {
            "epoch": self.key.epoch,
            "series": self.key.number,
            "first": self.first,
            "stop": self.stop,
            "frames": self.frames,
            "state": self.state,
            "t_ns": self.knots[:, 0].tolist(),
            "index": self.knots[:, 1].tolist(),
        }


def stretches(views: Views) -> tuple[Stretch, ...]:
    """What the ring has, oldest series first; a series that was interrupted is one stretch.

    A number that is read while the writer is busy may be one block old.
    """
    rows = _frame_rows(views)
    by_key: dict[SeriesKey, list[Rows]] = {}
    states: dict[SeriesKey, str] = {}
    for serial in np.unique(rows[:, D_SERIAL])[-STRETCHES:].tolist():
        try:
            key = series_of(views, serial).key
        except RingError:
            continue  # more than 32 series ago
        by_key.setdefault(key, []).append(rows[rows[:, D_SERIAL] == serial])
        states[key] = state_of(views, serial)[0]
    knots = KNOTS // max(len(by_key), 1)
    return tuple(_stretch(key, np.concatenate(parts), states[key], knots) for key, parts in by_key.items())


def _frame_rows(views: Views) -> Rows:
    """(n, SLOT_WORDS) descriptors of the blocks of frames that can be read, in their order."""
    head, tail = int(views.header[H_HEAD]), int(views.header[H_TAIL])
    numbers = np.arange(tail, head)
    rows = views.slots[numbers % views.layout.slots].view(np.int64)
    numbers_there = rows[:, D_STAMP] - 1
    # The writer moves TAIL before it uses a slot again.
    whole = (numbers_there == numbers) & (numbers >= int(views.header[H_TAIL]))
    found: Rows = rows[whole & (rows[:, D_KIND] == K_FRAMES) & (rows[:, D_COUNT] > 0)]
    return found


def _stretch(key: SeriesKey, rows: Rows, state: str, most: int) -> Stretch:
    ends = rows[:, D_FIRST] + rows[:, D_COUNT]
    in_order = rows[rows[:, D_FLAGS] & F_LATE == 0]
    in_order = in_order if len(in_order) else rows
    ahead = np.maximum.accumulate(in_order[:, D_FIRST])
    in_order = in_order[np.concatenate([[True], np.diff(ahead) > 0])]
    places = np.unique(np.linspace(0, len(in_order) - 1, min(most, len(in_order))).astype(int))
    knots = in_order[places][:, [D_ARRIVAL, D_FIRST]]
    count = int(rows[:, D_COUNT].sum())
    return Stretch(key, int(rows[:, D_FIRST].min()), int(ends.max()), count, state, knots)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A frame of the ring: valid as long as `RingHistory.is_whole` says so of its block."""

    block: Block
    place: int
    """Which of the block's frames."""

    @property
    def index(self) -> int:
        """Its number in the series."""
        return self.block.first + self.place


class RingHistory:
    """Frames of the ring by their numbers.

    Parameters
    ----------
    port : HistoryPort
        Of the ring's owner. Raises RingError where that ring is gone.
    """

    def __init__(self, port: HistoryPort) -> None:
        from .ring_protocol import read_slot, still_readable

        self._read_slot, self._still_readable = read_slot, still_readable
        self._segment, self._views = attach_views(port.segment, port.layout)
        self._slot: Words = np.zeros(SLOT_WORDS, np.uint64)
        self._series: dict[int, Series] = {}

    def find(self, key: SeriesKey, index: int, toward: int = 0) -> Found | None:
        """The frame of this number; where it is not there the nearest one before (``toward`` < 0) or behind
        it (> 0), or None."""
        for _ in range(2):  # the writer may take the block between a look at the table and one at the block
            rows = self._rows_of(key)
            row, wanted = _row_of(rows, index, toward)
            if row is None:
                return None
            if (block := self._block(int(row[D_STAMP]) - 1)) is not None:
                return Found(block, wanted - block.first)
        return None

    def blocks(self, key: SeriesKey, first: int, stop: int) -> Iterator[Block]:
        """Blocks with frames ``first`` to ``stop - 1``, in the order of their numbers; those that the writer
        takes before their turn are left out. To be used, then asked of: `is_whole`."""
        rows = self._rows_of(key)
        rows = rows[(rows[:, D_FIRST] < stop) & (rows[:, D_FIRST] + rows[:, D_COUNT] > first)]
        for row in rows[np.argsort(rows[:, D_FIRST], kind="stable")]:
            if (block := self._block(int(row[D_STAMP]) - 1)) is not None:
                yield block

    def is_whole(self, block: Block) -> bool:
        """After a block was used: whether all that was read of it is right."""
        return bool(self._still_readable(self._views.header, block.seq))

    def stretch(self, key: SeriesKey) -> Stretch | None:
        """What there is of a series."""
        return next((each for each in stretches(self._views) if each.key == key), None)

    def series(self, key: SeriesKey) -> Series | None:
        """What its sender announced; None where nothing of it is there."""
        serials = np.unique(_frame_rows(self._views)[:, D_SERIAL])[::-1].tolist()
        return next((self._series_of(serial) for serial in serials if self._is(key, serial)), None)

    def close(self) -> None:
        """Let go of the ring."""
        del self._views
        self._segment.close()

    def _rows_of(self, key: SeriesKey) -> Rows:
        rows = _frame_rows(self._views)
        serials = [s for s in np.unique(rows[:, D_SERIAL]).tolist() if self._is(key, s)]
        return rows[np.isin(rows[:, D_SERIAL], serials)]

    def _is(self, key: SeriesKey, serial: int) -> bool:
        series = self._series_of(serial)
        return series is not None and series.key == key

    def _series_of(self, serial: int) -> Series | None:
        if serial not in self._series:
            try:
                found = series_of(self._views, serial)
            except RingError:
                return None
            self._series = {s: kept for s, kept in self._series.items() if s > serial - STRETCHES}
            self._series[serial] = found
        return self._series[serial]

    def _block(self, seq: int) -> Block | None:
        from .ring_protocol import READABLE

        if self._read_slot(self._views.header, self._views.slots, seq, self._slot) != READABLE:
            return None
        slot: list[int] = self._slot.tolist()
        series = self._series_of(slot[D_SERIAL])
        return None if series is None else block_of(self._views, seq, slot, series)


def _row_of(rows: Rows, index: int, toward: int) -> tuple[Rows | None, int]:
    """The descriptor of the block with a frame, and the number of that frame."""
    firsts, stops = rows[:, D_FIRST], rows[:, D_FIRST] + rows[:, D_COUNT]
    (there,) = np.nonzero((firsts <= index) & (index < stops))
    if len(there):
        return rows[there[-1]], index
    (before,) = np.nonzero(stops <= index)
    (behind,) = np.nonzero(firsts > index)
    if toward < 0 and len(before):
        nearest = before[np.argmax(stops[before])]
        return rows[nearest], int(stops[nearest]) - 1
    if toward > 0 and len(behind):
        nearest = behind[np.argmin(firsts[behind])]
        return rows[nearest], int(firsts[nearest])
    return None, index


def arrival_of(stretch: Stretch, index: int) -> int:
    """When a frame came, ns: between the knots of its stretch."""
    times, numbers = stretch.knots[:, 0], stretch.knots[:, 1]
    begin = int(times[0])
    return begin + round(float(np.interp(index, numbers, times - begin)))
