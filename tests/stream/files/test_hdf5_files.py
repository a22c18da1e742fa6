"""HDF5: frames given out as they are stored, DECTRIS master files, exports of livem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from livem.errors import SourceError
from livem.stream.files.file_acquisition import FileAcquisition
from livem.stream.series import Scan
from livem.stream.simulate.compress import compress_bslz4

FRAMES = np.random.default_rng(1).poisson(2, (10, 16, 24)).astype(np.uint16)
BSLZ4: dict[str, Any] = dict(hdf5plugin.Bitshuffle(cname="lz4"))
FRAME = (1, 16, 24)


def write(path: Path, data: Any = FRAMES, **options: Any) -> str:
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data/data", data=data, **options)
    return str(path)


@pytest.mark.parametrize("shape", [(10, 16, 24), (2, 5, 16, 24)])
def test_compressed_frames_are_given_out_as_they_are(tmp_path: Path, shape: tuple[int, ...]) -> None:
    chunks = (*(1,) * (len(shape) - 2), 16, 24)
    movie = FileAcquisition.open(write(tmp_path / "m.h5", FRAMES.reshape(shape), chunks=chunks, **BSLZ4))
    assert movie.encoding == "bslz4"
    expected = compress_bslz4(FRAMES)
    assert movie.payloads(0, 10) == expected
    assert movie.payloads(8, 14) == [expected[k % 10] for k in range(8, 22)]
    assert np.array_equal(movie.frames(0, 10), FRAMES)
    assert movie.present(0, 10) is None


def test_lz4_chunks_are_given_out_too(tmp_path: Path) -> None:
    movie = FileAcquisition.open(write(tmp_path / "m.h5", chunks=FRAME, **dict(hdf5plugin.LZ4())))
    assert movie.encoding == "lz4"
    payloads = movie.payloads(3, 1)
    assert payloads is not None
    assert int.from_bytes(payloads[0][:8], "big") == FRAMES[0].nbytes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (2, 16, 24), **BSLZ4},
        {"chunks": (1, 16, 12), **BSLZ4},
        {"chunks": FRAME, "compression": "gzip"},
        {"chunks": FRAME, "fletcher32": True, **BSLZ4},
        {"chunks": FRAME, **dict(hdf5plugin.Bitshuffle(cname="zstd"))},
        {"chunks": FRAME, **dict(hdf5plugin.Bitshuffle(cname="none"))},
    ],
)
def test_what_no_detector_sends_is_decoded(tmp_path: Path, options: dict[str, Any]) -> None:
    movie = FileAcquisition.open(write(tmp_path / "m.h5", **options))
    assert (movie.encoding, movie.payloads(0, 1)) == ("raw", None)
    assert np.array_equal(movie.frames(0, 10), FRAMES)


def test_big_endian_and_patchy_data_are_decoded(tmp_path: Path) -> None:
    movie = FileAcquisition.open(write(tmp_path / "b.h5", FRAMES.astype(">u2"), chunks=FRAME, **BSLZ4))
    assert movie.payloads(0, 1) is None
    with h5py.File(tmp_path / "p.h5", "w") as file:
        data = file.create_dataset("entry/data/data", (3, 16, 24), "<u2", chunks=FRAME, **BSLZ4)
        data[0] = FRAMES[0]
        data.id.write_direct_chunk((1, 0, 0), FRAMES[1].tobytes(), filter_mask=1)
        data[2] = FRAMES[2]
    patchy = FileAcquisition.open(str(tmp_path / "p.h5"))
    assert patchy.payloads(0, 1) is None
    assert np.array_equal(patchy.frames(0, 3), FRAMES[:3])


def test_attributes_of_an_export_come_back(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "m.h5"), "a") as file:
        attributes = {
            "pixel_size": 0.1,
            "pixel_unit": "1/nm",
            "frame_time": np.inf,
            "title": 3,
            "sample": "Au",
        }
        scan = {"scan_shape": [2, 4], "scan_order": "serpentine", "scan_skip": 1, "scan_repeats": 1}
        file["entry/data/data"].attrs.update(attributes | scan)
    movie = FileAcquisition.open(str(tmp_path / "m.h5"))
    assert movie.scan == Scan((2, 4), "serpentine", 1)
    assert movie.meta == {"title": "m.h5", "pixel_size": 0.1, "pixel_unit": "1/nm", "sample": "Au"}


# -- DECTRIS master files ----------------------------------------------------------------------------


def write_master(folder: Path, parts: tuple[int, ...] = (4, 6), chunk: tuple[int, ...] = FRAME) -> Path:
    first = 0
    with h5py.File(folder / "run_master.h5", "w") as master:
        for number, count in enumerate(parts, 1):
            name = f"run_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as file:
                data = FRAMES[first : first + count]
                file.create_dataset("entry/data/data", data=data, chunks=chunk, **BSLZ4)
            master[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
            first += count
        detector = master.create_group("entry/instrument/detector")
        detector["frame_time"], detector["x_pixel_size"] = 0.002, 7.5e-5
        detector["description"] = np.bytes_("Dectris ARINA")
        mask = np.zeros((16, 24), np.uint32)
        mask[3, 4] = 16
        detector["detectorSpecific/pixel_mask"] = mask
        detector["detectorSpecific/flatfield"] = np.ones((2, 2), np.float32)
    return folder / "run_master.h5"


def test_a_dectris_master_file_is_one_movie_of_all_its_parts(tmp_path: Path) -> None:
    movie = FileAcquisition.open(str(write_master(tmp_path)))
    assert (movie.count, movie.shape, movie.dtype, movie.encoding) == (10, (16, 24), "uint16", "bslz4")
    assert np.array_equal(movie.frames(0, 10), FRAMES)
    assert np.array_equal(movie.frames(3, 3), FRAMES[3:6])
    assert movie.payloads(2, 5) == compress_bslz4(FRAMES)[2:7]
    assert movie.meta == {
        "title": "run_master.h5",
        "frame_time": 0.002,
        "pixel_size": pytest.approx(75.0),
        "pixel_unit": "um",
        "detector": "Dectris ARINA",
    }
    tables = movie.tables()
    assert list(tables) == ["pixel_mask"]  # a flatfield of another shape is none of this detector
    assert np.argwhere(tables["pixel_mask"]).tolist() == [[3, 4]]


def test_a_master_file_with_larger_chunks_is_decoded(tmp_path: Path) -> None:
    movie = FileAcquisition.open(str(write_master(tmp_path, chunk=(2, 16, 24))))
    assert movie.payloads(0, 1) is None
    assert np.array_equal(movie.frames(0, 10), FRAMES)


def test_one_part_can_be_chosen(tmp_path: Path) -> None:
    movie = FileAcquisition.open(f"{write_master(tmp_path)}#entry/data/data_000002")
    assert np.array_equal(movie.frames(0, 6), FRAMES[4:])


def test_a_part_that_is_missing_or_different_is_named(tmp_path: Path) -> None:
    master = write_master(tmp_path)
    with h5py.File(tmp_path / "run_data_000002.h5", "w") as file:
        file["entry/data/data"] = np.zeros((2, 3, 3), np.uint16)
    with pytest.raises(SourceError, match=r"run_data_000002.h5 holds frames of \(3, 3\)"):
        FileAcquisition.open(str(master))
    (tmp_path / "run_data_000002.h5").unlink()
    with pytest.raises(SourceError, match=r"refers to run_data_000002\.h5.*put it beside the master file"):
        FileAcquisition.open(str(master))


def test_truncated_files_are_told(tmp_path: Path) -> None:
    whole = Path(write(tmp_path / "m.h5", chunks=FRAME, **BSLZ4)).read_bytes()
    for size in range(0, len(whole), 997):
        (tmp_path / "cut.h5").write_bytes(whole[:size])
        with pytest.raises(SourceError, match=r"cut\.h5 cannot be read as \.h5"):
            FileAcquisition.open(str(tmp_path / "cut.h5"))


@pytest.mark.parametrize("options", [BSLZ4, dict(hdf5plugin.LZ4())])
def test_a_corrupt_chunk_is_an_error_not_a_crash(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write(tmp_path / "m.h5", chunks=FRAME, **options)
    with h5py.File(path) as file:
        data = file["entry/data/data"].id
        where = data.get_chunk_info_by_coord((4, 0, 0))
    whole, rng = Path(path).read_bytes(), np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(where.size, 40), 3):
            damaged[where.byte_offset + place] = int(rng.integers(256))
        Path(path).write_bytes(damaged)
        movie = FileAcquisition.open(path)
        assert np.array_equal(movie.bank.stock[0:0], FRAMES[0:0])
        try:
            movie.frames(4, 1)
        except SourceError as error:
            refused += "the stored frame 4 does not decode" in str(error)
    assert refused > 100
