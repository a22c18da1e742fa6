"""Connecting a window: what it remembers, what it hears, what is dropped on it, and the session it starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livem.errors import SessionError, UsageError
from livem.viewer.app import run_viewer
from livem.viewer.models import connecting
from livem.viewer.models.connecting import MOST_SOURCES, Line, Recent, Running, Test, source_in, wanted_of
from livem.viewer.panels.connect import ConnectDialog
from livem.viewer.window import ViewerWindow


class FakeTest:
    """Hears what the test says, when it says so."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: tuple[Line, ...] | None = None
        self.cancelled = False

    def heard(self) -> tuple[Line, ...] | None:
        return self.lines

    def cancel(self) -> None:
        self.cancelled = True


class FakeStart:
    """Starts when the test says so."""

    def __init__(self, source: str, pipeline: str) -> None:
        self.source, self.pipeline = source, pipeline
        self.where: str | None = None
        self.failure = ""
        self.cancelled = self.left = False

    def address(self) -> str | None:
        if self.failure:
            raise SessionError(self.failure)
        return self.where

    def cancel(self) -> None:
        self.cancelled = True

    def leave(self) -> None:
        self.left = True


@pytest.fixture
def made() -> list[Any]:
    return []


@pytest.fixture
def dialog(qapp: Any, tmp_path: Path, made: list[Any]) -> Iterator[ConnectDialog]:
    def make(kind: Callable[..., Any]) -> Callable[..., Any]:
        def build(*words: str) -> Any:
            made.append(kind(*words))
            return made[-1]

        return build

    recent = Recent(tmp_path / "sources.json")
    recent.use("dectris://10.42.41.10")
    recent.use("sim:4dstem")
    sessions = lambda: [Running("tcp://127.0.0.1:4711", "merlin://10.42.41.20")]  # noqa: E731
    shown = ConnectDialog(None, recent, sessions, make(FakeTest), make(FakeStart))
    shown.begin()
    assert shown._finding is not None
    shown._finding.join()
    shown.look()
    yield shown
    shown.reject()
    shown.deleteLater()


def places(dialog: ConnectDialog) -> list[str]:
    return [dialog.places.item(row).text() for row in range(dialog.places.count())]


def test_what_runs_and_what_was_used_is_listed(dialog: ConnectDialog) -> None:
    assert places(dialog) == [
        "running: merlin://10.42.41.20   tcp://127.0.0.1:4711",
        "sim:4dstem",
        "dectris://10.42.41.10",
    ]


def test_a_running_session_is_attached_to(dialog: ConnectDialog, made: list[Any]) -> None:
    addresses: list[str] = []
    dialog.attach.connect(addresses.append)
    dialog.places.setCurrentRow(0)
    assert (dialog.go.text(), dialog.test.isEnabled()) == ("Attach", False)
    QTest.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    assert addresses == ["tcp://127.0.0.1:4711"]
    assert not dialog.isVisible()
    assert not made


def test_a_source_is_tested_and_what_it_says_is_shown(dialog: ConnectDialog, made: list[Any]) -> None:
    dialog.places.setCurrentRow(2)
    QTest.mouseClick(dialog.test, Qt.MouseButton.LeftButton)
    (test,) = made
    assert test.source == "dectris://10.42.41.10"
    assert "listening to dectris://10.42.41.10" in dialog.heard.text()
    assert not dialog.go.isEnabled()
    test.lines = (Line("ok", "connection: 1 connected"), Line("problem", "messages: 3 refused"))
    dialog.look()
    assert (
        dialog.heard.text()
        == "\N{CHECK MARK} connection: 1 connected\n\N{MULTIPLICATION SIGN} messages: 3 refused"
    )
    assert dialog.go.isEnabled()


def test_whatever_is_under_way_can_be_cancelled(dialog: ConnectDialog, made: list[Any]) -> None:
    dialog.source.setText("sim:insitu")
    dialog.test_source()
    QTest.mouseClick(dialog.cancel, Qt.MouseButton.LeftButton)
    dialog.open()
    QTest.mouseClick(dialog.cancel, Qt.MouseButton.LeftButton)
    assert [one.cancelled for one in made] == [True, True]
    assert dialog.isVisible()
    dialog.open()
    dialog.reject()
    assert made[-1].cancelled


def test_a_session_is_started_with_a_preset(dialog: ConnectDialog, made: list[Any]) -> None:
    started: list[Any] = []
    dialog.started.connect(lambda address, start: started.append((address, start)))
    dialog.source.setText("sim:insitu")
    dialog.pipeline.setCurrentIndex(dialog.pipeline.findText("In situ"))
    QTest.keyClick(dialog.source, Qt.Key.Key_Return)
    (start,) = made
    assert (start.source, start.pipeline) == ("sim:insitu", "In situ")
    start.where = "tcp://127.0.0.1:5000"
    dialog.look()
    assert started == [("tcp://127.0.0.1:5000", start)]
    assert dialog.recent.sources[0] == "sim:insitu"
    assert not dialog.isVisible()
    assert not start.cancelled


def test_why_a_session_did_not_start_is_said(dialog: ConnectDialog, made: list[Any]) -> None:
    dialog.source.setText("sim:nothing")
    dialog.open()
    made[0].failure = "unknown simulator 'nothing'"
    dialog.look()
    assert dialog.heard.text() == "unknown simulator 'nothing'"
    assert made[0].left
    assert dialog.go.isEnabled()


