"""Reading recordings back: byte for byte, up to the last flush, and never a wrong frame."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livem.errors import SourceError
from livem.stream.files import recordings
from livem.stream.files.recording_layout import pack_series, unpack_series
from livem.stream.files.recordings import Recording, is_recording, open_recording
from livem.stream.files.superblock import AsClosed, Superblock
from livem.stream.recording.recording_file import MAX_INDEX, RecordingFile
from livem.stream.series import Scan
from livem.stream.tables import keep_tables

sys.path.insert(0, str(Path(__file__).parents[1] / "recording"))
from recorder_tools import T0, a_series, encoded, pixels

META = {
    "frame_time": 2e-6,
    "title": "gold",
    "beam_energy": 300,
    "more": {"note": b"\x00\xff", "list": [1, None]},
}
HINTS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def write(path: Path, series, batches, positions=None) -> dict[int, bytes]:
    """A recording of (first, count) batches; returns its payloads by index."""
    file, payloads = RecordingFile(path, series), {}
    for first, count in batches:
        blobs = encoded(series, first, count)
        payloads |= dict(zip(range(first, first + count), blobs, strict=True))
        sizes = None if series.encoding == "raw" else np.array([len(blob) for blob in blobs])
        places = None if positions is None else positions[first : first + count]
        data = np.frombuffer(b"".join(blobs), np.uint8)
        file.append(first, count, data, sizes, places, T0 + 2000 * first)
    file.write_accounts({"state": "complete", "sent": series.count})
    file.close()
    return payloads


def again(recording: Recording, path: Path) -> None:
    """Record what a recording gives out, in batches of its own."""
    file = RecordingFile(path, recording.series)
    count = recording.rows
    there, times = recording.present(0, count), recording.times(0, count)
    positions = recording.positions(0, count)
    for index in np.flatnonzero(there):
        (payload,) = recording.payloads(int(index), 1)
        sizes = None if recording.encoding == "raw" else np.array([len(payload)])
        place = None if positions is None else positions[index : index + 1]
        time_ns = None if times is None else int(times[index])
        file.append(int(index), 1, np.frombuffer(payload, np.uint8), sizes, place, time_ns)
    file.write_accounts(recording.accounts)
    file.close()


@st.composite
def batches(draw):
    """Ranges of distinct frames in any order, with holes."""
    edges = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=10)))
    ranges = [(a, b - a) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    return draw(st.permutations(ranges))


@HINTS
@given(batches(), st.sampled_from(["raw", "bslz4"]), st.booleans(), st.sampled_from([(4, 4), (64, 48)]))
def test_a_recording_recorded_again_is_the_same(ranges, encoding, placed, shape):
    scan = Scan((8, 8), "positions") if placed else None
    series = a_series(7, encoding=encoding, scan=scan, shape=shape, meta=META)
    positions = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32) if placed else None
    with tempfile.TemporaryDirectory() as folder:
        payloads = write(Path(folder) / "a.h5", series, ranges, positions)
        first = open_recording(Path(folder) / "a.h5")
        again(first, Path(folder) / "b.h5")
        second = open_recording(Path(folder) / "b.h5")
        n = first.rows
        assert second.rows == n == first.count
        assert first.payloads(0, n) == second.payloads(0, n) == [payloads.get(i, b"") for i in range(n)]
        assert (
            first.present(0, n).tolist() == second.present(0, n).tolist() == [i in payloads for i in range(n)]
        )
        assert first.times(0, n).tolist() == [T0 + 2000 * i if i in payloads else 0 for i in range(n)]
        assert second.times(0, n).tolist() == first.times(0, n).tolist()
        assert second.announced == first.announced == series
        if placed:
            expected = np.where(first.present(0, n)[:, None], positions[:n], 0)
            np.testing.assert_array_equal(first.positions(0, n), expected)
            np.testing.assert_array_equal(second.positions(0, n), expected)
        first.close()
        second.close()


def test_frames_are_decoded_and_begin_again(tmp_path):
    series = a_series(encoding="bslz4", count=12)
    write(tmp_path / "a.h5", series, [(0, 5), (8, 4)])
    recording = open_recording(tmp_path / "a.h5")
    expected = np.zeros((12, *series.shape), np.uint16)
    expected[:5], expected[8:] = pixels(series, 0, 5), pixels(series, 8, 4)
    np.testing.assert_array_equal(recording.frames(0, 12), expected)
    np.testing.assert_array_equal(recording.frames(10, 4), expected[[10, 11, 0, 1]])
    assert recording.payloads(10, 4) == recording.payloads(10, 2) + recording.payloads(0, 2)
    assert (recording.shape, recording.dtype, recording.count) == ((16, 16), "uint16", 12)
    assert recording.truth() == {}
    recording.close()


def test_an_announced_frame_that_never_came_is_absent(tmp_path):
    write(tmp_path / "a.h5", a_series(count=100), [(0, 10)])
    recording = open_recording(tmp_path / "a.h5")
    assert recording.count == 100
    assert recording.present(0, 100).sum() == 10
    assert not recording.frames(50, 2).any()


def test_tables_travel_with_the_file(tmp_path):
    mask = np.zeros((16, 16), np.uint32)
    mask[3, 4] = 1
    tables = keep_tables(tmp_path / "tables", {"pixel_mask": mask})
    write(tmp_path / "a.h5", a_series(tables=tables), [(0, 2)])
    shutil.rmtree(tmp_path / "tables")
    found = open_recording(tmp_path / "a.h5").tables()
    assert list(found) == ["pixel_mask"]
    np.testing.assert_array_equal(found["pixel_mask"], mask)


def test_a_table_that_is_damaged_costs_no_frame(tmp_path):
    tables = keep_tables(tmp_path / "tables", {"pixel_mask": np.arange(256, dtype=np.uint32).reshape(16, 16)})
    payloads = write(tmp_path / "a.h5", a_series(tables=tables), [(0, 2)])
    with h5py.File(tmp_path / "a.h5", "r") as file:
        where = h5py.h5o.get_info(file["entry/instrument/detector/pixel_mask"].id).addr
    data = bytearray((tmp_path / "a.h5").read_bytes())
    data[where + 20] ^= 255
    (tmp_path / "a.h5").write_bytes(data)
    recording = open_recording(tmp_path / "a.h5")
    assert recording.tables() == {}
    assert recording.payloads(0, 2) == [payloads[0], payloads[1]]
    recording.close()


@pytest.mark.parametrize("scan", [None, Scan((3, 4), "serpentine", 2, 3), Scan((5, 5), "positions")])
def test_the_announcement_survives(scan):
    series = a_series(3, count=9, scan=scan, dtype="float32", meta=META)
    assert unpack_series(pack_series(series), "x") == series


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"epoch": "zz", "series": 1}', '{"epoch": "00", "series": 1, "shape": [-1, 2]}']
)
def test_a_senseless_announcement_is_refused_by_name(text):
    with pytest.raises(SourceError, match=r"^my file: its announcement"):
        unpack_series(text, "my file")


def test_an_index_beyond_the_format_is_refused(tmp_path):
    file = RecordingFile(tmp_path / "a.h5", a_series())
    with pytest.raises(ValueError, match="beyond"):
        file.append(MAX_INDEX, 1, np.zeros(512, np.uint8), None)
    file.append(MAX_INDEX - 1, 1, np.ones(512, np.uint8), None)
    file.close()
    recording = open_recording(tmp_path / "a.h5")
    assert recording.payloads(MAX_INDEX - 2, 2) == [b"", bytes([1]) * 512]


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_recording_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.h5"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"x\.h5"):
        open_recording(path)
    assert not is_recording(path)


def test_other_hdf5_files_are_no_recordings(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file["entry/data/data"] = np.zeros((2, 3, 4))
    assert not is_recording(tmp_path / "x.h5")
    assert not is_recording(tmp_path / "missing.h5")
    with pytest.raises(SourceError, match="no recording of livem"):
        open_recording(tmp_path / "x.h5")


def test_a_later_version_says_so(tmp_path):
    write(tmp_path / "a.h5", a_series(), [(0, 1)])
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["livem_recording"] = 99
    with pytest.raises(SourceError, match="update livem"):
        open_recording(tmp_path / "a.h5")


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_never_give_a_wrong_frame(tmp_path, seed):
    """Every frame that is given out is the one that was written; most damage costs one frame or none."""
    payloads = write(tmp_path / "a.h5", a_series(encoding="bslz4", count=64, scan=Scan((8, 8))), [(0, 64)])
    whole = (tmp_path / "a.h5").read_bytes()
    chance = np.random.default_rng(seed)
    given_out = 0
    for number in range(40):
        damaged = bytearray(whole)
        for at in chance.integers(0, len(whole), 1 + number % 3):
            damaged[at] ^= 1 << chance.integers(8)
        path = tmp_path / f"{number}.h5"
        path.write_bytes(damaged)
        try:
            recording = open_recording(path)
        except SourceError:
            continue
        for index, payload in enumerate(recording.payloads(0, 64)):
            assert payload in (b"", payloads[index])
            given_out += bool(payload)
        recording.close()
    assert given_out > 1000


@pytest.fixture
def left_open(tmp_path, monkeypatch) -> tuple[Path, dict[int, bytes]]:
    """A recording as a killed writer leaves it, and the payloads of its 2000 frames."""
    series = a_series(encoding="bslz4", count=2000)
    file, payloads = RecordingFile(tmp_path / "written.h5", series), {}
    for first in range(0, 2000, 200):
        blobs = encoded(series, first, 200)
        payloads |= dict(zip(range(first, first + 200), blobs, strict=True))
        file.append(first, 200, np.frombuffer(b"".join(blobs), np.uint8), np.array([*map(len, blobs)]))
        file.flush()
    shutil.copy(tmp_path / "written.h5", tmp_path / "a.h5")
    file.close()
    monkeypatch.setattr(recordings, "is_alive", lambda writer: False)
    return tmp_path / "a.h5", payloads


def test_a_recording_left_open_reads_as_if_it_were_closed(left_open):
    path, payloads = left_open
    before = path.read_bytes()
    assert not Superblock.read(path).clean
    recording = open_recording(path)
    assert recording.payloads(0, 2000) == [payloads[index] for index in range(2000)]
    assert (recording.state, recording.writer_alive) == ("open", False)
    recording.close()
    assert is_recording(path)
    assert path.read_bytes() == before


def test_a_damaged_index_in_a_recording_left_open_costs_its_frames_at_once(left_open):
    """HDF5's concurrent reader would try each of these again and again, for minutes."""
    path, payloads = left_open
    data = bytearray(path.read_bytes())
    data[data.rindex(b"EADB") + 40] ^= 1
    path.write_bytes(data)
    recording = open_recording(path)
    found = recording.payloads(0, recording.rows)
    assert 1000 < sum(map(bool, found)) < 2000
    assert all(payload in (b"", payloads[index]) for index, payload in enumerate(found))
    recording.close()


def test_a_file_seen_as_closed_is_the_same_behind_its_header(tmp_path):
    write(tmp_path / "a.h5", a_series(count=4), [(0, 4)])
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(replace(Superblock.read(tmp_path / "a.h5"), flags=5).pack() + whole[48:])
    with AsClosed(tmp_path / "a.h5", Superblock.read(tmp_path / "a.h5")) as file:
        assert file.read() == whole
        for at, n in ((0, 8), (5, 100), (47, 1), (48, 9)):
            file.seek(at)
            assert file.read(n) == whole[at : at + n]
            assert file.tell() == at + n
        file.seek(-4, 2)
        buffer = bytearray(b"\xff" * 8)
        assert file.readinto(buffer) == 4
        assert buffer == whole[-4:] + bytes(4)


@pytest.mark.parametrize("share", np.linspace(0.02, 0.98, 13))
def test_truncated_files_give_a_clear_error(tmp_path, share):
    write(tmp_path / "a.h5", a_series(count=64), [(0, 64)])
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(SourceError, match=r"a\.h5 cannot be opened"):
        open_recording(tmp_path / "a.h5")
