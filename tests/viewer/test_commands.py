from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from livem.errors import NoAnswerError, SessionError, UsageError
from livem.viewer.models.commands import Change, CommandQueue, NoCommands, Outcome, Question

PATIENCE = 10.0


class Session:
    """A session that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.threads: set[int] = set()
        self.busy = threading.Event()
        self.answer = threading.Event()
        self.failure: Exception | None = None
        self.closed = False

    def request(self, message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        self.threads.add(threading.get_ident())
        self.asked.append(message)
        self.busy.set()
        assert self.answer.wait(PATIENCE)
        if self.failure is not None:
            raise self.failure
        return {}

    def close(self) -> None:
        self.closed = True


def outcomes(queue: CommandQueue) -> Sequence[Outcome]:
    assert queue.flush(PATIENCE)
    return queue.outcomes()


def test_only_the_newest_value_of_each_parameter_is_sent() -> None:
    session = Session()
    queue = CommandQueue(lambda: session)
    queue.set("vd", "detectors.bf", 0)
    assert session.busy.wait(PATIENCE)
    for value in range(1, 100):
        queue.set("vd", "detectors.bf", value)
        queue.set("vd", "detectors.haadf", -value)
    session.answer.set()
    done = outcomes(queue)
    queue.close()
    assert [m["value"] for m in session.asked] == [0, 99, -99]
    assert session.asked[1] == {"do": "set", "consumer": "vd", "name": "detectors.bf", "value": 99}
    assert [o.error for o in done] == [None] * 3
    assert session.threads.isdisjoint({threading.get_ident()})
    assert session.closed


def test_a_refusal_is_reported_and_the_queue_goes_on() -> None:
    session = Session()
    session.answer.set()
    session.failure = UsageError("radius 900 is outside the frame")
    queue = CommandQueue(lambda: session)
    queue.set("vd", "detectors.bf", 900)
    (outcome,) = outcomes(queue)
    assert outcome == Outcome(Change("vd", "detectors.bf", 900), "radius 900 is outside the frame")
    session.failure = None
    queue.set("vd", "detectors.bf", 9)
    assert outcomes(queue)[0].error is None
    queue.close()


def test_a_session_that_cannot_be_reached_is_an_outcome() -> None:
    def connect() -> Session:
        raise SessionError("no session answers")

    queue = CommandQueue(connect)
    queue.set("vd", "a", 1)
    assert outcomes(queue)[0].error == "no session answers"
    queue.close()


@pytest.mark.parametrize(("failure", "is_unanswered"), [(NoAnswerError, True), (SessionError, False)])
def test_an_answer_that_never_came_is_not_a_refusal(failure: type[SessionError], is_unanswered: bool) -> None:
    session = Session()
    session.answer.set()
    session.failure = failure("no")
    queue = CommandQueue(lambda: session)
    queue.pose(Question("rewind"))
    (outcome,) = outcomes(queue)
    assert (outcome.error, outcome.is_unanswered) == ("no", is_unanswered)
    queue.close()


def test_closing_drops_what_waits_and_leaves_no_thread() -> None:
    session = Session()
    queue = CommandQueue(lambda: session)
    queue.set("vd", "a", 1)
    assert session.busy.wait(PATIENCE)
    queue.set("vd", "a", 2)
    assert not queue.flush(0.0)
    session.answer.set()
    queue.close()
    queue.close()
    assert len(session.asked) in (1, 2)
    assert not [t for t in threading.enumerate() if t.name == "livem-commands"]


def test_no_commands_take_everything_and_do_nothing() -> None:
    nothing = NoCommands()
    nothing.set("a", "b", 1)
    assert nothing.outcomes() == ()
    nothing.close()
