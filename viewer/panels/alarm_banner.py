"""What the user has to know, above the pictures, until it is noted."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from .. import theme
from ..models.alarms import AlarmBook


class AlarmBanner(QFrame):
    """Shown while there is something that nobody has noted."""

    def __init__(self, book: AlarmBook, clock: Callable[[], float]) -> None:
        super().__init__()
        self.setObjectName("alarms")
        self._book, self._clock = book, clock
        self.label = theme.named(QLabel(), "banner")
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setWordWrap(True)
        self.button = QPushButton("Noted (N)")
        self.button.setToolTip("Put these away; each comes back only when it changes")
        self.button.clicked.connect(self.note)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 12, 0)
        row.addWidget(self.label, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    def note(self) -> None:
        """The user has read what is shown."""
        self._book.note(self._clock())
        self.update_from()

    def update_from(self) -> None:
        """Show what there is."""
        text = "\n".join(alarm.text for alarm in self._book.shown)
        if text != self.label.text():
            self.label.setText(text)
        self.setVisible(bool(text))

    def text(self) -> str:
        """What is said."""
        return self.label.text()
