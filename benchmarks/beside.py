"""Recording beside the live pictures: what it costs a session that computes at the same time.

The same detector as in zero_loss.py, with the recorder and without, in turn: at a rate that the session takes
easily, and with a sender that waits, where all processes share the processors: for seconds on end, many times
what the ring holds, and for single scans that fit into it.
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
SCAN = (128, 128)
"""Of the scans that are sent as fast as they are taken: 16,384 frames, 140 MB as received."""
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
        runs = [(easy, None), (FLAT_OUT, None), (FLAT_OUT, SCAN[0] * SCAN[1])] * plan.rounds
        pairs = [_pair(session, rate, plan.seconds, folder, frames) for rate, frames in runs]
    calm, busy, scans = pairs[::3], pairs[1::3], pairs[2::3]
    missed = sum(one.sent - one.processed for pair in pairs for one in pair)
    share = ratios([on.rate for _, on in busy], [off.rate for off, _ in busy])
    taken = ratios([on.taken_rate for _, on in scans], [off.taken_rate for off, _ in scans])
    h, w = plan.shape
    scan = f"{SCAN[0]}x{SCAN[1]} frames"
    return {
        "title": f"Recording beside one annular detector: DECTRIS v1, {h}x{w} uint16 bslz4",
        "rows": [
            _row("half of what it takes", calm),
            _row("the sender waits", busy),
            _row(f"the sender waits, {scan}: ingest", scans, of_ingest=True),
        ],
        "gates": [
            at_most("frames missed, recording or not", missed, 0),
            at_least(f"at {easy:,.0f} frames/s: share of the rate with recording", _kept(calm), KEPT_RATE),
            at_least("when the sender waits: share of the rate with recording", share.median, KEPT_RATE),
            at_least(f"one scan of {scan}: share of the rate of ingest", taken.median, KEPT_RATE),
        ],
    }


def _pair(
    session: functools.partial[Outcome], rate: float, seconds: float, folder: Path, frames: int | None
) -> tuple[Outcome, Outcome]:
    """Without and with the recorder; what was recorded is thrown away."""
    off = session(rate, seconds, frames=frames)
    on = session(rate, seconds, record=folder, frames=frames)
    for path in folder.glob("*.h5"):
        path.unlink()
    return off, on


def _kept(pairs: list[tuple[Outcome, Outcome]]) -> float:
    """Of a paced series: how much of its rate a sender kept up, the worst round."""
    return min(on.sent / (on.sent + on.rate * on.behind_s) for _, on in pairs)


def _row(name: str, pairs: list[tuple[Outcome, Outcome]], of_ingest: bool = False) -> Row:
    """Rates of the session until all is computed and recorded, or of ingest alone."""
    rates = [[one.taken_rate if of_ingest else one.rate for one in ones] for ones in zip(*pairs, strict=True)]
    on = [one for _, one in pairs]
    return {
        "detector": name,
        "frames/s, not recording": str(Spread.of(rates[0])),
        "frames/s, recording": str(Spread.of(rates[1])),
        "furthest behind, ms": round(1e3 * max(one.behind_s for one in on)),
        "frames kept": sum(one.processed for one in on),
    }
