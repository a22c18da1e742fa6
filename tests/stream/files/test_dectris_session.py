"""Sessions as LiberTEM's tools record them: every frame at its own number, every damage told."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.errors import SourceError
from livem.stream.files.dectris_session import is_session
from livem.stream.files.file_acquisition import FileAcquisition
from livem.stream.simulate.compress import compress_bslz4

FRAMES = np.random.default_rng(1).poisson(2, (7, 16, 24)).astype(np.uint16)
BLOBS = compress_bslz4(FRAMES)
CONFIG = {"ntrigger": 7, "nimages": 1, "frame_time": 0.001, "x_pixel_size": 7.5e-5, "description": "ARINA"}
Parts = list[bytes]


def dumped(**words: Any) -> bytes:
    return json.dumps(words).encode()


def image(number: int, blob: bytes, series: int = 34, **changes: Any) -> Parts:
    form = {"shape": [24, 16], "type": "uint16", "encoding": "bs16-lz4<", "size": len(blob)} | changes
    return [
        dumped(htype="dimage-1.0", series=series, frame=number, hash=""),
        dumped(htype="dimage_d-1.0", **form),
        blob,
        dumped(htype="dconfig-1.0", start_time=0, stop_time=1, real_time=1),
    ]


def session(blobs: dict[int, bytes], **changes: Any) -> Parts:
    parts = [dumped(htype="dheader-1.0", header_detail="basic", series=34), dumped(**CONFIG)]
    for number, blob in blobs.items():
        parts += image(number, blob, **changes)
    return [*parts, dumped(htype="dseries_end-1.0", series=34)]


def write(path: Path, parts: Parts) -> str:
    path.write_bytes(b"".join(struct.pack("<q", len(part)) + part for part in parts))
    return str(path)


def test_a_session_is_known_by_its_first_bytes_and_read(tmp_path: Path) -> None:
    movie = FileAcquisition.open(write(tmp_path / "scan.dat", session(dict(enumerate(BLOBS)))))
    assert (movie.count, movie.shape, movie.dtype, movie.encoding) == (7, (16, 24), "uint16", "bslz4")
    assert np.array_equal(movie.frames(0, 7), FRAMES)
    assert movie.payloads(5, 4) == [BLOBS[5], BLOBS[6], BLOBS[0], BLOBS[1]]
    assert movie.present(0, 7) is None
    assert movie.meta == {
        "title": "scan.dat",
        "frame_time": 0.001,
        "pixel_size": pytest.approx(75),
        "pixel_unit": "um",
        "detector": "ARINA",
    }


def test_frames_keep_their_own_numbers(tmp_path: Path) -> None:
    parts = session({3: BLOBS[3], 1: BLOBS[1], 6: BLOBS[6]})
    parts[-1:-1] = image(3, BLOBS[0]) + image(2, BLOBS[2], series=33)  # again, and of an earlier series
    movie = FileAcquisition.open(write(tmp_path / "gaps.dectris", parts))
    assert movie.count == 7
    present = movie.present(0, 7)
    assert present is not None
    assert present.tolist() == [False, True, False, True, False, False, True]
    assert movie.payloads(0, 4) == [b"", BLOBS[1], b"", BLOBS[3]]
    for number in (1, 3, 6):
        assert np.array_equal(movie.frames(number, 1)[0], FRAMES[number])


def test_zeros_in_place_of_blob_headers_stand_for_the_announced_shape(tmp_path: Path) -> None:
    bare = [bytes(12) + blob[12:] for blob in BLOBS]
    movie = FileAcquisition.open(write(tmp_path / "mock.dat", session(dict(enumerate(bare)))))
    assert movie.payloads(0, 7) == bare
    assert np.array_equal(movie.frames(0, 7), FRAMES)


def big_endian(frame: Any) -> bytes:
    return bytes(frame.astype(">u2").tobytes())


def bare_lz4(frame: Any) -> bytes:
    """One LZ4 block of literals alone."""
    raw = frame.tobytes()
    extra, rest = divmod(len(raw) - 15, 255)
    return b"\xf0" + b"\xff" * extra + bytes([rest]) + raw


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("<", lambda frame: frame.tobytes()),
        (">", big_endian),
        ("lz4<", bare_lz4),
        ("bs8-lz4<", lambda frame: compress_bslz4(frame.view(np.uint8)[None])[0]),
        ("bs16-lz4>", lambda frame: compress_bslz4(frame.byteswap()[None])[0]),
    ],
)
def test_what_the_wire_does_not_know_is_decoded(tmp_path: Path, encoding: str, encode: Any) -> None:
    blobs = {number: encode(frame) for number, frame in enumerate(FRAMES)}
    movie = FileAcquisition.open(write(tmp_path / "scan.dat", session(blobs, encoding=encoding)))
    assert (movie.encoding, movie.payloads(0, 1)) == ("raw", None)
    assert np.array_equal(movie.frames(0, 7), FRAMES)


def test_only_the_first_series_is_read(tmp_path: Path) -> None:
    first, second = session(dict(enumerate(BLOBS[:3]))), session(dict(enumerate(BLOBS)))
    for parts in (first + second, first[:-1] + second):
        assert FileAcquisition.open(write(tmp_path / "two.dat", parts)).count == 3


def test_tables_of_a_full_header_are_passed_over(tmp_path: Path) -> None:
    parts = session(dict(enumerate(BLOBS)))
    tables = [
        dumped(htype="dflatfield-1.0", shape=[24, 16], type="float32"),
        np.ones((16, 24), "<f4").tobytes(),
    ]
    movie = FileAcquisition.open(write(tmp_path / "all.dat", parts[:2] + tables + parts[2:]))
    assert np.array_equal(movie.frames(0, 7), FRAMES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": [24]}, "shape"),
        ({"shape": [24, -1]}, "shape"),
        ({"shape": [True, 16]}, "shape"),
        ({"shape": None}, "shape"),
        ({"type": "float64"}, "type 'float64' is not one of"),
        ({"type": ["uint16"]}, "type"),
        ({"encoding": "zstd<"}, "encoding 'zstd<' is not known"),
        ({"encoding": 4}, "encoding"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        FileAcquisition.open(write(tmp_path / "scan.dat", session({0: BLOBS[0]}, **changes)))


def test_a_frame_of_another_shape_is_refused(tmp_path: Path) -> None:
    parts = session({0: BLOBS[0]})
    parts[-1:-1] = image(1, BLOBS[1], shape=[12, 16])
    with pytest.raises(SourceError, match=r"frame 1 is .*the first was"):
        FileAcquisition.open(write(tmp_path / "scan.dat", parts))


@pytest.mark.parametrize(
    "blob", [b"", b"short", BLOBS[2][:40], struct.pack(">QI", 1 << 40, 8192) + BLOBS[2][12:], b"\xff" * 200]
)
def test_a_corrupt_blob_is_an_error_not_a_wrong_frame(tmp_path: Path, blob: bytes) -> None:
    blobs = dict(enumerate(BLOBS)) | {2: blob}
    movie = FileAcquisition.open(write(tmp_path / "scan.dat", session(blobs)))
    with pytest.raises(SourceError, match="the stored frame 2 does not decode"):
        movie.frames(2, 1)


def test_files_cut_or_damaged_anywhere_give_right_frames_or_an_error(tmp_path: Path) -> None:
    whole = Path(write(tmp_path / "scan.dat", session(dict(enumerate(BLOBS))))).read_bytes()
    rng = random.Random(3)
    for _ in range(150):
        data = bytearray(whole[: rng.randrange(len(whole))])
        if data and rng.random() < 0.5:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            data += whole[len(data) :]
        (tmp_path / "damaged.dectris").write_bytes(data)
        try:
            movie = FileAcquisition.open(str(tmp_path / "damaged.dectris"))
            assert movie.count is not None
            movie.payloads(0, min(movie.count, 100))
            movie.bank.stock[0:1]
        except SourceError:
            continue


def test_other_files_are_no_sessions(tmp_path: Path) -> None:
    for content in (b"", b"1234567", struct.pack("<q", 5) + b"hello", struct.pack("<q", -5), b"\xff" * 100):
        (tmp_path / "x.dat").write_bytes(content)
        assert not is_session(tmp_path / "x.dat")
        with pytest.raises(SourceError, match="cannot be sent"):
            FileAcquisition.open(str(tmp_path / "x.dat"))
        (tmp_path / "x.dectris").write_bytes(content)
        with pytest.raises(SourceError):
            FileAcquisition.open(str(tmp_path / "x.dectris"))
