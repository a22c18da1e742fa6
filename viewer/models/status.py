"""The session's status, read tolerantly, and the words and tones in which the status bar says it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .feed import FeedState
from .numbers import bytes_text, count_text, duration_text, ms_text, rate_text
from .transport import Playback, playback_of

SKIPPED = "not_replayed"
"""The reason in the accounts."""
Tone = Literal["plain", "good", "warn", "bad", "muted"]


@dataclass(frozen=True, slots=True)
class Edge:
    """One consumer's account."""

    name: str
    policy: str
    processed: int
    dropped: Mapping[str, int]

    @property
    def lossless(self) -> bool:
        return self.policy == "lossless"


@dataclass(frozen=True, slots=True)
class Recording:
    """What the recorder says; ``state`` is empty where the session has none."""

    state: str = ""
    file: str = ""
    frames: int = 0
    free_bytes: float | None = None
    seconds_left: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What the session says about itself; missing parts are None or empty."""

    state: str = ""
    message: str = ""
    source: str = ""
    series: int | None = None
    incomplete: str = ""
    """Why the series ended before all of it came; empty while it runs and when it is complete."""
    announced: int | None = None
    received: int = 0
    lost: int = 0
    duplicate: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    """By reason; with what belonged to no series."""
    skipped: int = 0
    """Frames before the one at which a replay was told to begin: neither lost nor refused."""
    edges: tuple[Edge, ...] = ()
    frames_per_second: float | None = None
    bytes_per_second: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    ring_bytes: float | None = None
    ring_seconds: float | None = None
    recording: Recording = Recording()
    alarms: tuple[str, ...] = ()
    playback: Playback | None = None
    """Where the replay is, if the session is one."""

    @property
    def analysed(self) -> int | None:
        """Frames that every analysis which must see all of them has seen."""
        lossless = [edge.processed for edge in self.edges if edge.lossless]
        return min(lossless, default=None)

    @property
    def dropped(self) -> int:
        """Frames that an analysis which must see all of them did not see."""
        return sum(sum(edge.dropped.values()) for edge in self.edges if edge.lossless)


def parse_status(attrs: Mapping[str, Any]) -> Status:
    """Read the attrs of a status result; what is missing or of another type counts as not said."""
    series, source = _part(attrs, "series"), _part(attrs, "source")
    rates, latency, ring = _part(attrs, "rates"), _part(attrs, "latency_ms"), _part(attrs, "ring")
    return Status(
        state=str(attrs.get("state") or ""),
        message=str(attrs.get("message") or ""),
        source=str(source.get("url") or ""),
        series=_integer(series.get("series")),
        incomplete=_incomplete(series),
        announced=_integer(series.get("announced")),
        received=_integer(series.get("received")) or 0,
        lost=_integer(series.get("lost")) or 0,
        duplicate=_integer(series.get("duplicate")) or 0,
        skipped=_skipped(series),
        rejected=_added(_rejected(series), _counts(attrs.get("unascribed"))),
        edges=tuple(_edges(_part(attrs, "edges"))),
        frames_per_second=_real(rates.get("frames_per_second")),
        bytes_per_second=_real(rates.get("bytes_per_second")),
        p50_ms=_real(latency.get("p50")),
        p99_ms=_real(latency.get("p99")),
        ring_bytes=_real(ring.get("bytes")),
        ring_seconds=_real(ring.get("seconds")),
        recording=_recording(_part(attrs, "recording")),
        alarms=_texts(attrs.get("alarms")),
        playback=playback_of(attrs),
    )


def _recording(part: Mapping[str, Any]) -> Recording:
    return Recording(
        state=str(part.get("state") or ""),
        file=str(part.get("file") or ""),
        frames=_integer(part.get("frames")) or 0,
        free_bytes=_real(part.get("free_bytes")),
        seconds_left=_real(part.get("seconds_left")),
        error=str(part.get("error") or ""),
    )


def _skipped(series: Mapping[str, Any]) -> int:
    return _counts(series.get("rejected")).get(SKIPPED, 0)


def _rejected(series: Mapping[str, Any]) -> dict[str, int]:
    return {reason: n for reason, n in _counts(series.get("rejected")).items() if reason != SKIPPED}


def _incomplete(series: Mapping[str, Any]) -> str:
    if series.get("state") != "incomplete":
        return ""
    return str(series.get("reason") or "no reason given")


def _added(counts: dict[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return counts | {reason: counts.get(reason, 0) + n for reason, n in more.items() if n}


def _part(attrs: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = attrs.get(name)
    return part if isinstance(part, Mapping) else {}


def _integer(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(text) for text in value) if isinstance(value, (list, tuple)) else ()


def _counts(value: object) -> dict[str, int]:
    items = value.items() if isinstance(value, Mapping) else ()
    return {str(reason): _integer(n) or 0 for reason, n in items}


def _edges(edges: Mapping[str, Any]) -> Iterator[Edge]:
    for name in edges:
        edge = _part(edges, name)
        yield Edge(
            str(name),
            str(edge.get("policy") or ""),
            _integer(edge.get("processed")) or 0,
            _counts(edge.get("dropped")),
        )


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
        free = "" if recording.free_bytes is None else f"\n{bytes_text(recording.free_bytes)} free"
        yield Chip("recording", "REC", kept + left, tone, recording.file + free)


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
