"""Where in time the window is: live, frozen, or looking back at a frame that the session still has.

Live goes on meanwhile: nothing here is asked of ingest or of an analysis. Frames come by questions to the
session, one under way at a time; what is shown stays until the answer is here. Knows no window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from ...stream.results import Result
from .clip import ClipMarks
from .commands import Commands, Outcome, Question
from .held import Moment, moment_of
from .numbers import count_text
from .past_frames import Mark, PastFrames, parse_past
from .session import Session

State = Literal["live", "frozen", "rewind"]
ASK_S = 0.5
"""Between two questions what there is: 5 to 40 kB each."""
MOST_HAPPENINGS = 200
NEAR_S = 0.5
"""So much earlier than the frame that is shown the one may be that freezing takes, for its estimates."""
AGAIN_S = 0.2
"""Between two questions for a frame while the session's process for it begins."""
PATIENCE_S = 15.0
"""So long a frame is asked for again if no answer comes: under load the first one is slow."""


class Playhead:
    """Freeze, rewind, step, and back to live.

    Parameters
    ----------
    session
        What the window knows; told which moment it is to show.
    commands
        Where questions go.
    clock
        Monotonic seconds.
    """

    def __init__(self, session: Session, commands: Commands, clock: Callable[[], float]) -> None:
        self._session, self._commands, self._clock = session, commands, clock
        self.state: State = "live"
        self.past: PastFrames | None = None
        """What the session said last that it still has."""
        self.notice = ""
        """Why the frame that was asked for is not shown."""
        self.clip = ClipMarks(commands)
        self.happened: tuple[Mark, ...] = ()
        """What a tracker saw happen in the newest series, as far as the session has it."""
        self._heard_at = 0.0
        self._asked_at = self._again_at = self._wanted_at = -1e9
        self._under_way = False
        self._running: tuple[Result, ...] = ()
        self._wanted: tuple[Moment, int] | None = None
        """The frame that is to be shown, and where to look where it is missing."""

    # -- where we are --------------------------------------------------------------------------------

    @property
    def moment(self) -> Moment | None:
        """The frame that is shown in place of the live one."""
        return None if self._session.held is None else self._session.held.moment

    @property
    def target(self) -> Moment | None:
        """The frame that is shown, or is going to be."""
        return self.moment if self._wanted is None else self._wanted[0]

    @property
    def is_waiting(self) -> bool:
        """Whether a frame is on its way."""
        return self._wanted is not None

    @property
    def here(self) -> Moment | None:
        """The frame that is shown, live or not."""
        frame = self._session.live_frame
        return self.moment or (None if frame is None else moment_of(frame))

    def now_ns(self) -> int | None:
        """The session's clock; None before it was heard."""
        if self.past is None:
            return None
        return self.past.now_ns + round(1e9 * (self._clock() - self._heard_at))

    def behind_s(self) -> float | None:
        """How long ago the frame came that is shown; None while live, or where that is not known any more."""
        now, moment = self.now_ns(), self.moment
        if now is None or moment is None or self.past is None:
            return None
        stretch = self.past.of(moment[0])
        return None if stretch is None else max(0.0, (now - stretch.time_of(moment[1])) / 1e9)

    @property
    def has_left(self) -> bool:
        """Whether the frame that is held was overwritten meanwhile: it stays as long as it is looked at."""
        if self.moment is None or self.past is None:
            return False
        stretch = self.past.of(self.moment[0])
        return stretch is None or self.moment[1] < stretch.first

    # -- what the user wants -------------------------------------------------------------------------

    def toggle(self) -> None:
        """Freeze, or back to live."""
        if self.state == "live":
            self.freeze()
        else:
            self.live()

    def freeze(self) -> None:
        """Keep what is shown: of the last frames the one that most is there of, if it came just before."""
        frame = self._session.live_frame
        shown = None if frame is None else moment_of(frame)
        if self.state != "live" or frame is None or shown is None:
            return
        recent = self._session.recent
        fullest = recent.fullest(shown[0])
        moment = fullest if fullest is not None and self._is_near(fullest, shown) else shown
        pictures = [r for r in recent.of(moment).values() if r.topic == frame.topic]
        self.state, self._running = "frozen", self._session.running
        if pictures:
            self._hold(pictures[0], moment)
        else:
            self._hold(frame, shown)
            self._want(moment, 0)
        self._begin()

    def _is_near(self, moment: Moment, shown: Moment) -> bool:
        stretch = None if self.past is None else self.past.of(shown[0])
        if stretch is None:
            return False
        return stretch.time_of(shown[1]) - stretch.time_of(moment[1]) <= NEAR_S * 1e9

    def live(self) -> None:
        """What comes is shown again."""
        self._session.release()
        self.state, self._wanted, self.notice = "live", None, ""

    def seek(self, key_and_index: Moment, toward: int = 0) -> None:
        """Look at a frame; where it is missing at the nearest one before (``toward`` < 0) or behind it."""
        if self.state == "live":
            self.freeze()
        if self.state != "live":
            self.state = "rewind"
            self._want(key_and_index, toward)

    def seek_time(self, t_ns: int) -> None:
        """Look at the frame that came last by then."""
        moment = None if self.past is None else self.past.at(t_ns)
        if moment is not None:
            self.seek(moment, -1)

    def step(self, frames: int) -> None:
        """So many frames further on, or back."""
        here = self.target or self.here
        beside = None if here is None or self.past is None else self.past.beside(*here, frames)
        if beside is not None:
            self.seek(beside, 1 if frames > 0 else -1)
        elif self.state == "live":
            self.freeze()

    def oldest(self) -> None:
        """The oldest frame that there is."""
        if self.past is not None and self.past.stretches:
            first = self.past.stretches[0]
            self.seek((first.key, first.first), 1)

    # -- the session's side --------------------------------------------------------------------------

    def tick(self, reachable: bool) -> None:
        """Ask what is due, where a session can be asked."""
        now = self._clock()
        if not reachable:
            self._under_way = False
            return
        if now - self._asked_at >= ASK_S:
            self._asked_at = now
            self._commands.pose(Question("history"))
        if self._wanted is not None and not self._under_way and now >= self._again_at:
            self._ask_frame(*self._wanted)
        self.clip.tick(now)

    def answered(self, outcome: Outcome) -> bool:
        """Take the answer to a question of this kind; True when it was one."""
        if not isinstance(outcome.change, Question):
            return False
        match outcome.change.do:
            case "history":
                self._take_past(parse_past(outcome.answer))
            case "rewind":
                self._take_frame(outcome)
            case "clip":
                self.clip.answered(outcome)
            case _:
                return False
        return True

    def _take_past(self, past: PastFrames | None) -> None:
        if past is not None:
            self.past, self._heard_at = past, self._clock()
            self.happened = tuple(self._happened(past))

    def _happened(self, past: PastFrames) -> Iterator[Mark]:
        stretch = past.of(self._session.newest)
        if stretch is None:
            return
        for one in self._session.live_tracking.happenings.newest_first[:MOST_HAPPENINGS]:
            if stretch.first <= one.frame < stretch.stop:
                yield Mark(stretch.time_of(one.frame), one.kind, f"{one.kind}   {one.who}   {one.when}")

    def _begin(self) -> None:
        """Have the session's process for old frames begin, so that it is there when one is asked for."""
        if self._wanted is None and (moment := self.moment) is not None:
            self._commands.pose(Question("rewind", _fields(moment, 0, self._consumer())))

    def _want(self, moment: Moment, toward: int) -> None:
        self._wanted, self._again_at, self._wanted_at = (moment, toward), -1e9, self._clock()
        if not self._under_way:
            self._ask_frame(moment, toward)

    def _ask_frame(self, moment: Moment, toward: int) -> None:
        self._under_way = True
        self._commands.pose(Question("rewind", _fields(moment, toward, self._consumer())))

    def _consumer(self) -> str:
        frame = self._session.live_frame
        return "" if frame is None else frame.topic.partition(".")[0]

    def _take_frame(self, outcome: Outcome) -> None:
        self._under_way = False
        wanted, answer = self._wanted, outcome.answer
        if wanted is None or not isinstance(outcome.change, Question):
            return
        if outcome.is_unanswered and self._clock() - self._wanted_at < PATIENCE_S:
            return  # the next tick asks again
        if outcome.error is not None:
            self.notice, self._wanted = outcome.error, None
            return
        if answer.get("starting"):
            self._again_at = self._clock() + AGAIN_S
            return
        if outcome.change.fields != _fields(*wanted, self._consumer()):
            return  # the mouse has gone on: the next tick asks for where it is now
        self._wanted = None
        result = answer.get("result")
        moment = moment_of(result) if isinstance(result, Result) else None
        if moment is None or not isinstance(result, Result):
            self.notice = str(answer.get("why") or "the session has no such frame")
            return
        self.notice = _moved(wanted[0], moment, answer.get("first"))
        self._hold(result, moment)

    def _hold(self, frame: Result, moment: Moment) -> None:
        running = self._running
        if running and moment[0] not in {result.series for result in running}:
            past = self._session.archive.get(moment[0])
            running = () if past is None else tuple(past.results.values())
        self._session.hold(frame, moment, running)


def _fields(moment: Moment, toward: int, consumer: str) -> Mapping[str, Any]:
    key, index = moment
    return {
        "epoch": key.epoch,
        "series": key.number,
        "index": index,
        "toward": toward,
        "consumer": consumer,
    }


def _moved(wanted: Moment, shown: Moment, first: object) -> str:
    if wanted == shown:
        return ""
    if isinstance(first, int) and wanted[1] < first:
        return f"the buffer goes back to frame {count_text(first)} by now"
    return f"frame {count_text(wanted[1])} was lost on its way: frame {count_text(shown[1])} is shown"
