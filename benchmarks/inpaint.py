"""Sparse scans against the programs that fill holes elsewhere: quality, time, memory, and whether the choice
of the solver is right. Real images are used where LIVEM_BENCH_DATA names their folder.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kernels.inpaint.choice import Candidate
from ..kernels.inpaint.ladders import COSINES, PUSH_PULL, THIN_PLATE
from ..kernels.inpaint.live import WARM, LiveInpainter, Plan, warm_up
from ..kernels.inpaint.samples import SampleField
from ..kernels.inpaint.solution import Budget
from ..kernels.inpaint.wavelet import WaveletThresholds
from ..kernels.noise import NoiseModel
from .figures import Gate, Measured, Row, Spread, at_least, at_most
from .inpaint_peers import BIHARMONIC, FISTA, fillers, missing
from .inpaint_scenes import (
    DATA_VARIABLE,
    GOLD,
    GRAINS,
    LATTICE,
    SILICON,
    SparseScan,
    data_folder,
    grains,
    lattice,
    psnr,
    real_scenes,
    real_spiral,
    scenes,
)
from .inpaint_session import Watched, play

GOLD_DB, BESIDE_DB = 28.9, 0.05
COLD_MS, WARM_MS = {256: 5.0, 512: 12.0}, {256: 1.5, 512: 5.0}
COSINES_COLD_MS, COSINES_WARM_MS = 50.0, 10.0
REGRET_DB, SPIRAL_RMSE = 0.2, 0.1385
SPIRAL_RATIO = 0.1385 / 0.1493
"""Splits differ by 10 %; of the one that the limit is from, this is its share of push-pull's error."""
SPLITS = 8
AUTO = "livem, auto"
BYTES_A_PIXEL, LINEAR = 60.0, 1.5
LIVE_PER_S, LAST_MS, SESSIONS = 25.0, 15.0, 3
ALL_OF_THEM = f"warm, {WARM.iterations} iterations"
"""Live pictures may end before, at the tolerance of `WARM`; here none does."""
NEW = 0.03
"""Share of the samples that come in between two pictures."""
PATTERNS = ("random", "line_hop", "spiral", "lissajous")
EVERYWHERE = 1e9
"""px; a reach that hides nothing."""
QUALITY = (
    (GOLD, "random", 0.25),
    (SILICON, "random", 0.1),
    (SILICON, "line_hop", 0.1),
    (LATTICE, "random", 0.1),
    (LATTICE, "line_hop", 0.1),
)


@dataclass(frozen=True, slots=True)
class Plans:
    """How much is measured."""

    rounds: int
    sides: tuple[int, ...]
    """Of the fields whose cost is compared."""
    fractions: tuple[float, ...]
    doses: tuple[float, ...]
    scenes: tuple[str, ...]
    seconds: float
    """Of the session; 0: none."""
    quality: tuple[tuple[str, str, float], ...] = QUALITY
    side: int = 256
    """Of the field that quality is compared on."""


