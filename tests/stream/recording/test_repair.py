"""Recordings that were left open or damaged: sound frames are kept, nothing wrong is ever given out."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from livem.errors import SourceError
from livem.stream.files.chunk_places import ChunkPlaces
from livem.stream.files.recording_layout import SERIES, SUM
from livem.stream.files.recordings import Recording, open_recording
from livem.stream.files.superblock import Superblock, lookup3
from livem.stream.recording import repair as repairing
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.recording.repair import repair
from livem.stream.series import Scan

sys.path.insert(0, str(Path(__file__).parent))
from recorder_tools import Stage, a_series

FRAMES = 60


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict[int, bytes]]:
    """A whole recording, and its payloads."""
    stage = Stage(tmp_path_factory.mktemp("whole"))
    stage.start(a_series(encoding="bslz4", count=FRAMES))
    stage.frames(0, FRAMES)
    stage.end(FRAMES)
    stage.work()
    (path,) = stage.files()
    stage.close()
    return path, stage.sent


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    program = Path(__file__).with_name("killed_recorders.py")
    done = subprocess.run(
        [sys.executable, str(program), str(folder), "2", "5"], capture_output=True, text=True, check=True
    )
    return Path(json.loads(done.stdout.splitlines()[1])["path"])


def copy(path: Path, folder: Path) -> Path:
    return Path(shutil.copy(path, folder))


def test_a_whole_recording_is_left_as_it_is(finished, tmp_path):
    path = copy(finished[0], tmp_path)
    before = path.read_bytes()
    report = repair(path)
    assert (report.changed, report.recorded, report.sound) == (False, FRAMES, FRAMES)
    assert path.read_bytes() == before


def flipped(path: Path, text: bytes, into: bytes) -> None:
    """One place of a file damaged."""
    data = path.read_bytes()
    assert data.count(text) == 1
    path.write_bytes(data.replace(text, into))


@pytest.mark.parametrize(
    ("text", "into"),
    [(b'"pixel_size": 0.0125', b'"pixel_size": 0.8125'), (b'"shape": [6, 10]', b'"shape": [6, 11]')],
)
def test_a_flip_in_the_announcement_gives_no_wrong_axis(tmp_path, text, into):
    series = a_series(count=FRAMES, scan=Scan((6, 10)), meta={"pixel_size": 0.0125})
    RecordingFile(tmp_path / "a.h5", series).close()
    open_recording(tmp_path / "a.h5").close()
    flipped(tmp_path / "a.h5", text, into)
    with pytest.raises(SourceError, match=r"announcement .* is damaged"):
        open_recording(tmp_path / "a.h5")


def test_a_flip_in_a_position_costs_its_frame_and_moves_none(tmp_path):
    stage = Stage(tmp_path)
    stage.start(a_series(count=20, scan=Scan((64, 64), "positions")))
    stage.frames(0, 20)
    stage.end(20)
    stage.work()
    (path,) = stage.files()
    stage.close()
    recording = open_recording(path)
    assert recording.present(0, 20).all()
    recording.close()
    place = np.array([[3.5, 2.25]], np.float32).tobytes()  # of frame 7
    flipped(path, place, np.array([[4.5, 2.125]], np.float32).tobytes())
    recording = open_recording(path)
    assert np.flatnonzero(~recording.present(0, 20)).tolist() == [7]
    recording.close()
    assert repair(path).damaged == 1


def test_a_flip_in_a_table_costs_the_table(tmp_path):
    mask = np.arange(256, dtype=np.uint32).reshape(16, 16) * 65_537
    np.save(tmp_path / "mask.npy", mask)
    series = a_series(tables={"pixel_mask": str(tmp_path / "mask.npy")})
    RecordingFile(tmp_path / "a.h5", series).close()
    recording = open_recording(tmp_path / "a.h5")
    np.testing.assert_array_equal(recording.tables()["pixel_mask"], mask)
    recording.close()
    flipped(tmp_path / "a.h5", mask[3].tobytes(), mask[4].tobytes())
    assert open_recording(tmp_path / "a.h5").tables() == {}


def test_recordings_without_these_checksums_are_read(finished, tmp_path):
    path = copy(finished[0], tmp_path)
    with h5py.File(path, "r+") as file:
        del file[SERIES].attrs[SUM]
    assert open_recording(path).present(0, FRAMES).all()


def test_a_disk_that_has_a_bad_moment_costs_no_frame(finished, tmp_path, monkeypatch):
    path = copy(finished[0], tmp_path)
    before, real, calls = path.read_bytes(), Recording._stored, iter(range(10**6))

    def once_broken(self, index, sizes=None):
        if next(calls) < 5 or sizes is not None:
            raise OSError(errno.EIO, "Input/output error")
        return real(self, index)

    monkeypatch.setattr(Recording, "_stored", once_broken)
    monkeypatch.setattr(ChunkPlaces, "read", once_broken)
    assert not repair(path).changed
    assert path.read_bytes() == before


def test_a_disk_that_cannot_be_read_is_no_damage(finished, tmp_path, monkeypatch):
    path = copy(finished[0], tmp_path)
    before = path.read_bytes()

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Recording, "_stored", broken)
    monkeypatch.setattr(ChunkPlaces, "read", broken)
    monkeypatch.setattr(repairing, "read_through", broken)
    with pytest.raises(SourceError, match="Input/output error"):
        repair(path)
    assert path.read_bytes() == before


def test_a_recording_that_was_switched_off_says_so_before_and_after_repair(tmp_path):
    stage = Stage(tmp_path)
    stage.start(a_series(count=20))
    stage.frames(0, 10)
    stage.work()
    stage.tell(do="set", name="recording", value=False)
    stage.frames(10, 10)
    stage.end(20)
    stage.work()
    (path,) = stage.files()
    stage.close()
    assert not repair(path).changed
    recording = open_recording(path)
    assert (recording.state, recording.accounts["reason"]) == ("incomplete", "recording was switched off")
    recording.close()


def test_a_killed_recording_opens_in_a_plain_program_afterwards(killed, tmp_path):
    path = copy(killed, tmp_path)
    with pytest.raises(OSError, match="already open"):
        h5py.File(path, "r")
    recording = open_recording(path)
    before = recording.payloads(0, recording.rows)
    recording.close()
    report = repair(path)
    assert report.left_open
    assert report.closed_accounts
    assert report.sound == sum(map(bool, before))
    with h5py.File(path, "r") as file:
        assert file["entry/frames/valid"][:].sum() == report.sound
    recording = open_recording(path)
    assert recording.payloads(0, recording.rows) == before
    assert recording.state == "incomplete"
    recording.close()
    assert not repair(path).changed


def test_a_recording_that_is_being_written_is_left_alone(tmp_path):
    stage = Stage(tmp_path, flush_frames=1)
    stage.start(a_series())
    stage.frames(0, 5)
    stage.work()
    path = stage.recorder._keeper.file.path
    with pytest.raises(SourceError, match="being recorded at this moment"):
        repair(path)
    recording = open_recording(path)
    assert recording.payloads(0, 5) == [stage.sent[i] for i in range(5)]
    recording.close()
    stage.close()


def test_a_damaged_frame_is_marked_as_absent(finished, tmp_path):
    path = copy(finished[0], tmp_path)
    with h5py.File(path) as file:
        where = file["entry/data/data"].id.get_chunk_info_by_coord((7, 0, 0)).byte_offset
    with path.open("r+b") as file:
        file.seek(where + 20)
        file.write(b"\xff\x00\xff")
    report = repair(path)
    assert (report.damaged, report.sound) == (1, FRAMES - 1)
    recording = open_recording(path)
    assert np.flatnonzero(~recording.recorded(0, FRAMES)).tolist() == [7]
    assert not recording.frames(7, 1).any()
    recording.close()
    assert not repair(path).changed


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_recording_whose_tables_are_cut_off_is_left_as_it_is(finished, tmp_path, share):
    """Its frames' checksums are gone, not its frames: a better copy of the file's end may turn up."""
    path = copy(finished[0], tmp_path)
    with path.open("r+b") as file:
        file.truncate(int(share * path.stat().st_size))
    before = path.read_bytes()
    with pytest.raises(SourceError, match="truncated"):
        open_recording(path)
    with pytest.raises(SourceError, match="nothing was changed"):
        repair(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("at", [0, 11, 30, 45])
def test_a_damaged_beginning_is_made_anew(finished, tmp_path, at):
    path = copy(finished[0], tmp_path)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5")
    with pytest.raises(SourceError, match="cannot be opened"):
        open_recording(path)
    report = repair(path)
    assert report.header_lost
    assert report.sound == FRAMES


@pytest.mark.parametrize("content", [b"", b"no recording at all", b"\x89HDF\r\n\x1a\n", bytes(5000)])
def test_what_is_no_recording_is_refused(tmp_path, content):
    path = tmp_path / "other.h5"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot be repaired"):
        repair(path)
    assert path.read_bytes() == content


def test_another_programs_file_is_not_touched(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = 1
    before = path.read_bytes()
    with pytest.raises(SourceError, match="no recording of livem"):
        repair(path)
    assert path.read_bytes() == before
    with pytest.raises(SourceError, match="cannot be repaired"):
        repair(tmp_path / "missing.h5")


def test_the_checksum_of_hdf5():
    # Values in the author's own comments (lookup3.c, driver5).
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_the_superblock_is_written_as_it_was_read(finished):
    assert Superblock.read(finished[0]).pack() == finished[0].read_bytes()[:48]
