"""kill -9 of every part of a session at random times: the rest goes on, the accounts stay exact."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq
from PySide6.QtGui import QImage

from livem.session import Session, SessionOptions
from livem.stream.series import SeriesKey
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.outgoing import announce
from livem.stream.simulate.sender import SenderOptions, run_sender
from livem.stream.wire import encode_end, encode_frames, encode_start

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, a_pipeline, free_address, identity_holds, load, nothing_left, step_until

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
KILLS = 20
ON_THEIR_WAY = 5
TOTAL = [{"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}]
ENDLESS = "sim:4dstem?shape=32x32&scan=32x32&fps=400&repeats=0"
RATE = {"rate": 400.0}


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A scan that outlasts all kills; a file is sent sooner than a simulation is made."""
    path = tmp_path_factory.mktemp("movie") / "scan.npy"
    np.save(path, np.random.default_rng(0).integers(0, 99, (128, 128, 8, 8), dtype=np.uint16))
    return str(path)


def kill(session: Session, name: str) -> None:
    """kill -9, and wait until the session has found out."""
    pid = session.processes.pid(name)
    assert pid is not None
    session._ready.discard(name)
    os.kill(pid, signal.SIGKILL)


def serve(session: Session, seconds: float) -> None:
    """Let the session run for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        session.step(0.01)


def assert_right_pixels(account: dict, url: str) -> None:
    """Every valid pixel is the one of its own frame; there are as many as processed frames."""
    image = load(account, "vd.all")
    valid = np.isfinite(image)
    assert valid.sum() == account["edges"]["vd"]["processed"]
    sums = open_acquisition(url).frames(0, image.size).sum((1, 2), np.int64).reshape(image.shape)
    np.testing.assert_array_equal(image[valid], sums[valid])


def test_fault_09_worker_killed_20_times(movie, tmp_path):
    """The ring holds the whole series, so that not one frame is missing in the end."""
    pipeline = a_pipeline(consumers=TOTAL, ring={"bytes": 64 << 20})
    session = Session(pipeline, SessionOptions(movie, out=tmp_path, sender=RATE))
    chance = random.Random(9)
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0])
        for _ in range(KILLS):
            kill(session, "vd")
            step_until(session, lambda: "vd" in session._ready)
            serve(session, chance.uniform(0, 0.4))
        session.stop("enough")
        session.finish()
        (account,) = session.settling.settled
    assert account["edges"]["vd"]["restarts"] == KILLS
    assert account["edges"]["vd"]["dropped"] == {}
    assert account["edges"]["vd"]["processed"] == account["received"]
    assert identity_holds(account)
    assert_right_pixels(account, movie)
    assert nothing_left() == []


class Beam(threading.Thread):
    """A detector that sends a frame 100 times a second until it is told that it is enough; then its series
    ends."""

    def __init__(self, url: str, address: str) -> None:
        super().__init__(daemon=True)
        self._acquisition, self._address = open_acquisition(url), address
        self._enough = threading.Event()
        self.sent = 0

    def run(self) -> None:
        series = announce(self._acquisition, SeriesKey(b"one beam", 1), "raw", repeat=0)
        with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
            socket.sndtimeo, socket.linger = 60_000, 60_000
            socket.bind(self._address)
            socket.send_multipart(encode_start(series))
            while not self._enough.wait(0.01):
                frame = self._acquisition.frames(self.sent, 1).tobytes()
                socket.send_multipart(encode_frames(series.key, self.sent, 1, frame))
                self.sent += 1
            socket.send_multipart(encode_end(series.key, self.sent))

    def end(self) -> None:
        self._enough.set()
        self.join()


def test_fault_10_ingest_killed_20_times(movie, tmp_path):
    """Frames that the dead process had taken are a gap and are counted; all others are in place."""
    address = free_address()
    session = Session(
        a_pipeline(consumers=TOTAL, ring={"bytes": 64 << 20}), SessionOptions(address, out=tmp_path)
    )
    chance, beam = random.Random(10), Beam(movie, address)
    with session:
        session.start()
        beam.start()
        step_until(session, lambda: session.accounts.entered()[0])
        hold_with_frames_on_their_way(session, beam)
        for _ in range(KILLS):
            kill(session, "ingest")
            step_until(session, lambda: "ingest" in session._ready)
            before = session.accounts.entered()[0]
            step_until(session, lambda seen=before: session.accounts.entered()[0] > seen)
            serve(session, chance.uniform(0, 0.3))
        beam.end()
        step_until(session, lambda: session.settling.settled)
        session.stop("enough")
        session.finish()
        (account,) = session.settling.settled
    assert account["edges"]["vd"]["processed"] == account["received"] > 0
    assert account["sent"] == beam.sent
    assert identity_holds(account)
    assert account["lost"] >= ON_THEIR_WAY
    image = load(account, "vd.all").reshape(-1)
    assert np.isnan(image[: beam.sent]).sum() == account["lost"]
    assert np.isnan(image[beam.sent :]).all()
    assert_right_pixels(account, movie)
    assert nothing_left() == []


def hold_with_frames_on_their_way(session: Session, beam: Beam) -> None:
    """Stop ingest, and see frames leave for it: they are lost with it when it is killed now."""
    pid = session.processes.pid("ingest")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    held_at = beam.sent
    step_until(session, lambda: beam.sent > held_at + ON_THEIR_WAY)


def test_fault_01_and_02_sender_killed_20_times(movie, tmp_path):
    """Each death ends its series as incomplete; the next sender's series never mixes with it."""
    address = free_address()
    session = Session(a_pipeline(consumers=TOTAL), SessionOptions(f"bind+{address}", out=tmp_path))
    spawn, chance = multiprocessing.get_context("spawn"), random.Random(1)
    options = SenderOptions(spec=movie, endpoint=f"connect+{address}", **RATE)
    with session:
        session.start()
        step_until(session, lambda: session._armed_at)
        for number in range(KILLS):
            sender = spawn.Process(target=run_sender, args=(options,))
            sender.start()
            step_until(session, lambda n=number: session.accounts.series_count() > n)
            serve(session, chance.uniform(0, 0.3))
            sender.kill()
            sender.join()
            step_until(session, lambda n=number: session.settling.series > n)
        session.stop("enough")
        session.finish()
        accounts = list(session.settling.settled)
    assert len({account["epoch"] for account in accounts}) == KILLS
    for account in accounts:
        assert (account["state"], account["reason"]) == ("incomplete", "the sender is gone")
        assert account["edges"]["vd"]["processed"] == account["received"]
        assert identity_holds(account)
        assert_right_pixels(account, movie)
    assert nothing_left() == []


