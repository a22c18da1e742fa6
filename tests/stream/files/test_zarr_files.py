"""Zarr stores, v2 and v3: arrays, groups, what livem export writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.errors import SourceError
from livem.stream.files import file_acquisition
from livem.stream.files.file_acquisition import FileAcquisition
from livem.stream.series import Scan

zarr: Any = pytest.importorskip("zarr")
FRAMES = np.arange(12 * 4 * 6, dtype=np.uint16).reshape(12, 4, 6)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("load_bytes", [1 << 30, 10])
def test_an_array(tmp_path: Path, version: int, load_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_acquisition, "LOAD_BYTES", load_bytes)
    store = str(tmp_path / "m.zarr")
    zarr.create_array(store, data=FRAMES.reshape(3, 4, 4, 6), chunks=(2, 3, 4, 6), zarr_format=version)
    scan = FileAcquisition.open(store)
    assert (scan.count, scan.scan, scan.dtype) == (12, Scan((3, 4)), "uint16")
    assert np.array_equal(scan.frames(0, 12), FRAMES)
    with pytest.raises(SourceError, match="single array; leave out #a"):
        FileAcquisition.open(f"{store}#a")


def test_a_group_as_livem_exports_it(tmp_path: Path) -> None:
    store = str(tmp_path / "m.zarr")
    group = zarr.open_group(store, mode="w", zarr_format=3)
    group.create_array("a/other", data=FRAMES[:2])
    group.create_array("pixel_mask", data=FRAMES[0])
    group.create_array("data", data=FRAMES, chunks=(5, 4, 6))
    said = {
        "pixel_size": 0.5,
        "pixel_unit": "nm",
        "scan_shape": [2, 5],
        "scan_order": "raster",
        "scan_skip": 1,
    }
    group["data"].attrs.update(said)
    movie = FileAcquisition.open(store)
    assert (movie.count, movie.scan) == (12, Scan((2, 5), skip=1))
    assert movie.meta == {"title": "m.zarr", "pixel_size": 0.5, "pixel_unit": "nm"}
    assert FileAcquisition.open(f"{store}#a/other").count == 2
    assert FileAcquisition.open(f"{store}#pixel_mask").count == 1
    with pytest.raises(SourceError, match="has no 'b'; it has: "):
        FileAcquisition.open(f"{store}#b")


def test_what_holds_no_frames_is_told(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "v.zarr"), mode="w")
    group.create_array("vector", data=np.zeros(3))
    with pytest.raises(SourceError, match="no array of 3 or 4 dimensions; it has: vector"):
        FileAcquisition.open(str(tmp_path / "v.zarr"))
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "file.zarr").write_bytes(b"not a store")
    for name in ("empty.zarr", "file.zarr"):
        with pytest.raises(SourceError, match=rf"{name} cannot be read as \.zarr"):
            FileAcquisition.open(str(tmp_path / name))
    with pytest.raises(SourceError, match="there is no such file"):
        FileAcquisition.open(str(tmp_path / "x.zarr"))


def test_without_zarr_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.zarr").mkdir()
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(SourceError, match=r"needs the package zarr.*pip install zarr"):
        FileAcquisition.open(str(tmp_path / "m.zarr"))
