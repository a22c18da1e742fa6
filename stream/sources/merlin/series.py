"""Which series a Merlin's frames belong to: the detector numbers frames from 1 and names no series at all.

Fed with acquisition headers and runs of frames; yields Start, FrameBatch, End and Rejected. Knows no bytes of
the wire.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...messages import PIXEL_MASK, End, Fault, FrameBatch, Message, Reason, Rejected, Start
from ...series import Series, SeriesKey
from .header import AcquisitionHeader, FrameHeader
from .pixels import PixelFormat

DISTRIBUTED = "distribute"
"""Gap fill mode in which the pixels of the gap hold counts of their neighbours, and belong to the picture."""
LATE_FIRST = 64
"""A first frame after so many others begins a new series; before, it may be late or a copy. A detector's own
frames are never out of order, those of a relay or of our fault injector may be."""
JOIN_S = 10.0
"""So soon after a connection is lost, frames that go on where the others ended are believed to be the same
acquisition's where clocks do not say otherwise."""
UNSURE_NS = 1_000_000_000
"""What a period that few frames have told may be wrong by, within those seconds."""
MOST_HELD = 8
"""Bad frames that wait for a good one to name their series."""


@dataclass(frozen=True, slots=True)
class _Ticks:
    """The detector's clock over one series: its first frame's and its last one's so far."""

    first: int
    first_ns: int
    last: int
    last_ns: int

    def error_ns(self, sequence: int, time_ns: int) -> float:
        """By how much a frame misses the time that it would have in this series, at its pace so far."""
        return abs(time_ns - self.last_ns - self.expected_ns(sequence))

    def expected_ns(self, sequence: int) -> float:
        """Time from the last frame to this one."""
        return (sequence - self.last) * self.elapsed_ns / (self.last - self.first)

    @property
    def elapsed_ns(self) -> int:
        return self.last_ns - self.first_ns


@dataclass(slots=True)
class _Running:
    """The series that frames belong to now."""

    key: SeriesKey
    shape: tuple[int, int]
    dtype: str
    count: int | None
    furthest: int = 0
    """Highest sequence number so far."""
    ended: bool = False
    ticks: _Ticks | None = None
    """None without a clock."""

    def tick(self, sequence: int, time_ns: int | None) -> None:
        """A frame's time on the detector's clock."""
        if time_ns is None:
            return
        if self.ticks is None:
            self.ticks = _Ticks(sequence, time_ns, sequence, time_ns)
        elif sequence > self.ticks.last:
            self.ticks = replace(self.ticks, last=sequence, last_ns=time_ns)

    def goes_on(self, sequence: int, time_ns: int | None, soon: bool) -> bool:
        """Whether a frame behind an interruption is still of this acquisition.

        One that was begun anew at the same pace misses the time by at least as long as this one had run:
        half of that parts them. ``soon``: the interruption was short.
        """
        ticks = self.ticks
        if self.ended:
            return False
        likely = soon and sequence >= self.furthest
        if ticks is None or time_ns is None or ticks.last == ticks.first:
            return likely
        error = ticks.error_ns(sequence, time_ns)
        near = max(UNSURE_NS, abs(ticks.expected_ns(sequence)) / 4)
        return 2 * error <= ticks.elapsed_ns or (likely and error <= near)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Consecutive frames that are read alike."""

    header: FrameHeader
    """Of the first of them, or of an earlier one of the same kind."""
    format: PixelFormat
    sequence: int
    """Of the first frame."""
    count: int
    unpack: Callable[[], npt.NDArray[np.uint8]]
    time_ns: Callable[[], int | None]
    last_time_ns: Callable[[], int | None]
    meta: Mapping[str, str] = field(default_factory=dict)
    """What the series' metadata say beside the headers."""
    fault: Fault | None = None
    """Why their pixels cannot be read, though their shape is known."""


