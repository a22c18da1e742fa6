"""A consumer that is slow, raises or dies costs nobody else anything, and the account says so."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from livem.errors import SessionError
from livem.pipeline import Pipeline

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, a_pipeline, identity_holds, load, run

pytestmark = pytest.mark.timeout(300)
VD = {"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}


def beside(kind: str, **more) -> Pipeline:
    other = {"name": "other", "type": f"awkward_consumers:{kind}", **more}
    return a_pipeline(consumers=[VD, other])


@pytest.fixture(autouse=True)
def _children_find_the_consumers(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def complete_image(account: dict) -> bool:
    return bool(np.isfinite(load(account, "vd.all")).all()) and account["state"] == "complete"


def test_fault_08_a_slow_consumer_never_makes_anybody_wait(tmp_path):
    pipeline = beside("Slow", policy="latest")
    summary = run("sim:4dstem?shape=32x32&scan=48x48&fps=2000", tmp_path, pipeline)
    (account,) = summary["series"]
    assert complete_image(account)
    assert identity_holds(account)
    assert account["edges"]["other"]["dropped"]["skipped"] > 1000
    assert summary["ring"]["waited_s"] == 0


def test_a_slow_lossless_consumer_makes_the_detector_wait_and_loses_nothing(tmp_path):
    """A ring of 1 MiB and 8 MiB of frames: back-pressure, counted, and every frame processed."""
    pipeline = a_pipeline(
        consumers=[{"name": "other", "type": "awkward_consumers:Slow", "seconds": 0.01}],
        ring={"bytes": 1 << 20},
    )
    summary = run("sim:4dstem?shape=64x64&scan=32x32", tmp_path, pipeline, sender={"rate": float("inf")})
    (account,) = summary["series"]
    assert account["edges"]["other"]["processed"] == account["received"] == 1024
    assert summary["ring"]["waited_s"] > 0


def test_a_raising_consumer_is_counted_and_shown(tmp_path):
    summary = run(TINY, tmp_path, beside("Raising"), sender={"batch": 1, "rate": 1000.0})
    (account,) = summary["series"]
    assert complete_image(account)
    assert identity_holds(account)
    edge = account["edges"]["other"]
    assert edge["dropped"]["consumer_error"] >= 25
    assert edge["processed"] + edge["dropped"]["consumer_error"] == 256
    assert any("a frame that ends in 7" in alarm for alarm in summary["alarms"])


def test_a_consumer_that_dies_of_one_frame_goes_on_behind_it(tmp_path):
    sender = {"batch": 4, "rate": 500.0}
    (account,) = run(TINY, tmp_path, beside("Deadly"), sender=sender)["series"]
    assert complete_image(account)
    assert identity_holds(account)
    edge = account["edges"]["other"]
    assert 1 <= edge["dropped"]["consumer_error"] < 64
    assert edge["restarts"] == 3


def test_a_consumer_that_never_gets_ready_is_given_up(tmp_path):
    summary = run(TINY, tmp_path, beside("NeverReady"))
    (account,) = summary["series"]
    assert complete_image(account)
    assert account["edges"]["other"]["dropped"] == {"stopped": 256}
    assert any("'other' died too often" in alarm for alarm in summary["alarms"])


def test_a_session_without_any_living_consumer_ends(tmp_path):
    pipeline = a_pipeline(consumers=[{"name": "other", "type": "awkward_consumers:NeverReady"}])
    with pytest.raises(SessionError, match="no consumer is left"):
        run(TINY, tmp_path, pipeline)


def test_a_consumer_that_raises_at_open_loses_the_series_but_not_the_session(tmp_path):
    summary = run(TINY, tmp_path, beside("Unopenable"))
    (account,) = summary["series"]
    assert complete_image(account)
    assert account["edges"]["other"]["dropped"] == {"consumer_error": 256}
    assert identity_holds(account)


def test_an_output_that_no_bus_can_carry_costs_neither_the_worker_nor_the_other_outputs(tmp_path):
    summary = run(TINY, tmp_path, beside("BadOutput"))
    (account,) = summary["series"]
    assert complete_image(account)
    edge = account["edges"]["other"]
    assert (edge["processed"], edge["restarts"]) == (256, 0)
    assert sorted(account["results"])[:1] == ["other.seen"]
    assert any("other raised" in alarm for alarm in summary["alarms"])


@pytest.mark.parametrize("kind", ["BadClose", "BadParameters"])
def test_what_a_consumer_raises_at_the_edges_does_not_cost_its_last_result(kind, tmp_path):
    summary = run(TINY, tmp_path, beside(kind))
    (account,) = summary["series"]
    assert account["edges"]["other"]["restarts"] == 0
    assert "256.0" in Path(account["results"]["other.seen"]).read_text()
    assert any("other raised" in alarm for alarm in summary["alarms"])


def test_errors_that_are_longer_than_a_status_do_not_end_the_session(tmp_path):
    sender = {"batch": 1, "rate": 2000.0}
    summary = run(TINY, tmp_path, beside("LongWords"), sender=sender)
    assert complete_image(summary["series"][0])
    assert max(map(len, summary["alarms"])) <= 500
