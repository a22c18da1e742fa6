"""Outputs that are made once for a set of detectors and computed when somebody looks.

A worker merges thousands of blocks a second and publishes 30 pictures: making outputs must cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

V = TypeVar("V")
Shown = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Arrays and attrs of an output."""


class Fresh(Mapping[str, V]):
    """Arrays (0) or attrs (1) of an output as they are now; computed once between two changes."""

    def __init__(self, compute: Callable[[], Shown], part: int) -> None:
        self._compute, self._part = compute, part

    def _now(self) -> Mapping[str, V]:
        return self._compute()[self._part]

    def __getitem__(self, key: str) -> V:
        return self._now()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


class Clock:
    """Counts changes of a state, and remembers what was computed since the last one."""

    def __init__(self) -> None:
        self._changes = 0

    def tick(self) -> None:
        """The state changed: what was computed of it no longer holds."""
        self._changes += 1

    def once(self, compute: Callable[[], Shown]) -> Callable[[], Shown]:
        """The same, computed at most once between two ticks."""
        known: list[tuple[int, Shown]] = []

        def fresh() -> Shown:
            if not known or known[0][0] != self._changes:
                known[:] = [(self._changes, compute())]
            return known[0][1]

        return fresh
