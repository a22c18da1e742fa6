"""Pictures of the real window in a file, with or without a display."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SessionError
from ..stream.results import Result
from . import qt
from .models.feed import FeedState, GivenResults

if TYPE_CHECKING:
    from .window import ViewerWindow

LAYOUT_PASSES = 3
"""Sizes go from the window to the splitters to the views: each pass of the event loop reaches one deeper."""


def save_snapshot(window: ViewerWindow, path: Path) -> None:
    """Write what the window shows to a PNG file; an existing file is replaced only by a complete one.

    Raises SessionError when the file cannot be written.
    """
    from shiboken6 import isValid

    paint(window)
    if not isValid(window):  # it was closed while it was painted
        return
    picture = window.grab().toImage()
    part = path.with_name(f".{path.stem}.part.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not picture.save(str(part)):
            raise OSError("no PNG could be written there; check the free space and the rights")
        os.replace(part, path)
    except OSError as failure:
        with suppress(OSError):
            part.unlink()
        raise SessionError(f"cannot write the snapshot {path}: {failure}") from failure


def paint(window: ViewerWindow) -> None:
    """Lay out and draw everything now: a window that was never shown has no sizes, and blank pictures."""
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QApplication
    from shiboken6 import isValid

    if not window.isVisible():
        window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        window.show()
    for _ in range(LAYOUT_PASSES):
        if not isValid(window):  # closed by an event of the last pass: its widgets are gone
            return
        window.settle()
        QApplication.processEvents()


def snapshot_from_results(
    results: Mapping[str, Result], path: Path, size: tuple[int, int] = (1400, 900)
) -> None:
    """Show `results` (by topic) in the real window of `size` (width, height) pixels, and save it as PNG.

    Needs no display. Raises MissingDependencyError without Qt, SessionError when the file cannot be written.
    """
    qt.application(headless=not qt.has_display())
    from .window import ViewerWindow

    window = ViewerWindow(GivenResults(results, FeedState("live")))
    try:
        window.resize(*size)
        save_snapshot(window, path)
    finally:
        window.close()
        qt.finish_deletions()
