"""The recorder by hand: on and off, how it goes, and "keep the last N s".

It asks the session and shows what the session says. A session without a recorder starts one when it is asked
to record; the last seconds can be kept where there is one.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QPushButton

from .. import theme
from ..models.chips import Tone
from ..models.commands import Change, Commands, Outcome
from ..models.recording import KEEP_LAST, RECORDER, SECONDS, SWITCH, going_text, kept_text, switch_text
from ..models.status import Kept, Recording, Status, kept_of
from .labels import ElidedLabel

HEIGHT = 40


class RecordBar(QFrame):
    """Switch, button and the result of what was asked for."""

    def __init__(self, commands: Commands) -> None:
        super().__init__()
        self.setObjectName("bar")
        self.setFixedHeight(HEIGHT)
        self._commands = commands
        self._recording = Recording()
        self._seconds: float | None = None
        self.switch = QPushButton()
        self.switch.setCheckable(True)
        self.switch.setToolTip("Keep the open series, as far back as the buffer goes, and all that come (R)")
        self.switch.clicked.connect(self._switch)
        self.keep = QPushButton("Keep the last")
        self.keep.setToolTip("Write what the buffer still holds of the last seconds to a file (K)")
        self.keep.clicked.connect(self.keep_last)
        self.seconds = QComboBox()
        self.seconds.setToolTip("How many seconds are kept, as far as the buffer goes back")
        for seconds in SECONDS:
            self.seconds.addItem(f"{seconds:g} s", seconds)
        self.seconds.setCurrentIndex(SECONDS.index(10.0))
        self.said = ElidedLabel()
        self._arrange()
        self.hide()

    def _arrange(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 12, 0)
        row.setSpacing(8)
        for part in (self.switch, self.keep, self.seconds):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            row.addWidget(part)
        row.addWidget(self.said, 1)

    def show_status(self, status: Status) -> None:
        """From the session; a replay is not recorded again, and before the first status nothing can be."""
        recording = status.recording
        self.setVisible(bool(recording.state) or (bool(status.state) and status.playback is None))
        for part in (self.keep, self.seconds):
            part.setVisible(bool(recording.state))
        before, self._recording = self._recording, recording
        if recording == before and self.switch.text():
            return
        if recording.kept is not None and recording.kept != before.kept:
            self._say_kept(recording.kept)
        elif recording.state == "recording" or recording.error or recording.enabled != before.enabled:
            self._say(*going_text(recording))
        self.switch.setChecked(recording.enabled)
        self.switch.setText(switch_text(recording))

    def answered(self, outcome: Outcome) -> None:
        """What became of a request."""
        if not isinstance(outcome.change, Change) or outcome.change.consumer != RECORDER:
            return
        if outcome.error is not None:
            self._say(outcome.error, "bad")
            self.switch.setChecked(self._recording.enabled)
        elif outcome.answer.get("starting"):
            self._say("the recorder is starting", "plain")
        elif outcome.change.name == KEEP_LAST and (kept := kept_of(outcome.answer.get("kept"))):
            self._say_kept(kept)

    def keep_last(self) -> None:
        """Ask for the chosen seconds."""
        if self._recording.state:
            self._seconds = float(self.seconds.currentData())
            self._commands.set(RECORDER, KEEP_LAST, self._seconds)
            self._say(f"asking for the last {self._seconds:g} s", "plain")

    def toggle(self) -> None:
        """Begin to record, or stop."""
        if self.isVisible():
            self._switch(not self._recording.enabled)

    def _switch(self, on: bool) -> None:
        self._commands.set(RECORDER, SWITCH, on)

    def _say_kept(self, kept: Kept) -> None:
        self._say(*kept_text(kept, self._seconds))

    def _say(self, text: str, tone: Tone) -> None:
        self.said.setText(text)
        self.said.setStyleSheet(f"color: {theme.tone_colour(tone)};")
