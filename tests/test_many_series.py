"""More series than the ring's table holds, faster than anybody can write them down."""

from __future__ import annotations

import pytest
from session_tools import a_pipeline, identity_holds, run


@pytest.mark.timeout(120)
def test_a_burst_of_60_short_series_loses_none(tmp_path):
    url = "sim:4dstem?shape=16x16&scan=4x4"
    sender = {"series_count": 60, "rate": float("inf")}
    summary = run(url, tmp_path, a_pipeline(), sender=sender, series=60)
    assert [account["series"] for account in summary["series"]] == list(range(1, 61))
    for account in summary["series"]:
        assert account["edges"]["vd"]["processed"] == account["received"] == 16
        assert identity_holds(account)
        assert "vd.bf" in account["results"]
