"""What the recording bar says and asks for. Knows no window."""

from __future__ import annotations

from pathlib import PurePath

from .chips import SHORT_OF_SPACE_S, Tone
from .numbers import bytes_text, count_text, duration_text
from .status import Kept, Recording

RECORDER = "recorder"
"""The name under which a session's recorder takes changes."""
KEEP_LAST, SWITCH = "keep_last", "recording"
SECONDS = (2.0, 5.0, 10.0, 30.0, 60.0)
"""What the window offers; others by `livem keep`."""


def kept_text(kept: Kept, seconds: float | None = None) -> tuple[str, Tone]:
    """How far the last request to keep something has come."""
    name = PurePath(kept.file).name
    what = "" if seconds is None else f" of the last {seconds:g} s"
    if kept.error:
        return f"not kept: {kept.error}", "bad"
    if not kept.done:
        return f"writing {count_text(kept.frames)} frames{what} to {name}", "plain"
    return f"{count_text(kept.frames)} frames{what} are in {name}", "good"


def switch_text(recording: Recording) -> str:
    """What the switch of a recorder says."""
    return "Stop recording" if recording.enabled else "Record"


def going_text(recording: Recording) -> tuple[str, Tone]:
    """How the recording goes: for how long, how much, and how long there is room; empty where none does."""
    if recording.error:
        return f"not recorded: {recording.error}", "bad"
    if recording.state != "recording":
        return ("the next series is recorded", "plain") if recording.enabled else ("", "plain")
    name, left = PurePath(recording.file).name, recording.seconds_left
    parts = [clock_text(recording.seconds), bytes_text(recording.bytes)]
    if left is not None:
        parts.append(f"room for {duration_text(left)}")
    short = left is not None and left < SHORT_OF_SPACE_S
    return f"{'   '.join(parts)}   {name}", "warn" if short else "good"


def clock_text(seconds: float) -> str:
    """0:42, 12:05, 3:00:01."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
