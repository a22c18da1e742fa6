"""How measured values are told: spreads instead of single numbers, and gates with their limits.

Knows nothing of what is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]
"""One line of a table; values are text or numbers."""
Gate: TypeAlias = Mapping[str, Any]
"""A promised figure: "name", "value", "limit", "ok"."""
Measured: TypeAlias = Mapping[str, Any]
"""What a benchmark gives: "title", "rows", "gates"."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of one quantity."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(float(median(values)), float(min(values)), float(max(values)))

    def __str__(self) -> str:
        """A cell of a table: the median, then the range."""
        if self.low == self.high:
            return _short(self.median)
        return f"{_short(self.median)} ({_short(self.low)} to {_short(self.high)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """Spread of the ratios of rounds that were measured one right after the other."""
    return Spread.of([a / b for a, b in zip(numerators, denominators, strict=True)])


def at_least(name: str, value: float | None, limit: float) -> Gate:
    """A gate that a value passes from ``limit`` on; a value that could not be had does not pass."""
    return {"name": name, "value": value, "limit": limit, "ok": value is not None and value >= limit}


def at_most(name: str, value: float | None, limit: float) -> Gate:
    """A gate that a value passes up to ``limit``; a value that could not be had does not pass."""
    return {"name": name, "value": value, "limit": limit, "ok": value is not None and value <= limit}
