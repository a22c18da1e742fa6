"""From trains to series: which array holds the frames, which frame is which, where a series begins and ends.

Karabo knows trains, numbered by a clock of the facility, and no series. Nothing here knows sockets or parts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...announcement import read_series
from ...karabo_wire import Array, SourceData, Train
from ...messages import End, FrameBatch, Limits, Message, Reason, Rejected, Start
from ...series import DTYPES, MAX_DIM, Scan, Series, SeriesKey
from ...wire_fields import Refusal, integer, refuse

MARK = "livem"
"""In a source's metadata: series and index as a livem sender knows them, a map as in livem/1."""
POSITIONS = "image.positions"
"""(n, 2) float32 (y, x), where the scan is one of explicit positions."""
EPOCH_BYTES = 8
FARTHEST = 1 << 20
"""Frames that a train may be ahead of the last one; further ahead it begins another series."""
LATE = 64
"""Trains that one may come behind its place, as over two routes; further behind, numbers have begun anew."""
WIDENED = {"bool": "uint8", "int8": "int16", "float16": "float32"}
"""dtypes that frames may come in and the ring does not know, and what holds all their values."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the user says about trains."""

    source: str = ""
    """Empty: the first that has frames."""
    path: str = ""
    """Empty: the first array of 2 or 3 dimensions."""
    scan: Scan | None = None
    count: int | None = None
    """Frames of a series; None = until shape or type change."""
    by_arrival: bool = False
    """Number the trains as they come: only where none can be lost."""


@dataclass(slots=True)
class _Run:
    """A series of a server that knows none."""

    series: Series
    first_tid: int
    per_train: int
    last_tid: int
    """The highest so far."""
    ended: bool = False
    seen: int = 0
    """Bit k: train last_tid - k has come."""

    @property
    def source(self) -> str:
        return str(self.series.meta.get("detector", ""))

    @property
    def path(self) -> str:
        return str(self.series.meta.get("path", ""))

    def index(self, tid: int) -> int:
        return (tid - self.first_tid) * self.per_train

    def came(self, tid: int) -> None:
        """A train of this series has come."""
        ahead = max(0, tid - self.last_tid)
        self.seen = self.seen << ahead & ((1 << LATE) - 1) if ahead < LATE else 0
        self.last_tid += ahead
        self.seen |= 1 << (self.last_tid - tid)

    def awaits(self, tid: int) -> bool:
        """Whether this train may be one of the series that others have overtaken, or the last one again.

        Another that comes twice is none: a server that begins anew repeats its numbers.
        """
        behind = self.last_tid - tid
        late = 0 < behind < LATE and tid >= self.first_tid and not self.seen >> behind & 1
        return late or behind == 0


