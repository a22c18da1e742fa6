"""The dialog that connects the window: sessions that run, sources used before, what one says, a new session.

Nothing in it waits: processes and a thread are asked whether they are done, and cancelled when it closes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...errors import SessionError
from .. import theme
from ..models.chips import Tone
from ..models.connecting import (
    LISTEN_S,
    PRESETS,
    Line,
    Recent,
    Running,
    Start,
    Test,
    is_file,
    running_sessions,
    source_in,
)

LOOK_MS = 100
SIZE = (640, 460)
MARKS = {"ok": "\N{CHECK MARK}", "note": "\N{MIDDLE DOT}", "problem": "\N{MULTIPLICATION SIGN}"}
TONES: Mapping[str, Tone] = {"ok": "good", "note": "plain", "problem": "bad"}
FILE = "Pipeline file \N{HORIZONTAL ELLIPSIS}"
PLACEHOLDER = "tcp://10.42.41.10:9999, dectris://HOST, merlin://HOST, sim:4dstem, or a file"
PLACE = Qt.ItemDataRole.UserRole


class ConnectDialog(QDialog):
    """Chooses what a window shows.

    Parameters
    ----------
    recent : sources used before.
    sessions : finds the sessions of this machine; called in a thread.
    """

    attach = Signal(str)
    """To the running session at this control address."""
    started = Signal(str, object)
    """A session was started: its control address, and the Start that owns it."""

    def __init__(
        self,
        parent: QWidget | None = None,
        recent: Recent | None = None,
        sessions: Callable[[], Sequence[Running]] = running_sessions,
        make_test: Callable[[str], Test] = Test,
        make_start: Callable[[str, str], Start] = Start,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Connect")
        self.resize(*SIZE)
        self.recent = recent or Recent()
        self._find_sessions, self._make_test, self._make_start = sessions, make_test, make_start
        self._found: Sequence[Running] | None = None
        self._finding: threading.Thread | None = None
        self._test: Test | None = None
        self._start: Start | None = None
        self._since = 0.0
        self._build()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)

    def _build(self) -> None:
        self.places = QListWidget()
        self.places.currentItemChanged.connect(self._choose)
        self.places.itemActivated.connect(lambda _item: self.open())
        self.source = QLineEdit()
        self.source.setPlaceholderText(PLACEHOLDER)
        self.source.textChanged.connect(lambda _text: self._renew_buttons())
        self.browse = QPushButton("File \N{HORIZONTAL ELLIPSIS}")
        self.browse.clicked.connect(self._browse)
        self.pipeline = QComboBox()
        for name in PRESETS:
            self.pipeline.addItem(name, name)
        self.pipeline.addItem(FILE, None)
        self.pipeline.activated.connect(self._choose_pipeline)
        self.pipeline.setToolTip("What is computed: a preset, or a pipeline file")
        self.heard = theme.named(QLabel(), "reading")
        self.heard.setWordWrap(True)
        self.heard.setTextFormat(Qt.TextFormat.PlainText)
        self.test, self.go, self.cancel = QPushButton("Test"), QPushButton("Start"), QPushButton("Cancel")
        self.places.setToolTip("Sources of earlier times; Enter takes one")
        self.source.setToolTip("Address of a session or a detector, or a recording")
        self.browse.setToolTip("Choose a recording")
        self.go.setToolTip("Show it here")
        self.cancel.setToolTip("Leave everything as it is (Esc)")
        self.test.setToolTip("Listen for some seconds and say what is heard; not beside a running session")
        self.test.clicked.connect(self.test_source)
        self.go.clicked.connect(self.open)
        self.go.setDefault(True)
        self.cancel.clicked.connect(self.cancel_or_close)
        self._arrange()

    def _arrange(self) -> None:
        column = QVBoxLayout(self)
        column.addWidget(QLabel("Sessions that run here, and sources used before"))
        column.addWidget(self.places, 1)
        for words, *parts in (("Source", self.source, self.browse), ("Computes", self.pipeline)):
            row = QHBoxLayout()
            row.addWidget(QLabel(words))
            for part in parts:
                row.addWidget(part, int(part is not self.browse))
            column.addLayout(row)
        column.addWidget(self.heard)
        row = QHBoxLayout()
        row.addWidget(self.test)
        row.addStretch(1)
        row.addWidget(self.cancel)
        row.addWidget(self.go)
        column.addLayout(row)

    # -- what there is -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Show it, with what runs and what was used before."""
        self.setStyleSheet(theme.style())
        self._found = None
        self._fill()
        self._finding = threading.Thread(target=self._find, name="livem-sessions", daemon=True)
        self._finding.start()
        self._timer.start(LOOK_MS)
        self._say(self.recent.trouble, "note")
        self.show()
        self.raise_()
        self.source.setFocus()

    def _find(self) -> None:
        self._found = tuple(self._find_sessions())

    def _fill(self, sessions: Sequence[Running] = ()) -> None:
        self.places.clear()
        for one in sessions:
            self._add(f"running: {one.source}   {one.address}", one)
        for source in self.recent.sources:
            self._add(source, source)
        self._renew_buttons()

    def _add(self, text: str, place: object) -> None:
        item = QListWidgetItem(text)
        item.setData(PLACE, place)
        self.places.addItem(item)

    def _choose(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            place = item.data(PLACE)
            self.source.setText(place.address if isinstance(place, Running) else str(place))
            self._renew_buttons()

    @property
    def _running(self) -> Running | None:
        """The session that is chosen; None where the text says something else."""
        item = self.places.currentItem()
        place = None if item is None else item.data(PLACE)
        return place if isinstance(place, Running) and place.address == self._text else None

    @property
    def _text(self) -> str:
        return self.source.text().strip()

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a recording, or any file of frames")
        if path:
            self.offer(path)

    def offer(self, source: str, pipeline: str = "") -> None:
        """Put these in; a pipeline file brings its own source where none is named."""
        if pipeline:
            self._set_pipeline(pipeline)
            source = source or source_in(Path(pipeline))
        self.source.setText(source)
        self.places.setCurrentRow(-1)
        self._renew_buttons()

    def _choose_pipeline(self, place: int) -> None:
        if self.pipeline.itemText(place) == FILE:
            path, _ = QFileDialog.getOpenFileName(self, "Open a pipeline file", "", "Pipelines (*.toml)")
            self.pipeline.setCurrentIndex(0)
            if path:
                self.offer(self._text, path)

    def _set_pipeline(self, path: str) -> None:
        if (place := self.pipeline.findData(path)) < 0:
            place = self.pipeline.count() - 1
            self.pipeline.insertItem(place, Path(path).name, path)
        self.pipeline.setCurrentIndex(place)

    # -- what is done ------------------------------------------------------------------------------

    def test_source(self) -> None:
        """Listen, and say what was heard."""
        if self._text and not self._busy:
            self._test, self._since = self._make_test(self._text), time.monotonic()
            self._renew_buttons()
            self.look()

    def open(self) -> None:
        """Attach to what runs, or start a session on the source."""
        if self._busy or not self._text:
            return
        if (running := self._running) is not None:
            self.attach.emit(running.address)
            self.accept()
            return
        self._start = self._make_start(self._text, str(self.pipeline.currentData() or ""))
        self._since = time.monotonic()
        self._renew_buttons()
        self.look()

    @property
    def _busy(self) -> bool:
        return self._test is not None or self._start is not None

    def look(self) -> None:
        """Whether something is done."""
        if self._found is not None and self._finding is not None:
            self._finding = None
            self._fill(self._found)
        if self._test is not None:
            self._look_at_test(self._test)
        if self._start is not None:
            self._look_at_start(self._start)

    def _look_at_test(self, test: Test) -> None:
        heard = test.heard()
        if heard is None:
            self._say(f"listening to {test.source}   {self._passed} of {LISTEN_S:.0f} s", "plain")
            return
        self._test = None
        self._say_lines(heard)
        self._renew_buttons()

    def _look_at_start(self, start: Start) -> None:
        try:
            address = start.address()
        except SessionError as failure:
            self._start = None
            start.leave()
            self._say(str(failure), "problem")
            self._renew_buttons()
            return
        if address is None:
            self._say(f"starting a session on {start.source}   {self._passed} s", "plain")
            return
        self._start = None
        self.recent.use(start.source)
        self.started.emit(address, start)
        self.accept()

    @property
    def _passed(self) -> str:
        return f"{time.monotonic() - self._since:.0f}"

    def cancel_or_close(self) -> None:
        """End what is under way; with nothing under way, close."""
        if not self._busy:
            self.reject()
            return
        self._end()
        self._say("cancelled", "plain")
        self._renew_buttons()

    def done(self, result: int) -> None:
        self._timer.stop()
        self._end()
        super().done(result)

    def _end(self) -> None:
        for one in (self._test, self._start):
            if one is not None:
                one.cancel()
        self._test = self._start = None

    def _renew_buttons(self) -> None:
        free, some = not self._busy, bool(self._text)
        self.test.setEnabled(free and some and self._running is None)
        self.go.setEnabled(free and some)
        self.go.setText("Attach" if self._running else "Replay" if is_file(self._text) else "Start")
        self.pipeline.setEnabled(free and self._running is None)
        self.cancel.setText("Close" if free else "Cancel")

    def _say_lines(self, lines: Sequence[Line]) -> None:
        worst = next((line.level for line in lines if line.level == "problem"), "ok")
        self._say("\n".join(f"{MARKS.get(one.level, '')} {one.text}" for one in lines), worst)

    def _say(self, text: str, level: str) -> None:
        self.heard.setText(text)
        self.heard.setStyleSheet(f"color: {theme.tone_colour(TONES.get(level, 'plain'))};")
