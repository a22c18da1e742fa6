"""The recorder as the process that it is: what it says to its supervisor, and its life after a kill."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from livem.stream.assembler import Assembler
from livem.stream.files.recordings import open_recording
from livem.stream.hub import Hub
from livem.stream.ingest import AssemblerOptions
from livem.stream.processes import Processes, ProcessSpec
from livem.stream.recording.recorder import RecorderOptions, run_recorder
from livem.stream.recording.repair import repair
from livem.stream.ring_layout import E_PROCESSED
from livem.stream.ring_writer import RingWriter

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from recorder_tools import S, a_series, encoded
from ring_tools import make_ring

from livem.stream import wire

TIMEOUT_S = 60.0


class Session:
    """A hub, a ring and a recorder's process."""

    def __init__(self, folder: Path, directory: Path) -> None:
        self.heard: list[dict] = []
        self.hub = Hub(directory, "test", control=f"ipc://{directory}/c", on_child=self._hear)
        self.ring = make_ring(4 << 20, recording="lossless")
        self.assembler = Assembler(RingWriter(self.ring.writer_port()), AssemblerOptions(max_latency_ns=0))
        options = RecorderOptions(str(folder), self.hub.addresses.children)
        self.processes = Processes()
        port = self.ring.reader_port("recording")
        self.processes.start(ProcessSpec("recording", run_recorder, (options, port)))

    def _hear(self, _name: str, message: dict) -> None:
        self.heard.append(message)
        if message.get("type") == "ready":
            self.processes.proved("recording")

    def step_until(self, done) -> dict:
        """Serve until something was said for which ``done`` holds."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := [message for message in self.heard if done(message)]):
            assert time.monotonic() < deadline, self.heard
            self.hub.step(0.01)
            self.processes.check()
        return found[-1]

    def feed(self, message: list) -> None:
        self.assembler.feed(wire.decode(message), S)
        self.assembler.tick(S)

    def frames(self, series, first: int, blobs: list[bytes]) -> None:
        self.feed(wire.encode_frames(series.key, first, len(blobs), b"".join(blobs)))

    def close(self) -> None:
        self.hub.send_child("recording", {"do": "stop"})
        deadline = time.monotonic() + 10
        while self.processes.pid("recording") is not None and time.monotonic() < deadline:
            self.hub.step(0.01)
        self.processes.stop("recording")
        self.hub.close()
        self.ring.close()


@pytest.fixture
def session(tmp_path):
    with tempfile.TemporaryDirectory() as directory:  # short: the name of a socket has 100 characters
        one = Session(tmp_path, Path(directory))
        yield one
        one.close()


def test_a_killed_recorder_is_followed_by_one_that_keeps_the_whole_series(session):
    series = a_series(count=200)
    blobs = encoded(series, 0, 200)
    session.step_until(lambda said: said.get("type") == "ready")
    session.feed(wire.encode_start(series))
    session.frames(series, 0, blobs[:100])
    report = session.step_until(lambda said: said.get("kind") == "recording" and said["frames"] == 100)
    assert report["state"] == "recording"
    os.kill(session.processes.pid("recording"), signal.SIGKILL)
    session.heard.clear()
    session.step_until(lambda said: said.get("type") == "ready")
    session.frames(series, 100, blobs[100:])
    session.feed(wire.encode_end(series.key, 200))
    (second,) = session.step_until(lambda said: said.get("kind") == "series_done")["files"]
    assert second != report["file"]
    assert open_recording(second).payloads(0, 200) == blobs
    assert repair(report["file"]).sound == 100
    assert open_recording(report["file"]).payloads(0, 100) == blobs[:100]
    assert int(session.ring.views.edge(0, 0)[E_PROCESSED]) == 200
