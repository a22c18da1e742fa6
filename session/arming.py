"""Arming the detector once everything is ready: a blocking conversation, held in a thread of its own.

Knows an Armer and when it is wanted; touches neither ring nor processes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import LivemError
from ..stream.arming.base import Armer


@dataclass(frozen=True, slots=True)
class Armed:
    """How it went."""

    text: str = ""
    """What the detector was told, for the user."""
    error: LivemError | None = None


class Arming:
    """Arms when asked; ``heard`` gives the outcome when there is one. Never blocks its caller."""

    def __init__(self, make_armer: Callable[[], Armer]) -> None:
        self._make_armer = make_armer
        self._outcomes: queue.SimpleQueue[Armed] = queue.SimpleQueue()
        self._armer: Armer | None = None
        self._thread: threading.Thread | None = None
        self.asked = 0
        """How often arming was begun."""

    def begin(self) -> None:
        """Begin to arm; once the last time is over."""
        if self._thread is not None and self._thread.is_alive():
            return
        self.asked += 1
        self._thread = threading.Thread(target=self._arm, name="arming", daemon=True)
        self._thread.start()

    def _arm(self) -> None:
        try:
            if self._armer is None:
                self._armer = self._make_armer()
            self._outcomes.put(Armed(self._armer.arm()))
        except LivemError as error:
            self._outcomes.put(Armed(error=error))

    def heard(self) -> Armed | None:
        """The outcome of arming, once; None while there is none."""
        try:
            return self._outcomes.get_nowait()
        except queue.Empty:
            return None

    def close(self, patience: float) -> str:
        """Disarm, waiting at most ``patience`` seconds; returns what went wrong, if anything did."""
        if self._thread is None:
            return ""
        outcome: list[str] = []
        thread = threading.Thread(target=self._disarm, args=(outcome,), name="disarming", daemon=True)
        thread.start()
        thread.join(patience)
        if thread.is_alive():
            return f"the detector did not disarm in {patience:g} s"
        return "; ".join(outcome)

    def _disarm(self, outcome: list[str]) -> None:
        assert self._thread is not None
        self._thread.join()
        try:
            if self._armer is not None:
                self._armer.disarm()
        except LivemError as error:
            outcome.append(str(error))
