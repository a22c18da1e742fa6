"""Fault 12: a recorder killed at any moment loses nothing that was flushed, and its file can be mended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from livem.errors import SourceError
from livem.stream.files.recordings import is_recording, open_recording
from livem.stream.recording.repair import repair
from livem.stream.segment import reclaim

sys.path.insert(0, str(Path(__file__).parent / "stream" / "recording"))
from killed_recorders import FORMS, PERIOD
from killed_recorders import __file__ as PROGRAM
from recorder_tools import a_series, encoded

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the recorders of this test are forked"),
]
KILLS = 100
SEED = 20_261_123


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> list[dict]:
    """Where each killed recorder left off: its file, what it recorded, and what it had flushed."""
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, PROGRAM, str(folder), str(KILLS), str(SEED)],
        capture_output=True,
        text=True,
        check=False,
    )
    reclaim()  # the rings of the dead
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_fault_12_recorder_killed_100_times(killed):
    payloads = [encoded(a_series(0, **form), 0, PERIOD) for form in FORMS]
    frames = 0
    for one in killed:
        path, flushed, expected = Path(one["path"]), one["flushed"], payloads[one["form"]]
        if flushed or is_recording(path):
            read_back(path, flushed, expected)
            mended(path, flushed, expected)
        else:
            assert is_refused_or_empty(path), path
        frames += flushed
    assert len(killed) == KILLS
    assert frames > KILLS


def read_back(path: Path, flushed: int, expected: list[bytes]) -> None:
    """As the kill left it: every flushed frame bit for bit, and no other but true ones."""
    recording = open_recording(path)
    found = recording.payloads(0, max(recording.rows, 1))
    recording.close()
    assert len(found) >= flushed
    assert found[:flushed] == [expected[i % PERIOD] for i in range(flushed)]
    assert all(payload in (b"", expected[i % PERIOD]) for i, payload in enumerate(found))


def is_refused_or_empty(path: Path) -> bool:
    """Killed while the structure was made, or between that and HDF5's mark of it (1 in 600)."""
    try:
        report = repair(path)
    except SourceError as refusal:
        return path.name in str(refusal)
    return report.left_open and report.recorded == 0 and is_recording(path)


def mended(path: Path, flushed: int, expected: list[bytes]) -> None:
    """After repair any program reads it; frames are the same."""
    report = repair(path)
    assert report.left_open
    assert report.damaged == 0
    assert report.sound >= flushed
    with h5py.File(path, "r") as file:
        assert file["entry/frames/valid"][:].sum() == report.sound
        file["entry/data/data"][:]
        if "entry/scan" in file:
            assert file["entry/scan/data"].shape[:2] == file["entry/scan/valid"].shape
    read_back(path, flushed, expected)
    assert not repair(path).changed
