"""All keys of the window and what they do: what is bound, and what the sheet says. Knows no window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .modes import MODES


@dataclass(frozen=True, slots=True)
class Key:
    """One action and its key."""

    action: str
    """By which the window knows it."""
    key: str
    """As Qt writes it."""
    does: str
    more: tuple[str, ...] = ()
    """Further keys for the same."""

    @property
    def text(self) -> str:
        """ "F1 or ?"."""
        return " or ".join(NAMES.get(each, each.replace("+", " ")) for each in (self.key, *self.more))


NAMES = {
    "Left": "\N{LEFTWARDS ARROW}",
    "Right": "\N{RIGHTWARDS ARROW}",
    "Shift+Left": "Shift \N{LEFTWARDS ARROW}",
    "Shift+Right": "Shift \N{RIGHTWARDS ARROW}",
}
KEYS: Mapping[str, tuple[Key, ...]] = {
    "View": (
        Key("fit", "0", "all of every picture"),
        Key("one_to_one", "1", "one picture pixel a screen pixel"),
        Key("undo_view", "Ctrl+Z", "take the last change of zoom, place or tones back"),
        Key("lock_contrast", "A", "keep the contrast as it is, or let it follow"),
        Key("next_transfer", "G", "linear, square root, logarithm"),
        Key("next_map", "C", "the next colour map"),
        Key("picture_menu", "Ctrl+M", "colours and tones of a picture"),
        Key("theme", "Ctrl+T", "dark or light"),
        Key("full_screen", "F11", "the whole screen"),
        Key("snapshot", "Ctrl+S", "keep pictures and their data"),
    ),
    "Live frame": (
        Key("mask", "M", "what was measured of images, or not"),
        Key("blind", "Shift+M", "counts of masked pixels too"),
        Key("pattern", "D", "the mean diffraction pattern"),
        Key("spectrum", "F", "spectrum (FFT) of the original frame"),
        Key("profile", "P", "values along a line"),
        Key("region", "I", "mean of a region over time"),
        Key("tracks", "T", "tracks of particles"),
        Key("swipe", "S", "measured left, estimate right of a line"),
        Key("blink", "B", "measured and estimate in turn"),
        Key("difference", "X", "estimate less measured"),
        Key("raw", "Shift+R", "fields of deflections as measured"),
    ),
    "Session": (
        Key("connect", "Ctrl+O", "connect to a session or source"),
        Key("record", "R", "record, or stop recording"),
        Key("keep", "K", "keep the last seconds"),
        Key("turn_stage", "Shift+E", "the chosen stage off or on"),
        Key("adapt", "U", "models go on learning, or no more"),
        Key("zero_dose", "Z", "the dose meter begins at 0"),
        Key("note_alarms", "N", "put the alarms away"),
    ),
    "Time": (
        Key("toggle", "Space", "freeze, or live again; pause or play a replay"),
        Key("step_back", "Left", "one frame back"),
        Key("step_on", "Right", "one frame on"),
        Key("leap_back", "Shift+Left", "one second back"),
        Key("leap_on", "Shift+Right", "one second on"),
        Key("start", "Home", "the oldest frame in the buffer, or of a replay"),
        Key("mark_in", "[", "a clip begins with this frame"),
        Key("mark_out", "]", "a clip ends with this frame"),
        Key("clip", "Ctrl+K", "have the clip written"),
        Key("older", "PgUp", "an earlier series"),
        Key("newer", "PgDown", "a later series"),
        Key("live", "L", "live: the newest frame and series again"),
    ),
    "Modes": (
        *(Key(f"mode_{mode.name}", f"Ctrl+{n}", mode.title) for n, mode in enumerate(MODES, 1)),
        Key("mode_automatic", "Ctrl+0", "the one that fits"),
    ),
    "Panels": (
        Key("panel_frame", "Alt+1", "live frame"),
        Key("panel_images", "Alt+2", "images"),
        Key("panel_curves", "Alt+3", "curves"),
        Key("panel_tracks", "Alt+4", "particles"),
        Key("panel_tools", "Alt+5", "measurements"),
        Key("panel_pipeline", "Alt+6", "pipeline", ("E",)),
    ),
    "Help": (Key("keys", "F1", "this sheet", ("?",)),),
}


def key_of(action: str) -> Key | None:
    """The key of an action; None where it has none."""
    return next((key for group in KEYS.values() for key in group if key.action == action), None)


def labelled(words: str, action: str) -> str:
    """What a menu says: with the key that does the same, where there is one."""
    key = key_of(action)
    return words if key is None else f"{words}\t{key.key}"
