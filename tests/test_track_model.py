"""The shipped model of particles as the eyes of the tracker, in a whole session. Needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from session_tools import a_pipeline, identity_holds, run

from livem.consumers.models.store import VARIABLE

pytest.importorskip("torch", reason="models need the extra [torch]")


@pytest.mark.timeout(300)
def test_particles_that_the_model_draws_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    url = "sim:insitu?shape=128x128&frames=12&dose=100&particles=8&seed=2&fps=4"
    model = {"name": "model", "type": "torchscript", "model": "particles", "policy": "lossless"}
    track = {"name": "particles", "type": "track", "input": "model.heat_map", "threshold": 0.65}
    truth = tmp_path / "truth"
    track["truth"] = str(truth / "particles.csv")
    sender = {"batch": 1, "rate": 4.0, "truth_dir": str(truth)}
    summary = run(url, tmp_path / "out", a_pipeline(consumers=[model, track]), sender=sender)
    (account,) = summary["series"]
    assert identity_holds(account)
    assert not [alarm for alarm in summary["alarms"] if "particles" in alarm], summary["alarms"]
    with open(account["results"]["particles.score"]) as file:
        names, values = (line.strip().split(",") for line in file.readlines()[1:])
    score = dict(zip(names, map(float, values), strict=True))
    assert score["frames"] >= 3
    assert score["matched"] > 0.4 * score["particles"] > 0
    assert np.isfinite(score["error"])
