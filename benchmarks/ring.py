"""The ring against memcpy and against iceoryx2, and torn reads under a racing writer.

One writer (this process) and one lossless reader (a spawned one); all that is compared is measured in
turns within one run, with the other readers idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import TypeAlias

from ..errors import MissingDependencyError
from ..stream.policy import Policy
from ..stream.ring import ReaderPort, ReaderSpec, Ring
from ..stream.ring_reader import Lease, RingReader, SeriesEnd
from ..stream.ring_writer import BlockHeader, RingWriter, trailer_bytes
from ..stream.series import Series, SeriesKey
from . import iceoryx, torn
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios
from .frames import Copying, Source, stamps, wrong_frames
from .partner import Partner, requests

SHAPE = (256, 256)
MEMCPY_SHARE = 0.7
PEER_FACTOR = 1.5
IDLE_S = 1.0
MEMCPY, RING, POLLED = "memcpy", "livem ring", "livem ring, polled"
KEEPER, PEER = "iceoryx2, polled, with history", "iceoryx2, polled"
WAYS = (MEMCPY, RING, POLLED, KEEPER, PEER)
"""The ring's readers sleep until they are woken, as in a session; the peer is polled, and so the ring is
polled as well. The ring keeps its past; the peer does so only when told."""

Way: TypeAlias = Callable[[int], float]
"""Moves so many blocks of a source; bytes per second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    ring_bytes: int
    round_bytes: int
    rounds: int
    torn_reads: int
    block_frames: tuple[int, ...] = (64, 1)
    shape: tuple[int, int] = SHAPE


