"""Recordings on the command line: ``livem info``, ``livem repair``, ``livem replay`` and ``livem export``."""

from __future__ import annotations

import json
import select
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from livem.cli import main
from livem.errors import SourceError
from livem.stream.files.open_file import open_file
from livem.stream.files.recordings import DATA, Recording, open_recording
from livem.stream.messages import End, FrameBatch, Message, Start
from livem.stream.recording.recording_file import RecordingFile
from livem.stream.series import Scan, Series, SeriesKey
from livem.stream.simulate.compress import compress_bslz4
from livem.stream.sources.replay.source import ReplayOptions, ReplaySource

T0 = 1_700_000_000_000_000_000
KEY = SeriesKey(bytes(range(8)), 5)
HOLES = (3, 4, 11)


def frames() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 30, (24, 64, 64)).astype(np.uint16)


def record(path: Path, *, encoding: str = "bslz4", end: bool = True, **more: Any) -> RecordingFile:
    """24 frames but HOLES, 2 ms apart; left open where there is no ``end``."""
    meta = {"frame_time": 0.002, "sample": "gold"}
    series = Series(KEY, (64, 64), "uint16", encoding, 24, Scan((4, 6)), meta, **more)
    file = RecordingFile(path, series)
    for index, frame in enumerate(frames()):
        if index not in HOLES:
            blob = compress_bslz4(frame[None])[0] if encoding == "bslz4" else frame.tobytes()
            sizes = np.array([len(blob)]) if encoding == "bslz4" else None
            file.append(index, 1, np.frombuffer(blob, np.uint8), sizes, None, T0 + 2_000_000 * index)
    file.flush()
    if end:
        file.write_accounts({"state": "incomplete", "reason": "3 frames lost", "sent": 24, "lost": 3})
        file.close()
    return file


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    record(tmp_path / "series_5.h5")
    return tmp_path / "series_5.h5"


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """What is on the disk when a writer is killed after its last flush."""
    file = record(tmp_path / "writing.h5", end=False)
    shutil.copy(tmp_path / "writing.h5", tmp_path / "killed.h5")
    file.close()
    return tmp_path / "killed.h5"


def livem(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


# -- info ----------------------------------------------------------------------------------------------


def test_info_says_what_is_missing_and_how_it_ended(recording: Path) -> None:
    told = json.loads(livem("info", recording, "--json").stdout)
    assert (told["shape"], told["dtype"], told["count"]) == ([64, 64], "uint16", 24)
    facts = told["recording"]
    assert (facts["series"], facts["state"], facts["reason"]) == (5, "incomplete", "3 frames lost")
    assert (facts["sent"], facts["recorded"], facts["missing"]) == (24, 21, 3)
    assert facts["gaps"] == [[3, 4], [11, 11]]
    assert (facts["encoding"], facts["left_open"], facts["being_written"]) == ("bslz4", False, False)
    assert (facts["seconds"], facts["frames_per_second"]) == (0.046, 500.0)
    assert facts["ratio"] == pytest.approx(21 * 8192 / recording.stat().st_size, abs=0.01)
    text = livem("info", recording).stdout
    assert "series    5, incomplete: 3 frames lost" in text
    assert "21 frames, 3 missing: 3-4, 11" in text
    assert "4 x 6, raster" in text
    assert "livem repair" not in text


def test_info_of_a_recording_that_was_left_open_says_what_to_do(killed: Path) -> None:
    told = json.loads(livem("info", killed, "--json").stdout)["recording"]
    assert told["state"] == "open"
    assert told["recorded"] == 21
    done = livem("info", killed)
    assert ("being recorded now" in done.stdout) != ("livem repair killed.h5" in done.stdout)


def test_info_of_a_damaged_file_says_what_to_try(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    done = livem("info", path)
    assert done.exit_code == 2
    assert "try `livem repair" in done.stderr


# -- repair --------------------------------------------------------------------------------------------


def test_a_sound_recording_stays_as_it_is(recording: Path) -> None:
    before = recording.read_bytes()
    done = livem("repair", recording)
    assert done.exit_code == 0
    assert "nothing to repair; 21 of 21 recorded frames are sound" in done.stdout
    assert recording.read_bytes() == before


def test_a_damaged_frame_is_marked_as_absent(recording: Path) -> None:
    _damage(recording, 7)
    told = json.loads(livem("repair", recording, "--json").stdout)["files"]
    assert [(one["changed"], one["damaged"], one["sound"]) for one in told] == [(True, 1, 20)]
    assert json.loads(livem("info", recording, "--json").stdout)["recording"]["missing"] == 4
    assert "nothing to repair" in livem("repair", recording).stdout


def _damage(path: Path, index: int) -> None:
    """Turn one byte of a frame's payload round."""
    opened = open_recording(path)
    try:
        chunk = opened._file[DATA].id.get_chunk_info_by_coord((index, 0, 0))
    finally:
        opened.close()
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 255]))


