"""What a consumer has to see again after a change: blocks that the ring still holds, then recorded frames.

In small steps, so that live frames come in between. Knows no consumer and no supervisor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import SourceError
from ...stream.ring_reader import Lease, RingReader
from ...stream.series import Block, Series
from ...stream.sources.replay.frame_reader import Damage
from ..frame_set import FrameSet
from .recorded import blocks_of

if TYPE_CHECKING:
    from ...stream.files.recordings import Recording

READ_BYTES = 1 << 20
"""Of a recording at once: about 100 compressed frames of 256 x 256, a few ms of work."""


class Lookback:
    """Blocks of one series, each once; empty until ``begin``."""

    def __init__(self) -> None:
        self._numbers = range(0)
        self._files: list[str] = []
        self._recorded: Iterator[Block] = iter(())
        self._next: deque[Block] = deque(maxlen=1)
        self.alarm = ""
        """Why recorded frames cannot be had."""
        self.lost = False
        """Whether the ring no longer has all that it had of the series."""
        self._before, self._first = -1, -1
        self._missed = False
        """Whether it is not known up to which frame the ring has lost some."""
        self._given: list[tuple[int, int]] = []

    def begin(self, numbers: range, series: Series, recordings: Sequence[str] = ()) -> None:
        """Block ``numbers`` of the ring, and what the files hold of the series beside them."""
        self._numbers, self._recorded, self.alarm = numbers, iter(()), ""
        self._next.clear()
        self._files, self._series, self._before = list(recordings), series, -1
        self._first, self._missed, self.lost, self._given = numbers.start, True, not numbers, []

    def add_files(self, recordings: Sequence[str]) -> None:
        """More files that may hold frames of the series."""
        self._files += recordings

    def miss(self, block: Block) -> None:
        """A block of the ring was overwritten while it was read: files have to give its frames."""
        self.lost = True
        first, stop = self._given.pop()
        if first < block.first:
            self._given.append((first, block.first))
        self._before = max(self._before, stop)

    def lacking(self) -> tuple[int, int]:
        """Frames that neither ring nor files gave, of how many first ones; (0, 0) the next time."""
        if not self.lost or self:
            return 0, 0
        seen, self.lost = FrameSet(), False
        for first, stop in self._given:
            seen.add(np.arange(first, max(first, min(stop, self._before))))
        return max(0, self._before - len(seen)), self._before

    def clear(self) -> None:
        self._numbers, self._recorded, self._files = range(0), iter(()), []
        self._next.clear()
        self.lost = False

    def __bool__(self) -> bool:
        return bool(self._numbers) or self._look_ahead()

    def lease(self, reader: RingReader) -> Lease | None:
        """The next block of the ring that is still there; None when there are no more."""
        while self._numbers:
            number, self._numbers = self._numbers[0], self._numbers[1:]
            lease = reader.history(number)
            if lease is None:
                self._note_gone(number < reader.tail)
                continue
            self.lost = self.lost or number == self._first  # else the series' mark is the first of it
            if lease.block.series.key == self._series.key:
                self._note_there(lease.block)
                return lease
            lease.release()
        return None

    def _note_gone(self, gone: bool) -> None:
        """No frames at a place of the ring: it was used again, or holds a mark."""
        self.lost, self._missed = self.lost or gone, self._missed or gone

    def _note_there(self, block: Block) -> None:
        """Frames that the ring still has. Late ones do not say which frames came before them."""
        self._note_given(block)
        if self._missed and not block.late:
            self._before, self._missed = max(self._before, block.first), False

    def _note_given(self, block: Block) -> None:
        first, stop = block.first, block.first + block.count
        if self._given and self._given[-1][1] == first:
            first = self._given.pop()[0]
        self._given.append((first, stop))

    def block(self) -> Block | None:
        """The next recorded frames; None when there are no more."""
        if not self._look_ahead():
            return None
        block = self._next.pop()
        self._note_given(block)
        return block

    def _look_ahead(self) -> bool:
        """Whether there are recorded frames: only reading on tells."""
        while not self._next:
            block = next(self._recorded, None)
            if block is not None:
                self._next.append(block)
            elif not self._open_next():
                return False
        return True

    def _open_next(self) -> bool:
        if self._numbers or not self._files:
            return False  # the ring tells first from which frame on it has everything
        from ...stream.files.recordings import open_recording  # HDF5: 0.1 s, and few sessions get here

        path, self._files = self._files[0], self._files[1:]
        try:
            recording = open_recording(path)
        except SourceError as error:
            self.alarm = f"what was measured before cannot be looked at again: {error}"
            return True
        self._recorded = _blocks(recording, self._series, self._before)
        return True


def _blocks(recording: Recording, series: Series, before: int) -> Iterator[Block]:
    """The frames of a series that a recording holds, up to the frame ``before`` (negative: all)."""
    with closing(recording):
        if recording.series.key != series.key:
            return
        stop = recording.rows if before < 0 else min(before, recording.rows)
        alike = replace(series, encoding=recording.encoding)
        for block in blocks_of(recording, alike, stop, READ_BYTES):
            if not isinstance(block, Damage):
                yield block


def recordings_in(command: Mapping[str, Any]) -> list[str]:
    """Files that may hold frames of the open series."""
    return [str(path) for path in command.get("recordings", ())]
