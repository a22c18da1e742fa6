"""Decoding bslz4 frames: ours, a batch in one call, beside dectris-compression, one thread each.

Both take turns at the same blobs. Of dectris-compression its bare call is timed, which leaves a frame in
bytes of its own: a copy into the block that a consumer gets would come on top. Counts alone are the kind
case; pixels that are 65,535 in every frame set all planes and break the zero runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from dectris.compression import decompress

from ..kernels.bslz4 import encode
from ..kernels.encoded.frames import decode_frames
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios

MEAN_COUNTS = (0.05, 0.3, 2.0, 20.0)
"""Of a pixel."""
BAD_PIXELS = (0, 20, 200)
DTYPES = ("uint8", "uint16", "uint32")
JUDGED = "uint16"
"""The dtype that the promised ratios are for: what counting detectors send."""
CLEAN_RATIO = 2.0
"""Up to 2 counts a pixel, without bad pixels."""
BAD_RATIO = 1.1
"""With 200 bad pixels, at every dose."""
SPARSE = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    frames: int
    """Different ones, per case: decoded they are 4 MiB of uint16, more than a core's L2 holds."""
    rounds: int
    shape: tuple[int, int] = (256, 256)
    dtypes: tuple[str, ...] = DTYPES


FULL = Plan(32, 21)
QUICK = Plan(8, 3)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench decoding`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    cases = [
        Case.of(plan, dtype, mean, bad) for dtype in plan.dtypes for mean in MEAN_COUNTS for bad in BAD_PIXELS
    ]
    for _ in range(plan.rounds):
        for case in cases:
            case.take_turns()
    h, w = plan.shape
    return {
        "title": f"Decoding {h}x{w} bslz4 frames, one thread, us a frame",
        "rows": [case.row() for case in cases],
        "gates": list(_gates(cases)),
    }


@dataclass(slots=True)
class Case:
    """Blobs of one dtype, dose and number of bad pixels, and how long decoding them took."""

    dtype: str
    mean: float
    bad: int
    blobs: list[bytes]
    frames: npt.NDArray[Any]
    """(n, h, w) what they hold."""
    payload: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    ours: list[float] = field(default_factory=list)
    """us a frame, one a round."""
    theirs: list[float] = field(default_factory=list)
    wrong: int = 0
    """Frames that either got wrong; looked at in the first round."""

    @classmethod
    def of(cls, plan: Plan, dtype: str, mean: float, bad: int) -> Case:
        rng = np.random.default_rng(0)
        most = np.iinfo(dtype).max
        frames = np.minimum(rng.poisson(mean, (plan.frames, *plan.shape)), most).astype(dtype)
        pixels = frames.reshape(plan.frames, -1)
        pixels[:, rng.choice(pixels.shape[1], bad, replace=False)] = most
        blobs = [encode(frame) for frame in frames]
        offsets = np.cumsum([0, *map(len, blobs)], dtype=np.int64)
        return cls(dtype, mean, bad, blobs, frames, np.frombuffer(b"".join(blobs), np.uint8), offsets)

    def take_turns(self) -> None:
        """One round of each."""
        out, status = np.empty_like(self.frames), np.ones(len(self.frames), np.int8)
        out[:] = 1  # empty() alone maps nothing
        started = time.perf_counter()
        decode_frames(self.payload, self.offsets, out, status)
        between = time.perf_counter()
        sizes = [len(decompress(blob, "bslz4", elem_size=out.itemsize)) for blob in self.blobs]
        ended = time.perf_counter()
        if not self.ours:
            same = (out == self.frames).all(axis=(1, 2)) & (np.array(sizes) == out[0].nbytes)
            self.wrong = int(np.count_nonzero(~same | (status != 0)))
        self.ours.append(1e6 * (between - started) / len(out))
        self.theirs.append(1e6 * (ended - between) / len(out))

    @property
    def ratio(self) -> Spread:
        return ratios(self.theirs, self.ours)

    def row(self) -> Row:
        return {
            "dtype": self.dtype,
            "counts/px": self.mean,
            "bad pixels": self.bad,
            "bytes": len(self.payload) // len(self.blobs),
            "ours": str(Spread.of(self.ours)),
            "dectris-compression": str(Spread.of(self.theirs)),
            "x faster": str(self.ratio),
        }


def _gates(cases: list[Case]) -> Iterator[Gate]:
    judged = [case for case in cases if case.dtype == JUDGED]
    clean = [case.ratio.median for case in judged if case.bad == 0 and case.mean <= SPARSE]
    bad = [case.ratio.median for case in judged if case.bad == max(BAD_PIXELS)]
    name = f"{JUDGED}, dectris-compression's time over ours"
    yield at_least(f"{name}: clean, up to {SPARSE:g} counts/px", min(clean, default=None), CLEAN_RATIO)
    yield at_least(f"{name}: {max(BAD_PIXELS)} bad pixels, any dose", min(bad, default=None), BAD_RATIO)
    yield at_most("frames decoded wrongly", sum(case.wrong for case in cases), 0)
