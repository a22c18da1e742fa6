"""The recorder by hand: what its bar shows, what it asks for, and what it says of the answer."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from livem.viewer.models.commands import Change, Outcome
from livem.viewer.models.recording import kept_text
from livem.viewer.models.status import Kept, kept_of

IDLE: dict[str, Any] = {"state": "idle", "enabled": False, "free_bytes": 1e12}
KEPT = {"file": "/data/run_0003_kept.h5", "frames": 1200, "done": False, "error": None}


@pytest.fixture
def bar(window: Any, show: Any, make: Any) -> Any:
    """The bar of a session with an idle recorder."""
    show(make.status(state="running", recording=IDLE))
    return window.record


def test_there_is_a_bar_where_there_is_a_recorder(window: Any, show: Any, make: Any) -> None:
    show(make.status(state="running"))
    assert not window.record.isVisible()
    show(make.status(state="running", recording=IDLE))
    assert window.record.isVisible()


def test_the_last_seconds_are_asked_for(bar: Any, commands: Any) -> None:
    QTest.mouseClick(bar.keep, Qt.MouseButton.LeftButton)
    assert commands.asked == [Change("recorder", "keep_last", 10.0)]
    assert bar.said.text() == "asking for the last 10 s"
    bar.seconds.setCurrentIndex(bar.seconds.findData(60.0))
    bar.keep_last()
    assert commands.asked[-1].value == 60.0


def test_a_key_does_the_same_where_there_is_a_recorder(
    window: Any, bar: Any, show: Any, make: Any, commands: Any
) -> None:
    QTest.keyClick(window, Qt.Key.Key_K)
    assert len(commands.asked) == 1
    show(make.status(state="running"))
    QTest.keyClick(window, Qt.Key.Key_K)
    assert len(commands.asked) == 1


def test_it_says_how_far_it_is_and_where_it_is(
    window: Any, bar: Any, commands: Any, show: Any, make: Any
) -> None:
    bar.keep_last()
    commands.answers = [Outcome(commands.asked[-1], None, {"kept": KEPT | {"frames": 0}})]
    window.tick()
    assert bar.said.text() == "writing 0 frames of the last 10 s to run_0003_kept.h5"
    show(make.status(state="running", recording=IDLE | {"kept": KEPT}))
    assert bar.said.text() == "writing 1,200 frames of the last 10 s to run_0003_kept.h5"
    show(make.status(state="running", recording=IDLE | {"kept": KEPT | {"frames": 1300, "done": True}}))
    assert bar.said.text() == "1,300 frames of the last 10 s are in run_0003_kept.h5"


def test_a_refusal_is_shown(window: Any, bar: Any, commands: Any) -> None:
    bar.keep_last()
    commands.answers = [Outcome(commands.asked[-1], "there was no series yet")]
    window.tick()
    assert bar.said.text() == "there was no series yet"


def test_a_file_that_could_not_be_written_is_said(bar: Any, show: Any, make: Any) -> None:
    show(make.status(state="running", recording=IDLE | {"kept": KEPT | {"error": "no space left"}}))
    assert bar.said.text() == "not kept: no space left"


def test_the_switch_asks_and_follows_the_session(
    window: Any, bar: Any, commands: Any, show: Any, make: Any
) -> None:
    assert bar.switch.text() == "Recording off"
    QTest.mouseClick(bar.switch, Qt.MouseButton.LeftButton)
    assert commands.asked == [Change("recorder", "recording", True)]
    show(make.status(state="running", recording=IDLE | {"enabled": True, "state": "recording"}))
    assert (bar.switch.text(), bar.switch.isChecked()) == ("Recording on", True)
    QTest.mouseClick(bar.switch, Qt.MouseButton.LeftButton)
    commands.answers = [Outcome(commands.asked[-1], "the recorder is gone")]
    window.tick()
    assert bar.switch.isChecked()


@pytest.mark.parametrize("part", [None, {}, {"file": None}, [], "x", {"file": ""}])
def test_nothing_was_kept_yet(part: Any) -> None:
    assert kept_of(part) is None


def test_words_without_known_seconds() -> None:
    assert kept_text(Kept("a/b.h5", 5, True)) == ("5 frames are in b.h5", "good")
