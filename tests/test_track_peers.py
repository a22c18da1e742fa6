"""Trajectories on disk, read back by the programs that they are for: pandas, trackpy, laptrack, Parquet.

TrackMate's own loader runs in Fiji: its XML is held against what that loader reads in test_track_files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from track_tools import a_movie, a_series, frames_of

from livem.outputs import write_results
from livem.stream.results import Result
from livem.stream.series import SeriesKey

pandas = pytest.importorskip("pandas", reason="reads tables")
pytestmark = pytest.mark.filterwarnings("ignore")  # the peers' own, of each other's versions
STEP = 0.5
"""px, of a particle along an axis a frame."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """The folder of a followed movie, and its trajectories."""
    from livem.consumers.track import Track

    series, (_, frames) = a_series(), a_movie(40)
    consumer = Track("p", radius=4.0, spread=0.3, polarity="dark", files=["trackmate"])
    consumer.open(series)
    consumer.merge(consumer.process(frames_of(series, frames)))
    (one,) = (output for output in consumer.close() if output.name == "trajectories")
    arrays = {name: np.array(column) for name, column in one.arrays.items()}
    result = Result(
        "p.trajectories", "table", SeriesKey(bytes(8), 0), (0, 40), 0, arrays, one.units, one.attrs
    )
    folder = tmp_path_factory.mktemp("out")
    write_results(folder, {"p.trajectories": result})
    return folder, arrays


@pytest.fixture
def table(written: tuple[Path, Any]) -> Any:
    return pandas.read_csv(written[0] / "p.trajectories.csv", comment="#")


def test_pandas_reads_every_column_with_its_kind(table: Any, written: tuple[Path, Any]) -> None:
    assert table.columns.tolist() == list(written[1])
    for name, column in written[1].items():
        kinds = {table[name].dtype.kind, column.dtype.kind}
        assert len(kinds) == 1, name
        expected = column.astype(table[name].dtype)
        np.testing.assert_allclose(table[name].to_numpy(float), expected.astype(float), rtol=1e-6)


def test_trackpy_measures_what_is_on_disk(table: Any) -> None:
    """Twelve particles of one walk: their mean squared displacement, drift, and stubs."""
    trackpy = pytest.importorskip("trackpy", reason="measures tracks")
    trackpy.quiet()
    squares = trackpy.emsd(table, mpp=1.0, fps=1.0, max_lagtime=4, pos_columns=["measured_x", "measured_y"])
    assert float(squares.iloc[0]) == pytest.approx(2 * STEP**2, rel=0.25)
    assert 2.5 < float(squares.iloc[3] / squares.iloc[0]) < 5
    assert trackpy.filter_stubs(table, 30)["particle"].nunique() == 12
    drift = trackpy.compute_drift(table)
    assert list(drift.index) == list(range(1, 40))
    assert np.abs(drift.to_numpy()).max() < 2
    relinked = trackpy.link(table.drop(columns="particle"), 5.0, memory=3)
    groups = relinked.groupby("particle")["frame"].count()
    assert (groups == 40).sum() == 12


def test_laptrack_follows_what_is_on_disk(table: Any) -> None:
    laptrack = pytest.importorskip("laptrack", reason="follows points")
    found = laptrack.LapTrack(cutoff=25.0).predict_dataframe(
        table, coordinate_cols=["y", "x"], frame_col="frame", only_coordinate_cols=False
    )
    tracks = found[0]
    for _, own in tracks.groupby("track_id"):
        assert len(own) == 40
    assert tracks["track_id"].nunique() == 12


def test_parquet_is_the_same_table(written: tuple[Path, Any], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="reads and writes Parquet")
    from livem.track_files import write_parquet

    read = pandas.read_parquet(write_parquet(tmp_path / "t.parquet", written[1], {"pixel_unit": "nm"}))
    for name, column in written[1].items():
        np.testing.assert_array_equal(read[name], column)


def test_what_they_are_is_said_beside_them(written: tuple[Path, Any]) -> None:
    said = json.loads((written[0] / "p.trajectories.json").read_text())
    assert said["units"]["y"] == "px"
    assert said["attrs"]["frame_time"] == 1.0
    assert (written[0] / said["files"]["trackmate"]).is_file()
