"""What happened to particles: born, merged, split, dissolved, come, gone. Knows no window."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...stream.results import Result

COLUMNS = {"frame", "type", "y", "x"}
KEPT = 10_000
"""Happenings that are remembered; 100 bytes each."""
IDENTITIES = ("particle", "other")
"""Columns that name who took part; -1 is nobody."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event."""

    frame: int
    kind: str
    y: float
    x: float
    """px of the frame."""
    ids: tuple[int, ...] = ()
    time: float | None = None
    """s since the beginning of the series; None where nobody says."""
    confidence: float | None = None

    @property
    def when(self) -> str:
        """ "12.4 s", or the frame."""
        return f"frame {self.frame:,}" if self.time is None else f"{self.time:,.2f} s"

    @property
    def who(self) -> str:
        """ "12 + 40"."""
        return " + ".join(map(str, self.ids))


class Happenings:
    """All that happened in a series, oldest first, each once."""

    def __init__(self) -> None:
        self._all: dict[tuple[int, str, tuple[int, ...], float, float], Happening] = {}
        self.forgotten = 0
        """How many of the oldest had to go."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def newest_first(self) -> tuple[Happening, ...]:
        """As a list shows them."""
        return tuple(sorted(self._all.values(), key=lambda one: -one.frame))

    def clear(self) -> None:
        """Another series."""
        self._all.clear()
        self.forgotten = 0

    def see(self, happenings: Iterable[Happening]) -> None:
        """Take new ones; one that comes again replaces what was known of it."""
        for one in happenings:
            self._all[one.frame, one.kind, one.ids, round(one.y, 1), round(one.x, 1)] = one
        while len(self._all) > KEPT:
            del self._all[next(iter(self._all))]
            self.forgotten += 1

    def since(self, frame: int) -> tuple[Happening, ...]:
        """Those of this frame and later ones, oldest first."""
        return tuple(one for one in self._all.values() if one.frame >= frame)


def happenings_of(result: Result) -> tuple[Happening, ...] | None:
    """The events in a table; None in one of something else. Times follow from the length of a frame."""
    columns = result.arrays
    if result.kind != "table" or not columns.keys() >= COLUMNS or columns["type"].dtype.kind not in "US":
        return None
    length = result.attrs.get("frame_time")
    seconds = length if isinstance(length, (int, float)) and result.attrs.get("time_unit") == "s" else None
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return tuple(_happening(row, seconds) for row in rows)


def _happening(row: Mapping[str, Any], seconds: float | None) -> Happening:
    frame, kind = int(row["frame"]), row["type"]
    return Happening(
        frame,
        kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind),
        float(row["y"]),
        float(row["x"]),
        tuple(int(row[name]) for name in IDENTITIES if row.get(name, -1) >= 0),
        None if seconds is None else frame * seconds,
        _real(row.get("confidence")),
    )


def _real(value: Any) -> float | None:
    number = float(value) if isinstance(value, (int, float, np.number)) else math.nan
    return number if math.isfinite(number) else None
