"""Arming the detector once everything is ready: a blocking conversation, held in a thread of its own.

Knows an Armer and when it is wanted; touches neither ring nor processes.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import LivemError, SourceError
from ..stream.arming.base import Armer
from ..stream.sources.plan import SourcePlan


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
        self._disarming: threading.Thread | None = None
        self._trouble = ""
        self._making = threading.Lock()
        self._closed = False
        self.asked = 0
        """How often arming was begun."""

    def begin(self) -> None:
        """Begin to arm; once the last time is over, and never after ``close``."""
        if self._closed:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self.asked += 1
        self._thread = threading.Thread(target=self._arm, name="arming", daemon=True)
        self._thread.start()

    def _arm(self) -> None:
        try:
            armer = self._made()
            if armer is not None:
                self._outcomes.put(Armed(armer.arm()))
        except LivemError as error:
            self._outcomes.put(Armed(error=error))

    def _made(self) -> Armer | None:
        """The armer, made once; None after ``close``."""
        with self._making:
            if self._armer is None and not self._closed:
                self._armer = self._make_armer()
            return self._armer

    def heard(self) -> Armed | None:
        """The outcome of arming, once; None while there is none."""
        try:
            return self._outcomes.get_nowait()
        except queue.Empty:
            return None

    def close(self, patience: float) -> str:
        """Arm no more, and disarm what is armed or may be, waiting at most ``patience`` seconds.

        Returns what went wrong, if anything did. A second call waits on, or tries again what failed.
        """
        with self._making:
            self._closed = True
        armer = self._armer
        if armer is None:
            return ""
        armer.cancel()
        if not armer.armed:
            return ""
        thread = self._disarming
        if thread is None or not thread.is_alive():
            thread = self._disarming = threading.Thread(
                target=self._disarm, args=(armer,), name="disarming", daemon=True
            )
            thread.start()
        thread.join(patience)
        if thread.is_alive():
            return f"the detector did not disarm in {patience:g} s: see to it that it takes no more data"
        return self._trouble

    def _disarm(self, armer: Armer) -> None:
        self._trouble = ""
        try:
            armer.disarm()
        except LivemError as error:
            self._trouble = str(error)


def arming_of(
    plan: SourcePlan, url: str, wanted: Mapping[str, str] | None, settings: Mapping[str, str]
) -> Arming | None:
    """The arming that ``--arm`` (``wanted``, over the pipeline file's ``settings``) asks for; None without.

    Raises SourceError when livem cannot arm the source.
    """
    if wanted is None:
        return None
    if plan.make_armer is None:
        raise SourceError(
            f"{url!r} cannot be armed by livem, dectris:// and merlin:// detectors can: leave --arm out"
        )
    return Arming(functools.partial(plan.make_armer, {**settings, **wanted}))
