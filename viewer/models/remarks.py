"""What the user is told once: a session that came back, results that no panel can show. Knows no window."""

from __future__ import annotations

from collections.abc import Iterable

from ...stream.results import Result
from .feed import FeedState, Link
from .session import role_of

SHOWABLE = ("image", "curve")
"""Kinds that the window shows where it can; tables and events are for those who know them."""


class Remarks:
    """Looks at every update; says each thing once."""

    def __init__(self) -> None:
        self._link: Link = "connecting"
        self._said: set[str] = set()

    def see(self, state: FeedState, results: Iterable[Result]) -> str:
        """The newest thing to say; empty where there is none."""
        before, self._link = self._link, state.link
        if (before, state.link) == ("lost", "live"):
            return f"the session is back   {state.text}".rstrip()
        odd = (result for result in results if result.kind in SHOWABLE and role_of(result) == "other")
        for text in (state.unread, *(f"{one.topic} cannot be shown here: {_form(one)}" for one in odd)):
            if text and text not in self._said:
                self._said.add(text)
                return text
        return ""


def _form(result: Result) -> str:
    """What it is: an image of three colours, say."""
    arrays = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in result.arrays.items())
    return f"{result.kind} {arrays or 'without arrays'}"
