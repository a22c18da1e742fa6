"""A recording replayed as fast as the session takes it: what limits, reading the file or decoding its frames?

A whole session plays one recording over and over into one annulus, which sums compressed frames. Processor
time of the reading process (ingest) and of the worker, for each frame; between two looks all frames of a
round have been processed.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from ..errors import SessionError
from ..pipeline import parse
from ..session import Session, SessionOptions
from ..stream.recording.recording_file import RecordingFile
from ..stream.series import Scan, Series, SeriesKey
from ..stream.simulate.compress import compress_bslz4
from ..stream.sources.replay.source import ReplayOptions, replay_plan
from .figures import Measured, Row, Spread, at_most
from .serving import serve

COUNTS = 0.2
"""Mean counts a pixel: 10 kB a frame of 256 x 256."""
UNIQUE = 256
"""Different frames, again and again: compressing all of a scan would take longer than to measure."""
READING, DECODING = "ingest", "vd"
WHAT = {READING: "reading (ingest)", DECODING: "decoding and summing (worker)"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    """Measured one by one."""
    plays: int
    """Of the recording, in each round."""
    shape: tuple[int, int] = (256, 256)
    scan: tuple[int, int] = (128, 128)
    ring_bytes: int | None = None


FULL = Plan(5, 10)
QUICK = Plan(3, 5)


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one round."""

    cpu_us: Mapping[str, float]
    """Of each frame, by process."""
    rate: float
    """Frames per second of its last play, from the first frame to the last."""


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench replay`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    with tempfile.TemporaryDirectory(prefix="livem-bench-") as folder:
        path = Path(folder) / "scan.h5"
        stored = record(path, plan)
        spent = replayed(path, plan)
    reading, decoding = (_median(name, spent) for name in (READING, DECODING))
    (h, w), (ny, nx) = plan.shape, plan.scan
    return {
        "title": f"Replay at full speed: {ny}x{nx} frames of {h}x{w} uint16 bslz4, {stored:,.0f} bytes each",
        "rows": [*(_row(name, spent) for name in WHAT), _session_row(spent)],
        "gates": [at_most("reading a frame, us; at most what decoding it takes", reading, decoding)],
    }


def record(path: Path, plan: Plan) -> float:
    """Write the recording; returns the bytes of a frame in it."""
    count = plan.scan[0] * plan.scan[1]
    frames = np.random.default_rng(0).poisson(COUNTS, (min(UNIQUE, count), *plan.shape)).astype(np.uint16)
    blobs = compress_bslz4(frames)
    series = Series(SeriesKey(bytes(8), 1), plan.shape, "uint16", "bslz4", count, Scan(plan.scan))
    file = RecordingFile(path, series)
    for first in range(0, count, len(blobs)):
        some = blobs[: count - first]
        sizes = np.array([len(blob) for blob in some], np.int64)
        file.append(first, len(some), np.frombuffer(b"".join(some), np.uint8), sizes)
    file.close()
    return file.bytes / count


def replayed(path: Path, plan: Plan) -> list[Spent]:
    """Play the recording: once to warm up, then ``plays`` times a round."""
    h, w = plan.shape
    annulus = {"kind": "annulus", "inner": min(h, w) / 8, "outer": min(h, w) / 4}
    consumer = {"name": DECODING, "type": "virtual_detectors", "detectors": {"ring": annulus}}
    ring = {} if plan.ring_bytes is None else {"ring": {"bytes": plan.ring_bytes}}
    pipeline = parse({"consumers": [consumer], **ring})
    options = SessionOptions(str(path), plan=replay_plan(ReplayOptions(str(path), math.inf, loop=True)))
    with Session(pipeline, options) as session:
        session.start()
        _play(session, 1)
        spent = [_round(session, plan) for _ in range(plan.rounds)]
        session.stop("the benchmark is over")
        session.finish()
    return spent


def _play(session: Session, times: int) -> None:
    wanted = session.settling.series + times
    serve(session, lambda: session.settling.series >= wanted, "the recording was not played")


def _round(session: Session, plan: Plan) -> Spent:
    before = _cpu_seconds(session)
    _play(session, plan.plays)
    after, account = _cpu_seconds(session), session.settling.settled[-1]
    frames = plan.plays * plan.scan[0] * plan.scan[1]
    if account["edges"][DECODING]["processed"] != plan.scan[0] * plan.scan[1]:
        raise SessionError(
            f"{account['series']}: not all frames were processed: {account['edges'][DECODING]}"
        )
    cpu_us = {name: 1e6 * (after[name] - before[name]) / frames for name in WHAT}
    return Spent(cpu_us, float(account["frames_per_second"] or 0))


def _cpu_seconds(session: Session) -> Mapping[str, float]:
    """Of each process so far, its own and the system's for it."""
    pids = session.processes.pids()
    times = {name: psutil.Process(pids[name]).cpu_times() for name in WHAT}
    return {name: float(time.user + time.system) for name, time in times.items()}


def _median(name: str, spent: Sequence[Spent]) -> float:
    return Spread.of([one.cpu_us[name] for one in spent]).median


def _row(name: str, spent: Sequence[Spent]) -> Row:
    return {"what": WHAT[name], "CPU us/frame": str(Spread.of([one.cpu_us[name] for one in spent]))}


def _session_row(spent: Sequence[Spent]) -> Row:
    return {"what": "session", "frames/s": str(Spread.of([one.rate for one in spent]))}
