"""Heat-map models: a short training learns, and makes files that pass the walls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from livem.consumers.models.manifest import Manifest
from livem.consumers.models.training import RECIPES, columns, loop, particles
from livem.consumers.models.training.heat_maps import Examples
from livem.consumers.models.training.heat_models import HeatModel, figure_of, loss

torch = pytest.importorskip("torch", reason="models need the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NAMES = ("particles", "columns")


def small(model: HeatModel, **plan: float) -> HeatModel:
    recipe = replace(model.recipe, scenes=8, side=96, crop=64, batch=2)
    return replace(model, width=4, depth=1, recipe=recipe, plan=loop.Plan(**plan))


@pytest.mark.parametrize("model", [particles.MODEL, columns.MODEL], ids=NAMES)
def test_a_short_training_makes_a_model_that_passes_the_walls(model, tmp_path):
    assert RECIPES[model.name] == f".{model.name}"
    short, lines = small(model, steps=4, checks=2), []
    short.make(tmp_path, tell=lines.append)
    assert len(lines) == 2
    manifest = Manifest.parse("toml", (tmp_path / f"{model.name}.toml").read_text("utf-8"))
    assert (manifest.output.kind, manifest.output.units) == ("heat_map", "score")


def test_the_same_seeds_make_the_same_weights(tmp_path):
    folders = tmp_path / "once", tmp_path / "again"
    for folder in folders:
        small(columns.MODEL, steps=4, checks=1).make(folder)
    once, again = (torch.jit.load(folder / "columns.pt").state_dict() for folder in folders)
    assert len(once) > 10
    assert all(torch.equal(once[key], again[key]) for key in once | again)


def test_the_network_learns():
    model = small(particles.MODEL, steps=60, rate=1e-2, rising=5, checks=1)
    figure = figure_of([Examples(model.recipe).draw() for _ in range(2)])
    _, outcome = loop.train(model.network, iter(Examples(model.recipe)), loss, figure, model.plan)
    assert outcome.figure > 0.9 * figure(model.network()), "figures are negative losses"
