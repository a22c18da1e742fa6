"""Back to series that are over, and to the newest again: pictures and a bar above the scan images."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from .. import theme
from ..models.archive import past_text
from ..models.numbers import bytes_text, count_text
from ..models.session import Session
from .labels import ElidedLabel
from .series_strip import HEIGHT as STRIP_HEIGHT
from .series_strip import SeriesStrip
from .transport import ShapeButton

HEIGHT = 36
"""Of the lower row; the strip of pictures is above it."""


class SeriesBar(QFrame):
    """Shown once there is a series to go back to."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("series")
        self.setFixedHeight(HEIGHT + STRIP_HEIGHT)
        self._browser, self._archive = session.browser, session.archive
        self.back = ShapeButton("back", "An earlier series (Page up)", self._browser.older, "series-back")
        self.on = ShapeButton("on", "A later series (Page down)", self._browser.newer, "series-on")
        self.live = QPushButton("Live (L)")
        self.live.setToolTip("The newest series again")
        self.live.clicked.connect(self._browser.live)
        self.strip = SeriesStrip(self._browser)
        self.pill, self.text = QLabel(), QLabel()
        self.count = theme.named(ElidedLabel(), "reading")
        self._arrange()
        self.hide()

    def _arrange(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.strip)
        row = QHBoxLayout()
        column.addLayout(row)
        row.setContentsMargins(6, 0, 10, 0)
        row.setSpacing(6)
        for part in (self.back, self.on, self.pill, self.text):
            row.addWidget(part, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.count, 1)
        row.addWidget(self.live)

    def update_from(self, session: Session) -> None:
        """Say what is shown."""
        past, shown = self._browser.past, self._browser.shown
        self.setVisible(bool(past))
        if not past:
            return
        self.strip.update_from()
        place = self._browser.place
        self.back.setEnabled(place != 0)
        self.on.setEnabled(shown is not None)
        self.live.setVisible(shown is not None)
        newest = "" if session.newest is None else f"series {session.newest.number}"
        self._say("NEWEST" if shown is None else "PAST, NOT LIVE", shown is not None)
        self.text.setText(newest if shown is None else past_text(shown))
        self.text.setToolTip("" if shown is None else shown.verdict.reason)
        self.count.setText(self._count_text(len(past), place))

    def _say(self, word: str, past: bool) -> None:
        if word != self.pill.text():
            self.pill.setText(word)
            self.pill.setStyleSheet(theme.pill_style("warn" if past else "plain"))

    def _count_text(self, count: int, place: int | None) -> str:
        text = (
            f"{count_text(count)} earlier" if place is None else f"{place + 1} of {count_text(count)} earlier"
        )
        gone = self._archive.forgotten
        if not gone:
            return text
        return f"{text}, {count_text(gone)} older ones left ({bytes_text(self._archive.limit)} are kept)"
