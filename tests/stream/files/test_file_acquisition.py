"""Files as frame sources: every format, every conversion, and errors that say what to do."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from livem.errors import SourceError
from livem.stream.files import contents
from livem.stream.files import file_acquisition as files
from livem.stream.series import Scan
from livem.stream.simulate.catalogue import open_acquisition

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
MOVIE = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6)


def test_npy_movie_is_mapped_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", MOVIE)
    movie = open_acquisition(str(tmp_path / "m.npy"))
    assert (movie.shape, movie.dtype, movie.count, movie.scan) == ((4, 6), "uint16", 5, None)
    assert np.array_equal(movie.frames(1, 3), MOVIE[1:4])
    assert np.array_equal(movie.frames(4, 3), MOVIE[[4, 0, 1]])
    assert movie.truth() == {}


def test_a_2d_image_is_one_frame_and_a_4d_array_a_raster_scan(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", MOVIE[0])
    np.save(tmp_path / "scan.npy", MOVIE[:4].reshape(2, 2, 4, 6))
    assert open_acquisition(str(tmp_path / "one.npy")).count == 1
    scan = open_acquisition(str(tmp_path / "scan.npy"))
    assert (scan.count, scan.scan) == (4, Scan((2, 2)))
    assert np.array_equal(scan.frames(2, 2), MOVIE[2:4])


def test_npz_movie_brings_its_calibration(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "m.npz", frames=MOVIE, frame_rate=25.0, um_per_px=0.5, sample="beads", other=np.ones(3)
    )
    movie = open_acquisition(str(tmp_path / "m.npz"))
    assert movie.meta == {
        "title": "m.npz",
        "frame_time": 0.04,
        "pixel_size": 0.5,
        "pixel_unit": "um",
        "sample": "beads",
    }


def test_npz_sparse_scan(tmp_path: Path) -> None:
    positions = np.array([[0, 0], [1.5, 2.25], [3, 1]])
    np.savez(tmp_path / "s.npz", positions=positions, values=np.arange(3.0), shape=(4, 5))
    scan = open_acquisition(str(tmp_path / "s.npz"))
    assert (scan.shape, scan.dtype, scan.count) == ((1, 1), "float64", 3)
    assert scan.scan == Scan((4, 5), "positions")
    found = scan.positions(1, 3)
    assert found is not None
    assert found.dtype == np.float32
    assert np.array_equal(found, positions[[1, 2, 0]])
    assert np.array_equal(scan.frames(0, 3).ravel(), [0, 1, 2])


def test_npz_sparse_scan_with_channels(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", positions=np.zeros((3, 2)), values=np.ones((3, 7), np.uint8), shape=(4, 5))
    assert open_acquisition(str(tmp_path / "s.npz")).shape == (1, 7)


def test_npz_image_with_a_mask_of_what_was_not_sampled(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    missing = (image % 2).astype(np.uint8)
    np.savez(tmp_path / "s.npz", spiral_y=image, spiral_missing=missing)
    scan = open_acquisition(str(tmp_path / "s.npz"))
    assert np.array_equal(scan.frames(0, 6).ravel(), image[missing == 0])
    positions = scan.positions(0, 6)
    assert positions is not None
    assert np.array_equal(positions, np.argwhere(missing == 0))


def test_tiff_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m.tif", MOVIE, imagej=True, metadata={"finterval": 0.1, "axes": "TYX"})
    tifffile.imwrite(tmp_path / "z.tiff", MOVIE, compression="zlib")
    movie = open_acquisition(str(tmp_path / "m.tif"))
    assert movie.dtype == "uint16"
    assert np.array_equal(movie.frames(0, 5), MOVIE)
    assert movie.meta["frame_time"] == pytest.approx(0.1)
    assert np.array_equal(open_acquisition(str(tmp_path / "z.tiff")).frames(0, 5), MOVIE)


def test_flags_beside_a_stack_that_are_not_its_own_say_nothing(tmp_path: Path) -> None:
    frames = np.ones((4, 3, 3), np.uint8)
    np.save(tmp_path / "m.npy", frames)
    for flags in (np.zeros(5, bool), np.zeros((4, 3), bool), np.zeros(4, np.uint8)):
        np.save(tmp_path / "m.valid.npy", flags)
        assert open_acquisition(str(tmp_path / "m.npy")).present(0, 4) is None
    np.save(tmp_path / "m.valid.npy", np.array([True, False, True, True]))
    present = open_acquisition(str(tmp_path / "m.npy")).present(0, 4)
    assert present is not None
    assert present.tolist() == [True, False, True, True]


@pytest.mark.parametrize("load_bytes", [1 << 30, 500])
@pytest.mark.parametrize("shape", [(6, 8, 10), (2, 3, 8, 10)])
def test_a_compressed_tiff_is_read_page_by_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_bytes: int, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(files, "LOAD_BYTES", load_bytes)
    frames = np.random.default_rng(1).integers(0, 9, shape).astype(np.uint16)
    tifffile.imwrite(tmp_path / "m.tif", frames, compression="zlib", photometric="minisblack")
    movie = open_acquisition(str(tmp_path / "m.tif"))
    assert (movie.count, movie.scan) == (6, Scan((2, 3)) if len(shape) == 4 else None)
    np.testing.assert_array_equal(movie.frames(0, 6), frames.reshape(6, 8, 10))
    np.testing.assert_array_equal(movie.frames(4, 3), frames.reshape(6, 8, 10)[[4, 5, 0]])
    tifffile.imwrite(tmp_path / "one.tif", frames[0], compression="zlib", photometric="minisblack")
    assert open_acquisition(str(tmp_path / "one.tif")).shape == (8, 10)


def test_what_can_be_read_as_a_whole_only_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "m.npz", frames=np.zeros((100, 32, 32), np.uint16))
    monkeypatch.setattr(contents, "MEMORY_BYTES", 100 << 10)
    with pytest.raises(SourceError, match=r"m\.npz holds an array of 0 MiB.* save it as \.npy"):
        open_acquisition(str(tmp_path / "m.npz"))
    monkeypatch.setattr(files, "LOAD_BYTES", 100)
    tifffile.imwrite(tmp_path / "one.tif", MOVIE[0].repeat(9, 0), compression="zlib")
    with pytest.raises(SourceError, match=r"one\.tif: a frame of .* beyond the limit"):
        open_acquisition(str(tmp_path / "one.tif"))


def test_hdf5_prefers_entry_data_data(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a"] = np.zeros((2, 3, 3))
        file["vector"] = np.zeros(3)
        file.create_dataset(
            "entry/data/data", data=MOVIE, chunks=(1, 4, 6), **hdf5plugin.Bitshuffle(cname="lz4")
        )
    assert np.array_equal(open_acquisition(str(tmp_path / "m.h5")).frames(0, 5), MOVIE)
    assert open_acquisition(f"{tmp_path / 'm.h5'}#a").shape == (3, 3)
    with pytest.raises(SourceError, match=r"has no 'b'; it has: a, entry/data/data"):
        open_acquisition(f"{tmp_path / 'm.h5'}#b")
    with pytest.raises(SourceError, match="is a group"):
        open_acquisition(f"{tmp_path / 'm.h5'}#entry")


@pytest.mark.parametrize("shape", [(12, 3, 5), (3, 4, 3, 5)])
def test_large_hdf5_is_read_while_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    monkeypatch.setattr(files, "LOAD_BYTES", 10)
    data = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["entry/data/data"] = data
    movie = open_acquisition(str(tmp_path / "m.h5"))
    assert isinstance(movie.bank.stock, files.LazyStack)
    flat = data.reshape(12, 3, 5)
    for first, n in ((0, 12), (1, 2), (3, 6), (10, 4), (11, 26)):
        assert np.array_equal(movie.frames(first, n), flat[np.arange(first, first + n) % 12])


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("bool", "uint8"),
        ("int8", "int16"),
        ("int64", "int32"),
        ("uint64", "uint32"),
        ("float16", "float32"),
        (">u2", "uint16"),
        (">f8", "float64"),
        ("float32", "float32"),
    ],
)
def test_pixels_keep_their_values(tmp_path: Path, given: str, sent: str) -> None:
    pixels = np.array([[[0, 1], [1, 0]]], given)
    np.save(tmp_path / "m.npy", pixels)
    movie = open_acquisition(str(tmp_path / "m.npy"))
    assert movie.dtype == sent
    assert movie.frames(0, 1).dtype.isnative
    assert np.array_equal(movie.frames(0, 1), pixels)


def test_int64_beyond_int32_but_not_uint32_fits() -> None:
    assert files.lossless("m", np.array([2**32 - 1])).dtype == np.uint32


@pytest.mark.parametrize(
    "pixels",
    [np.array([-1, 2**31]), np.array([2**40]), np.array([1j]), np.array(["a"]), np.array([1], "m8[s]")],
)
def test_what_cannot_be_sent_without_loss_is_refused(pixels: npt.NDArray[Any]) -> None:
    with pytest.raises(SourceError, match="cannot be sent without loss; convert to one of uint8"):
        files.lossless("m", pixels)


def save(path: Path, **arrays: object) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": MOVIE, "b": MOVIE}, "holds a, b; it must hold 'frames'"),
        ({}, "holds nothing"),
        ({"positions": np.zeros((2, 2)), "values": np.zeros(2)}, "no 'shape'; add shape"),
        (
            {"positions": np.zeros((2, 3)), "values": np.zeros(2), "shape": (2, 2)},
            r"must be numbers \(n, 2\)",
        ),
        ({"positions": np.zeros((2, 2)), "values": np.zeros(3), "shape": (2, 2)}, "for 2 positions"),
        ({"positions": np.zeros((2, 2)), "values": np.zeros(2), "shape": (0, 2)}, "each from 1 to"),
        ({"positions": np.zeros((0, 2)), "values": np.zeros(0), "shape": (2, 2)}, "holds no frames"),
        ({"image": np.zeros((2, 2)), "image_missing": np.zeros((3, 2))}, "images of one shape"),
        ({"image": np.zeros((2, 2)), "image_missing": np.ones((2, 2))}, "holds no frames"),
        ({"frames": np.zeros(3)}, "holds no frames; 2 to 4 dimensions"),
        ({"frames": np.zeros((0, 3, 3))}, "holds no frames"),
        ({"frames": np.array([None])}, "holds Python objects"),
    ],
)
def test_wrong_archives_are_told_apart(tmp_path: Path, arrays: dict[str, object], words: str) -> None:
    save(tmp_path / "x.npz", **arrays)
    with pytest.raises(SourceError, match=words):
        open_acquisition(str(tmp_path / "x.npz"))


def test_missing_unknown_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        open_acquisition(str(tmp_path / "x.npy"))
    with pytest.raises(SourceError, match=r"type '.doc' cannot be sent; there are .npy"):
        open_acquisition(str(tmp_path / "x.doc"))
    for suffix in (".npy", ".npz", ".tif", ".h5"):
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(b"not what it says")
        with pytest.raises(SourceError, match=f"cannot be read as {suffix}"):
            open_acquisition(str(broken))
        broken.write_bytes(b"")
        with pytest.raises(SourceError, match=f"cannot be read as {suffix}"):
            open_acquisition(str(broken))
    np.save(tmp_path / "m.npy", MOVIE)
    with pytest.raises(SourceError, match="single array; leave out #a"):
        open_acquisition(f"{tmp_path / 'm.npy'}#a")


def intact(folder: Path) -> list[Path]:
    """A small stack in several formats."""
    frames = np.arange(20 * 16 * 16, dtype=np.uint16).reshape(20, 16, 16)
    np.save(folder / "a.npy", frames)
    np.savez_compressed(folder / "a.npz", frames=frames)
    tifffile.imwrite(folder / "a.tif", frames)
    tifffile.imwrite(folder / "z.tif", frames, compression="zlib")
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("x", data=frames, chunks=(4, 16, 16), compression="gzip")
    return sorted(folder.iterdir())


@pytest.mark.filterwarnings("ignore")  # of numpy and tifffile, about what they find
def test_damaged_files_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flipped bits and cut ends: some show, some do not; whatever a library raises, the file is named."""
    (tmp_path / "intact").mkdir()
    chance = np.random.default_rng(2)
    refused = 0
    for path in intact(tmp_path / "intact"):
        whole = path.read_bytes()
        for number in range(60):
            data = bytearray(whole)
            for at in chance.integers(0, len(data) if number % 2 else 300, 1 + number % 3):
                data[at] ^= 1 << int(chance.integers(8))
            copy = tmp_path / f"{path.stem}{number}{path.suffix}"
            copy.write_bytes(data[: int(chance.integers(len(data)))] if number % 5 == 0 else data)
            monkeypatch.setattr(files, "LOAD_BYTES", 1 << 30 if number % 4 else 0)
            with suppress(SourceError):
                open_acquisition(str(copy)).frames(0, 4)
                continue
            refused += 1
    assert refused > 60


