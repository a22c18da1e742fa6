"""Dark and light while the window is open: everything is made anew, and stands as it stood before.

Panels take their colours when they are made; a window that was half repainted would be unreadable. What the
session and the models know stays, since panels only show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QMenuBar

from . import theme
from .layouts import put_panels, taken

if TYPE_CHECKING:
    from .window import ViewerWindow

THEME = "theme"
"""The choice's name among the settings."""


def use_theme(window: ViewerWindow, name: str) -> None:
    """Show a window in another theme, and every later one too."""
    theme.use(name)
    try:
        window.settings.keep(THEME, name)
    except OSError as failure:
        window.say(f"the theme cannot be kept for the next start: {failure}")
    _make_anew(window)


def _make_anew(window: ViewerWindow) -> None:
    views, layout = window.view_state(), taken(window)
    locked, comparison = window.frame.pane.contrast.locked, window.frame.comparison
    tools, maps = window.inspector.put_away(), window.images.shows_maps
    old, sheet = window.body, window.sheet
    window.takeCentralWidget()
    window.setMenuBar(QMenuBar())
    window.set_up()
    for part in (old, sheet):
        part.deleteLater()
    put_panels(window, layout)
    window.tick()  # pictures are there, so that they can be zoomed
    window.show_views(views)
    window.frame.comparison.mode, window.frame.comparison.share = comparison.mode, comparison.share
    window.inspector.take_out(tools)
    if maps:
        window.images.toggle_maps()
    for pane in window.panes:
        pane.lock_contrast(locked)
