"""What telling a detector to take data means, whatever its control protocol."""

from __future__ import annotations

from typing import Protocol


class Armer(Protocol):
    """A detector's control port. Both methods block, a few seconds at most."""

    def arm(self) -> str:
        """Set what was asked for and arm; returns one line for the user. Raises SourceError."""

    def disarm(self) -> None:
        """Take no more data. Raises SourceError."""
