"""Trajectories for other programs: what they read is what was written."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from livem.outputs import write_results
from livem.stream.results import Result
from livem.stream.series import SeriesKey
from livem.track_files import write_parquet, write_trackmate

COLUMNS = {
    "frame": np.array([0, 0, 1, 2, 2]),
    "particle": np.array([4, 7, 4, 4, 7]),
    "y": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "x": np.array([10.0, 20.0, 30.0, 40.0, 50.0]),
}
SAID = {"pixel_size": 0.5, "pixel_unit": "nm", "frame_time": 0.1, "time_unit": "s"}


def test_trackmate_has_a_particle_for_each_id_in_physical_units(tmp_path: Path) -> None:
    root = ElementTree.parse(write_trackmate(tmp_path / "a.xml", COLUMNS, SAID)).getroot()
    assert (root.tag, root.get("nTracks"), root.get("spaceUnits")) == ("Tracks", "2", "nm")
    assert (float(root.get("frameInterval")), root.get("timeUnits")) == (0.1, "s")
    spots = [[(d.get("t"), float(d.get("x")), float(d.get("y"))) for d in p] for p in root]
    assert spots == [
        [("0", 5.0, 0.5), ("1", 15.0, 1.5), ("2", 20.0, 2.0)],
        [("0", 10.0, 1.0), ("2", 25.0, 2.5)],
    ]
    assert [p.get("nSpots") for p in root] == ["3", "2"]


def test_no_tracks_are_a_valid_file_too(tmp_path: Path) -> None:
    none = {name: column[:0] for name, column in COLUMNS.items()}
    assert len(ElementTree.parse(write_trackmate(tmp_path / "a.xml", none, {})).getroot()) == 0


def test_results_write_what_they_ask_for_beside_the_table(tmp_path: Path) -> None:
    key = SeriesKey(bytes(8), 0)
    result = Result("p.trajectories", "table", key, (0, 3), 0, COLUMNS, {}, {**SAID, "files": ["trackmate"]})
    write_results(tmp_path, {"p.trajectories": result})
    assert (tmp_path / "p.trajectories.csv").exists()
    assert (tmp_path / "p.trajectories.trackmate.xml").exists()
    assert "p.trajectories.trackmate.xml" in (tmp_path / "p.trajectories.json").read_text()


def test_pandas_and_trackpy_take_the_table_as_it_is(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="reads the table")
    result = Result("p.trajectories", "table", SeriesKey(bytes(8), 0), (0, 3), 0, COLUMNS, {"y": "px"}, {})
    write_results(tmp_path, {"p.trajectories": result})
    read = pandas.read_csv(tmp_path / "p.trajectories.csv", comment="#")
    assert read.columns.tolist() == list(COLUMNS)
    np.testing.assert_array_equal(read["x"], COLUMNS["x"])


def test_parquet_keeps_columns_and_what_is_said(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="writes and reads Parquet")
    table = parquet.read_table(write_parquet(tmp_path / "a.parquet", COLUMNS, SAID))
    assert table.column_names == list(COLUMNS)
    assert table["particle"].to_pylist() == COLUMNS["particle"].tolist()
    assert table.schema.metadata[b"pixel_unit"] == b"nm"
