"""A session's detector is armed in a thread, and never behind the session's back."""

from __future__ import annotations

import threading

import pytest

from livem.errors import SourceError
from livem.pipeline import Pipeline
from livem.session import Session, SessionOptions
from livem.session.arming import Arming
from livem.stream.arming.base import CancelledError

PATIENCE_S = 20.0


class Detector:
    """An Armer whose detector answers when it is told to."""

    def __init__(self, *, waits: bool = False, trouble: str = "") -> None:
        self.commands: list[str] = []
        self.asked, self.answer = threading.Event(), threading.Event()
        self.trouble = trouble
        self.armed = self._cancelled = False
        if not waits:
            self.answer.set()

    def arm(self) -> str:
        if self._cancelled:
            raise CancelledError("given up")
        self.asked.set()
        assert self.answer.wait(PATIENCE_S)
        self.commands.append("arm")
        self.armed = True
        return "armed"

    def cancel(self) -> None:
        self._cancelled = True

    def disarm(self) -> None:
        self.commands.append("disarm")
        if self.trouble:
            raise SourceError(self.trouble)
        self.armed = False


def begun(detector: Detector) -> Arming:
    arming = Arming(lambda: detector)
    arming.begin()
    assert detector.asked.wait(PATIENCE_S)
    return arming


def wait_for_outcome(arming: Arming) -> None:
    assert arming._thread is not None
    arming._thread.join(PATIENCE_S)


def test_what_was_armed_is_disarmed_once() -> None:
    detector = Detector()
    arming = begun(detector)
    wait_for_outcome(arming)
    outcome = arming.heard()
    assert outcome is not None
    assert (outcome.text, outcome.error) == ("armed", None)
    assert arming.heard() is None
    assert [arming.close(PATIENCE_S), arming.close(PATIENCE_S)] == ["", ""]
    assert detector.commands == ["arm", "disarm"]


def test_nothing_is_armed_after_the_close() -> None:
    made = []
    arming = Arming(lambda: made.append(1))  # type: ignore[arg-type, return-value]
    assert arming.close(PATIENCE_S) == ""
    arming.begin()
    assert arming._thread is None
    arming._arm()  # a thread that was begun, and comes to run only now
    assert made == []


def test_a_close_while_settings_are_made_waits_for_nothing() -> None:
    detector = Detector(waits=True)
    arming = begun(detector)
    assert arming.close(0.0) == ""
    assert detector._cancelled
    detector.answer.set()
    wait_for_outcome(arming)


def test_what_could_not_be_disarmed_is_told_and_tried_again() -> None:
    detector = Detector(trouble="it is gone")
    arming = begun(detector)
    wait_for_outcome(arming)
    assert arming.close(PATIENCE_S) == "it is gone"
    detector.trouble = ""
    assert arming.close(PATIENCE_S) == ""
    assert detector.commands == ["arm", "disarm", "disarm"]


def test_a_detector_that_takes_its_time_to_disarm_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, over = Detector(), threading.Event()
    arming = begun(detector)
    wait_for_outcome(arming)
    disarm = detector.disarm
    monkeypatch.setattr(detector, "disarm", lambda: disarm() if over.wait(PATIENCE_S) else None)
    assert "did not disarm in 0.01 s" in arming.close(0.01)
    over.set()
    assert arming.close(PATIENCE_S) == ""
    assert detector.commands == ["arm", "disarm"]


def test_a_session_that_never_came_to_its_finish_disarms() -> None:
    detector = Detector()
    session = Session(Pipeline(), SessionOptions(url="merlin://127.0.0.1", arm={}))
    session._arming = begun(detector)
    wait_for_outcome(session._arming)
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt
    assert detector.commands == ["arm", "disarm"]


def test_what_went_wrong_then_is_in_the_summary() -> None:
    detector = Detector(trouble="it is gone")
    session = Session(Pipeline(), SessionOptions(url="merlin://127.0.0.1", arm={}))
    session._arming = begun(detector)
    wait_for_outcome(session._arming)
    session.close()
    session.close()
    assert session.summary()["alarms"] == ["disarming: it is gone"]
    assert detector.commands == ["arm", "disarm"]
