"""What the recording bar says and asks for. Knows no window."""

from __future__ import annotations

from pathlib import PurePath

from .chips import Tone
from .numbers import count_text
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
    return "Recording on" if recording.enabled else "Recording off"
