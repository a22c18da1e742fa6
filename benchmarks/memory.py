"""Memory, files and threads of every process of a running ``livem live``, over time.

What counts is the unique set size: pages that nobody else maps. The ring is shared and so not in it. Growth
is judged by what no file backs: the pages of a library that are unique now are shared as soon as another
program loads it (18 MiB of Qt came and went so in a viewer whose own memory stood still).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import psutil

from ..errors import SessionError
from ..stream.control import ControlClient
from .figures import Gate, Measured, Row, Spread, at_most
from .program import Program

MIB = 1 << 20
UNIQUE_MB = 300.0
GROWTH_MB_H = 1.0
PARTS = 10
READY_S = 60.0
STATES = ("running", "ended")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    warm_up: float
    """Seconds that are left out."""
    seconds: float
    interval: float
    judge_growth: bool
    """Whether the run is long enough to call a slope a slope."""
    rate: int = 1000
    shape: tuple[int, int] = (256, 256)


FULL = Plan(60.0, 600.0, 2.0, True)
QUICK = Plan(10.0, 50.0, 1.0, False)


@dataclass(slots=True)
class Track:
    """Samples of one process."""

    seconds: list[float] = field(default_factory=list)
    unique: list[float] = field(default_factory=list)
    """MiB."""
    own: list[float] = field(default_factory=list)
    """MiB that no file backs; the unique set where the system does not say."""
    proportional: list[float] = field(default_factory=list)
    """MiB, the ring shared out among those that map it; empty where the system does not say."""
    resident: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def sample(self, process: psutil.Process, seconds: float) -> None:
        """Look at a process. Raises psutil.NoSuchProcess when it is gone."""
        memory = process.memory_full_info()
        self.seconds.append(seconds)
        self.unique.append(memory.uss / MIB)
        self.own.append((_without_file(process.pid) or memory.uss) / MIB)
        self.resident.append(memory.rss / MIB)
        if hasattr(memory, "pss"):
            self.proportional.append(memory.pss / MIB)
        self.threads.append(process.num_threads())
        self.files.append(process.num_fds() if hasattr(process, "num_fds") else process.num_handles())

    def growth(self) -> Spread | None:
        """Growth in MiB/h: the median slope between the levels in tenths of the time.

        A level is a median, since pictures come and go (1 MiB in the supervisor); the slope that of all pairs
        (Theil and Sen), since one step up is no leak. The range is that of the middle half of the slopes.
        None below PARTS samples.
        """
        if len(self.seconds) < PARTS:
            return None
        hours = np.array([part.mean() for part in np.array_split(np.array(self.seconds) / 3600, PARTS)])
        levels = np.array([np.median(part) for part in np.array_split(np.array(self.own), PARTS)])
        early, late = np.triu_indices(PARTS, 1)
        slopes = (levels[late] - levels[early]) / (hours[late] - hours[early])
        low, median, high = np.percentile(slopes, (25, 50, 75))
        return Spread(float(median), float(low), float(high))


def _without_file(pid: int) -> int | None:
    """Bytes that no file backs; None where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) for line in lines if line.startswith("Anonymous:")]
    return sizes[0] * 1024 if sizes else None


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench memory`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    tracks = follow(plan)
    gates: list[Gate] = []
    for name, track in tracks.items():
        gates.append(at_most(f"{name}: unique memory, MiB", max(track.unique), UNIQUE_MB))
        if plan.judge_growth:
            growth = track.growth()
            slope = None if growth is None else growth.median
            gates.append(at_most(f"{name}: growth, MiB/h", slope, GROWTH_MB_H))
            gates.append(_flat(f"{name}: files opened and kept", track.files))
            gates.append(_flat(f"{name}: threads begun and kept", track.threads))
    h, w = plan.shape
    return {
        "title": f"Memory: {h}x{w} uint16 at {plan.rate} frames/s for {plan.seconds:g} s",
        "rows": [_row(name, track) for name, track in tracks.items()],
        "gates": gates,
    }


def follow(plan: Plan) -> Mapping[str, Track]:
    """Run ``livem live`` with a viewer without a window, and sample all of its processes."""
    h, w = plan.shape
    url = f"sim:4dstem?shape={h}x{w}&scan=128x128&fps={plan.rate}&repeats=0"
    with (
        tempfile.TemporaryDirectory(prefix="livem-bench-") as out,
        Program("live", url, "--headless", "--out", str(Path(out))) as program,
        ControlClient(program.address()) as control,
    ):
        processes = _processes(control, program)
        return _sampled(processes, plan, program)


def _processes(control: ControlClient, program: Program) -> Mapping[str, psutil.Process]:
    """The session's processes by name, once frames come in."""
    pause = Event()
    while (status := _status(control))["state"] not in STATES:
        if program.age > READY_S:
            raise SessionError(f"no frame within {READY_S:g} s: {status['message']}")
        pause.wait(0.1)
    pids = {"supervisor": program.pid, **status["processes"]}
    return {name: psutil.Process(pid) for name, pid in pids.items()}


def _status(control: ControlClient) -> Mapping[str, Any]:
    status: Mapping[str, Any] = control.request({"do": "status"})["status"]
    return status


def _sampled(processes: Mapping[str, psutil.Process], plan: Plan, program: Program) -> Mapping[str, Track]:
    tracks = {name: Track() for name in processes}
    pause = Event()
    pause.wait(plan.warm_up)
    begin = time.monotonic()
    while (elapsed := time.monotonic() - begin) <= plan.seconds:
        for name, process in processes.items():
            try:
                tracks[name].sample(process, elapsed)
            except psutil.NoSuchProcess as error:
                raise SessionError(f"{name} ended after {program.age:.0f} s of a measured session") from error
        pause.wait(plan.interval)
    return tracks


def _row(name: str, track: Track) -> Row:
    return {
        "process": name,
        "unique, MiB": str(Spread.of(track.unique)),
        "without a file, MiB": str(Spread.of(track.own)),
        "growth, MiB/h": str(track.growth() or ""),
        "PSS, MiB": str(Spread.of(track.proportional)) if track.proportional else "",
        "RSS, MiB": str(Spread.of(track.resident)),
        "files": f"{min(track.files)} to {max(track.files)}",
        "threads": f"{min(track.threads)} to {max(track.threads)}",
    }


def _flat(name: str, counts: Sequence[int]) -> Gate:
    """No more at the end (median of the last tenth) than at the begin (of the first tenth)."""
    tenth = max(1, len(counts) // 10)
    return at_most(name, float(np.median(counts[-tenth:]) - np.median(counts[:tenth])), 0)
