"""Original pixels of the frame that is shown, where its picture has fewer: under the mouse, and of what is
looked at closely.

Frames of a whole camera come to a window as a picture of some 500 px. The session still has the frame itself;
it is asked for the part that is wanted, one question under way at a time. Knows no window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ...kernels.cutouts import Cutout
from ...stream.results import Result
from .commands import Commands, Outcome, Question
from .geometry import Point
from .held import HELD, Moment, moment_of
from .session import Session, frame_factor, frame_shape

PERIOD_S, READ_S = 0.1, 0.2
"""Between two questions about live frames: ten pictures a second, or five read-outs."""
REST_S = 0.1
"""So long the mouse stands on a picture before anybody is asked."""
AGAIN_S = 0.3
"""Between two questions while the session's process for it begins."""
REFUSED_S = 10.0
"""Until a session that does not know the question is asked again."""
FRESH_S = 0.6
"""So old a part may be that is shown in place of a live frame; then the whole picture is shown again."""
REACH = 16
"""px about the mouse that come at once, so that it may move a little."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of one frame, as it came."""

    result: Result
    moment: Moment
    wanted: Cutout
    at: float

    def has(self, point: Point) -> bool:
        """Whether a pixel (y, x) is in it."""
        rows, columns = self.wanted.place
        y, x = round(point[0]), round(point[1])
        return bool(rows.start <= y < rows.stop and columns.start <= x < columns.stop)


class Finer:
    """See the module.

    Parameters
    ----------
    session
        What the window knows.
    commands
        Where questions go.
    clock
        Monotonic seconds.
    """

    def __init__(self, session: Session, commands: Commands, clock: Callable[[], float]) -> None:
        self._session, self._commands, self._clock = session, commands, clock
        self.is_served = False
        """Whether live parts come by themselves, as they do to a window elsewhere."""
        self._view: Cutout | None = None
        self._point: Point | None = None
        self._rested_at = self._next = -1e9
        self._under_way: tuple[Moment, Cutout] | None = None
        self._missing: tuple[Moment, Cutout] | None = None
        self._seen: Part | None = None
        self._pointed: Part | None = None

    # -- what the window shows ---------------------------------------------------------------------

    def look(self, view: Cutout | None, point: Point | None) -> None:
        """What is looked at closely (None: the frame as a whole), and the pixel (y, x) under the mouse."""
        if point != self._point:
            self._point, self._rested_at = point, self._clock()
        self._view = view

    def shown(self) -> Result | None:
        """The part of a frame to show in place of its smaller picture; None: there is none."""
        frame, seen, wanted = self._session.frame, self._seen, self._wanted_view()
        if frame is None or seen is None or wanted != seen.wanted:
            return None
        if self._is_held(frame):
            return seen.result if moment_of(frame) == seen.moment else None
        is_fresh = self._clock() - seen.at < FRESH_S or self._is_last(frame, seen)
        return seen.result if seen.moment[0] == frame.series and is_fresh else None

    def under(self, point: Point) -> Result | None:
        """The original pixels at a point (y, x): of the frame that is shown, or, live, of one just before."""
        part, frame = self._pointed, self._session.frame
        if part is None or frame is None or not part.has(point):
            return None
        if self._is_held(frame):
            return part.result if part.moment == moment_of(frame) else None
        is_fresh = self._clock() - part.at < FRESH_S or self._is_last(frame, part)
        return part.result if part.moment[0] == frame.series and is_fresh else None

    # -- the session's side ------------------------------------------------------------------------

    def tick(self, reachable: bool) -> None:
        """Ask what is due, where a session can be asked."""
        now, frame = self._clock(), self._session.frame
        moment = None if frame is None else moment_of(frame)
        if not reachable:
            self._under_way = None
        if not reachable or frame is None or moment is None or self._under_way or now < self._next:
            return
        for wanted, known in self._wishes(frame, now):
            here = None if known is None else (known.moment, known.wanted)
            if (moment, wanted) not in (here, self._missing):
                self._ask(frame, moment, wanted)
                return

    def answered(self, outcome: Outcome) -> bool:
        """Take the answer to a question of this kind; True when it was one."""
        if not isinstance(outcome.change, Question) or outcome.change.do != "pixels":
            return False
        under_way, self._under_way = self._under_way, None
        now, answer = self._clock(), outcome.answer
        self._next = now + (READ_S if self._wanted_view() is None else PERIOD_S)
        if outcome.error is not None:
            self._next = now + REFUSED_S
        elif answer.get("starting"):
            self._next = now + AGAIN_S
        elif under_way is not None:
            self._take(answer.get("result"), *under_way, now)
        return True

    def _take(self, result: object, moment: Moment, wanted: Cutout, now: float) -> None:
        if not isinstance(result, Result) or moment_of(result) != moment:
            self._missing = moment, wanted
            return
        if self._session.held is not None:
            result = replace(result, attrs={**result.attrs, HELD: True})
        part = Part(result, moment, wanted, now)
        if wanted == self._wanted_view():
            self._seen = part
        else:
            self._pointed = part

    def _wishes(self, frame: Result, now: float) -> list[tuple[Cutout, Part | None]]:
        """What to ask for, the most wanted first, each with what is known of it."""
        wishes: list[tuple[Cutout, Part | None]] = []
        view, point = self._wanted_view(), self._point
        fineness = frame_factor(frame) if view is None else view.factor
        if point is not None and fineness > 1 and now - self._rested_at >= REST_S:
            part = self._pointed
            there = part is not None and part.has(point)
            wishes.append((part.wanted if part is not None and there else _about(point, frame), part))
        if view is not None:
            is_new = self._seen is None or self._seen.wanted != view
            wishes.insert(0 if is_new else len(wishes), (view, self._seen))
        return wishes

    def _wanted_view(self) -> Cutout | None:
        """What is looked at more closely than the frame's picture can show, and does not come by itself."""
        frame, view = self._session.frame, self._view
        if frame is None or view is None or (self.is_served and not self._is_held(frame)):
            return None
        return view if view.factor < frame_factor(frame) else None

    def _ask(self, frame: Result, moment: Moment, wanted: Cutout) -> None:
        key, index = moment
        fields = {"epoch": key.epoch, "series": key.number, "index": index, "part": wanted.plain()}
        self._under_way = moment, wanted
        self._commands.pose(Question("pixels", {**fields, "consumer": frame.topic.partition(".")[0]}))

    def _is_held(self, frame: Result) -> bool:
        return bool(frame.attrs.get(HELD))

    def _is_last(self, frame: Result, part: Part) -> bool:
        """Whether no newer frame has come since."""
        return moment_of(frame) == part.moment


def _about(point: Point, frame: Result) -> Cutout:
    """The pixels about one (y, x), as far as the frame goes."""
    h, w = frame_shape(frame)
    y, x = (min(max(round(place), 0), length - 1) for place, length in zip(point, (h, w), strict=True))
    return Cutout(max(0, y - REACH), max(0, x - REACH), min(h, y + REACH), min(w, x + REACH), 1)
