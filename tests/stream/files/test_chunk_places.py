"""Frames read from where they lie: the same bytes as HDF5 gives, and None wherever it could be others."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from livem.stream.files import chunk_places, recordings
from livem.stream.files.chunk_places import ChunkPlaces
from livem.stream.files.recording_layout import DATA
from livem.stream.files.recordings import Recording, open_recording
from livem.stream.recording.recording_file import RecordingFile

sys.path.insert(0, str(Path(__file__).parents[1] / "recording"))
from recorder_tools import a_series, encoded

COUNT, HOLE = 200, range(60, 70)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, list[bytes]]:
    """A recording with a hole, whose later half was written first."""
    path, series = tmp_path_factory.mktemp("places") / "a.h5", a_series(encoding="bslz4", count=COUNT)
    file, payloads = RecordingFile(path, series), [b""] * COUNT
    for first, stop in ((100, COUNT), (0, HOLE.start), (HOLE.stop, 100)):
        blobs = payloads[first:stop] = encoded(series, first, stop - first)
        sizes = np.array([*map(len, blobs)])
        file.append(first, stop - first, np.frombuffer(b"".join(blobs), np.uint8), sizes)
        file.flush()
    file.close()
    return path, payloads


def opened(path: Path) -> tuple[h5py.File, ChunkPlaces]:
    file = h5py.File(path, "r")
    return file, ChunkPlaces(file[DATA], path)


@pytest.mark.parametrize("compiled", [True, False])
def test_frames_are_read_from_where_they_lie(whole, monkeypatch, compiled):
    path, payloads = whole
    if not compiled:
        monkeypatch.setattr(chunk_places, "_chunk_iter", lambda: None)
    file, places = opened(path)
    sizes = np.array([*map(len, payloads)])
    assert places.read(0, sizes).tobytes() == b"".join(payloads)
    assert places.read(90, sizes[90:110]).tobytes() == b"".join(payloads[90:110])
    assert places.read(HOLE.start, np.zeros(10, np.int64)).size == 0
    places.close()
    places.close()
    file.close()


def test_memory_is_used_again_only_when_nobody_has_a_view_of_it(whole):
    path, payloads = whole
    file, places = opened(path)
    sizes = np.array([*map(len, payloads)])
    kept = [places.read(at, sizes[at : at + 30])[5:][5:].data for at in range(0, COUNT - 30, 7)]
    expected = [b"".join(payloads[at : at + 30])[10:] for at in range(0, COUNT - 30, 7)]
    assert [bytes(view) for view in kept] == expected
    del kept
    used = {places.read(0, sizes[:30]).ctypes.data for _ in range(5)}
    assert len(used) == 1
    file.close()


def test_other_sizes_holes_and_frames_behind_the_end_are_not_read(whole):
    path, payloads = whole
    file, places = opened(path)
    sizes = np.array([*map(len, payloads)])
    assert places.read(0, sizes + (np.arange(COUNT) == 5)) is None
    assert places.read(0, np.where(np.arange(COUNT) == 5, 1 << 60, sizes)) is None
    assert places.read(HOLE.start, np.array([40])) is None
    assert places.read(COUNT - 1, np.array([sizes[-1], 40])) is None
    file.close()


def test_a_file_cut_off_meanwhile_gives_no_block(whole, tmp_path):
    (path := tmp_path / "a.h5").write_bytes(whole[0].read_bytes())
    file, places = opened(path)
    with path.open("r+b") as cut:
        cut.truncate(file[DATA].id.get_chunk_info_by_coord((50, 0, 0)).byte_offset + 3)
    assert places.read(0, np.array([*map(len, whole[1])])) is None
    file.close()


def test_a_recording_is_read_in_blocks_and_where_one_is_damaged_frame_by_frame(whole, tmp_path, monkeypatch):
    path, asked, real = tmp_path / "a.h5", [], Recording._stored
    data = bytearray(whole[0].read_bytes())
    data[data.index(whole[1][150]) + 20] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(Recording, "_stored", lambda self, index: asked.append(index) or real(self, index))
    recording = open_recording(path)
    assert recording.payloads(0, 140) == whole[1][:140]
    assert not asked
    assert recording.payloads(140, 60) == [b"" if at == 150 else whole[1][at] for at in range(140, COUNT)]
    assert asked == [*range(140, COUNT)]
    recording.close()


def no_handle(*_: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("looked_up", [True, False])
def test_without_places_the_same_frames_come(whole, monkeypatch, looked_up):
    path, payloads = whole
    recording = open_recording(path)
    monkeypatch.setattr(recordings, "ChunkPlaces", no_handle)
    recording._may_look_up = looked_up
    assert recording.payloads(0, COUNT) == payloads
    assert recording._places is None
    recording.close()
