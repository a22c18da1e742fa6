"""A SIMPLON detector's stream v1 in a few lines, written apart from livem's own sender; and a stage for it.

The stage is what the ingest process does: source, assembler, ring, and a reader that decodes.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import zmq

from livem.consumers.work.decode import FrameDecoder
from livem.kernels.bslz4 import encode
from livem.stream.accounting import Accounts
from livem.stream.assembler import Assembler
from livem.stream.endpoints import Endpoint
from livem.stream.ingest import AssemblerOptions
from livem.stream.messages import Limits
from livem.stream.policy import Policy
from livem.stream.ring import ReaderSpec, Ring
from livem.stream.ring_reader import Lease, RingReader, SeriesEnd, SeriesStart
from livem.stream.ring_writer import RingWriter
from livem.stream.sources.dectris.source import BYTE_BUDGET, DectrisSource

PATIENCE_S = 20.0
SHAPE = (12, 16)
Parts = list[bytes]


def frames(count: int, shape: tuple[int, int] = SHAPE, dtype: str = "uint16", seed: int = 1) -> np.ndarray:
    """(count, h, w) sparse counts; the first pixel of each is its number."""
    made = np.random.default_rng(seed).poisson(0.3, (count, *shape)).astype(dtype)
    made[:, 0, 0] = np.arange(count)
    return made


def as_json(**words: Any) -> bytes:
    return json.dumps(words).encode()


def configuration(count: int, shape: tuple[int, int] = SHAPE, bits: int = 16, **more: Any) -> dict[str, Any]:
    return {
        "nimages": 1,
        "ntrigger": count,
        "trigger_mode": "exte",
        "bit_depth_image": bits,
        "x_pixels_in_detector": shape[1],
        "y_pixels_in_detector": shape[0],
        "compression": "bslz4",
        "frame_time": 0.001,
        "x_pixel_size": 7.5e-5,
        "description": "a detector",
        **more,
    }


def header(series: int = 1, config: dict[str, Any] | None = None, *more: bytes, detail: str = "") -> Parts:
    detail = detail or ("none" if config is None else "basic")
    first = as_json(htype="dheader-1.0", header_detail=detail, series=series)
    return [first, *([] if config is None else [json.dumps(config).encode()]), *more]


def end(series: int = 1) -> Parts:
    return [as_json(htype="dseries_end-1.0", series=series)]


def image(
    index: int,
    frame: np.ndarray,
    series: int = 1,
    *,
    coding: str = "bs16-lz4<",
    blob: bytes | None = None,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
) -> Parts:
    """One image; ``blob``, ``shape`` ([w, h]) and ``dtype`` in place of the frame's own."""
    payload = stored(frame, coding) if blob is None else blob
    return [
        as_json(htype="dimage-1.0", series=series, frame=index, hash="0123456789abcdef"),
        as_json(
            htype="dimage_d-1.0",
            shape=list(frame.shape[::-1]) if shape is None else list(shape),
            type=dtype or frame.dtype.name,
            encoding=coding,
            size=len(payload),
        ),
        payload,
        as_json(htype="dconfig-1.0", start_time=index * 1000, stop_time=index * 1000 + 900, real_time=900),
    ]


def stored(frame: np.ndarray, coding: str) -> bytes:
    """A frame's bytes as ``coding`` says, by libraries that are not ours."""
    order = frame.astype(frame.dtype.newbyteorder("<" if coding.endswith("<") else ">"))
    if coding in "<>":
        return order.tobytes()
    if coding.startswith("bs"):
        element = {"8": "u1", "16": "u2", "32": "u4"}[coding[2:].partition("-")[0]]
        return encode(np.frombuffer(order.tobytes(), element).reshape(1, -1))
    return bare_lz4(order.tobytes())


def bare_lz4(raw: bytes) -> bytes:
    """One LZ4 block, cut out of an HDF5 chunk; for raw bytes that shrink."""
    chunk = encode(np.frombuffer(raw, np.uint8).reshape(1, -1), "lz4")
    nbytes, block, size = struct.unpack_from(">QII", chunk)
    assert nbytes <= block
    assert size < nbytes, "did not shrink: HDF5 stored it as it was"
    return chunk[16 : 16 + size]


