"""The benchmark of the shipped video denoiser on tiny frames: it gives its table; nothing is asked of it."""

from __future__ import annotations

import pytest

from livem.benchmarks import SUITE, movie_denoiser
from livem.benchmarks.movie_denoiser import Plan


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_its_table():
    pytest.importorskip("torch", reason="models need the extra [torch]")
    assert SUITE["movie_denoiser"] == "livem.benchmarks.movie_denoiser:run"
    measured = movie_denoiser.measure(Plan((1,), (1.0,), 6, 64, 2))
    assert [row.get("way") for row in measured["rows"]] == [None, None, "shipped", "UNet"]
    assert len(measured["gates"]) == 3
