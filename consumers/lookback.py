"""What a consumer has to see again after a change: blocks that the ring still holds, then recorded frames.

In small steps, so that live frames come in between. Knows no consumer and no supervisor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from ..errors import SourceError
from ..stream.files.recordings import Recording, open_recording
from ..stream.ring_reader import Lease, RingReader
from ..stream.series import Block, Series
from ..stream.sources.replay.frame_reader import Damage
from .recorded import blocks_of

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

    def begin(self, numbers: range, series: Series, recordings: Sequence[str] = ()) -> None:
        """Block ``numbers`` of the ring, and what the files hold of the series beside them."""
        self._numbers, self._recorded, self.alarm = numbers, iter(()), ""
        self._next.clear()
        self._files, self._series, self._before = list(recordings), series, -1

    def clear(self) -> None:
        self._numbers, self._recorded, self._files = range(0), iter(()), []
        self._next.clear()

    def __bool__(self) -> bool:
        return bool(self._numbers) or self._look_ahead()

    def lease(self, reader: RingReader) -> Lease | None:
        """The next block of the ring that is still there; None when there are no more."""
        while self._numbers:
            number, self._numbers = self._numbers[0], self._numbers[1:]
            lease = reader.history(number)
            if lease is None:
                continue
            if lease.block.series.key == self._series.key:
                if self._before < 0:
                    self._before = lease.block.first
                return lease
            lease.release()
        return None

    def block(self) -> Block | None:
        """The next recorded frames; None when there are no more."""
        return self._next.pop() if self._look_ahead() else None

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
