"""Movies of which the truth is known, denoised while they come: quality, drift and time, in one run.

Quality is told above the raw frames, so that it depends on no choice of a range. BM3D (each frame by itself,
stabilised) is the reference where it is installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..kernels.denoise.drift import DriftTracker
from ..kernels.denoise.movies import MovieFilter
from ..kernels.denoise.recursions import Exponential, PixelKalman, Recursion
from ..kernels.noise import NoiseModel
from ..stream.simulate.in_situ import ABSORPTION_LENGTH, InSitu
from .figures import Gate, Measured, Row, at_least, at_most
from .inpaint_scenes import grains

Movie = npt.NDArray[np.float32]
"""(n, h, w) electrons."""
Rims = npt.NDArray[np.bool_]
"""(n, h, w) pixels within BAND of a particle's rim."""

GAIN_DB = 19.85
"""Above the raw frames: 37.3 dB where they have 17.45."""
BM3D_DB = {1.0: 0.96, 20.0: 0.0}
"""Above BM3D of each frame, by electrons a pixel: in the movie that the promise is from, and never below."""
DRIFT_DB, DRIFT = 0.5, 0.5
"""Cost, and px per frame along each axis."""
CPU_MS = {256: 40.0, 512: 133.0}
"""50 and 15 frames/s on two cores."""
OFF = 0.1
"""px, standard deviation of the drift that is found."""
SETTLED = 15
"""Frames before which no figure counts."""
BAND = 3.0
"""px on both sides of a particle's rim."""
COUNTS = NoiseModel()
DARK, BRIGHT, CRYSTAL = "dark particles", "bright particles", "crystal"
OURS, BM3D = "livem, movie", "VST + BM3D, each frame"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    frames: int
    side: int
    doses: tuple[float, ...]
    sides: tuple[int, ...]
    """Whose time is measured."""
    bm3d: int
    """Frames that BM3D is given: 4 s each at 256 x 256."""


FULL = Plan(60, 256, (1.0, 5.0, 20.0), (256, 512), 5)
QUICK = Plan(35, 256, (1.0,), (256, 512), 2)

Part = tuple[Sequence[Row], Sequence[Gate]]


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    """All of it."""
    parts = [
        *(quality(plan, scene, dose) for scene in (DARK, BRIGHT) for dose in plan.doses),
        drift(plan),
        *(speed(side) for side in plan.sides),
    ]
    note = "" if find_spec("bm3d") else "; without bm3d: pip install bm3d"
    return {
        "title": f"Denoising movies{note}",
        "rows": [row for rows, _ in parts for row in rows],
        "gates": [gate for _, gates in parts for gate in gates],
    }


def particles(
    scene: str, dose: float, frames: int, side: int, wander: float = 8.0, seed: int = 0
) -> tuple[Movie, Rims]:
    """The simulated in situ movie: expected electrons, and which pixels are near a rim (n, h, w), bool.

    DARK: as it comes, ``dose`` electrons a pixel on the bright field, 1.25 where it is brightest. BRIGHT: the
    thickness of the particles on 0.62 of the mean dose, so that raw frames have about 17 dB at 1 e-/px.
    """
    sim = InSitu.open(f"shape={side}x{side}&frames={frames}&dose={dose}&drift={wander}&seed={seed}")
    truth = sim.clean(0, frames)
    rims = _rims(sim, frames)
    if scene == BRIGHT:
        thickness = -np.log(truth / sim.background) * ABSORPTION_LENGTH
        truth = dose * (0.69 + 0.31 * thickness / thickness.mean())
    return truth.astype(np.float32), rims


def _rims(sim: InSitu, frames: int) -> Rims:
    y, x = np.mgrid[: sim.shape[0], : sim.shape[1]]
    rims = np.zeros((frames, *sim.shape), np.bool_)
    for row in sim.truth()["particles"]:
        distance = np.hypot(y - row["y"], x - row["x"]) - row["radius"]
        rims[int(row["frame"])] |= np.abs(distance) < BAND
    return rims


def counted(truth: Movie) -> Movie:
    """With counting noise, the same each time."""
    return np.random.default_rng(5).poisson(truth).astype(np.float32)


def psnr(found: Movie, truth: Movie) -> float:
    """dB; the range is the truth's own."""
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((found.astype(np.float64) - truth) ** 2)))


def ways() -> dict[str, Callable[[], Recursion]]:
    """Causal filters by name."""
    return {"exponential": Exponential, "Kalman, each pixel": PixelKalman, OURS: MovieFilter}


def estimates(filter_: Recursion, frames: Movie) -> tuple[Movie, float]:
    """Estimates in electrons, and ms of processor time a frame."""
    stabilised = COUNTS.stabilise(frames)
    start = time.process_time()
    found = [filter_.add(frame).values.copy() for frame in stabilised]
    each = 1e3 * (time.process_time() - start) / len(frames)
    return COUNTS.unstabilise(np.array(found)), each