class TrainReader:
    """Turns trains into messages, in their order of arrival."""

    def __init__(self, reading: Reading, limits: Limits) -> None:
        self._reading, self._limits = reading, limits
        self._place = (reading.source, reading.path)
        self._epoch, self._number = os.urandom(EPOCH_BYTES), 0
        self._arrivals = -1
        self._run: _Run | None = None
        self._before: _Run | None = None
        self._marked: Series | None = None
        """The last series that a livem sender announced."""
        self._marked_before: Series | None = None
        """The one before it: its last trains may come behind the first ones of the next."""

    def resume(self, series: Series) -> None:
        """Go on with a series that a former process of this source left open."""
        meta = series.meta
        first, per_train = meta.get("first_train"), meta.get("frames_per_train")
        if type(first) is not int or type(per_train) is not int:
            self._marked = series
        elif not self._reading.by_arrival:
            self._epoch, self._number = series.key.epoch, series.key.number
            self._run = _Run(series, first, per_train, first)
            self._place = (str(meta.get("detector", "")), str(meta.get("path", "")))

    def read(self, train: Train) -> list[Message]:
        """What a train means: its frames, before them perhaps a start, behind them perhaps an end."""
        self._arrivals += 1
        marked = self._marked_in(train)
        before: list[Message] = []
        try:
            if marked is not None:
                before = self._announced(marked.metadata[MARK])
            if train.fault is not None:
                raise train.fault
            if marked is not None:
                return before + self._read_marked(marked)
            source, path, array = self._frames_in(train)
            return self._read_plain(train.sources[source], source, path, array)
        except Refusal as refusal:
            data = marked or next(iter(train.sources.values()), None)
            return [*before, self._rejected(refusal, data)]

    # -- which array ---------------------------------------------------------------------------------

    def _marked_in(self, train: Train) -> SourceData | None:
        """The source that is a livem sender, if one is and it is not another that was asked for."""
        for source, data in train.sources.items():
            if self._reading.source in ("", source) and type(data.metadata.get(MARK)) is dict:
                return data
        return None

    def _frames_in(self, train: Train) -> tuple[str, str, Array]:
        """Source, path and array of the frames."""
        wanted_source, wanted_path = self._late_place(train) or self._place
        for source, data in train.sources.items():
            if wanted_source and source != wanted_source:
                continue
            for path, array in data.arrays.items():
                if path == wanted_path or (not wanted_path and array.ndim in (2, 3)):
                    return source, path, array
        raise Refusal(Reason.BAD_PARTS, f"no frames in the train; {_inventory(train)}")

    def _late_place(self, train: Train) -> tuple[str, str] | None:
        """Where the frames of a series that has ended lie, if this train is one of its late ones."""
        for run in (self._run, self._before):
            if run is None or not run.ended or self._reading.by_arrival:
                continue
            data = train.sources.get(run.source)
            if data is not None and data.tid is not None and run.awaits(data.tid) and run.path in data.arrays:
                return run.source, run.path
        return None

    # -- servers that know no series -----------------------------------------------------------------

    def _read_plain(self, data: SourceData, source: str, path: str, array: Array) -> list[Message]:
        frames = _as_frames(array, path, self._limits)
        tid = self._tid(data)
        messages: list[Message] = []
        run = self._overtaken(tid, frames) or self._run
        if run is None or self._is_another(run, tid, frames):
            messages += self._end_of(run, frames)
            self._before = self._run
            run = self._run = self._begin(run, tid, frames, (source, path))
            messages.append(Start(run.series))
        run.came(tid)
        return messages + self._batch(run, run.index(tid), frames, data.time_ns)

    def _tid(self, data: SourceData) -> int:
        if self._reading.by_arrival:
            return self._arrivals
        if data.tid is None:
            raise Refusal(
                Reason.BAD_INDEX,
                "a train without 'timestamp.tid': the place of its frames cannot be known; where no train "
                "can be lost, add index=arrival to the address to number them as they come",
            )
        return data.tid

    def _overtaken(self, tid: int, frames: Array | None = None) -> _Run | None:
        """The series, of the last two, in which this train is late."""
        for run in (self._run, self._before):
            if run is not None and run.awaits(tid) and (frames is None or _fits(run, frames)):
                return run
        return None

    def _is_another(self, run: _Run, tid: int, frames: Array) -> bool:
        """Whether a train belongs to another series than the last one."""
        if run.awaits(tid) and _fits(run, frames):
            return False
        count = run.series.count
        return (
            run.ended
            or not _fits(run, frames)
            or tid < run.last_tid
            or (tid - run.last_tid) * run.per_train > FARTHEST
            or (count is not None and run.index(tid) >= count)
        )

    @staticmethod
    def _end_of(run: _Run | None, frames: Array) -> list[Message]:
        """The end of the series before: said only where it is over for certain."""
        if run is None or run.ended or _fits(run, frames):
            return []
        return [End(run.series.key, None)]

    def _begin(self, before: _Run | None, tid: int, frames: Array, place: tuple[str, str]) -> _Run:
        if before is not None and tid < before.last_tid:
            self._epoch, self._number = os.urandom(EPOCH_BYTES), 0
        self._number += 1
        self._place = place
        per_train, height, width = frames.shape
        series = Series(
            key=SeriesKey(self._epoch, self._number),
            shape=(height, width),
            dtype=frames.dtype.name,
            count=self._reading.count,
            scan=self._reading.scan,
            meta={"detector": place[0], "path": place[1], "first_train": tid, "frames_per_train": per_train},
        )
        return _Run(series, tid, per_train, tid)

    def _batch(self, run: _Run, first: int, frames: Array, time_ns: int | None) -> list[Message]:
        count = run.series.count
        if count is not None:
            frames = frames[: count - first]
        messages: list[Message] = [_frame_batch(run.series, first, frames, time_ns, None)]
        if count is not None and first + len(frames) >= count and not run.ended:
            run.ended = True
            self._place = (self._reading.source, self._reading.path)
            messages.append(End(run.series.key, count))
        return messages

    # -- livem as the server -------------------------------------------------------------------------

    def _announced(self, mark: dict[str, Any]) -> list[Message]:
        """The start of a series that is new, also where this train's frames cannot be used."""
        key = _marked_key(mark)
        if "end" in mark or self._marked_of(key) is not None:
            return []
        series = read_series(mark, key, self._limits)
        self._marked_before, self._marked = self._marked, series
        return [Start(series)]

    def _marked_of(self, key: SeriesKey) -> Series | None:
        """The series of this key, if it is one of the last two that were announced."""
        return next((s for s in (self._marked, self._marked_before) if s is not None and s.key == key), None)

    def _read_marked(self, data: SourceData) -> list[Message]:
        mark: dict[str, Any] = data.metadata[MARK]
        if "end" in mark:
            return [End(_marked_key(mark), integer(mark, "end", 0, Reason.BAD_COUNT))]
        series = self._marked_of(_marked_key(mark))
        assert series is not None
        first, count = _marked_range(mark)
        path = self._reading.path or "image.data"
        frames = _as_frames(_named(data, path), path, self._limits)
        if frames.shape[1:] != series.shape or frames.dtype != series.numpy_dtype:
            wanted = f"{series.shape} {series.dtype}, as announced"
            refuse(Reason.BAD_SHAPE, "a frame", f"{frames.shape[1:]} {frames.dtype}", wanted)
        if len(frames) != count:
            refuse(Reason.BAD_COUNT, "the number of frames", len(frames), f"{count}, as the train says")
        positions = _as_positions(data.arrays.get(POSITIONS))
        return [_frame_batch(series, first, frames, data.time_ns, positions)]

    # -- what cannot be used -------------------------------------------------------------------------

    def _rejected(self, refusal: Refusal, data: SourceData | None) -> Rejected:
        """Name the frames concerned, as far as the train says which they were."""
        unknown = Rejected(refusal.reason, refusal.detail)
        if data is None:
            return unknown
        mark = data.metadata.get(MARK)
        if type(mark) is dict:
            return _rejected_mark(unknown, mark)
        run = self._run if data.tid is None else self._overtaken(data.tid) or self._run
        if run is None or data.tid is None or not (run.awaits(data.tid) or _goes_on(run, data.tid)):
            return unknown
        return Rejected(unknown.reason, unknown.detail, run.series.key, run.index(data.tid), run.per_train)


