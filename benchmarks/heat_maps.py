"""Shipped heat maps against classical detectors that are tuned on the very frames they are judged on.

Other seeds than those of training. The model has one threshold for all frames, that of its card; the
classical detector the width and the threshold with the best F1 of each kind of frame.
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import mean, median
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ..consumers.models.store import Store
from ..consumers.models.tiles import Grid
from ..consumers.models.training.heat_maps import (
    SHARPNESS,
    Found,
    Places,
    Plane,
    best_threshold,
    compare,
    total,
)
from ..errors import MissingDependencyError
from ..kernels.heat_maps import find_peaks
from .figures import Gate, Measured, Row, at_least, at_most
from .heat_map_scenes import (
    MARGIN,
    SCALES,
    Case,
    Shown,
    classical_peaks,
    column_cases,
    fit_gaussians,
    particle_cases,
    show,
    trackpy_peaks,
)

Scored = tuple[Places, npt.NDArray[np.float32]]
"""Places (n, 2) and scores (n,)."""
Model = Callable[[Plane], Plane]
"""Of stabilised frames (h, w) heat maps (h, w)."""
THRESHOLDS = {"particles": 0.65, "columns": 0.6}
"""Of the models' cards."""
GAIN = 0.0
"""By how much a model's mean F1 has to be better."""
SUPPRESSION = 1.5
"""px"""
ABOUT = 2.0
"""Factor by which a radius may differ from what a user says of it; the tuned detectors know it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    particles: Sequence[Case]
    columns: Sequence[Case]
    frames: int
    """Of each case."""


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench heat_maps`` shows."""
    return measure(Plan(particle_cases(quick=quick), column_cases(quick=quick), 1 if quick else 2))


def measure(plan: Plan) -> Measured:
    """Both models. Raises MissingDependencyError without torch."""
    rows: list[Row] = []
    gates: list[Gate] = []
    for name, cases in (("particles", plan.particles), ("columns", plan.columns)):
        if not cases:
            continue
        model = load(name)
        found, kept = compare_all(name, model, cases, plan.frames)
        rows += found
        gates += kept
    return {"title": "Heat maps against tuned classical detectors", "rows": rows, "gates": gates}


def compare_all(name: str, model: Model, cases: Sequence[Case], frames: int) -> tuple[list[Row], list[Gate]]:
    """One model on all its cases."""
    rows: list[Row] = []
    ours: list[Found] = []
    theirs: list[Found] = []
    seconds: list[tuple[float, float]] = []
    for case in cases:
        shown = show(case, frames)
        model(shown[0].stabilised)
        began = time.process_time()
        by_model = at_threshold(model, case, shown, THRESHOLDS[name])
        spent = time.process_time() - began
        classical, width = tuned(case, shown)
        began = time.process_time()
        for one in shown:
            classical_peaks(one.stabilised, width, case.sign)
        seconds.append((spent / frames, (time.process_time() - began) / frames))
        rows.append(
            {
                "model": name,
                "frames": case.name,
                "there": by_model.matched + by_model.missed,
                "model F1": _cell(by_model),
                "size told": _told(model, case, shown, THRESHOLDS[name]) if name == "particles" else "",
                "tuned DoG F1": _cell(classical),
                "trackpy F1": _trackpy(case, shown) if name == "particles" else "",
                "radius of the model": _sizes(model, case, shown) if name == "particles" else "",
            }
        )
        ours.append(by_model)
        theirs.append(classical)
    lead = [a.f1 - b.f1 for a, b in zip(ours, theirs, strict=True)]
    errors = [a.rms / b.rms for a, b in zip(ours, theirs, strict=True)]
    model_ms, dog_ms = (1e3 * median(times) for times in zip(*seconds, strict=True))
    rows.append(
        {
            "model": name,
            "frames": "mean; processor time of a frame, ms",
            "there": sum(one.matched + one.missed for one in ours),
            "size told": "",
            "model F1": f"{mean(one.f1 for one in ours):.3f}; {model_ms:.3g}",
            "tuned DoG F1": f"{mean(one.f1 for one in theirs):.3f}; {dog_ms:.3g}",
            "trackpy F1": "",
            "radius of the model": "",
        }
    )
    gates = [
        at_least(f"{name}: mean F1 of the model less that of the tuned DoG", mean(lead), GAIN),
        at_least(f"{name}: share of the kinds of frames in which it is as good", _share(lead), 0.9),
        at_most(f"{name}: error of positions in that of the tuned DoG, median", median(errors), 1.0),
    ]
    return rows, gates


