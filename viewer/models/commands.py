"""Parameter changes on their way to the session: never wait, keep only the newest of each parameter.

A drag makes a new value for every movement of the mouse. They go through a slot per parameter to one
thread that owns the control connection; the window only writes slots and reads outcomes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...errors import LivemError

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change."""

    change: Change
    error: str | None
    """None when the session took it."""


class Requester(Protocol):
    """One control connection, used by one thread; `ControlClient` is the real one."""

    def request(self, message: Mapping[str, Any], timeout: float) -> Mapping[str, Any]:
        """Send and wait for the answer; raises LivemError or OSError when the session does not do it."""

    def close(self) -> None: ...


class Commands(Protocol):
    """What a window does with its changes. Every method returns at once."""

    def set(self, consumer: str, name: str, value: Any) -> None: ...

    def outcomes(self) -> Sequence[Outcome]: ...

    def close(self) -> None: ...


class NoCommands:
    """For windows that cannot change anything: snapshots, recordings."""

    def set(self, consumer: str, name: str, value: Any) -> None:
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
        self._waiting: dict[tuple[str, str], Change] = {}
        self._outcomes: deque[Outcome] = deque()
        self._under_way = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="livem-commands", daemon=True)
        self._thread.start()

    def set(self, consumer: str, name: str, value: Any) -> None:
        """Ask for a value; an older one that was not sent yet is forgotten."""
        with self._changed:
            self._waiting[consumer, name] = Change(consumer, name, value)
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
                requester.request(change.as_request(), self._timeout)
                error = None
            except (LivemError, OSError) as failure:
                error = str(failure) or type(failure).__name__
            self._report(Outcome(change, error))
        if requester is not None:
            requester.close()

    def _next(self) -> Change | None:
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
