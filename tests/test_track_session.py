"""Tracking in whole sessions: the same tracks live as offline; what a model draws, followed over the bus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_tools import a_pipeline, identity_holds, run

from livem.consumers.pool import Pool
from livem.consumers.registry import create
from livem.consumers.work.offline import process
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.sources.replay.recorded_series import recorded_series

pytestmark = pytest.mark.timeout(300)
MOVIE = "sim:insitu?shape=96x96&frames=40&dose=60&particles=6&seed=7"
SENDER = {"batch": 3, "rate": 400.0}
DRAWS = '''
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from livem.consumers.base import Consumer, Output


class Draws(Consumer[Any]):
    """Stands for a model: dark places of the newest frame of a block as a heat map."""

    type_name = "draws"

    def open(self, series):
        self._outputs = []

    def process(self, frames):
        if not len(frames):
            return None
        smooth = gaussian_filter(frames.data[-1].astype(np.float32), 2.0)
        return int(frames.indices[-1]), np.clip(1.2 * (1 - smooth / np.median(smooth)), 0, None) / 0.5

    def merge(self, partial):
        if partial is not None:
            attrs = {"kind": "heat_map", "frames": [partial[0]], "estimate": True}
            self._outputs = [Output("heat_map", "image", {"image": partial[1].astype(np.float32)}, {}, attrs)]
        return self._outputs

    def close(self):
        return self._outputs
'''


def table(path: str) -> dict[str, np.ndarray]:
    """Columns of a table on disk."""
    with Path(path).open() as file:
        names = file.read().splitlines()[1].split(",")
    values = np.genfromtxt(path, delimiter=",", skip_header=2, dtype=str, ndmin=2)
    return dict(zip(names, values.T, strict=True))


def offline(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """Results by topic of the consumers of a pipeline over the movie, without a session."""
    acquisition, pool = open_acquisition(MOVIE), Pool(2)
    series, count = recorded_series(acquisition, b"12345678")
    consumers = {}
    for one in tables:
        params = {key: value for key, value in one.items() if key not in ("name", "type", "policy")}
        consumers[one["name"]] = (create(one["type"], one["name"], params), 1)
    done = process(acquisition, series, count, consumers, pool)
    pool.close()
    return dict(done.results)


def test_a_session_gives_the_tracks_that_the_file_gives(tmp_path: Path) -> None:
    """Of a lossless edge, to the last digit: blocks of other sizes, other processes, other threads."""
    track = {"name": "particles", "type": "track", "policy": "lossless"}
    (account,) = run(MOVIE, tmp_path, a_pipeline(consumers=[track]), sender=SENDER)["series"]
    assert identity_holds(account)
    assert account["edges"]["particles"]["processed"] == 40
    expected = offline([track])
    for output in ("trajectories", "events", "statistics", "history", "msd"):
        live, there = table(account["results"][f"particles.{output}"]), expected[f"particles.{output}"].arrays
        for name, column in there.items():
            if column.ndim == 1:
                assert live[name].tolist() == [str(value) for value in column.tolist()], (output, name)
    rows = expected["particles.trajectories"].arrays
    assert len(np.unique(rows["particle"])) >= 4


def test_what_another_consumer_draws_is_followed_over_the_bus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures that the bus skipped are time that passed: the places are those that all pictures give."""
    (tmp_path / "stands_in.py").write_text(DRAWS)
    monkeypatch.syspath_prepend(str(tmp_path))
    model = {"name": "model", "type": "stands_in:Draws", "policy": "lossless"}
    track = {"name": "particles", "type": "track", "input": "model.heat_map"}
    pipeline = replace(a_pipeline(consumers=[model, track]), folder=tmp_path)
    summary = run(MOVIE, tmp_path / "out", pipeline, sender={"batch": 1, "rate": 60.0})
    (account,) = summary["series"]
    assert identity_holds(account)
    assert not [alarm for alarm in summary["alarms"] if "particles" in alarm], summary["alarms"]
    rows = table(account["results"]["particles.tracks"])
    expected = offline([model, track])
    whole = expected["particles.tracks"].arrays
    assert set(rows["frame"].tolist()) == {"39"}
    live, there = (np.column_stack([one["y"], one["x"]]).astype(float) for one in (rows, whole))
    far = np.hypot(*(live[:, None] - there[None]).transpose(2, 0, 1)).min(axis=0)
    assert len(there) >= 4
    assert (far < 1.5).mean() >= 0.75
    assert len(np.unique(expected["particles.trajectories"].arrays["frame"])) >= 39
