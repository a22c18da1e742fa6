"""Particles found, and followed: how many, how exactly, how fast; trackpy beside it if installed.

The movies are those of a generator with ground truth, and are scored by its scorer: both are modules
``synth_movie`` and ``score_tracks`` in the folder that LIVEM_BENCH_TRACKING names. Detection's thresholds are
its own; trackpy gets the best one of the scored frames themselves. Rates are those of two threads with frames
of their own against trackpy's, in rounds one right after the other. `tracking_end` follows particles through
whole movies, `tracking_rate` counts frames a second of the whole pipeline.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..kernels.tracking.detect import Detector
from ..kernels.tracking.options import DetectorOptions
from ..kernels.tracking.table import Flag
from . import tracking_end, tracking_rate
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios

FOLDER_VARIABLE = "LIVEM_BENCH_TRACKING"
F1 = {(200, 2): 0.98, (200, 4): 0.995, (1000, 2): 0.95, (1000, 4): 0.99}
"""By particles and signal to noise of a pixel; at 1 tracks are needed."""
FLOORS = {1: 1.25, 2: 1.25, 4: 1.4}
"""Error of the position, in the Cramer-Rao floor."""
RADIUS_BIAS, RADIUS_RMSE = 0.1, 0.4
FASTER = {200: 12.0, 1000: 10.0}
SKIPPED = 5
"""First frames, that a guess may be made from, are not scored."""
BORDER = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    counts: tuple[int, ...]
    snr: tuple[int, ...]
    seed: int
    frames: int
    rounds: int


@dataclass(frozen=True, slots=True)
class EndPlan:
    """How much is followed."""

    frames: int
    """Of each movie."""
    rates: tuple[tuple[int, int, int, int], ...]
    """Size, particles, frames, and how often they are played."""
    session: bool


FULL = Plan((200, 1000), (1, 2, 4), 11, 20, 7)
QUICK = Plan((200,), (2,), 11, 4, 3)
FULL_END = EndPlan(200, ((512, 200, 60, 30), (1024, 1000, 30, 20)), session=True)
QUICK_END = EndPlan(24, ((512, 200, 16, 3),), session=False)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench tracking`` shows."""
    name = os.environ.get(FOLDER_VARIABLE)
    plan, folder = QUICK if quick else FULL, None if name is None else Path(name)
    found = measure(plan, folder)
    return (
        found
        if folder is None
        else {**found, **follow(plan, QUICK_END if quick else FULL_END, folder, found)}
    )


def follow(plan: Plan, end: EndPlan, folder: Path, found: Measured) -> Measured:
    """Parts and all gates: tracks of whole movies, and frames a second of the whole pipeline."""
    simulate, scorer = _module(folder, "synth_movie"), _module(folder, "score_tracks")
    cases = (
        tracking_end.Case.of(simulate, count, snr, plan.seed, end.frames)
        for count in plan.counts
        for snr in plan.snr
    )
    rows, gates = tracking_end.measure(scorer, cases)
    rates: list[Row] = []
    for size, count, frames, times in end.rates:
        more, promised = tracking_rate.measure(simulate, size, count, frames, times, end.session)
        rates.extend(more)
        gates.extend(promised)
    parts = [
        {"title": "Followed by the consumer, all automatic", "rows": rows},
        {"title": "The whole pipeline, frames a second", "rows": rates},
    ]
    return {"parts": parts, "gates": [*found["gates"], *gates]}


def measure(plan: Plan, folder: Path | None) -> Measured:
    """All cases; without the generator there is nothing to find."""
    title = "Particles: finding and following them"
    if folder is None:
        title += f"; no movies: name the folder of synth_movie.py and score_tracks.py in {FOLDER_VARIABLE}"
        return {"title": title, "rows": [], "gates": []}
    simulate, score = _module(folder, "synth_movie"), _module(folder, "score_tracks")
    rows: list[Row] = []
    gates: list[Gate] = []
    for count in plan.counts:
        for snr in plan.snr:
            case = _Case(simulate, score, count, snr, plan)
            rows.extend(case.rows(plan.rounds))
            gates.extend(case.gates)
    return {"title": title, "rows": rows, "gates": gates}


