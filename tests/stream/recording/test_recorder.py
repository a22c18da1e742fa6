"""What the recorder keeps, counts and says: one thread, a ring, no supervisor."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from livem.stream.files.recordings import open_recording
from livem.stream.recording import keeper as keeping
from livem.stream.recording import nexus
from livem.stream.recording.keeper import free_path
from livem.stream.recording.notes import Notes
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.series import Scan

sys.path.insert(0, str(Path(__file__).parent))
from recorder_tools import T0, Stage, a_series, encoded, pixels


@pytest.fixture
def stage(tmp_path):
    made = []

    def make(**options):
        made.append(Stage(tmp_path / "out", **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def content(path: Path) -> dict[int, bytes]:
    """Payloads that are there, by index."""
    recording = open_recording(path)
    try:
        return {i: p for i, p in enumerate(recording.payloads(0, recording.count)) if p}
    finally:
        recording.close()


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_a_series_is_kept_as_it_was_received(stage, encoding):
    s = stage()
    s.start(a_series(encoding=encoding, count=40))
    s.frames(0, 25)
    s.frames(25, 15)
    s.end(40)
    s.work()
    (path,) = s.files()
    assert content(path) == s.sent
    assert s.edge() == (40, {})
    accounts = open_recording(path).accounts
    assert accounts["state"] == "complete"
    assert [accounts[name] for name in ("sent", "received", "recorded")] == [40, 40, 40]


def test_holes_stay_holes_and_late_frames_find_their_place(stage):
    s = stage()
    s.start(a_series(count=200, encoding="bslz4"))
    for first in (0, 20, 40, 100, 10):
        s.frames(first, 10)
        s.now += 10**9
        s.assembler.tick(s.now)
        s.work()
    s.end(200)
    s.now += 10**10
    s.assembler.tick(s.now)
    s.work()
    (path,) = s.files()
    assert content(path) == s.sent
    recording = open_recording(path)
    assert recording.accounts["lost"] == 150
    assert recording.state == "incomplete"
    assert not recording.recorded(50, 50).any()
    with h5py.File(path) as file:
        assert file["entry/data/data"].id.get_num_chunks() == 50


def test_times_and_positions_stand_beside_the_frames(stage):
    s = stage()
    s.start(a_series(count=8, scan=Scan((4, 8), "positions"), meta={"frame_time": 1e-6}))
    s.frames(0, 5)
    s.frames(5, 3)
    s.end(8)
    s.work()
    recording = open_recording(s.files()[0])
    assert recording.times(0, 8).tolist() == [T0 + 1000 * i for i in range(8)]
    assert recording.positions(0, 8).tolist() == [[0.5 * i, 2.25] for i in range(8)]


def test_many_small_frames_share_a_chunk(stage):
    s = stage()
    s.start(a_series(shape=(1, 1), count=30_000, dtype="float32"))
    for first in range(0, 30_000, 10_000):
        s.frames(first, 10_000)
        s.work()
    s.end(30_000)
    s.work()
    (path,) = s.files()
    recording = open_recording(path)
    assert recording.payloads(17_000, 3000) == [s.sent[i] for i in range(17_000, 20_000)]
    with h5py.File(path) as file:
        assert file["entry/data/data"].id.get_num_chunks() == 2


def test_raw_frames_are_compressed_by_choice(stage):
    s = stage(compression="bslz4")
    s.start(a_series(count=10, shape=(64, 64)))
    s.frames(0, 10)
    s.end(10)
    s.work()
    recording = open_recording(s.files()[0])
    assert recording.encoding == "bslz4"
    assert recording.announced.encoding == "raw"
    np.testing.assert_array_equal(recording.frames(0, 10), pixels(s.series, 0, 10))


def test_a_payload_without_its_header_gets_one(stage):
    s = stage()
    series = a_series(count=3, encoding="bslz4")
    s.start(series)
    blobs = encoded(series, 0, 3)
    s.frames(0, 3, [blobs[0], bytes(12) + blobs[1][12:], blobs[2]])
    s.end(3)
    s.work()
    with h5py.File(s.files()[0]) as file:
        np.testing.assert_array_equal(file["entry/data/data"][:], pixels(series, 0, 3))
        assert file["entry/data/data"].attrs["headers_made"] == 1


def test_each_series_has_a_file_and_none_is_overwritten(stage):
    s = stage()
    paths = []
    for number in (1, 2, 3):
        s.start(a_series(number, count=5, meta={"title": "gold / film"}))
        s.frames(0, 5)
        s.end(5)
        s.work()
        paths += s.files()
    names = [path.name for path in paths]
    assert names == [f"gold_film_{number}_00010203.h5" for number in (1, 2, 3)]
    assert all(path.exists() for path in paths)


def test_a_taken_name_gets_a_number(tmp_path):
    series = a_series(4)
    first = free_path(tmp_path, series)
    first.touch()
    assert free_path(tmp_path, series).name == "series_4_00010203_2.h5"


def test_an_armed_recorder_keeps_nothing_until_it_is_told(stage):
    s = stage(continuous=False)
    s.start(a_series(encoding="bslz4"))
    s.frames(0, 10)
    s.work()
    assert s.edge() == (0, {"not_recorded": 10})
    assert s.tell(do="set", name="recording", value=True)["parameters"]["recording"] is True
    s.frames(10, 10)
    s.work()
    s.tell(do="set", name="recording", value=False)
    s.frames(20, 10)
    s.end(30)
    s.work()
    assert s.edge() == (10, {"not_recorded": 20})
    (path,) = s.files()
    assert content(path) == {i: s.sent[i] for i in range(10, 20)}
    assert s.link.last("recording")["state"] == "idle"


def test_the_last_seconds_are_kept_from_the_ring(stage):
    s = stage(continuous=False)
    s.start(a_series())
    for first in range(0, 50, 10):
        s.frames(first, 10)
        s.work()
        s.now += 10**9  # arrivals 1 s apart
    answer = s.tell(do="set", name="keep_last", value=2.5)
    s.work()
    kept = s.recorder._past.status()
    assert answer["kept"]["file"] == kept["file"]
    assert kept == {"file": kept["file"], "frames": 30, "done": True, "error": None}
    assert content(Path(kept["file"])) == {i: s.sent[i] for i in range(20, 50)}


def test_what_is_recorded_already_is_not_kept_twice(stage):
    s = stage(continuous=False)
    s.start(a_series())
    s.frames(0, 10)
    s.work()
    s.tell(do="set", name="recording", value=True)
    s.frames(10, 10)
    s.work()
    s.tell(do="set", name="keep_last", value=3600)
    s.frames(20, 10)
    s.work()
    s.end(30)
    s.work()
    live, past = map(content, s.files())
    assert set(past) == set(range(10))
    assert set(live) == set(range(10, 30))


def test_a_recorder_that_lags_keeps_the_newest_frames_too(stage):
    """The request comes while 40 frames lie in the ring that it has not looked at."""
    s = stage(continuous=False)
    s.start(a_series())
    s.frames(0, 10)
    s.work()
    for first in range(10, 50, 10):
        s.frames(first, 10)
    kept = s.tell(do="set", name="keep_last", value=3600)["kept"]
    s.work()
    assert content(Path(kept["file"])) == {i: s.sent[i] for i in range(50)}


def test_what_is_recorded_from_now_on_is_not_kept_twice_by_one_that_lags(stage):
    s = stage(continuous=False)
    s.start(a_series())
    s.frames(0, 10)
    s.work()
    for first in range(10, 50, 10):
        s.frames(first, 10)
    s.tell(do="set", name="keep_last", value=3600)
    s.tell(do="set", name="recording", value=True)
    s.end(50)
    s.work()
    past, live = map(content, s.files())
    assert set(past) == set(range(10))
    assert set(live) == set(range(10, 50))


def test_the_last_seconds_of_a_series_that_has_ended(stage):
    s = stage(continuous=False)
    s.start(a_series())
    s.frames(0, 10)
    s.end(10)
    s.work()
    s.now += 10**12
    s.tell(do="set", name="keep_last", value=1)
    s.work()
    assert s.recorder._past.status()["frames"] == 10


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("recording", 1, "true or false"),
        ("keep_last", -1, "seconds > 0"),
        ("keep_last", "2", "seconds > 0"),
        ("colour", 1, "there are"),
        ("keep_last", 2, "no series"),
    ],
)
def test_a_senseless_command_is_refused_in_words(stage, name, value, word):
    answer = stage(continuous=False).tell(do="set", name=name, value=value)
    assert answer["ok"] is False
    assert word in answer["error"]


def test_reports_say_what_is_left(stage, monkeypatch):
    s = stage(flush_frames=1)
    monkeypatch.setattr(keeping, "free_bytes", lambda folder: 10_000)
    s.start(a_series(count=1000, shape=(64, 64)))
    s.frames(0, 10)
    s.work()
    s.recorder._report()
    report = s.link.last("recording")
    assert (report["state"], report["frames"], report["free_bytes"]) == ("recording", 10, 10_000)
    assert report["seconds_left"] > 0
    assert "needs more room" in report["warning"]
    s.frames(10, 10)
    s.work()
    s.recorder._report()
    assert s.link.last("recording")["warning"] == report["warning"]  # an alarm once, not twice a second


@pytest.mark.parametrize(
    "meta",
    [
        {"title": "run\0"},
        {"detector": "EIGER\0\0", "sample": "a\0b"},
        {"pixel_unit": "1/nm\0", "pixel_size": 1.0, "scan_unit": "nm\0"},
    ],
)
def test_texts_that_hdf5_cannot_hold_cost_no_frame(stage, meta):
    s = stage()
    s.start(a_series(count=8, meta=meta, scan=Scan((2, 4))))
    s.frames(0, 8)
    s.end(8)
    s.work()
    assert s.edge() == (8, {})
    (path,) = s.files()
    recording = open_recording(path)
    assert recording.meta.items() >= meta.items()  # as announced


def test_half_characters_cost_no_frame(tmp_path):
    series = a_series(meta={"title": "run \ud800"})
    RecordingFile(tmp_path / "a.h5", series).close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["entry/title"][()] == b"run ?"


def test_a_file_that_could_not_be_made_is_not_left_behind(stage, monkeypatch, tmp_path):
    def broken(*_):
        raise RuntimeError("Unable to create group")

    monkeypatch.setattr(nexus, "_views", broken)
    s = stage()
    s.start(a_series(count=8))
    s.frames(0, 8)
    s.end(8)
    s.work()
    assert s.edge() == (0, {"not_recorded": 8})
    assert list((tmp_path / "out").iterdir()) == []


def test_frames_count_as_processed_once_they_are_flushed(stage):
    s = stage(flush_frames=30, flush_s=1e9)
    s.start(a_series())
    s.frames(0, 20)
    s.work()
    assert s.edge() == (0, {})
    s.frames(20, 20)
    s.work()
    assert s.edge() == (40, {})


def test_a_restarted_recorder_keeps_what_the_ring_still_holds(stage):
    s = stage(flush_frames=10)
    s.start(a_series())
    s.frames(0, 20)
    s.work()
    first = s.recorder._keeper.file.path
    s.attach()
    s.frames(20, 20)
    s.end(40)
    s.work()
    (second,) = s.files()
    assert second != first
    assert content(second) == s.sent
    assert s.edge() == (40, {})


def test_what_a_dead_recorder_had_flushed_is_counted_and_its_file_is_named(stage, tmp_path):
    """The ring holds only the end of what came; the rest is in the first file."""
    s = stage(ring_bytes=1 << 20, notes=str(tmp_path / "notes.json"))
    s.start(a_series(count=6000))
    for first in range(0, 4000, 50):
        s.frames(first, 50)
        s.work()
    s.recorder._keeper.flush()
    s.recorder._settle()
    s.attach()
    s.work()
    for first in range(4000, 6000, 50):
        s.frames(first, 50)
        s.work()
    s.end(6000)
    s.work()
    assert s.edge() == (6000, {})
    first, second = s.files()
    assert content(first).keys() | content(second).keys() == set(range(6000))


def test_what_a_dead_recorder_did_not_keep_stays_not_kept(stage, tmp_path):
    s = stage(ring_bytes=1 << 20, continuous=False, notes=str(tmp_path / "notes.json"))
    s.start(a_series(count=6000))
    for first in range(0, 4000, 50):
        if first == 1000:
            s.tell(do="set", name="recording", value=True)
        s.frames(first, 50)
        s.work()
    s.recorder._keeper.flush()
    s.recorder._settle()
    s.attach()
    s.work()
    s.end(4000)
    s.work()
    processed, dropped = s.edge()
    assert processed + sum(dropped.values()) == 4000
    assert processed <= 3000  # 1000 were not kept
    assert dropped.keys() == {"restart"}


def test_a_switch_outlives_its_recorder(stage, tmp_path):
    s = stage(continuous=False, notes=str(tmp_path / "notes.json"))
    s.start(a_series(count=200))
    s.tell(do="set", name="recording", value=True)
    s.frames(0, 50)
    s.work()
    s.attach()
    s.frames(50, 150)
    s.end(200)
    s.work()
    assert s.edge() == (200, {})
    assert len(s.files()) == 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"enabled": 1}', '{"enabled": true, "serial": "x", "files": 3}']
)
def test_notes_that_make_no_sense_are_none(text, tmp_path):
    (tmp_path / "notes.json").write_text(text)
    notes = Notes.read(str(tmp_path / "notes.json"), enabled=False)
    assert (notes.enabled, notes.serial, notes.files) == (False, -1, [])


def test_a_stopped_recorder_closes_its_file(stage):
    s = stage()
    s.start(a_series())
    s.frames(0, 20)
    s.work()
    s.recorder._finish()
    s.recorders.clear()
    (path,) = s.files()
    with h5py.File(path) as file:
        assert file["entry/frames/valid"][:].sum() == 20
    assert open_recording(path).accounts["reason"] == "the session was stopped"


def test_what_waits_for_a_flush_is_a_small_part_of_the_ring(stage):
    """A lease gates the writer: with few large frames neither their number nor the time would end it soon."""
    s = stage(ring_bytes=1 << 20, flush_s=1e9)
    s.start(a_series(shape=(128, 128)))
    for index in range(40):  # 1.3 MB: the assembler would wait for ever
        s.frames(index, 1)
        s.work()
    waiting = sum(lease.block.nbytes for lease in s.recorder._pending)
    assert waiting < (1 << 20) // 8
    assert s.edge()[0] == 40 - len(s.recorder._pending)


def test_small_raw_frames_are_never_compressed(stage):
    s = stage(compression="bslz4")
    s.start(a_series(count=10, shape=(8, 8)))
    s.frames(0, 10)
    s.end(10)
    s.work()
    assert open_recording(s.files()[0]).encoding == "raw"


def test_a_long_title_makes_a_name_that_a_file_may_have(tmp_path):
    path = free_path(tmp_path, a_series(1 << 61, meta={"title": "\u91d1" * 300}), "_kept")
    path.touch()
    assert len(path.name.encode()) < 200


def test_the_first_frames_of_a_series_wait_in_the_ring_while_it_has_room(stage):
    made = stage(ring_bytes=1 << 20)
    recorder = made.recorder
    made.start(a_series(count=50))
    made.frames(0, 1)
    assert recorder._step()  # the series is announced
    recorder._begin_at = math.inf
    assert recorder._holds_back()
    made.frames(1, 4)
    assert recorder._holds_back()
    made.frames(5, 40)
    waiting = sum(len(made.sent[i]) for i in range(1, 45))
    assert recorder._holds_back() == (waiting < made.ring.layout.data_bytes // 4)
    made.end(45)
    assert not recorder._holds_back()  # there is nothing to wait for
    made.work()
    assert made.edge() == (45, {})


def test_a_full_ring_ends_the_wait(stage):
    made = stage(ring_bytes=1 << 20)
    made.start(a_series(shape=(64, 64)))
    made.frames(0, 1)
    made.recorder._step()
    made.recorder._begin_at = math.inf
    each = len(made.sent[0])
    made.frames(1, (1 << 18) // each)
    assert made.recorder._holds_back()
    made.frames(1 + (1 << 18) // each, 2)
    assert not made.recorder._holds_back()


def test_many_frames_are_flushed_together_for_a_moment(stage):
    made = stage(flush_frames=1, flush_pause_s=3600.0)
    made.start(a_series(count=20))
    made.frames(0, 10)
    made.work()
    assert made.edge() == (10, {})  # the first at once
    made.frames(10, 10)
    made.work()
    assert made.edge() == (10, {})
    made.end(20)
    made.work()
    assert made.edge() == (20, {})