def quality(plan: Plan, scene: str, dose: float) -> Part:
    """Ours and others' estimates of the same frames: over all, and in a band around what moves."""
    truth, rims = particles(scene, dose, plan.frames, plan.side)
    frames = counted(truth)
    late = slice(min(SETTLED, plan.frames // 2), None)
    where = f"{scene}, {dose:g} e-/px"
    db: dict[str, float] = {}
    rows: list[Row] = []

    def tell(way: str, found: Movie, at: Any, each: float | None) -> None:
        db[way] = psnr(found[at], truth[at])
        rim = psnr(found[at][rims[at]], truth[at][rims[at]])
        rows.append({"movie": where, "way": way, "dB": db[way], "dB at rims": rim, "CPU ms": each})

    tell("raw", frames, late, None)
    for name, make in ways().items():
        tell(name, *_with_time(estimates(make(), frames), late))
    gates = []
    if scene == DARK and dose == 1.0:
        gates.append(at_least(f"{where}: dB above raw", db[OURS] - db["raw"], GAIN_DB))
    chosen = np.linspace(late.start, plan.frames - 1, plan.bm3d).astype(int)
    if find_spec("bm3d") and plan.bm3d:
        some, each = bm3d(frames[chosen])
        found = np.zeros_like(truth)
        found[chosen] = some
        tell(BM3D, found, chosen, each)
        ours = estimates(MovieFilter(), frames[: chosen[-1] + 1])[0]
        tell(f"{OURS}, the same frames", ours, chosen, None)
        ahead = db[f"{OURS}, the same frames"] - db[BM3D]
        if dose in BM3D_DB:
            gates.append(at_least(f"{where}: dB above BM3D of each frame", ahead, BM3D_DB[dose]))
    return rows, gates


def _with_time(found: tuple[Movie, float], late: slice) -> tuple[Movie, slice, float]:
    return found[0], late, found[1]


def bm3d(frames: Movie) -> tuple[Movie, float]:
    """Each frame by itself, and ms of processor time a frame."""
    program: Any = import_module("bm3d")
    start = time.process_time()
    found = [program.bm3d(COUNTS.stabilise(frame), 1.0) for frame in frames]
    each = 1e3 * (time.process_time() - start) / len(frames)
    return COUNTS.unstabilise(np.array(found, np.float32)), each


def drift(plan: Plan) -> Part:
    """What a tracked drift costs against a field that is known to rest, and how well it is found.

    The error is told in a crystal: particles that diffuse have a drift of their own.
    """
    rows: list[Row] = []
    gates: list[Gate] = []
    for scene in (DARK, BRIGHT, CRYSTAL):
        wide = _wide(scene, plan)
        margin = (wide.shape[1] - plan.side) // 2
        inside = slice(margin, margin + plan.side)
        db, late = {}, slice(min(SETTLED, plan.frames // 2), None)
        for rate in (0.0, DRIFT):
            truth = np.array([ndimage.shift(f, rate * i)[inside, inside] for i, f in enumerate(wide)])
            frames = counted(np.maximum(truth, 0))
            found, off = tracked(frames, rate)
            if rate == 0:
                found = estimates(MovieFilter(), frames)[0]
            db[rate] = psnr(found[late], truth[late])
            where = f"{scene}, 1 e-/px, drift {rate:g} px/frame"
            row = {"movie": where, "way": OURS, "dB": db[rate]}
            if scene == CRYSTAL:
                row["px off"] = off
                gates.append(at_most(f"{where}: px off", off, OFF))
            rows.append(row)
        gates.append(at_most(f"{scene}: a drift costs, dB", db[0.0] - db[DRIFT], DRIFT_DB))
    return rows, gates


def _wide(scene: str, plan: Plan) -> Movie:
    """A movie without drift, of a larger field."""
    side = plan.side + 2 * (8 + int(DRIFT * plan.frames))
    if scene == CRYSTAL:
        return np.repeat(0.5 + 1.8 * grains(side)[None], plan.frames, axis=0)
    return particles(scene, 1.0, plan.frames, side, 0.0)[0]


def tracked(frames: Movie, rate: float) -> tuple[Movie, float]:
    """Estimates with the drift that was found, and the standard deviation of its error in px."""
    tracker, movie = DriftTracker(), MovieFilter()
    stabilised = COUNTS.stabilise(frames)
    found = np.array([movie.add(frame, tracker.add(frame)).values for frame in stabilised])
    error = tracker.curve - rate * np.arange(len(frames))[:, None]
    return COUNTS.unstabilise(found), float(error[len(frames) // 4 :].std(axis=0).max())


def speed(side: int) -> Part:
    """Processor time of a frame, with drift: the whole chain."""
    truth, _ = particles(DARK, 1.0, 12, side)
    stabilised = COUNTS.stabilise(counted(truth))
    each = list(_times(stabilised))[2:]
    value = float(np.median(each))
    where = f"{side}x{side}, with drift"
    return [{"movie": where, "way": OURS, "CPU ms": value}], [
        at_most(f"{where}: CPU ms", value, CPU_MS[side])
    ]


def _times(stabilised: Movie) -> Iterator[float]:
    tracker, movie = DriftTracker(), MovieFilter()
    for frame in stabilised:
        start = time.process_time()
        movie.add(frame, tracker.add(frame))
        yield 1e3 * (time.process_time() - start)
