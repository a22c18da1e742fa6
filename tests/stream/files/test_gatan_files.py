""".dm3 and .dm4: frames, scan and calibration, in whichever of the two orders a scan is stored."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from dm4_tools import TYPES, DmImage, write_dm

from livem.cli import main
from livem.errors import SourceError
from livem.pipeline import parse
from livem.session import Session, SessionOptions
from livem.stream.files import contents
from livem.stream.files.open_file import open_file
from livem.stream.series import Scan

SCAN = np.random.default_rng(2).integers(0, 60_000, (3, 4, 6, 8)).astype(np.uint16)
"""(ny, nx, ky, kx), all different."""
FRAMES = SCAN.reshape(12, 6, 8)
STEPS, PIXELS = [(2.0, "nm")] * 2, [(0.125, "1/nm")] * 2
MOVIE = [(50.0, "ms"), (0.5, "nm"), (0.5, "nm")]
META = {
    "title": "gold",
    "pixel_size": 0.125,
    "pixel_unit": "1/nm",
    "scan_step": 2.0,
    "scan_unit": "nm",
    "beam_energy": 200.0,
}


def tags(form: str = "Diffraction image", **about: Any) -> dict[str, Any]:
    return {
        "Meta Data": {"Format": form, **about},
        "Microscope Info": {"Voltage": np.float64(200_000), "Illumination Mode": "STEM"},
    }


def swapped(**about: Any) -> DmImage:
    """Frames one after the other, as newer versions of GMS store them."""
    return DmImage(SCAN, STEPS + PIXELS, "gold", tags(**about))


def hybrid(**about: Any) -> DmImage:
    """The older order: the scan image of one detector pixel after the other."""
    return DmImage(SCAN.transpose(2, 3, 0, 1), PIXELS + STEPS, "gold", tags(**about))


def shown(acquisition: Any) -> tuple[Any, ...]:
    return acquisition.count, acquisition.shape, acquisition.dtype, acquisition.scan


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    "image",
    [
        swapped(**{"Data Order Swapped": True}),
        hybrid(**{"Data Order Swapped": False}),
        hybrid(**{"Data Order Swapped": "0"}),
        swapped(),
        hybrid(),
    ],
    ids=["swapped", "hybrid", "hybrid by a text", "untagged swapped", "untagged hybrid"],
)
def test_a_scan_in_either_order(tmp_path: Path, image: DmImage, version: int) -> None:
    scan = open_file(write_dm(tmp_path / f"s.dm{version}", image, version=version))
    assert shown(scan) == (12, (6, 8), "uint16", Scan((3, 4)))
    assert np.array_equal(scan.frames(0, 12), FRAMES)
    assert scan.meta == META


def test_the_tag_stands_above_the_units(tmp_path: Path) -> None:
    """A scan of an in-plane lattice, calibrated in 1/nm by mistake."""
    image = DmImage(SCAN, PIXELS + STEPS, "", tags(**{"Data Order Swapped": True}))
    assert np.array_equal(open_file(write_dm(tmp_path / "s.dm4", image)).frames(0, 12), FRAMES)


def test_without_tag_and_units_a_scan_is_in_the_older_order(tmp_path: Path) -> None:
    image = DmImage(SCAN.transpose(2, 3, 0, 1), [(1.0, "")] * 4)
    scan = open_file(write_dm(tmp_path / "s.dm4", image))
    assert np.array_equal(scan.frames(0, 12), FRAMES)
    assert scan.meta == {"title": "s.dm4"}


def test_other_readers_see_the_same_frames(tmp_path: Path) -> None:
    """openNCEM and rosettasciio, which do not know the older order, see it as it is stored."""
    readers = pytest.importorskip("ncempy.io.dm")
    digitalmicrograph = pytest.importorskip("rsciio.digitalmicrograph")
    for image in (swapped(**{"Data Order Swapped": True}), hybrid(**{"Data Order Swapped": False})):
        path = write_dm(tmp_path / "s.dm4", image)
        with readers.fileDM(path) as file:
            assert np.array_equal(file.getDataset(0)["data"], image.data)
            assert file.getDataset(0)["pixelUnit"] == [unit for _, unit in image.axes]
        (signal,) = digitalmicrograph.file_reader(path)
        assert np.array_equal(signal["data"], image.data)
        assert [(axis["scale"], axis["units"]) for axis in signal["axes"]] == image.axes


def test_libertem_sees_the_same_frames(tmp_path: Path) -> None:
    single = pytest.importorskip("libertem.io.dataset.dm_single").SingleDMDataSet
    path = write_dm(tmp_path / "s.dm4", swapped(**{"Data Order Swapped": True}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = single._read_metadata(path)
    assert (found["c_order"], found["shape"][::-1]) == (True, SCAN.shape)
    older = single._read_metadata(write_dm(tmp_path / "o.dm4", hybrid(**{"Data Order Swapped": False})))
    assert not older["c_order"]


@pytest.mark.parametrize("dtype", TYPES)
def test_a_movie_of_each_type(tmp_path: Path, dtype: str) -> None:
    frames = (FRAMES % 100).astype(dtype)
    movie = open_file(write_dm(tmp_path / "m.dm4", DmImage(frames, MOVIE, "", tags("Image"))))
    kept = "int16" if dtype == "int8" else dtype
    assert shown(movie) == (12, (6, 8), kept, None)
    assert np.array_equal(movie.frames(0, 12), frames)
    meta = movie.meta
    assert (meta["frame_time"], meta["pixel_size"], meta["pixel_unit"]) == (0.05, 0.5, "nm")


def test_a_single_image_and_a_file_without_thumbnail(tmp_path: Path) -> None:
    one = open_file(write_dm(tmp_path / "o.dm4", DmImage(FRAMES[0], PIXELS, "o", tags()), thumbnail=False))
    assert shown(one) == (1, (6, 8), "uint16", None)
    assert np.array_equal(one.frames(0, 1), FRAMES[:1])


def test_several_images_want_a_choice(tmp_path: Path) -> None:
    movies = [DmImage(FRAMES + add, MOVIE, f"movie {add}", tags("Image")) for add in (0, 1)]
    path = write_dm(tmp_path / "m.dm4", *movies)
    with pytest.raises(SourceError, match=r"choose one by .*m\.dm4#NUMBER: #0 movie 0 .*, #1 movie 1"):
        open_file(path)
    assert np.array_equal(open_file(f"{path}#1").frames(0, 12), FRAMES + 1)
    scan = write_dm(tmp_path / "s.dm4", DmImage(FRAMES[0], PIXELS, "survey", tags("Image")), swapped())
    assert np.array_equal(open_file(scan).frames(0, 12), FRAMES)


@pytest.mark.parametrize(
    ("form", "ndim"), [("Spectrum image", 3), ("Spectrum image", 2), ("Spectrum", 2), ("Spectrum", 1)]
)
def test_spectra_are_refused(tmp_path: Path, form: str, ndim: int) -> None:
    """A spectrum image is stored energy first, and looks like a movie."""
    data = FRAMES[(0,) * (3 - ndim)]
    described = [(0.5, "eV"), *STEPS][:ndim]
    path = write_dm(tmp_path / "eels.dm4", DmImage(data, described, "eels", tags(form, Signal="EELS")))
    with pytest.raises(SourceError, match=r"holds no frames.*#0 eels \("):
        open_file(path)


def test_a_large_scan_in_the_older_order_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MEMORY_BYTES", 1000)
    older = write_dm(tmp_path / "older.dm4", hybrid())
    with pytest.raises(SourceError, match=r"older\.dm4 .* older order .* \.npy first"):
        open_file(older)
    assert open_file(write_dm(tmp_path / "newer.dm4", swapped())).count == 12


def test_truncated_files_are_told_or_right(tmp_path: Path) -> None:
    path = tmp_path / "s.dm4"
    write_dm(path, swapped())
    whole = path.read_bytes()
    for cut in range(1, len(whole), len(whole) // 40):
        path.write_bytes(whole[:cut])
        try:
            found = open_file(str(path))
        except SourceError:
            continue
        assert np.array_equal(found.frames(0, 12), FRAMES)


def total(tmp_path: Path, file: str) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """What a session of ``livem live FILE`` measures: its account, and the sum of every frame."""
    consumer = {"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}
    pipeline = parse({"ring": {"bytes": 16 << 20}, "consumers": [consumer]})
    (account,) = Session(pipeline, SessionOptions(file, out=tmp_path)).run()["series"]
    return account, np.load(account["results"]["vd.all"])


def test_live_and_info(tmp_path: Path) -> None:
    path = write_dm(tmp_path / "s.dm4", hybrid(**{"Data Order Swapped": False}))
    told = json.loads(CliRunner().invoke(main, ["info", path, "--json"]).stdout)
    assert (told["shape"], told["dtype"], told["count"]) == ([6, 8], "uint16", 12)
    assert told["scan"] == {"shape": [3, 4], "order": "raster", "skip": 0, "repeats": 1}
    account, image = total(tmp_path / "out", path)
    assert (account["state"], account["received"], account["lost"]) == ("complete", 12, 0)
    assert np.array_equal(image, SCAN.sum((2, 3), dtype=np.int64))