def test_a_pipeline_file_brings_its_source(dialog: ConnectDialog, tmp_path: Path) -> None:
    path = tmp_path / "haadf.toml"
    path.write_text('[source]\nurl = "merlin://10.0.0.3"\n')
    dialog.offer("", str(path))
    assert (dialog.source.text(), dialog.pipeline.currentData()) == ("merlin://10.0.0.3", str(path))
    assert source_in(tmp_path / "missing.toml") == ""


# -- what is remembered ----------------------------------------------------------------------------


def test_sources_are_kept_newest_first_and_bounded(tmp_path: Path) -> None:
    recent = Recent(tmp_path / "deep" / "sources.json")
    for number in range(MOST_SOURCES + 5):
        recent.use(f"tcp://10.0.0.{number}:9999")
    recent.use("tcp://10.0.0.20:9999")
    again = Recent(recent.path)
    assert again.sources == recent.sources
    assert len(again.sources) == MOST_SOURCES
    assert again.sources[:2] == ("tcp://10.0.0.20:9999", "tcp://10.0.0.24:9999")
    again.forget("tcp://10.0.0.24:9999")
    assert "tcp://10.0.0.24:9999" not in Recent(recent.path).sources


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 1}', '{"version": 2, "sources": []}', '{"version": 1, "sources": [3]}'],
)
def test_a_damaged_list_is_set_aside_and_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sources.json"
    path.write_text(text)
    recent = Recent(path)
    assert recent.sources == ()
    assert "cannot be read" in recent.trouble
    assert (tmp_path / "sources.damaged").read_text() == text
    recent.use("sim:4dstem")
    assert json.loads(path.read_text())["sources"] == ["sim:4dstem"]


def test_a_list_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    recent = Recent(tmp_path / "file" / "sources.json")
    recent.use("sim:4dstem")
    assert recent.sources == ("sim:4dstem",)
    assert "cannot be kept" in recent.trouble


# -- what is dropped -------------------------------------------------------------------------------


def drop(window: Any, *paths: str) -> bool:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    how = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(50, 50), *how)
    QApplication.sendEvent(window, enter)
    QApplication.sendEvent(window, QDropEvent(QPointF(50, 50), *how))
    return enter.isAccepted()


def test_a_recording_that_is_dropped_is_replayed(
    window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "state_folder", lambda: tmp_path)
    asked: list[Any] = []
    monkeypatch.setattr(ConnectDialog, "open", lambda self: asked.append(self.source.text()))
    path = str(tmp_path / "run.h5")
    assert drop(window, path)
    assert asked == [path]
    assert window.connector.dialog.isVisible()
    window.connector.dialog.reject()


def test_what_cannot_be_opened_is_said(window: Any, show: Any, make: Any) -> None:
    drop(window, "/tmp/letter.docx")
    window.tick()
    assert "letter.docx cannot be opened here" in window.status.message.text()


def test_one_recording_and_one_pipeline_are_enough() -> None:
    assert wanted_of(["a.toml", "b.mib"]) == ("b.mib", "a.toml")
    with pytest.raises(UsageError):
        wanted_of(["a.h5", "b.h5"])


# -- real processes --------------------------------------------------------------------------------


def wait_for(look: Callable[[], Any], qapp: Any) -> Any:
    for _ in range(6000):
        if (found := look()) is not None:
            return found
        QTest.qWait(10)
    raise AssertionError("nothing came")


def test_nothing_is_heard_where_nobody_sends(qapp: Any) -> None:
    test = Test("tcp://127.0.0.1:9", 0.2)
    lines = wait_for(test.heard, qapp)
    assert lines[0].level == "problem"
    assert "connection" in lines[0].text


def test_a_listener_is_ended_when_it_is_cancelled(qapp: Any) -> None:
    test = Test("tcp://127.0.0.1:9", 600.0)
    assert test.heard() is None
    test.cancel()
    assert test._program.exit_code is not None


def test_a_session_that_is_started_here_is_shown_and_ends_with_the_window(
    qapp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "state_folder", lambda: tmp_path)
    pids: list[int] = []
    phases = []

    def look() -> None:
        windows = [w for w in QApplication.topLevelWidgets() if isinstance(w, ViewerWindow)]
        if not windows:
            return
        window = windows[-1]
        dialog = window.connector.dialog
        if not phases and dialog is not None:
            phases.append("asked")
            dialog.offer("sim:insitu?shape=64x64&frames=100000&fps=100")
            dialog.pipeline.setCurrentIndex(dialog.pipeline.findText("Imaging"))
            dialog.open()
            pids.append(dialog._start._program.pid)
        elif window.session.frame is not None:
            phases.append(window.windowTitle())
            window.close()

    timer = QTimer()
    timer.timeout.connect(look)
    timer.start(20)
    assert run_viewer(None, headless=True, duration=120.0) == 0
    timer.stop()
    assert phases == ["asked", "livem   sim:insitu?shape=64x64&frames=100000&fps=100"]
    assert Recent().sources == ("sim:insitu?shape=64x64&frames=100000&fps=100",)
    _, left = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], 30.0)
    assert not left
    assert qapp.topLevelWidgets() == []
