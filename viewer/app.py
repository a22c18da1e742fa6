"""The viewer as a program: attach to a running session, show it until the window is closed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LivemError
from ..stream.heap import return_large_blocks
from . import qt

if TYPE_CHECKING:
    from .models.commands import Commands
    from .models.connecting import Start
    from .models.feed import Feed
    from .window import ViewerWindow

INTERRUPTED = 130


def run_viewer(
    control_address: str | None,
    *,
    headless: bool = False,
    snapshot: Path | None = None,
    duration: float | None = None,
    budget: float | None = None,
) -> int:
    """Show a session until the window is closed, Ctrl-C, or the end of `duration`.

    Parameters
    ----------
    control_address : str, optional
        Where the session answers, "tcp://host:port" or "ipc://path"; None: the user is asked.
    headless : bool
        Draw without a display, and end with the session.
    snapshot : Path, optional
        PNG file to write at the end; without a display also as soon as there are pictures, and every 5 s.
    duration : float, optional
        Seconds to show; None = until closed.
    budget : float, optional
        Bytes a second that may come; None = all there is from this machine, `remote.BUDGET` from another.

    Returns
    -------
    int
        Exit code: 0, or 130 after Ctrl-C.

    Raises
    ------
    MissingDependencyError, UsageError
        Where no window can be drawn; with what to install or do.
    """
    return_large_blocks()
    qt.application(headless=headless)
    from .connection import connect
    from .switching import NoSession

    feed, commands = (NoSession(), None) if control_address is None else connect(control_address, budget)
    return show(
        feed,
        commands,
        title=control_address or "",
        snapshot=snapshot,
        duration=duration,
        follow=headless,
        folder=None if headless else user_folder(),
        ask=control_address is None,
    )


def show(
    feed: Feed,
    commands: Commands | None = None,
    *,
    title: str = "",
    snapshot: Path | None = None,
    duration: float | None = None,
    follow: bool = False,
    folder: Path | None = None,
    ask: bool = False,
) -> int:
    """Run the window on any feed; see `run_viewer` and `ViewerWindow` for the rest. Needs `qt.application`
    before.

    ``ask``: begin with the dialog that connects it.
    """
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from .window import ViewerWindow

    window = ViewerWindow(feed, commands, folder=folder)
    run = _Run(window, snapshot, folder)
    run.begin(window, title)
    if follow:
        run.follow()
    if ask:
        window.connector.ask()
    if duration is not None:
        QTimer.singleShot(max(0, int(duration * 1000)), window, run.close)
    with _on_interrupt(run.interrupt):
        QApplication.exec()
    run.owned.end()
    qt.finish_deletions()
    return run.outcome()


def user_folder() -> Path:
    """Where the user's layouts and choices are kept."""
    import platformdirs

    return Path(platformdirs.user_config_dir("livem", appauthor=False)) / "viewer"


LOOK_MS = 100
PICTURE_S = 5.0
"""A picture of the window costs 0.2 s of CPU (three passes of layout, drawing, PNG): 4 % of one core."""


class _Run:
    """How one run of the window ends."""

    def __init__(self, window: ViewerWindow, snapshot: Path | None, folder: Path | None = None) -> None:
        from .switching import Owned

        self._window = window
        self.owned = Owned()
        self._snapshot, self._folder = snapshot, folder
        self._interrupted = False
        self._failure: LivemError | None = None
        self._was_live = False
        self._next_picture = 0.0

    def begin(self, window: ViewerWindow, title: str) -> None:
        """Show a window; it may open another in its place."""
        window.setWindowTitle(f"livem   {title}".rstrip())
        window.closing.connect(self.take_picture)
        window.connector.opening.connect(self.switch)
        window.show()
        window.start()

    def switch(self, address: str, start: Start | None) -> None:
        """Show another session: a window of its own takes the place of the one that there is."""
        from .connection import connect
        from .window import ViewerWindow

        if start is not None:
            self.owned.add(address, start)
        before = self._window
        try:
            feed, commands = connect(address)
        except LivemError as failure:
            before.say(str(failure))
            return
        self._window = ViewerWindow(feed, commands, folder=self._folder)
        self._window.setGeometry(before.geometry())
        self.begin(self._window, address if start is None else start.source)
        before.closing.disconnect(self.take_picture)
        before.close()

    def close(self) -> None:
        """The window that there is."""
        self._window.close()

    def interrupt(self) -> None:
        """Called from a signal handler, perhaps in the middle of a paint: the event loop does the rest."""
        from PySide6.QtCore import QTimer

        self._interrupted = True
        QTimer.singleShot(0, self._window, self.close)

    def follow(self) -> None:
        """Look at the session from time to time: take its picture, and end when it ends."""
        from PySide6.QtCore import QTimer

        timer = QTimer(self._window)
        timer.timeout.connect(self._look)
        timer.start(LOOK_MS)

    def _look(self) -> None:
        session = self._window.session
        self._was_live |= bool(session.status.state)
        if session.status.state == "ended" or (self._was_live and session.lost):
            self._window.close()
        elif (session.frame or session.images) and time.monotonic() >= self._next_picture:
            self._next_picture = time.monotonic() + PICTURE_S
            self.take_picture()

    def take_picture(self) -> None:
        """An error here would be lost in Qt's event loop: it is kept for `outcome`."""
        from .snapshot import save_snapshot

        try:
            if self._snapshot is not None:
                save_snapshot(self._window, self._snapshot)
        except LivemError as failure:
            self._failure = failure

    def outcome(self) -> int:
        """The exit code, or the error that kept the snapshot from being written."""
        if self._failure is not None:
            raise self._failure
        return INTERRUPTED if self._interrupted else 0


@contextmanager
def _on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `act`; unless it is ignored (a child of `livem live`) or this is no main thread.

    Python runs signal handlers between bytecodes only; the window's timer sees to it that there are some.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
