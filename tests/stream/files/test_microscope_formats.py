"""Formats that rosettasciio reads: values, calibration, scans, and files that are not what they say."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from livem.errors import SourceError
from livem.stream.files import file_acquisition
from livem.stream.files.file_acquisition import FileAcquisition
from livem.stream.files.lazy_stack import LazyStack
from livem.stream.files.microscope_formats import _content
from livem.stream.series import Scan

SCAN = np.random.default_rng(1).integers(0, 200, (3, 4, 8, 8)).astype(np.uint16)
Axis = dict[str, Any]


def axes(*described: tuple[str, int, float, str, bool]) -> list[Axis]:
    return [
        {
            "name": name,
            "size": size,
            "scale": scale,
            "offset": 0.0,
            "units": units,
            "navigate": navigate,
            "index_in_array": number,
            "_type": "UniformDataAxis",
            "is_binned": False,
        }
        for number, (name, size, scale, units, navigate) in enumerate(described)
    ]


SCAN_AXES = axes(
    ("y", 3, 2.0, "nm", True),
    ("x", 4, 2.0, "nm", True),
    ("ky", 8, 0.1, "1/nm", False),
    ("kx", 8, 0.1, "1/nm", False),
)
MOVIE_AXES = axes(("t", 12, 50.0, "ms", True), ("y", 8, 0.5, "nm", False), ("x", 8, 0.5, "nm", False))


def signal(data: Any, described: list[Axis]) -> dict[str, Any]:
    return {
        "data": data,
        "axes": described,
        "metadata": {
            "General": {"title": "gold"},
            "Signal": {"signal_type": ""},
            "Acquisition_instrument": {"TEM": {"beam_energy": 200.0}},
        },
        "original_metadata": {},
        "package_info": {"package": "test", "package_version": "1"},
        "learning_results": {},
        "attributes": {"_lazy": False},
        "models": {},
        "tmp_parameters": {},
    }


def write(path: Path, data: Any = SCAN, described: list[Axis] = SCAN_AXES, **options: Any) -> str:
    """By rosettasciio's own writer."""
    kind = {"blo": "blockfile"}.get(path.suffix[1:], path.suffix[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"rsciio.{kind}").file_writer(str(path), signal(data, described), **options)
    return str(path)


def test_hspy_scan_with_its_calibration(tmp_path: Path) -> None:
    scan = FileAcquisition.open(write(tmp_path / "s.hspy"))
    assert (scan.shape, scan.dtype, scan.count, scan.scan) == ((8, 8), "uint16", 12, Scan((3, 4)))
    assert np.array_equal(scan.frames(0, 12), SCAN.reshape(12, 8, 8))
    assert scan.meta == {
        "title": "gold",
        "pixel_size": 0.1,
        "pixel_unit": "1/nm",
        "scan_step": 2.0,
        "scan_unit": "nm",
        "beam_energy": 200.0,
    }


def test_hspy_movie_and_single_frame(tmp_path: Path) -> None:
    movie = FileAcquisition.open(write(tmp_path / "m.hspy", SCAN.reshape(12, 8, 8), MOVIE_AXES))
    assert (movie.count, movie.scan) == (12, None)
    assert movie.meta["frame_time"] == pytest.approx(0.05)
    assert (movie.meta["pixel_size"], movie.meta["pixel_unit"]) == (0.5, "nm")
    one = FileAcquisition.open(write(tmp_path / "o.hspy", SCAN[0, 0], MOVIE_AXES[1:]))
    assert (one.count, one.shape) == (1, (8, 8))


def test_large_data_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_acquisition, "LOAD_BYTES", 10)
    path = write(tmp_path / "s.hspy", SCAN.astype(">u2"), chunks=(2, 2, 8, 8))
    scan = FileAcquisition.open(path)
    assert isinstance(scan.bank.stock, LazyStack)
    assert scan.dtype == "uint16"
    for first, n in ((0, 12), (3, 2), (7, 12)):
        assert np.array_equal(scan.frames(first, n), SCAN.reshape(12, 8, 8)[np.arange(first, first + n) % 12])
    with pytest.raises(SourceError, match="cannot be sent without loss"):
        FileAcquisition.open(write(tmp_path / "i.hspy", SCAN.astype(np.int64)))