def test_fault_19_viewer_killed_20_times(tmp_path):
    """Viewers come and go by kill -9, in pairs; nobody else notices, and one that comes back shows all."""
    session = Session(a_pipeline(), SessionOptions(ENDLESS, out=tmp_path))
    chance = random.Random(19)
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0])
        command = [sys.executable, "-m", "livem", "view", session.hub.addresses.control, "--headless"]
        for _ in range(KILLS // 2):
            pair = [subprocess.Popen([*command, "--snapshot", str(tmp_path / f"{i}.png")]) for i in (0, 1)]
            serve(session, chance.uniform(0.1, 2.5))
            for viewer in pair:
                viewer.kill()
                viewer.wait()
        last = subprocess.Popen([*command, "--snapshot", str(tmp_path / "last.png"), "--duration", "2"])
        step_until(session, lambda: last.poll() is not None)
        session.stop("enough")
        session.finish()
        (account,) = session.settling.settled
    assert last.returncode == 0
    assert nothing_left() == []
    assert_shows_a_picture(tmp_path / "last.png")
    assert account["lost"] == 0
    assert account["edges"]["vd"]["processed"] == account["received"]
    assert account["edges"]["vd"]["restarts"] == 0
    assert identity_holds(account)


def assert_shows_a_picture(snapshot: Path) -> None:
    """A frame and scan images, not an empty window: many shades, in a good part of it."""
    image = QImage(str(snapshot)).convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    grey = rows[:, : image.width()]
    shades, counts = np.unique(grey, return_counts=True)
    assert len(shades) > 100
    assert counts.max() < 0.9 * grey.size


@pytest.mark.parametrize("name", ["ingest", "vd"])
def test_killed_before_it_is_ready(name: str, tmp_path: Path) -> None:
    """The detector is not armed before the next one is: not a frame is missing."""
    session = Session(a_pipeline(consumers=TOTAL), SessionOptions(TINY, out=tmp_path))
    with session:
        session.start()
        assert name not in session._ready
        kill(session, name)
        step_until(session, session.over)
        session.finish()
        (account,) = session.settling.settled
    assert (account["state"], account["received"]) == ("complete", 256)
    assert account["edges"]["vd"]["processed"] == 256
    assert any(f"{name} died" in alarm for alarm in session.alarms)
    assert_right_pixels(account, TINY)
    assert nothing_left() == []


def start_and_wait(url: str) -> None:
    """A session for the test to kill: prints its directory when frames come in."""
    session = Session(a_pipeline(), SessionOptions(url))
    session.start()
    while not session.accounts.entered()[0]:
        session.step()
    print(session.directory, session.ring.segment.name, flush=True)
    while True:
        session.step()


def test_fault_21_a_killed_session_leaves_nothing_after_the_next_start():
    """kill -9 of the supervisor: its children end by themselves, the next start takes the rest away."""
    script = f"import test_kills; test_kills.start_and_wait({ENDLESS!r})"
    guard = "if __name__ == '__main__': "
    victim = subprocess.Popen(
        [sys.executable, "-c", guard + script], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    directory, segment = victim.stdout.readline().split()
    children = psutil.Process(victim.pid).children(recursive=True)
    assert len(children) >= 4
    assert Path("/dev/shm", segment).exists()
    assert Path(directory).exists()
    victim.kill()
    victim.wait()
    victim.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    with Session(a_pipeline(), SessionOptions("tcp://127.0.0.1:9")):
        assert not Path("/dev/shm", segment).exists()
        assert not Path(directory).exists()