class SeriesBook:
    """Names series, and tells where one begins and ends.

    Parameters
    ----------
    use_scan : bool
        Whether the acquisition header decides the scan.
    clock : Callable[[], float]
        Seconds, for the length of interruptions.
    """

    def __init__(self, use_scan: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._use_scan, self._clock = use_scan, clock
        self._epoch, self._number = os.urandom(8), 0
        self._announced: AcquisitionHeader | None = None
        self._last: AcquisitionHeader | None = None
        self._running: _Running | None = None
        self._fresh, self._interrupted_at = True, clock()
        self._held: list[tuple[Reason, str, int]] = []
        self.queue: deque[Message] = deque()
        self.note = ""
        """For the user: what is unusual about the running series."""

    def resume(self, series: Series) -> None:
        """Go on with a series of a former process."""
        self._epoch, self._number = series.key.epoch, series.key.number
        self._running = _Running(series.key, series.shape, series.dtype, series.count)
        self._fresh, self._interrupted_at = True, self._clock()

    def announce(self, header: AcquisitionHeader | None) -> None:
        """An acquisition header has come; None: one that says nothing."""
        self._let_go(None)
        self._end_running()
        self._announced = self._last = header
        self.note = "an acquisition is announced: waiting for its first frame"
        if header is None:
            self._running, self.note = None, "an acquisition header that says no number of frames was refused"

    def _end_running(self) -> None:
        running = self._running
        if running is not None and not running.ended:
            running.ended = True
            self.queue.append(End(running.key, None))

    def line_lost(self, orderly: bool) -> None:
        """The connection is gone. Of an acquisition without announced end nobody else can tell the end."""
        self._let_go(None)
        self._fresh, self._interrupted_at, self._announced = True, self._clock(), None
        if orderly and self._running is not None and self._running.count is None:
            self._end_running()

    def frames(self, run: Run) -> None:
        """Consecutive frames have come."""
        if self._begins(run):
            self._start(run)
        elif self._fresh:
            self._require_same(run)
        self._fresh = False
        running = self._running
        self._let_go(running)
        if running is None:
            detail = (
                f"frames of an acquisition that began before this connection, at frame {run.sequence - 1}"
            )
            self.note = "waiting for the next acquisition: the present one began before this connection"
            self.queue.append(Rejected(Reason.UNKNOWN_SERIES, detail, count=run.count))
        elif run.format.shape != running.shape or run.format.dtype != running.dtype:
            self._refuse(run, running)
        else:
            running.furthest = max(running.furthest, run.sequence + run.count - 1)
            if run.fault is None:
                self._deliver(run, running)
            else:
                self.queue.append(Rejected(*run.fault, running.key, run.sequence - 1, run.count))
        self._passed(run.sequence, run.count)

    def _require_same(self, run: Run) -> None:
        """Leave the series that was interrupted where these frames are another acquisition's."""
        running = self._running
        soon = self._clock() - self._interrupted_at <= JOIN_S
        if running is not None and not running.goes_on(run.sequence, run.time_ns(), soon):
            self._end_running()
            self._running = None

    def reject(self, reason: Reason, detail: str, header: FrameHeader | None) -> None:
        """A message cannot be used; ``header``: what is known of its frame.

        Where its series is named by a good frame only, as behind an acquisition header, it waits for one.
        """
        running = self._running
        if header is None or header.sequence < 1:
            self.queue.append(Rejected(reason, detail, count=1))
        elif self._announced is not None or (self._fresh and running is not None):
            self._hold(reason, detail, header)
        else:
            self._reject_frame(running, reason, detail, header.index)

    def _hold(self, reason: Reason, detail: str, header: FrameHeader) -> None:
        """Keep a bad frame until its series is named; not for ever, since perhaps no good one comes."""
        self._held.append((reason, detail, header.index))
        self.note = f"waiting for a good first frame: {detail}"
        coming = self._announced or self._running
        if len(self._held) > MOST_HELD or (coming is not None and header.sequence == coming.count):
            self._let_go(None)

    def _let_go(self, running: _Running | None) -> None:
        """Bad frames that waited for their series belong to this one, or to none."""
        held, self._held = self._held, []
        if held and running is not None:
            self.note = ""
        for bad in held:
            self._reject_frame(running, *bad)

    def _reject_frame(self, running: _Running | None, reason: Reason, detail: str, index: int) -> None:
        if running is None:
            self.queue.append(Rejected(reason, detail, count=1))
            return
        self.queue.append(Rejected(reason, detail, running.key, index, 1))
        self._passed(index + 1)

    def _deliver(self, run: Run, running: _Running) -> None:
        """Frames beyond the announced number travel apart from the others, which are good."""
        first, time_ns, payload = run.sequence - 1, run.time_ns(), run.unpack()
        running.tick(run.sequence, time_ns)
        if run.count > 1:
            running.tick(run.sequence + run.count - 1, run.last_time_ns())
        within = run.count
        if running.count is not None and first < running.count < first + run.count:
            within = running.count - first
        cut = within * run.format.frame_bytes
        self.queue.append(FrameBatch(running.key, first, within, time_ns, None, payload[:cut], None))
        if within < run.count:
            beyond = run.count - within
            self.queue.append(
                FrameBatch(running.key, first + within, beyond, None, None, payload[cut:], None)
            )

    def _passed(self, sequence: int, count: int = 1) -> None:
        """Frames with these numbers went by, good or bad: perhaps the last among them."""
        running = self._running
        if running is None or running.ended or running.count is None:
            return
        if sequence <= running.count < sequence + count:
            running.ended = True
            self.queue.append(End(running.key, running.count))

    def _begins(self, run: Run) -> bool:
        if self._announced is not None:
            return True
        if run.sequence != 1:
            return False
        running = self._running
        return running is None or running.ended or self._fresh or running.furthest > LATE_FIRST

    def _start(self, run: Run) -> None:
        self._end_running()
        header, anew = self._announced, self._announced is None
        if anew:
            header = self._last
        self._announced = None
        self._number += 1
        key = SeriesKey(self._epoch, self._number)
        count = None if header is None else header.count
        self._running = _Running(key, run.format.shape, run.format.dtype, count)
        self.note = "frames were numbered anew without an acquisition header" if anew else ""
        meta = _meta(header, run.header) | dict(run.meta) | ({"note": self.note} if anew else {})
        scan = header.scan if header is not None and self._use_scan else None
        series = Series(key, run.format.shape, run.format.dtype, count=count, scan=scan, meta=meta)
        self.queue.append(Start(series, _tables(header, run)))

    def _refuse(self, run: Run, running: _Running) -> None:
        """Frames that are not like the first of their series."""
        reason = Reason.BAD_SHAPE if run.format.shape != running.shape else Reason.BAD_DTYPE
        (h, w), (first_h, first_w) = run.format.shape, running.shape
        detail = (
            f"frame {run.sequence - 1} is {h} x {w} {run.format.dtype}, "
            f"the series {first_h} x {first_w} {running.dtype}"
        )
        self.queue.append(Rejected(reason, detail, running.key, run.sequence - 1, run.count))


def _meta(header: AcquisitionHeader | None, frame: FrameHeader) -> dict[str, Any]:
    meta: dict[str, Any] = {"detector": "Quantum Detectors Merlin"} if header is None else header.meta()
    if frame.exposure_s:
        meta["exposure_time"] = frame.exposure_s
    return meta | {"layout": frame.layout, "pixel_type": frame.kind}


def _tables(header: AcquisitionHeader | None, run: Run) -> dict[str, npt.NDArray[Any]]:
    filled = "" if header is None else header.fields.get("Gap Fill Mode", "")
    if filled.lower().startswith(DISTRIBUTED):
        return {}
    mask = run.format.gap_mask(run.header.layout, run.header.chips)
    return {} if mask is None else {PIXEL_MASK: mask}
