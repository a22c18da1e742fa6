"""How long livem takes to answer, and the demonstration to its first picture."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from ..errors import SessionError
from ..stream.bus import Subscriber
from .figures import Measured, Row, Spread, at_most
from .program import Program, command_line

HELP_S = 0.3
PICTURE_S = 5.0
PATIENCE_S = 60.0
LOOK_S = 0.01
PHASES = ("session made", "processes ready", "first result", "first snapshot")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    help_runs: int
    demo_runs: int


FULL = Plan(11, 5)
QUICK = Plan(5, 1)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench startup`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    helped = Spread.of([help_seconds() for _ in range(plan.help_runs)])
    rows: list[Row] = [{"what": "livem --help", "s": str(helped)}]
    gates = [at_most("livem --help, s", helped.median, HELP_S)]
    demos = [demo_seconds() for _ in range(plan.demo_runs)]
    for phase in PHASES if demos else ():
        spread = Spread.of([phases[phase] for phases in demos])
        rows.append({"what": f"livem demo 4dstem --headless: {phase}", "s": str(spread)})
        if phase == PHASES[-1]:
            gates.append(at_most("livem demo: first snapshot, s", spread.median, PICTURE_S))
    return {"title": "Startup", "rows": rows, "gates": gates}


def help_seconds() -> float:
    """Wall time of ``livem --help``."""
    started = time.perf_counter()
    subprocess.run(command_line("--help"), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def demo_seconds() -> Mapping[str, float]:
    """Seconds from the start of ``livem demo`` to each of PHASES."""
    with tempfile.TemporaryDirectory(prefix="livem-bench-") as out:
        snapshot = Path(out, "4dstem", "snapshot.png")
        with Program("demo", "4dstem", "--headless", "--out", out) as demo:
            address = demo.address()
            reached = [demo.age]
            with Subscriber(address) as session:
                session.wait("status", PATIENCE_S, lambda status: status.attrs["state"] != "starting")
                reached.append(demo.age)
                session.wait("preview.frame", PATIENCE_S)
                reached.append(demo.age)
            _wait_for(snapshot, demo)
            reached.append(demo.age)
    return dict(zip(PHASES, reached, strict=True))


def _wait_for(file: Path, program: Program) -> None:
    pause = Event()
    while not file.exists():
        if not program.running or program.age > PATIENCE_S:
            raise SessionError(f"the demonstration left no {file.name} within {program.age:.1f} s")
        pause.wait(LOOK_S)
