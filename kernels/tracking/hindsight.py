"""When a particle came to be, and when it was gone, told with hindsight.

A particle is found long after its birth and is lost long before its end, while it is below the noise. Its
radius against time is a straight line (`before_detection.line_odds`); along it the frames themselves say how
far it goes (`before_detection.presence`). Both weigh against each other; a particle is born and dissolves at
the radius at which its image is no longer told from a point's.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from . import before_detection as faint
from .detect import REACH, REST, Detector
from .link import TrackUpdate
from .profile import Profile
from .rows import FLAT
from .table import Detections, Flag
from .tracks import EVENT, EventKind, Rows, Sight
from .verdict import Found

Values = npt.NDArray[np.float64]

BYTES = 48 << 20
"""Of the frames that are remembered, at most: 180 of 512 x 512 px."""
FRAMES = 134
"""That are remembered, at most."""
LINE = 64, 128
"""Frames of a track that its line goes through: of one that came, and of one that is gone."""
BEYOND = 48, 100
"""Frames beyond the track that are looked at."""
STRIDE = 2
"""Of the frames of a track that is gone: every second one tells enough of its line."""
CASES = 32
"""That are open at a time, 0.15 ms a frame each; more are told as they look at first."""
SEED = 2.0
"""Radius of a particle that is just born or about to be gone, in blurs; a smaller one looks like a point."""
SEED_SPREAD = 0.1, 0.05
"""px, of that radius at birth and at the end."""
HIDDEN = 0.1, 0.3
"""Probability that nothing is seen of it in a frame, on the way back and forth. One that dissolves is watched
for longer, beside neighbours that hide it."""
TALL = 0.94
"""True height in that of a fit; measured on the generator's movies, seeds 1 to 4."""
RATES = np.arange(0.005, 0.1, 0.005), np.r_[0:0.02:0.0015, 0.02:0.1:0.005]
"""px per frame; the slower ones finer, as they are watched for longer."""
ENDS = np.linspace(1.2, 4.5, 34)
"""px, radii at the track's end."""
UNLIKELY = 12.0
"""Lines whose log likelihood is that much below the best one's are left out."""
RADII = 0.6, 6.5, 18
SURE = 6.0
"""Score of particles that tell how tall those of a size are."""
LEARNING = 0.1
NOT_SEEN = 0.4, 0.3
"""Probability that the change lies beyond the frames, with which none is told."""
LEAST_LINE = 32
"""Frames of a track that is gone, without which its rate is not known."""
VAGUE = 9.0
"""Standard deviation of the time, frames, with which no dissolution is told."""
SAME = 5, 8.0
"""Frames and px within which two events of a kind are one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Strong:
    """Detections of a frame that stand on their own."""

    drawn: Values
    """(n, 4) as in `refine`."""
    particle: npt.NDArray[np.int64]
    """(n,) whose they are; -1: nobody's."""
    first: npt.NDArray[np.int64]
    """(n,) the frame in which that one was seen first; of nobody's, after all."""


@dataclass(slots=True, eq=False)
class _Frame:
    """A delivered frame that is remembered."""

    number: int
    rest: npt.NDArray[np.int8]
    found: Detections
    noise: float
    drift: tuple[float, float]
    """px, since the frame before."""
    walk: float
    """px^2, variance of a particle's step since then."""
    rows: Rows | None = None
    """Final ones."""
    strong: _Strong | None = None


@dataclass(slots=True, eq=False)
class _Case:
    """A track that began or ended, and what is known of it by now."""

    event: Rows
    """(1,) as it looked at first."""
    way: int
    """0: back to its birth, 1: on to its end."""
    end: Rows | None = None
    """(1,) the row from which it is looked beyond."""
    odds: list[Values] = field(default_factory=list)
    """`faint.radius_odds` of its frames, and when they were."""
    times: list[int] = field(default_factory=list)
    windows: list[npt.NDArray[np.float32]] = field(default_factory=list)
    middles: list[tuple[int, int]] = field(default_factory=list)
    moves: list[tuple[float, float]] = field(default_factory=list)
    walks: list[float] = field(default_factory=list)
    units: list[float] = field(default_factory=list)
    """Height of a particle that absorbs all, standard deviations of the noise."""
    numbers: list[int] = field(default_factory=list)
    place: tuple[float, float] = (0.0, 0.0)
    """Where the field has carried its end to."""
    sign: float = 1.0
    """-1: it lies below the background where others lie above."""
    is_dark: bool = True
    is_over: bool = False

    @property
    def particle(self) -> int:
        return int(self.event["particle"][0])


