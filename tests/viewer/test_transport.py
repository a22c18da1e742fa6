"""The bar that plays, pauses, steps and seeks: what it shows, what it asks for, how it looks."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from livem.viewer import theme
from livem.viewer.models.commands import Change, CommandQueue, NoCommands, Outcome, Play
from livem.viewer.models.transport import (
    Playback,
    parse_playback,
    playback_of,
    position_text,
    speed_text,
    time_text,
)

PATIENCE = 10.0
REPLAY = {
    "index": 41,
    "count": 100,
    "seconds": 4.1,
    "duration": 10.0,
    "speed": 1.0,
    "paused": False,
    "ended": False,
    "loop": False,
}


class PlayCommands:
    """Keeps what was asked for, and answers when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: list[Outcome] = []

    def set(self, consumer: str, name: str, value: Any) -> None:
        """No test here changes a consumer."""

    def play(self, action: str, value: Any = None) -> None:
        self.asked.append((action, value))

    def pose(self, question: Any) -> None:
        """Nobody here answers questions."""

    def outcomes(self) -> list[Outcome]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        """Nothing to end."""


@pytest.fixture
def commands() -> PlayCommands:
    return PlayCommands()


def status(make: Any, **replay: Any) -> Any:
    source = {"url": "a.h5", "replay": {**REPLAY, **replay}}
    return make.status(state="running", source=source)


@pytest.fixture
def bar(window: Any, show: Any, make: Any) -> Any:
    """The bar of a window on a replay that stands at frame 40 of 100."""
    show(status(make), make.frame(np.zeros((8, 8), np.uint8)))
    return window.transport


# -- what it shows -------------------------------------------------------------------------------------


def test_it_is_there_for_a_replay_only(window: Any, show: Any, make: Any) -> None:
    show(make.status(state="running", source={"url": "tcp://a:1"}), make.frame(np.zeros((8, 8), np.uint8)))
    assert not window.transport.isVisible()
    show(status(make))
    assert window.transport.isVisible()
    show(make.status(state="running"))
    assert not window.transport.isVisible()


def test_keys_do_nothing_without_a_replay(window: Any, commands: PlayCommands) -> None:
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home):
        QTest.keyClick(window, key)
    assert commands.asked == []


def test_it_says_where_the_replay_is(bar: Any) -> None:
    assert bar.position.text() == "41 / 100"
    assert bar.time.text() == "0:04.1 / 0:10.0"
    assert (bar.shown.index, bar.shown.count) == (41, 100)
    assert bar.speed.currentText() == "1 x"
    assert bar.run.shape == "pause"


def test_it_follows(bar: Any, show: Any, make: Any) -> None:
    show(status(make, index=60, paused=True, speed="max"))
    assert bar.shown.index == 60
    assert bar.run.shape == "play"
    assert bar.speed.currentText() == "max"
    show(status(make, index=100, ended=True, speed=3.5))
    assert (bar.shown.index, bar.run.shape) == (100, "play")
    assert bar.speed.currentText() == "3.5 x"


def test_nobody_takes_a_recording_for_the_microscope(window: Any, bar: Any, show: Any, make: Any) -> None:
    assert window.status.text("state") == "REPLAY"
    show(status(make, paused=True))
    assert window.status.text("state") == "REPLAY PAUSED"
    show(status(make, ended=True))
    assert window.status.text("state") == "REPLAY ENDED"


def test_frames_before_a_sought_one_are_no_fault(window: Any, show: Any, make: Any) -> None:
    series = {"series": 2, "announced": 100, "received": 5, "lost": 0, "rejected": {"not_replayed": 90}}
    show(make.status(state="running", series=series, source={"replay": REPLAY}))
    assert window.status.text("skipped") == "skipped 90"
    assert window.status.text("rejected") == "rejected 0"


# -- what it asks for ----------------------------------------------------------------------------------


def test_keys(window: Any, bar: Any, commands: PlayCommands) -> None:
    window.activateWindow()
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Right, Qt.Key.Key_Left, Qt.Key.Key_Home):
        QTest.keyClick(window, key)
    assert commands.asked == [("pause", None), ("step", 1), ("step", -1), ("seek", 0)]


def test_buttons(bar: Any, commands: PlayCommands, show: Any, make: Any) -> None:
    for button in (bar.start, bar.back, bar.on, bar.run):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert commands.asked == [("seek", 0), ("step", -1), ("step", 1), ("pause", None)]


def test_after_a_button_the_space_bar_is_still_play(window: Any, bar: Any, commands: PlayCommands) -> None:
    QTest.mouseClick(bar.on, Qt.MouseButton.LeftButton)
    QTest.keyClick(window, Qt.Key.Key_Space)
    assert commands.asked == [("step", 1), ("pause", None)]


def test_a_click_on_the_timeline_seeks_there(window: Any, bar: Any, commands: PlayCommands) -> None:
    QTest.mouseClick(window.timeline.track, Qt.MouseButton.LeftButton, pos=_at(window, 0.75))
    ((action, index),) = commands.asked
    assert action == "seek"
    assert index == pytest.approx(74, abs=2)


def test_a_drag_asks_once_where_it_ends_and_says_where_it_is(
    window: Any, bar: Any, commands: PlayCommands, show: Any, make: Any
) -> None:
    track = window.timeline.track
    QTest.mousePress(track, Qt.MouseButton.LeftButton, pos=_at(window, 0.2))
    _drag(track, _at(window, 0.5))
    show(status(make, index=43))
    assert bar.position.text() in {f"{n} / 100" for n in range(48, 53)}
    assert commands.asked == []
    QTest.mouseRelease(track, Qt.MouseButton.LeftButton, pos=_at(window, 0.9))
    ((action, index),) = commands.asked
    assert (action, index) == ("seek", pytest.approx(89, abs=2))


