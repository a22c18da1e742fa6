"""Sums from the bit planes of blobs, against decoding and summing pixels, and how cost grows.

Kernels alone, from memory, a batch in one call; our own decoder and dectris-compression take turns with the
plan in every round. Frames are Poisson counts; bad pixels are saturated in every frame and in no region.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from dectris.compression import decompress

from ..kernels.bslz4 import encode
from ..kernels.encoded.frames import decode_frames
from ..kernels.encoded.plan import EncodedPlan, compile_plan
from ..kernels.masks import Mask, annulus, frame_center
from ..kernels.reduce import Region, Regions, reduce_block
from .figures import Measured, Row, Spread, at_least, ratios

ONE_RATE, THREE_RATE = 75_000.0, 60_000.0
"""Frames/s of one core, 256 x 256 uint16, 0.3 counts/px: one annulus; three and a centre of mass."""
THREADS_GAIN = 1.7
THREADS_LONGER = 4
"""Times as long: threads that have just begun share a core for some milliseconds, which a pool's do not."""
BATCH_BYTES = 64 * 256 * 256 * 2
"""Of decoded frames: 64 of 256 x 256 uint16 a call, and one of 4096 x 4096."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row."""

    side: int = 256
    """Pixels of a row and of a column."""
    annuli: int = 1
    com: bool = False
    """Also the centre of mass of the whole frame."""
    dose: float = 0.3
    """Counts a pixel."""
    bad: int = 0

    @property
    def frames(self) -> int:
        return max(1, BATCH_BYTES // (2 * self.side**2))


ONE, THREE = Case(), Case(annuli=3, com=True)
QUICK = (ONE, THREE, replace(THREE, bad=200))
FULL = (
    *(replace(case, side=side) for side in (128, 192, 256, 512, 1024, 2048, 4096) for case in (ONE, THREE)),
    *(Case(annuli=annuli, com=com) for annuli in (2, 4, 8, 16) for com in (False, True)),
    *(replace(case, dose=dose) for dose in (0.05, 2.0, 20.0) for case in (ONE, THREE)),
    *(
        replace(case, dose=dose, bad=bad)
        for dose in (0.3, 20.0)
        for bad in (20, 200)
        for case in (ONE, THREE)
    ),
)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench encoded`` shows."""
    return measure(QUICK, 3, 0.05) if quick else measure(FULL, 7, 0.05)


def measure(cases: Sequence[Case], rounds: int, seconds: float) -> Measured:
    found = {case: _compared(case, rounds, seconds) for case in cases}
    gates = []
    for case, limit in ((ONE, ONE_RATE), (THREE, THREE_RATE)):
        one, two = found[case].plan, found[case].threads
        gates += [
            at_least(f"{_name(case)}: frames/s of one core", 1e6 / Spread.of(one).median, limit),
            at_least(f"{_name(case)}: two threads / one", ratios(one, two).median, THREADS_GAIN),
        ]
    rows = [_row(case, times) for case, times in found.items()]
    return {"title": "Sums from compressed frames, uint16 bslz4, us a frame", "rows": rows, "gates": gates}


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds a frame, round by round."""

    plan: list[float]
    threads: list[float]
    """Two threads with one plan."""
    own: list[float]
    peer: list[float]


def _row(case: Case, times: Times) -> Row:
    return {
        "frame": f"{case.side}x{case.side}",
        "regions": _name(case),
        "counts/px": case.dose,
        "bad px": case.bad,
        "plan": str(Spread.of(times.plan)),
        "2 threads": str(Spread.of(times.threads)),
        "x threads": str(ratios(times.plan, times.threads)),
        "own decoder / plan": str(ratios(times.own, times.plan)),
        "dectris-compression / plan": str(ratios(times.peer, times.plan)),
    }


def _name(case: Case) -> str:
    plural = "annulus" if case.annuli == 1 else "annuli"
    return f"{case.annuli} {plural}" + (" + CoM" if case.com else "")


def _compared(case: Case, rounds: int, seconds: float) -> Times:
    batch = Batch(case)
    batch.check()
    ways = (batch.encoded, batch.both, batch.decoded, batch.peer)
    repeats = [_repeats(way, seconds) for way in ways]
    repeats[0] *= THREADS_LONGER
    repeats[1] = repeats[0]
    times = Times([], [], [], [])
    for _ in range(rounds):
        each = [_timed(way, count) / case.frames for way, count in zip(ways, repeats, strict=True)]
        times.plan.append(each[0])
        times.threads.append(each[1] / 2)
        times.own.append(each[2])
        times.peer.append(each[3])
    return times


def _repeats(way: Callable[[int], object], seconds: float) -> int:
    """How often to call so that it takes so long."""
    return max(1, round(1e6 * seconds / _timed(way, 1)))


def _timed(way: Callable[[int], object], count: int) -> float:
    """Microseconds a call."""
    started = time.perf_counter()
    way(count)
    return 1e6 * (time.perf_counter() - started) / count


class Batch:
    """Blobs of one case, and the ways to their sums; each takes how often to go it."""

    def __init__(self, case: Case) -> None:
        self.shape, count = (case.side, case.side), case.frames
        rng = np.random.default_rng(0)
        self.frames = rng.poisson(case.dose, (count, *self.shape)).astype(np.uint16)
        live = np.ones(self.shape, bool)
        live.flat[rng.choice(live.size, case.bad, replace=False)] = False
        self.frames[:, ~live] = 65_535
        self.blobs = [np.frombuffer(encode(frame), np.uint8) for frame in self.frames]
        self.payload = np.concatenate(self.blobs)
        self.offsets = np.cumsum([0, *map(len, self.blobs)])
        self.plan = _plan(case, live)
        self.regions: Regions = self.plan.regions
        self.tile = np.empty_like(self.frames)
        self.status = np.empty(count, np.int8)

    def encoded(self, repeats: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        count, d = len(self.frames), len(self.plan)
        sums, moments = np.empty((count, d), np.int64), np.empty((count, d, 2), np.int64)
        status = np.empty(count, np.int8)
        for _ in range(repeats):
            self.plan.run(self.payload, self.offsets, sums, moments, status)
        return sums, moments

    def both(self, repeats: int) -> None:
        threads = [threading.Thread(target=self.encoded, args=(repeats,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def decoded(self, repeats: int) -> None:
        for _ in range(repeats):
            decode_frames(self.payload, self.offsets, self.tile, self.status)
            reduce_block(self.tile, self.regions)

    def peer(self, repeats: int) -> None:
        for _ in range(repeats):
            for blob, frame in zip(self.blobs, self.tile, strict=True):
                raw = decompress(blob, "bslz4", elem_size=2)
                frame[:] = np.frombuffer(raw, np.uint16).reshape(self.shape)
            reduce_block(self.tile, self.regions)

    def check(self) -> None:
        """All ways give the same; this also compiles them. Raises AssertionError."""
        reduction, wanted = self.plan.reduction(*self.encoded(1)), reduce_block(self.frames, self.regions)
        np.testing.assert_array_equal(reduction.sums, wanted.sums)
        np.testing.assert_array_equal(reduction.com, wanted.com)
        for way in (self.both, self.decoded, self.peer):
            way(1)
        np.testing.assert_array_equal(self.tile, self.frames)


def _plan(case: Case, live: Mask) -> EncodedPlan:
    shape, whole = (case.side, case.side), np.ones((case.side, case.side), bool)
    width = case.side / 2 / case.annuli
    regions = [Region(annulus(shape, i * width, (i + 1) * width)) for i in range(case.annuli)]
    if case.com:
        regions.append(Region(whole, frame_center(shape)))
    plan = compile_plan(shape, np.uint16, regions, live)
    assert plan is not None, f"no plan for frames of {shape}"
    return plan
