"""Particles followed: time of a frame in a crowd, the worst case, memory; trackpy beside it if installed.

Positions only: what is measured is linking, not finding. Times are of this thread's own processor time, so
that other programs of the machine add little.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from ..kernels.tracking.link import Linker, LinkOptions
from ..kernels.tracking.table import DETECTION, Detections, Flag
from ..kernels.tracking.tracks import Rows, Trouble
from .figures import Gate, Measured, Row, Spread, at_least, at_most

LINK_MS, TAIL = 0.7, 3.0
WORST_MS = 20.0
GROWTH_MB = 4.0
SWITCHES = 0.01
"""Share of sightings that are given to another track than the one before."""

Places = npt.NDArray[np.float64]
"""(n, 2) px (y, x)"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    frames: int
    crowd: int
    """Particles in 512 x 512 px."""
    worst: int
    """Particles in 1024 x 1024 px that all jump."""
    long: int
    """Frames after which memory is looked at again."""


QUICK = Plan(200, 770, 5000, 5_000)
FULL = Plan(1000, 770, 5000, 100_000)


class Crowd:
    """Particles that walk by 1 px along each axis on a field that drifts, and bounce off each other."""

    def __init__(self, n: int, side: int, seed: int, apart: float = 7.0) -> None:
        self._rng = np.random.default_rng(seed)
        self.side, self.apart = side, apart
        columns = math.ceil(math.sqrt(n))
        grid = np.stack(np.divmod(np.arange(columns**2), columns), axis=1) + 0.5
        self.places: Places = self._rng.permutation(grid)[:n] * (side / columns)

    def step(self) -> Places:
        """The places of the next frame; particles that leave come in again at the other side."""
        from scipy.spatial import cKDTree

        field = np.array((0.3, 0.15)) + 0.3 * self._rng.standard_normal(2)
        moved = self.places + self._rng.standard_normal(self.places.shape)
        close = cKDTree(moved).query_pairs(self.apart, output_type="ndarray").ravel()
        moved[close] = self.places[close]
        self.places = (moved + field) % self.side
        return self.places


def detections(places: Places, rng: np.random.Generator, side: int, specks: int = 0) -> Detections:
    """Detections with errors; with ``specks`` of noise one in twenty is missing."""
    seen = places[rng.random(len(places)) > 0.05] if specks else places
    rows = np.zeros(len(seen) + specks, DETECTION)
    noise = rng.uniform(0, side, (specks, 2))
    rows["y"], rows["x"] = np.concatenate([seen + 0.3 * rng.standard_normal(seen.shape), noise]).T
    rows["radius"], rows["var_radius"] = 3.0, 0.1
    rows["var_y"] = rows["var_x"] = 0.09
    rows["score"] = np.concatenate(
        [np.maximum(6 + rng.standard_normal(len(seen)), 2.6), np.full(specks, 2.8)]
    )
    rows["flags"] = np.where(rows["score"] < 4, int(Flag.WEAK), 0)
    return rows


def _timed(step: Callable[[], Any]) -> float:
    """ms of this thread."""
    began = time.thread_time_ns()
    step()
    return (time.thread_time_ns() - began) / 1e6


def _link_times(plan: Plan) -> list[float]:
    crowd, rng = Crowd(plan.crowd, 512, 1), np.random.default_rng(2)
    linker, times = Linker(LinkOptions(shape=(512, 512))), []
    for k in range(plan.frames):
        found = detections(crowd.step(), rng, 512, 700)
        times.append(_timed(lambda k=k, found=found: linker.step(k, found)))  # type: ignore[misc]
    return times[20:]


