"""Shared by the recorder's tests: one ring, one recorder without a process, and what it says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from livem.stream import wire
from livem.stream.assembler import Assembler, AssemblerOptions
from livem.stream.policy import Policy
from livem.stream.recording.recorder import RecorderOptions
from livem.stream.recording.recorder_loop import Recorder
from livem.stream.ring import ReaderSpec, Ring
from livem.stream.ring_layout import E_PROCESSED, merge_dropped
from livem.stream.ring_writer import RingWriter
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.compress import compress_bslz4

sys.path.insert(0, str(Path(__file__).parents[2]))
from fake_link import FakeLink

S = 1_000_000_000
T0 = 1_700_000_000 * S
EPOCH = bytes(range(8))


def a_series(number: int = 1, **more: Any) -> Series:
    fields = {"shape": (16, 16), "dtype": "uint16", **more}
    return Series(SeriesKey(EPOCH, number), **fields)


def pixels(series: Series, first: int, count: int) -> np.ndarray:
    """(count, h, w) frames that say which they are."""
    rng = np.random.default_rng([series.key.number, first])
    frames = rng.integers(0, 50, (count, *series.shape)).astype(series.numpy_dtype)
    frames[:, 0, 0] = np.arange(first, first + count) % 251
    return frames


def encoded(series: Series, first: int, count: int) -> list[bytes]:
    frames = pixels(series, first, count)
    return compress_bslz4(frames) if series.encoding == "bslz4" else [frame.tobytes() for frame in frames]


class Stage:
    """An assembler that feeds a ring, and a recorder that is made to work by hand."""

    def __init__(
        self, folder: Path, ring_bytes: int = 1 << 20, patience_s: float = 0.0, **options: Any
    ) -> None:
        edge = ReaderSpec("recording", Policy.parse("lossless"), patience_s)
        self.ring = Ring.create(ring_bytes, [edge])
        self.assembler = Assembler(RingWriter(self.ring.writer_port()), AssemblerOptions(max_latency_ns=0))
        self.now, self.entered, self.serial = S, 0, -1
        self.sent: dict[int, bytes] = {}
        """Payloads by index, of the newest series."""
        self.options = RecorderOptions(str(folder), "", **{"flush_pause_s": 0.0, **options})
        self.recorders: list[Recorder] = []
        self.attach()

    def attach(self) -> None:
        """A recorder; another one as after a death."""
        self.link = FakeLink()
        child = SimpleNamespace(link=self.link)
        self.recorder = Recorder(self.options, self.ring.reader_port("recording"), child)
        self.recorders.append(self.recorder)

    def feed(self, message: list) -> None:
        self.assembler.feed(wire.decode(message), self.now)
        self.assembler.tick(self.now)

    def start(self, series: Series) -> None:
        self.series, self.sent = series, {}
        self.serial += 1
        self.feed(wire.encode_start(series))

    def frames(self, first: int, count: int, payloads: list[bytes] | None = None) -> None:
        blobs = encoded(self.series, first, count) if payloads is None else payloads
        self.sent |= dict(zip(range(first, first + count), blobs, strict=True))
        scan = self.series.scan
        places = None
        if scan is not None and scan.order == "positions":
            places = np.stack([np.arange(first, first + count) * 0.5, np.full(count, 2.25)], 1)
        sizes = None if self.series.encoding == "raw" else [len(blob) for blob in blobs]
        time_ns = T0 + first * 1000
        self.feed(
            wire.encode_frames(
                self.series.key, first, count, b"".join(blobs), time_ns=time_ns, sizes=sizes, positions=places
            )
        )

    def end(self, count: int) -> None:
        self.feed(wire.encode_end(self.series.key, count))

    def work(self) -> None:
        """All that there is to do."""
        while self.recorder._step():
            pass

    def tell(self, **command: Any) -> dict[str, Any]:
        """A command; its answer."""
        self.link.commands.append(command)
        self.recorder._obey()
        return self.link.last("reply")

    def edge(self) -> tuple[int, dict[str, int]]:
        """(processed, dropped) of the newest series."""
        record = self.ring.views.edge(0, self.serial)
        return int(record[E_PROCESSED]), merge_dropped(record)

    def files(self) -> list[Path]:
        return [Path(name) for name in self.link.last("series_done")["files"]]

    def close(self) -> None:
        for recorder in self.recorders:
            recorder._finish()
        self.ring.close()
