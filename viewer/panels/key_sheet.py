"""The sheet of all keys, over the window; any click or Esc puts it away."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from .. import theme
from ..models.keys import KEYS

COLUMNS = (("View", "Time"), ("Live frame", "Session", "Help"), ("Modes", "Panels"))


class KeySheet(QFrame):
    """In the middle of its parent, as large as it needs."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("sheet")
        self._under = parent
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 16, 24, 20)
        layout.addWidget(theme.named(QLabel("Keys"), "title"))
        row = QHBoxLayout()
        row.setSpacing(12)
        for groups in COLUMNS:
            label = QLabel("<br>".join(_group(name) for name in groups))
            label.setTextFormat(Qt.TextFormat.RichText)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            row.addWidget(label)
        layout.addLayout(row)
        self.hide()

    def toggle(self) -> None:
        """Show it, or put it away."""
        if self.isVisible():
            self.hide()
            return
        self.adjustSize()
        room = self._under.rect().center() - self.rect().center()
        self.move(max(0, room.x()), max(0, room.y()))
        self.show()
        self.raise_()
        self.setFocus()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.hide()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.hide()
        else:
            super().keyPressEvent(event)


def _group(name: str) -> str:
    lines = (
        f'<tr><td style="color:{theme.WARN};font-weight:600;padding-right:14px">{escape(key.text)}</td>'
        f"<td>{escape(key.does)}</td></tr>"
        for key in KEYS[name]
    )
    return f'<p style="color:{theme.MUTED}">{escape(name)}</p><table cellspacing="3">{"".join(lines)}</table>'
