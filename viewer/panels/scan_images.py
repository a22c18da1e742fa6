"""The grid of images: scans, each filling up while the beam scans, and what is made of live frames."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from ...stream.results import Result
from ..models.detectors import detector_topic
from ..models.layout import columns_for, shape_aspect
from ..models.picture import scan_picture
from ..models.sampling import pixel_maps
from ..models.session import Session, pane_of
from .detector_overlay import colour_of
from .image_pane import ImagePane

SPACING = 8


class ScanImagesPanel(QWidget):
    """One pane a scan image, arranged so that the pictures are as large as they can be."""

    asked = Signal(str, str, QPoint)
    """A menu is wanted for the picture of this pane and the detector of this topic, there on the screen."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._drawn: dict[str, tuple[Result, bool]] = {}
        """By pane: what it shows, and whether as of a past series."""
        self._lines: tuple[int, ...] = ()
        self._written = 0
        self.panes: dict[str, ImagePane] = {}
        self.shows_maps = False
        """Whether what was measured of pictures, or not, is laid over them."""
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(SPACING)

    def update_from(self, now: float) -> None:
        """Take what changed: new images, another series, and panes whose topic is no image any more."""
        images = {pane_of(result): result for result in self._session.images}
        arrangement = list(self.panes)
        for topic in [t for t in self.panes if t not in images]:
            self._remove(topic)
        for topic, result in images.items():
            self._show(self.panes.get(topic) or self._add(topic), topic, result, now)
        self.panes = {topic: self.panes[topic] for topic in images}
        if arrangement != list(self.panes):
            self._arrange()
        self._write_alike()

    def _show(self, pane: ImagePane, topic: str, result: Result, now: float) -> None:
        past = self._session.is_past(result)
        before = self._drawn.get(topic)
        if before is None or before[0] is not result or before[1] != past:
            self._drawn[topic] = (result, past)
            pane.show_picture(scan_picture(result, past), now)
        pane.set_veiled(self._session.is_stale(result))
        pane.set_past(self._session.browser.shown is not None)
        number = self._session.number_of(result)
        pane.set_badge(None if number is None else colour_of(number))

    @property
    def has_maps(self) -> bool:
        """Whether of some picture only a part of the pixels was measured."""
        return any(p.picture is not None and bool(pixel_maps(p.picture)) for p in self.panes.values())

    def toggle_maps(self) -> None:
        """Show what was measured of pictures, or not; or no more."""
        self.shows_maps = not self.shows_maps
        for pane in self.panes.values():
            pane.show_maps(self.shows_maps)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _write_alike(self) -> None:
        """Captions and notes of all panes have as many lines, so that pictures side by side stay level."""
        wanted = [lines for pane in self.panes.values() if (lines := pane.lines_wanted())]
        if not wanted:
            return
        most = tuple(max(lines) for lines in zip(*wanted, strict=True))
        if most != self._lines or len(wanted) != self._written:
            self._lines, self._written = most, len(wanted)
            for pane in self.panes.values():
                pane.set_lines(most)

    def _add(self, topic: str) -> ImagePane:
        pane = ImagePane()
        pane.view.asked.connect(lambda _y, _x, where: self._ask(topic, where))
        pane.show_maps(self.shows_maps)
        self.panes[topic] = pane
        return pane

    def _remove(self, topic: str) -> None:
        pane = self.panes.pop(topic)
        del self._drawn[topic]
        self._grid.removeWidget(pane)
        pane.deleteLater()

    def _ask(self, topic: str, where: QPoint) -> None:
        if topic in self._drawn:
            self.asked.emit(topic, detector_topic(topic, self._drawn[topic][0].attrs), where)

    def _arrange(self) -> None:
        shapes = [p.picture.extent for p in self.panes.values() if p.picture is not None]
        columns = columns_for(len(self.panes), self.width(), self.height(), shape_aspect(shapes))
        rows = -(-len(self.panes) // columns)
        for position, pane in enumerate(self.panes.values()):
            row, column = divmod(position, columns)
            last = position == len(self.panes) - 1
            self._grid.addWidget(pane, row, column, 1, columns - column if last else 1)
        for index in range(max(self._grid.columnCount(), self._grid.rowCount())):
            self._grid.setColumnStretch(index, int(index < columns))
            self._grid.setRowStretch(index, int(index < rows))
