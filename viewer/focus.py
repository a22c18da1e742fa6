"""What can be gone to with Tab, and in which order: panels from left to right, then the bars below them.

Keys of the window stay the window's: a click on a button leaves them there, and only Space goes to a button,
a box or a list that was gone to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QWidget

from .docks import TitleBar
from .panels.key_keeper import KeyKeeper

if TYPE_CHECKING:
    from .window import ViewerWindow

ROW = 24
"""px: what is less far above another stands in its line."""


class FocusOrder:
    """The window's.

    Parameters
    ----------
    window : whose widgets are ordered.
    """

    def __init__(self, window: ViewerWindow) -> None:
        self._window, self._keeper = window, KeyKeeper(window.body)
        self._ordered: list[QWidget] = []
        for widget in window.body.findChildren(QWidget):
            if isinstance(widget, QAbstractButton | QComboBox):
                if widget.focusPolicy() == Qt.FocusPolicy.NoFocus:
                    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
                widget.installEventFilter(self._keeper)
        window.body.setFocus()  # no button takes the first Space

    def renew(self) -> None:
        """Put in order what can be seen now."""
        ordered = list(self._reachable())
        if ordered != self._ordered:
            self._ordered = ordered
            for one, other in pairwise((self._window.body, *ordered)):
                QWidget.setTabOrder(one, other)

    def _reachable(self) -> Iterator[QWidget]:
        window = self._window
        docks = [window.docks.dock(name) for name in window.seen]
        seen = (dock for dock in docks if not (dock.isFloating() or dock.visibleRegion().isEmpty()))
        inside = sorted(seen, key=_place)
        parts: list[QWidget] = [window.banner, window.series]
        parts += [dock.panel.widget for dock in inside]
        parts += [window.record, window.timeline, window.transport]
        for part in parts:
            yield from sorted(_takers(part), key=_place)
        for dock in inside:
            if isinstance(bar := dock.titleBarWidget(), TitleBar):
                yield from sorted(_takers(bar), key=_place)


def _takers(part: QWidget) -> Iterable[QWidget]:
    """What of a part can be gone to and seen; the part itself where it can."""
    policy = Qt.FocusPolicy.TabFocus
    each = (part, *part.findChildren(QWidget))
    return [
        one for one in each if one.focusPolicy() & policy and one.isVisible() and one.focusProxy() is None
    ]


def _place(widget: QWidget) -> tuple[int, int]:
    """From above to below and from left to right; of docks, those at the left first."""
    corner = widget.mapTo(widget.window(), QPoint(0, 0))
    if isinstance(widget.parent(), QWidget) and widget.inherits("QDockWidget"):
        return corner.x(), corner.y()
    return corner.y() // ROW, corner.x()
