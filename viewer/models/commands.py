"""Parameter changes on their way to the session: never wait, keep only the newest of each parameter.

A drag makes a new value for every movement of the mouse. They go through a slot per parameter to one
thread that owns the control connection; the window only writes slots and reads outcomes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ...errors import LivemError, NoAnswerError

REQUEST_TIMEOUT = 2.0
"""Seconds until a session that does not answer is reported as such."""


@dataclass(frozen=True, slots=True)
class Change:
    """A parameter of a consumer and its wanted value."""

    consumer: str
    name: str
    value: Any

    def as_request(self) -> dict[str, Any]:
        """The message that the session's control socket takes."""
        return {"do": "set", "consumer": self.consumer, "name": self.name, "value": self.value}

    @property
    def slot(self) -> tuple[str, str]:
        """Of two that are waiting in one slot, the newer goes."""
        return self.consumer, self.name

    def after(self, older: Request) -> Change:
        """What to ask for when ``older`` was not sent yet."""
        return self


@dataclass(frozen=True, slots=True)
class Play:
    """Something for a replay to do: pause, resume, step, seek, speed."""

    action: str
    value: float | str | None = None

    def as_request(self) -> dict[str, Any]:
        """The message that the session's control socket takes."""
        return {"do": "replay", "action": self.action, "value": self.value}

    @property
    def slot(self) -> tuple[str, str]:
        """Pause and resume take each other's place."""
        return "", "run" if self.action in ("pause", "resume") else self.action

    def after(self, older: Request) -> Play:
        """Steps add up, of anything else the newer holds."""
        if self.action != "step" or not isinstance(older, Play):
            return self
        return Play("step", float(older.value or 0) + float(self.value or 0))


@dataclass(frozen=True, slots=True)
class Ask:
    """Which parameters a consumer has, what they are now and what they may be."""

    consumer: str

    def as_request(self) -> dict[str, Any]:
        """The message that the session's control socket takes."""
        return {"do": "parameters", "consumer": self.consumer}

    @property
    def slot(self) -> tuple[str, str]:
        """Asked once is enough."""
        return self.consumer, ""

    def after(self, older: Request) -> Ask:
        """What to ask for when ``older`` was not sent yet."""
        return self


@dataclass(frozen=True, slots=True)
class Question:
    """Anything else that a session is asked; of each kind the newest goes."""

    do: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def as_request(self) -> dict[str, Any]:
        """The message that the session's control socket takes."""
        return {"do": self.do, **self.fields}

    @property
    def slot(self) -> tuple[str, str]:
        """One a kind."""
        return "?", self.do

    def after(self, older: Request) -> Question:
        """The newer holds."""
        return self


Request = Change | Play | Ask | Question


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request."""

    change: Request
    error: str | None
    """None when the session took it."""
    answer: Mapping[str, Any] = field(default_factory=dict)
    is_unanswered: bool = False
    """Whether nobody answered in time, which is not to be refused."""


class Requester(Protocol):
    """One control connection, used by one thread; `ControlClient` is the real one."""

    def request(self, message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        """Send and wait for the answer; raises LivemError or OSError when the session does not do it."""

    def close(self) -> None: ...


class Commands(Protocol):
    """What a window does with its changes. Every method returns at once."""

    def set(self, consumer: str, name: str, value: Any) -> None: ...

    def play(self, action: str, value: float | str | None = None) -> None: ...

    def ask(self, consumer: str) -> None: ...

    def pose(self, question: Question) -> None: ...

    def outcomes(self) -> Sequence[Outcome]: ...

    def close(self) -> None: ...


class NoCommands:
    """For windows that cannot change anything: snapshots, recordings."""

    def set(self, consumer: str, name: str, value: Any) -> None:
        """Forget it."""

    def play(self, action: str, value: float | str | None = None) -> None:
        """Forget it."""

    def ask(self, consumer: str) -> None:
        """Forget it."""

    def pose(self, question: Question) -> None:
        """Forget it."""

    def outcomes(self) -> Sequence[Outcome]:
        return ()

    def close(self) -> None:
        """Nothing to end."""


class CommandQueue:
    """Sends changes from a thread of its own, the newest value of each parameter only.

    Parameters
    ----------
    connect
        Makes the connection; called in the thread, since sockets belong to the thread that made them.
    timeout : float
        Seconds to wait for each answer.
    """

    def __init__(self, connect: Callable[[], Requester], timeout: float = REQUEST_TIMEOUT) -> None:
        self._connect = connect
        self._timeout = timeout
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, str], Request] = {}
        self._outcomes: deque[Outcome] = deque()
        self._under_way = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="livem-commands", daemon=True)
        self._thread.start()

    def set(self, consumer: str, name: str, value: Any) -> None:
        """Ask for a value; an older one that was not sent yet is forgotten."""
        self._queue(Change(consumer, name, value))

    def play(self, action: str, value: float | str | None = None) -> None:
        """Tell a replay what to do."""
        self._queue(Play(action, value))

    def ask(self, consumer: str) -> None:
        """Ask a consumer for its parameters."""
        self._queue(Ask(consumer))

    def pose(self, question: Question) -> None:
        """Ask something else; its answer comes with `outcomes`."""
        self._queue(question)

    def _queue(self, request: Request) -> None:
        with self._changed:
            older = self._waiting.get(request.slot)
            self._waiting[request.slot] = request if older is None else request.after(older)
            self._changed.notify_all()

    def outcomes(self) -> Sequence[Outcome]:
        """What became of the changes since the last call, oldest first."""
        with self._changed:
            done = tuple(self._outcomes)
            self._outcomes.clear()
        return done

    def flush(self, timeout: float) -> bool:
        """Wait until every change has its outcome; False after `timeout` seconds. Not for a window."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._under_way), timeout)

    def close(self) -> None:
        """Drop what waits and end the thread; waits at most for the answer that is under way."""
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(self._timeout + 1.0)

    def _run(self) -> None:
        requester: Requester | None = None
        while (change := self._next()) is not None:
            try:
                requester = requester or self._connect()
                outcome = Outcome(change, None, requester.request(change.as_request(), self._timeout))
            except (LivemError, OSError) as failure:
                outcome = Outcome(change, str(failure) or type(failure).__name__)
                outcome = replace(outcome, is_unanswered=isinstance(failure, NoAnswerError))
            self._report(outcome)
        if requester is not None:
            requester.close()

    def _next(self) -> Request | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or bool(self._waiting))
            if self._closing:
                return None
            self._under_way = True
            return self._waiting.pop(next(iter(self._waiting)))

    def _report(self, outcome: Outcome) -> None:
        with self._changed:
            self._outcomes.append(outcome)
            self._under_way = False
            self._changed.notify_all()
