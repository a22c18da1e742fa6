"""A recording whose index is damaged: no frame is thrown away, and what is there is found again."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import hdf5plugin
import numpy as np
import pytest

from livem.errors import SourceError
from livem.stream.files.recordings import open_recording
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.recording.repair import repair
from livem.stream.series import Scan
from livem.stream.tables import keep_tables

sys.path.insert(0, str(Path(__file__).parent))
from recorder_tools import T0, a_series, encoded, pixels

COUNT, HOLE = 300, 40
"""Enough for a super block (EASB) in the index of compressed frames."""
KINDS: dict[str, dict[str, Any]] = {
    "bslz4": {"encoding": "bslz4", "shape": (24, 20)},
    "lz4": {"encoding": "lz4", "shape": (32, 40)},
    "raw": {"encoding": "raw", "shape": (64, 64)},
    "points": {"encoding": "raw", "shape": (1, 3), "dtype": "float32"},
    "places": {"encoding": "bslz4", "shape": (16, 16), "scan": Scan((40, 40), "positions")},
}


def blobs_of(series, first: int, count: int) -> list[bytes]:
    if series.encoding != "lz4":
        return encoded(series, first, count)
    import h5py

    frames = pixels(series, first, count)
    with h5py.File("chunks", "w", driver="core", backing_store=False) as file:
        data = file.create_dataset("f", data=frames, chunks=(1, *series.shape), **hdf5plugin.LZ4())
        return [bytes(data.id.read_direct_chunk((i, 0, 0))[1]) for i in range(count)]


def record(folder: Path, kind: str) -> tuple[Path, dict[int, bytes]]:
    """COUNT frames but HOLE ..., the last hundred before the others, flushed every 50."""
    mask = np.arange(12, dtype=np.uint32).reshape(3, 4)
    tables = keep_tables(folder / "tables", {"pixel_mask": mask})
    series = a_series(count=COUNT, meta={"title": "gold"}, tables=tables, **KINDS[kind])
    file, payloads = RecordingFile(folder / "a.h5", series), {}
    for first in (200, 250, 0, 50, 100, 150):
        n = HOLE if first == 0 else 50
        blobs = blobs_of(series, first, n)
        payloads |= dict(zip(range(first, first + n), blobs, strict=True))
        sizes = None if series.encoding == "raw" else np.array([*map(len, blobs)])
        places = (
            np.stack([np.arange(first, first + n) / 10, np.full(n, 3.25)], 1) if kind == "places" else None
        )
        file.append(first, n, np.frombuffer(b"".join(blobs), np.uint8), sizes, places, T0 + first)
        file.flush()
    file.write_accounts({"state": "complete", "sent": COUNT})
    file.close()
    return folder / "a.h5", payloads


@pytest.fixture(scope="module", params=list(KINDS))
def whole(request, tmp_path_factory) -> tuple[Path, dict[int, bytes]]:
    return record(tmp_path_factory.mktemp(request.param), request.param)


def same(found: Path, original: Path, payloads: dict[int, bytes]) -> None:
    """All that a recording says of its frames."""
    one, two = open_recording(found), open_recording(original)
    assert one.payloads(0, COUNT) == [payloads.get(index, b"") for index in range(COUNT)]
    np.testing.assert_array_equal(one.times(0, COUNT), two.times(0, COUNT))
    np.testing.assert_array_equal(one.positions(0, COUNT), two.positions(0, COUNT))
    np.testing.assert_array_equal(one.tables()["pixel_mask"], two.tables()["pixel_mask"])
    assert (one.series, one.index_fault, one.rows) == (two.series, None, two.rows)
    one.close()
    two.close()


def flipped(original: Path, folder: Path, at: int) -> Path:
    path = Path(shutil.copy(original, folder / "flipped.h5"))
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 4]))
    (folder / "flipped.salvaged.h5").unlink(missing_ok=True)
    return path


def mended(path: Path) -> int:
    """Frames that are sound after a repair, which does not write into a file of damaged index; 0 = none."""
    recording = open_recording(path)
    fault = recording.index_fault
    recording.close()
    before = path.read_bytes()
    if fault and ("/size:" in fault or "/xxh64:" in fault):
        with pytest.raises(SourceError, match="nothing was changed"):
            repair(path)
        assert path.read_bytes() == before
        return 0
    report = repair(path)
    assert path.read_bytes() == before
    assert (report.salvaged is not None) == bool(fault)
    assert not report.changed
    return report.sound


@pytest.mark.parametrize("block", [b"EAHD", b"EAIB", b"EASB", b"EADB"])
def test_a_flipped_bit_in_the_index_costs_no_frame(whole, tmp_path, block):
    """Wherever it is: the file stays as it is, and all frames are found again."""
    original, payloads = whole
    data, found = original.read_bytes(), []
    for match in re.finditer(block, data):
        path = flipped(original, tmp_path, match.start() + 20)
        found.append(mended(path))
        if (new := path.with_name("flipped.salvaged.h5")).exists():
            recording = open_recording(new)
            assert recording.payloads(0, COUNT) == [payloads.get(index, b"") for index in range(COUNT)]
            recording.close()
    assert found.count(len(payloads)) >= len(found) - 2, "without sizes or checksums nothing is found"


def test_what_was_found_again_is_the_same_recording(whole, tmp_path):
    original, payloads = whole
    first = original.read_bytes().index(b"EAHD")  # the frames' own
    path = flipped(original, tmp_path, first + 30)
    damaged = open_recording(path)
    assert damaged.index_fault is not None
    assert "chunk" in damaged.index_fault or "index" in damaged.index_fault
    assert not any(damaged.payloads(0, COUNT))
    damaged.close()
    report = repair(path)
    assert (report.sound, report.damaged, report.changed) == (len(payloads), 0, False)
    same(report.salvaged, original, payloads)
    with pytest.raises(SourceError, match="is there already"):
        repair(path)


def test_a_damaged_frame_behind_a_damaged_index_is_the_only_one_that_is_lost(whole, tmp_path):
    original, payloads = whole
    data = original.read_bytes()
    path = flipped(original, tmp_path, data.index(b"EAHD") + 30)
    victim = payloads[120]
    if data.count(victim) != 1:
        pytest.skip("its bytes are there twice")
    with path.open("r+b") as file:
        file.seek(data.index(victim) + len(victim) - 2)
        file.write(b"\x5a\xa5")
    report = repair(path)
    assert (report.sound, report.damaged) == (len(payloads) - 1, 1)
    recording = open_recording(report.salvaged)
    assert np.flatnonzero(~recording.present(0, COUNT)).tolist() == [*range(HOLE, 50), 120]
    recording.close()


def test_frames_whose_rows_are_marked_as_absent_come_back(whole, tmp_path):
    """What a repair of an earlier livem did to such a file."""
    import h5py

    original, payloads = whole
    path = flipped(original, tmp_path, original.read_bytes().index(b"EAHD") + 30)
    with h5py.File(path, "r+") as file:
        file["entry/frames/valid"][:] = 0
    assert repair(path).sound == len(payloads)


def test_positions_that_cannot_be_looked_up_place_no_frame(tmp_path):
    original, payloads = record(tmp_path, "places")
    data = original.read_bytes()
    seen = 0
    for match in re.finditer(b"EAHD", data):
        path = flipped(original, tmp_path, match.start() + 30)
        recording = open_recording(path)
        if "position" in str(recording.index_fault):
            seen += 1
            assert not recording.present(0, COUNT).any()
            recording.close()
            report = repair(path)
            recording = open_recording(report.salvaged)
            assert recording.present(0, COUNT).sum() == len(payloads)
            assert np.isnan(recording.positions(60, 1)).all()
        recording.close()
    assert seen == 2


def test_many_damaged_frames_are_not_marked_as_absent_without_a_word(tmp_path):
    original, payloads = record(tmp_path, "raw")
    with original.open("r+b") as file:
        data = file.read()
        for index in range(60, 260):
            file.seek(data.index(payloads[index]) + 7)
            file.write(b"\xff")
    before = original.read_bytes()
    with pytest.raises(SourceError, match=r"only 90 of the 290 frames .* nothing was changed.*--force"):
        repair(original)
    assert original.read_bytes() == before
    report = repair(original, force=True)
    assert (report.damaged, report.sound, report.salvaged) == (200, 90, None)
    recording = open_recording(original)
    assert recording.recorded(0, COUNT).sum() == 90
    recording.close()


@pytest.mark.parametrize("share", [0.6, 0.8, 0.97])
def test_what_is_left_of_a_truncated_recording(tmp_path, share):
    original, payloads = record(tmp_path, "raw")
    with original.open("r+b") as file:
        file.truncate(int(share * original.stat().st_size))
    report = repair(original)
    assert report.cut_off > 0
    recording = open_recording(report.salvaged or original)
    found = recording.payloads(0, COUNT)
    assert all(payload in (b"", payloads.get(index)) for index, payload in enumerate(found))
    assert sum(map(bool, found)) == report.sound > (share - 0.05) * len(payloads)
    recording.close()
