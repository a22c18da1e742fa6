"""Panels side by side: each can be moved, laid over another, taken out, closed and brought back.

Qt's docks do the moving. How the room is shared until the user moves something is an arrangement
(`models/arrangement`), which is kept to whenever the window gets another size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from PySide6.QtCore import QByteArray, QEvent, QRect, Qt, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication
from PySide6.QtWidgets import QDockWidget, QFrame, QHBoxLayout, QLabel, QLayout, QMainWindow, QWidget

from . import theme
from .models.arrangement import Leaf, Row, Tabs, Tree, divisions, fronts, leaves, names, pruned
from .panel import Panel
from .panels.transport import ShapeButton

BAR = 20
"""px: the bar by which a panel is taken in hand."""
STATE = 1
"""Version of what `Docks.state` gives: another one when names of panels change."""
GRIP = 60
"""px of a window that must be on a screen, so that it can be taken in hand."""
OPTIONS = QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks


class TitleBar(QFrame):
    """What a panel is called; dragging it moves the panel, a double click takes it out of the window."""

    def __init__(self, dock: Dock, title: str) -> None:
        super().__init__()
        self.setObjectName("handle")
        self.setFixedHeight(BAR)
        self.title = QLabel(title)
        out = ShapeButton("out", "A window of its own, or back", dock.toggle_floating, "float", BAR)
        away = ShapeButton("away", "Close; the menu View brings it back", dock.close, "close", BAR)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.title, 1)
        row.addWidget(out)
        row.addWidget(away)


class Dock(QDockWidget):
    """One panel, wherever it is."""

    closed = Signal(str)
    """The user closed the panel of this name."""

    def __init__(self, panel: Panel, parent: QWidget) -> None:
        super().__init__(panel.title, parent)
        self.panel = panel
        self.setObjectName(f"dock-{panel.name}")
        self.setTitleBarWidget(TitleBar(self, panel.title))
        self.setWidget(panel.widget)

    def toggle_floating(self) -> None:
        """A window of its own, or a place in the main one again."""
        self.setFloating(not self.isFloating())

    def switch_off(self, why: str) -> None:
        """Show why there is nothing to show."""
        label = theme.named(QLabel(f"{self.panel.title} is switched off\n\n{why}"), "waiting")
        label.setWordWrap(True)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.panel.widget.hide()
        self.setWidget(label)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit(self.panel.name)


class Docks(QMainWindow):
    """The panels' places."""

    rearranged = Signal()
    """The user moved something."""
    closed = Signal(str)
    """The user closed the panel of this name."""

    def __init__(self, panels: Sequence[Panel]) -> None:
        super().__init__()
        self.setDockOptions(OPTIONS)
        nothing = QWidget()
        self.setCentralWidget(nothing)
        nothing.hide()
        self._docks = {panel.name: Dock(panel, self) for panel in panels}
        self._tree: Tree = Leaf("")
        self._kept: bytes | None = None
        """Places and sizes that were restored, until the user moves something."""
        self._pressed: list[QRect] = []
        self._ours = 0
        for dock in self._docks.values():
            dock.closed.connect(self.closed)
            dock.topLevelChanged.connect(self._note_move)
            dock.dockLocationChanged.connect(self._note_move)
        # Panels that come and go must not push the window about.
        if (own := self.layout()) is not None:
            own.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)

    def dock(self, name: str) -> Dock:
        """The dock of a panel."""
        return self._docks[name]

    def arrange(self, tree: Tree, seen: Collection[str]) -> None:
        """Put all panels where the arrangement wants them, and show these.

        ``tree`` names every panel, so that each has its place when it comes.
        """
        self._kept = None
        with self._by_us():
            self._place(tree)
            self._show(seen)
        self.share()

    def _place(self, tree: Tree) -> None:
        for dock in self._docks.values():
            dock.setFloating(False)
            self.removeDockWidget(dock)
        self._tree = tree
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._docks[names(tree)[0]])
        self._divide(tree)

    def state(self) -> bytes:
        """Places and sizes of all panels, as Qt writes them."""
        return bytes(self.saveState(STATE).data()) if self._kept is None else self._kept

    def restore(self, state: bytes) -> bool:
        """Put all panels back where `state` had them, as soon as they are shown; False, and nothing moved,
        where Qt cannot read it."""
        before = self.saveState(STATE)
        with self._by_us():
            done = self.restoreState(QByteArray(state), STATE)
            if done:
                self._kept = state
                self._show(())
            else:
                self.restoreState(before, STATE)
        return done

    def show_panels(self, seen: Collection[str], *, share: bool) -> None:
        """Show these and no others; share the room anew if wanted."""
        with self._by_us():
            if self._kept is not None:
                # Whoever comes first into an empty window takes all of it: sizes are set once more.
                self.restoreState(QByteArray(self._kept), STATE)
            self._show(seen)
        for dock in self._docks.values():
            if dock.isFloating() and dock.isVisible():
                bring_back(dock)
        if share:
            self.share()

    def share(self) -> None:
        """Give every panel in the window its part of the room, as the arrangement has it."""
        inside = [n for n, dock in self._docks.items() if not dock.isHidden() and not dock.isFloating()]
        tree = pruned(self._tree, inside)
        if tree is None:
            return
        if (own := self.layout()) is not None:
            own.activate()  # sizes of panels that have just come are not known before
        room = (self.width(), self.height())
        for division in divisions(tree, room, theme.GAP):
            docks = [self._docks[name] for name in division.lengths]
            along = Qt.Orientation.Horizontal if division.across else Qt.Orientation.Vertical
            self.resizeDocks(docks, list(division.lengths.values()), along)
        for name in fronts(tree):
            self._docks[name].raise_()

    def event(self, event: QEvent) -> bool:
        """Borders between panels belong to this widget itself. Clicks that a panel has no use for come here
        too, and move nothing."""
        if event.type() == QEvent.Type.MouseButtonPress:
            self._pressed = self._places()
        done = super().event(event)
        if event.type() == QEvent.Type.MouseButtonRelease and self._places() != self._pressed:
            self._note_move()
        return done

    def _places(self) -> list[QRect]:
        return [dock.geometry() for dock in self._docks.values() if dock.isVisible()]

    def _divide(self, tree: Tree) -> None:
        """Outer rows and columns first: a panel that is split takes its own part with it."""
        if isinstance(tree, Leaf):
            return
        heads = [self._docks[next(leaves(part)).name] for part in tree.parts]
        along = Qt.Orientation.Horizontal if isinstance(tree, Row) else Qt.Orientation.Vertical
        for one, other in pairwise(heads):
            if isinstance(tree, Tabs):
                self.tabifyDockWidget(one, other)
            else:
                self.splitDockWidget(one, other, along)
        for part in tree.parts:
            self._divide(part)

    def _show(self, seen: Collection[str]) -> None:
        for name, dock in self._docks.items():
            dock.setVisible(name in seen)

    def _note_move(self) -> None:
        if not self._ours:
            self._kept = None
            self.rearranged.emit()

    @contextmanager
    def _by_us(self) -> Iterator[None]:
        """What happens meanwhile is not the user's doing."""
        self._ours += 1
        try:
            yield
        finally:
            self._ours -= 1


def bring_back(widget: QWidget) -> None:
    """Move a window that no screen shows, or hardly, to the first one."""
    screens = [screen.availableGeometry() for screen in QGuiApplication.screens()]
    place = widget.frameGeometry()
    title = QRect(place.left(), place.top(), place.width(), GRIP)
    seen = (screen.intersected(title) for screen in screens)
    if screens and not any(part.width() >= GRIP and part.height() >= GRIP // 2 for part in seen):
        size = widget.size().boundedTo(screens[0].size())
        widget.setGeometry(QRect(screens[0].topLeft(), size))
