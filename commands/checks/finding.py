"""What a check found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    level: Level
    """ok; note: works, but could be better or is left out; problem: something will not work."""
    text: str
    """What was found, and what it means."""
    fix: str = ""
    """What to do."""

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield f"{self.level:<8}{self.name:<20}{self.text}"
        if self.fix:
            yield f"{'':<28}-> {self.fix}"
