"""What is known of the particles, beside the picture: time, sizes, the table, events."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from .. import theme
from ..models.happenings import Happening
from ..models.particles import size_histogram
from ..models.session import Session, calibration_of
from .event_list import EventList
from .labels import ElidedLabel
from .particle_table import ParticleTablePanel
from .size_histogram import SizeHistogramPanel
from .time_plots import TimePlots

SPACING = 8
PERIOD_S = 0.1


class TrackingPanel(QWidget):
    """Plots above, lists below; the user moves the borders."""

    marked = Signal()
    """Another particle is looked at."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._next = 0.0
        self.figures = theme.named(ElidedLabel(Qt.AlignmentFlag.AlignLeft), "reading")
        self.score = theme.named(ElidedLabel(Qt.AlignmentFlag.AlignLeft), "reading")
        self.badge = theme.named(QLabel("ESTIMATE"), "badge")
        self.table, self.events = ParticleTablePanel(), EventList()
        self.sizes, self.plots = SizeHistogramPanel(), TimePlots()
        self.table.chosen.connect(self._mark)
        self.events.chosen.connect(self._go_to)
        halves = _splitter(Qt.Orientation.Vertical)
        for left, right in ((self.plots, self.sizes), (self.table, self.events)):
            row = _splitter(Qt.Orientation.Horizontal)
            row.addWidget(left)
            row.addWidget(right)
            row.setSizes([1300, 1000])
            halves.addWidget(row)
        halves.setSizes([1000, 1000])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        head = QHBoxLayout()
        head.addWidget(self.badge)
        head.addWidget(self.figures, 1)
        layout.addLayout(head)
        layout.addWidget(self.score)
        layout.addWidget(halves, 1)

    def update_from(self, now: float) -> None:
        """Take what changed; plots ten times a second."""
        book = self._session.tracking
        self.table.show_particles(book.particles, book.marked, now)
        if now < self._next:
            return
        self._next = now + PERIOD_S
        self.events.show_happenings(book.happenings)
        said = "   ".join(filter(None, (book.made_by, book.figures)))
        for label, text in ((self.figures, said), (self.score, book.score)):
            label.setText(text)
            label.setVisible(bool(text))
        self.badge.setVisible(bool(book.made_by))
        self.plots.show_history(book.history, book.happenings.newest_first)
        frame = self._session.frame
        self.sizes.setVisible(book.particles is not None)
        if book.particles is not None and frame is not None:
            size = calibration_of(frame)
            self.sizes.show_sizes(size_histogram(book.particles, size.size, size.unit))

    def settle(self) -> None:
        """Draw all at the next update."""
        self._next = 0.0

    def _mark(self, identity: int | None) -> None:
        self._session.tracking.mark(identity)
        self.marked.emit()

    def _go_to(self, happening: Happening) -> None:
        """Its particle; of several the first that is still there."""
        particles = self._session.tracking.particles
        here = [one for one in happening.ids if particles is not None and particles.row(one) is not None]
        if here:
            self._mark(here[0])


def _splitter(orientation: Qt.Orientation) -> QSplitter:
    splitter = QSplitter(orientation)
    splitter.setHandleWidth(SPACING)
    splitter.setChildrenCollapsible(False)
    return splitter
