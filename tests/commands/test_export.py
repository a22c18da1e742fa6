"""``livem export``: every format gives back what was in the file; holes are zeros, and said to be holes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livem.cli import main
from livem.errors import MissingDependencyError, SessionError, SourceError, UsageError
from livem.stream.files.acquisition import Acquisition, FrameBank
from livem.stream.files.open_file import open_file
from livem.stream.recording import export_formats
from livem.stream.recording.export import export
from livem.stream.series import DTYPES, Scan

SUFFIXES = (".npy", ".h5", ".zarr", ".tif")


THIN = [(7, 1, 1), (7, 1, 5), (7, 5, 1), (1, 1, 1), (1, 5, 1), (2, 3, 1, 1)]
"""Frames of point and line detectors."""


class Recording(Acquisition):
    """Frames with holes, positions, times and a pixel mask."""

    def __init__(
        self, frames: np.ndarray, holes: tuple[int, ...] = (), scan: Scan | None = None, **meta: Any
    ) -> None:
        self.name, self.scan, self.meta = "a.h5", scan, meta
        self.bank, self.count = FrameBank(frames), len(frames)
        self._holes = holes
        self.asked: list[int] = []
        self.broken: int | None = None

    def frames(self, first: int, n: int) -> np.ndarray:
        self.asked.append(n)
        if self.broken is not None and first <= self.broken < first + n:
            raise OSError("read error")
        return super().frames(first, n)  # not zeros in the holes: export has to see to that

    def present(self, first: int, n: int) -> np.ndarray | None:
        return ~np.isin(np.arange(first, first + n), self._holes) if self._holes else None

    def times(self, first: int, n: int) -> np.ndarray | None:
        return np.arange(first, first + n, dtype=np.int64) + 1000 if self._holes else None

    def positions(self, first: int, n: int) -> np.ndarray | None:
        if self.scan is None or self.scan.order != "positions":
            return None
        return np.stack([np.arange(first, first + n), np.ones(n)], 1).astype(np.float32)

    def tables(self) -> Mapping[str, np.ndarray]:
        return {"pixel_mask": np.ones(self.shape, np.uint32)} if self._holes else {}

    def truth(self) -> Mapping[str, np.ndarray]:
        return {}


def some_frames(n: int = 30, dtype: str = "uint16", shape: tuple[int, int] = (5, 7)) -> np.ndarray:
    rng = np.random.default_rng(n)
    return rng.integers(1, 120, (n, *shape)).astype(DTYPES[dtype])


def read_back(path: Path) -> dict[str, np.ndarray]:
    """The frames and what belongs to them, by other programs' means."""
    if path.suffix == ".zarr":
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(str(path), mode="r")
        assert group.metadata.zarr_format == 3
        return {name: np.asarray(array) for name, array in group.arrays()}
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return {name: file[name][()] for name in file}
    data = np.load(path) if path.suffix == ".npy" else tifffile.imread(path)
    beside = path.parent.glob(f"{path.stem}.*.npy")
    return {"data": data, **{file.name.split(".")[1]: np.load(file) for file in beside}}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_pixel_type_comes_back(suffix: str, dtype: str, tmp_path: Path) -> None:
    frames = some_frames(dtype=dtype)
    done = export(Recording(frames), tmp_path / f"a{suffix}")
    back = read_back(done.path)
    assert list(back) == ["data"]
    assert back["data"].dtype == frames.dtype
    np.testing.assert_array_equal(back["data"], frames)
    assert (done.shape, done.missing, done.beside) == ((30, 5, 7), 0, ())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_holes_are_zeros_and_said(suffix: str, tmp_path: Path) -> None:
    frames = some_frames()
    recording = Recording(frames, holes=(0, 7, 8, 29), scan=Scan((40, 40), "positions"))
    done = export(recording, tmp_path / f"a{suffix}", block_bytes=300)
    back = read_back(done.path)
    beside = {"scan_shape"} if suffix in (".npy", ".tif") else set()  # an attribute elsewhere
    assert set(back) == {"data", "valid", "positions", "timestamps", "pixel_mask"} | beside
    np.testing.assert_array_equal(np.flatnonzero(~back["valid"]), [0, 7, 8, 29])
    np.testing.assert_array_equal(back["data"], np.where(back["valid"][:, None, None], frames, 0))
    np.testing.assert_array_equal(back["positions"][:, 0], np.arange(30))
    assert (done.missing, len(done.beside)) == (4, 5 if suffix in (".npy", ".tif") else 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_is_bounded_by_blocks(suffix: str, tmp_path: Path) -> None:
    frames = some_frames(200)
    recording = Recording(frames)
    export(recording, tmp_path / f"a{suffix}", block_bytes=frames[0].nbytes * 9)
    assert max(recording.asked) == 8  # four at a time
    assert len(recording.asked) == 25


@pytest.mark.parametrize("suffix", [".npy", ".h5", ".zarr"])
@pytest.mark.parametrize("block", [1, 700, 10_000])
def test_a_raster_scan_keeps_its_shape(suffix: str, block: int, tmp_path: Path) -> None:
    frames = some_frames(24)
    done = export(
        Recording(frames, holes=(5,), scan=Scan((4, 6))), tmp_path / f"a{suffix}", block_bytes=block
    )
    back = read_back(done.path)
    frames[5] = 0
    np.testing.assert_array_equal(back["data"], frames.reshape(4, 6, 5, 7))
    assert back["valid"].shape == (4, 6)
    assert not back["valid"][0, 5]
    if suffix != ".zarr":
        assert open_file(str(done.path)).scan == Scan((4, 6))


@pytest.mark.parametrize("scan", [Scan((4, 6), "serpentine"), Scan((4, 5), skip=1), Scan((2, 6), repeats=2)])
def test_other_scans_stay_a_row_of_frames(scan: Scan, tmp_path: Path) -> None:
    """Frame i is not pixel i there: nothing is put where it was not measured."""
    assert export(Recording(some_frames(24), scan=scan), tmp_path / "a.npy").shape == (24, 5, 7)
    with h5py.File(export(Recording(some_frames(24), scan=scan), tmp_path / "a.h5").path) as file:
        assert file["data"].attrs["scan_order"] == scan.order


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("scan", [None, Scan((5, 6)), Scan((5, 6), "serpentine")])
def test_what_was_not_measured_is_not_measured_when_read_back(
    suffix: str, scan: Scan | None, tmp_path: Path
) -> None:
    holes = (0, 7, 8, 28, 29)
    recording = Recording(some_frames(), holes, scan)
    again = open_file(str(export(recording, tmp_path / f"a{suffix}").path))
    assert again.count == 30
    for first, n in ((0, 30), (25, 10)):
        expected = ~np.isin(np.arange(first, first + n) % 30, holes)
        np.testing.assert_array_equal(again.present(first, n), expected)
        if (payloads := again.payloads(first, n)) is not None:
            assert [bool(payload) for payload in payloads] == expected.tolist()
    if suffix in (".h5", ".zarr"):
        assert again.scan == scan
    second = export(again, tmp_path / f"b{suffix}")
    assert second.missing == 5
    np.testing.assert_array_equal(read_back(second.path)["data"], read_back(tmp_path / f"a{suffix}")["data"])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [(None, None), (10, 25)])
