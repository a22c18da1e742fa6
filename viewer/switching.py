"""Connecting a window: its dialog, what is dropped on it, and the session that it shows after that.

A window belongs to one session for good; another one gets a window of its own in the old one's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from PySide6.QtCore import QEvent, QMimeData, QObject, Signal
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QMainWindow

from ..errors import LivemError, UsageError
from ..stream.control import ControlClient
from ..stream.results import Result
from .models.connecting import Start, wanted_of
from .models.feed import FeedState
from .panels.connect import ConnectDialog

NOWHERE = "Not connected: Ctrl+O connects, or drop a recording or a pipeline file here"
STOP_S = 5.0
END_S = 20.0
"""A session works off its buffer and writes its last results; what takes longer goes on without us."""
CLOSED = "the window was closed"


class NoSession:
    """The feed of a window that is not connected."""

    def poll(self) -> dict[str, Result]:
        return {}

    def events(self) -> Sequence[Result]:
        return ()

    def finals(self) -> Sequence[Result]:
        return ()

    @property
    def state(self) -> FeedState:
        return FeedState("connecting", NOWHERE)

    def close(self) -> None:
        """Nothing to end."""


class Connector(QObject):
    """The ways to connect one window."""

    opening = Signal(str, object)
    """The window is to show the session at this control address; with the Start that began it, or None."""
    refused = Signal(str)
    """Something cannot be opened, and why."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.dialog: ConnectDialog | None = None
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def ask(self, source: str = "", pipeline: str = "") -> None:
        """Open the dialog, with a source or a pipeline file in it."""
        if self.dialog is None:
            self.dialog = ConnectDialog(self._window)
            self.dialog.attach.connect(lambda address: self.opening.emit(address, None))
            self.dialog.started.connect(self.opening.emit)
        self.dialog.begin()
        if source or pipeline:
            self.dialog.offer(source, pipeline)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Close and self.dialog is not None:
            self.dialog.reject()
        if event.type() not in (QEvent.Type.DragEnter, QEvent.Type.Drop) or not isinstance(event, QDropEvent):
            return super().eventFilter(watched, event)
        paths = _paths_in(event.mimeData())
        if not paths:
            return super().eventFilter(watched, event)
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self.take(paths)
        return True

    def take(self, paths: Sequence[str]) -> None:
        """Open what was dropped: a recording is replayed, a pipeline file asks for its source."""
        try:
            recording, pipeline = wanted_of(paths)
        except UsageError as failure:
            self.refused.emit(str(failure))
            return
        self.ask(recording, pipeline)
        if recording and self.dialog is not None:
            self.dialog.open()


def _paths_in(data: QMimeData) -> list[str]:
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]


class Owned:
    """Sessions that were started from here: they end with the program, as one of `livem live` does."""

    def __init__(self) -> None:
        self._sessions: dict[str, Start] = {}

    def add(self, address: str, start: Start) -> None:
        """It runs."""
        self._sessions[address] = start

    def end(self) -> None:
        """Ask each to stop, and wait for it; what it recorded is kept."""
        for address, start in self._sessions.items():
            with suppress(LivemError), ControlClient(address) as client:
                client.request({"do": "stop", "reason": CLOSED}, STOP_S)
            start.await_end(END_S)
        self._sessions.clear()