FULL = Plans(
    9, (256, 512, 1024, 2048), (0.1, 0.25, 0.5), (0.0, 5.0, 20.0), (GOLD, SILICON, LATTICE, GRAINS), 6.0
)
QUICK = Plans(5, (256, 512, 2048), (0.1,), (0.0, 5.0, 20.0), (GRAINS,), 4.0)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench inpaint`` shows."""
    return measure(QUICK if quick else FULL, data_folder())


def measure(plan: Plans, folder: Path | None) -> Measured:
    """All of it, with real images where there are any."""
    warm_up()
    parts = (
        quality(plan, folder),
        speed(plan, folder),
        size(plan),
        memory(max(plan.sides)),
        live_memory(min(512, max(plan.sides))),
        spiral(folder),
        regret(plan, folder),
        session(plan),
    )
    found = [part for part in parts if part is not None]
    notes = [f"without {name}: pip install {name}" for name in missing()]
    if folder is None:
        notes.append(f"without real images: {DATA_VARIABLE} names no folder")
    return {
        "title": f"Sparse scans{''.join(f'; {note}' for note in notes)}",
        "rows": [row for rows, _ in found for row in rows],
        "gates": [gate for _, gates in found for gate in gates],
    }


Part = tuple[Sequence[Row], Sequence[Gate]]


def quality(plan: Plans, folder: Path | None) -> Part:
    """Ours and the peers' pictures of the same samples."""
    rows: list[Row] = []
    gates: list[Gate] = []
    truths = scenes(folder)
    for name, pattern, fraction in plan.quality:
        if name in truths:
            truth = truths[name][: plan.side, : plan.side]
            scan = SparseScan.of(truth, pattern, fraction)
            where = f"{name}, {pattern} {100 * fraction:.0f} %"
            found = dict(_compared(scan, plan.rounds))
            rows += [_row(where, way, {"dB": db, "ms": str(ms)}) for way, (db, ms) in found.items()]
            gates += _quality_gates(where, name, {way: db for way, (db, _) in found.items()})
    return rows, gates


def _compared(scan: SparseScan, rounds: int) -> Iterator[tuple[str, tuple[float, Spread]]]:
    data, weight = scan.fields()
    live = partial(_settled, scan)
    yield AUTO, (psnr(live().image[0], scan.truth), _times(live, min(rounds, 3)))
    for solver in (THIN_PLATE.solver, COSINES.solver, WaveletThresholds()):
        solve = partial(solver.solve, data, weight)
        yield solver.name, (psnr(solve().image[0], scan.truth), _times(solve, rounds))
    best: tuple[float, Spread] | None = None
    for name, fill in fillers().items():
        way = partial(fill, data[0], weight > 0)
        now = time.perf_counter()
        filled = way()
        once = Spread.of([1e3 * (time.perf_counter() - now)])
        found = psnr(filled, scan.truth), once
        if not name.startswith(FISTA):
            yield name, found
        elif best is None or found[0] > best[0]:
            best = found
    if best is not None:
        yield FISTA, best


def _quality_gates(where: str, name: str, db: Mapping[str, float]) -> Iterator[Gate]:
    if name == GOLD:
        yield at_least(f"{where}: auto, dB", db[AUTO], GOLD_DB)
        if BIHARMONIC in db:
            yield at_least(f"{where}: auto, dB above {BIHARMONIC}", db[AUTO] - db[BIHARMONIC], -BESIDE_DB)
    else:
        yield at_least(f"{where}: auto, dB above {FISTA}", db[AUTO] - db[FISTA], 0.0)


def _settled(scan: SparseScan) -> Any:
    """The automatic picture from scratch, choice included."""
    live = LiveInpainter(
        (scan.truth.shape[0], scan.truth.shape[1]),
        1,
        Plan(noise=scan.noise, uncertainty=False, reach=EVERYWHERE),
    )
    live.add(scan.positions.astype(np.float64), scan.values)
    return live.settle()


def speed(plan: Plans, folder: Path | None) -> Part:
    """Cold, and warm after a few per cent more samples; quality beside it."""
    rows: list[Row] = []
    gates: list[Gate] = []
    for side in (side for side in plan.sides if side in COLD_MS):
        truth = real_scenes(folder, side).get(GOLD, grains(side))
        ways = _cold_and_warm(THIN_PLATE.solver, SparseScan.of(truth, "random", 0.25), plan.rounds)
        where = f"{side}x{side}, random 25 %: thin plate"
        rows += _timed(where, ways)
        gates += _gated(where, ways, COLD_MS[side], WARM_MS[side])
        gates.append(at_most(f"{where} warm, dB below cold", ways["cold"].db - ways["warm"].db, BESIDE_DB))
    for pattern in ("random", "line_hop"):
        scan = SparseScan.of(lattice(plan.side), pattern, 0.1)
        ways = _cold_and_warm(COSINES.solver, scan, plan.rounds)
        where = f"lattice, {pattern} 10 %: sparse cosines"
        rows += _timed(where, ways)
        gates += _gated(where, ways, COSINES_COLD_MS, COSINES_WARM_MS)
    return rows, gates