def test_a_scan_of_positions_is_one_again(
    suffix: str, part: tuple[int | None, int | None], tmp_path: Path
) -> None:
    frames = np.random.default_rng(2).integers(0, 9, (30, 4, 6)).astype(np.uint16)
    scan = Scan((40, 50), "positions")
    export(Recording(frames, holes=(12,), scan=scan), tmp_path / f"a{suffix}", frames=part)
    back, (first, stop, _) = open_file(str(tmp_path / f"a{suffix}")), slice(*part).indices(30)
    assert (back.scan, back.count) == (scan, stop - first)
    positions = back.positions(0, stop - first)
    assert positions is not None
    np.testing.assert_array_equal(positions[:, 0], np.arange(first, stop))
    present = back.present(0, stop - first)
    assert present is not None
    assert np.flatnonzero(~present).tolist() == [12 - first]


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_frames_whose_positions_are_not_beside_them_are_a_movie(suffix: str, tmp_path: Path) -> None:
    frames = np.zeros((30, 4, 6), np.uint16)
    export(Recording(frames, scan=Scan((40, 50), "positions")), tmp_path / f"a{suffix}")
    (tmp_path / "a.positions.npy").rename(tmp_path / "b.positions.npy")
    assert open_file(str(tmp_path / f"a{suffix}")).scan is None
    np.save(tmp_path / "a.positions.npy", np.zeros((29, 2), np.float32))  # of something else
    assert open_file(str(tmp_path / f"a{suffix}")).scan is None


