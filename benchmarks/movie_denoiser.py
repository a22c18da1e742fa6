"""The shipped video denoiser against the classical filter of movies, on the same frames, in one run.

Scenes are those of `denoise_movies`, of seeds that training never saw. Its time is told by the ratio to a
UNet of 0.12 million parameters on whole frames, which takes 12.6 ms on a quiet core.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..consumers.models.beginning import with_past
from ..consumers.models.scan import scan
from ..consumers.models.store import Store
from ..consumers.models.torch_engine import scripted
from ..kernels.denoise.movies import MovieFilter
from .denoise_movies import BRIGHT, COUNTS, DARK, SETTLED, Movie, counted, estimates, particles, psnr
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios
from .models import WIDTHS, torch_module, unet

NAME = "movie-denoiser"
AHEAD_DB = 0.5
MOST_MS, UNET_MS = 15.0, 12.6
"""For 256 x 256 on one core; what the UNet takes there when nothing else runs."""
Model = Callable[[Movie], Movie]
"""Stabilised frames (n, 5, h, w) to estimates (n, h, w)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    seeds: tuple[int, ...]
    doses: tuple[float, ...]
    frames: int
    side: int
    rounds: int


FULL = Plan((0, 1, 2), (0.5, 1.0, 5.0, 20.0), 60, 256, 15)
QUICK = Plan((1,), (1.0, 5.0), 35, 256, 5)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench movie_denoiser`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    """Quality of each scene and dose, and time. Raises MissingDependencyError without torch."""
    rows: list[Row] = []
    gates: list[Gate] = []
    model = shipped()
    for scene in (DARK, BRIGHT):
        for dose in plan.doses:
            ahead = []
            for seed in plan.seeds:
                truth, _ = particles(scene, dose, plan.frames, plan.side, seed=seed)
                db = compare(model, truth)
                rows.append({"movie": f"{scene}, {dose:g} e-/px", "seed": seed, **db})
                ahead.append(db["model, dB"] - db["classical, dB"])
            gates.append(at_least(f"{scene}, {dose:g} e-/px: dB ahead", float(np.mean(ahead)), AHEAD_DB))
    found, gate = speed(plan)
    return {
        "title": "The shipped video denoiser against the classical filter",
        "rows": [*rows, *found],
        "gates": [*gates, gate],
    }


def compare(model: Model, truth: Movie, late: slice | None = None) -> dict[str, float]:
    """dB of the truth's own range, of the frames from SETTLED on, where no other are asked for."""
    frames = counted(truth)
    late = late or slice(min(SETTLED, len(truth) // 2), None)
    classical, _ = estimates(MovieFilter(), frames)
    found = through(model, frames, late)
    db = psnr(classical[late], truth[late])
    return {
        "raw, dB": psnr(frames[late], truth[late]),
        "classical, dB": db,
        "model, dB": psnr(found, truth[late]),
    }


def through(model: Model, frames: Movie, chosen: slice) -> Movie:
    """Estimates in electrons, from the frames that a session would give the model."""
    stabilised = COUNTS.stabilise(frames)
    found = []
    for index in range(len(frames))[chosen]:
        seen = with_past(stabilised[max(0, index - 4) : index + 1], 5, 1.0)
        found.append(COUNTS.unstabilise(model(seen[None])[0]))
    return np.array(found)


def shipped() -> Model:
    """The model as a session runs it, in this process."""
    return _frozen(Store().find(NAME).load().archive)


def _frozen(archive: bytes) -> Model:
    torch = torch_module()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        model = torch.jit.freeze(scripted(torch, archive).to(memory_format=torch.channels_last))

    def call(frames: Movie) -> Movie:
        with torch.inference_mode():
            values = torch.from_numpy(frames).contiguous(memory_format=torch.channels_last)
            return np.asarray(model(values)[:, 0].numpy())

    return call


def speed(plan: Plan) -> tuple[list[Row], Gate]:
    """Processor time of a frame, by turns with the UNet."""
    model, other = shipped(), _frozen(scan("unet.pt", unet(WIDTHS), ".pt").archive)
    rng = np.random.default_rng(0)
    ways = {
        "shipped": (model, rng.random((1, 5, plan.side, plan.side), np.float32)),
        "UNet": (other, rng.random((1, 1, plan.side, plan.side), np.float32)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(plan.rounds + 3):
        for way, (call, values) in ways.items():
            began = time.thread_time()
            call(values)
            if turn >= 3:  # compiled by then
                seconds[way].append(time.thread_time() - began)
    share = ratios(seconds["shipped"], seconds["UNet"])
    rows: list[Row] = [
        {"way": way, "CPU ms": str(Spread.of([1e3 * s for s in each]))} for way, each in seconds.items()
    ]
    where = f"{plan.side} x {plan.side}: times the UNet's processor time"
    return rows, at_most(where, share.median, MOST_MS / UNET_MS)