@lru_cache(maxsize=4)
def _gaussians(profile: Profile) -> tuple[Values, Values]:
    """Of particles of all radii: variances and heights."""
    s2, tall = np.ascontiguousarray(faint.gaussians(profile, np.geomspace(*RADII)).T)
    return s2, tall


class Hindsight:
    """Looks back at tracks that began and on beyond those that ended.

    Nucleations, dissolutions and losses are told later than they look so: `LINE` [0] frames after a track
    began, `BEYOND` [1] after it ended, and the linker's own lag. All other events pass at once.

    Parameters
    ----------
    detector : that finds the particles.
    """

    def __init__(self, detector: Detector) -> None:
        h, w = detector.shape
        self._frames: list[_Frame] = []
        self._depth = max(1, min(FRAMES, BYTES // (h * w)))
        self._cases: list[_Case] = []
        self._told: list[Rows] = []
        self._ended: dict[int, int] = {}
        self.look_for(detector)

    def look_for(self, detector: Detector) -> None:
        """Particles that another detector of the same frames finds, from now on."""
        self._profile, options = detector.profile, detector.options
        self._reach = REACH * math.sqrt(self._profile.variance)
        self._seed = SEED * options.blur
        self._is_both = options.polarity == "both"
        self._radii = np.geomspace(*RADII)
        self._logs = np.log(self._radii)
        self._s2, self._tall = _gaussians(self._profile)
        self._absorption, self._is_dark = 0.0, True

    def see(self, found: Found, update: TrackUpdate, walk: float) -> Rows:
        """Take in a frame and what the linker made of it; the events (n,) of `EVENT` that are known by now.

        Parameters
        ----------
        found : with its `Found.rest`.
        walk : px^2, variance of a particle's step since the last frame.
        """
        if found.rest is None:
            return update.events
        self._learn(found.detections)
        self._frames.append(
            _Frame(update.frame, found.rest, found.detections, found.noise, update.drift, max(walk, 0.05))
        )
        del self._frames[: -self._depth]
        each = [update.events[k : k + 1] for k in range(len(update.events))]
        now = [event for event in each if not self._is_taken(event)]
        self._settle(self._cases, update.final, update.settled)
        now += [told for case in self._cases if case.is_over for told in self._decide(case)]
        self._cases = [case for case in self._cases if not case.is_over]
        return np.concatenate([np.zeros(0, EVENT), *now])

    def finish(self, rest: Rows, settled: tuple[int, ...]) -> Rows:
        """The events (n,) of what is still open, as if no more frames came; changes nothing.

        Parameters
        ----------
        rest, settled : of `Linker.finish`.
        """
        twin = Hindsight.__new__(Hindsight)
        twin.__dict__ |= self.__dict__
        twin._frames = [replace(frame) for frame in self._frames]
        twin._told, twin._ended = list(self._told), dict(self._ended)
        cases = deepcopy(self._cases)
        twin._settle(cases, rest, settled)
        return np.concatenate([np.zeros(0, EVENT), *(told for case in cases for told in twin._decide(case))])

    def _learn(self, found: Detections) -> None:
        """How much a particle absorbs, or shines, by its radius."""
        alone = found["flags"] & (Flag.WEAK | Flag.EDGE | Flag.OVERLAPPING) == 0
        sure = found[alone & (found["score"] > SURE)]
        if not len(sure):
            return
        height = np.clip(np.abs(sure["contrast"].astype(np.float64)), 0, 0.95)
        dark = sure["contrast"] < 0
        self._is_dark = bool(np.median(sure["contrast"]) < 0)
        value = TALL * float(np.median(np.where(dark, -np.log1p(-height), height) / sure["radius"]))
        share = LEARNING if self._absorption else 1.0
        self._absorption += share * (value - self._absorption)

    def _is_taken(self, event: Rows) -> bool:
        """Whether an event is looked into before it is told."""
        kind = int(event["kind"][0])
        ways = {EventKind.NUCLEATION: 0, EventKind.DISSOLUTION: 1, EventKind.LOST: 1}
        if kind not in ways or not self._absorption or len(self._cases) >= CASES:
            return False
        self._cases.append(_Case(event.copy(), ways[EventKind(kind)]))
        return True

    def _settle(self, cases: list[_Case], final: Rows, settled: tuple[int, ...]) -> None:
        """Take the final rows of frames into the open cases."""
        places = {frame.number: k for k, frame in enumerate(self._frames)}
        for number in settled:
            rows = final[final["frame"] == number]
            self._ended |= dict.fromkeys(rows["particle"].tolist(), number)
            if (k := places.get(number)) is None:
                continue
            self._frames[k].rows, self._frames[k].strong = rows, self._strong(self._frames[k], rows)
            for case in cases:
                if not case.is_over:
                    self._go_on(case, k)
        if len(self._ended) > 4 * max(len(final), 1000) and self._frames:
            oldest = self._frames[0].number
            self._ended = {p: last for p, last in self._ended.items() if last >= oldest}

    def _go_on(self, case: _Case, k: int) -> None:
        """What the k-th frame that is remembered, just settled, adds to a case."""
        if case.way == 0:
            self._go_back(case, k)
        elif case.end is not None:
            self._look(case, k, 1)
            case.is_over = len(case.windows) >= BEYOND[1]
        elif self._frames[k].number >= case.event["frame"][0]:
            self._leave(case, k)

    def _go_back(self, case: _Case, k: int) -> None:
        """A particle that came: from its first row back at once, and on along its track."""
        own = self._own(k, case.particle)
        if own is None:
            case.is_over = case.end is not None or self._frames[k].number > case.event["told"][0]
            return
        if case.end is None:
            self._start(case, k, own)
            for j in range(k - 1, max(k - 1 - BEYOND[0], -1), -1):
                self._look(case, j, -1)
        self._weigh(case, k, own)
        case.is_over = len(case.times) >= LINE[0]

    def _leave(self, case: _Case, k: int) -> None:
        """A particle that is gone: back along its track at once, and on from its last row."""
        last = self._ended.get(case.particle)
        at = next((j for j in range(k, -1, -1) if self._frames[j].number == last), None)
        own = None if at is None else self._own(at, case.particle)
        if at is None or own is None or own["age"][0] < LEAST_LINE:
            case.is_over = True
            return
        self._start(case, at, own)
        for j in range(at, max(at - LINE[1], -1), -STRIDE):
            if (row := self._own(j, case.particle)) is not None:
                self._weigh(case, j, row)
        for j in range(at + 1, k + 1):
            self._look(case, j, 1)

    def _own(self, k: int, particle: int) -> Rows | None:
        """(1,) the row of a particle in the k-th frame."""
        rows = self._frames[k].rows
        if rows is None:
            return None
        at = np.flatnonzero(rows["particle"] == particle)
        return rows[at[:1]] if len(at) else None

    def _start(self, case: _Case, k: int, end: Rows) -> None:
        case.end = end
        case.place = float(end["y"][0]), float(end["x"][0])
        case.middles.append((round(case.place[0]), round(case.place[1])))
        found, j = self._frames[k].found, int(end["detection"][0])
        case.is_dark = self._is_dark
        if self._is_both and 0 <= j < len(found):
            case.is_dark = bool(found["contrast"][j] < 0)
            case.sign = -1.0 if case.is_dark else 1.0

    def _look(self, case: _Case, k: int, way: int) -> None:
        """Cut out where the particle may be in the k-th frame, the next of those beyond its track."""
        later = self._frames[k] if way > 0 else self._frames[k + 1]
        step = way * later.drift[0], way * later.drift[1]
        before = case.middles[-1]
        case.place = case.place[0] + step[0], case.place[1] + step[1]
        middle = round(case.place[0]), round(case.place[1])
        window, unit = self._window(case, self._frames[k], *middle)
        case.middles.append(middle)
        case.moves.append((step[0] - middle[0] + before[0], step[1] - middle[1] + before[1]))
        case.windows.append(window)
        case.units.append(unit)
        case.walks.append(later.walk)
        case.numbers.append(self._frames[k].number)

    def _window(self, case: _Case, frame: _Frame, cy: int, cx: int) -> tuple[npt.NDArray[np.float32], float]:
        """(SIDE, SIDE) of what is left of a frame without the particles that others are, and the root of the
        background there, both in standard deviations of the noise."""
        assert frame.strong is not None
        assert case.end is not None
        strong, end = frame.strong, int(case.end["frame"][0])
        window = np.empty((faint.SIDE, faint.SIDE), np.float32)
        elsewhere = strong.first > end if case.way else self._lasts(strong.particle) < end
        faint.cut(
            frame.rest, cy, cx, 1 / REST, strong.drawn, elsewhere | (strong.particle == case.particle),
            self._profile.table, *self._profile.rule, self._reach, window,
        )  # fmt: skip
        found = frame.found
        if not len(found):
            return window, 0.0
        nearest = np.argmin((found["y"] - cy) ** 2 + (found["x"] - cx) ** 2)
        return case.sign * window, math.sqrt(float(found["background"][nearest])) / frame.noise

    def _lasts(self, particles: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Frames in which they were seen last; those that are none, before all."""
        return np.array([self._ended.get(p, -1) for p in particles.tolist()], np.int64)

    def _strong(self, frame: _Frame, rows: Rows) -> _Strong:
        """The particles that are not in what is left of a frame."""
        found = frame.found
        at = np.flatnonzero(found["flags"] & Flag.WEAK == 0)
        one, owner = found[at], np.full(len(found), -1)
        seen = np.flatnonzero((rows["detection"] >= 0) & (rows["detection"] < len(found)))
        owner[rows["detection"][seen]] = seen
        mine = owner[at]
        depth = np.abs(one["contrast"].astype(np.float64))
        radius = one["radius"] / (1 - FLAT * np.clip(depth, 0, 1) * (one["contrast"] < 0))
        sign = np.sign(one["contrast"]) if self._is_both else 1.0
        height = sign * depth * np.sqrt(one["background"]) / max(frame.noise, 1e-9)
        drawn = np.column_stack([one["y"], one["x"], height, np.log(radius)]).astype(np.float64)
        first = np.full(len(at), np.iinfo(np.int64).max)
        particle = np.full(len(at), -1)
        first[mine >= 0] = (rows["frame"] - rows["age"])[mine[mine >= 0]]
        particle[mine >= 0] = rows["particle"][mine[mine >= 0]]
        return _Strong(np.ascontiguousarray(drawn), particle, first)

    def _weigh(self, case: _Case, k: int, own: Rows) -> None:
        """Which radius the k-th frame tells of the tracked particle, at the place that the others tell."""
        frame, row = self._frames[k], own[0]
        y, x, variance = float(row["y"]), float(row["x"]), max(float(row["variance"]), 0.02)
        if row["sight"] != Sight.MISSED and 0 <= row["detection"] < len(frame.found):
            one = frame.found[row["detection"]]
            noise = 0.5 * float(one["var_y"] + one["var_x"])
            other = 1 / variance - 1 / noise if noise > 0 else 0.0
            if other > 1 / 3:
                y = (y / variance - float(row["measured_y"]) / noise) / other
                x = (x / variance - float(row["measured_x"]) / noise) / other
            variance = 1 / max(other, 1 / 3)
        cy, cx = round(float(row["y"])), round(float(row["x"]))
        window, unit = self._window(case, frame, cy, cx)
        odds = np.empty(len(self._radii))
        dy, dx = min(max(y - cy, -3.0), 3.0), min(max(x - cx, -3.0), 3.0)
        faint.radius_odds(
            window, dy, dx, min(max(variance, 0.1), 3.0), self._s2, self._heights(case, unit), odds
        )
        case.odds.append(odds)
        case.times.append(frame.number)

    def _heights(self, case: _Case, unit: float) -> Values:
        """Gaussians of particles of all radii, standard deviations of the noise."""
        depth = self._absorption * self._radii
        return np.asarray(self._tall * unit * (1 - np.exp(-depth) if case.is_dark else depth))

    def _decide(self, case: _Case) -> list[Rows]:
        """What is to be told of a case: (1,) of `EVENT`, or nothing."""
        told = self._judged(case)
        if told is None or self._is_known(told):
            return []
        told["told"] = self._frames[-1].number
        self._told = [*self._told[-CASES:], told]
        return [told]

    def _is_known(self, event: Rows) -> bool:
        one = event[0]
        for (other,) in self._told:
            near = math.hypot(other["y"] - one["y"], other["x"] - one["x"]) < SAME[1]
            if other["kind"] == one["kind"] and near and abs(other["frame"] - one["frame"]) <= SAME[0]:
                return True
        return False

    def _judged(self, case: _Case) -> Rows | None:
        way, n, told = case.way, len(case.windows), case.event.copy()
        odds = None if case.end is None or not case.times else self._posterior(case)
        if odds is None:
            told["kind"] = told["kind"] if way == 0 else EventKind.LOST
            return told if way or n else None
        chance, places = odds
        steps = np.arange(n + 1)
        mean = float(chance @ steps)
        spread = math.sqrt(max(float(chance @ steps**2) - mean**2, 0.0))
        beyond = float(chance[-2:].sum())
        if way == 0 and (beyond > NOT_SEEN[0] or n - mean < 2.5):
            return None
        if way == 1 and (beyond > NOT_SEEN[1] or spread > VAGUE or n - mean < 2.5):
            told["kind"] = EventKind.LOST
            return told
        best = int(np.argmax(np.convolve(chance, np.ones(5), "same")))
        numbers = [int(case.end["frame"][0]), *case.numbers] if case.end is not None else case.numbers
        told["kind"] = EventKind.DISSOLUTION if way else EventKind.NUCLEATION
        told["frame"] = numbers[min(best + way, n)]
        told["y"], told["x"] = places[best]
        told["radius"] = self._seed
        told["confidence"] = float(chance[max(best - 3, 0) : best + 4].sum())
        return told

    def _posterior(self, case: _Case) -> tuple[Values, Values] | None:
        """Probability (n + 1,) that the particle is in just the first k frames beyond its track, and its
        places (n + 1, 2) then, by the most likely line."""
        assert case.end is not None
        n, end, way = len(case.windows), case.end[0], case.way
        if n == 0:
            return None
        rates = RATES[way]
        lines = np.empty((len(rates), len(ENDS)))
        times = np.abs(np.array(case.times, np.float64) - float(end["frame"]))
        step = float(self._logs[1] - self._logs[0])
        faint.line_odds(np.array(case.odds), times, float(self._logs[0]), step, rates, ENDS, lines)
        windows, middles = np.array(case.windows), np.array(case.middles)
        ago = np.abs(np.array([int(end["frame"]), *case.numbers], np.float64) - float(end["frame"]))
        y, x = float(end["y"]) - middles[0, 0], float(end["x"]) - middles[0, 1]
        weights = np.full((len(rates), n + 1), -np.inf)
        best, where = -np.inf, np.zeros((n + 1, 2))
        for a, rate in enumerate(rates):
            top = lines[a].max()
            if top < lines.max() - UNLIKELY:
                continue
            share = np.exp(lines[a] - top)
            radius = float(share @ ENDS / share.sum())
            unsure = float(share @ (ENDS - radius) ** 2 / share.sum())
            radii = radius - rate * ago
            logs = np.log(np.maximum(radii[1:], RADII[0]))
            depth = self._absorption * np.maximum(radii[1:], RADII[0])
            heights = (1 - np.exp(-depth) if case.is_dark else depth) * np.array(case.units)
            heights *= np.interp(logs, self._logs, self._tall)
            there, places = np.zeros(n + 1), np.zeros((n + 1, 2))
            places[0] = y, x
            faint.presence(
                windows, y, x, max(float(end["variance"]), 0.05), np.array(case.moves), np.array(case.walks),
                np.interp(logs, self._logs, self._s2), heights, HIDDEN[way], there[1:], places[1:],
            )  # fmt: skip
            prior = (radii - self._seed) ** 2 / (2 * (SEED_SPREAD[way] ** 2 + unsure))
            weights[a] = top + math.log(share.sum()) + there - prior
            if weights[a].max() > best:
                best, where = float(weights[a].max()), places + middles
        chance = np.exp(weights - best).sum(axis=0)
        return chance / chance.sum(), where
