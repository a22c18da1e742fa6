"""How the views were before: changes of zoom, place and drawing can be taken back. Knows no window."""

from __future__ import annotations

from typing import Generic, TypeVar

State = TypeVar("State")
REST_S = 0.6
"""What changes at shorter intervals (a wheel that turns, a picture that is dragged) is one change."""
KEPT = 50


class ViewHistory(Generic[State]):
    """States of the views, each until a rest of `REST_S`; the last ``KEPT`` changes can be taken back."""

    def __init__(self) -> None:
        self._before: list[State] = []
        self._now: State | None = None
        self._changed_at = float("-inf")

    def note(self, state: State, now: float) -> None:
        """The views are like this at time ``now`` (s)."""
        if state == self._now:
            return
        if self._now is not None and now - self._changed_at >= REST_S:
            self._before = [*self._before, self._now][-KEPT:]
        self._now, self._changed_at = state, now

    def back(self) -> State | None:
        """How they were before the last change, which is forgotten with that; None where nothing is known."""
        if not self._before:
            return None
        self._now = self._before.pop()
        return self._now