def test_a_repeated_scan(tmp_path: Path) -> None:
    twice = np.stack([SCAN, SCAN + 1])
    described = axes(
        ("t", 2, 1.0, "s", True),
        *((a["name"], a["size"], a["scale"], a["units"], a["navigate"]) for a in SCAN_AXES),
    )
    scan = FileAcquisition.open(write(tmp_path / "s.hspy", twice, described))
    assert (scan.count, scan.scan) == (24, Scan((3, 4), repeats=2))
    assert np.array_equal(scan.frames(12, 12), SCAN.reshape(12, 8, 8) + 1)


def test_frames_whose_axes_do_not_come_last_are_turned() -> None:
    described = axes(("y", 8, 0.5, "nm", False), ("x", 8, 0.5, "nm", False), ("t", 12, 0.5, "s", True))
    content = _content(Path("x.dm4"), signal(np.moveaxis(SCAN.reshape(12, 8, 8), 0, -1), described))
    assert np.array_equal(content.frames, SCAN.reshape(12, 8, 8))
    assert content.meta["frame_time"] == 0.5


def test_spectra_are_refused(tmp_path: Path) -> None:
    described = axes(("y", 12, 1.0, "nm", True), ("x", 8, 1.0, "nm", True), ("E", 8, 1.0, "eV", False))
    path = write(tmp_path / "eels.hspy", SCAN.reshape(12, 8, 8), described)
    with pytest.raises(SourceError, match=r"holds no frames.*#0 gold \(12, 8, 8\) uint16"):
        FileAcquisition.open(path)
    with pytest.raises(SourceError, match="not 2 dimensions"):
        FileAcquisition.open(f"{path}#0")


def test_blockfile(tmp_path: Path) -> None:
    described = axes(
        ("y", 3, 2.0, "nm", True),
        ("x", 4, 2.0, "nm", True),
        ("dy", 8, 0.02, "cm", False),
        ("dx", 8, 0.02, "cm", False),
    )
    path = write(tmp_path / "s.blo", SCAN.astype(np.uint8), described, navigator=None)
    scan = FileAcquisition.open(path)
    assert (scan.scan, scan.dtype) == (Scan((3, 4)), "uint8")
    assert np.array_equal(scan.frames(0, 12), SCAN.reshape(12, 8, 8))
    meta = scan.meta
    assert (meta["pixel_unit"], meta["scan_step"], meta["scan_unit"]) == ("cm", pytest.approx(2.0), "nm")
    assert meta["pixel_size"] == pytest.approx(0.02)


def test_tvips(tmp_path: Path) -> None:
    path = write(tmp_path / "m_000.tvips", SCAN.reshape(12, 8, 8), MOVIE_AXES)
    movie = FileAcquisition.open(path)
    assert (movie.count, movie.scan, movie.dtype) == (12, None, "uint16")
    assert np.array_equal(movie.frames(0, 12), SCAN.reshape(12, 8, 8))
    assert movie.meta["beam_energy"] == 200


def test_berkeley_emd(tmp_path: Path) -> None:
    scan = FileAcquisition.open(write(tmp_path / "s.emd"))
    assert scan.scan == Scan((3, 4))
    assert np.array_equal(scan.frames(0, 12), SCAN.reshape(12, 8, 8))
    assert (scan.meta["title"], scan.meta["pixel_unit"], scan.meta["scan_step"]) == ("gold", "1/nm", 2.0)


def test_several_signals_want_a_choice(tmp_path: Path) -> None:
    path = write(tmp_path / "s.emd", SCAN[0], MOVIE_AXES)
    with h5py.File(path, "a") as file:
        (root,) = file.values() if len(file) == 1 else (file["data"] if "data" in file else file["signals"],)
        (name,) = root
        root.copy(root[name], "again")
    with pytest.raises(SourceError, match=r"holds several; choose one by .*s\.emd#NUMBER: #0 .*, #1"):
        FileAcquisition.open(path)
    assert FileAcquisition.open(f"{path}#1").count == 4
    with pytest.raises(SourceError, match="has no signal '7'"):
        FileAcquisition.open(f"{path}#7")