@dataclass(frozen=True, slots=True)
class Timed:
    """What a picture took, and how good it was."""

    ms: Spread
    db: float


def _timed(where: str, ways: Mapping[str, Timed]) -> list[Row]:
    scan, solver = where.split(": ")
    return [_row(scan, f"{solver}, {way}", {"dB": one.db, "ms": str(one.ms)}) for way, one in ways.items()]


def _gated(where: str, ways: Mapping[str, Timed], cold_ms: float, warm_ms: float) -> Iterator[Gate]:
    cold, warm = ways["cold"], ways["warm"]
    yield at_most(f"{where} cold, ms", cold.ms.median, cold_ms)
    yield at_most(f"{where} warm, ms", warm.ms.median, warm_ms)
    yield at_most(f"{where} {ALL_OF_THEM}, ms", ways[ALL_OF_THEM].ms.median, warm_ms)


def _cold_and_warm(solver: Any, scan: SparseScan, rounds: int) -> dict[str, Timed]:
    """From nothing, and as live pictures go on from one of somewhat fewer samples."""
    data, weight = scan.fields()
    fewer = weight.copy()
    late = np.random.default_rng(1).random(weight.shape) < NEW
    fewer[late] = 0
    before = solver.solve(data, fewer).image
    works = {
        "cold": partial(solver.solve, data, weight),
        "warm": partial(solver.solve, data, weight, before, 0.0, WARM),
        ALL_OF_THEM: partial(solver.solve, data, weight, before, 0.0, Budget(iterations=WARM.iterations)),
    }
    return {
        name: Timed(_times(work, rounds), psnr(work().image[0], scan.truth)) for name, work in works.items()
    }


def size(plan: Plans) -> Part:
    """What a pixel costs in small and large fields."""
    spreads = {}
    for side in plan.sides:
        data, weight = SparseScan.of(_tiled(side), "random", 0.25).fields()
        spreads[side] = _times(
            partial(THIN_PLATE.solver.solve, data, weight), 3 if side > 512 else plan.rounds
        )
    rows = [
        _row(f"{side}x{side}", "thin plate, cold", {"ms": str(ms), "ns/px": 1e6 * ms.median / side**2})
        for side, ms in spreads.items()
    ]
    ends = [spreads[side].median / side**2 for side in (min(plan.sides), max(plan.sides))]
    name = f"time a pixel, {max(plan.sides)} against {min(plan.sides)}"
    return rows, [at_most(name, ends[1] / ends[0], LINEAR)]