def _at(window: Any, share: float) -> QPoint:
    track = window.timeline.track
    return QPoint(round(track.x_of(share)), track.height() // 2)


def _drag(track: Any, where: QPoint) -> None:
    """Move with the left button held; QTest.mouseMove holds none."""
    kind, button = QEvent.Type.MouseMove, Qt.MouseButton.LeftButton
    place = QPointF(where)
    none = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(
        track, QMouseEvent(kind, place, track.mapToGlobal(place), Qt.MouseButton.NoButton, button, none)
    )


def test_speeds(bar: Any, commands: PlayCommands) -> None:
    bar.speed.activated.emit(bar.speed.findText("0.5 x"))
    bar.speed.activated.emit(bar.speed.findText("max"))
    assert commands.asked == [("speed", 0.5), ("speed", "max")]


def test_the_playhead_stays_where_it_was_put_until_the_session_has_followed(
    bar: Any, clock: Any, show: Any, make: Any, commands: PlayCommands
) -> None:
    bar.seek(80)
    show(status(make, index=42))
    assert bar.shown.index == 81  # that status was under way
    commands.answers = [Outcome(Play("seek", 80), None, {"replay": {**REPLAY, "index": 81}})]
    show(status(make, index=42))
    assert bar.position.text() == "81 / 100"
    clock.forward(1.0)
    show(status(make, index=90))
    assert bar.shown.index == 90


def test_a_refusal_is_said(window: Any, bar: Any, commands: PlayCommands, show: Any) -> None:
    commands.answers = [Outcome(Play("seek", 300), "there is no frame 300")]
    show()
    assert window.status.message.text() == "there is no frame 300"


# -- how it looks --------------------------------------------------------------------------------------


def test_it_looks_like_a_player(bar: Any, show: Any, make: Any, tmp_path: Any) -> None:
    """Shapes in the text's colour on the panel's."""
    picture = bar.grab().toImage()
    assert picture.save(str(tmp_path / "transport.png"))

    def colour(x: float, y: float) -> str:
        return picture.pixelColor(round(x), round(y)).name()

    assert colour(2, bar.height() / 2) == theme.PANEL
    button = bar.run.geometry()
    middle = button.center().y()
    assert colour(button.center().x() + 0.5, middle) == theme.PANEL  # between the two bars of "pause"
    assert colour(button.center().x() - 3, middle) == theme.TEXT
    assert colour(button.center().x() + 4, middle) == theme.TEXT
    show(status(make, paused=True))
    picture = bar.grab().toImage()
    assert colour(button.center().x(), middle) == theme.TEXT  # the triangle of "play"


# -- models --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [None, {}, {"replay": None}, {"replay": {}}, {"replay": {"index": "x", "count": 3}}, {"replay": 7}]
    + [{"replay": {"index": index, "count": 3}} for index in (-1, 4, math.nan, True, None)],
)
def test_a_status_that_makes_no_sense_shows_no_bar(source: Any) -> None:
    assert playback_of({"source": source}) is None


def test_what_is_missing_has_its_usual_value() -> None:
    assert parse_playback({"index": 1, "count": 3}) == Playback(1, 3)
    assert parse_playback({**REPLAY, "speed": "max"}).speed == math.inf


@pytest.mark.parametrize(
    ("seconds", "duration", "text"),
    [
        (0.0, 0.5, "0 / 500 ms"),
        (59.96, 61.0, "1:00.0 / 1:01.0"),
        (3723.4, 7200.0, "1:02:03.4 / 2:00:00.0"),
    ],
)
def test_times(seconds: float, duration: float, text: str) -> None:
    assert time_text(Playback(1, 2, seconds, duration)) == text


def test_texts() -> None:
    assert position_text(Playback(1234, 16384)) == "1,234 / 16,384"
    assert [speed_text(speed) for speed in (0.25, 100.0, math.inf)] == ["0.25 x", "100 x", "max"]
    assert Playback(10, 100, 1.0, 20.0).at(50).seconds == 10.0


class Session:
    """A session whose first answer waits for the test."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.busy, self.free = threading.Event(), threading.Event()

    def request(self, message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        self.asked.append(message)
        self.busy.set()
        assert self.free.wait(PATIENCE)
        return {"replay": {"index": len(self.asked), "count": 9}}

    def close(self) -> None:
        """Nothing to end."""


def test_steps_that_wait_add_up_and_of_pauses_the_last_holds() -> None:
    session = Session()
    queue = CommandQueue(lambda: session)
    queue.play("seek", 3)
    assert session.busy.wait(PATIENCE)
    for _ in range(4):
        queue.play("step", 1)
    for action in ("pause", "resume", "pause"):
        queue.play(action)
    queue.play("seek", 5)
    queue.play("seek", 6)
    session.free.set()
    assert queue.flush(PATIENCE)
    outcomes = queue.outcomes()
    queue.close()
    told = [(message["do"], message["action"], message["value"]) for message in session.asked]
    assert told == [
        ("replay", "seek", 3),
        ("replay", "step", 4),
        ("replay", "pause", None),
        ("replay", "seek", 6),
    ]
    assert [outcome.answer["replay"]["index"] for outcome in outcomes] == [1, 2, 3, 4]


def test_parameters_and_replays_do_not_mix() -> None:
    assert Change("vd", "step", 1).slot != Play("step", 1).slot
    assert NoCommands().play("pause") is None