@pytest.mark.parametrize(("suffix", "said"), [(".tif", True), (".npy", True), (".h5", False)])
def test_a_format_without_positions_is_said_to_be_one(suffix: str, said: bool, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export", str(a_sparse_file(tmp_path)), str(tmp_path / f"a{suffix}")])
    assert done.exit_code == 0, done.output
    assert (f"{suffix} holds no positions" in done.output) == said
    info = CliRunner().invoke(main, ["info", str(tmp_path / f"a{suffix}"), "--json"])
    assert json.loads(info.stdout)["scan"]["order"] == "positions"


def a_sparse_file(folder: Path) -> Path:
    """Twelve frames at positions of their own."""
    path = folder / "sparse.h5"
    export(Recording(np.zeros((12, 4, 6), np.uint16), scan=Scan((16, 16), "positions")), path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_part_of_a_scan_is_no_scan(suffix: str, tmp_path: Path) -> None:
    """Its first frame is not pixel 0: read back as a scan, all frames would stand at wrong pixels."""
    frames = some_frames()
    done = export(Recording(frames, scan=Scan((5, 6))), tmp_path / f"a{suffix}", frames=(6, 18))
    part = open_file(str(done.path))
    assert (part.scan, part.count) == (None, 12)
    np.testing.assert_array_equal(part.frames(0, 12), frames[6:18])
    if suffix == ".h5":
        with h5py.File(done.path, "r+") as file:
            assert file["data"].attrs["first_frame"] == 6
            file["data"].attrs["scan_shape"] = [5, 6]  # so they were written once
        assert open_file(str(done.path)).scan is None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 40), st.integers(1, 5000), st.data())
def test_any_range_in_any_blocks(tmp_path: Path, n: int, block: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(first + 1, n))
    frames = some_frames(n)
    done = export(
        Recording(frames), tmp_path / "a.npy", frames=(first, stop), replace=True, block_bytes=block
    )
    np.testing.assert_array_equal(np.load(done.path), frames[first:stop])


def test_tiff_carries_the_calibration(tmp_path: Path) -> None:
    meta = {"pixel_size": 0.25, "pixel_unit": "nm", "frame_time": 0.04}
    with tifffile.TiffFile(export(Recording(some_frames(), **meta), tmp_path / "a.tif").path) as file:
        assert file.is_imagej
        assert (file.imagej_metadata["unit"], file.imagej_metadata["finterval"]) == ("nm", 0.04)
        assert file.pages[0].tags["XResolution"].value == (4, 1)
    with tifffile.TiffFile(
        export(Recording(some_frames(dtype="uint32"), **meta), tmp_path / "b.tif").path
    ) as file:
        assert file.is_ome
        assert 'PhysicalSizeX="0.25"' in (file.ome_metadata or "")
        assert 'PhysicalSizeXUnit="nm"' in (file.ome_metadata or "")
        assert 'TimeIncrement="0.04"' in (file.ome_metadata or "")
    assert open_file(str(tmp_path / "a.tif")).meta["frame_time"] == 0.04


def test_a_reciprocal_unit_does_not_become_a_length(tmp_path: Path) -> None:
    recording = Recording(some_frames(dtype="int32"), pixel_size=0.02, pixel_unit="1/nm")
    with tifffile.TiffFile(export(recording, tmp_path / "a.tif").path) as file:
        assert 'PhysicalSizeXUnit="reference frame"' in (file.ome_metadata or "")