def scan_messages(data: np.ndarray, series: int = 1, **config: Any) -> list[Parts]:
    """A whole series of bslz4 frames."""
    h, w = data.shape[1:]
    start = header(series, configuration(len(data), (h, w), **config))
    return [start, *(image(i, frame, series) for i, frame in enumerate(data)), end(series)]


class Detector:
    """A PUSH socket that is bound here."""

    def __init__(self, port: int | None = None) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.PUSH)
        self.socket.linger = 0
        self.socket.sndtimeo = int(PATIENCE_S * 1000)
        self.socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        self.endpoint = Endpoint(self.socket.getsockopt_string(zmq.LAST_ENDPOINT), bind=False)

    def send(self, *messages: Sequence[bytes]) -> None:
        for parts in messages:
            self.socket.send_multipart(parts)

    def close(self) -> None:
        self._context.destroy(linger=0)


class Stage:
    """A detector, our source for it, and everything behind it up to decoded frames."""

    def __init__(
        self, *, plain: bool = False, byte_budget: int = BYTE_BUDGET, tables: Any = None, **options: Any
    ) -> None:
        self.detector = Detector()
        self.source = DectrisSource([self.detector.endpoint], plain=plain, byte_budget=byte_budget)
        self.source.open()
        self.ring = Ring.create(4 << 20, [ReaderSpec("all", Policy.parse("lossless"))])
        self.writer = RingWriter(self.ring.writer_port())
        limits = Limits(max_frame_bytes=self.ring.writer_port().layout.max_block_bytes)
        self.assembler = Assembler(self.writer, AssemblerOptions(**options), limits, tables)
        self.reader = RingReader(self.ring.reader_port("all"))
        self.accounts = Accounts(self.ring)
        self.series: list[Any] = []
        """Series that began, and for each the decoded frames by number."""
        self.frames: list[dict[int, np.ndarray]] = []
        self.ended: list[SeriesEnd] = []
        self.messages: list[Any] = []
        self._watch()

    def _watch(self) -> None:
        self._poller = zmq.Poller()
        for pollable in self.source.pollables():
            self._poller.register(pollable, zmq.POLLIN)

    def connect(self, port: int) -> None:
        """Go to another detector."""
        self.source.close()
        self.source = DectrisSource([Endpoint(f"tcp://127.0.0.1:{port}", bind=False)])
        self.source.open()
        self._watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self.detector.close()
        self.writer.close()
        self.ring.close()

    def step(self) -> None:
        """One turn of ingest's loop, and all that the reader finds then."""
        self._poller.poll(0 if self.source.due_ns() is not None else 5)
        link = self.source.link()
        now = time.monotonic_ns()
        while (message := self.source.receive()) is not None:
            self.messages.append(type(message).__name__)
            self.assembler.feed(message, now)
        if link.ever_connected and not link.peers:
            self.assembler.link_lost(now)
        self.assembler.tick(time.monotonic_ns())
        while (event := self.reader.next()) is not None:
            self._take(event)

    def _take(self, event: Any) -> None:
        if isinstance(event, SeriesStart):
            self.series.append(event.series)
            self.frames.append({})
            self._decoder = FrameDecoder(event.series)
        elif isinstance(event, Lease):
            found, _ = self._decoder.decode(event.block)
            for index, frame in zip(found.indices.tolist(), found.data.copy(), strict=True):
                self.frames[-1][index] = frame
            self.reader.count(event.serial, processed=event.block.count)
            event.release()
        else:
            self.ended.append(event)
            self.reader.finalised(event)

    def until(self, done: Any) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, (self.ended, self.unascribed, self.messages[-20:])
            self.step()

    def play(self, *messages: Sequence[bytes], series: int | None = None) -> dict[str, Any]:
        """Send, wait until ``series`` (all by now, and one more) are over; the last one's account."""
        wanted = len(self.ended) + 1 if series is None else series
        self.detector.send(*messages)
        self.until(lambda: len(self.ended) >= wanted)
        return self.accounts.of(len(self.series) - 1)

    @property
    def unascribed(self) -> dict[str, int]:
        return self.accounts.unascribed()

    def wrong(self, data: np.ndarray) -> list[int]:
        """Frames of the last series that arrived and are not what was sent."""
        return [i for i, frame in self.frames[-1].items() if not np.array_equal(frame, data[i])]
