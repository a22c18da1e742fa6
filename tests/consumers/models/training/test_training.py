"""Training: the same data and weights each time, better than at the beginning, and a model at the end."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from livem.cli import main
from livem.consumers.models.manifest import Manifest
from livem.consumers.models.scan import scan
from livem.consumers.models.training import loop, movie_denoiser
from livem.consumers.models.training.movies import FRAMES, Examples, Recipe, clip
from livem.errors import MissingDependencyError
from livem.kernels.noise import NoiseModel

torch: Any = pytest.importorskip("torch", reason="models need the extra [torch]")

SMALL = Recipe(clips=4, length=6, field=64, crop=32, batch=2, crystals=0.5)


def test_clips_are_scenes_of_about_one_electron_that_move():
    for seed in range(6):
        movie = clip(seed, SMALL).astype(np.float32)
        assert movie.shape == (6, 64, 64)
        assert movie.min() > 0
        assert 0.3 < movie.mean() < 3
        np.testing.assert_array_equal(movie, clip(seed, SMALL))
    assert len({clip(seed, SMALL).tobytes() for seed in range(6)}) == 6


def test_examples_have_the_noise_that_they_say():
    first, second = Examples(SMALL, 5), Examples(SMALL, 5)
    squares = []
    for _ in range(30):
        batch, again = first.draw(), second.draw()
        np.testing.assert_array_equal(batch.frames, again.frames)
        for frames, truth, read_noise in zip(batch.frames, batch.truth, batch.read_noise, strict=True):
            expected = NoiseModel(1.0, 0.0, float(read_noise)).stabilise(truth[0])
            squares.append(np.mean((frames[-1] - expected) ** 2))
    assert np.median(squares) == pytest.approx(1, abs=0.1)
    assert batch.frames.shape == (2, FRAMES, 32, 32)


def trained(**changes):
    examples = iter(Examples(SMALL))
    judged = [next(iter(Examples(SMALL, 9))) for _ in range(2)]

    def network():
        from livem.consumers.models.training.networks import MovieDenoiser

        return MovieDenoiser(FRAMES, 4, 1)

    plan = loop.Plan(**{"steps": 40, "rate": 5e-3, "rising": 5, "checks": 4} | changes)
    lines: list[str] = []
    found, outcome = loop.train(
        network,
        examples,
        movie_denoiser.loss,
        lambda one: movie_denoiser.quality(one, judged),
        plan,
        lines.append,
    )
    assert movie_denoiser.quality(found, judged) == pytest.approx(outcome.figure)
    return found, outcome, lines


def test_training_gets_better_and_is_the_same_each_time():
    first, outcome, lines = trained()
    second, again, _ = trained()
    assert outcome == again
    assert outcome.steps == 40
    assert len(lines) == 4
    for name, values in first.state_dict().items():
        assert torch.equal(values, second.state_dict()[name])
    assert outcome.figure > trained(steps=4)[1].figure + 0.3


def test_time_ends_it_too():
    assert trained(steps=100_000, minutes=1e-4)[1].steps < 1000


def test_a_loss_that_is_not_finite_ends_it():
    with pytest.raises(FloatingPointError, match="lower rate"):
        trained(rate=1e30, rising=1)


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(loop, "import_module", lambda name: __import__("no_such_torch"))
    with pytest.raises(MissingDependencyError, match=r"livem\[torch\]"):
        trained()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_comes_out_is_a_model_that_passes_the_walls(tmp_path):
    sha256 = movie_denoiser.make(tmp_path, plan=loop.Plan(steps=2, checks=1), recipe=SMALL, width=4)
    data = (tmp_path / "movie-denoiser.pt").read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256
    manifest = Manifest.parse("m", (tmp_path / "movie-denoiser.toml").read_text())
    assert manifest.input.frames == FRAMES
    loaded = torch.jit.load(str(tmp_path / "movie-denoiser.pt"))
    assert loaded(torch.zeros(1, FRAMES, 48, 80)).shape == (1, 1, 48, 80)
    assert scan("m", data, ".pt").archive
    assert b"/tmp" not in data
    lines = (tmp_path / "movie-denoiser.sha256").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["movie-denoiser.pt", "movie-denoiser.toml"]


def test_a_recipe_that_there_is_not(tmp_path):
    done = CliRunner().invoke(main, ["model", "train", "other", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "movie-denoiser" in done.stderr
    assert list(tmp_path.iterdir()) == []