def _share(lead: Sequence[float]) -> float:
    return float(np.mean([value >= -0.005 for value in lead]))


def at_threshold(model: Model, case: Case, shown: Sequence[Shown], score: float, told: bool = False) -> Found:
    """What a model finds with one threshold; ``told``: only what is about as large as the particles are."""
    places = []
    for one in shown:
        peaks = find_peaks(model(one.stabilised), score, SUPPRESSION)
        share = peaks.width / SHARPNESS / case.radius
        kept = (share > 1 / ABOUT) & (share < ABOUT) if told else np.ones(len(peaks), bool)
        places.append(np.stack([peaks.y, peaks.x], axis=1)[kept])
    shape = shown[0].counts.shape
    return total(
        compare(found, one.places, case.gate, shape, MARGIN) for found, one in zip(places, shown, strict=True)
    )


def peaks_of(model: Model, frame: Plane, threshold: float) -> Scored:
    """Places (n, 2) and scores (n,)."""
    peaks = find_peaks(model(frame), threshold, SUPPRESSION)
    return np.stack([peaks.y, peaks.x], axis=1), peaks.score


def tuned(case: Case, shown: Sequence[Shown]) -> tuple[Found, float]:
    """The best of the DoG's widths and thresholds on these frames; places fitted where that is better."""
    best, chosen = Found(missed=1), 0.0
    parts: Sequence[Scored] = ()
    for scale in SCALES:
        width = max(0.7, scale * case.radius)
        tried = [classical_peaks(one.stabilised, width, case.sign) for one in shown]
        found = _best(case, shown, tried)
        if found.f1 > best.f1:
            best, chosen, parts = found, width, tried
    fitted = [
        (fit_gaussians(case.sign * one.stabilised, places, chosen), scores)
        for one, (places, scores) in zip(shown, parts, strict=False)
    ]
    found = _best(case, shown, fitted)
    return (found if found.f1 >= best.f1 - 0.002 and found.rms < best.rms else best), chosen


def _best(case: Case, shown: Sequence[Shown], parts: Sequence[Scored]) -> Found:
    places, scores = [part[0] for part in parts], [part[1] for part in parts]
    there = [one.places for one in shown]
    return best_threshold(places, scores, there, case.gate, shown[0].counts.shape, MARGIN)[1]


def _told(model: Model, case: Case, shown: Sequence[Shown], score: float) -> str:
    return _cell(at_threshold(model, case, shown, score, told=True))


def _sizes(model: Model, case: Case, shown: Sequence[Shown]) -> str:
    """Bias and scatter of the radii that the peaks' widths tell, over the true ones."""
    shares = [np.empty(0)]
    for one in shown:
        peaks = find_peaks(model(one.stabilised), THRESHOLDS["particles"])
        distance, nearest = cKDTree(one.places).query(np.stack([peaks.y, peaks.x], axis=1))
        near = distance <= case.gate
        shares.append(peaks.width[near] / SHARPNESS / one.radii[nearest[near]])
    every = np.concatenate(shares)
    return f"{np.median(every):.2f} +- {np.std(every):.2f}" if len(every) else "none found"


def _trackpy(case: Case, shown: Sequence[Shown]) -> str:
    try:
        parts = [trackpy_peaks(one.counts, case.radius, case.sign) for one in shown]
    except ImportError:
        return "not installed"
    return _cell(_best(case, shown, parts))


def _cell(found: Found) -> str:
    return f"{found.f1:.3f}, {found.rms:.2f} px"


def load(name: str) -> Model:
    """A shipped model on one core. Raises MissingDependencyError without torch."""
    torch = _torch()
    entry = Store().find(name)
    archive, tilings = entry.load().archive, entry.manifest.input.tilings
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        network = torch.jit.load(io.BytesIO(archive)).eval().to(memory_format=torch.channels_last)
        network = torch.jit.freeze(network)

    def heat_map(frame: Plane) -> Plane:
        height, width = frame.shape
        grid = Grid.of((height, width), *tilings)
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            tiles = [network(torch.from_numpy(tile[None])).numpy()[0] for tile in grid.cut(frame[None])]
        return np.ascontiguousarray(grid.join(np.stack(tiles))[0])

    return heat_map


def _torch() -> Any:
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingDependencyError('models need torch: pip install "livem[torch]"') from error
