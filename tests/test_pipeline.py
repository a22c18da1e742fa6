"""The pipeline file: every wrong key or value is said with its name, its value and the next step."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from session_tools import TINY, load, run

from livem import pipeline
from livem.errors import PipelineError, SourceError
from livem.pipeline import parse
from livem.stream.curve import load_keys
from livem.stream.policy import Policy
from livem.stream.series import Scan
from livem.stream.sources.plan import plan_source

VD = {"name": "vd", "type": "virtual_detectors"}


def test_nothing_is_needed():
    plain = pipeline.parse({})
    assert [consumer.name for consumer in plain.consumers] == ["preview", "vd"]
    assert plain.scan is None
    assert plain.source.url is None


def test_everything_is_read():
    full = pipeline.parse(
        {
            "source": {"url": "tcp://a:1", "idle_timeout": 3, "wait": 9, "insecure_bind": True},
            "scan": {"shape": [8, 9], "order": "serpentine", "skip": 2, "repeats": 0},
            "ring": {"bytes": 1 << 24, "max_latency": 0.01},
            "consumers": [{**VD, "policy": "every_nth:3", "detectors": {"a": {"kind": "total"}}}],
        }
    )
    assert full.source == pipeline.SourceConfig("tcp://a:1", 3.0, 9.0, True)
    assert full.scan == Scan((8, 9), "serpentine", 2, 0)
    assert (full.ring_bytes, full.max_latency) == (1 << 24, 0.01)
    assert full.consumers[0].policy == Policy("every_nth", n=3)
    assert full.consumers[0].params == {"detectors": {"a": {"kind": "total"}}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sourc": {}}, "unknown key 'sourc' in pipeline; did you mean 'source'?"),
        ({"source": {"ur": "x"}}, "unknown key 'ur' in [source]; did you mean 'url'?"),
        ({"source": {"zzz": 1}}, "unknown key 'zzz' in [source]; known keys: url"),
        ({"source": {"url": 3}}, "'url' in [source] is 3; it must be a text"),
        ({"source": {"idle_timeout": 0}}, "'idle_timeout' in [source] is 0; it must be a number from 0.1"),
        ({"source": {"wait": True}}, "'wait' in [source] is True"),
        ({"source": {"insecure_bind": "yes"}}, "it must be true or false"),
        ({"source": 3}, "'source' is 3; it must be a table"),
        ({"scan": {"shape": [0, 4]}}, "'shape' in [scan] is [0, 4]"),
        ({"scan": {"shape": [4, -1]}}, "'shape' in [scan] is [4, -1]"),
        ({"scan": {"shape": [4, 70_000]}}, "from 1 to 65536"),
        ({"scan": {"shape": [True, 4]}}, "'shape' in [scan] is [True, 4]"),
        ({"scan": {}}, "'shape' in [scan] is None"),
        ({"scan": {"shape": [4, 4], "order": "spiral"}}, "'order' in [scan] is 'spiral'"),
        ({"scan": {"shape": [4, 4], "order": "positions"}}, "positions come with the stream"),
        ({"scan": {"shape": [4, 4], "skip": -1}}, "'skip' in [scan] is -1"),
        ({"ring": {"bytes": 100}}, "'bytes' in [ring] is 100"),
        ({"ring": {"byts": 100}}, "did you mean 'bytes'?"),
        ({"ring": {"max_latency": 2}}, "'max_latency' in [ring] is 2"),
        ({"consumers": []}, "0 [[consumers]]; there must be 1 to 16"),
        ({"consumers": {}}, "'consumers' must be a list of tables"),
        ({"consumers": [{"type": "preview"}]}, "needs 'name', a text; one has None"),
        ({"consumers": [{"name": "vd"}]}, "needs 'type', a text; one has None"),
        ({"consumers": [VD, VD]}, "consumer name 'vd' is used twice"),
        ({"consumers": [{**VD, "name": "a.b"}]}, "consumer name 'a.b' must be letters"),
        ({"consumers": [{**VD, "name": "status"}]}, "none of"),
        ({"consumers": [{**VD, "policy": "lossles"}]}, "policy 'lossles' is not one of: lossless"),
        ({"consumers": [{**VD, "policy": 3}]}, "'policy' of consumer 'vd' is 3"),
        ({"scan": {"shape": [8, 8], "skip": 0.7}}, "'skip' in [scan] is 0.7; it must be a whole number"),
        ({"scan": {"shape": [65536, 65536]}}, "4,294,967,296 pixels; there may be at most 268,435,456"),
    ],
)
def test_what_is_wrong_is_named(data, message):
    with pytest.raises(PipelineError, match=re.escape(message)):
        pipeline.parse(data)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(PipelineError, match="does not exist; give its path after -p"):
        pipeline.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[source\n")
    with pytest.raises(PipelineError, match=r"bad.toml' is not TOML"):
        pipeline.load(tmp_path / "bad.toml")
    (tmp_path / "key.toml").write_text("[sorce]\n")
    with pytest.raises(PipelineError, match=r"key.toml': unknown key 'sorce'"):
        pipeline.load(tmp_path / "key.toml")
    with pytest.raises(PipelineError, match="cannot be read"):
        pipeline.load(tmp_path)


CONSUMER = """
import numpy as np
from livem.consumers.base import Consumer, Output


