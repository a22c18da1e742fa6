"""Particles followed end to end, as users run it: frames in blocks in, tracks and events out, all automatic.

Movies and scorer are those of `tracking`. trackpy's locate and link see the same movies: locate with the best
threshold on mass of some frames, chosen with the truth, tracks of fewer than 4 frames left out.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..consumers.base import Frames, Output
from ..consumers.track import Track
from ..stream.series import Series, SeriesKey
from .figures import Gate, Row, at_least, at_most

HOTA = {(200, 1): 0.70, (200, 2): 0.88, (200, 4): 0.94, (1000, 1): 0.58, (1000, 2): 0.84, (1000, 4): 0.92}
"""By particles and signal to noise of a pixel."""
F1 = {(200, 1): 0.90, (1000, 1): 0.82}
"""With tracks; at a better signal detections alone are judged (`tracking`)."""
FLOORS = {1: 1.25, 2: 1.25, 4: 1.4}
"""Error of the position, in the Cramer-Rao floor."""
EVENTS = {(200, 2): 0.8}
"""F1 of nucleations, coalescences and dissolutions, within 3 frames and 6 px."""
BLOCK = 8
THREADS = 2
TUNED_ON = 4
"""Frames that trackpy's threshold is chosen on."""
SEARCH, MEMORY, SHORTEST = 5.0, 3, 4
"""Of trackpy's link, px and frames."""

Movie = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A movie with its truth."""

    name: str
    count: int
    snr: int
    radius: float
    frames: Movie
    """(n, h, w)"""
    truth: Mapping[str, npt.NDArray[np.float64]]
    """Columns frame, id, x, y, r, contrast, crlb."""
    events: Sequence[Sequence[Any]]
    """Rows frame, type, id, other, x, y."""

    @classmethod
    def of(cls, simulate: Any, count: int, snr: int, seed: int, frames: int, size: int = 512) -> Case:
        """A movie of the generator; ``count`` are particles in 512 x 512 px times (size / 512)^2."""
        radius = 3.0 if count * (512 / size) ** 2 >= 800 else 4.0
        physics = {"n": count, "snr": float(snr), "r_mean": radius, "seed": seed}
        made = list(simulate.simulate(size=size, frames=frames, **physics))
        rows = np.vstack([truth for _, truth, _ in made])
        columns = dict(zip(("frame", "id", "x", "y", "r", "contrast"), rows.T, strict=True))
        floor = simulate.crlb({**simulate.DEFAULT, **physics}, rows[:, 4])
        movie = np.stack([frame for frame, _, _ in made])
        events = [event for _, _, told in made for event in told]
        return cls(f"N={count}, SNR {snr}", count, snr, radius, movie, {**columns, "crlb": floor}, events)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What a tracker made of a movie."""

    outputs: Mapping[str, Output]
    seconds: float
    """Of the frames behind the first ones, from which size and kind are guessed."""
    cpu: float
    """s of the process meanwhile."""
    merging: float
    """s of the one thread that merges."""
    frames: int


def follow(frames: Movie, block: int = BLOCK, threads: int = THREADS, **options: Any) -> Followed:
    """Run the consumer over a movie as a worker does: blocks reduced by threads, merged in order."""
    series = Series(SeriesKey(bytes(8), 0), frames.shape[1:], str(frames.dtype))
    consumer = Track("particles", **options)
    consumer.open(series)

    def blocks(first: int, stop: int) -> Iterator[Frames]:
        for k in range(first, stop, block):
            at = np.arange(k, min(k + block, stop), dtype=np.int64)
            yield Frames(series, at, frames[at[0] : at[-1] + 1])

    for one in blocks(0, block):
        consumer.merge(consumer.process(one))
    merging = 0.0
    with ThreadPoolExecutor(threads) as pool:
        start, cpu = time.perf_counter(), time.process_time()
        for part in pool.map(consumer.process, blocks(block, len(frames))):
            began = time.thread_time()
            consumer.merge(part)
            merging += time.thread_time() - began
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    outputs = {output.name: output for output in consumer.close()}
    return Followed(outputs, seconds, cpu, merging, len(frames) - block)


def measure(scorer: Any, cases: Iterable[Case]) -> tuple[list[Row], list[Gate]]:
    """Figures of all cases, ours and trackpy's where it is installed."""
    rows: list[Row] = []
    gates: list[Gate] = []
    for case in cases:
        found = follow(case.frames)
        table = found.outputs["trajectories"].arrays
        ours = score(scorer, case, table)
        happened = events_score(scorer, case, found.outputs["events"].arrays)
        rows.append(_row(case, "livem", ours, happened, found))
        gates.extend(_gates(case, ours, happened))
        if importlib.util.find_spec("trackpy") is not None:
            start = time.perf_counter()
            theirs = _trackpy(scorer, case)
            spent = (time.perf_counter() - start) / len(case.frames)
            rows.append({**_row(case, "trackpy", score(scorer, case, theirs), None, None),
                         "frames/s": f"{1 / spent:.0f}"})  # fmt: skip
    return rows, gates


