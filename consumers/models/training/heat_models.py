"""How the networks that draw heat maps are trained and packed (docs/decisions/0017). Needs torch to run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from . import loop, package
from .heat_maps import Examples, Plane, Recipe

Pair = tuple[Plane, Plane]
"""Frames and bumps, (n, 1, s, s) each."""

EMPHASIS = 4.0
"""How much more a pixel of a bump's top weighs than one of the ground."""
PLAN = loop.Plan(steps=9_000, rate=3e-3, half=0.85, checks=20)
JUDGED = 8
"""Batches that are held out."""
MANIFEST = """\
[model]
name = "{name}"
version = "1.0"
licence = "Apache-2.0"
training = "{training}"
description = "{description}; see the card {name}.md"

[input]
frames = 1
multiple_of = {multiple}
halo = {halo}
tile = {tile}

[normalisation]
kind = "anscombe"

[output]
kind = "heat_map"
units = "score"
"""


@dataclass(frozen=True, slots=True)
class HeatModel:
    """One model: what it learns from, how large it is, what is said of it."""

    name: str
    recipe: Recipe
    training: str
    description: str
    width: int = 16
    depth: int = 3
    coarse: int = 1
    """Times by which frames are also binned."""
    tile: int = 2048
    plan: loop.Plan = PLAN

    def make(
        self,
        out: Path,
        minutes: float = math.inf,
        device: str = "cpu",
        tell: Callable[[str], None] = lambda line: None,
    ) -> str:
        """Train and write the model into ``out``; its SHA-256. As `loop.train` and `package.write` raise."""
        recipe = self.recipe
        held_out = replace(recipe, seed=recipe.seed + 1, scenes=max(2, recipe.scenes // 8), renewed=0.0)
        judged = list(islice(iter(Examples(held_out)), JUDGED))
        plan = replace(self.plan, minutes=minutes, device=device)
        network, _ = loop.train(self.network, self._examples(), loss, figure_of(judged), plan, tell)
        manifest = MANIFEST.format(
            name=self.name,
            training=self.training,
            description=self.description,
            multiple=network.multiple,
            halo=network.halo,
            tile=self.tile,
        )
        return package.write(out, self.name, network, 1, manifest, 2 * network.multiple)

    def network(self) -> Any:
        """An untrained one."""
        from .heat_networks import HeatMapNetwork

        return HeatMapNetwork(self.width, self.depth, self.coarse)

    def _examples(self) -> Iterator[Pair]:
        return iter(Examples(self.recipe))


def loss(network: Any, pair: Pair) -> Any:
    """Mean relative entropy (nat) of the network's heat map to the true one, bumps emphasised."""
    import torch

    device = next(network.parameters()).device
    frames, bumps = (torch.from_numpy(plane).to(device) for plane in pair)
    found = network.logits(frames.to(memory_format=torch.channels_last)).float()
    entropies = torch.nn.functional.binary_cross_entropy_with_logits(found, bumps, reduction="none")
    least = torch.nn.functional.binary_cross_entropy(bumps, bumps, reduction="none")
    return ((entropies - least) * (1 + EMPHASIS * bumps)).mean()


def figure_of(judged: Sequence[Pair]) -> Callable[[Any], float]:
    """What a network is judged by: the negative loss of examples that it has not seen."""

    def figure(network: Any) -> float:
        import torch

        with torch.inference_mode():
            return -sum(float(loss(network, pair)) for pair in judged) / len(judged)

    return figure
