"""The table of live particles: sorted by a click on a column; the row that is chosen marks its particle."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QLabel, QTableView, QVBoxLayout

from .. import theme
from ..models.numbers import count_text
from ..models.particle_table import ParticleTable
from ..models.particles import Particles

PERIOD_S = 0.2
"""Numbers that change thirty times a second cannot be read."""
ROW_HEIGHT = 22
COLUMN = 86
Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()


class ParticleRows(QAbstractTableModel):
    """`ParticleTable` as Qt asks for it: cells are made into text when they are looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.table = ParticleTable()

    def rowCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() else len(self.table)

    def columnCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() else len(self.table.names)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole:
            return self.table.text(index.row(), index.column())
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 0:
            return QColor(theme.curve_colour(self.table.id_at(index.row()) or 0))
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return self.table.head(section)
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self.layoutAboutToBeChanged.emit()
        self.table.sort(column, order == Qt.SortOrder.DescendingOrder)
        self.layoutChanged.emit()

    def take(self, particles: Particles | None) -> None:
        """Show these."""
        rows = len(self.table)
        self.layoutAboutToBeChanged.emit()
        is_other = self.table.take(particles)
        self.layoutChanged.emit()
        if is_other or rows != len(self.table):
            self.beginResetModel()
            self.endResetModel()


class ParticleTablePanel(QFrame):
    """The table with its title."""

    chosen = Signal(object)
    """Number of the particle in the row that the user went to."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("pane")
        self._next = 0.0
        self._shown: Particles | None = None
        self._marked: int | None = None
        self.rows = ParticleRows()
        self.title = theme.named(QLabel("Particles"), "title")
        self.view = QTableView()
        self.view.setModel(self.rows)
        self._prepare()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.addWidget(self.title)
        layout.addWidget(self.view, 1)

    def _prepare(self) -> None:
        view = self.view
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setAlternatingRowColors(True)
        view.setShowGrid(False)
        view.setCornerButtonEnabled(False)
        view.setWordWrap(False)
        view.setTabKeyNavigation(False)  # Tab goes on to what comes next
        view.setToolTip("A row marks its particle in the picture; a click on a head sorts by it")
        view.setAccessibleName("Particles")
        view.verticalHeader().hide()
        view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        view.horizontalHeader().setDefaultSectionSize(COLUMN)
        view.horizontalHeader().setMinimumSectionSize(COLUMN // 2)
        view.setSortingEnabled(True)
        view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        view.selectionModel().currentRowChanged.connect(self._choose)

    def show_particles(self, particles: Particles | None, marked: int | None, now: float) -> None:
        """Take the newest, five times a second; the marked one's row at once."""
        is_other = marked != self._marked
        if particles is not self._shown and (now >= self._next or is_other or particles is None):
            self._next, self._shown = now + PERIOD_S, particles
            with QSignalBlocker(self.view.selectionModel()):
                self.rows.take(particles)
            count = 0 if particles is None else len(particles)
            self.title.setText(f"Particles   {count_text(count)}")
            self._select(marked, scroll=False)
        if is_other:
            self._marked = marked
            self._select(marked, scroll=True)

    def _select(self, marked: int | None, scroll: bool) -> None:
        row = self.rows.table.row_of(marked)
        selection = self.view.selectionModel()
        with QSignalBlocker(selection):
            if row is None:
                self.view.clearSelection()
                self.view.setCurrentIndex(QModelIndex())
            else:
                self.view.selectRow(row)
        self.view.viewport().update()
        if scroll and row is not None:
            self.view.scrollTo(self.rows.index(row, 0))

    def _choose(self, current: QModelIndex) -> None:
        identity = self.rows.table.id_at(current.row()) if current.isValid() else None
        if identity is not None:
            self._marked = identity
            self.chosen.emit(identity)