def _tiled(side: int) -> npt.NDArray[np.float32]:
    """The same scene again and again, so that large ones are no harder."""
    scene = grains(256)
    return np.ascontiguousarray(np.tile(scene, (-(-side // 256), -(-side // 256)))[:side, :side])


def memory(side: int) -> Part:
    """Bytes a pixel at their peak: samples on whole pixels, their means, a solve."""
    rng = np.random.default_rng(0)
    places = np.stack(np.nonzero(rng.random((side, side)) < 0.25), axis=1)
    values = rng.random(len(places))

    def solve() -> None:
        field = SampleField((side, side))
        field.add(places, values)
        THIN_PLATE.solver.solve(*field.mean(), budget=Budget(iterations=2))

    def live() -> None:
        inpainter = LiveInpainter((side, side), 1, Plan(uncertainty=False))
        inpainter.add(places, values)
        inpainter.refresh()

    peaks = {"samples and thin plate": _peak(solve) / side**2, "live picture": _peak(live) / side**2}
    rows = [_row(f"{side}x{side}, random 25 %", name, {"B/px": each}) for name, each in peaks.items()]
    return rows, [
        at_most("bytes a pixel: samples and thin plate", peaks["samples and thin plate"], BYTES_A_PIXEL)
    ]


def live_memory(side: int) -> Part:
    """The same of live pictures with everything: samples off the centres, standard deviations, a choice."""
    rng = np.random.default_rng(0)
    places, peaks = rng.uniform(0, side - 1, (side**2 // 4, 2)), {}
    values = rng.poisson(20, len(places))
    tracemalloc.start()
    try:
        live = LiveInpainter((side, side), 1, Plan(noise=NoiseModel()))

        def pictures() -> None:
            for part in (slice(0, None, 2), slice(1, None, 2)):
                live.add(places[part], values[part])
                live.refresh()

        def errors() -> None:
            while live.is_pondering:
                live.ponder()

        works: Mapping[str, Callable[[], object]] = {
            "is made": pictures,
            "is doubted": errors,
            "is settled": live.settle,
        }
        for name, work in works.items():
            tracemalloc.reset_peak()
            work()
            peaks[name] = tracemalloc.get_traced_memory()[1] / side**2
    finally:
        tracemalloc.stop()
    where = f"{side}x{side}, random 25 %, all options"
    return [_row(where, f"while a picture {name}", {"B/px": each}) for name, each in peaks.items()], []


def _peak(work: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def spiral(folder: Path | None) -> Part | None:
    """A real scan: how well 5 % of its samples are told by the others, chosen and solved without them."""
    scan = real_spiral(folder)
    if scan is None:
        return None
    splits = [left_out(*scan, seed) for seed in range(SPLITS)]
    rows = [
        _row("real spiral", way, {"RMSE": str(Spread.of([split[way] for split in splits]))})
        for way in splits[0]
    ]
    means = {way: float(np.mean([split[way] for split in splits])) for way in splits[0]}
    return rows, [
        at_most(f"real spiral scan: RMSE at what was left out, {SPLITS} splits", means[AUTO], SPIRAL_RMSE),
        at_most(
            "real spiral scan: RMSE / push-pull's", means[AUTO] / means[PUSH_PULL.solver.name], SPIRAL_RATIO
        ),
    ]


def left_out(values: npt.NDArray[np.float32], sampled: npt.NDArray[np.bool_], seed: int) -> dict[str, float]:
    """RMSE at 5 % of the samples of estimates that do not know them, by way."""
    out, kept = np.split(np.random.default_rng(seed).permutation(np.argwhere(sampled)), [sampled.sum() // 20])
    live = LiveInpainter((values.shape[0], values.shape[1]), 1, Plan(uncertainty=False, reach=EVERYWHERE))
    live.add(kept.astype(np.float64), values[kept[:, 0], kept[:, 1]].astype(np.float64))
    data, weight = live.field.mean()
    pictures = {
        ladder.solver.name: ladder.solver.solve(data, weight).image for ladder in (PUSH_PULL, THIN_PLATE)
    }
    pictures[AUTO] = live.settle().image
    at = out[:, 0], out[:, 1]
    return {
        way: float(np.sqrt(np.mean((picture[0][at].astype(np.float64) - values[at]) ** 2)))
        for way, picture in pictures.items()
    }


@dataclass(frozen=True, slots=True)
class Regret:
    """What was lost by choosing without knowing the truth."""

    db: float
    """Below the best rung of all ladders; negative where a mixture is better than each of them."""
    chosen: str


def regret_of(scan: SparseScan) -> Regret:
    """Against every strength of every solver, the truth in hand."""
    data, weight = scan.fields()
    rungs = [Candidate(ladder, n) for ladder in (THIN_PLATE, COSINES) for n in range(len(ladder.strengths))]
    best = max(
        psnr(
            rung.solver.solve(data, weight, None, rung.strength, Budget(80, tolerance=3e-3)).image[0],
            scan.truth,
        )
        for rung in rungs
    )
    found = _settled(scan)
    return Regret(best - psnr(found.image[0], scan.truth), f"{found.algorithm} {found.strength:g}")


def regret(plan: Plans, folder: Path | None) -> Part:
    """Each scene, pattern, fraction and dose; a row tells the worst of its doses."""
    truths = {name: truth for name, truth in scenes(folder).items() if name in plan.scenes}
    rows: list[Row] = []
    every: list[float] = []
    for name, truth in truths.items():
        for pattern in PATTERNS:
            for fraction in plan.fractions:
                part = truth[: plan.side, : plan.side]
                found = [regret_of(SparseScan.of(part, pattern, fraction, dose)) for dose in plan.doses]
                every += [one.db for one in found]
                ways = "; ".join(one.chosen for one in found)
                cell = ", ".join(f"{one.db:+.2f}" for one in found)
                rows.append(
                    _row(f"{name}, {pattern} {100 * fraction:.0f} %", f"auto: {ways}", {"regret, dB": cell})
                )
    within = sum(db <= REGRET_DB for db in every)
    return rows, [
        at_most(f"regret of the choice, dB, the worst of {len(every)}", max(every), REGRET_DB),
        at_least(f"of {len(every)} choices within {REGRET_DB} dB", within, len(every)),
    ]


def session(plan: Plans) -> Part | None:
    """Whole sessions of sparse video, their pictures counted by a subscriber."""
    if not plan.seconds:
        return None
    rows, gates = _last_samples(512, plan.rounds)
    watched: Sequence[Watched] = [play(plan.seconds) for _ in range(SESSIONS)]
    rates = [one.per_second for one in watched if one.per_second is not None]
    waits = [one.last_ms for one in watched if one.last_ms is not None]
    if not (rates and waits):
        raise RuntimeError("no session of sparse video showed a picture: see its alarms")
    rate, wait = Spread.of(rates), Spread.of(waits)
    row = _row(
        "session, 512x512 sparse video",
        "pictures; last sample to its picture",
        {"per s": str(rate), "ms": str(wait)},
    )
    return [*rows, row], [
        *gates,
        at_least("512x512 sparse video: pictures/s at a subscriber", rate.median, LIVE_PER_S),
        at_most("512x512 session: last sample to a picture with it, ms", wait.median, LAST_MS),
    ]


def _last_samples(side: int, rounds: int) -> tuple[list[Row], list[Gate]]:
    """The picture that follows the last samples of a pass."""
    scan = SparseScan.of(_tiled(side), "spiral", 0.25, 20.0)
    places, first = scan.positions.astype(np.float64), round((1 - NEW) * len(scan.values))
    live = LiveInpainter((side, side), 1, Plan(noise=scan.noise))
    live.add(places[:first], scan.values[:first])
    live.refresh()
    step = max((len(places) - first) // rounds, 1)
    spent = []
    for begin in range(first, first + rounds * step, step):
        now = time.perf_counter()
        live.add(places[begin : begin + step], scan.values[begin : begin + step])
        live.refresh()
        spent.append(1e3 * (time.perf_counter() - now))
    ms = Spread.of(spent)
    where = f"{side}x{side}, spiral 25 %"
    return [_row(where, "last samples to their picture", {"ms": str(ms)})], [
        at_most(f"{where}: last samples to their picture, ms", ms.median, LAST_MS)
    ]


def _times(work: Callable[[], object], rounds: int) -> Spread:
    """ms of a call, the first left out."""
    work()
    spent = []
    for _ in range(rounds):
        now = time.perf_counter()
        work()
        spent.append(1e3 * (time.perf_counter() - now))
    return Spread.of(spent)


def _row(what: str, way: str, figures: Mapping[str, Any]) -> Row:
    return {"scan": what, "way": way, **figures}
