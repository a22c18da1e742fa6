"""Heat-map models: a short training learns, and makes files that pass the walls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livem.consumers.models.manifest import Manifest
from livem.consumers.models.tiles import Grid, Tiling
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


def test_bands_of_scale_keep_noise_of_variance_one():
    from livem.consumers.models.training.heat_networks import WIDTHS, Bands

    noise = torch.randn(1, 1, 400, 400, generator=torch.Generator().manual_seed(0))
    inner = Bands(WIDTHS)(noise)[..., 30:-30, 30:-30]
    assert inner.shape[1] == len(WIDTHS) - 1
    assert torch.allclose(inner.std((0, 2, 3)), torch.ones(len(WIDTHS) - 1), atol=0.1)


def test_a_network_of_two_scales_shows_the_higher_of_both_heat_maps():
    torch.manual_seed(0)
    network = replace(particles.MODEL, width=4, depth=1).network().eval()
    frames = 5 + torch.randn(1, 1, 256, 256)
    with torch.inference_mode():
        shown, fine = network(frames), torch.sigmoid(network.logits(frames))
        wide = torch.sigmoid(network.logits(4 * torch.nn.functional.avg_pool2d(frames, 4)))
    assert network.multiple == 4 * replace(columns.MODEL, depth=1).network().multiple
    assert (shown >= fine).all()
    assert shown.max() == pytest.approx(float(torch.maximum(fine.max(), wide.max())), abs=0.01)
    assert (shown > fine).any()


def test_a_tile_shows_what_the_whole_frame_does():
    torch.manual_seed(0)
    network = replace(columns.MODEL, width=4, depth=1).network().eval()
    frame = 5 + np.random.default_rng(0).standard_normal((1, 448, 320)).astype(np.float32)
    grid = Grid.of((448, 320), *(Tiling(320, network.halo, network.multiple),) * 2)
    assert len(grid) > 1
    with torch.inference_mode():
        whole = network(torch.from_numpy(frame)[None]).numpy()[0]
        tiles = [network(torch.from_numpy(tile[None])).numpy()[0] for tile in grid.cut(frame)]
    np.testing.assert_allclose(grid.join(np.stack(tiles)), whole, atol=1e-5)


def test_the_network_learns():
    model = small(particles.MODEL, steps=60, rate=1e-2, rising=5, checks=1)
    figure = figure_of([Examples(model.recipe).draw() for _ in range(2)])
    _, outcome = loop.train(model.network, iter(Examples(model.recipe)), loss, figure, model.plan)
    assert outcome.figure > 0.9 * figure(model.network()), "figures are negative losses"
