"""Live denoising in a whole session: what is shown live is what the same frames give offline."""

from __future__ import annotations

import numpy as np
import pytest
from session_tools import a_pipeline, identity_holds, load, run

from livem.consumers.base import Frames
from livem.consumers.denoise import Denoise
from livem.consumers.testing import run as run_alone
from livem.stream.series import SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.outgoing import announce

pytestmark = pytest.mark.timeout(300)


def test_live_and_offline_pictures_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    truth = 3 + 2 * np.sin(np.mgrid[:40, :48].sum(axis=0) / 5)
    movie = tmp_path / "movie.npy"
    np.save(movie, rng.poisson(truth, (40, 40, 48)).astype(np.uint16))
    table = {"name": "quiet", "type": "denoise", "policy": "lossless", "budget_ms": 10_000, "gain": 1.0}
    (account,) = run(f"{movie}", tmp_path / "out", a_pipeline(consumers=[table]))["series"]
    assert identity_holds(account)
    assert account["edges"]["quiet"]["processed"] == 40
    acquisition = open_acquisition(str(movie))
    series = announce(acquisition, SeriesKey(bytes(8), 1), "raw", 1)
    frames = Frames(series, np.arange(40), acquisition.frames(0, 40))
    alone = run_alone(Denoise("quiet", budget_ms=10_000, gain=1.0), series, [frames])
    for name, output in alone.items():
        np.testing.assert_allclose(load(account, f"quiet.{name}"), output["arrays"]["image"], rtol=1e-5)
    left = load(account, "quiet.image") - truth
    assert np.sqrt(np.mean(left**2)) < 0.4 * np.sqrt(truth.mean())
