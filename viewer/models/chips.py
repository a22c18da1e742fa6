"""The words and tones in which the status bar says how a session stands. Knows no window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .dose import DoseMeter
from .feed import FeedState
from .numbers import bytes_text, count_text, duration_text, ms_text, rate_text
from .rates import Pace
from .stages import Stage, slowest
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
    short: tuple[str, str] | None = None
    """Label and text for a narrow window, where they are others."""


UNKNOWN_PACE = Pace()
STATES: Mapping[str, tuple[str, Tone]] = {
    "": ("CONNECTED", "muted"),
    "running": ("LIVE", "good"),
    "waiting": ("WAITING", "muted"),
    "starting": ("STARTING", "muted"),
    "ended": ("ENDED", "muted"),
    "failed": ("FAILED", "bad"),
    "error": ("FAILED", "bad"),
}


def state_chip(feed: FeedState, status: Status, held: bool = False) -> Chip:
    """The word that nobody can mistake."""
    if feed.link == "lost":
        return Chip("state", "", "LOST", "warn", feed.text)
    if feed.link == "connecting":
        return Chip("state", "", "CONNECTING", "warn", feed.text)
    if held and status.state == "running":
        return Chip("state", "", "LIVE GOES ON", "muted", status.message)
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


def chips(
    feed: FeedState,
    status: Status,
    shown: int,
    pace: Pace = UNKNOWN_PACE,
    dose: DoseMeter | None = None,
    held: bool = False,
) -> tuple[Chip, ...]:
    """The status bar from left to right; ``held``: the window shows an earlier moment."""
    recording = _recording_chip(status.recording)
    return (
        state_chip(feed, status, held),
        *recording,
        *_work_chips(status, shown, pace),
        *_dose_chip(dose),
        *_time_chips(status),
        *_trust_chips(status),
        *_device_chip(status.stages),
    )


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


def _work_chips(status: Status, shown: int, pace: Pace) -> Iterator[Chip]:
    """In, analysed, shown: how many frames, and how many a second."""
    if status.series is not None:
        yield _series_chip(status.series, status)
    of = f" / {count_text(status.announced)}" if status.announced else ""
    bandwidth = "" if status.bytes_per_second is None else f", {bytes_text(status.bytes_per_second)}/s"
    tip = f"Frames received of this series{bandwidth}"
    count = count_text(status.received) + of
    text = count + _per_second(status.frames_per_second)
    yield Chip("in", "in", text, tip=tip, short=("in", count))
    if status.analysed is not None:
        text = count_text(status.analysed) + _per_second(pace.analysed)
        yield Chip("analysed", "analysed", text, tip=_edges_tip(status))
    text = count_text(shown) + _per_second(pace.shown)
    yield Chip("shown", "shown", text, tip="Live frames drawn; analyses see every frame")


def _per_second(rate: float | None) -> str:
    return "" if rate is None else f" at {rate_text(rate)}/s"


def _dose_chip(dose: DoseMeter | None) -> Iterator[Chip]:
    if dose is not None and dose.total:
        of = f"{count_text(dose.frames)} frames; each that is shown stands for those since the last one"
        text = f"{dose.each}, sum {dose.total}"
        yield Chip("dose", "dose", text, tip=f"A frame, and the sum of {of}\nZ begins at 0")


def _time_chips(status: Status) -> Iterator[Chip]:
    """From a frame's arrival to its result, and which analysis takes longest for that."""
    if status.p50_ms is not None or status.p95_ms is not None:
        text = f"{ms_text(status.p50_ms)} / {ms_text(status.p95_ms)} ms"
        tip = f"From a frame's arrival to its result; 99 of 100 within {ms_text(status.p99_ms)} ms"
        yield Chip("latency", "p50 / p95", text, tip=tip)
    if len(status.stages) > 1 and (last := slowest(status.stages)) is not None:
        text = f"{last.name} {ms_text(last.latency_p95_ms)} ms"
        yield Chip("slowest", "slowest", text, tip="The analysis whose results come latest, and its p95")


def _series_chip(number: int, status: Status) -> Chip:
    if status.incomplete:
        return Chip("series", "series", f"{number} incomplete", "warn", status.incomplete)
    return Chip("series", "series", str(number), tip=status.source)


def _trust_chips(status: Status) -> Iterator[Chip]:
    tip = "Frames that the detector sent and that never came"
    lost = _count_chip("lost", "lost at source", status.lost, tip)
    yield replace(lost, short=("lost", lost.text))
    yield _count_chip("dropped", "by us", status.dropped, _edges_tip(status))
    reasons = ", ".join(f"{reason}: {count_text(n)}" for reason, n in status.rejected.items())
    tip = reasons or "Frames that could not be used"
    yield _count_chip("rejected", "rejected", sum(status.rejected.values()), tip)
    if status.skipped:
        yield Chip(
            "skipped", "skipped", count_text(status.skipped), tip="Frames before the replay's beginning"
        )
    if status.duplicate:
        yield Chip("duplicate", "twice", count_text(status.duplicate), "warn", "Frames that came again")
    if status.ring_bytes:
        seconds = f" = {status.ring_seconds:.0f} s" if status.ring_seconds else ""
        yield Chip("ring", "buffer", bytes_text(status.ring_bytes) + seconds, tip="History kept in memory")


def _count_chip(name: str, label: str, count: int, tip: str) -> Chip:
    return Chip(name, label, count_text(count), "bad" if count else "plain", tip)


def _device_chip(stages: tuple[Stage, ...]) -> Iterator[Chip]:
    """CPU or CUDA: where the analyses compute."""
    known = [stage for stage in stages if stage.device]
    if known:
        on_card = [stage for stage in known if not stage.device.lower().startswith("cpu")]
        text = "CPU" if not on_card else "CUDA" if len(on_card) == len(known) else "CUDA + CPU"
        tip = "\n".join(f"{stage.name}: {stage.device}" for stage in known)
        yield Chip("device", "on", text, tip=tip)


def _edges_tip(status: Status) -> str:
    """One line for each analysis."""
    return "\n".join(_edge_line(edge) for edge in status.edges)


def _edge_line(edge: Edge) -> str:
    dropped = ", ".join(f"{count_text(n)} {reason}" for reason, n in edge.dropped.items() if n)
    return f"{edge.name} ({edge.policy}): {count_text(edge.processed)} frames" + (
        f", not seen: {dropped}" if dropped else ""
    )
