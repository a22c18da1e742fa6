"""Models that come with livem: complete, small, and better than the classical filter where they say so."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from livem.consumers.models import shipped
from livem.consumers.models.store import Store
from livem.consumers.models.training import RECIPES

torch: Any = pytest.importorskip("torch", reason="models need the extra [torch]")

MOST_BYTES = 2 << 20


@pytest.mark.parametrize("name", shipped.names())
def test_each_is_small_loads_and_has_a_card_of_its_own(name, tmp_path):
    entry = Store(tmp_path).find(name)
    assert entry.shipped
    assert entry.bytes <= MOST_BYTES
    assert entry.load().archive
    card = (shipped.FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert entry.sha256 in card or f"`{name}.sha256`" in card
    assert f"livem model train {name}" in card
    assert name in RECIPES
    for word in ("data|trained", "fails", "classical"):
        assert re.search(word, card, re.IGNORECASE), word


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dose", [1.0, 5.0])
@pytest.mark.parametrize("scene", ["dark particles", "bright particles"])
def test_the_video_denoiser_is_half_a_decibel_ahead_of_the_classical_filter(scene, dose):
    from livem.benchmarks import movie_denoiser
    from livem.benchmarks.denoise_movies import particles

    truth, _ = particles(scene, dose, 24, 256, seed=1)
    db = movie_denoiser.compare(movie_denoiser.shipped(), truth)
    assert db["model, dB"] >= db["classical, dB"] + 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tiles_of_the_video_denoiser_are_the_whole_frame():
    from livem.benchmarks import movie_denoiser

    halo = Store().find("movie-denoiser").manifest.input.halo
    model = movie_denoiser.shipped()
    frames = np.random.default_rng(0).normal(3, 1, (1, 5, 64 + 2 * halo, 320)).astype(np.float32)
    whole, tile = model(frames)[0], model(frames[:, :, :-16])[0]
    far = slice(0, -16 - halo)
    np.testing.assert_allclose(tile[: far.stop + 16], whole[far], atol=1e-4)
