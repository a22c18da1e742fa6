"""Recording beside the live pictures: what it costs a session that computes at the same time.

The same detector as in zero_loss.py, with the recorder and without, in turn: at a rate that the session takes
easily, and with a sender that waits, where all processes share the processors.
"""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .figures import Measured, Row, Spread, at_least, at_most, ratios
from .partner import Partner
from .zero_loss import FLAT_OUT, Outcome, send_paced, watched

KEPT_RATE = 0.9
EASY = 0.5
"""Of the rate that the session takes without recording when the sender waits."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    shape: tuple[int, int] = (256, 256)


FULL = Plan(5, 5.0)
QUICK = Plan(1, 2.0)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench beside`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    with (
        tempfile.TemporaryDirectory(prefix="livem-bench-") as name,
        Partner(send_paced, plan.shape) as sender,
    ):
        session = functools.partial(watched, plan.shape, sender.hear(), sender)
        folder = Path(name)
        easy = EASY * session(FLAT_OUT, plan.seconds).rate
        pairs = [_pair(session, rate, plan.seconds, folder) for rate in (easy, FLAT_OUT) * plan.rounds]
    calm, busy = pairs[::2], pairs[1::2]
    missed = sum(one.sent - one.processed for pair in pairs for one in pair)
    share = ratios([on.rate for _, on in busy], [off.rate for off, _ in busy])
    h, w = plan.shape
    return {
        "title": f"Recording beside one annular detector: DECTRIS v1, {h}x{w} uint16 bslz4",
        "rows": [_row("half of what it takes", calm), _row("the sender waits", busy)],
        "gates": [
            at_most("frames missed, recording or not", missed, 0),
            at_least(f"at {easy:,.0f} frames/s: share of the rate with recording", _kept(calm), KEPT_RATE),
            at_least("when the sender waits: share of the rate with recording", share.median, KEPT_RATE),
        ],
    }


def _pair(
    session: functools.partial[Outcome], rate: float, seconds: float, folder: Path
) -> tuple[Outcome, Outcome]:
    """Without and with the recorder; what was recorded is thrown away."""
    off = session(rate, seconds)
    on = session(rate, seconds, record=folder)
    for path in folder.glob("*.h5"):
        path.unlink()
    return off, on


def _kept(pairs: list[tuple[Outcome, Outcome]]) -> float:
    """Of a paced series: how much of its rate a sender kept up, the worst round."""
    return min(on.sent / (on.sent + on.rate * on.behind_s) for _, on in pairs)


def _row(name: str, pairs: list[tuple[Outcome, Outcome]]) -> Row:
    off, on = zip(*pairs, strict=True)
    return {
        "detector": name,
        "frames/s, not recording": str(Spread.of([one.rate for one in off])),
        "frames/s, recording": str(Spread.of([one.rate for one in on])),
        "furthest behind, ms": round(1e3 * max(one.behind_s for one in on)),
        "frames kept": sum(one.processed for one in on),
    }
