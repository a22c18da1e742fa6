"""When a particle came to be, and when it was gone, told with hindsight.

A particle is found long after its birth and is lost long before its end, while it is below the noise. Its
radius against time is a straight line; along it the frames themselves say how far it goes. Both weigh against
each other; a particle is born and dissolves at the radius at which its image is no longer told from a point's
(`courses`). Here what they are asked for is collected: frames, places, and what others left of them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from . import before_detection as faint
from .courses import TALL, Case, Courses
from .detect import REACH, REST, Detector
from .link import TrackUpdate
from .rows import FLAT
from .table import Detections, Flag
from .tracks import DEPTH, EVENT, EventKind, Rows, Sight
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
AT_ONCE = 4
"""Frames of a line that are weighed when a frame comes: of a track that is gone they are all in the past."""
CASES = 32
"""That are open at a time; more are told as they look at first."""
DECIDED = 2
"""Of them in a frame; more wait for the next one."""
SURE = 6.0
"""Score of particles that tell how tall those of a size are."""
ENOUGH = 128
"""Of them in a frame."""
LEARNING = 0.1
SEEN_LAST = 1 << 14
"""Particles of which is known when they were seen last; later ones take the place of earlier ones."""
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
    wanted: npt.NDArray[np.bool_]
    """(n,) room."""
    roots: Values
    """(m, 3) y, x and root of the background, in standard deviations of the noise, of all detections."""


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
        self._cases: list[Case] = []
        self._told: list[Rows] = []
        self._lasts = np.full((SEEN_LAST, 2), -1, np.int64)
        self.look_for(detector)

    def look_for(self, detector: Detector) -> None:
        """Particles that another detector of the same frames finds, from now on."""
        self._profile, options = detector.profile, detector.options
        self._reach = REACH * math.sqrt(self._profile.variance)
        self._is_both = options.polarity == "both"
        self._courses, self._is_dark = Courses(self._profile, options.blur), True

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
        ready = [case for case in self._cases if case.is_over][:DECIDED]
        now += [told for case in ready for told in self._decide(case)]
        self._cases = [case for case in self._cases if not any(case is one for one in ready)]
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
        twin._told, twin._courses, twin._lasts = list(self._told), self._courses.copy(), self._lasts.copy()
        cases = deepcopy(self._cases)
        twin._settle(cases, rest, settled)
        for case in cases:
            twin._catch_up(case, len(case.waiting))
        return np.concatenate([np.zeros(0, EVENT), *(told for case in cases for told in twin._decide(case))])

    def _learn(self, found: Detections) -> None:
        """How much a particle absorbs, or shines, by its radius."""
        count = int(np.count_nonzero(found["score"] > SURE))
        sure = found[: count : max(1, count // ENOUGH)]
        sure = sure[sure["flags"] & (Flag.WEAK | Flag.EDGE | Flag.OVERLAPPING) == 0]
        if not len(sure):
            return
        height = np.minimum(np.abs(sure["contrast"].astype(np.float64)), 0.95)
        dark = sure["contrast"] < 0
        self._is_dark = bool(2 * np.count_nonzero(dark) > len(sure))
        shares = np.where(dark, -np.log1p(-height), height) / sure["radius"]
        value = TALL * float(np.sort(shares)[len(shares) // 2])
        share = LEARNING if self._courses.absorption else 1.0
        self._courses.absorption += share * (value - self._courses.absorption)

    def _is_taken(self, event: Rows) -> bool:
        """Whether an event is looked into before it is told."""
        kind = int(event["kind"][0])
        ways = {EventKind.NUCLEATION: 0, EventKind.DISSOLUTION: 1, EventKind.LOST: 1}
        if kind not in ways or not self._courses.absorption or len(self._cases) >= CASES:
            return False
        self._cases.append(Case(event.copy(), ways[EventKind(kind)]))
        return True

    def _settle(self, cases: list[Case], final: Rows, settled: tuple[int, ...]) -> None:
        """Take the final rows of frames into the open cases."""
        places = {frame.number: k for k, frame in enumerate(self._frames)}
        for number in settled:
            rows = final[final["frame"] == number]
            faint.last_seen(np.ascontiguousarray(rows["particle"]), number, self._lasts)
            if (k := places.get(number)) is None:
                continue
            self._frames[k].rows, self._frames[k].strong = rows, self._strong(self._frames[k], rows)
            for case in cases:
                if not case.is_over:
                    self._go_on(case, k)

    def _go_on(self, case: Case, k: int) -> None:
        """What the k-th frame that is remembered, just settled, adds to a case."""
        if case.way == 0:
            self._go_back(case, k)
        elif case.end is not None:
            self._look(case, k, 1)
            self._catch_up(case, AT_ONCE)
            case.is_over = len(case.windows) >= BEYOND[1]
        elif self._frames[k].number >= case.event["frame"][0]:
            self._leave(case, k)

    def _go_back(self, case: Case, k: int) -> None:
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

    def _leave(self, case: Case, k: int) -> None:
        """A particle that is gone: back along its track at once, and on from its last row."""
        at = k
        while (own := self._own(at, case.particle)) is None and at > max(k - DEPTH, 0):
            at -= 1
        if own is None or own["age"][0] < LEAST_LINE:
            case.is_over = True
            return
        self._start(case, at, own)
        case.waiting = [self._frames[j].number for j in range(at, max(at - LINE[1], -1), -1)]
        for j in range(at + 1, k + 1):
            self._look(case, j, 1)
        self._catch_up(case, AT_ONCE)

    def _catch_up(self, case: Case, most: int) -> None:
        """Weigh frames of the line of a particle that is gone, the oldest first: they are forgotten first."""
        oldest = self._frames[0].number
        while case.waiting and most > 0:
            number = case.waiting.pop()
            if number < oldest:
                continue
            k = bisect_left(self._frames, number, key=lambda frame: frame.number)
            if (row := self._own(k, case.particle)) is not None:
                self._weigh(case, k, row)
                most -= 1
        if not case.waiting:
            self._courses.weigh_line(case)

    def _own(self, k: int, particle: int) -> Rows | None:
        """(1,) the row of a particle in the k-th frame."""
        rows = self._frames[k].rows
        if rows is None:
            return None
        at = np.flatnonzero(rows["particle"] == particle)
        return rows[at[:1]] if len(at) else None

    def _start(self, case: Case, k: int, end: Rows) -> None:
        case.end = end
        case.place = float(end["y"][0]), float(end["x"][0])
        case.middles.append((round(case.place[0]), round(case.place[1])))
        found, j = self._frames[k].found, int(end["detection"][0])
        case.is_dark = self._is_dark
        if self._is_both and 0 <= j < len(found):
            case.is_dark = bool(found["contrast"][j] < 0)
            case.sign = -1.0 if case.is_dark else 1.0

    def _look(self, case: Case, k: int, way: int) -> None:
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

    def _window(self, case: Case, frame: _Frame, cy: int, cx: int) -> tuple[npt.NDArray[np.float32], float]:
        """(SIDE, SIDE) of what is left of a frame without the particles that others are, and the root of the
        background there, both in standard deviations of the noise."""
        assert frame.strong is not None
        assert case.end is not None
        strong, end = frame.strong, int(case.end["frame"][0])
        window, far = np.empty((faint.SIDE, faint.SIDE), np.float32), faint.SIDE // 2 + self._reach
        faint.not_beside(
            strong.drawn, strong.particle, strong.first, self._lasts, cy, cx, far, case.particle, end,
            case.way, strong.wanted,
        )  # fmt: skip
        faint.cut(
            frame.rest, cy, cx, 1 / REST, strong.drawn, strong.wanted, self._profile.table,
            *self._profile.rule, self._reach, window,
        )  # fmt: skip
        if case.sign < 0:
            window *= -1
        return window, faint.nearest_value(strong.roots, cy, cx)

    def _strong(self, frame: _Frame, rows: Rows) -> _Strong:
        """The particles that are not in what is left of a frame: the first detections, by falling score."""
        found = frame.found
        n = int(np.count_nonzero(found["flags"] & Flag.WEAK == 0))
        one, contrast = found[:n], found["contrast"][:n].astype(np.float64)
        noise, depth = max(frame.noise, 1e-9), np.abs(contrast)
        roots = np.empty((len(found), 3))
        roots[:, 0], roots[:, 1] = found["y"], found["x"]
        roots[:, 2] = np.sqrt(found["background"]) / noise
        drawn = np.empty((n, 4))
        drawn[:, 0], drawn[:, 1] = roots[:n, 0], roots[:n, 1]
        drawn[:, 2] = (np.sign(contrast) if self._is_both else 1.0) * depth * roots[:n, 2]
        drawn[:, 3] = np.log(one["radius"] / (1 - FLAT * np.minimum(depth, 1) * (contrast < 0)))
        first, particle = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
        at = rows["detection"]
        seen = (at >= 0) & (at < n)
        first[at[seen]] = rows["frame"][seen] - rows["age"][seen]
        particle[at[seen]] = rows["particle"][seen]
        return _Strong(drawn, particle, first, np.zeros(n, np.bool_), roots)

    def _weigh(self, case: Case, k: int, own: Rows) -> None:
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
        of = self._courses
        odds, heights = np.empty(len(of.radii)), of.heights(of.radii, of.tall, unit, case.is_dark)
        dy, dx = min(max(y - cy, -3.0), 3.0), min(max(x - cx, -3.0), 3.0)
        faint.radius_odds(window, dy, dx, min(max(variance, 0.1), 3.0), of.s2, heights, odds)
        case.odds.append(odds)
        case.times.append(frame.number)

    def _decide(self, case: Case) -> list[Rows]:
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

    def _judged(self, case: Case) -> Rows | None:
        way, n, told = case.way, len(case.windows), case.event.copy()
        self._catch_up(case, len(case.waiting))
        odds = None if case.end is None else self._courses.posterior(case)
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
        best = int(np.argmax(np.convolve(chance, np.ones(7), "same")))
        numbers = [int(case.end["frame"][0]), *case.numbers] if case.end is not None else case.numbers
        told["kind"] = EventKind.DISSOLUTION if way else EventKind.NUCLEATION
        told["frame"] = numbers[min(best + way, n)]
        told["y"], told["x"] = places[best]
        told["radius"] = self._courses.seed
        told["confidence"] = float(chance[max(best - 3, 0) : best + 4].sum())
        return told
