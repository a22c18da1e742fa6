"""Viewers on other machines: what they are sent, how much of it, and that nobody else notices them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_tools import a_pipeline, identity_holds, step_until

from livem.kernels.cutouts import Cutout
from livem.session import Session, SessionOptions
from livem.stream.results import Result
from livem.viewer.remote import RemoteFeed

SHAPE = (200, 160)
ROUNDS = 5000
"""A quarter of an hour: no test waits for the end."""
PREVIEW = {"name": "preview", "type": "preview", "max_size": 40}
SUMS = {"name": "vd", "type": "virtual_detectors", "detectors": {"bf": {"kind": "disk", "radius": 20}}}


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    return np.random.default_rng(8).poisson(20, (40, *SHAPE)).astype(np.uint16)


@pytest.fixture
def movie(stack: np.ndarray, tmp_path: Path) -> str:
    np.save(tmp_path / "movie.npy", stack)
    return str(tmp_path / "movie.npy")


@pytest.fixture
def session(movie: str) -> Iterator[Session]:
    """Running, 200 frames/s."""
    pipeline = a_pipeline(consumers=[PREVIEW, SUMS])
    sender = {"rate": 200.0, "repeat": ROUNDS}
    with Session(pipeline, SessionOptions(movie, sender=sender, series=1)) as running:
        running.start()
        step_until(running, lambda: running.state == "running", 240.0)
        yield running


class Looker:
    """A remote feed, and all that it has seen of the frame."""

    def __init__(self, session: Session, cutout: Cutout, budget: float = 1e8) -> None:
        self.feed = RemoteFeed(session.hub.addresses.control, budget)
        self.feed.look({"preview.frame": cutout})
        self.cutout = cutout
        self.seen: dict[int, Result] = {}
        self.status = ""

    def take(self) -> None:
        changed = self.feed.poll()
        if (status := changed.get("status")) is not None:
            self.status = str(status.attrs["state"])
        frame = changed.get("preview.frame")
        if frame is not None and frame.attrs.get("cutout") == self.cutout.plain():
            self.seen[frame.attrs["index"]] = frame


def watch(session: Session, lookers: list[Looker], done: Callable[[], bool]) -> None:
    def look() -> bool:
        for looker in lookers:
            looker.take()
        return done()

    try:
        step_until(session, look, 240.0)
    finally:
        for looker in lookers:
            looker.feed.close()


def analysed(session: Session) -> int:
    return int(session.status()["edges"]["vd"]["processed"])


def finished(session: Session) -> dict[str, Any]:
    session.stop("enough")
    session.finish()
    (account,) = session.summary()["series"]
    return account


def test_two_viewers_get_each_what_it_looks_at(session: Session, stack: np.ndarray) -> None:
    near = Looker(session, Cutout(64, 0, 192, 128, 1))
    far = Looker(session, Cutout(0, 0, 200, 160, 2))
    watch(session, [near, far], lambda: len(near.seen) > 5 and len(far.seen) > 5)
    for index, result in near.seen.items():
        np.testing.assert_array_equal(result.arrays["image"], stack[index % 40, 64:192, :128])
        assert result.attrs["cut"] == {"corner": [64, 0], "factor": 1, "shape": [200, 160]}
        assert result.topic == "preview.frame"
    for index, result in far.seen.items():
        areas = stack[index % 40].reshape(100, 2, 80, 2).mean(axis=(1, 3))
        np.testing.assert_array_equal(result.arrays["image"], areas.astype(np.float32))
        assert (result.attrs["factor"], result.attrs["shape"]) == (2, [200, 160])
    assert not any("@" in topic for topic in session.hub._slots.topics())


def test_the_budget_holds_on_the_line(session: Session) -> None:
    budget = 400_000.0
    looker = Looker(session, Cutout(0, 0, *SHAPE, 1), budget)
    marks: list[tuple[float, int]] = []

    def enough() -> bool:
        if looker.seen and not marks:
            marks.append((time.monotonic(), looker.feed.received))
        return len(looker.seen) > 15

    watch(session, [looker], enough)
    (began, before), ended = marks[0], time.monotonic()
    rate = (looker.feed.received - before) / (ended - began)
    assert rate < 1.15 * budget
    assert all(result.arrays["image"].shape == SHAPE for result in looker.seen.values())


def look_on(address: str, ready: Any) -> None:
    """Body of a viewer's process: it asks and takes for ever."""
    feed = RemoteFeed(address)
    feed.look({"preview.frame": Cutout(0, 0, *SHAPE, 1)})
    while not feed.poll():
        time.sleep(0.01)  # the feed is polled, as a window's timer does: it wakes nobody
    ready.set()
    while True:
        feed.poll()
        time.sleep(0.01)  # the same, until it is killed


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no SIGSTOP here")
def test_viewers_that_are_killed_or_stopped_cost_nobody_anything(session: Session) -> None:
    spawn = multiprocessing.get_context("spawn")
    viewers = []
    for _ in range(2):
        ready = spawn.Event()
        process = spawn.Process(target=look_on, args=(session.hub.addresses.control, ready), daemon=True)
        process.start()
        viewers.append((process, ready))
    step_until(session, lambda: all(ready.is_set() for _, ready in viewers), 240.0)
    (killed, _), (stopped, _) = viewers
    assert killed.pid is not None
    assert stopped.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        before = analysed(session)
        step_until(session, lambda: analysed(session) > before + 200)
        account = finished(session)
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
        for process, _ in viewers:
            process.kill()
            process.join()
    assert identity_holds(account)
    assert (account["edges"]["vd"]["processed"], account["lost"]) == (account["received"], 0)
    assert account["edges"]["vd"]["dropped"] == {}
    assert not session.alarms
