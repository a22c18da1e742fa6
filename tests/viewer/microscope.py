"""A real window on a real session: sockets, ring and processes are those that users have."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from livem.session import Session
from livem.viewer import qt
from livem.viewer.connection import connect

sys.path.insert(0, str(Path(__file__).parents[1]))
from session_tools import step_until

PREVIEW = [{"name": "preview", "type": "preview"}]


class Microscope:
    """A session and a window on it, driven in turns by one thread.

    ``budget``: bytes a second for a window on another machine; None: it is on this one.
    """

    def __init__(self, session: Session, app: Any, budget: float | None = None) -> None:
        from livem.viewer.window import ViewerWindow

        self.session, self._app, self._ended = session, app, False
        session.start()
        step_until(session, lambda: session.accounts.entered()[0] > 20)
        self.window = ViewerWindow(*connect(session.hub.addresses.control, budget))
        self.window.resize(1100, 700)
        self.window.show()
        self.until(lambda: self.window.session.frame is not None and self.window.playhead.past is not None)

    def until(self, done: Callable[[], Any]) -> Any:
        """Serve both until ``done``."""

        def turn() -> Any:
            self.turn()
            return done()

        return step_until(self.session, turn)

    def turn(self) -> None:
        """Let the window have its turn."""
        self._app.processEvents()
        self.window.tick()

    def press(self, key: Qt.Key) -> None:
        self.window.activateWindow()
        QTest.keyClick(self.window, key)

    @property
    def index(self) -> int:
        return int(self.window.session.frame.attrs["index"])

    def end(self) -> None:
        """The session is over."""
        if not self._ended:
            self._ended = True
            self.session.stop("enough")
            self.session.finish()
            self.session.close()

    def close(self) -> None:
        self.window.close()
        self.end()
        qt.finish_deletions()
        self._app.processEvents()
