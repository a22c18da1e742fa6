"""The seam between a socket that is read in bursts and what a detector's messages mean.

Knows bursts and messages of the assembler; no protocol, no socket.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ...burst import Burst
from ...messages import Message
from ...series import Series


class BurstParser(Protocol):
    """One protocol's reader: keeps what it must know between messages (the series, its header)."""

    def speaks(self, first_byte: int) -> bool:
        """Whether a message whose first part begins with this byte (-1: empty) is of this protocol."""

    def parse(self, burst: Burst, at: int, out: deque[Message]) -> int:
        """Read message number ``at`` whatever it is, and as many of those behind it as continue its run of
        frames; append what they mean to ``out`` (nothing, one message, or several).

        Returns the number of the first message that was not read, at least ``at + 1``. Never raises for what
        a peer sent. A FrameBatch may be a view of ``burst.data``: that memory is not used again while the
        view is alive. Bytes of messages before the returned number may be moved about, later ones must stay.
        """

    def resume(self, series: Series) -> None:
        """Go on with a series that a former process left open: its frames come without a header."""

    def frame_bytes(self) -> int | None:
        """Bytes of one decoded frame of the series that is announced, for the socket's high-water mark."""

    def detail(self) -> str:
        """What the detector is doing, for the user ("armed: series 34, waiting for the first image"); empty
        while frames come or nothing is known."""
