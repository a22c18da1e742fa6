"""An annulus dragged on a running session: how long until its image answers, and until it is whole again.

Half of the scan is there. A process of its own does what the window does: every step sets the detector anew
through the viewer's queue of commands, and the result bus tells what came of it. With a new annulus all
frames of the scan have to be seen again; an answer is the first image of the new one with pixels in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import SessionError
from ..pipeline import Pipeline
from ..session import Session, SessionOptions
from ..stream.bus import Subscriber
from ..stream.control import ControlClient
from ..stream.results import Result, valid_of
from ..viewer.models.commands import CommandQueue
from .figures import Gate, Measured, Row, Spread, at_most
from .partner import Partner, requests
from .serving import serve

ANSWER_MS = 100.0
SCANNED = 0.5
"""Share of the pixels that are there when the drag begins."""
CONSUMER, DETECTOR = "vd", "haadf"
TOPIC = f"{CONSUMER}.{DETECTOR}"
PATIENCE_S = 60.0

Pixels: TypeAlias = npt.NDArray[np.bool_]
"""(ny, nx), true where an image has a value."""


@dataclass(frozen=True, slots=True)
class Case:
    """A detector's pace, and a scan that it is still busy with when the last step is answered."""

    rate: float
    """Frames per second; inf = as fast as the sender can."""
    scan: tuple[int, int]

    def __str__(self) -> str:
        return "flat out" if math.isinf(self.rate) else f"{self.rate:g} frames/s"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    cases: tuple[Case, ...]
    steps: int
    """Of the drag, in each case."""
    shape: tuple[int, int] = (256, 256)
    ring_bytes: int | None = None


FULL = Plan((Case(1000, (128, 128)), Case(math.inf, (256, 256))), 10)
QUICK = Plan((Case(1000, (64, 64)), Case(math.inf, (256, 256))), 5)


@dataclass(frozen=True, slots=True)
class Dragged:
    """What came of the steps of one drag."""

    first_ms: Sequence[float]
    """From each set of the annulus to the first image of it with pixels."""
    whole_ms: float
    """From the last set to the image that has all pixels which were there before the drag."""
    pixels: tuple[int, int]
    """How many there were before the drag, and in that image."""


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench drag`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    found = {case: dragged(plan, case) for case in plan.cases}
    h, w = plan.shape
    return {
        "title": f"An annulus dragged in mid-scan, {h}x{w} uint16 bslz4",
        "rows": [_row(case, one) for case, one in found.items()],
        "gates": [_gate(case, one) for case, one in found.items()],
    }


def dragged(plan: Plan, case: Case) -> Dragged:
    """A session whose annulus is dragged when half of the scan is there."""
    (h, w), (ny, nx) = plan.shape, case.scan
    url = f"sim:4dstem?shape={h}x{w}&scan={ny}x{nx}"
    options = SessionOptions(url, sender={"rate": case.rate, "encoding": "bslz4"}, end_with_source=False)
    outer = max(plan.shape) / 4
    tables = [annulus(plan.shape, outer + step) for step in range(plan.steps)]
    with ExitStack() as stack:
        session = stack.enter_context(Session(Pipeline(ring_bytes=plan.ring_bytes), options))
        hand = stack.enter_context(Partner(drag, session.hub.addresses.control))
        hand.hear()
        session.start()
        serve(session, lambda: session.accounts.entered()[0] > 0, "no frame came")
        hand.tell(tables)
        serve(session, lambda: hand.has_spoken(0.0), "the drag was not over")
        seen = hand.hear()
        session.stop("the benchmark is over")
        session.finish()
    assert isinstance(seen, Dragged)
    return seen


def annulus(shape: tuple[int, int], outer: float) -> Mapping[str, Any]:
    """The table of an annulus about the middle of the frame, as a pipeline file would have it."""
    center = [(size - 1) / 2 for size in shape]
    return {"kind": "annulus", "inner": outer / 2, "outer": outer, "center": center}


def drag(pipe: Connection, address: str) -> None:
    """Body of the hand's process: asked with the tables of all steps, it answers with Dragged."""
    with (
        Subscriber(address, (TOPIC,)) as results,
        closing(CommandQueue(lambda: ControlClient(address))) as commands,
    ):
        pipe.send("ready")
        for tables in requests(pipe):
            pipe.send(_dragged(results, commands, tables))


def _dragged(results: Subscriber, commands: CommandQueue, tables: Sequence[Mapping[str, Any]]) -> Dragged:
    before = valid_of(_wait(results, lambda image: valid_of(image).mean() >= SCANNED, "too few pixels"))
    first_ms: list[float] = []
    for table in tables:
        began = time.monotonic()
        commands.set(CONSUMER, f"detectors.{DETECTOR}", table)
        _wait(results, partial(_answers, table=table), f"{table} is not shown")
        first_ms.append(1000 * (time.monotonic() - began))
    whole = _wait(results, partial(_answers, table=tables[-1], pixels=before), "holes stay")
    whole_ms = 1000 * (time.monotonic() - began)
    return Dragged(first_ms, whole_ms, (int(before.sum()), int(valid_of(whole).sum())))


def _wait(results: Subscriber, wanted: Callable[[Result], bool], fault: str) -> Result:
    image = results.wait(TOPIC, PATIENCE_S, wanted)
    if image is None:
        raise SessionError(f"{TOPIC}: {fault} after {PATIENCE_S:g} s")
    return image


def _answers(image: Result, table: Mapping[str, Any], pixels: Pixels | None = None) -> bool:
    """Whether an image is of this very detector, and has all of these pixels; any, where none are named."""
    valid = valid_of(image)
    known = valid.any() if pixels is None else valid[pixels].all()
    return bool(known) and all(image.attrs.get(key) == value for key, value in table.items())


def _row(case: Case, one: Dragged) -> Row:
    ny, nx = case.scan
    begun, ended = (round(100 * pixels / (ny * nx)) for pixels in one.pixels)
    return {
        "pace": str(case),
        "scan": f"{ny}x{nx}",
        "scanned, %": f"{begun} to {ended}",
        "steps": len(one.first_ms),
        "answered, ms": str(Spread.of(one.first_ms)),
        "frames seen again": one.pixels[0],
        "whole again, ms": round(one.whole_ms),
    }


def _gate(case: Case, one: Dragged) -> Gate:
    return at_most(f"slowest answer, {case}, ms", max(one.first_ms), ANSWER_MS)
