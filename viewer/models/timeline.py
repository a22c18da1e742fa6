"""What the timeline shows, from the buffer of a session or from a recording that is played: as plain values.

Shares of its width go from 0, the oldest frame, to 1, now (or the end of the recording). Knows no window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .chips import Tone
from .held import Moment
from .numbers import count_text
from .past_frames import PastFrames
from .playhead import Playhead
from .session import Session
from .transport import Playback

Look = Literal["none", "live", "frozen", "rewind", "replay", "paused"]
"""How the state is drawn, beside its word."""
SHORTEST_S = 1.0


@dataclass(frozen=True, slots=True)
class Tick:
    """An event on the timeline."""

    share: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn."""

    look: Look
    badge: str
    tone: Tone
    text: str = ""
    """Which frame, and when."""
    notice: str = ""
    """What is not as it was asked for."""
    begin: str = ""
    """How far back it goes."""
    head: float | None = None
    bands: tuple[tuple[float, float], ...] = ()
    """Where there are frames."""
    ticks: tuple[Tick, ...] = ()
    clip: tuple[float | None, float | None] = (None, None)


NOTHING = Timeline("none", "NO FRAMES", "muted")


def ago_text(seconds: float) -> str:
    """ "-12.4 s", with a true minus."""
    return f"\N{MINUS SIGN}{seconds:,.1f} s"


def timeline_of(session: Session, playhead: Playhead, is_lost: bool, playback: Playback | None) -> Timeline:
    """Of a replay, or of what the session still has."""
    if playback is not None:
        return replay_timeline(playback, playhead)
    return live_timeline(session, playhead, is_lost)


# -- a recording ---------------------------------------------------------------------------------------


def replay_timeline(playback: Playback, playhead: Playhead) -> Timeline:
    """Frames of the recording from left to right."""
    look: Look = "replay" if playback.playing else "paused"
    word = "REPLAY" if playback.playing else "REPLAY ENDED" if playback.ended else "REPLAY PAUSED"
    last = max(playback.count - 1, 1)

    def share(moment: Moment | None) -> float | None:
        return None if moment is None else min(max(moment[1] / last, 0.0), 1.0)

    frame = max(playback.index - 1, 0)
    return Timeline(
        look,
        word,
        "warn",  # which frame, and when, stands below, beside the buttons
        head=frame / last,
        begin="0",
        bands=((0.0, 1.0),),
        clip=(share(playhead.clip.begin), share(playhead.clip.end)),
    )


def replay_frame(playback: Playback, share: float) -> int:
    """The frame at a place."""
    return round(min(max(share, 0.0), 1.0) * max(playback.count - 1, 0))


# -- the buffer of a session ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """The session's clock from the oldest frame that is there until now."""

    begin_ns: int
    now_ns: int

    @classmethod
    def of(cls, past: PastFrames, now_ns: int) -> Span:
        return cls(min(past.oldest_ns, now_ns - round(SHORTEST_S * 1e9)), now_ns)

    def share(self, t_ns: int) -> float:
        """Where a moment is; beyond 0 and 1 where it is not on the timeline."""
        return (t_ns - self.begin_ns) / (self.now_ns - self.begin_ns)

    def at(self, share: float) -> int:
        """The moment at a place."""
        return self.begin_ns + round(min(max(share, 0.0), 1.0) * (self.now_ns - self.begin_ns))


def span_of(playhead: Playhead) -> Span | None:
    """Of what the session has; None where it has nothing, or has not said."""
    past, now = playhead.past, playhead.now_ns()
    return Span.of(past, now) if past is not None and now is not None and past.stretches else None


def live_timeline(session: Session, playhead: Playhead, is_lost: bool) -> Timeline:
    """The buffer from its oldest frame until now."""
    span, past = span_of(playhead), playhead.past
    look, badge, tone = _state(session, playhead, is_lost)
    text = _text(playhead)
    notice = _notice(playhead, is_lost)
    if span is None or past is None:
        return Timeline(look, badge, tone, text, notice)

    def share(moment: Moment | None) -> float | None:
        stretch = None if moment is None else past.of(moment[0])
        if moment is None or stretch is None or moment[1] < stretch.first:
            return None
        return min(max(span.share(stretch.time_of(moment[1])), 0.0), 1.0)

    head = 1.0 if playhead.state == "live" else share(playhead.target)
    bands = tuple((span.share(int(each.t_ns[0])), span.share(int(each.t_ns[-1]))) for each in past.stretches)
    seconds = (span.now_ns - span.begin_ns) / 1e9
    return Timeline(
        look,
        badge,
        tone,
        text,
        notice,
        ago_text(seconds),
        0.0 if head is None else head,
        bands,
        tuple(_ticks(playhead, past, span)),
        (share(playhead.clip.begin), share(playhead.clip.end)),
    )


def _state(session: Session, playhead: Playhead, is_lost: bool) -> tuple[Look, str, Tone]:
    if playhead.state == "rewind":
        behind = playhead.behind_s()
        return "rewind", "REWIND" if behind is None else f"REWIND {ago_text(behind)}", "warn"
    if playhead.state == "frozen":
        return "frozen", "FROZEN", "warn"
    if is_lost:
        return "none", "NO SESSION", "bad"
    is_there = session.live_frame is not None or bool(session.images or session.curves)  # a point detector's
    if not is_there or session.status.series_state != "open":
        return "none", "NO NEW FRAMES" if is_there else "NO FRAMES", "muted"
    return "live", "LIVE", "good"


def _text(playhead: Playhead) -> str:
    moment, target = playhead.moment, playhead.target
    if moment is None:
        return ""
    behind = playhead.behind_s()
    when = "" if behind is None else f"   {ago_text(behind)}"
    wait = "" if target is None or target == moment else f"   fetching frame {count_text(target[1])}"
    return f"series {moment[0].number}   frame {count_text(moment[1])}{when}{wait}"


def _notice(playhead: Playhead, is_lost: bool) -> str:
    if playhead.state == "live":
        return ""
    if is_lost:
        return "the session is gone; this picture stays"
    if playhead.has_left:
        return "newer frames have taken its place in the buffer; this picture stays"
    return playhead.notice


def _ticks(playhead: Playhead, past: PastFrames, span: Span) -> Iterator[Tick]:
    for mark in (*past.marks, *playhead.happened):
        share = span.share(mark.t_ns)
        if mark.kind == "series" and -0.1 < share < 0:
            share = 0.0
        if 0 <= share <= 1:
            yield Tick(share, mark.kind, f"{mark.text}   {ago_text((span.now_ns - mark.t_ns) / 1e9)}")
