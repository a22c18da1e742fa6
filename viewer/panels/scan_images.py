"""The grid of scan images, each filling up while the beam scans."""

from __future__ import annotations

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QWidget

from ..models.layout import columns_for, shape_aspect
from ..models.picture import scan_picture
from ..models.session import Session
from .detector_overlay import colour_of
from .image_pane import ImagePane

SPACING = 8


class ScanImagesPanel(QWidget):
    """One pane a scan image, arranged so that the pictures are as large as they can be."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._past: dict[str, bool] = {}
        self.panes: dict[str, ImagePane] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(SPACING)

    def update_from(self, changed: frozenset[str], now: float) -> None:
        """Take what changed: new images, and panes whose topic is no image any more."""
        images = {result.topic: result for result in self._session.images}
        arrangement = list(self.panes)
        for topic in [t for t in self.panes if t not in images]:
            self._remove(topic)
        for topic, result in images.items():
            pane = self.panes.get(topic) or self._add(topic)
            past = self._session.is_past(result)
            if topic in changed or self._past.get(topic) != past:
                self._past[topic] = past
                pane.show_picture(scan_picture(result, past), now)
            pane.set_veiled(self._session.is_stale(result))
            number = self._session.detectors.number(topic)
            pane.set_badge(None if number is None else colour_of(number))
        if arrangement != list(self.panes):
            self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _add(self, topic: str) -> ImagePane:
        pane = ImagePane()
        self.panes[topic] = pane
        return pane

    def _remove(self, topic: str) -> None:
        pane = self.panes.pop(topic)
        del self._past[topic]
        self._grid.removeWidget(pane)
        pane.deleteLater()

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
