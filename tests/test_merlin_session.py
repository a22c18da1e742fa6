"""Whole sessions with a simulated Merlin: exact images, faults by name, a killed ingest, a late detector."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livem.session import Session, SessionOptions
from livem.stream.simulate.catalogue import open_acquisition
from livem.stream.simulate.sender import Sender, SenderOptions, SendReport

sys.path.insert(0, str(Path(__file__).parent))
from session_tools import TINY, a_pipeline, identity_holds, load, nothing_left, run, step_until

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
PATIENCE_S = 150.0
TOTAL = [{"name": "vd", "type": "virtual_detectors", "detectors": {"all": {"kind": "total"}}}]


class Detector:
    """A Merlin in a thread."""

    def __init__(self, spec: str, **options: Any) -> None:
        chosen = {"endpoint": "bind+tcp://127.0.0.1:*", "protocol": "merlin"} | options
        self._sender = Sender(SenderOptions(spec, **chosen))
        self.url = self._sender.prepare().replace("tcp", "merlin", 1)
        self.reports: list[SendReport] = []
        self._thread = threading.Thread(target=lambda: self.reports.append(self._sender.run()))
        self._thread.start()

    def ended(self) -> SendReport:
        self._thread.join(PATIENCE_S)
        return self.reports[0]

    def close(self) -> None:
        self._sender.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def detector() -> Iterator[Callable[..., Detector]]:
    made: list[Detector] = []

    def make(spec: str, **options: Any) -> Detector:
        made.append(Detector(spec, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def expected(spec: str) -> np.ndarray:
    """The sum of each frame, as an image."""
    acquisition = open_acquisition(spec)
    assert acquisition.count is not None
    assert acquisition.scan is not None
    frames = acquisition.frames(0, acquisition.count).astype(np.int64)
    return frames.sum((1, 2)).reshape(acquisition.scan.shape)


def assert_right(account: dict[str, Any], spec: str) -> None:
    """Every pixel that is there is its own frame's; there are as many as were received."""
    image = load(account, "vd.all")
    valid = np.isfinite(image)
    assert valid.sum() == account["received"]
    np.testing.assert_array_equal(image[valid], expected(spec)[valid])
    assert identity_holds(account)


def test_series_after_series_is_exact(detector, tmp_path):
    merlin = detector(TINY, rate=20_000, series_count=2)
    accounts = run(merlin.url, tmp_path, a_pipeline(consumers=TOTAL), series=2)["series"]
    for account in accounts:
        assert (account["state"], account["received"], account["lost"]) == ("complete", 256, 0)
        assert_right(account, TINY)
    assert len({account["epoch"] for account in accounts}) == 1
    assert nothing_left() == []


def test_raw_24_bit_frames_of_four_chips_are_read_once_a_frame_has_told_how(detector, tmp_path):
    rng = np.random.default_rng(4)
    frames = rng.poisson(rng.uniform(1, 6000, (6, 1, 1)), (6, 34, 514)).astype(np.uint32)
    frames[:2] = 0
    frames[1, 4, :300] = 5  # too little to tell
    frames[:, 16:18] = frames[:, :, 256:258] = 0
    np.save(tmp_path / "frames.npy", frames.reshape(2, 3, 34, 514))
    protocol = "merlin?pixels=raw&layout=2x2G&raw24=rows"
    merlin = detector(str(tmp_path / "frames.npy"), rate=100, protocol=protocol)
    (account,) = run(merlin.url, tmp_path, a_pipeline(consumers=TOTAL), series=1)["series"]
    assert (account["state"], account["received"]) == ("incomplete", 5)
    assert account["rejected"] == {"unknown_order": 1}
    image, sums = load(account, "vd.all").reshape(-1), frames.sum((1, 2))
    assert np.isnan(image[1])
    np.testing.assert_array_equal(np.delete(image, 1), np.delete(sums, 1))
    assert identity_holds(account)


def faults_of(detector: Detector) -> dict[str, int]:
    """Frames by what was done to them."""
    return {
        entry["action"]: sum(stop - start for start, stop in entry["ranges"])
        for entry in detector.ended().faults.as_dict()
    }


def test_faults_are_counted_by_name_and_leave_holes(detector, tmp_path):
    merlin = detector(
        TINY, rate=5_000, fault="drop=0.1,corrupt=0.05,truncate=0.05,shape=0.05,reorder=4,seed=8"
    )
    (account,) = run(merlin.url, tmp_path, a_pipeline(consumers=TOTAL), series=1)["series"]
    faults = faults_of(merlin)
    refused = faults["truncated"] + faults["misshapen"]
    assert account["state"] == "incomplete"
    assert account["lost"] == faults["dropped"] + faults["garbled"]
    # a whole frame before a damaged one may have to be refused with it
    assert refused <= sum(account["rejected"].values()) <= refused + 8
    assert_right(account, TINY)


def test_copies_are_counted_and_change_nothing(detector, tmp_path):
    merlin = detector(TINY, rate=5_000, fault="duplicate=0.2,seed=9")
    (account,) = run(merlin.url, tmp_path, a_pipeline(consumers=TOTAL), series=1)["series"]
    # a copy of the last frame comes behind the end
    assert account["duplicate"] - faults_of(merlin)["duplicated"] in (0, -1)
    assert (account["state"], account["received"]) == ("complete", 256)
    assert_right(account, TINY)


def test_a_killed_ingest_goes_on_with_the_running_series(detector, tmp_path):
    spec = "sim:4dstem?shape=32x32&scan=32x32"
    merlin = detector(spec, rate=400)
    pipeline = a_pipeline(consumers=TOTAL)
    session = Session(pipeline, SessionOptions(merlin.url, out=tmp_path, series=1))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 50)
        pid = session.processes.pid("ingest")
        assert pid is not None
        session._ready.discard("ingest")
        os.kill(pid, signal.SIGKILL)
        step_until(session, lambda: "ingest" in session._ready)
        before = session.accounts.entered()[0]
        step_until(session, lambda: session.accounts.entered()[0] > before + 50)
        step_until(session, session.over)
        session.finish()
        (account,) = session.settling.settled
    assert account["received"] + account["lost"] == 1024
    assert account["received"] > before + 50
    assert_right(account, spec)


def test_a_detector_that_dies_leaves_an_incomplete_series(detector, tmp_path):
    spec = "sim:4dstem?shape=32x32&scan=32x32"
    merlin = detector(spec, rate=400)
    session = Session(a_pipeline(consumers=TOTAL), SessionOptions(merlin.url, out=tmp_path, series=1))
    with session:
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 50)
        merlin.close()
        step_until(session, session.over)
        session.finish()
        (account,) = session.settling.settled
    assert account["state"] == "incomplete"
    assert account["reason"]
    assert_right(account, spec)
