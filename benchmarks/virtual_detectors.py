"""Virtual detectors on a live scan: livem and LiberTEM-live in turn, from one sender, on one file.

The sender is LiberTEM's own DECTRIS simulator, in a process of its own; where it is the limit (see its bare
receive loop), the same file also comes from a sender that holds it in memory. All share the machine's cores.
Every image is compared with sums by numpy.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingDependencyError
from .figures import Gate, Measured, Row, Spread, at_least, at_most, ratios
from .libertem_peer import Job, Request, require_peer
from .receivers import Bare, BurstSender, Ours, Outcome, Peer, PlayingSimulator, Receiver, Sender
from .scan_dump import ScanDump, ScanPlan, record

ONE = "one annulus"
THREE = "three annuli + CoM"
JOBS: Mapping[str, Job] = {ONE: Job(("adf",), com=False), THREE: Job(("bf", "abf", "adf"), com=True)}
SIMULATOR, BURST = "simulator", "from memory"
LIVEM, PEER = "livem", "LiberTEM-live"
SPEED = 2.5
LESS_CPU: Mapping[str, float] = {ONE: 3.0, THREE: 3.5}
FIRST_MS, UPDATE_MS, LAST_MS = 50.0, 50.0, 10.0
COM_PX = 1e-4
SENDER_LIMITS = 0.9
"""Above this share of what a bare loop receives, the sender is measured and not the receiver."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    """Series of each receiver in each case, in turn."""
    scan: ScanPlan = field(default_factory=ScanPlan)
    bad_pixels: int = 200
    paced_rate: int = 5000
    """Frames/s at which the last result is promised soon after the last frame."""


FULL = Plan(7)
QUICK = Plan(3)


def run(quick: bool) -> Measured:
    """Measure; what ``livem bench virtual_detectors`` shows."""
    return measure(QUICK if quick else FULL)


def measure(plan: Plan) -> Measured:
    """All cases one after the other; without the peer's packages there is nothing to compare with."""
    title = _title(plan)
    try:
        require_peer()
    except MissingDependencyError as error:
        return {"title": title, "rows": [{"receiver": PEER, "note": str(error)}], "gates": []}
    rows: list[Row] = []
    gates: list[Gate] = []
    with tempfile.TemporaryDirectory(prefix="livem-bench-") as name:
        clean = record(Path(name, "clean.dat"), plan.scan)
        bad = record(Path(name, "bad.dat"), replace(plan.scan, bad_pixels=plan.bad_pixels, seed=1))
        bare = {sender: _bare(_case(clean, ONE, sender=sender), plan.rounds) for sender in (SIMULATOR, BURST)}
        rows += [_bare_row(clean, sender, outcomes) for sender, outcomes in bare.items()]
        for case in _cases(plan, clean, bad):
            found = compare(case, plan.rounds)
            rows += _rows(case, found, 0.0 if case.rate else _rate(bare[case.sender]))
            gates += _gates(case, found)
    return {"title": title, "rows": rows, "gates": gates}


def _title(plan: Plan) -> str:
    (ny, nx), (h, w) = plan.scan.scan, plan.scan.shape
    return (
        f"Virtual detectors live: {ny}x{nx} scan of {h}x{w} uint16 bslz4, {plan.scan.mean_counts:g} "
        "counts/px, DECTRIS v1 over loopback, sender on the same cores"
    )


