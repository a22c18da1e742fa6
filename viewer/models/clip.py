"""From where to where a clip goes, and what became of it. Knows no window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .chips import Tone
from .commands import Commands, Outcome, Question
from .held import Moment
from .numbers import count_text

PICTURES = "png"
FORMATS = ("h5", "tif", "npy", PICTURES)
"""The session writes all but the last: pictures are drawn by the window."""
ASK_S = 0.3


class ClipMarks:
    """Marks in and out, and the clip that is being written.

    Parameters
    ----------
    commands
        Where questions go.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self.begin: Moment | None = None
        self.end: Moment | None = None
        """The last frame of the clip."""
        self.said: tuple[str, Tone] = ("", "plain")
        """What became of the last request."""
        self.writing = False
        self._asked_at = -1e9
        self._under_way = False
        self._wanted: tuple[Moment, Moment, str] | None = None
        """To be asked for once the process for it has begun."""

    @property
    def frames(self) -> int:
        """How many frames lie between the marks; 0 where that is no clip."""
        begin, end = self.begin, self.end
        if begin is None or end is None or begin[0] != end[0]:
            return 0
        return max(0, end[1] - begin[1] + 1)

    def mark_in(self, moment: Moment | None) -> None:
        """Begin here."""
        self.begin = moment or self.begin
        if self.begin is not None and self.end is not None and not self.frames:
            self.end = None

    def mark_out(self, moment: Moment | None) -> None:
        """End here."""
        self.end = moment or self.end
        if self.begin is not None and self.end is not None and not self.frames:
            self.begin = None

    def export(self, kind: str) -> None:
        """Have the clip written by the session."""
        if self.writing:
            return
        begin, end = self.begin, self.end
        if begin is None or end is None or not self.frames:
            self.ask_for_marks()
            return
        self.writing, self._wanted = True, (begin, end, kind)
        self.said = (f"asking for {count_text(self.frames)} frames", "plain")
        self._ask()

    def ask_for_marks(self) -> None:
        """Say that there are none yet."""
        self.said = ("mark where the clip begins ( [ ) and ends ( ] ) first", "warn")

    def tick(self, now: float) -> None:
        """Ask how it goes."""
        if self.writing and not self._under_way and now - self._asked_at >= ASK_S:
            self._asked_at = now
            self._ask()

    def answered(self, outcome: Outcome) -> None:
        """How it goes, or why it does not."""
        self._under_way = False
        if outcome.error is not None:
            self.writing, self._wanted = False, None
            self.said = (outcome.error, "bad")
        elif not outcome.answer.get("starting"):
            self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        clip = outcome.answer.get("clip")
        if isinstance(outcome.change, Question) and "first" in outcome.change.fields:
            self._wanted = None
        if isinstance(clip, Mapping) and self._wanted is None:
            self.said = clip_text(clip)
            self.writing = self.writing and clip.get("done") is not True

    def _ask(self) -> None:
        self._under_way = True
        if self._wanted is None:
            return self._commands.pose(Question("clip"))
        (key, first), (_, last), kind = self._wanted
        fields = {"epoch": key.epoch, "series": key.number, "first": first, "stop": last + 1, "format": kind}
        return self._commands.pose(Question("clip", fields))


def clip_text(clip: Mapping[str, Any]) -> tuple[str, Tone]:
    """How a clip stands, in words."""
    frames, wanted = _count(clip.get("frames")), _count(clip.get("wanted"))
    if error := clip.get("error"):
        return f"clip: {error}", "bad"
    if clip.get("done") is not True:
        return f"clip: {count_text(frames)} of {count_text(wanted)} frames", "plain"
    where = clip.get("exported") or clip.get("file")
    if frames < wanted:
        missing = count_text(wanted - frames)
        return f"{count_text(frames)} frames are in {where}; {missing} were not there any more", "warn"
    return f"{count_text(frames)} frames are in {where}", "good"


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
