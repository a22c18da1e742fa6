"""Clips: frames a to b of a series in a file of their own, from what the ring holds or from a recording.

Block by block, so that questions are answered in between. Frames keep their numbers and their bytes; those
that are not there any more stay holes, and are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import LivemError
from ..files.open_file import open_file
from ..files.recordings import open_recording
from ..ring_history import RingHistory
from ..series import Block, Series
from ..sources.replay.frame_reader import FrameReader, Piece
from .export import export
from .keeper import Keeper
from .recorder import RecorderOptions

SUFFIX = "_clip"
FORMATS = ("h5", "tif", "npy", "zarr")
"""What a clip can be beside a recording; it always is one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames are to be kept, and as what."""

    series: Series
    first: int
    stop: int
    format: str = "h5"

    @property
    def fault(self) -> str | None:
        """What is wrong with it, in words."""
        if self.format not in FORMATS:
            return f"a clip cannot be {self.format!r}; it can be {', '.join(FORMATS)}"
        if not 0 <= self.first < self.stop:
            return f"a clip from frame {self.first} to {self.stop - 1} has no frames: set both marks anew"
        return None


class Clips:
    """At most one clip that is being written.

    Parameters
    ----------
    folder : str
        Where clips go; made when it is not there.
    history : RingHistory
        Of the session.
    recording : str
        FILE that the session plays, where it does: clips are cut from that then.
    """

    def __init__(self, folder: str, history: RingHistory, recording: str = "") -> None:
        self._keeper = Keeper(RecorderOptions(folder, ""))
        self._history, self._recording = history, recording
        self._wanted: Wanted | None = None
        self._blocks: Iterator[Block] = iter(())
        self._path = Path()
        self._status: dict[str, Any] | None = None
        self._exporter = ThreadPoolExecutor(1, "export")
        self._export: Future[str] | None = None

    def __bool__(self) -> bool:
        return self._wanted is not None

    def status(self) -> dict[str, Any] | None:
        """Of the last clip: ``file``, ``frames`` of ``wanted``, ``done``, ``error``, and where it is one in
        another format ``exported``; None before the first."""
        return self._status

    def begin(self, wanted: Wanted) -> str | None:
        """Begin with a clip; what is wrong, or None."""
        if self:
            return "a clip is being written already; wait for its end"
        if (fault := wanted.fault) is not None:
            return fault
        if not self._keeper.begin(wanted.series, SUFFIX) or self._keeper.file is None:
            return self._keeper.error
        self._wanted, self._path = wanted, self._keeper.file.path
        self._blocks = self._recorded(wanted) if self._recording else self._kept(wanted)
        self._status = {
            "file": str(self._path),
            "frames": 0,
            "wanted": wanted.stop - wanted.first,
            "done": False,
            "error": None,
            "exported": None,
        }
        return None

    def step(self) -> bool:
        """Write one block, or end; False when there is nothing to do now."""
        if self._wanted is None:
            return False
        if self._export is not None:
            return self._hear_export(self._export)
        try:
            block = next(self._blocks, None)
        except LivemError as error:
            self._end("incomplete", str(error))
            return True
        if block is None:
            self._end("complete", f"frames {self._wanted.first} to {self._wanted.stop - 1} of a series")
        elif self._keeper.write(block):
            if self._keeper.flush_due():
                self._keeper.flush()
            self._note(frames=self._keeper.file.frames if self._keeper.file is not None else 0)
        else:
            self._give_up(self._keeper.error)
        return True

    def close(self) -> None:
        """Leave out what is not yet written, and let the disk finish."""
        if self._wanted is not None and self._export is None:
            self._end("incomplete", "the session was stopped")
        self._exporter.shutdown(wait=True, cancel_futures=True)
        self._keeper.shut()

    def _kept(self, wanted: Wanted) -> Iterator[Block]:
        for block in self._history.blocks(wanted.series.key, wanted.first, wanted.stop):
            part = cut(block, wanted.first, wanted.stop)
            if self._history.is_whole(block):
                yield part

    def _recorded(self, wanted: Wanted) -> Iterator[Block]:
        acquisition = open_file(self._recording)
        reader = FrameReader(acquisition, min(wanted.stop, acquisition.count or 0))
        reader.seek(wanted.first)
        while parts := reader.read():
            for piece in parts:
                if isinstance(piece, Piece):
                    yield from _blocks_of(piece, wanted.series)

    def _end(self, state: str, reason: str) -> None:
        wanted, file = self._wanted, self._keeper.file
        frames = 0 if file is None else file.frames
        self._keeper.end({"state": state, "reason": reason})
        if self._keeper.error is not None or wanted is None:
            return self._give_up(self._keeper.error)
        self._note(frames=frames)
        if state != "complete":
            self._give_up(reason)
        elif not frames:
            self._give_up("none of its frames is there any more")
        elif wanted.format == "h5":
            self._finish()
        else:
            target = self._path.with_suffix(f".{wanted.format}")
            self._export = self._exporter.submit(_exported, self._path, target, wanted)

    def _hear_export(self, running: Future[str]) -> bool:
        if not running.done():
            return False
        self._export = None
        try:
            self._note(exported=running.result())
            self._finish()
        except LivemError as error:
            self._give_up(str(error))
        return True

    def _give_up(self, why: str | None) -> None:
        self._note(error=why or "stopped")
        self._finish()

    def _finish(self) -> None:
        self._note(done=True)
        self._wanted, self._blocks = None, iter(())

    def _note(self, **news: Any) -> None:
        if self._status is not None:
            self._status = {**self._status, **news}


def cut(block: Block, first: int, stop: int) -> Block:
    """Frames ``first`` to ``stop - 1`` of a block, as far as it has them, in memory of their own."""
    at, upto = max(0, first - block.first), min(block.count, stop - block.first)
    if block.sizes is None:
        each = block.payload.nbytes // max(block.count, 1)
        begin, end = at * each, upto * each
    else:
        begin, end = int(block.sizes[:at].sum()), int(block.sizes[:upto].sum())
    interval = round(float(block.series.meta.get("frame_time", 0)) * 1e9)
    return replace(
        block,
        first=block.first + at,
        count=upto - at,
        payload=block.payload[begin:end].copy(),
        sizes=None if block.sizes is None else block.sizes[at:upto].copy(),
        positions=None if block.positions is None else block.positions[at:upto].copy(),
        time_ns=None if block.time_ns is None else block.time_ns + at * interval,
        ordinal=block.ordinal + at,
    )


def _blocks_of(piece: Piece, series: Series) -> Iterator[Block]:
    """A piece of a recording; where it knows the time of each frame, frame by frame."""
    whole = Block(
        series, piece.first, piece.count, piece.payload, piece.sizes, piece.positions, None, 0, piece.first
    )
    if piece.times is None or piece.count == 1:
        yield whole if piece.times is None else _timed(whole, int(piece.times[0]))
        return
    for place, time_ns in enumerate(piece.times.tolist()):
        yield _timed(cut(whole, piece.first + place, piece.first + place + 1), time_ns)


def _timed(block: Block, time_ns: int) -> Block:
    return replace(block, time_ns=time_ns if time_ns > 0 else None)


def _exported(path: Path, target: Path, wanted: Wanted) -> str:
    with closing(open_recording(str(path))) as recording:
        rows = np.flatnonzero(recording.present(0, recording.count or 0))
        frames = int(rows[0]), int(rows[-1]) + 1
        return str(export(recording, target, frames=frames).path)
