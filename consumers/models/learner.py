"""The process that a model runs in, and whose weights it has: its own, or those that an adapter has found.

Other weights take over when a second process with them is ready, between two frames; until then the present
one goes on, and no frame waits.
"""

from __future__ import annotations

import threading

from .adapting import Adapted, Adapting, Adoption, Maker
from .host import ModelHost


class Learner:
    """A model that may go on learning.

    Parameters
    ----------
    made : another host of the model, which is not started yet, with packed weights (none: its own).
    """

    def __init__(self, made: Maker) -> None:
        self._made = made
        self.host: ModelHost = made(b"")
        self.adapted = Adapted()
        """What the weights in use are."""
        self.adapting: Adapting | None = None
        self._returning: _Returning | None = None

    def end(self, ready: Maker | None) -> None:
        """Learn no more, and go back to the model's own weights.

        Parameters
        ----------
        ready : as ``made``, and warmed up; called in a thread. None: no frames come, go back at once.
        """
        if self.adapting is not None:
            self.adapting.stop()
            self.adapting = None
        if not self.adapted.steps:
            return
        if ready is None:
            self._use(Adoption(self._made(b""), Adapted()))
        elif self._returning is None or self._returning.error:
            self._returning = _Returning(ready)

    def take_over(self) -> bool:
        """Between two frames: whether other weights were ready, and are in use now."""
        for one in (self._returning, self.adapting):
            if one is not None and (adoption := one.adoption()) is not None:
                self._use(adoption)
                return True
        return False

    def returned(self, seconds: float) -> bool:
        """Wait until the model's own weights are ready to take over, or cannot be had; for a script."""
        return self._returning is None or self._returning.settled(seconds)

    def faults(self) -> list[str]:
        """What does not go on, in words."""
        said = []
        if self.adapting is not None and self.adapting.error:
            said.append(f"adapts no more: {self.adapting.error}; adapt = true starts it again")
        if self._returning is not None and self._returning.error:
            said.append(
                f"cannot go back to its own weights: {self._returning.error}; adapt = false tries it again"
            )
        return said

    def stop(self) -> None:
        """End all processes; the model's own can be started again."""
        if self.adapting is not None:
            self.adapting.stop()
            self.adapting = None
        self._forget_return()
        self.host.stop()

    def _use(self, adoption: Adoption) -> None:
        before, self.host, self.adapted = self.host, adoption.host, adoption.adapted
        before.stop()
        self._forget_return()

    def _forget_return(self) -> None:
        if self._returning is not None:
            self._returning.stop()
            self._returning = None


class _Returning:
    """A process with the model's own weights, made ready in a thread while others are in use."""

    def __init__(self, ready: Maker) -> None:
        self._ready, self._lock = ready, threading.Lock()
        self._host: ModelHost | None = None
        self._ended = False
        self.error = ""
        """Why it cannot be had."""
        self._thread = threading.Thread(target=self._run, name="livem-returning", daemon=True)
        self._thread.start()

    def adoption(self) -> Adoption | None:
        """The host, once, when it is ready."""
        with self._lock:
            host, self._host = self._host, None
        return None if host is None else Adoption(host, Adapted())

    def settled(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Nobody wants it any more."""
        with self._lock:
            self._ended, host, self._host = True, self._host, None
        if host is not None:
            host.stop()

    def _run(self) -> None:
        try:
            host = self._ready(b"")
        except Exception as error:  # noqa: BLE001 - whatever it is, the present weights stay, and it is said
            self.error = str(error)
            return
        with self._lock:
            if not self._ended:
                self._host = host
                return
        host.stop()
