"""The high-water mark of a ZeroMQ socket that is read from, changed while messages come.

A sender stops when as many messages wait as the mark allows, and libzmq (4.3.5) tells it of new room whenever
the number of messages read is a multiple of half the mark. One that is changed at any other moment may leave
both waiting for each other for ever: everything is read, and the next multiple never comes. Seen with higher
and with lower marks.

At such a multiple the sender comes to know of all messages that were read, so at most ``mark`` wait. A lower
mark is then safe: a sender that stops has filled it, and its half comes before that is read. So is one up to
twice as high, whose half is no more than what waits when the sender stops. Knows numbers, no socket.
"""

from __future__ import annotations


class HighWater:
    """The mark of one connection, and how many of its messages were read."""

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self._read = 0
        """Messages since the connection was made."""
        self._changed_at = -1
        """Messages that were read then: one step at each multiple, as the sender may not know of the last."""

    def room(self, wanted: int) -> int | None:
        """Messages that may be read before the mark can be changed; None: as it is wanted already."""
        return None if wanted == self.mark else self._half - self._read % self._half

    def read(self, count: int) -> None:
        """So many whole messages were read."""
        self._read += count

    def change(self, wanted: int) -> bool:
        """Take a step towards ``wanted`` if this is a moment for it; True where ``mark`` is to be set."""
        if wanted == self.mark or self._read % self._half or self._read == self._changed_at:
            return False
        self._changed_at = self._read
        self.mark = min(wanted, 2 * self.mark)
        return True

    @property
    def _half(self) -> int:
        return (self.mark + 1) // 2
