"""Velox .emd: image stacks, single images, spectra beside and instead of them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from velox_tools import VeloxImage, write_velox

from livem.cli import main
from livem.errors import SourceError
from livem.pipeline import parse
from livem.session import Session, SessionOptions
from livem.stream.files import file_acquisition
from livem.stream.files.lazy_stack import LazyStack
from livem.stream.files.open_file import open_file

FRAMES = np.random.default_rng(2).integers(0, 60_000, (12, 6, 8)).astype(np.uint16)
SPECTRUM = np.arange(64, dtype=np.uint32)


def test_a_stack_is_a_movie(tmp_path: Path) -> None:
    movie = open_file(write_velox(tmp_path / "m.emd", VeloxImage(FRAMES)))
    assert (movie.count, movie.shape, movie.dtype, movie.scan) == (12, (6, 8), "uint16", None)
    assert np.array_equal(movie.frames(0, 12), FRAMES)
    meta = dict(movie.meta)
    assert meta.pop("pixel_size") == pytest.approx(0.25)
    assert meta == {"title": "HAADF", "pixel_unit": "nm", "frame_time": 0.25, "beam_energy": 300.0}


@pytest.mark.parametrize(("frame_s", "pixel_m", "unit"), [(2e-4, 3e-11, "nm"), (7.5, 2e-6, "um")])
def test_calibration_keeps_its_meaning_in_whatever_unit(
    tmp_path: Path, frame_s: float, pixel_m: float, unit: str
) -> None:
    """rosettasciio turns metres and seconds into what reads well."""
    path = write_velox(tmp_path / "m.emd", VeloxImage(FRAMES, pixel_m=pixel_m), frame_s=frame_s)
    meta = open_file(path).meta
    metres = {"pm": 1e-12, "nm": 1e-9, "um": 1e-6}[meta["pixel_unit"]]
    assert meta["pixel_size"] * metres == pytest.approx(pixel_m)
    assert meta["frame_time"] == pytest.approx(frame_s)


def test_a_diffraction_stack(tmp_path: Path) -> None:
    image = VeloxImage(FRAMES.astype(np.float32), "Ceta", pixel_m=5e7, unit="1/m")
    movie = open_file(write_velox(tmp_path / "d.emd", image))
    assert (movie.dtype, movie.meta["title"]) == ("float32", "Ceta")
    assert (movie.meta["pixel_size"], movie.meta["pixel_unit"]) == (pytest.approx(50), "1/um")


def test_a_single_image(tmp_path: Path) -> None:
    one = open_file(write_velox(tmp_path / "o.emd", VeloxImage(FRAMES[:1])))
    assert (one.count, one.shape, one.scan) == (1, (6, 8), None)
    assert np.array_equal(one.frames(0, 1), FRAMES[:1])
    assert (one.meta["pixel_size"], one.meta["pixel_unit"]) == (pytest.approx(0.25), "nm")
    assert "frame_time" not in one.meta


def test_large_stacks_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_acquisition, "LOAD_BYTES", 10)
    movie = open_file(write_velox(tmp_path / "m.emd", VeloxImage(FRAMES)))
    assert isinstance(movie.bank.stock, LazyStack)
    for first, n in ((0, 12), (3, 2), (7, 12)):
        assert np.array_equal(movie.frames(first, n), FRAMES[np.arange(first, first + n) % 12])


def test_several_detectors_want_a_choice(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "m.emd", VeloxImage(FRAMES), VeloxImage(FRAMES + 1, "BF"))
    with pytest.raises(SourceError, match=r"choose one by .*m\.emd#NUMBER: #0 HAADF .*, #1 BF "):
        open_file(path)
    movie = open_file(f"{path}#1")
    assert np.array_equal(movie.frames(0, 12), FRAMES + 1)
    assert movie.meta["title"] == "BF"


def test_images_beside_spectra(tmp_path: Path) -> None:
    movie = open_file(write_velox(tmp_path / "m.emd", VeloxImage(FRAMES), spectra=[SPECTRUM]))
    assert np.array_equal(movie.frames(0, 12), FRAMES)


def spectrum_image(path: Path) -> str:
    """Every scan of a spectrum image has its picture; the stream of counts is left out here."""
    write_velox(path, VeloxImage(FRAMES))
    with h5py.File(path, "a") as file:
        file.create_group("Data/SpectrumImage")
        name = next(iter(file["Data/Image"]))
        display = {"dataPath": f"/Data/Image/{name}", "display": {"label": "HAADF"}}
        texts = np.array([json.dumps(display)], dtype=h5py.string_dtype())
        file["Presentation/Displays/ImageDisplay/0"] = texts
    return str(path)


def test_the_pictures_of_a_spectrum_image_are_its_movie(tmp_path: Path) -> None:
    pytest.importorskip("sparse")
    movie = open_file(spectrum_image(tmp_path / "si.emd"))
    assert np.array_equal(movie.frames(0, 12), FRAMES)


def test_a_package_that_the_reader_wants_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without_sparse(name: str, package: str | None = None) -> Any:
        return None if name == "sparse" else found(name, package)

    path = spectrum_image(tmp_path / "si.emd")
    monkeypatch.setattr(importlib.util, "find_spec", without_sparse)
    with pytest.raises(SourceError, match=r"si\.emd cannot be read as \.emd: .*'sparse'"):
        open_file(path)


def test_spectra_alone_are_refused(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "s.emd", spectra=[SPECTRUM, SPECTRUM])
    with pytest.raises(SourceError, match=r"s\.emd holds no frames.*#0 EDS \(64,\) uint32, #1 EDS"):
        open_file(path)
    done = CliRunner().invoke(main, ["info", path])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "holds no frames" in done.stderr


def test_truncated_files_are_told_or_right(tmp_path: Path) -> None:
    path = tmp_path / "m.emd"
    write_velox(path, VeloxImage(FRAMES))
    whole = path.read_bytes()
    for cut in range(1, len(whole), len(whole) // 25):
        path.write_bytes(whole[:cut])
        with pytest.raises(SourceError, match=r"m\.emd"):
            open_file(str(path))


def test_live_and_info(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "m.emd", VeloxImage(FRAMES), frame_s=0.002)
    told = json.loads(CliRunner().invoke(main, ["info", path, "--json"]).stdout)
    assert (told["shape"], told["dtype"], told["count"], told["scan"]) == ([6, 8], "uint16", 12, None)
    assert told["rate"] == pytest.approx(500)
    pipeline = parse({"ring": {"bytes": 16 << 20}})
    (account,) = Session(pipeline, SessionOptions(path, out=tmp_path / "out")).run()["series"]
    assert (account["state"], account["received"], account["lost"]) == ("complete", 12, 0)
    assert np.array_equal(np.load(account["results"]["preview.frame"]), FRAMES[-1])
