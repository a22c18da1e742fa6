"""Keeps the past: the last seconds of a series, from what the ring still holds, in a file of their own.

Block by block, so that live ones go on in between. The writer may take a block away while it is read: it is
copied first, and kept only if it stayed whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ring_reader import Lease, RingReader
from ..series import Block, Series
from .keeper import Keeper
from .recorder import RecorderOptions

SUFFIX = "_kept"
LOOKS = 64
"""Blocks that are passed over in one step, at most."""


class Past:
    """At most one stretch of the past that is being written; true while it is."""

    def __init__(self, options: RecorderOptions) -> None:
        self._keeper = Keeper(options)
        self._blocks = range(0)
        self._status: dict[str, Any] | None = None
        self._serial = -1
        self._since_ns = 0

    def __bool__(self) -> bool:
        return self._keeper.file is not None

    def status(self) -> dict[str, Any] | None:
        """Of the last stretch: ``file``, ``frames``, ``done``, ``error``; None before the first."""
        if self._status is not None and (trouble := self._keeper.trouble) is not None:
            self._status = {**self._status, "error": trouble}
        return self._status

    def begin(self, reader: RingReader, series: Series, serial: int, stop: int, seconds: float) -> str | None:
        """Begin with the blocks below ``stop`` that arrived so long before the newest; an error, or None."""
        blocks = reader.history_of(serial, stop)
        newest = self._newest(reader, blocks, serial)
        if newest is None:
            return "the ring holds no frames that are not in a file already"
        self._blocks, self._serial = blocks, serial
        self._since_ns = newest - int(seconds * 1e9)
        if not self._keeper.begin(series, SUFFIX) or self._keeper.file is None:
            return self._keeper.error
        self._status = {"file": str(self._keeper.file.path), "frames": 0, "done": False, "error": None}
        return None

    def end_before(self, stop: int) -> None:
        """Leave out blocks from ``stop`` on: another file begins to hold them."""
        self._blocks = range(self._blocks.start, min(self._blocks.stop, stop))

    def _newest(self, reader: RingReader, blocks: range, serial: int) -> int | None:
        """When the newest of these blocks arrived: now, for a series that is coming in."""
        for seq in reversed(blocks):
            if (lease := reader.history(seq)) is not None:
                arrival, here = lease.block.arrival_ns, lease.serial == serial
                lease.release()
                if here:
                    return arrival
        return None

    def step(self, reader: RingReader) -> None:
        """Write one block, or end."""
        for _ in range(LOOKS):
            if not self._blocks:
                return self._end("complete")
            seq, self._blocks = self._blocks[0], self._blocks[1:]
            lease = reader.history(seq)
            if lease is not None and (block := self._copy(lease)) is not None:
                return self._write(block)
        return None

    def _copy(self, lease: Lease) -> Block | None:
        """The block in memory of our own, if it is wanted and stayed whole."""
        block = lease.block
        if lease.serial != self._serial or block.arrival_ns < self._since_ns:
            lease.release()
            return None
        own = replace(
            block,
            payload=block.payload.copy(),
            sizes=None if block.sizes is None else block.sizes.copy(),
            positions=None if block.positions is None else block.positions.copy(),
        )
        return own if lease.release() else None

    def _write(self, block: Block) -> None:
        if self._keeper.write(block) and self._keeper.flush_due():
            self._keeper.flush()
        self._note()

    def _end(self, state: str) -> None:
        self._keeper.end({"state": state, "reason": "the last seconds of a series, kept on request"})
        self._note()

    def stop(self) -> None:
        """Leave out what is not yet written."""
        if self:
            self._end("incomplete")
        self._keeper.shut()

    def _note(self) -> None:
        if self._status is not None:
            file = self._keeper.file
            frames = self._status["frames"] if file is None else file.frames
            self._status = {
                **self._status,
                "frames": frames,
                "done": file is None,
                "error": self._keeper.error,
            }
