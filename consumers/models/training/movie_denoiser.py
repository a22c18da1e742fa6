"""The shipped video denoiser: five frames in, the newest without noise out (docs/decisions/0016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ....kernels.noise import NoiseModel
from . import loop, package
from .movies import FIRST_SEED, FRAMES, Batch, Examples, Recipe

NAME = "movie-denoiser"
WIDTH, DEPTH = 24, 2
PLAN = loop.Plan(steps=16_000, half=0.85)
HELD_OUT = FIRST_SEED // 2
"""Seed of the examples that training is judged on."""
MANIFEST = """\
[model]
name = "{name}"
version = "1.0"
licence = "Apache-2.0"
training = "simulated in situ particles and crystals, 0.5 to 20 electrons a pixel, counting and read noise"
description = "the newest of five frames without noise; see the card {name}.md"

[input]
frames = {frames}
multiple_of = 16
halo = {halo}
tile = 1024

[normalisation]
kind = "anscombe"

[output]
kind = "image"
"""


def make(
    out: Path,
    minutes: float = math.inf,
    device: str = "cpu",
    tell: Callable[[str], None] = lambda line: None,
    plan: loop.Plan = PLAN,
    recipe: Recipe | None = None,
    width: int = WIDTH,
) -> str:
    """Train and write the model into ``out``; its SHA-256. As `loop.train` and `package.write` raise."""
    recipe = recipe or Recipe()
    plan = replace(plan, minutes=minutes, device=device)
    judged = list(_some(Examples(replace(recipe, clips=max(2, recipe.clips // 8)), HELD_OUT), 8))

    def network() -> Any:
        from .networks import MovieDenoiser

        return MovieDenoiser(FRAMES, width, DEPTH)

    model, _ = loop.train(network, iter(Examples(recipe)), loss, lambda one: quality(one, judged), plan, tell)
    manifest = MANIFEST.format(name=NAME, frames=FRAMES, halo=model.halo)
    return package.write(out, NAME, model, FRAMES, manifest)


def _some(examples: Examples, count: int) -> list[Batch]:
    return [examples.draw() for _ in range(count)]


def loss(network: Any, batch: Batch) -> Any:
    """Mean logarithm of the examples' squared errors in electrons: every dose and contrast counts alike.

    A little of the error of stabilised values is added: below 0 electrons the inverse is flat.
    """
    import torch

    device = next(network.parameters()).device
    frames = torch.from_numpy(batch.frames).to(device, memory_format=torch.channels_last)
    truth = torch.from_numpy(batch.truth).to(device)
    base = torch.from_numpy(batch.read_noise).to(device)[:, None, None, None] ** 2
    found = network(frames).float()
    error = (_electrons(found, base) - truth).square().mean((1, 2, 3)) / truth.mean((1, 2, 3)).square()
    stabilised = (found - 2 * (truth + 0.375 + base).sqrt()).square().mean()
    return (error + 1e-5).log().mean() + 0.02 * stabilised


def _electrons(values: Any, base: Any) -> Any:
    """`NoiseModel.unstabilise`, differentiable."""
    d = values.clamp(min=2 * math.sqrt(0.375))
    root = math.sqrt(1.5)
    return d * d / 4 + (root / 4 + (-1.375 + 0.625 * root / d) / d) / d - 0.125 - base


def quality(network: Any, batches: list[Batch]) -> float:
    """Mean over examples of the squared error's decrease below the raw frame's, in dB."""
    import torch

    gains = []
    with torch.inference_mode():
        for batch in batches:
            device = next(network.parameters()).device
            frames = torch.from_numpy(batch.frames).to(device, memory_format=torch.channels_last)
            found = network(frames).float().cpu().numpy()
            for frame, values, truth, read_noise in zip(
                batch.frames, found, batch.truth, batch.read_noise, strict=True
            ):
                noise = NoiseModel(1.0, 0.0, float(read_noise))
                raw, new = (
                    np.mean((noise.unstabilise(one) - truth[0]) ** 2) for one in (frame[-1], values[0])
                )
                gains.append(10 * np.log10(raw / new))
    return float(np.mean(gains))