class _Case:
    """A movie, and what is found in it."""

    def __init__(self, simulate: Any, score: Any, count: int, snr: int, plan: Plan) -> None:
        self.name, self.count, self.snr, self._score = f"N={count}, SNR {snr}", count, snr, score
        self.radius = 3.0 if count >= 800 else 4.0
        physics = {"n": count, "snr": float(snr), "r_mean": self.radius, "seed": plan.seed}
        made = list(simulate.simulate(size=512, frames=SKIPPED + plan.frames, **physics))[SKIPPED:]
        self.frames = [frame for frame, _, _ in made]
        truth = np.vstack([rows for _, rows, _ in made])
        floor = simulate.crlb({**simulate.DEFAULT, **physics}, truth[:, 4])
        columns = ("frame", "id", "x", "y", "r", "contrast")
        self.truth = dict(zip(columns, truth.T, strict=True)) | {"crlb": floor}
        self.gates: list[Gate] = []

    def rows(self, rounds: int) -> list[Row]:
        """Ours and, if it is there, trackpy's."""
        detector = Detector((512, 512), DetectorOptions(radius=self.radius))
        found = [detector.detect(frame) for frame in self.frames]
        kept = [rows[(rows["flags"] & Flag.WEAK) == 0] for rows in found]
        ours = self._scored([np.column_stack([r["x"], r["y"], r["radius"]]) for r in kept])
        self._judge(ours)
        locate = _trackpy(2 * round(1.25 * self.radius) + 1)
        if locate is None:
            return [self._row("livem", ours, None, None)]
        peer, threshold = self._tuned([locate(frame, None) for frame in self.frames[:6]])
        some = self.frames[:4]
        times: list[float] = []
        peers: list[float] = []
        with ThreadPoolExecutor(2) as pool:
            for _ in range(rounds):
                times.append(_seconds(lambda: list(pool.map(detector.detect, some))) / len(some))
                peers.append(_seconds(lambda: locate(self.frames[0], threshold)))
        faster = ratios(peers, times)
        self.gates.append(at_least(f"{self.name}: rate in trackpy's", faster.median, FASTER[self.count]))
        mine = self._row("livem", ours, Spread.of([1e3 * t for t in times]), faster)
        return [mine, self._row("trackpy", peer, Spread.of([1e3 * t for t in peers]), None)]

    def _scored(self, found: Sequence[Any]) -> dict[str, float]:
        """Figures of tables (n, >= 2) x, y[, r], one a frame."""
        number = np.concatenate([np.full(len(t), SKIPPED + i) for i, t in enumerate(found)])
        table = np.concatenate([t[:, :3] for t in found])
        given = {"frame": number, **dict(zip(("x", "y", "r"), table.T, strict=False))}
        frames = (SKIPPED, SKIPPED + len(found))
        scored: dict[str, float] = self._score.score(self.truth, given, det=True, border=BORDER, fr=frames)
        return scored

    def _tuned(self, found: Sequence[Any]) -> tuple[dict[str, float], float]:
        """Figures of the threshold on mass with the best F1, and that threshold."""
        masses = np.concatenate([t[:, 2] for t in found])
        tried = [float(m) for m in np.quantile(masses, np.linspace(0, 0.98, 40))]
        scored = [self._scored([t[t[:, 2] >= m][:, :2] for t in found]) for m in tried]
        best = int(np.argmax([s["F1"] for s in scored]))
        return scored[best], tried[best]

    def _judge(self, ours: dict[str, float]) -> None:
        name, floor = self.name, ours["rmse"] / ours["crlb"]
        if (self.count, self.snr) in F1:
            self.gates.append(at_least(f"{name}: F1", ours["F1"], F1[self.count, self.snr]))
        self.gates.append(at_most(f"{name}: position error in the floor", floor, FLOORS[self.snr]))
        if self.snr == 2:
            self.gates.append(at_most(f"{name}: bias of the radius, px", abs(ours["r_bias"]), RADIUS_BIAS))
            self.gates.append(at_most(f"{name}: error of the radius, px", ours["r_rmse"], RADIUS_RMSE))

    def _row(self, way: str, scored: dict[str, float], ms: Spread | None, faster: Spread | None) -> Row:
        return {
            "movie": self.name,
            "by": way,
            "F1": f"{scored['F1']:.3f}",
            "precision": f"{scored['precision']:.3f}",
            "recall": f"{scored['recall']:.3f}",
            "error/floor": f"{scored['rmse'] / scored['crlb']:.2f}",
            "ms a frame": "" if ms is None else str(ms),
            "in trackpy's rate": "" if faster is None else str(faster),
        }


def _trackpy(diameter: int) -> Callable[[Any, float | None], Any] | None:
    """Dark features of a frame as (n, 3) x, y, mass; None where trackpy is not installed."""
    if importlib.util.find_spec("trackpy") is None:
        return None
    import trackpy

    trackpy.quiet()

    def locate(frame: Any, mass: float | None) -> Any:
        found = trackpy.locate(
            frame.astype(np.float32), diameter, minmass=mass or 0, invert=True, engine="numba"
        )
        return found[["x", "y", "mass"]].to_numpy()

    return locate


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _module(folder: Path, name: str) -> Any:
    """A module from a file of the folder."""
    path = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"{path} is not there: {FOLDER_VARIABLE} names the folder of the generator")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # else numba caches its functions as those of no module, and cannot load them
    spec.loader.exec_module(module)
    return module