def _worst(plan: Plan) -> tuple[list[float], Trouble]:
    """Frames in which all particles jump by their spacing, in whichever direction, and the trouble told."""
    rng, side = np.random.default_rng(3), 1024
    crowd = Crowd(plan.worst, side, 4)
    linker, times, trouble = Linker(LinkOptions(shape=(side, side))), [], Trouble(0)
    spacing = side / math.sqrt(plan.worst)
    for k in range(40):
        places = crowd.step()
        if k % 8 == 7:
            angle = rng.uniform(0, 2 * math.pi, len(places) if k > 20 else 1)
            crowd.places = places = (places + spacing * np.stack([np.sin(angle), np.cos(angle)], 1)) % side
        found = detections(places, rng, side)
        box: list[Any] = []
        took = _timed(lambda k=k, found=found, box=box: box.append(linker.step(k, found)))  # type: ignore[misc]
        if k % 8 == 7:
            times.append(took)
            trouble |= box[0].trouble
    return times, trouble


def _memory(plan: Plan) -> float:
    """MB by which the process has grown between a tenth of the frames and the last one."""
    rng, side = np.random.default_rng(5), 256
    crowd, process = Crowd(60, side, 6), psutil.Process()
    linker, before = Linker(LinkOptions(shape=(side, side))), 0
    for k in range(plan.long):
        linker.step(k, detections(crowd.step(), rng, side, 20))
        if k == plan.long // 10:
            before = process.memory_info().rss
    return float(process.memory_info().rss - before) / 1e6


def _switches(plan: Plan) -> float:
    """On true places: the share of sightings that another track has than in the frame before."""
    crowd = Crowd(plan.crowd, 512, 7)
    linker, rows, owners = Linker(LinkOptions(shape=(512, 512))), [], []
    exact = np.random.default_rng(8)
    for k in range(min(plan.frames, 200)):
        places = crowd.step()
        found = detections(places, exact, 512)
        found["y"], found["x"] = places.T
        rows.append(linker.step(k, found).rows)
        owners.append(_by_detection(rows[-1], len(found)))
    changed = [np.mean(a != b) for a, b in pairwise(owners[4:])]
    return float(np.mean(changed))


def _by_detection(rows: Rows, n: int) -> npt.NDArray[np.int64]:
    owner = np.full(n, -1)
    owner[rows["detection"]] = rows["particle"]
    return owner


def _trackpy_times(plan: Plan) -> list[float]:
    import trackpy

    trackpy.quiet()
    crowd, rng = Crowd(plan.crowd, 512, 1), np.random.default_rng(2)
    frames = [detections(crowd.step(), rng, 512, 700) for _ in range(20)]
    places = (np.stack([f["y"], f["x"]], 1)[(f["flags"] & int(Flag.WEAK)) == 0] for f in frames)
    linking = trackpy.linking.link_iter(
        places, search_range=5, memory=3, adaptive_stop=5 / 3, adaptive_step=0.9
    )
    return [_timed(lambda: next(linking)) for _ in frames][5:]


def measure(plan: Plan) -> Measured:
    """All of it."""
    times = _link_times(plan)
    worst, trouble = _worst(plan)
    rows: list[Row] = [_row(f"livem, {plan.crowd} particles and 700 specks of noise", times)]
    if find_spec("trackpy"):
        rows.append(_row(f"trackpy link_iter, {plan.crowd} particles", _trackpy_times(plan)))
    rows.append(_row(f"livem, {plan.worst} particles that all jump", worst))
    spread = Spread.of(times)
    gates: list[Gate] = [
        at_most("linking, ms", spread.median, LINK_MS),
        at_most("linking, p99 / median", float(np.quantile(times, 0.99)) / spread.median, TAIL),
        at_most("all jump, ms", max(worst), WORST_MS),
        at_least("all jump: flagged", float(bool(trouble & ~Trouble.LOST_FRAMES)), 1.0),
        at_most("true places: sightings given to another track", _switches(plan), SWITCHES),
        at_most(f"memory after {plan.long} frames, MB more", _memory(plan), GROWTH_MB),
    ]
    return {"title": "Particles followed", "rows": rows, "gates": gates}


def _row(way: str, times: Sequence[float]) -> Row:
    return {"way": way, "ms": str(Spread.of(times)), "p99 ms": f"{np.quantile(times, 0.99):.3g}"}


def run(quick: bool) -> Measured:
    """See `measure`."""
    return measure(QUICK if quick else FULL)
