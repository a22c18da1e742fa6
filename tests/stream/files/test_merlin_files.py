"""Merlin's .mib and .hdr: rows as they were sent, frames where their numbers put them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livem.errors import SourceError
from livem.stream.files import file_acquisition
from livem.stream.files.file_acquisition import FileAcquisition
from livem.stream.files.lazy_stack import LazyStack
from livem.stream.series import Scan

FRAMES = np.arange(6 * 4 * 5, dtype=np.uint16).reshape(6, 4, 5)
KINDS = {"uint8": "U08", "uint16": "U16", "uint32": "U32"}


def header(number: int, kind: str) -> bytes:
    text = (
        f"MQ1,{number:06d},00384,01,0005,0004,{kind},   1x1,01,2024-01-01 00:00:00.000000,0.001000,"
        "0,0,0,1.2E+2,5.1E+2,0,0,0,0,0,0,3RX,175,511,MQ1A,2024-01-01T00:00:00.000000000Z,1000000ns,12,"
    )
    return text.encode().ljust(384, b"\0")


def write(path: Path, numbers: list[int], frames: np.ndarray = FRAMES, kind: str = "U16") -> str:
    big = frames.astype(frames.dtype.newbyteorder(">"))
    path.write_bytes(b"".join(header(n, kind) + big[k].tobytes() for k, n in enumerate(numbers)))
    return str(path)


def describe(path: Path, **said: object) -> str:
    lines = "".join(f"{key}:\t{value}\r\n" for key, value in said.items())
    path.write_text(f"HDR,\t\r\n{lines}End\t", newline="")
    return str(path)


COUNT, PER_TRIGGER = "Frames in Acquisition (Number)", "Frames per Trigger (Number)"


@pytest.mark.parametrize("dtype", list(KINDS))
def test_frames_are_as_they_were_sent(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "s.mib", [1, 2, 3, 4, 5, 6], FRAMES.astype(dtype), KINDS[dtype])
    movie = FileAcquisition.open(path)
    assert (movie.count, movie.shape, movie.dtype, movie.scan) == (6, (4, 5), dtype, None)
    assert np.array_equal(movie.frames(0, 6), FRAMES)
    assert movie.present(0, 6) is None


def test_large_files_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_acquisition, "LOAD_BYTES", 10)
    movie = FileAcquisition.open(write(tmp_path / "s.mib", [1, 2, 4, 5, 6, 7]))
    assert isinstance(movie.bank.stock, LazyStack)
    assert movie.dtype == "uint16"
    assert np.array_equal(movie.frames(0, 7)[[0, 1, 3, 4, 5, 6]], FRAMES)


@pytest.mark.parametrize(
    ("said", "scan"),
    [
        ({COUNT: 6, PER_TRIGGER: 3}, Scan((2, 3))),
        ({COUNT: 6, PER_TRIGGER: 1, "ScanX": 2, "ScanY": 3}, Scan((3, 2))),
        ({COUNT: 8, PER_TRIGGER: 4}, Scan((2, 4))),  # interrupted
        ({COUNT: 6, PER_TRIGGER: 1}, None),
        ({COUNT: 0, PER_TRIGGER: 3}, None),
        ({COUNT: 6, PER_TRIGGER: 6}, None),
        ({COUNT: "many", PER_TRIGGER: -1}, None),
        ({}, None),
    ],
)
def test_the_hdr_may_give_the_scan(tmp_path: Path, said: dict[str, object], scan: Scan | None) -> None:
    write(tmp_path / "s.mib", [1, 2, 3, 4, 5, 6])
    movie = FileAcquisition.open(describe(tmp_path / "s.hdr", **said))
    assert (movie.count, movie.scan) == (6, scan)


def test_the_hdr_may_give_the_frame_time_and_the_detector(tmp_path: Path) -> None:
    path = write(tmp_path / "s.mib", [1, 2, 3, 4, 5, 6])
    chip = "Chip Type (Medipix 3.0, Medipix 3.1, Medipix 3RX)"
    describe(tmp_path / "s.hdr", **{"Acquisition Period (ms)": 2.5, chip: "Medipix 3RX"})
    movie = FileAcquisition.open(path)
    assert movie.meta == {"title": "s.mib", "frame_time": 0.0025, "detector": "Merlin Medipix 3RX"}


def test_lost_frames_leave_holes(tmp_path: Path) -> None:
    describe(tmp_path / "s.hdr", **{COUNT: 9, PER_TRIGGER: 3})
    movie = FileAcquisition.open(write(tmp_path / "s.mib", [2, 3, 4, 7, 8, 9]))
    assert (movie.count, movie.scan) == (9, Scan((3, 3)))
    present = movie.present(0, 9)
    assert present is not None
    assert np.flatnonzero(present).tolist() == [1, 2, 3, 6, 7, 8]
    assert np.array_equal(movie.frames(6, 3), FRAMES[3:])
    without = FileAcquisition.open(write(tmp_path / "t.mib", [102, 103, 104, 107, 108, 109]))
    assert without.count == 8


def test_numbers_that_do_not_increase_are_not_believed(tmp_path: Path) -> None:
    movie = FileAcquisition.open(write(tmp_path / "s.mib", [1, 2, 1, 2, 1, 2]))
    assert movie.count == 6
    assert movie.present(0, 6) is None


def test_a_frame_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "s.mib", [1, 2, 3, 4, 5, 6]))
    path.write_bytes(path.read_bytes()[:-7])
    movie = FileAcquisition.open(str(path))
    assert np.array_equal(movie.frames(0, 5), FRAMES[:5])
    assert movie.count == 5


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    whole = Path(write(tmp_path / "s.mib", [1])).read_bytes()
    cases = [
        b"",
        b"MQ1",
        whole[:383],
        whole[:400],
        whole.replace(b"U16", b"R64"),
        whole.replace(b"U16", b"X99"),
    ]
    for case in cases:
        (tmp_path / "x.mib").write_bytes(case)
        with pytest.raises(SourceError, match=r"x\.mib"):
            FileAcquisition.open(str(tmp_path / "x.mib"))
    with pytest.raises(SourceError, match="which is not beside it"):
        FileAcquisition.open(describe(tmp_path / "alone.hdr"))
