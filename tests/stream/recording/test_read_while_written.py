"""A recording that is being written, read by h5py alone in another process (SWMR)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recorder_tools import Stage, a_series, pixels

READER = """
import hashlib, json, sys
import h5py, hdf5plugin

with h5py.File(sys.argv[1], "r", libver="latest", swmr=True) as file:
    data, valid = file["entry/data/data"], file["entry/frames/valid"]
    for _ in sys.stdin:
        valid.refresh()
        data.refresh()
        there = valid[:].nonzero()[0]
        print(json.dumps([len(there), hashlib.sha256(data[:][there]).hexdigest()]), flush=True)
"""
"""Says at every line how many frames there are, and their hash."""


@pytest.mark.parametrize("encoding", ["raw", "bslz4"])
def test_each_frame_is_seen_as_it_was_sent_once_it_is_flushed(tmp_path, encoding):
    stage = Stage(tmp_path, flush_frames=1)
    series = a_series(encoding=encoding, count=60)
    stage.start(series)
    stage.work()
    (path,) = tmp_path.glob("*.h5")
    pipe = subprocess.PIPE
    sent: list[np.ndarray] = []
    with subprocess.Popen(
        [sys.executable, "-c", READER, path], stdin=pipe, stdout=pipe, text=True, bufsize=1
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for first in range(0, 60, 10):
            stage.frames(first, 10)
            stage.work()
            sent.append(pixels(series, first, 10))
            print(file=reader.stdin)
            seen = json.loads(reader.stdout.readline())
            assert seen == [first + 10, hashlib.sha256(np.concatenate(sent)).hexdigest()]
        stage.end(60)
        stage.work()
        print(file=reader.stdin)
        assert json.loads(reader.stdout.readline()) == seen
        reader.stdin.close()
    assert reader.returncode == 0
    stage.close()
