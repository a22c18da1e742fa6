"""Layouts of the real window: taken from it, put back, kept for the next start, named by the user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QInputDialog, QMenu

from .docks import bring_back
from .models.layouts import Layout, LayoutError, LayoutFiles
from .models.modes import BY_NAME

if TYPE_CHECKING:
    from .window import ViewerWindow


class Layouts:
    """What becomes of the window's arrangement beyond this run.

    Parameters
    ----------
    window : the window that is arranged.
    files : where layouts are kept.
    say : takes a sentence for the status bar.
    """

    def __init__(self, window: ViewerWindow, files: LayoutFiles, say: Callable[[str], None]) -> None:
        self._window, self._files, self._say = window, files, say

    def begin(self) -> None:
        """As the window was left the last time, where that can be."""
        try:
            layout = self._files.last(screen_size())
        except LayoutError as problem:
            self._say(str(problem))
        else:
            if layout is not None:
                put(self._window, layout)

    def end(self) -> None:
        """Keep the arrangement for the next start."""
        try:
            self._files.keep_last(taken(self._window))
        except LayoutError as problem:
            print(f"livem: viewer: {problem}", file=sys.stderr)  # the status bar is going

    def fill(self, menu: QMenu) -> None:
        """All that can be done with layouts, as it is now."""
        menu.clear()
        for name in self._files.names:
            menu.addAction(name).triggered.connect(lambda _checked, name=name: self.use(name))
        menu.addSeparator()
        menu.addAction("Keep this one as ...").triggered.connect(self.ask_name)
        removal = menu.addMenu("Remove")
        removal.setEnabled(bool(self._files.names))
        for name in self._files.names:
            removal.addAction(name).triggered.connect(lambda _checked, name=name: self.remove(name))

    def ask_name(self) -> QInputDialog:
        """Ask under which name to keep the arrangement; the window goes on meanwhile."""
        dialog = QInputDialog(self._window)
        dialog.setWindowTitle("Keep layout")
        dialog.setLabelText("Name of this layout")
        dialog.textValueSelected.connect(self.keep)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        return dialog

    def keep(self, name: str) -> None:
        """Keep the arrangement under a name."""
        self._do(lambda: self._files.keep(name.strip(), taken(self._window)), f"layout {name.strip()!r} kept")

    def use(self, name: str) -> None:
        """Arrange the window as this layout has it."""
        self._do(lambda: put(self._window, self._files.named(name, screen_size())), f"layout {name!r}")

    def remove(self, name: str) -> None:
        """Forget a layout."""
        self._do(lambda: self._files.remove(name), f"layout {name!r} removed")

    def _do(self, act: Callable[[], None], said: str) -> None:
        try:
            act()
        except LayoutError as problem:
            said = str(problem)
        self._say(said)


def taken(window: ViewerWindow) -> Layout:
    """The arrangement of a window."""
    space = window.workspace
    return Layout(
        docks=window.docks.state(),
        window=bytes(window.saveGeometry().data()),
        screen=screen_size(),
        mode=space.mode.name if space.is_chosen or space.is_moved else "",
        is_moved=space.is_moved,
        asked=space.asked,
        pictures=window.pictures.chosen.chosen,
    )


def put(window: ViewerWindow, layout: Layout) -> None:
    """Arrange a window so. Raises LayoutError where Qt cannot read it."""
    put_panels(window, layout)
    window.restoreGeometry(QByteArray(layout.window))
    bring_back(window)


def put_panels(window: ViewerWindow, layout: Layout) -> None:
    """Arrange what is in a window so. Raises LayoutError where Qt cannot read it."""
    window.docks.arrange(window.workspace.tree, ())
    window.rearrange()
    if layout.is_moved and not window.docks.restore(layout.docks):
        raise LayoutError("the layout is not used: it has no places that Qt can read")
    window.workspace.take_up(BY_NAME.get(layout.mode), layout.is_moved, layout.asked)
    window.pictures.chosen.take_up(layout.pictures)


def screen_size() -> tuple[int, int]:
    """(width, height) px of all screens together."""
    screen = QGuiApplication.primaryScreen()
    size = screen.virtualSize()
    return size.width(), size.height()