def test_one_bad_file_among_others_is_told_and_the_others_are_mended(recording: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.h5"
    text.write_text("no recording")
    done = livem("repair", text, recording, tmp_path / "nowhere.h5", "--json")
    told = json.loads(done.stdout)["files"]
    assert done.exit_code == 2
    assert ["error" in one for one in told] == [True, False, True]
    assert told[0]["error"] in done.stderr
    assert "Traceback" not in done.stderr


# -- played and exported -------------------------------------------------------------------------------


def played(path: Path) -> list[Message]:
    """All messages of a replay at full speed."""
    source = ReplaySource(ReplayOptions(str(path), speed=float("inf")))
    source.open()
    source.command("go")
    messages: list[Message] = []
    while not messages or not isinstance(messages[-1], End):
        if (message := source.receive()) is not None:
            messages.append(message)
        else:
            assert select.select(source.pollables(), [], [], 20.0)[0]
    source.close()
    return messages


@pytest.mark.parametrize("encoding", ["bslz4", "raw"])
def test_a_recording_is_replayed_as_it_was_received(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    record(path, encoding=encoding)
    start, *batches, end = played(path)
    assert isinstance(start, Start)
    assert (start.series.key.number, start.series.encoding, start.series.count) == (5, encoding, 24)
    assert start.series.key.epoch != KEY.epoch
    assert start.series.scan == Scan((4, 6))
    assert start.series.meta["sample"] == "gold"
    original = open_file(str(path))
    assert isinstance(original, Recording)
    got = []
    for batch in batches:
        assert isinstance(batch, FrameBatch)
        stored = original.payloads(batch.first, batch.count)
        assert batch.payload.tobytes() == b"".join(stored)
        assert batch.time_ns == T0 + 2_000_000 * batch.first
        got += range(batch.first, batch.first + batch.count)
    original.close()
    assert got == [index for index in range(24) if index not in HOLES]
    assert end == End(start.series.key, 24)


def test_a_recording_without_frames_has_nothing_to_replay_and_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "empty.h5"
    file = RecordingFile(path, Series(KEY, (64, 64), "uint16", "raw", 24))
    file.write_accounts({"state": "incomplete", "reason": "the sender is gone", "sent": None})
    file.close()
    with pytest.raises(SourceError, match="nothing to replay"):
        played(path)
    assert json.loads(livem("info", path, "--json").stdout)["recording"]["recorded"] == 0
    assert "nothing to repair" in livem("repair", path).stdout
    assert livem("export", path, tmp_path / "a.npy").exit_code == 0
    assert np.load(tmp_path / "a.npy").max() == 0


def test_a_replay_of_a_killed_recording_ends_where_it_was_cut(killed: Path) -> None:
    *_, end = played(killed)
    assert isinstance(end, End)
    assert end.count == 24  # the last frame that was flushed is 23


def test_an_export_says_which_frames_are_missing(recording: Path, tmp_path: Path) -> None:
    done = livem("export", recording, tmp_path / "a.npy")
    assert done.exit_code == 0, done.stderr
    assert "3 frames are not there: they are zeros, see a.valid.npy" in done.stderr
    wanted = frames()
    wanted[list(HOLES)] = 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), wanted.reshape(4, 6, 64, 64))
    assert np.flatnonzero(~np.load(tmp_path / "a.valid.npy").ravel()).tolist() == list(HOLES)
    assert np.load(tmp_path / "a.timestamps.npy")[1] == T0 + 2_000_000
