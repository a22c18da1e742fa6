"""The viewer as a program, on fakes and on a real result hub over loopback."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_tools import ServedHub
from PySide6.QtCore import QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from livem.errors import SessionError, UsageError
from livem.stream.bus import Publisher
from livem.stream.hub import Hub
from livem.viewer import qt
from livem.viewer.app import INTERRUPTED, run_viewer, show
from livem.viewer.window import ViewerWindow


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def hub(asked: list[dict[str, Any]]) -> Iterator[Hub]:
    def handler(request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] != "history":
            asked.append(request)
        return {"ok": True}

    served = ServedHub(handler=handler)
    yield served.hub
    served.close()


@pytest.fixture
def when(qapp: Any) -> Iterator[Callable[..., None]]:
    """Do something with the program's window as soon as a condition on it holds."""
    timers: list[QTimer] = []

    def watch(condition: Callable[[ViewerWindow], bool], act: Callable[[ViewerWindow], None]) -> None:
        timer = QTimer()

        def look() -> None:
            for window in QApplication.topLevelWidgets():
                if isinstance(window, ViewerWindow) and condition(window):
                    timer.stop()
                    act(window)

        timer.timeout.connect(look)
        timer.start(5)
        timers.append(timer)

    yield watch
    for timer in timers:
        timer.stop()


def test_a_session_is_shown_and_its_detectors_can_be_changed(
    hub: Hub, asked: list[dict[str, Any]], make: Any, when: Any, tmp_path: Path
) -> None:
    publisher = Publisher(hub.addresses.results)
    publisher.publish(make.frame(np.eye(64)))
    publisher.publish(make.disk(np.ones((8, 8)), (30, 30), 9.0))

    def drag(window: ViewerWindow) -> None:
        geometry = window.frame.overlay.geometries["vd.bf"]
        window.frame.overlay.moved.emit("vd.bf", geometry)
        when(lambda window: bool(asked), ViewerWindow.close)

    when(lambda w: w.pacing.shown > 0 and "vd.bf" in w.frame.overlay.geometries, drag)
    path = tmp_path / "shown.png"
    assert run_viewer(hub.addresses.control, headless=True, snapshot=path) == 0
    publisher.close()
    request = {key: asked[0][key] for key in ("do", "consumer", "name", "value")}
    assert request == {
        "do": "set",
        "consumer": "vd",
        "name": "detectors.bf",
        "value": {"kind": "disk", "radius": 9.0, "center": [30.0, 30.0]},
    }
    assert QImage(str(path)).width() > 0
    assert not [t for t in threading.enumerate() if t.name.startswith("livem-")]


def test_a_session_that_is_not_there_is_waited_for(when: Any) -> None:
    seen: list[str] = []

    def look(window: ViewerWindow) -> None:
        seen.append(window.waiting.text())
        window.close()

    when(lambda window: window.status.text("state") == "CONNECTING", look)
    assert run_viewer("tcp://127.0.0.1:9", headless=True) == 0
    assert "127.0.0.1:9" in seen[0]


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(UsageError, match="nonsense"):
        run_viewer("nonsense", headless=True)


def test_it_ends_by_itself_after_its_duration(feed: Any, commands: Any) -> None:
    qt.application(headless=True)
    assert show(feed, commands, duration=0.0) == 0
    assert feed.closed
    assert commands.closed


def test_ctrl_c_ends_it_with_a_snapshot(feed: Any, commands: Any, when: Any, tmp_path: Path) -> None:
    qt.application(headless=True)
    handler = signal.default_int_handler
    signal.signal(signal.SIGINT, handler)  # a shell's background jobs begin without one, and would hang here
    when(lambda window: True, lambda window: signal.raise_signal(signal.SIGINT))
    assert show(feed, commands, snapshot=tmp_path / "a.png") == INTERRUPTED
    assert (tmp_path / "a.png").exists()
    assert feed.closed
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_ignored_ctrl_c_stays_ignored(feed: Any, commands: Any, when: Any) -> None:
    qt.application(headless=True)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def interrupt(window: ViewerWindow) -> None:
        signal.raise_signal(signal.SIGINT)
        assert window.isVisible()
        window.close()

    try:
        when(lambda window: True, interrupt)
        assert show(feed, commands) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_snapshot_that_cannot_be_written_is_an_error(feed: Any, commands: Any, tmp_path: Path) -> None:
    qt.application(headless=True)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SessionError, match="cannot write"):
        show(feed, commands, snapshot=tmp_path / "file" / "a.png", duration=0.0)
    assert feed.closed