def test_any_error_of_a_library_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "m.npy", MOVIE)
    for error in (ZeroDivisionError("division by zero"), IndexError(), struct.error("unpack")):
        monkeypatch.setattr(contents.np, "load", Mock(side_effect=error))
        with pytest.raises(SourceError, match=r"m\.npy cannot be read as \.npy: \w+"):
            open_acquisition(str(tmp_path / "m.npy"))


def test_colour_images_and_files_without_images_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(SourceError, match="convert it to grey"):
        open_acquisition(str(tmp_path / "c.tif"))
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["vector"] = np.zeros(3)
    with pytest.raises(SourceError, match="no data set of 3 or 4 dimensions"):
        open_acquisition(str(tmp_path / "e.h5"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real data are not beside the repository")
def test_real_files() -> None:
    movie = open_acquisition(str(SHARED / "colloid_movie.npz"))
    assert (movie.count, movie.shape, movie.dtype) == (50, (424, 640), "uint8")
    assert movie.meta["frame_time"] == pytest.approx(1 / 24)
    spiral = open_acquisition(str(SHARED / "sparse_spiral_scan.npz"))
    with np.load(SHARED / "sparse_spiral_scan.npz") as archive:
        assert spiral.count == (archive["spiral_missing"] == 0).sum()
    with pytest.raises(SourceError, match="gold_grain_boundary, silicon_110"):
        open_acquisition(str(SHARED / "stem_images.npz"))
    assert open_acquisition(f"{SHARED / 'stem_images.npz'}#silicon_110").shape == (512, 512)
