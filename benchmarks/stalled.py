"""A window that hangs: what a viewer stopped by SIGSTOP costs the live path.

One session with the real window beside it, drawn offscreen at 60 Hz. In turns of some seconds the window's
process runs, and is stopped; latencies of the two are from the same minutes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Event

from ..errors import UsageError
from ..pipeline import Pipeline
from ..session import Session, SessionOptions
from .figures import Gate, Measured, Row, Spread, at_most
from .partner import Partner, requests
from .rewind import Histogram, latencies, percentiles

HZ = 60.0
CHANGE = 1.1
"""Of the 99th percentile of the latency, at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    turns: int
    seconds: float
    """Of a turn."""
    rate: int = 1000
    """Frames per second."""
    shape: tuple[int, int] = (256, 256)
    ring_bytes: int | None = None


FULL = Plan(20, 3.0)
QUICK = Plan(3, 2.0)


@dataclass(slots=True)
class Seen:
    """One session."""

    stalled: list[Histogram] = field(default_factory=list)
    """From arrival to result, of the frames in each turn in which the window was stopped."""
    running: list[Histogram] = field(default_factory=list)
    """The same of the turns between."""
    lost: int = 0


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench stalled`` shows."""
    if sys.platform == "win32":
        raise UsageError("bench stalled: a process cannot be stopped by a signal on Windows")
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    seen = watched(plan)
    running, stalled = (percentiles(turns) for turns in (seen.running, seen.stalled))
    pairs = zip(seen.stalled, seen.running, strict=True)
    change = Spread.of([percentiles([off])[1] / percentiles([on])[1] for off, on in pairs])
    h, w = plan.shape
    row: Row = {
        "frames/s": plan.rate,
        "frame": f"{h}x{w}",
        "p50 / p99 window runs, ms": f"{running[0]:.2f} / {running[1]:.2f}",
        "p50 / p99 window stopped, ms": f"{stalled[0]:.2f} / {stalled[1]:.2f}",
        "p99 of turn to p99 of the turn before": str(change),
        "lost": seen.lost,
    }
    gates: list[Gate] = [
        at_most("p99 beside a stopped window, of p99 beside a running one", change.median, CHANGE),
        at_most("frames lost", seen.lost, 0),
    ]
    return {"title": "A window that hangs: uint16, preview", "rows": [row], "gates": gates}


def watched(plan: Plan) -> Seen:
    """A session whose window is stopped every other turn."""
    h, w = plan.shape
    url = f"sim:4dstem?shape={h}x{w}&scan=128x128&fps={plan.rate}&repeats=0"
    seen = Seen()
    with (
        Session(Pipeline(ring_bytes=plan.ring_bytes), SessionOptions(url)) as session,
        Partner(look, session.hub.addresses.control) as window,
    ):
        window.hear()
        session.start()
        while not session.accounts.entered()[0]:
            session.step()
        window.tell("look")
        _turn(session, plan.seconds)  # the first pictures
        for _ in range(plan.turns):
            seen.running.append(_turn(session, plan.seconds))
            with _stopped(window.pid):
                seen.stalled.append(_turn(session, plan.seconds))
            _turn(session, min(1.0, plan.seconds))  # what waited is taken
        session.stop("measured")
        session.finish()
        seen.lost = sum(account["lost"] for account in session.settling.settled)
    return seen


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _turn(session: Session, seconds: float) -> Histogram:
    before, end = latencies(session), time.monotonic() + seconds
    while time.monotonic() < end:
        session.step(0.01)
    return latencies(session) - before


def look(pipe: Connection, address: str) -> None:
    """Body of the window's process: asked once, it draws the session until it is asked to stop."""
    from ..viewer import qt

    app = qt.application(headless=True)
    from ..viewer.connection import connect
    from ..viewer.snapshot import paint
    from ..viewer.window import ViewerWindow

    window, pause = ViewerWindow(*connect(address)), Event()
    paint(window)
    pipe.send("ready")
    for _ in requests(pipe):
        while not pipe.poll():
            began = time.monotonic()
            window.tick()
            app.processEvents()
            pause.wait(max(0.0, began + 1 / HZ - time.monotonic()))
    window.close()
