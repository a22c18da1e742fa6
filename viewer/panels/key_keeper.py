"""Keys of a form that the window has shortcuts for go to the form while it has the focus."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

KEPT = frozenset({Qt.Key.Key_Space})
"""A box is checked and a button pressed by Space, which else pauses a replay."""


class KeyKeeper(QObject):
    """Filter of a panel's widgets."""

    def keep_in(self, panel: QWidget) -> None:
        """For the panel and all that is in it now."""
        for widget in (panel, *panel.findChildren(QWidget)):
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.ShortcutOverride:
            return super().eventFilter(watched, event)
        if event.key() in KEPT and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            event.accept()
            return True
        return super().eventFilter(watched, event)
