"""The series that is being received, as far as the assembler has come with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ledger import SeriesLedger
from .messages import FrameBatch
from .series import Series


@dataclass(slots=True)
class OpenSeries:
    """One series between its START and its END."""

    series: Series
    serial: int
    ledger: SeriesLedger
    heard_ns: int
    expected: int = 0
    """First index that has been neither delivered nor given up."""
    held: dict[int, tuple[FrameBatch, int]] = field(default_factory=dict)
    """Batches that came too early, by first index, and when they came."""
    held_bytes: int = 0
    ended_ns: int | None = None
    """When its END message came."""

    @property
    def is_through(self) -> bool:
        """Whether the last announced frame is received or rejected: a detector may end without saying so."""
        announced = self.series.count
        return bool(announced) and self.ledger.high_water >= (announced or 0)
