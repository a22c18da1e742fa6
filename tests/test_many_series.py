"""More series than the ring's table holds, faster than anybody can write them down."""

from __future__ import annotations

import numpy as np
import pytest
from session_tools import a_pipeline, identity_holds, load, run

from livem.stream.files.recordings import open_recording
from livem.stream.simulate.catalogue import open_acquisition


@pytest.mark.timeout(300)
def test_a_burst_of_60_short_series_loses_none(tmp_path):
    """Continuous acquisition: a file and results of its own for each, to the last bit."""
    url = "sim:4dstem?shape=16x16&scan=4x4"
    sender = {"series_count": 60, "rate": float("inf")}
    vd = {"name": "vd", "type": "virtual_detectors"}
    detectors = {"all": {"kind": "total"}, "bf": {"preset": "bf"}}
    pipeline = a_pipeline(consumers=[{"name": "preview", "type": "preview"}, {**vd, "detectors": detectors}])
    kept = tmp_path / "kept"
    summary = run(url, tmp_path / "out", pipeline, sender=sender, series=60, record=kept)
    frames = open_acquisition(url).frames(0, 16)
    assert [account["series"] for account in summary["series"]] == list(range(1, 61))
    for account in summary["series"]:
        edges = account["edges"]
        assert edges["vd"]["processed"] == edges["recorder"]["processed"] == account["received"] == 16
        assert identity_holds(account)
        assert "vd.bf" in account["results"]
        np.testing.assert_array_equal(load(account, "vd.all").reshape(-1), frames.sum((1, 2)))
        (path,) = account["recordings"]
        recording = open_recording(path)
        assert recording.series.key.number == account["series"]
        assert recording.present(0, 16).all()
        np.testing.assert_array_equal(recording.frames(0, 16), frames)
        recording.close()
    assert len(list(kept.iterdir())) == 60
