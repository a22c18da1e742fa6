"""The highest rate at which a whole session misses nothing for a minute: a detector that does not wait.

A DECTRIS v1 stream at a fixed rate from a process of its own, one annular detector on every frame. A run is
good when every frame was processed and the sender was never behind its schedule by more than a detector's
buffer holds.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from ..errors import SessionError
from ..kernels.bslz4 import encode
from ..pipeline import parse
from ..session import Session, SessionOptions
from ..stream.burst import Burst, send_burst
from ..stream.series import Series, SeriesKey
from ..stream.simulate.simplon_v1 import ImageWords, end_parts, start_parts
from ..stream.sources.plan import SourcePlan
from ..stream.zmq_calls import find_calls
from .detectors import MEAN_COUNTS, connect
from .figures import Measured, Row, at_most
from .partner import Partner, requests

BUFFER_S = 0.5
"""How far behind its schedule a sender may fall: detectors hold more than that."""
TICK_S = 0.002
STOCK_BYTES = 64 << 20
MAX_STOCK = 32
START_S = 60.0
SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Of the rate that the session takes when the sender never waits: tried downwards."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    shapes: tuple[tuple[int, int], ...]
    seconds: float
    """Of a run that counts."""
    burst_seconds: float
    """Of the run that finds where to begin."""


FULL = Plan(((128, 128), (256, 256), (512, 512), (4096, 4096)), 60.0, 4.0)
QUICK = Plan(((128, 128), (256, 256)), 4.0, 2.0)
FLAT_OUT = 0.0


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench zero_loss`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    rows: list[Row] = []
    missed = 0
    for shape in plan.shapes:
        with Partner(send_paced, shape) as sender:
            address: str = sender.hear()
            session = functools.partial(watched, shape, address, sender)
            flat_out = session(FLAT_OUT, plan.burst_seconds)
            good = next((one for one in _downwards(session, flat_out.rate, plan.seconds) if one.good), None)
            missed += good is None
            rows.append(_row(shape, flat_out, good, plan.seconds))
    title = (
        f"Zero loss: DECTRIS v1, uint16 bslz4, one annular detector, nothing missed for {plan.seconds:g} s"
    )
    return {"title": title, "rows": rows, "gates": [at_most("shapes without a rate", missed, 0)]}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run."""

    rate: float
    """Frames/s that were asked for; of a run flat out those that were processed."""
    sent: int
    processed: int
    behind_s: float
    ratio: float
    """Raw bytes of a frame to those on the wire."""
    taken_rate: float
    """Frames/s at which ingest took them, from the first to the last."""

    @property
    def good(self) -> bool:
        return self.processed == self.sent and self.behind_s <= BUFFER_S


def _downwards(session: Any, most: float, seconds: float) -> Iterator[Outcome]:
    for share in SHARES:
        yield session(share * most, seconds)


def watched(
    shape: tuple[int, int],
    address: str,
    sender: Partner,
    rate: float,
    seconds: float,
    record: Path | None = None,
    frames: int | None = None,
) -> Outcome:
    """One session with one annular detector on a series at ``rate`` frames/s (FLAT_OUT: the sender waits).

    ``seconds`` long, or of so many ``frames`` if that is said.
    """
    h, _ = shape
    detector = {"kind": "annulus", "inner": h / 8, "outer": h / 3}
    consumer = {"name": "vd", "type": "virtual_detectors", "detectors": {"adf": detector}}
    pipeline = parse({"consumers": [consumer]})
    source = SourcePlan(functools.partial(connect, address))
    with Session(
        pipeline, SessionOptions("dectris://bench", plan=source, series=1, record=record)
    ) as session:
        session.start()
        deadline = time.monotonic() + START_S + seconds + 60
        while session.state == "starting" and time.monotonic() < deadline:
            session.step()
        began = time.monotonic()
        sender.tell((rate, seconds, frames))
        while not session.over() and time.monotonic() < deadline:
            session.step()
        took = time.monotonic() - began
        session.finish()
        if session.error is not None:
            raise session.error
        (account,) = session.summary()["series"]
    sent, behind_s, ratio = sender.hear()
    processed = min(edge["processed"] for edge in account["edges"].values())
    taken_rate = float(account["frames_per_second"] or 0.0)
    return Outcome(rate or processed / took, sent, processed, behind_s, ratio, taken_rate)


def _row(shape: tuple[int, int], flat_out: Outcome, good: Outcome | None, seconds: float) -> Row:
    h, w = shape
    rate = 0.0 if good is None else good.rate
    return {
        "frame": f"{h}x{w}",
        "compression": f"{flat_out.ratio:.1f}",
        "frames/s, nothing missed": f"{rate:,.4g}" if rate < 1000 else f"{rate:,.0f}",
        "GB/s of raw pixels": round(rate * h * w * 2 / 1e9, 2),
        "frames": 0 if good is None else good.sent,
        "furthest behind, ms": None if good is None else round(1e3 * good.behind_s),
        "frames/s when the sender waits": f"{flat_out.rate:,.0f}",
    }


