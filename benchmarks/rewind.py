"""Looking back while frames come: what it costs the live path, and how soon a frame of the buffer is there.

One session; in turns of some seconds a client asks for frames anywhere in the buffer 30 times a second, and
for none. Latencies of the two are from the same minutes, so that what else the machine does weighs on both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from ..pipeline import Pipeline
from ..session import Session, SessionOptions
from ..stream.control import ControlClient
from ..stream.ring_layout import E_HISTOGRAM, HISTOGRAM_BINS, histogram_percentile
from .figures import Gate, Measured, Row, Spread, at_most
from .partner import Partner, requests

HZ = 30.0
HISTORY_S = 0.5
CHANGE = 1.1
"""Of the 99th percentile of the latency, at most."""
SHOWN_MS = 100.0
"""95th percentile until a frame of the buffer is there."""
SEED = 8
Histogram = npt.NDArray[np.uint64]


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
QUICK = Plan(2, 2.0)


@dataclass(slots=True)
class Seen:
    """One session."""

    looking: list[Histogram] = field(default_factory=list)
    """From arrival to result, of the frames in each turn with looks back."""
    calm: list[Histogram] = field(default_factory=list)
    """The same of the turns between."""
    shown_ms: list[float] = field(default_factory=list)
    """Until each frame was there."""
    missed: int = 0
    """Frames that had left the buffer before they were found."""
    lost: int = 0


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench rewind`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    seen = watched(plan)
    calm, looking = (percentiles(turns) for turns in (seen.calm, seen.looking))
    pairs = zip(seen.looking, seen.calm, strict=True)
    change = Spread.of([percentiles([on])[1] / percentiles([off])[1] for on, off in pairs])
    shown = np.percentile(seen.shown_ms, 95.0)
    h, w = plan.shape
    row: Row = {
        "frames/s": plan.rate,
        "frame": f"{h}x{w}",
        "p50 / p99 calm, ms": f"{calm[0]:.2f} / {calm[1]:.2f}",
        "p50 / p99 looking back, ms": f"{looking[0]:.2f} / {looking[1]:.2f}",
        "p99 of turn to p99 of the turn before": str(change),
        "shown within, ms": str(Spread.of(seen.shown_ms)),
        "looks": len(seen.shown_ms),
        "missed": seen.missed,
        "lost": seen.lost,
    }
    gates: list[Gate] = [
        at_most("p99 while looking back, of p99 without, median of turns", change.median, CHANGE),
        at_most("a frame of the buffer is there, p95, ms", float(shown), SHOWN_MS),
        at_most("frames lost", seen.lost, 0),
    ]
    return {"title": "Looking back: uint16, preview and virtual detectors", "rows": [row], "gates": gates}


def watched(plan: Plan) -> Seen:
    """A session with somebody who looks back every other turn."""
    h, w = plan.shape
    url = f"sim:4dstem?shape={h}x{w}&scan=128x128&fps={plan.rate}&repeats=0"
    seen = Seen()
    with (
        Session(Pipeline(ring_bytes=plan.ring_bytes), SessionOptions(url)) as session,
        Partner(look_back, session.hub.addresses.control) as looker,
    ):
        looker.hear()
        session.start()
        while not session.accounts.entered()[0]:
            session.step()
        _turn(session, looker, plan.seconds, looks=True)  # the process for it begins
        for _ in range(plan.turns):
            seen.calm.append(_turn(session, looker, plan.seconds, looks=False)[0])
            histogram, (shown_ms, missed) = _turn(session, looker, plan.seconds, looks=True)
            seen.looking.append(histogram)
            seen.shown_ms += shown_ms
            seen.missed += missed
        session.stop("measured")
        session.finish()
        seen.lost = sum(account["lost"] for account in session.settling.settled)
    return seen


def _turn(session: Session, looker: Partner, seconds: float, *, looks: bool) -> tuple[Histogram, Any]:
    before = latencies(session)
    looker.tell((seconds, looks))
    while not looker.has_spoken(0.0):
        session.step(0.01)
    return latencies(session) - before, looker.hear()


def latencies(session: Session) -> Histogram:
    """Latencies of all edges in the open series so far."""
    edges = session.ring.views.edges[:, 0, E_HISTOGRAM : E_HISTOGRAM + HISTOGRAM_BINS]
    total: Histogram = edges.sum(axis=0)
    return total


def percentiles(turns: list[Histogram]) -> tuple[float, float]:
    """Median and 99th of the latencies of all turns, ms."""
    total = np.sum(turns, axis=0)
    p50, p99 = (histogram_percentile(total, percent) for percent in (50.0, 99.0))
    return p50 or float("nan"), p99 or float("nan")


def look_back(pipe: Connection, address: str) -> None:
    """Body of the client's process: for so many seconds look at frames of the buffer, or at none."""
    rng, pause = np.random.default_rng(SEED), Event()
    pipe.send("ready")
    with ControlClient(address) as client:
        for seconds, looks in requests(pipe):
            shown_ms: list[float] = []
            missed, end, asked = 0, time.monotonic() + seconds, 0.0
            there: dict[str, Any] = {}
            while (begin := time.monotonic()) < end:
                if begin >= asked + HISTORY_S:  # a window asks in calm turns too
                    asked, there = begin, client.request({"do": "history"})["stretches"][-1]
                if looks:
                    answer = _look(client, there, rng)
                    missed += not (answer.get("found") or answer.get("starting"))
                    if answer.get("found"):
                        shown_ms.append(1e3 * (time.monotonic() - begin))
                pause.wait(max(0.0, begin + 1 / HZ - time.monotonic()))
            pipe.send((shown_ms, missed))


def _look(client: ControlClient, there: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """One frame of those that are there."""
    index = int(rng.integers(there["first"], there["stop"]))
    named = {"epoch": there["epoch"], "series": there["series"]}
    return client.request({"do": "rewind", **named, "index": index, "toward": 1})
