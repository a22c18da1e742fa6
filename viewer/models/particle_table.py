"""The rows of the particle table: which columns, in which order, said how. Knows no window."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .numbers import value_text
from .particles import IDENTITY, Particles

LEADING = ("radius", "y", "x")
"""Columns that come first, after the particle's number; all others follow in the tracker's order."""
HIDDEN = ("frame", "measured_y", "measured_x")
"""Columns for files, not for eyes."""
YES = {True: "yes", False: ""}


class ParticleTable:
    """Live tracks, sorted; a new frame keeps the order that the user chose."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.sorted_by = IDENTITY
        self.descending = False
        self._particles: Particles | None = None
        self._order: npt.NDArray[np.intp] = np.zeros(0, np.intp)

    def __len__(self) -> int:
        return len(self._order)

    def take(self, particles: Particles | None) -> bool:
        """Show these; True when the columns are others than before."""
        before, self._particles = self.names, particles
        self.names = () if particles is None else _names(particles)
        if self.names and self.sorted_by not in self.names:
            self.sorted_by, self.descending = self.names[0], False
        self._sort()
        return self.names != before

    def sort(self, column: int, descending: bool) -> None:
        """By a column; equal values by their number."""
        if 0 <= column < len(self.names):
            self.sorted_by, self.descending = self.names[column], descending
            self._sort()

    def head(self, column: int) -> str:
        """Name and unit of a column."""
        name = self.names[column]
        unit = "" if self._particles is None else self._particles.units.get(name, "")
        return f"{name.replace('_', ' ')} / {unit}" if unit else name.replace("_", " ")

    def text(self, row: int, column: int) -> str:
        """What a cell says."""
        value = self._value(row, column)
        if isinstance(value, (bool, np.bool_)):
            return YES[bool(value)]
        if isinstance(value, (int, np.integer)):
            return str(value)
        return value_text(float(value)) if isinstance(value, (float, np.floating)) else str(value)

    def id_at(self, row: int) -> int | None:
        """The particle in a row; None where there is none."""
        if self._particles is None or not 0 <= row < len(self._order):
            return None
        return int(self._particles.ids[self._order[row]])

    def row_of(self, identity: int | None) -> int | None:
        """The row of a particle; None where it is not in the table."""
        place = None if self._particles is None else self._particles.row(identity)
        return None if place is None else int(np.flatnonzero(self._order == place)[0])

    def _value(self, row: int, column: int) -> Any:
        assert self._particles is not None
        return self._particles.columns[self.names[column]][self._order[row]]

    def _sort(self) -> None:
        if self._particles is None:
            self._order = np.zeros(0, np.intp)
            return
        values = self._particles.columns[self.sorted_by]
        ranks = np.unique(values, return_inverse=True)[1]
        self._order = np.lexsort((self._particles.ids, -ranks if self.descending else ranks))


def _names(particles: Particles) -> tuple[str, ...]:
    there = [name for name in particles.columns if name not in HIDDEN]
    leading = [name for name in (IDENTITY, *LEADING) if name in there]
    return (*leading, *(name for name in there if name not in leading))
