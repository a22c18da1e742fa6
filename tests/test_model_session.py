"""Models in a whole session: what is good runs, and what is bad costs nobody else anything. Needs torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_tools import archive, code, manifest, write
from session_tools import TINY, a_pipeline, identity_holds, load, run

from livem.consumers.models.store import VARIABLE, Store
from livem.consumers.pool import Pool
from livem.consumers.torchscript import TorchScript
from livem.consumers.work.offline import process
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.sources.replay.recorded_series import recorded_series

torch = pytest.importorskip("torch", reason="models need the extra [torch]")
pytestmark = pytest.mark.timeout(300)
VD = {"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}
HANGS = ("y = x", "if torch.gt(torch.Float(torch.max(x)), 1.):", "  while True:", "    y = torch.add(y, 1)")


def with_model(tmp_path: Path, source: str, monkeypatch, **params) -> dict:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    Store().add(write(tmp_path, archive(source), manifest()))
    model = {"name": "model", "type": "torchscript", "model": "tiny", **params}
    sender = {"batch": 4, "rate": 200.0}
    return run(TINY, tmp_path, a_pipeline(consumers=[VD, model]), sender=sender)


def test_a_model_runs_beside_the_others(tmp_path, monkeypatch):
    summary = with_model(tmp_path, code("return torch.mul(x, 2)"), monkeypatch)
    (account,) = summary["series"]
    assert identity_holds(account)
    np.testing.assert_array_equal(load(account, "model.image"), 2 * load(account, "model.raw"))
    assert account["edges"]["model"]["processed"] > 0
    assert not [alarm for alarm in summary["alarms"] if "model" in alarm]


def test_every_frame_of_a_lossless_edge_has_its_row_live_as_offline(tmp_path, monkeypatch):
    how = {"every_frame": True, "batch": 4, "policy": "lossless"}
    summary = with_model(tmp_path, code("return torch.mul(x, 2)"), monkeypatch, **how)
    (account,) = summary["series"]
    table = np.loadtxt(account["results"]["model.frames"], delimiter=",", skiprows=2)
    assert identity_holds(account)
    assert table[:, 0].tolist() == list(range(account["sent"]))
    assert account["edges"]["model"]["processed"] == account["sent"]
    offline = TorchScript("model", "tiny", every_frame=True, batch=4)
    acquisition, pool = open_acquisition(TINY), Pool(1)
    series, count = recorded_series(acquisition, b"12345678")
    found = process(acquisition, series, count, {"model": (offline, 1)}, pool).results["model.frames"]
    pool.close()
    offline.stop()
    np.testing.assert_allclose(table[:, 1], found.arrays["mean"], rtol=1e-5)
    np.testing.assert_allclose(table[:, 2], found.arrays["maximum"], rtol=1e-5)


def test_a_model_that_loops_for_ever_is_switched_off_and_the_rest_goes_on(tmp_path, monkeypatch):
    source = code(*HANGS, "else:", "  pass", "return y")
    summary = with_model(tmp_path, source, monkeypatch, timeout=0.3)
    (account,) = summary["series"]
    assert np.isfinite(load(account, "vd.all")).all()
    assert account["state"] == "complete"
    assert identity_holds(account)
    edge = account["edges"]["model"]
    assert edge["restarts"] == 0
    assert edge["dropped"].get("consumer_error", 0) + edge["dropped"].get("skipped", 0) > 0
    assert np.isnan(load(account, "model.image")).all()
    assert np.isfinite(load(account, "model.raw")).all()
    assert any("takes longer than 0.3 s" in alarm for alarm in summary["alarms"])


def test_the_shipped_denoiser_needs_no_adding_and_adapting_holds_nobody_up(tmp_path, monkeypatch):
    """The adapter may not even have begun when the last frame comes."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    model = {"name": "model", "type": "torchscript", "model": "movie-denoiser", "adapt": True}
    sender = {"batch": 4, "rate": 200.0}
    summary = run(TINY, tmp_path, a_pipeline(consumers=[VD, model]), sender=sender)
    (account,) = summary["series"]
    assert identity_holds(account)
    assert account["state"] == "complete"
    assert account["edges"]["model"]["processed"] > 0
    assert np.isfinite(load(account, "model.image")).all()
    assert not [alarm for alarm in summary["alarms"] if "model" in alarm]
