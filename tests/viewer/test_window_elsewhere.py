"""A window on another machine, end to end: sender, session and window are programs of their own, over tcp."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from livem.stream.files.recordings import open_recording
from livem.stream.simulate.catalogue import open_acquisition
from livem.viewer import qt
from livem.viewer.connection import connect
from livem.viewer.remote import RemoteFeed

sys.path.insert(0, str(Path(__file__).parents[1]))
from session_tools import TINY, free_address

pytestmark = pytest.mark.timeout(400)

PIPELINE = """
[ring]
bytes = 16777216
[[consumers]]
name = "preview"
type = "preview"
max_size = 16
[[consumers]]
name = "vd"
type = "virtual_detectors"
detectors = { all = { kind = "total" } }
"""
BUDGET = 2e6
PATIENCE_S = 200.0


class Elsewhere:
    """A session with its senders, and a window that has only its address."""

    def __init__(self, folder: Path, app: Any) -> None:
        from livem.viewer.window import ViewerWindow

        self._app, self._programs = app, []
        self.folder, self.frames, self.control = folder, free_address(), free_address()
        (folder / "p.toml").write_text(PIPELINE)
        serve = ["--serve", "--control", self.control, "--out", str(folder), "-p", str(folder / "p.toml")]
        self.run("live", f"bind+{self.frames}", *serve)
        self.window = ViewerWindow(*connect(self.control, BUDGET))
        assert isinstance(self.window.feed, RemoteFeed)
        self.window.resize(1100, 700)
        self.window.show()

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        """A program of ours."""
        command = [sys.executable, "-m", "livem", *words]
        log = (self.folder / f"{len(self._programs)}.log").open("wb")
        with log:
            program = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        self._programs.append(program)
        return program

    def send(self, *more: str) -> subprocess.Popen[bytes]:
        """A series of the simulated detector's."""
        return self.run("send", TINY, "--to", self.frames, *more)

    def until(self, done: Callable[[], Any]) -> Any:
        """Let the window go on until ``done``."""
        deadline = time.monotonic() + PATIENCE_S
        while not (result := done()):
            logs = [path.read_text()[-2000:] for path in sorted(self.folder.glob("*.log"))]
            assert time.monotonic() < deadline, (self.window.feed.state, self.window.session.status, logs)
            self._app.processEvents()
            self.window.tick()
            QTest.qWait(10)  # its timer's period: the window is polled, as it polls
        return result

    def press(self, key: Qt.Key, control: bool = False) -> None:
        self.window.activateWindow()
        modifier = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.window, key, modifier)

    def close(self) -> None:
        self.window.close()
        qt.finish_deletions()
        for program in reversed(self._programs):
            program.terminate()
        for program in self._programs:
            program.wait(30)


@pytest.fixture
def scope(qapp: Any, tmp_path: Path) -> Iterator[Elsewhere]:
    qt.application(headless=True)
    scope = Elsewhere(tmp_path, qapp)
    yield scope
    scope.close()


def test_history_rewind_and_clips_through_a_window_elsewhere(scope: Elsewhere) -> None:
    window, sent = scope.window, open_acquisition(TINY)
    pane, bar = window.frame.pane, window.timeline
    scope.until(lambda: window.feed.state.link == "live")
    first = scope.send()
    scope.until(lambda: window.session.browser.past or window.session.status.series_state == "complete")
    assert first.wait(60) == 0
    scope.send("--rate", "100", "--repeat", "200")
    scope.until(lambda: bar.badge.text == "LIVE" and window.session.status.received > 100)

    scope.press(Qt.Key.Key_PageUp)
    scope.until(lambda: window.session.browser.shown is not None)
    scope.until(lambda: window.images.panes["vd.all"].property("past"))
    expected = sent.frames(0, 256).sum(axis=(1, 2)).reshape(16, 16)
    np.testing.assert_array_equal(window.images.panes["vd.all"].picture.image, expected)
    assert "PAST" in window.series.pill.text()
    scope.press(Qt.Key.Key_L)
    scope.until(lambda: window.session.browser.shown is None)

    scope.press(Qt.Key.Key_Space)
    scope.until(lambda: bar.badge.text == "FROZEN" and not window.playhead.is_waiting)
    frozen = window.playhead.moment
    where = QPoint(round(bar.track.x_of(0.8)), bar.track.height() // 2)
    QTest.mouseClick(bar.track, Qt.MouseButton.LeftButton, pos=where)
    scope.until(lambda: not window.playhead.is_waiting and window.playhead.moment != frozen)
    assert bar.badge.text.startswith("REWIND \N{MINUS SIGN}")
    moment = window.playhead.moment
    assert moment is not None
    index = moment[1]
    scope.until(lambda: pane.picture.factor == 1 and f"frame {index:,}" in pane.picture.caption)
    np.testing.assert_array_equal(pane.picture.image, sent.frames(index % 256, 1)[0])

    scope.press(Qt.Key.Key_BracketLeft)
    scope.press(Qt.Key.Key_Right)
    scope.until(lambda: not window.playhead.is_waiting and window.playhead.moment[1] == index + 1)
    scope.press(Qt.Key.Key_BracketRight)
    scope.press(Qt.Key.Key_K, control=True)
    scope.until(lambda: not window.playhead.clip.writing)
    assert window.playhead.clip.said[0].startswith("2 frames are in ")
    clip = open_recording(str(next(scope.folder.rglob("*_clip.h5"))))
    kept = [bytes(payload) for payload in clip.payloads(index, 1)]
    assert kept == [frame.tobytes() for frame in sent.frames(index % 256, 1)]
    clip.close()

    scope.press(Qt.Key.Key_L)
    scope.until(lambda: bar.badge.text == "LIVE" and window.session.frame.attrs["index"] > index + 100)
