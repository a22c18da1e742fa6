"""Recordings opened by other programs of the field as they are: right shape, pixels and calibration."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (what the user of a compressed recording imports as well)
import numpy as np
import pytest

from livem.stream.series import Scan

sys.path.insert(0, str(Path(__file__).parent / "stream" / "recording"))
from recorder_tools import Stage, a_series, pixels

META = {
    "title": "gold",
    "pixel_size": 0.5,
    "pixel_unit": "mrad",
    "scan_step": 0.2,
    "scan_unit": "nm",
    "beam_energy": 200,
    "sample": "Au",
    "frame_time": 0.001,
}
SHAPE = (16, 12)
SCANS = {
    "raster": Scan((6, 8)),
    "flyback": Scan((5, 8), skip=3),
    "serpentine": Scan((5, 7), "serpentine", skip=1),
    "line": Scan((1, 9), "serpentine"),
    "repeated": Scan((4, 3), repeats=2),
    "both": Scan((3, 4), "serpentine", repeats=3),
}


def record(folder: Path, scan: Scan | None, missing: tuple[int, ...] = (), **more) -> tuple[Path, np.ndarray]:
    """A recording, and its frames (n, h, w)."""
    count = 20 if scan is None else scan.frame_count
    series = a_series(shape=SHAPE, encoding="bslz4", count=count, scan=scan, meta={**META, **more})
    stage = Stage(folder)
    stage.start(series)
    for index in range(count):
        if index not in missing:
            stage.frames(index, 1)
    stage.end(count)
    stage.now += 10**10
    stage.assembler.tick(stage.now)
    stage.work()
    (path,) = stage.files()
    stage.close()
    frames = np.concatenate([pixels(series, index, 1) for index in range(count)])
    frames[list(missing)] = 0
    return path, frames


def scanned(scan: Scan, frames: np.ndarray) -> np.ndarray:
    """The frames on their scan pixels, by the series' own rule."""
    indices = np.arange(len(frames))
    where, ny, nx = scan.pixels(indices), *scan.shape
    image = np.zeros((scan.repeats, ny * nx, *frames.shape[1:]), frames.dtype)
    inside = where >= 0
    image[scan.passes(indices)[inside], where[inside]] = frames[inside]
    image = image.reshape(scan.repeats, ny, nx, *frames.shape[1:])
    return image[0] if scan.repeats == 1 else image


@pytest.mark.parametrize("name", SCANS)
def test_h5py_sees_the_scan(tmp_path, name):
    scan = SCANS[name]
    path, frames = record(tmp_path, scan, missing=(5,))
    with h5py.File(path, "r") as file:
        np.testing.assert_array_equal(file["entry/data/data"][:], frames)
        np.testing.assert_array_equal(file["entry/scan/data"][()], scanned(scan, frames))
        valid = np.ones(len(frames), np.uint8)
        valid[5] = 0
        np.testing.assert_array_equal(file["entry/scan/valid"][()], scanned(scan, valid))


def test_a_moved_file_keeps_its_view(tmp_path):
    path, frames = record(tmp_path / "a", SCANS["raster"])
    moved = path.rename(tmp_path / "other name.h5")
    with h5py.File(moved, "r") as file:
        np.testing.assert_array_equal(file["entry/scan/data"][()].reshape(frames.shape), frames)


def test_nexus_readers_find_their_way(tmp_path):
    path, _ = record(tmp_path, SCANS["raster"])
    with h5py.File(path, "r") as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        assert data.attrs["NX_class"] == "NXdata"
        assert list(data.attrs["axes"]) == ["y", "x", "ky", "kx"]
        for axis, step, unit in (("y", 0.2, "nm"), ("kx", 0.5, "mrad")):
            np.testing.assert_allclose(np.diff(data[axis][:]), step)
            assert data[axis].attrs["units"] == unit
        assert entry["title"].asstr()[()] == "gold"
        assert entry["sample/name"].asstr()[()] == "Au"
        assert entry["instrument/source/energy"][()] == 200
        assert entry["instrument/source/energy"].attrs["units"] == "keV"
        assert entry["start_time"][()] <= entry["end_time"][()]
        assert file.attrs["creator"] == "livem"
        bitshuffle = file["entry/data/data"].id.get_create_plist().get_filter(0)
        assert bitshuffle[0] == 32008
        assert bitshuffle[2][2:] == (2, 0, 2)  # element size, block size (its own choice), LZ4


def test_hyperspy_opens_a_scan(tmp_path):
    hs = pytest.importorskip("hyperspy.api", reason="HyperSpy is not installed")
    path, frames = record(tmp_path, SCANS["flyback"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own and its dependencies' deprecations
        signal = hs.load(str(path), reader="NeXus", use_default=True)
    np.testing.assert_array_equal(signal.data, scanned(SCANS["flyback"], frames))
    axes = signal.axes_manager
    assert [axis.name for axis in (*axes.navigation_axes, *axes.signal_axes)] == ["x", "y", "kx", "ky"]
    assert [axis.scale for axis in axes.navigation_axes] == pytest.approx([0.2, 0.2])
    assert [axis.units for axis in axes.navigation_axes] == ["nm", "nm"]
    assert [axis.scale for axis in axes.signal_axes] == pytest.approx([0.5, 0.5])
    assert [axis.units for axis in axes.signal_axes] == ["mrad", "mrad"]


def test_hyperspy_opens_a_movie(tmp_path):
    hs = pytest.importorskip("hyperspy.api", reason="HyperSpy is not installed")
    path, frames = record(tmp_path, None, pixel_unit="nm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = hs.load(str(path), reader="NeXus", use_default=True)
    np.testing.assert_array_equal(signal.data, frames)
    assert [axis.units for axis in signal.axes_manager.signal_axes] == ["nm", "nm"]
    assert signal.axes_manager.navigation_shape == (20,)


def test_libertem_opens_a_scan(tmp_path):
    lt = pytest.importorskip("libertem.api", reason="LiberTEM is not installed")
    path, frames = record(tmp_path, SCANS["serpentine"])
    expected = scanned(SCANS["serpentine"], frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with lt.Context.make_with("inline") as context:
            dataset = context.load("hdf5", path=str(path), ds_path="/entry/scan/data")
            assert tuple(dataset.shape) == expected.shape
            total = context.run(context.create_sum_analysis(dataset)).intensity.raw_data
    np.testing.assert_array_equal(total, expected.astype(np.int64).sum((0, 1)))


@pytest.mark.parametrize("scan", [SCANS["raster"], None], ids=["scan", "movie"])
def test_the_reader_of_py4dstem_opens_it(tmp_path, scan):
    emdfile = pytest.importorskip("emdfile", reason="emdfile, the reader of py4DSTEM, is not installed")
    path, frames = record(tmp_path, scan)
    array = emdfile.read(str(path))
    np.testing.assert_array_equal(array.data, frames if scan is None else scanned(scan, frames))
    names = ["time", "y", "x"] if scan is None else ["y", "x", "ky", "kx"]
    units = ["s", "mrad", "mrad"] if scan is None else ["nm", "nm", "mrad", "mrad"]
    steps = [0.001, 0.5, 0.5] if scan is None else [0.2, 0.2, 0.5, 0.5]
    assert list(array.dim_names) == names
    assert list(array.dim_units) == units
    assert [dim[1] - dim[0] for dim in array.dims] == pytest.approx(steps)
