"""The menu bar. Keys stand beside the words; the window binds them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from .models.keys import labelled
from .models.modes import MODES, Mode

if TYPE_CHECKING:
    from .window import ViewerWindow


SESSION = (
    ("connect", "Connect \N{HORIZONTAL ELLIPSIS}"),
    ("record", "Record, or stop"),
    ("keep", "Keep the last seconds"),
    ("snapshot", "Snapshot"),
)


class SessionMenu:
    """What is done with the session as a whole."""

    def __init__(self, window: ViewerWindow) -> None:
        self.menu = window.menuBar().addMenu("&Session")
        for action, words in SESSION:
            act = window.actions_by_name[action]
            self.menu.addAction(labelled(words, action)).triggered.connect(partial(_do, act))


def _do(act: Callable[[], object], _checked: bool) -> None:
    act()


class ViewMenu:
    """Modes and panels. What is ticked is looked up when the menu opens."""

    def __init__(self, window: ViewerWindow) -> None:
        self._window = window
        self.menu = window.menuBar().addMenu("&View")
        self.menu.setToolTipsVisible(True)
        self._ticks: list[tuple[QAction, Callable[[], bool]]] = []
        self._add_modes()
        self._add_panels()
        layouts = self.menu.addMenu("Layouts")
        layouts.aboutToShow.connect(lambda: window.layouts.fill(layouts))
        self.menu.addSeparator()
        for action, words in (
            ("theme", "Dark or light"),
            ("full_screen", "Full screen"),
            ("keys", "All keys"),
        ):
            self.menu.addAction(labelled(words, action), window.actions_by_name[action])
        self.menu.aboutToShow.connect(self._look)

    def _add_modes(self) -> None:
        workspace = self._window.workspace
        for mode in MODES:
            self._tick(
                self.menu,
                labelled(mode.title, f"mode_{mode.name}"),
                self._window.actions_by_name[f"mode_{mode.name}"],
                partial(self._is_mode, mode),
            ).setToolTip(mode.does)
        self._tick(
            self.menu,
            labelled("The mode that fits, nothing moved", "mode_automatic"),
            self._window.actions_by_name["mode_automatic"],
            lambda: not (workspace.is_chosen or workspace.is_moved),
        )

    def _add_panels(self) -> None:
        panels = self.menu.addMenu("Panels")
        for panel in self._window.panels:
            name = f"panel_{panel.name}"
            self._tick(
                panels,
                labelled(panel.title, name),
                self._window.actions_by_name[name],
                partial(self._is_seen, panel.name),
            )

    def _tick(
        self, menu: QMenu, words: str, act: Callable[[], object], is_ticked: Callable[[], bool]
    ) -> QAction:
        action = menu.addAction(words)
        action.setCheckable(True)
        action.triggered.connect(lambda _checked: act())
        self._ticks.append((action, is_ticked))
        return action

    def _is_mode(self, mode: Mode) -> bool:
        return self._window.workspace.mode is mode

    def _is_seen(self, name: str) -> bool:
        return name in self._window.seen

    def _look(self) -> None:
        for action, is_ticked in self._ticks:
            action.setChecked(is_ticked())
