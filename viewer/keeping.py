"""A snapshot on request: pictures of the window and of each pane, and the data behind them.

The frame is kept as it was measured: where the window has a smaller one, all pixels are asked for, and waited
for a moment. Files are written by a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget

from ..errors import SessionError
from ..kernels.cutouts import Cutout
from ..stream.results import Result
from .models.commands import Commands
from .models.inspection import wanted_size
from .models.session import frame_shape
from .models.snapshots import Kept, folder_for, is_original, write_data

PATIENCE_S = 2.0
"""How long the frame is waited for in full; a session that is over, or paused, sends none."""


@dataclass(slots=True)
class _Waiting:
    folder: Path
    pictures: Mapping[str, QImage]
    results: dict[str, Result]
    frame: str
    """Topic of the frame that is to come in full; empty: none."""
    until: float
    before: tuple[str, int] | None = None
    """The preview that was asked for more, and its size before."""


@dataclass(slots=True)
class SnapshotKeeper:
    """Takes one snapshot at a time; ``look`` at it with every tick."""

    commands: Commands
    say: Callable[[str], object]
    _waiting: _Waiting | None = None
    _done: list[Kept] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def begin(
        self,
        pictures: Mapping[str, QWidget],
        results: Mapping[str, Result],
        frame: Result | None,
        now: float,
        where: Path,
        can_come: bool = True,
    ) -> None:
        """Keep what is shown now.

        Parameters
        ----------
        pictures : by name of the file, what is drawn.
        results : by topic, the data behind it.
        frame : the frame; None where there is none.
        can_come : whether all pixels of it can be asked for; of one that is held they cannot.
        """
        if self._waiting is not None or self._thread is not None:
            self.say("the last snapshot is still being written")
            return
        drawn = {name: widget.grab().toImage() for name, widget in pictures.items()}
        waiting = _Waiting(folder_for(where), drawn, dict(results), "", now + PATIENCE_S)
        self._waiting = waiting
        if frame is not None:
            waiting.results[frame.topic] = frame
            if can_come and not is_original(frame):
                waiting.frame = frame.topic
                self._ask_for(waiting, frame)
        self.look(frame, now)

    def _ask_for(self, waiting: _Waiting, frame: Result) -> None:
        size = wanted_size(frame)
        if size is not None and "cut" not in frame.attrs:
            consumer = frame.topic.partition(".")[0]
            waiting.before = consumer, max(frame.arrays["image"].shape)
            self.commands.set(consumer, "max_size", size)

    def cutouts(self, frame: Result | None) -> dict[str, Cutout]:
        """What is to be asked for elsewhere: all of the frame, pixel by pixel."""
        waiting = self._waiting
        if waiting is None or frame is None or frame.topic != waiting.frame:
            return {}
        h, w = frame_shape(frame)
        return {frame.topic: Cutout(0, 0, h, w, 1)}

    def look(self, frame: Result | None, now: float) -> None:
        """Take the frame when it has come, and say what became of the files."""
        while self._done:
            self._thread = None
            self.say(self._done.pop().text)
        waiting = self._waiting
        if waiting is None:
            return
        if waiting.frame and frame is not None and frame.topic == waiting.frame and is_original(frame):
            waiting.results[frame.topic] = frame
            waiting.frame = ""
        if not waiting.frame or now >= waiting.until:
            self._write(waiting)

    def _write(self, waiting: _Waiting) -> None:
        self._waiting = None
        if waiting.before is not None:
            self.commands.set(waiting.before[0], "max_size", waiting.before[1])
        self._thread = threading.Thread(target=self._save, args=(waiting,), name="livem-snapshot")
        self._thread.start()

    def _save(self, waiting: _Waiting) -> None:
        folder = waiting.folder
        try:
            folder.mkdir(parents=True)
            count = _save_pictures(folder, waiting.pictures) + write_data(folder, waiting.results.values())
            self._done.append(Kept(folder, count))
        except (SessionError, OSError) as failure:
            self._done.append(Kept(folder, 0, f"the snapshot cannot be kept: {failure}"))

    def close(self) -> None:
        """Wait for the files that are being written; one that waits for its frame is kept without it."""
        if self._waiting is not None:
            self._write(self._waiting)
        if self._thread is not None:
            self._thread.join()


def _save_pictures(folder: Path, pictures: Mapping[str, QImage]) -> int:
    for name, picture in pictures.items():
        if not picture.save(str(folder / f"{name}.png")):
            raise SessionError(f"no picture can be written to {folder}; check the free space and the rights")
    return len(pictures)