FULL = Plan(512 << 20, 2 << 30, 9, 1_000_000)
QUICK = Plan(256 << 20, 512 << 20, 3, 20_000)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench ring`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    rows: list[Row] = []
    gates: list[Gate] = []
    copying = Copying(plan.ring_bytes)
    for frames in plan.block_frames:
        found = _compare(plan, Source(frames, plan.shape[0] * plan.shape[1]), copying)
        rows += found.rows
        gates += found.gates
    found = _torn_reads(plan.torn_reads)
    return {
        "title": f"Ring: one writer, one lossless reader, {plan.ring_bytes >> 20} MiB",
        "rows": rows + found.rows,
        "gates": gates + found.gates,
    }


@dataclass(slots=True)
class _Found:
    rows: list[Row] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)


# -- bandwidth -------------------------------------------------------------------------------------------


def _compare(plan: Plan, source: Source, copying: Copying) -> _Found:
    """memcpy, ring and peer in turns with blocks of one size."""
    with ExitStack() as stack:
        ways: dict[str, Way] = {MEMCPY: partial(copying.bytes_per_second, source)}
        line = stack.enter_context(RingLine(plan, source))
        ways[RING] = partial(line.bytes_per_second, polled=False)
        ways[POLLED] = partial(line.bytes_per_second, polled=True)
        missing = ""
        try:
            for name, history in ((KEEPER, True), (PEER, False)):
                peer = stack.enter_context(iceoryx.Line(plan.ring_bytes, source, history=history))
                ways[name] = peer.bytes_per_second
        except MissingDependencyError as error:
            missing = str(error)
        return _told(source, _speeds(plan, source, ways), missing)


def _speeds(plan: Plan, source: Source, ways: Mapping[str, Way]) -> Mapping[str, list[float]]:
    """Bytes per second of each round and way."""
    blocks = max(plan.round_bytes // source.block_bytes, 2)
    for way in ways.values():
        way(min(blocks, 2 * plan.ring_bytes // source.block_bytes))  # maps and warms every page
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(plan.rounds):
        for name, way in ways.items():
            speeds[name].append(way(blocks))
    return speeds


def _told(source: Source, speeds: Mapping[str, list[float]], missing: str) -> _Found:
    what = f"{source.frames} x {source.words * 2 / 1024:g} KiB"
    found = _Found()
    for name, values in speeds.items():
        spread = Spread.of([value / 1e9 for value in values])
        share = ratios(values, speeds[MEMCPY])
        found.rows.append({"way": name, "block": what, "GB/s": str(spread), "x memcpy": str(share)})
    if source.frames > 1:  # what ingest coalesces to
        share = ratios(speeds[RING], speeds[MEMCPY])
        found.gates.append(at_least(f"ring, {what}: share of memcpy", share.median, MEMCPY_SHARE))
    if missing:
        found.rows.append({"way": PEER, "block": what, "note": missing})
    else:
        found.gates += _against_peer(what, speeds)
    return found


def _against_peer(what: str, speeds: Mapping[str, list[float]]) -> list[Gate]:
    """Against the peer as it comes, and like for like: both polled, both keeping their past."""
    pairs = [(RING, PEER), (POLLED, KEEPER)]
    return [
        at_most(f"{ours}, {what}: time to {theirs}", ratios(speeds[theirs], speeds[ours]).median, PEER_FACTOR)
        for ours, theirs in pairs
    ]


class RingLine:
    """A ring with its writer here and one lossless reader in a process of its own."""

    def __init__(self, plan: Plan, source: Source) -> None:
        self._plan, self._source = plan, source

    def __enter__(self) -> RingLine:
        with ExitStack() as stack:
            self._ring = Ring.create(self._plan.ring_bytes, [ReaderSpec("check", Policy.parse("lossless"))])
            stack.callback(self._ring.close)
            self._writer = RingWriter(self._ring.writer_port())
            stack.callback(self._writer.close)
            self._reader = stack.enter_context(
                Partner(
                    check_frames, self._ring.reader_port("check"), self._source.frames, self._source.period
                )
            )
            self._reader.hear()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def bytes_per_second(self, blocks: int, *, polled: bool) -> float:
        """Of one series of ``blocks`` blocks, from the first reservation to the reader's word on the last."""
        self._reader.tell(polled)
        started = time.perf_counter()
        write_series(self._writer, self._plan.shape, self._source, blocks)
        frames, wrong = self._reader.hear()
        seconds = time.perf_counter() - started
        assert (frames, wrong) == (blocks * self._source.frames, 0), f"{wrong} of {frames} frames are wrong"
        return blocks * self._source.block_bytes / seconds


def write_series(writer: RingWriter, shape: tuple[int, int], source: Source, blocks: int) -> None:
    """One series, as ingest writes it, without a ledger."""
    series = Series(SeriesKey(bytes(8), writer.next_serial), shape, "uint16")
    serial = writer.open_series(series, time.monotonic_ns())
    room_bytes = source.block_bytes + trailer_bytes(source.frames, sizes=False, positions=False)
    for number in range(blocks):
        writer.reserve(room_bytes)
        writer.fill(source.block(number))
        first = number * source.frames
        writer.publish_frames(
            BlockHeader(serial, first, source.frames, source.block_bytes, first, time.monotonic_ns())
        )
    writer.close_series(
        serial,
        complete=True,
        reason="",
        ledger=b"",
        received=blocks * source.frames,
        arrival_ns=time.monotonic_ns(),
    )


def check_frames(pipe: Connection, port: ReaderPort, frames_each: int, period: int) -> None:
    """Body of the reader's process: read a series a request (polled or not); answer (frames, wrong ones)."""
    reader, expected = RingReader(port), stamps(frames_each, period)
    pipe.send("ready")
    for polled in requests(pipe):
        frames = wrong = 0
        for lease in leases(reader, polled):
            block = lease.block
            wrong += wrong_frames(block.payload, block.first, expected)
            frames += block.count
            lease.release()
        pipe.send((frames, wrong))
    reader.close()


def leases(reader: RingReader, polled: bool) -> Iterator[Lease]:
    """Every block up to the end of the series."""
    while True:
        event = reader.next()
        if event is None:
            if polled:
                time.sleep(0)  # as the peer's readers, without wake-up: gives the processor away
            else:
                reader.wait(IDLE_S)
        elif isinstance(event, SeriesEnd):
            return reader.finalised(event)
        elif isinstance(event, Lease):
            yield event


# -- torn reads ------------------------------------------------------------------------------------------


def _torn_reads(reads: int) -> _Found:
    """Reads of the oldest blocks while the writer takes them away."""
    seen = torn.race(reads)
    row = {
        "way": "torn reads",
        "block": f"1 x {torn.FRAME_BYTES / 1024:g} KiB",
        "note": f"{seen.reads} reads, {seen.refused} refused, {seen.mixed} of these mixed; "
        f"{seen.undetected} undetected",
    }
    return _Found([row], [at_most(f"undetected torn reads in {seen.reads}", seen.undetected, 0)])