class Brightest(Consumer):
    type_name = "brightest"
    default_policy = "lossless"

    def open(self, series):
        self.image = np.zeros(series.shape)

    def process(self, frames):
        return frames.data.max(axis=0)

    def merge(self, partial):
        self.image = np.maximum(self.image, partial)
        return [Output("image", "image", {"image": self.image})]
"""

FILE = """
[ring]
bytes = 16_777_216

[[consumers]]
name = "bright"
type = "my_analysis:Brightest"

[[consumers]]
name = "vd"
type = "virtual_detectors"
detectors.half = { kind = "mask", path = "half.npy" }
"""


@pytest.mark.timeout(300)
def test_modules_and_masks_beside_the_file_are_found(tmp_path, monkeypatch):
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "my_analysis.py").write_text(CONSUMER)
    (folder / "pipeline.toml").write_text(FILE)
    np.save(folder / "half.npy", np.arange(32 * 32).reshape(32, 32) < 512)
    monkeypatch.chdir(tmp_path)
    (account,) = run(TINY, tmp_path / "out", pipeline.load(Path("experiment/pipeline.toml")))["series"]
    assert account["edges"]["bright"]["processed"] == 256
    assert load(account, "bright.image").shape == (32, 32)
    assert np.isfinite(load(account, "vd.half")).all()


def test_curve_keys_come_from_a_file_beside_the_pipeline(tmp_path: Path) -> None:
    import zmq
    import zmq.auth

    zmq.auth.create_certificates(tmp_path, "livem")
    friend = zmq.curve_keypair()[0].decode()
    file = tmp_path / "p.toml"
    file.write_text(
        f'[source]\nurl = "bind+tcp://*:9999"\ncurve_key = "livem.key_secret"\ncurve_allowed = ["{friend}"]\n'
    )
    source = pipeline.load(file).source
    keys = load_keys(Path(source.curve_key), source.curve_allowed)
    assert keys.allowed == {friend.encode()}
    plan_source("bind+tcp://*:9999", curve=keys)  # beyond this machine, and yet no --insecure-bind
    with pytest.raises(SourceError, match="no CURVE keys"):
        plan_source("dectris://127.0.0.1", curve=keys)
    with pytest.raises(SourceError, match="has no secret key"):
        load_keys(tmp_path / "livem.key")
    with pytest.raises(SourceError, match="create_certificates"):
        load_keys(tmp_path / "nowhere.key_secret")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"curve_key": 3}, "must be a text"),
        ({"curve_key": "k", "curve_allowed": ["short"]}, "40 characters"),
        ({"curve_server": "x" * 40}, "need 'curve_key'"),
    ],
)
def test_wrong_curve_settings_are_said(source: dict[str, object], words: str) -> None:
    with pytest.raises(PipelineError, match=words):
        parse({"source": source})


def test_record_and_arm_tables_are_read() -> None:
    pipeline = parse(
        {"record": {"compression": "bslz4", "continuous": False}, "arm": {"ntrigger": 5, "roi": True}}
    )
    assert (pipeline.record.compression, pipeline.record.continuous) == ("bslz4", False)
    assert pipeline.arm == {"ntrigger": "5", "roi": "true"}
    for wrong in ({"record": {"compression": "zip"}}, {"record": {"continuous": 1}}, {"arm": {"x": [1]}}):
        with pytest.raises(PipelineError):
            parse(wrong)


def test_a_consumer_may_name_its_threads():
    table = {"name": "vd", "type": "virtual_detectors"}
    (many,) = parse({"consumers": [{**table, "threads": 3}]}).consumers
    (free,) = parse({"consumers": [table]}).consumers
    assert (many.threads, many.params, free.threads) == (3, {}, 0)
    with pytest.raises(PipelineError, match=r"'threads' in consumer 'vd' is 65; .* from 0 to 64"):
        parse({"consumers": [{**table, "threads": 65}]})
