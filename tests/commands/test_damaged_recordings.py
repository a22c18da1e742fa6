"""Bits flipped in what a recording says of itself: a clear error or the readable part, no wrong frame."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from livem.cli import main
from livem.errors import SourceError
from livem.stream.files.recordings import open_recording
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.series import Series, SeriesKey
from livem.stream.simulate.compress import compress_bslz4

COUNT, FLIPS = 40, 24
pytestmark = pytest.mark.timeout(300)


def frames() -> np.ndarray:
    return np.random.default_rng(2).integers(1, 30, (COUNT, 16, 16)).astype(np.uint16)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[bytes, list[bytes], np.ndarray]:
    """A recording, its payloads, and the places that hold anything but frames and zeros."""
    path = tmp_path_factory.mktemp("whole") / "a.h5"
    file = RecordingFile(path, Series(SeriesKey(bytes(8), 5), (16, 16), "uint16", "bslz4", COUNT))
    blobs = compress_bslz4(frames())
    sizes = np.array([*map(len, blobs)])
    file.append(0, COUNT, np.frombuffer(b"".join(blobs), np.uint8), sizes)
    file.write_accounts({"state": "complete", "sent": COUNT})
    file.close()
    data = path.read_bytes()
    meta = np.frombuffer(data, np.uint8) != 0
    for blob in blobs:
        meta[data.index(blob) : data.index(blob) + len(blob)] = False
    return data, blobs, np.flatnonzero(meta)


def livem(*args: object) -> Result:
    """A command that ends as every command does: its code says how, and no fault of livem shows."""
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    assert done.exit_code in (0, 2), done.output
    assert "fault of livem" not in done.output
    assert "Traceback" not in done.output
    if done.exit_code:
        assert "livem: error: " in done.stderr
    return done


def write(folder: Path, data: bytes, at: int, bit: int) -> Path:
    path = folder / "flipped.h5"
    damaged = bytearray(data)
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged)
    return path


def check_commands(path: Path, blobs: list[bytes]) -> None:
    told = livem("info", path, "--json")
    if told.exit_code == 0:
        json.loads(told.stdout)
    out = path.with_suffix(".npy")
    if livem("export", path, out, "--force").exit_code == 0:
        got = np.load(out)
        if (
            got.shape == frames().shape
        ):  # otherwise it is no recording any more, and its chunks are read as such
            valid = out.with_suffix(".valid.npy")
            there = np.load(valid) if valid.exists() else np.ones(COUNT, bool)
            np.testing.assert_array_equal(got[there], frames()[there])
            assert not got[~there].any()
    livem("repair", path)
    for name in (path, path.with_suffix(".salvaged.h5")):
        if name.exists():
            check_frames(name, blobs)
            out.with_suffix(".valid.npy").unlink(missing_ok=True)
    path.with_suffix(".salvaged.h5").unlink(missing_ok=True)


def check_frames(path: Path, blobs: list[bytes]) -> None:
    try:
        recording = open_recording(path)
    except SourceError:
        return
    assert all(one in (b"", blob) for one, blob in zip(recording.payloads(0, COUNT), blobs, strict=False))
    recording.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_is_a_clear_error_or_costs_little(whole, tmp_path, seed):
    data, blobs, places = whole
    chance = np.random.default_rng(seed)
    for at in chance.choice(places, FLIPS, replace=False).tolist():
        check_commands(write(tmp_path, data, at, int(chance.integers(8))), blobs)


@pytest.mark.parametrize(
    "block", [b"OHDR", b"OCHK", b"EAHD", b"EAIB", b"EADB", b"BTHD", b"BTLF", b"FRHP", b"FHDB"]
)
def test_a_flipped_bit_in_every_kind_of_block(whole, tmp_path, block):
    data, blobs, _ = whole
    for match in [*re.finditer(block, data)][:3]:
        check_commands(write(tmp_path, data, match.start() + 9, 3), blobs)


def test_a_damaged_root_is_told_by_info_and_by_repair(whole, tmp_path):
    data, _, _ = whole
    for at in range(50, 460, 37):
        path = write(tmp_path, data, at, 2)
        done = livem("info", path)
        if done.exit_code:
            assert "flipped.h5" in done.stderr
        again = livem("repair", path)
        assert "try `livem repair" not in again.stderr
