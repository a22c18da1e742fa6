"""What happened to particles: born, merged, split, dissolved, come, gone. Knows no window."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ...stream.results import Result
from .particles import frame_of

Happened = Literal["nucleation", "coalescence", "splitting", "dissolution", "entry", "exit", "lost"]
KINDS: tuple[str, ...] = get_args(Happened)
KEPT = 10_000
"""Happenings that are remembered; 100 bytes each."""
IDENTITIES = ("id", "particle", "other")
"""Columns that name a particle, in this order."""


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
    """The events in a table, or the single one of an event; None where there are none of particles.

    A table names kinds by text, or by numbers into the attribute "kinds".
    """
    if result.kind == "event":
        return _single(result)
    columns = result.arrays
    if result.kind != "table" or not {"frame", "kind", "y", "x"} <= columns.keys():
        return None
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    names = result.attrs.get("kinds")
    return tuple(_happening(row, names) for row in rows)


def _single(result: Result) -> tuple[Happening, ...] | None:
    attrs = result.attrs
    if attrs.get("kind") not in KINDS or not {"y", "x"} <= attrs.keys():
        return None
    return (_happening({"frame": frame_of(result), **attrs}, None),)


def _happening(row: Mapping[str, Any], names: Any) -> Happening:
    return Happening(
        int(row["frame"]),
        _kind(row["kind"], names),
        float(row["y"]),
        float(row["x"]),
        _identities(row),
        _real(row.get("time")),
        _real(row.get("confidence")),
    )


def _kind(value: Any, names: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    if isinstance(value, str):
        return str(value)
    place = int(value)
    names = names if isinstance(names, (list, tuple)) else KINDS
    return str(names[place]) if 0 <= place < len(names) else f"kind {place}"


def _identities(row: Mapping[str, Any]) -> tuple[int, ...]:
    """From a text ("3 7"), a list, or columns of one number each; negative ones are nobody's."""
    said = row.get("ids")
    if isinstance(said, (str, bytes)):
        text = said.decode("ascii", "replace") if isinstance(said, bytes) else said
        words = "".join(c if c.isdigit() else " " for c in text).split()
        return tuple(map(int, words))
    values = list(said) if isinstance(said, (list, tuple)) else [row.get(name) for name in IDENTITIES]
    return tuple(int(one) for one in values if isinstance(one, (int, np.integer)) and one >= 0)


def _real(value: Any) -> float | None:
    number = float(value) if isinstance(value, (int, float, np.number)) else math.nan
    return number if math.isfinite(number) else None
