"""Tables of tracks: what a particle's rows are called, in which units, and how many are kept.

Columns are those of trackpy where it has them (``frame, particle, y, x, mass``), so that its functions,
laptrack and pandas take the table as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...kernels.tracking.tracks import EventKind, Rows, Sight, State

Columns = Mapping[str, npt.NDArray[Any]]
COLUMNS = ("frame", "particle", "y", "x", "radius", "mass", "score", "measured_y", "measured_x")
TRACK_UNITS: Mapping[str, str] = dict.fromkeys(("y", "x", "radius", "measured_y", "measured_x"), "px")
EVENT_UNITS: Mapping[str, str] = dict.fromkeys(("y", "x", "radius"), "px")
KEPT = np.dtype(
    [
        ("frame", "i8"), ("particle", "i8"), ("y", "f8"), ("x", "f8"), ("radius", "f4"), ("mass", "f4"),
        ("score", "f4"), ("measured_y", "f8"), ("measured_x", "f8"), ("sight", "u1"),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """Physical size of a pixel and time of a frame; 1 px and 1 frame where the series does not say."""

    pixel: float = 1.0
    unit: str = "px"
    seconds: float = 1.0
    time_unit: str = "frame"

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Scale:
        """As a series' meta says (``pixel_size``, ``pixel_unit``, ``frame_time``)."""
        size, unit = meta.get("pixel_size"), meta.get("pixel_unit")
        is_known = isinstance(size, int | float) and size > 0 and isinstance(unit, str) and unit != ""
        pixel, name = (float(size), unit) if is_known and size is not None and unit else (1.0, "px")
        time = meta.get("frame_time")
        if isinstance(time, int | float) and time > 0:
            return cls(pixel, name, float(time), "s")
        return cls(pixel, name)

    @property
    def diffusion_unit(self) -> str:
        """Of a diffusion coefficient."""
        return f"{self.unit}^2/{self.time_unit}"


def table_of(rows: Rows) -> Columns:
    """Columns of rows of tracks: `TRACK_UNITS`, so that places can be drawn over the frame."""
    columns: dict[str, npt.NDArray[Any]] = {name: np.ascontiguousarray(rows[name]) for name in COLUMNS}
    columns["interpolated"] = rows["sight"] == Sight.MISSED
    if "state" in (rows.dtype.names or ()):
        columns["provisional"] = rows["state"] == State.TENTATIVE
    return columns


def events_table(events: Rows) -> Columns:
    """Columns of events: `EVENT_UNITS`; kinds by their names."""
    names = np.array([kind.name.lower() for kind in EventKind], dtype="U12")
    columns: dict[str, npt.NDArray[Any]] = {"frame": np.ascontiguousarray(events["frame"])}
    columns["type"] = names[events["kind"]]
    for name in ("particle", "other", "y", "x", "radius", "confidence", "told"):
        columns[name] = np.ascontiguousarray(events[name])
    return columns


class Kept:
    """The newest rows of a table, at most ``most``; memory grows by doubling up to that."""

    def __init__(self, dtype: np.dtype[Any], most: int) -> None:
        self._rows = np.zeros(min(1024, most), dtype)
        self._most = most
        self._n = 0
        self.forgotten = 0
        """Rows, the oldest, that there was no room for."""

    def add(self, rows: Rows) -> None:
        """Behind those that are there; only the fields that are kept."""
        rows = rows[-self._most :]
        if self._n + len(rows) > self._most:
            keep = min(self._n, self._most * 3 // 4, self._most - len(rows))
            self.forgotten += self._n - keep
            self._rows[:keep] = self._rows[self._n - keep : self._n]
            self._n = keep
        if self._n + len(rows) > len(self._rows):
            grown = np.zeros(min(max(2 * len(self._rows), self._n + len(rows)), self._most), self._rows.dtype)
            grown[: self._n] = self._rows[: self._n]
            self._rows = grown
        for name in self._rows.dtype.names or ():
            self._rows[name][self._n : self._n + len(rows)] = rows[name]
        self._n += len(rows)

    @property
    def rows(self) -> Rows:
        """(n,) a view."""
        return self._rows[: self._n]