# -- what is compared ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One comparison."""

    dump: ScanDump
    title: str
    job: Job
    sender: str = SIMULATOR
    preview: bool = False
    """Whether our session has a preview beside (the peer has none)."""
    rate: int = 0
    """Frames/s of the sender; 0 = as fast as they are taken."""

    def make_sender(self) -> Sender:
        if self.sender == BURST:
            return BurstSender(self.dump)
        return PlayingSimulator(self.dump.path, dwell_us=1_000_000 // self.rate if self.rate else None)

    def __str__(self) -> str:
        more = [f"{len(self.dump.bad)} bad pixels"] if len(self.dump.bad) else []
        more += ["with preview"] if self.preview else []
        more += [f"{self.rate} frames/s"] if self.rate else []
        return ", ".join([self.title, *more])


def _case(dump: ScanDump, title: str, **more: Any) -> Case:
    return Case(dump, title, JOBS[title], **more)


def _cases(plan: Plan, clean: ScanDump, bad: ScanDump) -> Iterator[Case]:
    for title in JOBS:
        yield _case(clean, title)
        yield _case(clean, title, sender=BURST)
        yield Case(bad, title, replace(JOBS[title], fused=True))
        yield _case(clean, title, preview=True)
        yield _case(clean, title, rate=plan.paced_rate)
    yield Case(clean, f"{THREE} as one product of masks", replace(JOBS[THREE], fused=True))


@dataclass(slots=True)
class Found:
    """What the rounds of a case gave."""

    ours: list[Outcome] = field(default_factory=list)
    peer: list[Outcome] = field(default_factory=list)
    peer_watched: Outcome | None = None
    """With intermediate results, which cost the peer time: not counted for its rate."""
    ours_mib: float = 0.0
    peer_mib: float = 0.0

    @property
    def speed(self) -> Spread:
        return ratios([one.rate for one in self.ours], [one.rate for one in self.peer])

    @property
    def less_cpu(self) -> float:
        """Of all rounds together: the system counts processor time in steps of 10 ms."""
        return sum(one.cpu_us for one in self.peer) / sum(one.cpu_us for one in self.ours)


def compare(case: Case, rounds: int) -> Found:
    """Series by series in turn; who begins changes from round to round."""
    found = Found()
    with ExitStack() as stack:
        ours = stack.enter_context(Ours(case.dump, case.make_sender, case.job, preview=case.preview))
        peer = stack.enter_context(Peer(case.dump, case.make_sender, case.job))
        ours.measure_memory()  # warms it, and its kernels
        peer.measure_memory()
        sides: list[tuple[Receiver, list[Outcome]]] = [(peer, found.peer), (ours, found.ours)]
        for number in range(rounds):
            for receiver, outcomes in sides if number % 2 == 0 else reversed(sides):
                outcomes.append(receiver.series())
        peer.request = Request(case.job, updates=True)
        found.peer_watched = peer.series()
        found.ours_mib, found.peer_mib = ours.peak_mib, peer.peak_mib
    return found


def _bare(case: Case, rounds: int) -> list[Outcome]:
    """What the sender gives a loop that only receives."""
    with Bare(case.dump, case.make_sender) as bare:
        bare.series()
        return [bare.series() for _ in range(rounds)]


def _rate(outcomes: Sequence[Outcome]) -> float:
    return Spread.of([one.rate for one in outcomes]).median


# -- what is told --------------------------------------------------------------------------------------


def _bare_row(dump: ScanDump, sender: str, outcomes: Sequence[Outcome]) -> Row:
    return {
        "case": "receiving alone",
        "sender": sender,
        "receiver": "bare loop",
        "frames/s": str(Spread.of([one.rate for one in outcomes])),
        "CPU us/frame": _mean([one.cpu_us for one in outcomes]),
        "compression": f"{dump.ratio:.1f}",
    }


def _rows(case: Case, found: Found, ceiling: float) -> Iterator[Row]:
    """``ceiling``: frames/s of the bare loop; 0 where the sender keeps a rate."""
    watched = [found.peer_watched] if found.peer_watched is not None else []
    yield _row(case, PEER, found.peer, watched, found.peer_mib)
    ratio = {"x frames/s": str(found.speed), "x less CPU": f"{found.less_cpu:.2f}"}
    yield {**_row(case, LIVEM, found.ours, found.ours, found.ours_mib), **ratio, **_limit(found, ceiling)}


def _limit(found: Found, ceiling: float) -> Row:
    """How near our rate comes to what the sender can give; ratios mean less the nearer it is."""
    if not ceiling:
        return {}
    share = _rate(found.ours) / ceiling
    verdict = ": the sender is the limit" if share > SENDER_LIMITS else ""
    return {"of the bare loop": f"{share:.2f}{verdict}"}


def _row(
    case: Case, receiver: str, outcomes: Sequence[Outcome], watched: Sequence[Outcome], mib: float
) -> Row:
    pixels, px = _errors(case.dump, outcomes)
    return {
        "case": str(case),
        "sender": case.sender,
        "receiver": receiver,
        "frames/s": str(Spread.of([one.rate for one in outcomes])),
        "CPU us/frame": _mean([one.cpu_us for one in outcomes]),
        "first picture, ms": _spread(watched, "first_ms"),
        "between pictures, ms": _spread(watched, "update_ms"),
        "last frame to result, ms": _spread(outcomes, "last_ms"),
        "peak PSS, MiB": round(mib),
        "wrong sums": pixels,
        "CoM off, px": f"{px:.1g}",
        "compression": f"{case.dump.ratio:.1f}",
    }


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1f}"


def _spread(outcomes: Sequence[Outcome], name: str) -> str:
    values = [value for one in outcomes if np.isfinite(value := getattr(one, name))]
    return str(Spread.of(values)) if values else ""


def _errors(dump: ScanDump, outcomes: Sequence[Outcome]) -> tuple[int, float]:
    """Sums that differ from the truth, and the largest error of a centre of mass, in px."""
    pixels, px = 0, 0.0
    for outcome in outcomes:
        for name, image in outcome.answer.images.items():
            if name == "com":
                off = np.nan_to_num(np.abs(image - dump.truth[name]), nan=np.inf)
                px = max(px, float(off.max()))
            else:
                pixels += int((image != dump.truth[name]).sum())
    return pixels, px


def _gates(case: Case, found: Found) -> Iterator[Gate]:
    pixels, px = _errors(case.dump, found.ours)
    what = f"{case}, {case.sender}"
    yield at_most(f"{what}: sums of livem that differ from the truth", pixels, 0)
    if case.job.com:
        yield at_most(f"{what}: centres of mass of livem off by, px", px, COM_PX)
    promised: Callable[..., Gate]
    if case.rate:
        promised = functools.partial(_median, found.ours)
        yield promised(f"{what}: first picture, ms", "first_ms", FIRST_MS)
        yield promised(f"{what}: between pictures, ms", "update_ms", UPDATE_MS)
        yield promised(f"{what}: last frame to result, ms", "last_ms", LAST_MS)
    elif case.title in JOBS and not case.preview and not len(case.dump.bad):
        yield at_least(f"{what}: x frames/s of the peer", found.speed.median, SPEED)
        yield at_least(f"{what}: x less CPU a frame", found.less_cpu, LESS_CPU[case.title])
        yield _median(found.ours, f"{what}: first picture, ms", "first_ms", FIRST_MS)


def _median(outcomes: Sequence[Outcome], name: str, of: str, limit: float) -> Gate:
    values = [getattr(one, of) for one in outcomes]
    return at_most(name, float(np.median(values)), limit)