def _goes_on(run: _Run, tid: int) -> bool:
    return not run.ended and tid > run.last_tid


def _fits(run: _Run, frames: Array) -> bool:
    """A train with fewer frames than the first leaves a gap; one with more cannot be numbered."""
    series = run.series
    return (
        frames.shape[1:] == series.shape
        and frames.dtype == series.numpy_dtype
        and len(frames) <= run.per_train
    )


def _as_frames(array: Array, path: str, limits: Limits) -> Array:
    """(n, h, w) in a dtype of the ring, every value unchanged."""
    if array.ndim == 3 and len(array) > limits.max_batch_frames:
        wanted = f"<= {limits.max_batch_frames:,}"
        refuse(Reason.BAD_COUNT, f"the number of frames in {path!r}", len(array), wanted)
    if array.ndim not in (2, 3) or max(array.shape[-2:]) > MAX_DIM:
        wanted = f"(h, w) or (n, h, w) with sides up to {MAX_DIM}"
        refuse(Reason.BAD_SHAPE, f"the shape of {path!r}", array.shape, wanted)
    name = WIDENED.get(array.dtype.name, array.dtype.name)
    if name not in DTYPES:
        refuse(Reason.BAD_DTYPE, f"the dtype of {path!r}", name, f"one of {', '.join(DTYPES)}")
    return array.reshape(-1, *array.shape[-2:]).astype(DTYPES[name], copy=False)


def _frame_batch(
    series: Series, first: int, frames: Array, time_ns: int | None, positions: Array | None
) -> FrameBatch:
    payload = np.ascontiguousarray(frames).reshape(-1).view(np.uint8)
    payload.flags.writeable = False
    return FrameBatch(series.key, first, len(frames), time_ns, None, payload, positions)


def _as_positions(array: Array | None) -> Array | None:
    """Whether they fit the frames is seen with those of every other source (messages.check)."""
    if array is None or array.dtype == np.dtype("<f4"):
        return array
    refuse(Reason.BAD_POSITIONS, f"the dtype of {POSITIONS!r}", array.dtype.name, "float32")


def _named(data: SourceData, path: str) -> Array:
    if path not in data.arrays:
        refuse(Reason.BAD_PARTS, "the path of the frames", path, f"one of {', '.join(data.arrays) or 'none'}")
    return data.arrays[path]


def _marked_key(mark: dict[str, Any]) -> SeriesKey:
    epoch = mark.get("epoch")
    if type(epoch) is not bytes or len(epoch) != EPOCH_BYTES:
        refuse(Reason.BAD_EPOCH, "'epoch'", epoch, f"{EPOCH_BYTES} bytes (msgpack bin)")
    return SeriesKey(epoch, integer(mark, "series", 0, Reason.BAD_SERIES))


def _rejected_mark(unknown: Rejected, mark: dict[str, Any]) -> Rejected:
    try:
        key = _marked_key(mark)
        first, count = _marked_range(mark)
    except Refusal:
        return unknown  # the first refusal is the one to report
    return Rejected(unknown.reason, unknown.detail, key, first, count)


def _marked_range(mark: dict[str, Any]) -> tuple[int, int]:
    first = integer(mark, "index", 0, Reason.BAD_INDEX)
    return first, integer(mark, "frames", 1, Reason.BAD_COUNT, FARTHEST + 1)


def _inventory(train: Train) -> str:
    """What is in a train, for whoever has to choose."""
    things = [
        f"{source}/{path} {array.shape} {array.dtype}"
        for source, data in train.sources.items()
        for path, array in data.arrays.items()
    ]
    listed = ", ".join(things[:8]) + (", ..." if len(things) > 8 else "")
    return f"choose with source= and path= among: {listed or 'no arrays at all'}"
