"""What telling a detector to take data means, whatever its control protocol."""

from __future__ import annotations

from typing import Protocol

from ...errors import SourceError


class CancelledError(SourceError):
    """Arming was given up on request; nothing more was sent."""


class Armer(Protocol):
    """A detector's control port. ``arm`` and ``disarm`` block, a few seconds as a rule."""

    @property
    def armed(self) -> bool:
        """Whether data may still be taken on our word; also while the answer to it is awaited, or lost."""

    def arm(self) -> str:
        """Set what was asked for and arm; returns one line for the user. Raises SourceError."""

    def cancel(self) -> None:
        """Arm no more, for good: once this has returned, nothing goes out but to disarm.

        Callable from any thread, never blocks; a blocked ``arm`` raises CancelledError soon, or comes to
        its end.
        """

    def disarm(self) -> None:
        """Take no more data, if ``armed``; also beside an ``arm`` that was cancelled. Raises SourceError."""
