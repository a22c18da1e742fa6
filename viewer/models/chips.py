"""The words and tones in which the status bar says how a session stands. Knows no window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from .feed import FeedState
from .numbers import bytes_text, count_text, duration_text, ms_text, rate_text
from .status import Edge, Recording, Status

Tone = Literal["plain", "good", "warn", "bad", "muted"]


@dataclass(frozen=True, slots=True)
class Chip:
    """One item of the status bar."""

    name: str
    label: str
    text: str
    tone: Tone = "plain"
    tip: str = ""


STATES: Mapping[str, tuple[str, Tone]] = {
    "": ("CONNECTED", "muted"),
    "running": ("LIVE", "good"),
    "waiting": ("WAITING", "muted"),
    "starting": ("STARTING", "muted"),
    "ended": ("ENDED", "muted"),
    "failed": ("FAILED", "bad"),
    "error": ("FAILED", "bad"),
}


def state_chip(feed: FeedState, status: Status) -> Chip:
    """The word that nobody can mistake."""
    if feed.link == "lost":
        return Chip("state", "", "LOST", "warn", feed.text)
    if feed.link == "connecting":
        return Chip("state", "", "CONNECTING", "warn", feed.text)
    text, tone = _replay_state(status) or STATES.get(status.state, (status.state.upper(), "plain"))
    return Chip("state", "", text, tone, status.message)


def _replay_state(status: Status) -> tuple[str, Tone] | None:
    """Nobody shall take a recording for the microscope."""
    playback = status.playback
    if playback is None or status.state not in ("running", "waiting"):
        return None
    if playback.ended:
        return "REPLAY ENDED", "muted"
    return ("REPLAY PAUSED", "warn") if playback.paused else ("REPLAY", "plain")


def lost_warning(feed: FeedState) -> tuple[str, ...]:
    """What to say above pictures that nothing renews any more."""
    if feed.link != "lost":
        return ()
    return (f"Lost: {feed.text or 'no news from the session'}. These are the last pictures.",)


def chips(feed: FeedState, status: Status, shown: int) -> tuple[Chip, ...]:
    """The status bar from left to right."""
    recording = _recording_chip(status.recording)
    return (state_chip(feed, status), *recording, *_work_chips(status, shown), *_trust_chips(status))


SHORT_OF_SPACE_S = 600.0


def _recording_chip(recording: Recording) -> Iterator[Chip]:
    """Whether the stream is being kept, and for how long there is room."""
    if recording.state == "failed":
        yield Chip("recording", "REC", "failed", "bad", recording.error)
    elif recording.state:
        left = "" if recording.seconds_left is None else f", room for {duration_text(recording.seconds_left)}"
        kept = count_text(recording.frames) if recording.state == "recording" else "ready"
        short = recording.seconds_left is not None and recording.seconds_left < SHORT_OF_SPACE_S
        tone: Tone = "warn" if short else "good" if recording.state == "recording" else "muted"
        free = "" if recording.free_bytes is None else f"{bytes_text(recording.free_bytes)} free"
        tip = "\n".join(filter(None, (recording.file, free)))
        yield Chip("recording", "REC", kept + left, tone, tip)


def _work_chips(status: Status, shown: int) -> Iterator[Chip]:
    if status.series is not None:
        yield _series_chip(status.series, status)
    of = f" / {count_text(status.announced)}" if status.announced else ""
    yield Chip("in", "in", count_text(status.received) + of, tip="Frames received of this series")
    if status.analysed is not None:
        yield Chip("analysed", "analysed", count_text(status.analysed), tip=_edges_tip(status))
    yield Chip("shown", "shown", count_text(shown), tip="Live frames drawn; analyses see every frame")
    if status.frames_per_second is not None:
        yield Chip("rate", "", f"{rate_text(status.frames_per_second)} frames/s")
    if status.bytes_per_second is not None:
        yield Chip("bandwidth", "", f"{bytes_text(status.bytes_per_second)}/s")
    if status.p50_ms is not None or status.p99_ms is not None:
        text = f"{ms_text(status.p50_ms)} / {ms_text(status.p99_ms)} ms"
        yield Chip("latency", "p50 / p99", text, tip="From a frame's arrival to its result")


def _series_chip(number: int, status: Status) -> Chip:
    if status.incomplete:
        return Chip("series", "series", f"{number} incomplete", "warn", status.incomplete)
    return Chip("series", "series", str(number), tip=status.source)


def _trust_chips(status: Status) -> Iterator[Chip]:
    yield _count_chip("lost", status.lost, "Frames that the detector sent and that never came")
    yield _count_chip("dropped", status.dropped, _edges_tip(status))
    reasons = ", ".join(f"{reason}: {count_text(n)}" for reason, n in status.rejected.items())
    yield _count_chip("rejected", sum(status.rejected.values()), reasons or "Frames that could not be used")
    if status.skipped:
        yield Chip(
            "skipped", "skipped", count_text(status.skipped), tip="Frames before the replay's beginning"
        )
    if status.duplicate:
        yield Chip("duplicate", "twice", count_text(status.duplicate), "warn", "Frames that came again")
    if status.ring_bytes:
        seconds = f" = {status.ring_seconds:.0f} s" if status.ring_seconds else ""
        yield Chip("ring", "buffer", bytes_text(status.ring_bytes) + seconds, tip="History kept in memory")


def _count_chip(name: str, count: int, tip: str) -> Chip:
    return Chip(name, name, count_text(count), "bad" if count else "plain", tip)


def _edges_tip(status: Status) -> str:
    """One line for each analysis."""
    return "\n".join(_edge_line(edge) for edge in status.edges)


def _edge_line(edge: Edge) -> str:
    dropped = ", ".join(f"{count_text(n)} {reason}" for reason, n in edge.dropped.items() if n)
    return f"{edge.name} ({edge.policy}): {count_text(edge.processed)} frames" + (
        f", not seen: {dropped}" if dropped else ""
    )