# -- the detector ------------------------------------------------------------------------------------------


class Exposures:
    """Prepared images of one shape, as bursts of any length: only the frame's number is made anew."""

    def __init__(self, shape: tuple[int, int]) -> None:
        h, w = shape
        self._shape = shape
        stock = max(2, min(MAX_STOCK, STOCK_BYTES // (2 * h * w)))
        rng = np.random.default_rng(0)
        blobs = [encode(rng.poisson(MEAN_COUNTS, shape).astype(np.uint16)) for _ in range(stock)]
        self.ratio = 2 * h * w * stock / sum(map(len, blobs))
        words = ImageWords(self._series(1), "bs16-lz4<")
        pieces = [piece for blob in blobs for piece in (words.data(shape, len(blob)), blob)]
        pieces.append(words.times(0))
        self._fixed = np.frombuffer(b"".join(pieces), np.uint8)
        ends = np.cumsum([len(piece) for piece in pieces])
        self._places = np.stack([ends - [len(piece) for piece in pieces], [len(p) for p in pieces]], axis=1)
        self._stock = stock
        self._data = np.concatenate([self._fixed, np.zeros(1 << 20, np.uint8)])

    def _series(self, number: int) -> Series:
        return Series(SeriesKey(bytes(8), number), self._shape, "uint16", encoding="bslz4")

    def start(self, number: int, count: int) -> tuple[bytes | memoryview, ...]:
        series = Series(SeriesKey(bytes(8), number), self._shape, "uint16", encoding="bslz4", count=count)
        return start_parts(series, "basic", {}, b"", "2026-01-01T00:00:00")

    def end(self, number: int) -> tuple[bytes | memoryview, ...]:
        return end_parts(self._series(number))

    def burst(self, number: int, first: int, n: int) -> Burst:
        """Images ``first`` to ``first + n - 1``; valid until the next call."""
        head = f'{{"htype":"dimage-1.0","series":{number},"frame":'
        names = [f"{head}{index}}}".encode() for index in range(first, first + n)]
        joined, at = b"".join(names), len(self._fixed)
        self._data[at : at + len(joined)] = np.frombuffer(joined, np.uint8)
        sizes = np.array([len(name) for name in names])
        parts = np.empty((n, 4, 2), np.int64)
        parts[:, 0, 0], parts[:, 0, 1] = at + np.cumsum(sizes) - sizes, sizes
        which = np.arange(first, first + n) % self._stock
        parts[:, 1], parts[:, 2], parts[:, 3] = (
            self._places[2 * which],
            self._places[2 * which + 1],
            self._places[-1],
        )
        starts = np.arange(0, 4 * n + 1, 4, dtype=np.int64)
        return Burst(self._data, parts.reshape(-1, 2), starts, np.zeros(n, np.uint8))


def send_paced(pipe: Connection, shape: tuple[int, int]) -> None:
    """Body of the detector: series at the rates that it is asked for, 0 = as fast as they are taken."""
    exposures = Exposures(shape)
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = 0
        socket.bind("tcp://127.0.0.1:*")
        pipe.send(socket.getsockopt_string(zmq.LAST_ENDPOINT))
        for number, request in enumerate(requests(pipe), 1):
            pipe.send((*_send_series(socket, exposures, number, *request), exposures.ratio))


def _send_series(
    socket: zmq.Socket[bytes],
    exposures: Exposures,
    number: int,
    rate: float,
    seconds: float,
    frames: int | None = None,
) -> tuple[int, float]:
    """Frames that were sent, and the furthest behind the schedule, in seconds."""
    calls, sent, behind, most = find_calls(), 0, 0.0, 256
    count = frames or int(rate * seconds) or 2_000_000_000
    until = float("inf") if frames or rate else seconds
    socket.send_multipart(exposures.start(number, count))
    began = time.monotonic()
    while sent < count and time.monotonic() - began < until:
        due = int((time.monotonic() - began) * rate) if rate else sent + most
        n = min(due - sent, most, count - sent)
        if n > 0:
            reached = send_burst(socket, calls, exposures.burst(number, sent, n))
            sent += reached
            behind = max(behind, time.monotonic() - began - sent / rate) if rate else 0.0
            if reached == n:
                continue
            if not socket.poll(int(START_S * 1000), zmq.POLLOUT):
                raise SessionError("nobody takes the frames")
        else:
            socket.poll(max(1, int(TICK_S * 1000)), zmq.POLLIN)  # a PUSH socket is never readable: a pause
    socket.send_multipart(exposures.end(number))
    return sent, behind
