"""The recorder's process on a ring, as in a session, against memcpy and against plain writes to a file.

What counts is how much raw data a core keeps: bslz4 frames go into the file as they were received. The files
land in the page cache; a disk that is slower than that limits whatever program records.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import SessionError
from ..stream.endpoints import local_endpoint
from ..stream.hub import Hub
from ..stream.policy import Policy
from ..stream.processes import Processes, ProcessSpec
from ..stream.recording.recorder import RECORDER, RecorderOptions, run_recorder
from ..stream.ring import ReaderSpec, Ring
from ..stream.ring_layout import E_PROCESSED
from ..stream.ring_writer import BlockHeader, RingWriter, trailer_bytes
from ..stream.series import Encoding, Series, SeriesKey
from ..stream.simulate.compress import compress_bslz4
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios
from .frames import Copying, Source

MEMCPY_SHARE = 0.8
COUNTS = 0.08
"""Mean counts a pixel: bslz4 makes a fifteenth of it, as of diffraction patterns."""
READY_S, END_S, STEP_S = 120.0, 60.0, 0.02
MEMCPY, WRITE = "memcpy", "write() to a file"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    ring_bytes: int
    frames: int
    """Of a series; whole batches."""
    rounds: int
    batch: int = 256
    """Frames of a block: what comes in 5 ms at 50,000 frames/s."""
    shape: tuple[int, int] = (256, 256)

    @property
    def frame_bytes(self) -> int:
        return 2 * self.shape[0] * self.shape[1]


FULL = Plan(512 << 20, 16_384, 9)
QUICK = Plan(256 << 20, 2048, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """One block of a series, sent again and again under other numbers."""

    encoding: Encoding
    payload: npt.NDArray[np.uint8]
    sizes: npt.NDArray[np.int64] | None

    @classmethod
    def make(cls, plan: Plan, encoding: Encoding) -> Blocks:
        frames = np.random.default_rng(0).poisson(COUNTS, (plan.batch, *plan.shape)).astype(np.uint16)
        if encoding == "raw":
            return cls(encoding, frames.reshape(-1).view(np.uint8), None)
        blobs = compress_bslz4(frames)
        return cls(encoding, np.frombuffer(b"".join(blobs), np.uint8), np.array([len(b) for b in blobs]))


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench recording`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    source = Source(plan.batch, plan.shape[0] * plan.shape[1])
    copying = Copying(plan.ring_bytes)
    speeds: dict[str, list[float]] = {MEMCPY: [], WRITE: [], "raw": [], "bslz4": []}
    encoded = {name: Blocks.make(plan, name) for name in _encodings()}
    lost = 0
    with RecorderLine(plan) as line:
        copying.bytes_per_second(source, plan.ring_bytes // source.block_bytes)
        for name in encoded:
            line.record(encoded[name])  # maps and warms every page
        for _ in range(plan.rounds):
            speeds[MEMCPY].append(copying.bytes_per_second(source, plan.frames // plan.batch))
            speeds[WRITE].append(write_speed(line.folder, source, plan))
            for name, blocks in encoded.items():
                recorded = line.record(blocks)
                speeds[name].append(recorded.raw_bytes_per_second)
                lost += recorded.lost
    share = ratios(speeds["bslz4"], speeds[MEMCPY])
    ratio = plan.batch * plan.frame_bytes / encoded["bslz4"].payload.nbytes
    gates: list[Gate] = [
        at_least(f"bslz4 (1:{ratio:.0f}), raw bytes: share of memcpy", share.median, MEMCPY_SHARE),
        at_most("frames not recorded", lost, 0),
    ]
    h, w = plan.shape
    return {
        "title": f"Recording: {h}x{w} uint16, blocks of {plan.batch} frames, NeXus HDF5 with checksums",
        "rows": [_row(name, values, speeds[MEMCPY], plan) for name, values in speeds.items()],
        "gates": gates,
    }


def _encodings() -> tuple[Encoding, ...]:
    return "raw", "bslz4"


def _row(name: str, values: list[float], memcpy: list[float], plan: Plan) -> Row:
    way = name if name in (MEMCPY, WRITE) else f"recording, {name}"
    return {
        "way": way,
        "raw GB/s": str(Spread.of([value / 1e9 for value in values])),
        "frames/s": str(Spread.of([value / plan.frame_bytes for value in values])),
        "x memcpy": str(ratios(values, memcpy)),
    }


def write_speed(folder: Path, source: Source, plan: Plan) -> float:
    """Bytes per second of raw blocks written one after another to a new file, not synchronised."""
    path = folder / "plain"
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for number in range(plan.frames // plan.batch):
            file.write(source.block(number).data)
    seconds = time.perf_counter() - started
    path.unlink()
    return plan.frames // plan.batch * source.block_bytes / seconds


@dataclass(frozen=True, slots=True)
class Recorded:
    """One series in a file."""

    raw_bytes_per_second: float
    lost: int
    """Frames that entered the ring and were not recorded."""


class RecorderLine:
    """A recorder's process with a writer (this process) at the other end of its ring."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._heard: list[dict[str, Any]] = []

    def __enter__(self) -> RecorderLine:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="livem-bench-")))
            control = local_endpoint(self.folder, "c")
            self._hub = Hub(self.folder, "bench", control=control, on_child=self._hear)
            stack.callback(self._hub.close)
            spec = ReaderSpec(RECORDER, Policy.parse("lossless"))
            self._ring = Ring.create(self._plan.ring_bytes, [spec])
            stack.callback(self._ring.close)
            self._writer = RingWriter(self._ring.writer_port())
            stack.callback(self._writer.close)
            self._processes = Processes()
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        options = RecorderOptions(str(self.folder), self._hub.addresses.children)
        port = self._ring.reader_port(RECORDER)
        self._processes.start(ProcessSpec(RECORDER, run_recorder, (options, port), restart=False))
        self._wait_for("ready", READY_S)

    def _stop(self) -> None:
        self._hub.send_child(RECORDER, {"do": "stop"})
        deadline = time.monotonic() + END_S
        while self._processes.pid(RECORDER) is not None and time.monotonic() < deadline:
            self._hub.step(STEP_S)
        self._processes.stop(RECORDER)

    def _hear(self, _name: str, message: dict[str, Any]) -> None:
        self._heard.append(message)

    def _wait_for(self, what: str, timeout: float) -> dict[str, Any]:
        """The next message of this type or kind."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for message in self._heard:
                if what in (message.get("type"), message.get("kind")):
                    self._heard.clear()
                    return message
            self._hub.step(STEP_S)
        raise SessionError(f"the recorder did not say {what!r} within {timeout:g} s")

    def record(self, blocks: Blocks) -> Recorded:
        """One series, from its announcement to the recorder's word that its file is closed."""
        plan = self._plan
        serial = self._writer.next_serial
        self._heard.clear()
        started = time.perf_counter()
        write_series(self._writer, plan, blocks)
        done = self._wait_for("series_done", END_S)
        seconds = time.perf_counter() - started
        kept = int(self._ring.views.edge(0, serial)[E_PROCESSED])
        for name in done["files"]:
            with contextlib.suppress(OSError):
                os.unlink(name)
        return Recorded(plan.frames * plan.frame_bytes / seconds, plan.frames - kept)


def write_series(writer: RingWriter, plan: Plan, blocks: Blocks) -> None:
    """One series into the ring, as ingest does it, without a ledger."""
    key = SeriesKey(bytes(8), writer.next_serial)
    series = Series(key, plan.shape, "uint16", blocks.encoding, plan.frames)
    serial = writer.open_series(series, time.monotonic_ns())
    nbytes = blocks.payload.nbytes
    room_bytes = nbytes + trailer_bytes(plan.batch, sizes=blocks.sizes is not None, positions=False)
    for first in range(0, plan.frames, plan.batch):
        room = writer.reserve(room_bytes)
        assert room is not None
        room[:nbytes] = blocks.payload
        now = time.monotonic_ns()
        writer.publish_frames(BlockHeader(serial, first, plan.batch, nbytes, first, now, now), blocks.sizes)
    writer.close_series(
        serial,
        complete=True,
        reason="",
        ledger=b"",
        received=plan.frames,
        arrival_ns=time.monotonic_ns(),
    )
