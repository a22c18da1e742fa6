"""What happened to particles, newest first; a click marks the particle, or goes to where it was."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout

from .. import theme
from ..models.happenings import Happening, Happenings
from ..models.numbers import count_text
from .event_marks import event_icon

LISTED = 200
"""The newest ones: a row costs 20 us, and nobody reads further back here."""
HEADS = ("what", "when", "particle", "certainty")


class EventList(QFrame):
    """The list with its title."""

    chosen = Signal(object)
    """The `Happening` of the row that was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("pane")
        self._listed: Sequence[Happening] = ()
        self.title = theme.named(QLabel("Events"), "title")
        self.list = QTreeWidget()
        self.list.setHeaderLabels(list(HEADS))
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        for column, width in enumerate((120, 70, 70)):
            self.list.setColumnWidth(column, width)
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)
        self.list.setToolTip("A row marks the particle that it is of")
        self.list.setAccessibleName("Events")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.addWidget(self.title)
        layout.addWidget(self.list, 1)

    def show_happenings(self, book: Happenings) -> None:
        """Take what is new."""
        newest = book.newest_first[:LISTED]
        if newest == self._listed:
            return
        self._listed = newest
        total = len(book) + book.forgotten
        self.title.setText(f"Events   {count_text(total)}")
        self.list.clear()
        icons = {one.kind: event_icon(one.kind, self.devicePixelRatioF()) for one in newest}
        for one in newest:
            certainty = "" if one.confidence is None else f"{100 * one.confidence:.0f} %"
            item = QTreeWidgetItem([one.kind, one.when, one.who, certainty])
            item.setIcon(0, icons[one.kind])
            item.setData(0, Qt.ItemDataRole.UserRole, one)
            self.list.addTopLevelItem(item)

    def _choose(self, item: QTreeWidgetItem) -> None:
        self.chosen.emit(item.data(0, Qt.ItemDataRole.UserRole))
