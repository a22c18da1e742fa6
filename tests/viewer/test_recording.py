"""The recorder by hand: what its bar shows, what it asks for, and what it says of the answer."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from livem.viewer.models.commands import Change, Outcome
from livem.viewer.models.recording import clock_text, kept_text
from livem.viewer.models.status import Kept, kept_of

IDLE: dict[str, Any] = {"state": "idle", "enabled": False, "free_bytes": 1e12}
KEPT = {"file": "/data/run_0003_kept.h5", "frames": 1200, "done": False, "error": None}


@pytest.fixture
def bar(window: Any, show: Any, make: Any) -> Any:
    """The bar of a session with an idle recorder."""
    show(make.status(state="running", recording=IDLE))
    return window.record


def test_any_running_session_can_record_and_what_has_a_recorder_keeps(
    window: Any, show: Any, make: Any
) -> None:
    show()
    assert not window.record.isVisible()
    show(make.status(state="running"))
    assert window.record.switch.isVisible()
    assert not window.record.keep.isVisible()
    show(make.status(state="running", recording=IDLE))
    assert window.record.keep.isVisible()


def test_a_replay_is_not_recorded_again(window: Any, show: Any, make: Any) -> None:
    replay = {"url": "a.h5", "replay": {"index": 3, "count": 9, "paused": False, "speed": 1.0}}
    show(make.status(state="running", source=replay))
    assert window.session.status.playback is not None
    assert not window.record.isVisible()


def test_the_recording_goes_on_screen(window: Any, bar: Any, show: Any, make: Any, commands: Any) -> None:
    QTest.keyClick(window, Qt.Key.Key_R)
    assert commands.asked == [Change("recorder", "recording", True)]
    commands.answers = [Outcome(commands.asked[-1], None, {"starting": True})]
    window.tick()
    assert bar.said.text() == "the recorder is starting"
    going = {"state": "recording", "enabled": True, "file": "/data/run_3.h5", "bytes": 3.2e9, "seconds": 65.2}
    show(make.status(state="running", recording=going | {"seconds_left": 7000.0}))
    assert bar.said.text() == "1:05   3.2 GB   room for 117 min   run_3.h5"
    assert bar.switch.text() == "Stop recording"
    full = {"state": "failed", "enabled": True, "error": "/data/run_3.h5 cannot be written: No space left"}
    show(make.status(state="running", recording=full))
    assert bar.said.text() == "not recorded: /data/run_3.h5 cannot be written: No space left"
    QTest.keyClick(window, Qt.Key.Key_R)
    assert commands.asked[-1] == Change("recorder", "recording", False)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (725.9, "12:05"), (10801, "3:00:01")])
def test_a_recording_has_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


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
    assert bar.switch.text() == "Record"
    QTest.mouseClick(bar.switch, Qt.MouseButton.LeftButton)
    assert commands.asked == [Change("recorder", "recording", True)]
    show(make.status(state="running", recording=IDLE | {"enabled": True, "state": "recording"}))
    assert (bar.switch.text(), bar.switch.isChecked()) == ("Stop recording", True)
    QTest.mouseClick(bar.switch, Qt.MouseButton.LeftButton)
    commands.answers = [Outcome(commands.asked[-1], "the recorder is gone")]
    window.tick()
    assert bar.switch.isChecked()


@pytest.mark.parametrize("part", [None, {}, {"file": None}, [], "x", {"file": ""}])
def test_nothing_was_kept_yet(part: Any) -> None:
    assert kept_of(part) is None


def test_words_without_known_seconds() -> None:
    assert kept_text(Kept("a/b.h5", 5, True)) == ("5 frames are in b.h5", "good")