def score(scorer: Any, case: Case, table: Mapping[str, npt.NDArray[Any]]) -> dict[str, float]:
    """Of trajectories with ``frame``, ``particle``, ``y``, ``x`` and, where they are known, ``radius``."""
    given = {
        "frame": np.asarray(table["frame"], np.float64), "id": np.asarray(table["particle"], np.float64),
        "x": table["x"], "y": table["y"],
    }  # fmt: skip
    if "radius" in table:
        given["r"] = table["radius"]
    figures: dict[str, float] = scorer.score(dict(case.truth), given, size=case.frames.shape[1])
    return figures


def events_score(scorer: Any, case: Case, told: Mapping[str, npt.NDArray[Any]]) -> float:
    """F1 of all kinds together."""
    with tempfile.TemporaryDirectory() as folder:
        true, ours = Path(folder, "true.csv"), Path(folder, "ours.csv")
        _write(true, ("frame", "type", "id", "other", "x", "y"), case.events)
        names = ("frame", "type", "x", "y")
        _write(ours, names, zip(*(told[name].tolist() for name in names), strict=True))
        kinds = scorer.events(str(true), str(ours)).values()
    either = sum(kind["n_gt"] + kind["n_pred"] for kind in kinds)
    return float(2 * sum(kind["tp"] for kind in kinds) / max(either, 1))


def _write(path: Path, names: Sequence[str], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(names)
        table.writerows(rows)


def _trackpy(scorer: Any, case: Case) -> Mapping[str, npt.NDArray[Any]]:
    import trackpy

    trackpy.quiet()
    diameter = 2 * round(1.25 * case.radius) + 1

    def located(k: int, mass: float) -> Any:
        frame = case.frames[k].astype(np.float32)
        found = trackpy.locate(frame, diameter, minmass=mass, invert=True, engine="numba")
        return found.assign(frame=k)

    def worth(mass: float) -> float:
        kept = [table[table["mass"] >= mass] for table in some]
        given = {name: np.concatenate([t[name] for t in kept]) for name in ("frame", "x", "y")}
        truth = dict(case.truth)
        size = case.frames.shape[1]
        return float(scorer.score(truth, given, det=True, size=size, fr=(0, TUNED_ON))["F1"])

    pandas = importlib.import_module("pandas")
    some = [located(k, 0.0) for k in range(TUNED_ON)]
    masses = np.quantile(np.concatenate([table["mass"] for table in some]), np.linspace(0, 0.98, 40))
    best = max((float(mass) for mass in masses), key=worth)
    table = pandas.concat([located(k, best) for k in range(len(case.frames))], ignore_index=True)
    linked = trackpy.link(table, SEARCH, memory=MEMORY, adaptive_stop=SEARCH / 3, adaptive_step=0.9)
    linked = trackpy.filter_stubs(linked, SHORTEST)
    return {name: linked[name].to_numpy() for name in ("frame", "particle", "y", "x")}


def _row(
    case: Case, by: str, figures: Mapping[str, float], events: float | None, run: Followed | None
) -> Row:
    row: dict[str, Any] = {"movie": case.name, "by": by}
    row |= {name: f"{figures[name]:.3f}" for name in ("HOTA", "F1", "MOTA", "IDF1")}
    row["error/floor"] = f"{figures['rmse'] / figures['crlb']:.2f}"
    row["events F1"] = "" if events is None else f"{events:.2f}"
    if run is not None:
        row["frames/s"] = f"{run.frames / run.seconds:.0f}"
        row["CPU ms a frame"] = f"{1e3 * run.cpu / run.frames:.2f}"
        row["of it merging"] = f"{1e3 * run.merging / run.frames:.2f}"
    return row


def _gates(case: Case, figures: Mapping[str, float], events: float) -> Iterator[Gate]:
    what = case.count, case.snr
    yield at_least(f"{case.name}: HOTA", figures["HOTA"], HOTA[what])
    if what in F1:
        yield at_least(f"{case.name}: F1 with tracks", figures["F1"], F1[what])
    floor = figures["rmse"] / figures["crlb"]
    yield at_most(f"{case.name}: position error of tracks in the floor", floor, FLOORS[case.snr])
    if what in EVENTS:
        yield at_least(f"{case.name}: events F1", events, EVENTS[what])
