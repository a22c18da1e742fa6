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
    D_KIND,
    D_SERIAL,
    D_STAMP,
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

Numbers = npt.NDArray[np.int64]


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
    knots: Numbers
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
    blocks = _blocks(views)
    by_key: dict[SeriesKey, list[int]] = {}
    states: dict[SeriesKey, str] = {}
    for serial in blocks.serials[-STRETCHES:]:
        try:
            key = series_of(views, serial).key
        except RingError:
            continue  # more than 32 series ago
        by_key.setdefault(key, []).append(serial)
        states[key] = state_of(views, serial)[0]
    knots = KNOTS // max(len(by_key), 1)
    return tuple(_stretch(key, blocks.of(parts), states[key], knots) for key, parts in by_key.items())


@dataclass(frozen=True, slots=True, eq=False)
class _Blocks:
    """Descriptors of blocks of frames that can be read, in their order; all (n,)."""

    seq: Numbers
    serial: Numbers
    first: Numbers
    count: Numbers
    arrival: Numbers

    @property
    def serials(self) -> list[int]:
        """Of their series, each once, increasing."""
        found: list[int] = np.unique(self.serial).tolist()
        return found

    @property
    def stop(self) -> Numbers:
        """One more than the last frame of each."""
        return self.first + self.count

    def where(self, chosen: npt.NDArray[np.bool_]) -> _Blocks:
        """Some of them."""
        columns = (self.seq, self.serial, self.first, self.count, self.arrival)
        return _Blocks(*(column[chosen] for column in columns))

    def of(self, serials: list[int]) -> _Blocks:
        """Those of a series."""
        return self.where(np.isin(self.serial, serials))


def _blocks(views: Views) -> _Blocks:
    head, tail = int(views.header[H_HEAD]), int(views.header[H_TAIL])
    numbers = np.arange(tail, head)
    words, slots = views.slots.view(np.int64), numbers % views.layout.slots
    seq, kind = words[:, D_STAMP][slots] - 1, words[:, D_KIND][slots]
    found = _Blocks(seq, *(words[:, word][slots] for word in (D_SERIAL, D_FIRST, D_COUNT, D_ARRIVAL)))
    # The writer moves TAIL before it uses a slot again.
    whole = (seq == numbers) & (numbers >= int(views.header[H_TAIL]))
    return found.where(whole & (kind == K_FRAMES) & (found.count > 0))


def _stretch(key: SeriesKey, blocks: _Blocks, state: str, most: int) -> Stretch:
    ahead = np.maximum.accumulate(blocks.first)
    (places,) = np.nonzero(np.concatenate([[True], np.diff(ahead) > 0]))
    places = places[np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).astype(int))]
    knots = np.stack([blocks.arrival[places], blocks.first[places]], axis=1)
    first, stop, frames = (int(n) for n in (blocks.first.min(), blocks.stop.max(), blocks.count.sum()))
    return Stretch(key, first, stop, frames, state, knots)


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
            seq, wanted = _place_of(self._blocks_of(key), index, toward)
            if seq is None:
                return None
            if (block := self._block(seq)) is not None:
                return Found(block, wanted - block.first)
        return None

    def blocks(self, key: SeriesKey, first: int, stop: int) -> Iterator[Block]:
        """Blocks with frames ``first`` to ``stop - 1``, in the order of their numbers; those that the writer
        takes before their turn are left out. To be used, then asked of: `is_whole`."""
        blocks = self._blocks_of(key)
        blocks = blocks.where((blocks.first < stop) & (blocks.stop > first))
        for seq in blocks.seq[np.argsort(blocks.first, kind="stable")].tolist():
            if (block := self._block(seq)) is not None:
                yield block

    def is_whole(self, block: Block) -> bool:
        """After a block was used: whether all that was read of it is right."""
        return bool(self._still_readable(self._views.header, block.seq))

    def stretch(self, key: SeriesKey) -> Stretch | None:
        """What there is of a series."""
        return next((each for each in stretches(self._views) if each.key == key), None)

    def series(self, key: SeriesKey) -> Series | None:
        """What its sender announced; None where nothing of it is there."""
        serials = reversed(_blocks(self._views).serials)
        return next((self._series_of(serial) for serial in serials if self._is(key, serial)), None)

    def close(self) -> None:
        """Let go of the ring."""
        del self._views
        self._segment.close()

    def _blocks_of(self, key: SeriesKey) -> _Blocks:
        blocks = _blocks(self._views)
        return blocks.of([serial for serial in blocks.serials if self._is(key, serial)])

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


def _place_of(blocks: _Blocks, index: int, toward: int) -> tuple[int | None, int]:
    """Number of the block with a frame, and the number of that frame."""
    (there,) = np.nonzero((blocks.first <= index) & (index < blocks.stop))
    if len(there):
        return int(blocks.seq[there[-1]]), index
    (before,) = np.nonzero(blocks.stop <= index)
    (behind,) = np.nonzero(blocks.first > index)
    if toward < 0 and len(before):
        nearest = before[np.argmax(blocks.stop[before])]
        return int(blocks.seq[nearest]), int(blocks.stop[nearest]) - 1
    if toward > 0 and len(behind):
        nearest = behind[np.argmin(blocks.first[behind])]
        return int(blocks.seq[nearest]), int(blocks.first[nearest])
    return None, index


def arrival_of(stretch: Stretch, index: int) -> int:
    """When a frame came, ns: between the knots of its stretch."""
    times, numbers = stretch.knots[:, 0], stretch.knots[:, 1]
    begin = int(times[0])
    return begin + round(float(np.interp(index, numbers, times - begin)))
