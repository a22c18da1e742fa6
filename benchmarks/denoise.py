"""Frames of few electrons against the programs that denoise elsewhere: quality, and what it costs; then
movies, simulated ones and those of microscopes, and whole sessions.

Real images are used where LIVEM_BENCH_DATA names their folder. Times are CPU times of one thread, and frames
a second those of two threads, each with frames of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..kernels.denoise.frames import LEVELS, FrameFilter
from . import denoise_movies, denoise_real, denoise_session
from .denoise_peers import BM3D, Denoiser, denoisers, missing
from .denoise_scenes import CountedFrame, frames_of
from .figures import Gate, Measured, Row, Spread, at_least, at_most
from .inpaint_scenes import DATA_VARIABLE, data_folder

BELOW_BM3D_DB = 0.3
CPU_MS = 40.0
"""Of a frame of 256 x 256 pixels: 50 frames/s on 2 cores."""
FRAMES_PER_S = 50.0
BEST = list(LEVELS)[-1]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    doses: tuple[float, ...]
    """Electrons a pixel."""
    seeds: int
    rounds: int
    side: int = 256
    peers: bool = True


@dataclass(frozen=True, slots=True)
class RealPlan:
    """How much of the movies of microscopes."""

    side: int
    frames: int


FULL = Plan((1.0, 5.0, 20.0), 3, 15)
QUICK = Plan((1.0, 5.0), 1, 3)
REAL, REAL_QUICK = RealPlan(512, 20), RealPlan(128, 12)
MINUTES, MINUTES_QUICK = 10.0, 0.1
"""Of the session whose memory is watched; that of larger frames has a tenth of it, and at least 6 s."""
LEAST_S = 6.0


def run(quick: bool, minutes: float | None = None) -> Measured:
    """Measure; what ``livem bench denoise`` shows. ``minutes``: of the session whose memory is watched."""
    folder, real = data_folder(), REAL_QUICK if quick else REAL
    frames = measure(QUICK if quick else FULL, folder)
    movies = denoise_movies.run(quick)
    microscopes = denoise_real.rows(folder, real.side, real.frames)
    watched = 60 * (minutes if minutes is not None else MINUTES_QUICK if quick else MINUTES)
    lengths = {256: max(watched, LEAST_S), 512: max(watched / 10, LEAST_S)}
    sessions = [denoise_session.measure(side, seconds) for side, seconds in lengths.items()]
    parts = [
        movies,
        {"title": "Movies of microscopes, without a truth", "rows": microscopes},
        {"title": "Denoised in a session", "rows": [row for rows, _ in sessions for row in rows]},
    ]
    gates = [*frames["gates"], *movies["gates"], *(gate for _, gates in sessions for gate in gates)]
    return {**frames, "parts": parts, "gates": gates}


def measure(plan: Plan, folder: Path | None) -> Measured:
    """Single frames, with real images where there are any."""
    others = denoisers() if plan.peers else {}
    ways: dict[str, Denoiser] = {name: level.denoise for name, level in LEVELS.items()} | dict(others)
    rows: list[Row] = []
    gates: list[Gate] = []
    for scene, truth in frames_of(folder, plan.side).items():
        for dose in plan.doses:
            frames = [CountedFrame.of(truth, dose, seed) for seed in range(plan.seeds)]
            db = {way: _db(denoise, frames) for way, denoise in ways.items()}
            counts = float(np.mean([frame.db_of_counts(frame.counts) for frame in frames]))
            rows.append(
                {"scene": scene, "e-/px": dose, "counts": round(counts, 2)}
                | {way: round(value, 2) for way, value in db.items()}
            )
            if BM3D in db:
                name = f"{scene}, {dose:g} e-/px: {BEST}, dB above {BM3D}"
                gates.append(at_least(name, round(db[BEST] - db[BM3D], 3), -BELOW_BM3D_DB))
    frame = CountedFrame.of(frames_of(None, plan.side)["particles"], 5.0)
    speed = {way: _cpu_ms(denoise, frame, plan.rounds) for way, denoise in ways.items()}
    rows.append(
        {"scene": "CPU ms a frame", "e-/px": "", "counts": ""} | {w: str(ms) for w, ms in speed.items()}
    )
    cost = f"{BEST}: CPU ms of a frame of {plan.side}x{plan.side}, the fastest round"
    gates.append(at_most(cost, speed[BEST].low, CPU_MS))
    rate = f"{BEST}: frames/s of two threads, {plan.side}x{plan.side}"
    gates.append(at_least(rate, _frames_per_s(frame, plan.rounds), FRAMES_PER_S))
    return {"title": _title(plan, folder), "rows": rows, "gates": gates}


def _title(plan: Plan, folder: Path | None) -> str:
    notes = [f"without {name}: pip install {name}" for name in missing()] if plan.peers else []
    if folder is None:
        notes.append(f"without real images: {DATA_VARIABLE} names no folder")
    return f"Frames denoised, PSNR in dB{''.join(f'; {note}' for note in notes)}"


def _db(denoise: Denoiser, frames: list[CountedFrame]) -> float:
    """Mean over the draws of the noise."""
    return float(np.mean([frame.db(denoise(frame.stabilised)) for frame in frames]))


def _cpu_ms(denoise: Denoiser, frame: CountedFrame, rounds: int) -> Spread:
    """Of this thread and those that a peer starts; once where it takes seconds."""
    stabilised, times = frame.stabilised, list[float]()
    while len(times) < rounds and sum(times) < 2000:
        before = time.process_time()
        denoise(stabilised)
        times.append(1e3 * (time.process_time() - before))
    return Spread.of(times)


def _frames_per_s(frame: CountedFrame, rounds: int) -> float:
    """Counts in, expected counts out."""
    stack = np.stack([frame.counts] * max(2, 2 * rounds))
    before = time.perf_counter()
    FrameFilter().frames(stack, threads=2)
    return len(stack) / (time.perf_counter() - before)
