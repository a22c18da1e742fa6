"""kill -9 of a session's processes: how long until the next one of its kind is ready again.

A whole session on the simulated microscope, killed from outside as the system's memory killer would. Ready
is what the process itself says: its kernels are loaded, its place in the ring is found.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SessionError
from ..pipeline import Pipeline
from ..session import Session, SessionOptions
from .figures import Measured, Row, Spread, at_most
from .serving import serve

READY_S = 2.0
PROCESSES = ("vd", "preview", "ingest")
"""Two workers and the receiver."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    kills: int
    """Of each process."""
    rate: int = 1000
    shape: tuple[int, int] = (256, 256)
    scan: tuple[int, int] = (128, 128)
    between_s: float = 0.3
    """From one restart to the next kill."""
    ring_bytes: int | None = None


FULL = Plan(5)
QUICK = Plan(2)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench restart`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    seconds = restarts(plan)
    rows: list[Row] = [
        {"process": name, "killed": len(times), "ready again, s": str(Spread.of(times))}
        for name, times in seconds.items()
    ]
    gates = [at_most(f"{name}: ready again, s", max(times), READY_S) for name, times in seconds.items()]
    h, w = plan.shape
    return {"title": f"kill -9 at {plan.rate} frames/s of {h}x{w}", "rows": rows, "gates": gates}


def restarts(plan: Plan) -> Mapping[str, list[float]]:
    """Seconds from each kill to the successor's word that it is ready, by process."""
    (h, w), (ny, nx) = plan.shape, plan.scan
    url = f"sim:4dstem?shape={h}x{w}&scan={ny}x{nx}&fps={plan.rate}&repeats=0"
    with Session(Pipeline(ring_bytes=plan.ring_bytes), SessionOptions(url)) as session:
        session.start()
        serve(session, lambda: session.accounts.entered()[0] > 0, "no frame came")
        seconds = {name: [_restart(session, name, plan) for _ in range(plan.kills)] for name in PROCESSES}
        session.stop("the benchmark is over")
        session.finish()
    return seconds


def _restart(session: Session, name: str, plan: Plan) -> float:
    pid = session.processes.pid(name)
    if pid is None:
        raise SessionError(f"{name} does not run, so that it cannot be killed; see its alarms")
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    serve(session, lambda: name not in session.ready, f"the death of {name} was not found")
    serve(session, lambda: name in session.ready, f"{name} was not ready again")
    took = time.monotonic() - killed
    calm = time.monotonic() + plan.between_s
    serve(session, lambda: time.monotonic() > calm, "the clock stands still")
    return took
