"""The session's status, read tolerantly. How the status bar says it: chips.py."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .stages import Stage, stages_of
from .transport import Playback, playback_of

SKIPPED = "not_replayed"
"""The reason in the accounts."""


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
class Kept:
    """The last stretch of seconds that was kept on request."""

    file: str
    frames: int = 0
    done: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """What the recorder says; ``state`` is empty where the session has none."""

    state: str = ""
    enabled: bool = False
    """Whether what comes is being kept, or will be."""
    file: str = ""
    frames: int = 0
    bytes: float = 0.0
    seconds: float = 0.0
    """Since the open file was begun."""
    free_bytes: float | None = None
    seconds_left: float | None = None
    error: str = ""
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What the session says about itself; missing parts are None or empty."""

    state: str = ""
    message: str = ""
    source: str = ""
    series: int | None = None
    epoch: str = ""
    """Of the series' sender, hexadecimal."""
    series_state: str = ""
    """"open", "complete" or "incomplete"."""
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
    p95_ms: float | None = None
    p99_ms: float | None = None
    ring_bytes: float | None = None
    ring_seconds: float | None = None
    recording: Recording = Recording()
    alarms: tuple[str, ...] = ()
    playback: Playback | None = None
    """Where the replay is, if the session is one."""
    stages: tuple[Stage, ...] = ()
    """The analyses, in the order of the data."""

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
        epoch=str(series.get("epoch") or ""),
        series_state=str(series.get("state") or ""),
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
        p95_ms=_real(latency.get("p95")),
        p99_ms=_real(latency.get("p99")),
        ring_bytes=_real(ring.get("bytes")),
        ring_seconds=_real(ring.get("seconds")),
        recording=_recording(_part(attrs, "recording")),
        alarms=_texts(attrs.get("alarms")),
        playback=playback_of(attrs),
        stages=stages_of(attrs),
    )


def _recording(part: Mapping[str, Any]) -> Recording:
    return Recording(
        state=str(part.get("state") or ""),
        enabled=part.get("enabled") is True,
        file=str(part.get("file") or ""),
        frames=_integer(part.get("frames")) or 0,
        bytes=_real(part.get("bytes")) or 0.0,
        seconds=_real(part.get("seconds")) or 0.0,
        free_bytes=_real(part.get("free_bytes")),
        seconds_left=_real(part.get("seconds_left")),
        error=str(part.get("error") or ""),
        kept=kept_of(part.get("kept")),
    )


def kept_of(part: object) -> Kept | None:
    """What the recorder says of the last seconds that it was told to keep; None before the first time."""
    if not isinstance(part, Mapping) or not part.get("file"):
        return None
    frames, error = _integer(part.get("frames")) or 0, str(part.get("error") or "")
    return Kept(str(part["file"]), frames, part.get("done") is True, error)


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
