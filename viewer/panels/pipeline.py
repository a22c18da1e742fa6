"""The pipeline: its stages in the order of the data with their times, and parameters of the chosen one."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSplitter,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
)

from .. import theme
from ..models.chips import Tone
from ..models.commands import Commands
from ..models.numbers import count_text, ms_text
from ..models.session import Session
from ..models.stages import Stage, State
from .key_keeper import KeyKeeper
from .labels import ElidedLabel
from .parameter_form import ParameterForm

PERIOD_S = 0.2
"""As often as the session tells its status."""
HEADS = ("stage", "state", "ms (p50 / p95)", "frames", "not seen")
WIDTHS = (120, 76, 110, 84, 76)
MS, THIN = 2, 2
TONES: dict[State, Tone] = {
    "works": "good",
    "off": "muted",
    "failed": "bad",
    "starting": "warn",
    "given up": "bad",
}
Index = QModelIndex | QPersistentModelIndex
SHARES = Qt.ItemDataRole.UserRole
"""Of a cell of times: (p50, p95) as shares of the longest bar."""


class TimeBar(QStyledItemDelegate):
    """Below the numbers a bar as long as the median, and a thin one up to the 95th percentile."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        shares = index.data(SHARES)
        if shares is not None:
            area = option.rect.adjusted(2, 0, -8, 0)
            median, most = (round(area.width() * share) for share in shares)
            line = QRect(area.left(), area.bottom() - THIN + 1, most, THIN)
            painter.fillRect(line, QColor(theme.WARN))
            painter.fillRect(line.adjusted(0, -THIN, median - most, 0), QColor(theme.curve_colour(0)))


class PipelinePanel(QFrame):
    """Stages above, the form of the chosen one below."""

    def __init__(self, session: Session, commands: Commands) -> None:
        super().__init__()
        self.setObjectName("pane")
        self._session, self._book, self._commands = session, session.pipeline, commands
        self._next = 0.0
        self._drawn: tuple[object, ...] = ()
        self._chosen = ""
        self.title = theme.named(QLabel("Pipeline"), "title")
        self.switch = QPushButton("switch off")
        self.switch.setToolTip("Let the chosen stage rest: its frames are counted as switched_off (Shift+E)")
        self.switch.clicked.connect(self.turn)
        self.tree = QTreeWidget()
        self.form = ParameterForm()
        self.form.asked.connect(self._ask)
        self.fault = ElidedLabel(Qt.AlignmentFlag.AlignLeft)
        self._arrange()
        self.setFocusProxy(self.tree)
        KeyKeeper(self).keep_in(self.switch)

    def _arrange(self) -> None:
        tree = self.tree
        tree.setHeaderLabels(list(HEADS))
        tree.setRootIsDecorated(False)
        tree.setToolTip("Stages in the order of the data; the chosen one's parameters stand below")
        tree.setAccessibleName("Stages")
        tree.setUniformRowHeights(True)
        tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        tree.setItemDelegateForColumn(MS, TimeBar(tree))
        for column, width in enumerate(WIDTHS):
            tree.setColumnWidth(column, width)
        tree.currentItemChanged.connect(self._choose)
        head = QHBoxLayout()
        head.addWidget(self.title)
        head.addWidget(self.fault, 1)
        head.addWidget(self.switch)
        parts = QSplitter(Qt.Orientation.Vertical)
        parts.setChildrenCollapsible(False)
        parts.addWidget(tree)
        parts.addWidget(self.form)
        parts.setSizes([1000, 2000])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.addLayout(head)
        layout.addWidget(parts, 1)

    @property
    def chosen(self) -> str:
        """Name of the stage whose parameters are shown; "" while there is none."""
        return self._chosen

    def choose(self, name: str) -> None:
        """Show this stage's parameters."""
        for place in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(place)
            if item is not None and item.text(0) == name:
                self.tree.setCurrentItem(item)

    def turn(self) -> None:
        """The chosen stage off, or on again."""
        if self._chosen:
            self._book.turn(self._chosen, self._commands)

    def settle(self) -> None:
        """Draw all at the next update."""
        self._next = 0.0

    def update_from(self, now: float) -> None:
        """Draw what is new, five times a second; what became of a change at once."""
        self._book.see(self._session.status.stages, self._commands, now)
        state = (self._book.version, self._chosen)
        if not self.isVisible() or (now < self._next and state == self._drawn):
            return
        self._next = now + PERIOD_S
        self._show_stages(self._book.stages)
        self._drawn = (self._book.version, self._chosen)
        self.form.show_fields(self._book.fields(self._chosen))
        stage = self._book.stage(self._chosen)
        self.switch.setEnabled(stage is not None)
        self.switch.setText("switch on" if stage is not None and not stage.is_on else "switch off")
        fault = "" if stage is None else stage.fault
        if fault != self.fault.text():
            self.fault.setText(fault)
            self.fault.setStyleSheet(f"color: {theme.BAD};")

    def _show_stages(self, stages: Sequence[Stage]) -> None:
        names = [stage.name for stage in stages]
        items = [self.tree.topLevelItem(place) for place in range(self.tree.topLevelItemCount())]
        if [item.text(0) for item in items if item is not None] != names:
            self.tree.clear()
            items = [QTreeWidgetItem([name]) for name in names]
            self.tree.addTopLevelItems([item for item in items if item is not None])
            self.choose(self._chosen if self._chosen in names else next(iter(names), ""))
        longest = max((stage.p95_ms or 0.0 for stage in stages), default=0.0)
        for item, stage in zip(items, stages, strict=True):
            if item is not None:
                _fill(item, stage, longest)

    def _choose(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self._chosen = item.text(0)

    def _ask(self, name: str, value: object) -> None:
        self._book.set(self._chosen, name, value, self._commands)


def _fill(item: QTreeWidgetItem, stage: Stage, longest: float) -> None:
    """Write only what has changed: a tree draws every cell that is set."""
    dropped = sum(stage.dropped.values())
    times = f"{ms_text(stage.p50_ms)} / {ms_text(stage.p95_ms)}"
    texts = (stage.name, stage.state, times, count_text(stage.processed), count_text(dropped))
    for column, text in enumerate(texts):
        if item.text(column) != text:
            item.setText(column, text)
    item.setForeground(1, QColor(theme.tone_colour(TONES[stage.state])))
    item.setForeground(4, QColor(theme.tone_colour("bad" if dropped and stage.lossless else "plain")))
    shares = [(ms or 0.0) / longest if longest else 0.0 for ms in (stage.p50_ms, stage.p95_ms)]
    item.setData(MS, SHARES, shares)
    tip = _tip(stage)
    for column in range(len(HEADS)):
        item.setToolTip(column, tip)


def _tip(stage: Stage) -> str:
    reasons = ", ".join(f"{count_text(n)} {reason}" for reason, n in stage.dropped.items())
    latency = f"{ms_text(stage.latency_p50_ms)} / {ms_text(stage.latency_p95_ms)} ms from arrival to result"
    lines = (
        f"{stage.name}: {stage.type}, {stage.policy}",
        stage.fault,
        f"takes {', '.join(stage.inputs)}" if stage.inputs else "",
        f"at work {100 * stage.busy:.0f} % of the time, on {stage.device or 'CPU'}",
        latency if stage.latency_p50_ms is not None else "",
        f"not seen: {reasons}" if reasons else "",
    )
    return "\n".join(filter(None, lines))
