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


def test_trackmate_finds_what_its_loader_asks_for(tmp_path: Path) -> None:
    """The elements and attributes that TmXmlReader of TrackMate 7 reads, and errs without."""
    root = ElementTree.parse(write_trackmate(tmp_path / "a.xml", COLUMNS, SAID)).getroot()
    assert root.tag == "TrackMate"
    assert root.get("version", "").startswith("7.")
    assert root.find("GUIState").get("state") == "ConfigureViews"
    declared = root.find("Model/FeatureDeclarations")
    assert [kind.tag for kind in declared] == ["SpotFeatures", "EdgeFeatures", "TrackFeatures"]
    for feature in declared.iter("Feature"):
        assert set(feature.keys()) == {"feature", "name", "shortname", "dimension", "isint"}
    own = {one.get("feature") for one in declared.find("SpotFeatures")}
    for spot in root.iter("Spot"):
        assert set(spot.keys()) == own | {"ID", "name"}
        assert all(np.isfinite(float(spot.get(name))) for name in own)
    settings = root.find("Settings")
    assert [part.tag for part in settings] == [
        *("ImageData", "BasicSettings", "DetectorSettings", "InitialSpotFilter", "SpotFilterCollection"),
        *("TrackerSettings", "TrackFilterCollection", "AnalyzerCollection"),
    ]
    assert settings.find("DetectorSettings").get("DETECTOR_NAME") == "MANUAL_DETECTOR"
    assert settings.find("TrackerSettings").get("TRACKER_NAME") == "MANUAL_TRACKER"
    assert int(settings.find("ImageData").get("nframes")) == 3


def test_trackmate_has_a_particle_for_each_id_in_physical_units(tmp_path: Path) -> None:
    columns = {**COLUMNS, "radius": np.array([2.0, 3.0, np.nan, 2.0, 3.0])}
    model = ElementTree.parse(write_trackmate(tmp_path / "a.xml", columns, SAID)).getroot().find("Model")
    assert (model.get("spatialunits"), model.get("timeunits")) == ("nm", "s")
    frames = model.findall("AllSpots/SpotsInFrame")
    assert [(int(one.get("frame")), len(one)) for one in frames] == [(0, 2), (1, 1), (2, 2)]
    spots = {one.get("ID"): one for one in model.iter("Spot")}
    assert len(spots) == int(model.find("AllSpots").get("nspots")) == 5
    places = {}
    for track in model.findall("AllTracks/Track"):
        chain = [track[0].get("SPOT_SOURCE_ID"), *(edge.get("SPOT_TARGET_ID") for edge in track)]
        assert [edge.get("SPOT_SOURCE_ID") for edge in track] == chain[:-1]
        own = [spots[one] for one in chain]
        figures = ("FRAME", "POSITION_T", "POSITION_X", "POSITION_Y", "RADIUS")
        places[track.get("TRACK_ID")] = [tuple(float(one.get(name)) for name in figures) for one in own]
    assert places == {
        "4": [(0, 0, 5.0, 0.5, 1.0), (1, 0.1, 15.0, 1.5, 1.25), (2, 0.2, 20.0, 2.0, 1.0)],
        "7": [(0, 0, 10.0, 1.0, 1.5), (2, 0.2, 25.0, 2.5, 1.5)],
    }
    assert [one.get("TRACK_ID") for one in model.find("FilteredTracks")] == ["4", "7"]


def test_no_tracks_and_single_spots_are_valid_files_too(tmp_path: Path) -> None:
    for count in (0, 1):
        few = {name: column[:count] for name, column in COLUMNS.items()}
        root = ElementTree.parse(write_trackmate(tmp_path / "a.xml", few, {})).getroot()
        assert len(list(root.iter("Spot"))) == count
        assert not list(root.iter("Track"))


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
