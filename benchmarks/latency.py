"""From a frame's arrival to its result, to the first picture, and how often a display has something new.

Whole sessions on the simulated microscope, driven as ``livem live`` drives them, at rates from far below to
far above what the machine can do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

from ..pipeline import Pipeline
from ..session import Session, SessionOptions
from ..stream.ring_layout import S_FIRST_ARRIVAL
from .eyes import Drawn, Sight, show, watch
from .figures import Gate, Measured, Row, Spread, at_least, at_most
from .partner import Partner

P50_MS, P99_MS = 10.0, 50.0
AT_RATE = 2000
"""Frames/s at which the latencies are promised."""
FIRST_MS = 50.0
DISPLAY_HZ = 20.0
NEW_FRAMES_SHARE = 0.9
"""A display cannot change more often than frames come."""
RECEIVED_SHARE = 0.95
"""Of the rate that a case is about: of fewer frames it would say nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """A detector."""

    rate: int
    """Frames per second."""
    shape: tuple[int, int] = (256, 256)

    def __str__(self) -> str:
        return f"{self.rate} frames/s"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    cases: tuple[Case, ...]
    rounds: int
    seconds: float
    window_seconds: float
    """With the real window; 0 = without."""
    scan: tuple[int, int] = (128, 128)
    ring_bytes: int | None = None


FAST = Case(20_000, (64, 64))
"""Small frames: of large ones a simulator that shares two cores with the session sends 10,000/s."""
FULL = Plan((Case(10), Case(100), Case(1000), Case(2000), FAST), 3, 3.0, 4.0)
QUICK = Plan((Case(10), Case(2000), FAST), 1, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """One session."""

    account: dict[str, Any]
    first_picture_ms: float | None
    """From the first frame's arrival to the first picture in another process, found by polling at 60 Hz."""
    updates_per_second: float | None

    @property
    def p50_ms(self) -> float:
        return float(self.account["latency_ms"]["p50"] or float("inf"))

    @property
    def p99_ms(self) -> float:
        return float(self.account["latency_ms"]["p99"] or float("inf"))


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench latency`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    sessions: dict[Case, list[Seen]] = {case: [] for case in plan.cases}
    for _ in range(plan.rounds):
        for case in plan.cases:
            sessions[case].append(_watched(plan, case))
    rows = [_row(case, seen) for case, seen in sessions.items()]
    gates = [gate for case, seen in sessions.items() for gate in _gates(case, seen)]
    if plan.window_seconds and has_window():
        drawn = {case: _drawn(plan, case) for case in plan.cases}
        rows = [{**row, **_window_cells(drawn[case])} for row, case in zip(rows, drawn, strict=True)]
        gates += [_display("drawn by the window", case, _rate(seen)) for case, seen in drawn.items()]
    return {"title": "Latency: uint16, preview and virtual detectors", "rows": rows, "gates": gates}


def _watched(plan: Plan, case: Case) -> Seen:
    """A session with a script that polls its results."""
    account, first_arrival_ns, sight = play(plan, case, plan.seconds, watch)
    assert isinstance(sight, Sight)
    first = None if sight.first_ns is None else (sight.first_ns - first_arrival_ns) / 1e6
    return Seen(account, first, sight.updates_per_second())


def has_window() -> bool:
    """Whether the viewer's packages are installed."""
    return all(find_spec(name) is not None for name in ("PySide6", "pyqtgraph"))


def _drawn(plan: Plan, case: Case) -> Drawn | None:
    """What the real window draws of a session, with all that this costs beside it."""
    _, _, drawn = play(plan, case, plan.window_seconds, show)
    assert drawn is None or isinstance(drawn, Drawn)
    return drawn


def _rate(drawn: Drawn | None) -> float | None:
    return None if drawn is None else drawn.per_second


def _window_cells(drawn: Drawn | None) -> Row:
    if drawn is None:
        return {"window, drawn/s": "none"}
    return {"window, drawn/s": round(drawn.per_second, 1), "window, CPU ms each": round(drawn.cpu_ms, 1)}


def play(
    plan: Plan, case: Case, seconds: float, eye: Callable[[Connection, str], None]
) -> tuple[dict[str, Any], int, Any]:
    """Run a session with a looker-on; its first series' account and first arrival, and what was seen."""
    (h, w), (ny, nx) = case.shape, plan.scan
    url = f"sim:4dstem?shape={h}x{w}&scan={ny}x{nx}&fps={case.rate}&repeats=0"
    with ExitStack() as stack:
        pipeline = Pipeline(ring_bytes=plan.ring_bytes)
        session = stack.enter_context(Session(pipeline, SessionOptions(url, duration=seconds)))
        looker = stack.enter_context(Partner(eye, session.hub.addresses.control))
        looker.hear()
        session.start()
        while not session.over():
            session.step()
        looker.tell(None)
        session.finish()
        if session.error is not None:
            raise session.error
        first_arrival_ns = int(session.ring.views.series_words(0)[S_FIRST_ARRIVAL])
        return session.summary()["series"][0], first_arrival_ns, looker.hear()


def _row(case: Case, seen: Sequence[Seen]) -> Row:
    h, w = case.shape
    return {
        "frames/s": case.rate,
        "frame": f"{h}x{w}",
        "received/s": str(_spread([one.account["frames_per_second"] for one in seen])),
        "p50, ms": str(Spread.of([one.p50_ms for one in seen])),
        "p99, ms": str(Spread.of([one.p99_ms for one in seen])),
        "first result, ms": str(_spread([one.account["first_result_ms"] for one in seen])),
        "first picture seen, ms": str(_spread([one.first_picture_ms for one in seen])),
        "updates/s offered": str(_spread([one.updates_per_second for one in seen])),
        "lost": sum(one.account["lost"] for one in seen),
    }


def _spread(values: Sequence[float | None]) -> Spread | str:
    known = [value for value in values if value is not None]
    return Spread.of(known) if known else "none"


def _gates(case: Case, seen: Sequence[Seen]) -> list[Gate]:
    received = _median([one.account["frames_per_second"] for one in seen])
    gates = [at_least(f"received at {case}, per s", received, RECEIVED_SHARE * case.rate)]
    if case.rate == AT_RATE:
        gates.append(at_most(f"p50 at {case}, ms", _median([one.p50_ms for one in seen]), P50_MS))
        gates.append(at_most(f"p99 at {case}, ms", _median([one.p99_ms for one in seen]), P99_MS))
    first = _median([one.first_picture_ms for one in seen])
    gates.append(at_most(f"first picture seen at {case}, ms", first, FIRST_MS))
    gates.append(_display("updates offered", case, _median([one.updates_per_second for one in seen])))
    return gates


def _median(values: Sequence[float | None]) -> float | None:
    spread = _spread(values)
    return spread.median if isinstance(spread, Spread) else None


def _display(what: str, case: Case, value: float | None) -> Gate:
    return at_least(f"{what} at {case}, per s", value, min(DISPLAY_HZ, NEW_FRAMES_SHARE * case.rate))