def mrc(data: Any, mode: int, spacing: float = 20.0) -> bytes:
    """A minimal MRC file, by the format's published header."""
    nz, ny, nx = data.shape
    words = np.zeros(256, "<i4")
    words[:4] = nx, ny, nz, mode
    words[7:10] = nx, ny, nz
    cell = words[10:13].view("<f4")
    cell[:] = nx * spacing, ny * spacing, nz
    return words.tobytes() + data.tobytes()


@pytest.mark.parametrize(
    ("mode", "dtype", "kept"),
    [(0, "u1", "uint8"), (1, "<i2", "int16"), (2, "<f4", "float32"), (6, "<u2", "uint16")],
)
def test_mrc_stack(tmp_path: Path, mode: int, dtype: str, kept: str) -> None:
    data = (SCAN.reshape(12, 8, 8) % 100).astype(dtype)
    (tmp_path / "m.mrc").write_bytes(mrc(data, mode))
    movie = FileAcquisition.open(str(tmp_path / "m.mrc"))
    assert (movie.count, movie.dtype, movie.scan) == (12, kept, None)
    assert np.array_equal(movie.frames(0, 12), data)
    assert (movie.meta["pixel_size"], movie.meta["pixel_unit"]) == (pytest.approx(2.0), "nm")


def zspy(path: Path) -> str:
    """What HyperSpy writes with Zarr 2: an experiment whose data is an array, its axes groups beside it."""
    zarr = pytest.importorskip("zarr")
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.1"})
    experiment = root.create_group("Experiments/gold")
    experiment.attrs.update({"package": "hyperspy", "package_version": "2"})
    experiment.create_array("data", data=SCAN, chunks=(1, 4, 8, 8))
    for number, axis in enumerate(SCAN_AXES):
        experiment.create_group(f"axis-{number}").attrs.update(axis)
    metadata = experiment.create_group("metadata")
    metadata.create_group("General").attrs.update({"title": "gold"})
    metadata.create_group("Signal").attrs.update({"signal_type": ""})
    experiment.create_group("original_metadata")
    experiment.create_group("learning_results")
    return str(path)


def test_zspy_folder(tmp_path: Path) -> None:
    scan = FileAcquisition.open(zspy(tmp_path / "s.zspy"))
    assert scan.scan == Scan((3, 4))
    assert np.array_equal(scan.frames(0, 12), SCAN.reshape(12, 8, 8))
    assert (scan.meta["title"], scan.meta["pixel_size"], scan.meta["scan_step"]) == ("gold", 0.1, 2.0)


@pytest.mark.parametrize("suffix", [".hspy", ".zspy", ".emd", ".blo", ".tvips", ".mrc", ".dm3", ".dm4"])
@pytest.mark.parametrize("content", [b"", b"not what it says", bytes(5000), b"\xff" * 5000])
def test_other_bytes_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x_000{suffix}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"x_000\{suffix}"):
        FileAcquisition.open(str(path))


@pytest.mark.parametrize("name", ["s.hspy", "s.emd", "s.blo", "s_000.tvips", "s.mrc"])
def test_truncated_files_are_told_or_right(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "s.mrc":
        path.write_bytes(mrc(SCAN.reshape(12, 8, 8), 6))
    else:
        movie = name == "s_000.tvips"
        data = SCAN.reshape(12, 8, 8) if movie else SCAN.astype(np.uint8)
        write(
            path, data, MOVIE_AXES if movie else SCAN_AXES, **({"navigator": None} if name == "s.blo" else {})
        )
    whole = path.read_bytes()
    for cut in range(1, len(whole), max(1, len(whole) // 23)):
        path.write_bytes(whole[:cut])
        try:
            found = FileAcquisition.open(str(path))
        except SourceError:
            continue
        assert np.array_equal(found.frames(0, found.count or 0), SCAN.reshape(12, 8, 8)[: found.count])


def test_a_reader_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "s.hspy")
    monkeypatch.setitem(sys.modules, "rsciio.hspy", None)
    with pytest.raises(SourceError, match=r"needs the package rosettasciio.*pip install rosettasciio"):
        FileAcquisition.open(path)
