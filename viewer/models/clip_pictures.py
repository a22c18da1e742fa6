"""The frames of a clip as pictures, one after another, as the window shows them. Knows no window."""

from __future__ import annotations

from collections.abc import Callable

from .clip import ClipMarks
from .held import Moment
from .numbers import count_text
from .playhead import Playhead

MOST = 600
"""Pictures of one clip; of a longer one every so many-th frame is drawn."""


class ClipPictures:
    """Goes through the frames between the marks and has each drawn and saved once.

    Parameters
    ----------
    playhead
        Goes there.
    save : callable
        Draws what is shown of a frame and keeps it; returns what went wrong, or nothing.
    """

    def __init__(self, playhead: Playhead, save: Callable[[Moment], str]) -> None:
        self._playhead, self._save = playhead, save
        self._left: list[Moment] = []
        self._count = self._kept = 0
        self._last: Moment | None = None

    def __bool__(self) -> bool:
        return bool(self._left)

    def begin(self) -> None:
        """Go to the first frame."""
        clip = self._playhead.clip
        begin, frames = clip.begin, clip.frames
        if begin is None or not frames:
            clip.ask_for_marks()
            return
        every = -(-frames // MOST)
        self._left = [(begin[0], begin[1] + place) for place in range(0, frames, every)]
        self._count, self._kept, self._last = len(self._left), 0, None
        self._playhead.seek(self._left[0], 1)

    def step(self) -> None:
        """Save what is shown when it is there, and go on."""
        clip, shown = self._playhead.clip, self._playhead.moment
        if not self._left or self._playhead.is_waiting:
            return
        if self._playhead.state == "live" or shown is None:
            self._left = []
            clip.said = (f"pictures: stopped after {count_text(self._kept)}", "warn")
            return
        if shown != self._last and self._is_in(shown, clip):
            self._last = shown
            if trouble := self._save(shown):
                self._left = []
                clip.said = (trouble, "bad")
                return
            self._kept += 1
        self._left = [moment for moment in self._left[1:] if moment[1] > shown[1]]
        clip.said = (f"pictures: {count_text(self._kept)} of {count_text(self._count)}", "plain")
        if self._left:
            self._playhead.seek(self._left[0], 1)

    def _is_in(self, shown: Moment, clip: ClipMarks) -> bool:
        begin, end = clip.begin, clip.end
        if begin is None or end is None:
            return False
        return shown[0] == begin[0] and begin[1] <= shown[1] <= end[1]
