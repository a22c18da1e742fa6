"""``livem process``: what a live session would have shown, from a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from livem.commands.process import command
from livem.errors import MissingDependencyError
from livem.kernels.device import CudaState
from livem.stream.sources.replay.source import ReplayOptions, replay_plan

sys.path.insert(0, str(Path(__file__).parents[1]))
from session_tools import TINY, run

pytestmark = pytest.mark.timeout(300)

PIPELINE = """
[[consumers]]
name = "vd"
type = "virtual_detectors"
[consumers.detectors]
bf = { kind = "disk", radius = 6 }
adf = { kind = "annulus", inner = 7, outer = 15, center = [14.0, 17.0] }
com = { kind = "com" }
[[consumers]]
name = "few"
type = "virtual_detectors"
policy = "every_nth:3"
detectors = { all = { kind = "total" } }
"""


@pytest.fixture(scope="module")
def pipeline_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pipeline") / "p.toml"
    path.write_text(PIPELINE)
    return path


def processed(file: object, out: Path, *more: str) -> dict[str, Any]:
    done = CliRunner().invoke(command, [str(file), "-o", str(out), "--json", *more], standalone_mode=False)
    assert done.exception is None, done.exception
    (account,) = json.loads(done.stdout)["series"]
    return account


def pictures(account: dict[str, Any]) -> dict[str, np.ndarray]:
    return {topic: np.load(path) for topic, path in account["results"].items() if path.endswith(".npy")}


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_live_replayed_and_offline_pictures_are_the_same_bits(encoding, pipeline_file, tmp_path):
    from livem.pipeline import load

    pipeline = load(pipeline_file)
    sender = {"fault": "drop=0.05,seed=2,on=frames", "batch": 4, "encoding": encoding}
    live = run(TINY, tmp_path / "live", pipeline, sender=sender, record=tmp_path / "kept")
    (account,) = live["series"]
    (recording,) = account["recordings"]
    plan = replay_plan(ReplayOptions(recording, speed=float("inf")))
    (again,) = run(recording, tmp_path / "again", pipeline, plan=plan)["series"]
    offline = processed(recording, tmp_path / "off", "-p", str(pipeline_file), "--threads", "2")
    assert offline["received"] == account["received"] < account["announced"]
    assert offline["lost"] == account["lost"]
    shown, replayed, computed = pictures(account), pictures(again), pictures(offline)
    assert {"vd.bf", "vd.adf", "vd.com", "vd.pattern", "few.all", "few.pattern"} == shown.keys()
    assert shown.keys() == replayed.keys() == computed.keys()
    for topic, image in shown.items():
        np.testing.assert_array_equal(image, replayed[topic])
        np.testing.assert_array_equal(image, computed[topic])


def test_a_file_without_a_scan_takes_that_of_the_command_line(tmp_path):
    frames = np.random.default_rng(1).poisson(3, (12, 8, 9)).astype(np.uint16)
    np.save(tmp_path / "movie.npy", frames)
    account = processed(tmp_path / "movie.npy", tmp_path / "out", "--scan", "3x4")
    assert account["state"] == "complete"
    image = np.load(account["results"]["vd.bf"])
    assert image.shape == (3, 4)
    assert np.isfinite(image).all()


def test_the_summary_is_written_beside_the_results(tmp_path):
    account = processed(TINY, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["series"] == [account]
    assert json.loads((tmp_path / "out" / "1" / "summary.json").read_text())["results"] == account["results"]


def test_wrong_files_and_detectors_end_with_what_to_do(tmp_path):
    for arguments, words in (
        ([str(tmp_path / "no.h5")], "there is no such file"),
        (["sim:insitu?frames=0"], ""),
    ):
        done = CliRunner().invoke(command, [*arguments, "-o", str(tmp_path)], standalone_mode=False)
        assert done.exception is not None
        assert words in str(done.exception)
    bad = tmp_path / "bad.toml"
    bad.write_text(PIPELINE.replace("radius = 6", "radius = -6"))
    done = CliRunner().invoke(command, [TINY, "-p", str(bad), "-o", str(tmp_path)], standalone_mode=False)
    assert "radius = -6; it must be greater than 0" in str(done.exception)


def test_a_consumer_that_raises_is_told_and_counted(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from livem.consumers.base import Consumer\n"
        "class Breaks(Consumer):\n"
        "    type_name = 'breaks'\n"
        "    def open(self, series): pass\n"
        "    def process(self, frames): raise RuntimeError('broken')\n"
        "    def merge(self, partial): return ()\n"
    )
    (tmp_path / "p.toml").write_text('[[consumers]]\nname = "b"\ntype = "mine:Breaks"\n')
    arguments = [TINY, "-p", str(tmp_path / "p.toml"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(command, [*arguments, "--json"], standalone_mode=False)
    (line,) = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "could use none of the 256 frames" in summary["error"]
    assert done.return_value == summary["exit_code"] == 1
    assert f"livem: error: {summary['error']}" in done.stderr
    assert "b raised for 256 frames, first RuntimeError: broken" in done.stderr


@pytest.mark.parametrize(
    ("wanted", "said"), [("cpu", "CPU (as the pipeline says)"), ("auto", "CPU (none here)")]
)
def test_the_device_of_the_pipeline_is_taken_and_said(wanted, said, tmp_path, monkeypatch):
    monkeypatch.setattr("livem.kernels.device.find_cuda", lambda: CudaState(None, "none here"))
    pipeline = tmp_path / "p.toml"
    pipeline.write_text(PIPELINE.replace('name = "vd"', f'name = "vd"\ndevice = "{wanted}"'))
    out = tmp_path / "out"
    done = CliRunner().invoke(command, [TINY, "-p", str(pipeline), "-o", str(out)], standalone_mode=False)
    assert done.exception is None
    assert f"vd was computed on: {said}" in done.output
    summary = json.loads((out / "summary.json").read_text())
    assert summary["devices"]["vd"] == said
    assert summary["devices"]["few"] == "CPU (none here)"


def test_a_gpu_that_is_wanted_and_not_there_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr("livem.kernels.device.find_cuda", lambda: CudaState(None, "none is here"))
    pipeline = tmp_path / "p.toml"
    pipeline.write_text(PIPELINE.replace('name = "vd"', 'name = "vd"\ndevice = "cuda"'))
    arguments = [TINY, "-p", str(pipeline), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert isinstance(done.exception, MissingDependencyError)
    assert 'device = "cuda", but none is here' in str(done.exception)


def test_kernels_that_it_compiles_are_saved_one_process_at_a_time(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "livem.kernel_cache.lock_saves", lambda: asked.append("numba.core.caching" in sys.modules)
    )
    processed(TINY, tmp_path)
    assert asked == [True]


def test_what_is_switched_off_in_the_file_is_counted_and_gives_nothing(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(PIPELINE.replace('policy = "every_nth:3"', "enabled = false"))
    account = processed(TINY, tmp_path / "out", "-p", str(path))
    assert {topic.partition(".")[0] for topic in account["results"]} == {"vd"}
    few = account["edges"]["few"]
    assert (few["processed"], few["dropped"]) == (0, {"switched_off": account["received"]})
