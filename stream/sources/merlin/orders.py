"""In which order a raw 24-bit frame of four chips has the two halves of its counts.

A counter of 24 bits is two of 12, and no public description says how those of four chips follow each other on
the wire. What was ever proposed is listed here. Knows no bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

CHIP = 256
"""Columns of a Medipix3 chip."""


@dataclass(frozen=True, slots=True)
class Order:
    """One way to read two 16-bit words as a count."""

    name: str
    """As the url has it (``raw24=``)."""
    meaning: str
    stretch: int = 0
    """Words of one half that follow each other before those of the other; 0: those of a whole readout."""
    high_first: bool = True
    bits: int = 12
    """Of the low half; 16 where the words are those of one 32-bit number."""

    @property
    def whole_words(self) -> bool:
        """Whether a count is one 32-bit number, not two 12-bit counters."""
        return self.bits == 16

    def __str__(self) -> str:
        return f"{self.name} ({self.meaning})"


_ALL = (
    Order("halves", "a readout of the high halves, then one of the low ones"),
    Order("halves-low", "a readout of the low halves, then one of the high ones", high_first=False),
    Order("rows", "each row of the four chips, its high halves first", 4 * CHIP),
    Order("rows-low", "each row of the four chips, its low halves first", 4 * CHIP, high_first=False),
    Order("chips", "each chip's row, its high halves first", CHIP),
    Order("chips-low", "each chip's row, its low halves first", CHIP, high_first=False),
    Order("words", "32-bit numbers, four of them in reverse", bits=16),
)
ORDERS = {order.name: order for order in _ALL}
"""LiberTEM reads one chip as ``halves``; pyxem reads files of four as ``words``; the others are what the
readout of four chips, row by row, suggests."""
ONE_CHIP = ORDERS["halves"]
CHOICES = ("auto", *ORDERS)
"""Of ``raw24=``."""
