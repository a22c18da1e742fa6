"""Fault 11: a disk that is full, read-only or broken ends the recording, never the live path."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from concurrent.futures import wait
from pathlib import Path

import h5py
import pytest

from livem.stream.files.recordings import open_recording
from livem.stream.recording.chunk_writer import ChunkWriter
from livem.stream.recording.disk import Reserve, probe
from livem.stream.recording.recording_file import RecordingFile

sys.path.insert(0, str(Path(__file__).parent))
from recorder_tools import Stage, a_series

HERE = Path(__file__).parent
FRAMES = 1000


def record_until_it_fails(folder: Path, largest_file: int = 0) -> None:
    """A series of 8 MB, and a small one when there is room again: asserted from end to end."""
    stage = Stage(folder, ring_bytes=4 << 20)
    if largest_file:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    stage.start(a_series(1, encoding="raw", count=FRAMES, shape=(64, 64)))
    for first in range(0, FRAMES, 10):
        stage.frames(first, 10)
        stage.work()
    stage.end(FRAMES)
    stage.work()
    processed, dropped = stage.edge()
    assert 0 < processed < FRAMES
    assert dropped == {"not_recorded": FRAMES - processed}
    assert any(report.get("state") == "failed" and report["error"] for _, report in stage.link.said)
    (path,) = stage.files()
    assert_valid(path, stage, processed)
    path.unlink()
    stage.start(a_series(2, count=10))
    stage.frames(0, 10)
    stage.end(10)
    stage.work()
    assert stage.edge() == (10, {})
    stage.close()


def assert_valid(path: Path, stage: Stage, processed: int) -> None:
    """Every counted frame is there, and a plain program can read all of it.

    More may be there where the disk refused in the middle of a flush: what may be lost counts as lost.
    """
    with h5py.File(path, "r") as file:
        assert file["entry/frames/valid"][:].sum() >= processed
        assert file["entry/data/data"][:].shape[0] >= processed
    recording = open_recording(path)
    payloads = recording.payloads(0, recording.rows)
    assert sum(bool(payload) for payload in payloads) >= processed
    assert all(payload in (b"", stage.sent[index]) for index, payload in enumerate(payloads))
    assert recording.state == "failed"
    assert "No space left" in recording.accounts["reason"] or "too large" in recording.accounts["reason"]
    recording.close()


def in_a_program(wrap: list[str], folder: Path, largest_file: int = 0) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from pathlib import Path; "
        f"import test_full_disk; test_full_disk.record_until_it_fails(Path({str(folder)!r}), {largest_file})"
    )
    done = subprocess.run([*wrap, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def mounting(options: str, folder: Path) -> list[str]:
    """A command that runs another one with a tmpfs of its own, or a skip where that is not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system of its own (unshare -m)")
    script = f'mount -t tmpfs -o {options} tmpfs "{folder}" && exec "$@"'
    wrap = [unshare, "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    return wrap


def test_fault_11_full_disk(tmp_path):
    in_a_program(mounting("size=1m", tmp_path), tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_fault_11_limit_of_a_file_size(tmp_path):
    in_a_program([], tmp_path, 2_000_000)


def refused(stage: Stage) -> str:
    """A series that cannot be recorded at all; returns why."""
    stage.start(a_series(1, count=10))
    stage.frames(0, 10)
    stage.end(10)
    stage.work()
    assert stage.edge() == (0, {"not_recorded": 10})
    assert stage.files() == []
    report = stage.link.last("recording")
    assert report["state"] == "failed"
    stage.close()
    return report["error"]


def test_fault_11_read_only_folder(tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); from pathlib import Path; "
        f"from test_full_disk import refused; from recorder_tools import Stage; "
        f"print(refused(Stage(Path({str(tmp_path)!r}))))"
    )
    wrap = mounting("ro", tmp_path)
    done = subprocess.run([*wrap, sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Read-only file system" in done.stdout


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("not a folder")
    assert "File exists" in refused(Stage(tmp_path / "out"))


@pytest.mark.parametrize("method", ["append", "flush"])
def test_an_error_of_hdf5_ends_the_recording_only(tmp_path, monkeypatch, method):
    """The k-th call fails once, as a broken disk makes it fail."""
    calls = iter(range(100))
    real = getattr(RecordingFile, method)

    def broken(self, *arguments):
        if next(calls) == 2:
            raise RuntimeError("Unable to flush file's cached information")
        return real(self, *arguments)

    monkeypatch.setattr(RecordingFile, method, broken)
    stage = Stage(tmp_path, flush_frames=1)
    stage.start(a_series(count=50))
    for first in range(0, 50, 10):
        stage.frames(first, 10)
        stage.work()
    stage.end(50)
    stage.work()
    kept = 20 if method == "append" else 30  # what waited for the failed flush was written at the close
    assert stage.edge() == (kept, {"not_recorded": 50 - kept})
    recording = open_recording(stage.files()[0])
    assert recording.payloads(0, kept) == [stage.sent[i] for i in range(kept)]
    assert "Unable to flush" in recording.accounts["reason"]
    stage.close()


def test_recording_begins_again_when_it_is_told_to(tmp_path):
    blocker = tmp_path / "out"
    blocker.write_text("not a folder")
    stage = Stage(blocker)
    stage.start(a_series(count=20))
    stage.frames(0, 10)
    stage.work()
    blocker.unlink()
    answer = stage.tell(do="set", name="recording", value=True)
    assert "error" not in answer
    stage.frames(10, 10)
    stage.end(20)
    stage.work()
    assert stage.edge() == (10, {"not_recorded": 10})
    stage.close()


def test_a_disk_that_refuses_the_last_frames_of_a_series_is_heard(tmp_path, monkeypatch):
    def broken(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordingFile, "sync", broken)
    stage = Stage(tmp_path)
    stage.start(a_series(count=20))
    stage.frames(0, 20)
    stage.end(20)
    stage.work()
    (path,) = stage.files()
    stage.recorder._finish()
    stage.recorders.clear()
    assert f"{path} may lack its last frames" in stage.link.last("recording")["error"]
    assert "No space left" in stage.link.last("recording")["error"]
    stage.close()


def test_what_cannot_be_written_is_said_before_a_series_begins(tmp_path):
    """Fault 11, "space checked before arm": the recorder reports it before it is ready."""
    (tmp_path / "out").write_text("in the way")
    stage = Stage(tmp_path / "out")
    order: list[str] = []
    stage.link.ready = lambda info: order.append(stage.link.last("recording")["error"])
    stage.link.pollable = stage.recorder._reader.wake
    stage.recorder._child.stopping = lambda: True
    stage.recorder.run()
    stage.recorders.clear()
    assert "File exists" in order[0]
    stage.close()


def test_a_probe_leaves_nothing(tmp_path):
    probe(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_little_room_is_said_before_a_series_begins(tmp_path, monkeypatch):
    stage = Stage(tmp_path)
    monkeypatch.setattr("livem.stream.recording.keeper.free_bytes", lambda folder: 10_000)
    stage.recorder._report()
    assert "less than 1 GiB" in stage.link.last("recording")["warning"]
    stage.close()


def test_what_room_there_is_lasts_as_long_as_its_bytes_at_the_present_rate(tmp_path, monkeypatch):
    stage, now = Stage(tmp_path, flush_frames=1), [100.0]
    monkeypatch.setattr("livem.stream.recording.keeper.free_bytes", lambda folder: 10_000)
    monkeypatch.setattr(stage.recorder._keeper, "_clock", lambda: now[0])
    stage.start(a_series(count=100))
    stage.frames(0, 10)
    stage.work()
    now[0] += 4.0
    stage.recorder._report()
    report = stage.link.last("recording")
    assert report["bytes_per_s"] == report["bytes"] / 4 == 10 * 16 * 16 * 2 / 4
    assert (report["free_bytes"], report["seconds_left"]) == (10_000, 10_000 / report["bytes_per_s"])
    stage.close()


def test_a_hung_disk_does_not_stop_the_stream_and_leaves_holes_only(tmp_path, monkeypatch):
    """While a write hangs the detector goes on; what was overwritten meanwhile is absent."""
    stage = Stage(tmp_path, ring_bytes=1 << 20, patience_s=0.05, flush_frames=1)
    stage.start(a_series(count=400, shape=(64, 64)))
    real, hung = ChunkWriter.write, []

    def hang(self, *arguments):
        if not hung and len(stage.sent) >= 20:
            hung.append(True)
            for first in range(20, 380, 10):  # three times the ring
                stage.frames(first, 10)
        real(self, *arguments)

    monkeypatch.setattr(ChunkWriter, "write", hang)
    for first in (0, 10):
        stage.frames(first, 10)
    stage.work()
    stage.frames(380, 20)
    stage.end(400)
    stage.work()
    assert hung
    processed, dropped = stage.edge()
    assert dropped == {"not_recorded": 400 - processed}
    (path,) = stage.files()
    recording = open_recording(path)
    payloads = recording.payloads(0, 400)
    assert sum(map(bool, payloads)) == processed > 20
    assert all(payload in (b"", stage.sent[index]) for index, payload in enumerate(payloads))
    assert payloads[399]
    stage.close()


def test_the_reserve_takes_room_and_leaves_no_name(tmp_path):
    reserve = Reserve(tmp_path, 4096)
    assert list(tmp_path.iterdir()) == []
    reserve.release()
    reserve.release()


def test_a_disk_that_cannot_take_what_it_was_given_ends_the_recording(tmp_path, monkeypatch):
    def broken(self):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(RecordingFile, "sync", broken)
    stage = Stage(tmp_path, flush_frames=1, fsync_s=0.0)
    stage.start(a_series(count=2000))
    first = 0
    while stage.recorder._keeper.error is None and first < 2000:
        stage.frames(first, 1)
        stage.work()
        first += 1
        if (sync := stage.recorder._keeper._sync) is not None:
            wait([sync])
    assert first < 10
    assert "Input/output error" in stage.recorder._keeper.error
    stage.close()
