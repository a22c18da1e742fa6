"""A consumer that takes another one's results instead of frames: live and offline, and what can be wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livem.consumers.pool import Pool
from livem.consumers.registry import create
from livem.consumers.work.offline import process
from livem.errors import PipelineError
from livem.pipeline import parse
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.catalogue import open_acquisition

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, a_pipeline, identity_holds, load, run

pytestmark = pytest.mark.timeout(300)
VD = {"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}
SUMMING = {"name": "sums", "type": "awkward_consumers:Summing", "input": "vd.all"}


@pytest.fixture(autouse=True)
def _children_find_the_consumers(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_the_last_result_of_the_input_is_in_the_last_result(tmp_path):
    """Paced, so that results come in between too; the other series must not leak into it."""
    pipeline = a_pipeline(consumers=[VD, SUMMING])
    summary = run(f"{TINY}&fps=400", tmp_path, pipeline)
    (account,) = summary["series"]
    assert identity_holds(account)
    assert account["edges"]["sums"]["policy"] == "latest"
    total, fed = load(account, "sums.total")[0]
    assert total == load(account, "vd.all").sum()
    assert fed > 2
    assert not summary["alarms"]


def test_offline_gives_the_same():
    acquisition = open_acquisition(TINY)
    series = Series(SeriesKey(bytes(8), 0), (32, 32), "uint16", count=256, scan=acquisition.scan)
    consumers = {
        table["name"]: (
            create(
                table["type"], table["name"], {k: v for k, v in table.items() if k not in ("name", "type")}
            ),
            1,
        )
        for table in (VD, SUMMING)
    }
    pool = Pool(1)
    try:
        done = process(acquisition, series, 256, consumers, pool)
    finally:
        pool.close()
    total, fed = done.results["sums.total"].arrays["image"][0]
    assert (total, fed) == (done.results["vd.all"].arrays["image"].sum(), 1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "must be a topic"),
        (["vd.all", 4], "must be a topic"),
        ("vd", 'a consumer and its output: "vd.haadf"'),
        ("vdd.all", "did you mean 'vd'"),
        ("sums.total", "must come before it"),
    ],
)
def test_a_wrong_input_is_said(value, words):
    with pytest.raises(PipelineError, match="'input' of consumer 'sums'") as error:
        parse({"consumers": [VD, {**SUMMING, "input": value}]})
    assert words in str(error.value)