def test_an_existing_file_is_replaced_only_by_a_complete_one(tmp_path: Path) -> None:
    target = tmp_path / "a.npy"
    export(Recording(some_frames(), holes=(3,)), target)
    with pytest.raises(UsageError, match="--force"):
        export(Recording(some_frames()), target)
    broken = Recording(some_frames())
    broken.broken = 20
    with pytest.raises(SourceError, match="frames 20 to 23 cannot be read"):
        export(broken, target, replace=True, block_bytes=400)
    assert np.load(target)[3].max() == 0
    export(Recording(some_frames()), target, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]  # nor is the old one's valid left


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
@pytest.mark.parametrize("name", ["valid", "positions", "timestamps", "pixel_mask"])
def test_a_file_that_would_lie_beside_is_not_touched_without_force(
    suffix: str, name: str, tmp_path: Path
) -> None:
    mine = tmp_path / f"a.{name}.npy"
    np.save(mine, np.arange(3))
    for holes in ((), (3,)):
        with pytest.raises(UsageError, match=rf"a\.{name}\.npy is already there, .* --force"):
            export(Recording(some_frames(), holes), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == [mine]
    assert np.load(mine).tolist() == [0, 1, 2]
    export(Recording(some_frames()), tmp_path / "a.h5")  # has them inside: nothing of it lies beside
    assert mine.exists()


def test_a_failed_replacement_leaves_the_old_export_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(Recording(some_frames(), holes=(3,)), tmp_path / "a.npy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("livem.stream.recording.export_target.np.save", full)
    with pytest.raises(SessionError, match="No space left"):
        export(Recording(some_frames(40), holes=(5,)), tmp_path / "a.npy", replace=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_never_written_over_what_they_are_read_from(suffix: str, tmp_path: Path) -> None:
    path = export(Recording(some_frames()), tmp_path / f"a{suffix}").path
    (tmp_path / f"link{suffix}").symlink_to(path)
    for target in (path, tmp_path / f"link{suffix}"):
        with pytest.raises(UsageError, match="is what the frames are read from"):
            export(open_file(str(path)), target, replace=True)
    np.testing.assert_array_equal(read_back(path)["data"], some_frames())


def test_frames_beside_the_target_are_not_replaced_by_what_belongs_to_it(tmp_path: Path) -> None:
    np.save(tmp_path / "a.valid.npy", some_frames())
    with pytest.raises(UsageError, match="choose another name than"):
        export(open_file(str(tmp_path / "a.valid.npy")), tmp_path / "a.npy", replace=True)
    assert len(np.load(tmp_path / "a.valid.npy")) == 30


def test_a_store_replaces_a_store_and_no_other_folder(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    export(Recording(some_frames(), holes=(1,)), tmp_path / "a.zarr")
    export(Recording(some_frames(8)), tmp_path / "a.zarr", replace=True)
    assert list(read_back(tmp_path / "a.zarr")) == ["data"]
    for name in ("b.zarr", "b.npy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("three years")
        with pytest.raises(UsageError, match="folder of other files"):
            export(Recording(some_frames()), tmp_path / name, replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "b.npy", "b.zarr"]


def test_a_disk_that_is_too_full_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1 << 20

    monkeypatch.setattr("livem.stream.recording.export.shutil.disk_usage", lambda path: Usage)
    with pytest.raises(SessionError, match="1 MiB are free"):
        export(Recording(some_frames()), tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, at: int, frames: object) -> None:
        raise OSError(28, "No space left on device")

    for writer in (export_formats.NpyWriter, export_formats.Hdf5Writer, export_formats.TiffWriter):
        monkeypatch.setattr(writer, "write", fail)
    for suffix in (".npy", ".h5", ".tif"):
        with pytest.raises(SessionError, match="No space left"):
            export(Recording(some_frames()), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_without_zarr_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match="pip install zarr"):
        export(Recording(some_frames()), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


# -- the command ---------------------------------------------------------------------------------------


def livem_export(*args: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, args)])


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "movie.npy"
    np.save(path, some_frames(12))
    np.save(tmp_path / "there.npy", some_frames(3))
    return path


def test_it_says_what_it_wrote(movie: Path, tmp_path: Path) -> None:
    done = livem_export(movie, tmp_path / "part.tif", "--frames", "2:7")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'part.tif'}: 5 x 5 x 7 uint16")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "part.tif"), some_frames(12)[2:7])
    told = json.loads(livem_export(movie, tmp_path / "all.h5", "--json").stdout)
    assert (told["shape"], told["dtype"], told["missing"]) == ([12, 5, 7], "uint16", 0)
    assert told["bytes"] == (tmp_path / "all.h5").stat().st_size


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a.mrc"], "there are .npy, .h5"),
        (["a.npy", "--frames", "5"], "must be A:B"),
        (["a.npy", "--frames", "5:5"], "0:12 at most"),
        (["a.npy", "--frames", "5:13"], "0:12 at most"),
        (["nowhere/a.npy"], "is no folder"),
        (["there.npy"], "--force"),
        (["movie.npy", "--force"], "is what the frames are read from"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(movie: Path, args: list[str], words: str) -> None:
    done = livem_export(movie, movie.parent / args[0], *args[1:])
    assert done.exit_code == 2
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["uint16", "float32", "uint32"])
@pytest.mark.parametrize("shape", THIN)
def test_frames_of_one_pixel_or_one_line_are_frames_again(shape, dtype, suffix, tmp_path: Path) -> None:
    frames = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    np.save(tmp_path / "a.npy", frames)
    out = tmp_path / f"b{suffix}"
    export(open_file(str(tmp_path / "a.npy")), out)
    again = open_file(str(out))
    flat = frames.reshape(-1, *shape[-2:])
    assert (again.count, again.shape) == (len(flat), shape[-2:])
    np.testing.assert_array_equal(again.frames(0, len(flat)), flat)
