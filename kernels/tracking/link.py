"""Particles followed from frame to frame: detections in, tracks out, while they come."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .events import happenings
from .field import FIELD
from .fixed_lag import newest, settle
from .growth import GROWTH, rates
from .nearby import MOST
from .step import advance
from .table import DETECTION, Detections
from .tracks import DEPTH, EVENT, LIVE, PAST, TRACK, Rows, Trouble

CAPACITY = 1024
"""Tracks that there is room for at first; the room doubles when it is needed."""
CELLS = 1 << 14
EVENTS = 4096
"""Told of one frame, at most."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How particles are followed; plain values."""

    shape: tuple[int, int] = (512, 512)
    """(h, w) of the frames, px."""
    search_range: float | None = None
    """px that a particle may move from one frame to the next, beside the field's own displacement; None: as
    far as three quarters of the way to its nearest neighbour. Within it the gate follows from what was
    learnt."""
    gate: float = 5.5
    """Standard deviations."""
    gap: int = 4
    """Frames for which a particle may be out of sight."""
    needed: int = 3
    """Sightings in `within` frames that confirm a track."""
    within: int = 4
    lag: int = 5
    """Frames until a row is final, at least `within` and above `gap`."""
    largest: int = 48
    """Tracks of a crowd that are weighed against each other exactly; more are joined nearest first."""
    most: int = 20_000
    """Detections of a frame that are followed; of more, those of the highest score."""

    def checked(self) -> LinkOptions:
        """The same; ValueError says which value cannot be."""
        limits = {
            "gate": (1.0, 10.0),
            "gap": (0, DEPTH - 4),
            "needed": (1, self.within),
            "within": (1, DEPTH - 2),
            "lag": (max(self.within, self.gap + 1), DEPTH - 2),
            "largest": (1, 512),
            "most": (1, 1 << 20),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} = {getattr(self, name)!r}; it must be from {low} to {high}")
        if self.search_range is not None and not (self.search_range > 0 and math.isfinite(self.search_range)):
            raise ValueError(f"search_range = {self.search_range!r}; it must be a length in px, above 0")
        if min(self.shape) < 1:
            raise ValueError(f"shape = {self.shape!r}; it must be (h, w) of a frame, px")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class TrackUpdate:
    """What a frame has told; arrays are the caller's own."""

    frame: int
    rows: Rows
    """(n,) of `TRACK`: the particles seen in this frame; those of `State.TENTATIVE` may yet be noise."""
    final: Rows
    """(n,) of `TRACK`: frames that nothing more will change, `lag` delivered frames ago."""
    settled: tuple[int, ...]
    """The numbers of those frames, also of those in which no particle was."""
    events: Rows
    """(n,) of `EVENT`."""
    drift: tuple[float, float]
    """px (y, x), the field's displacement since the last frame."""
    trouble: Trouble


class Linker:
    """Follows particles; holds what is known of them.

    Time and memory for a frame depend on what is in it and not on how many frames there were. The same frames
    give the same tracks, to the bit.

    Parameters
    ----------
    options : see `LinkOptions`; ValueError where a value cannot be.
    """

    def __init__(self, options: LinkOptions | None = None) -> None:
        self.options = (options or LinkOptions()).checked()
        self.reset()

    def reset(self) -> None:
        """Forget all particles; ids begin at 0 again."""
        options = self.options
        self._field = np.zeros(1, FIELD)
        field = self._field[0]
        field["height"], field["width"] = options.shape
        field["farthest"] = options.search_range or 0.0
        field["frame"] = -1
        self._first, self._events = np.zeros(CELLS + 1, np.int32), np.zeros(EVENTS, EVENT)
        self._live, self._past = np.zeros(0, LIVE), np.zeros((0, DEPTH), PAST)
        self._told = 0
        """Delivered frames whose rows are final."""
        self._choose()
        self._make_room(CAPACITY, 0)

    def _choose(self) -> None:
        field, options = self._field[0], self.options
        field["gate"], field["gap"], field["lag"] = options.gate, options.gap, options.lag
        field["needed"], field["within"], field["cap"] = options.needed, options.within, options.largest

    def change(self, **values: Any) -> None:
        """Other options from the next frame on; all but `shape`. ValueError where one cannot be."""
        if "shape" in values:
            raise ValueError("shape cannot change while particles are followed: reset() or a new Linker")
        self.options = replace(self.options, **values).checked()
        self._field[0]["farthest"] = self.options.search_range or 0.0
        self._choose()

    def _make_room(self, tracks: int, detections: int) -> None:
        capacity = max(len(self._live), CAPACITY)
        while capacity < tracks + detections:
            capacity *= 2
        if capacity > len(self._live):
            live, past = np.zeros(capacity, LIVE), np.zeros((capacity, DEPTH), PAST)
            live["slot"] = np.arange(capacity)
            live[: len(self._live)], past[: len(self._live)] = self._live, self._past
            self._live, self._past = live, past
            self._rows = np.zeros(capacity, TRACK)
            self._start = np.empty(capacity + 1, np.int32)
            self._column = np.empty(MOST * capacity, np.int32)
            self._cost, self._gained = np.empty(MOST * capacity), np.empty(MOST * capacity)
            self._miss, self._taken = np.empty(capacity), np.empty(capacity, np.int32)
            self._y, self._x = np.empty(capacity), np.empty(capacity)
            self._order, self._owner = np.empty(capacity, np.int32), np.empty(capacity, np.int32)

    def step(
        self, frame_number: int, detections: Detections, hint: tuple[float, float] | None = None
    ) -> TrackUpdate:
        """One frame.

        Parameters
        ----------
        frame_number : as the series counts, above the last one's; numbers left out are time that passed. One
            that is not above is refused: the update says `Trouble.OUT_OF_ORDER`, nothing changes.
        detections : (n,) of `table.DETECTION`; rows without a finite place are left out.
        hint : px (y, x), what is known otherwise of the field's displacement since the last frame (phase
            correlation after a jump, say).

        Raises
        ------
        ValueError
            Detections of another dtype.
        """
        if detections.dtype != DETECTION:
            raise ValueError(f"detections are {detections.dtype}; give rows of table.DETECTION")
        field = self._field[0]
        last = int(field["frame"])
        if frame_number <= last or frame_number < 0:
            none = np.zeros(0, TRACK)
            nothing = np.zeros(0, EVENT)
            return TrackUpdate(frame_number, none, none, (), nothing, (0.0, 0.0), Trouble.OUT_OF_ORDER)
        passed = float(frame_number - last) if field["delivered"] else 1.0
        found = detections[np.isfinite(detections["y"]) & np.isfinite(detections["x"])]
        trouble = Trouble(0)
        if len(found) > self.options.most:
            best = np.argsort(-np.nan_to_num(found["score"], nan=-np.inf), kind="stable")
            found, trouble = found[np.sort(best[: self.options.most])], trouble | Trouble.TOO_MANY
        if passed > 1:
            trouble |= Trouble.LOST_FRAMES
        field["frame"], field["trouble"], m = frame_number, int(trouble), len(found)
        if field["walk"] == 0:
            self._guess_walk(found)
        self._make_room(int(field["live"]), m)
        place = np.array((math.nan, math.nan) if hint is None else hint, np.float64)
        advance(
            self._live, self._past, self._field, np.ascontiguousarray(found), passed, place, self._y[:m],
            self._x[:m], self._first, self._order[:m], self._start, self._column, self._cost, self._gained,
            self._miss, self._taken, self._owner[:m],
        )  # fmt: skip
        events = self._events[: happenings(self._live, self._past, self._field, self._events)].copy()
        n = newest(self._live, self._past, self._field, self._rows)
        rows = self._rows[:n].copy()
        drift = (float(field["shift_y"]), float(field["shift_x"])) if passed and last >= 0 else (0.0, 0.0)
        final, settled = self._settled(self.options.lag)
        self._told += len(settled)
        trouble = Trouble(int(field["trouble"]))
        return TrackUpdate(frame_number, rows, final, settled, events, drift, trouble)

    @property
    def walk(self) -> float:
        """px^2, variance of a particle's own step into the newest frame, of y and of x each."""
        return float(self._field[0]["walks"][(int(self._field[0]["delivered"]) - 1) % DEPTH])

    def growth(self) -> Rows:
        """(n,) of `growth.GROWTH`: how fast each particle grows, of those that are there now."""
        rows = np.zeros(int(self._field[0]["live"]), GROWTH)
        return rows[: rates(self._live, self._field, rows)]

    def finish(self) -> tuple[Rows, tuple[int, ...]]:
        """Rows (n,) of the frames that are not final yet, as if no more frames came, and their numbers.

        Changes nothing: more frames may come after all.
        """
        return self._settled(0)

    def _settled(self, lag: int) -> tuple[Rows, tuple[int, ...]]:
        """Rows of frames that are at least ``lag`` delivered frames old and were not told yet."""
        delivered = int(self._field[0]["delivered"])
        parts, numbers = [np.zeros(0, TRACK)], []
        for told in range(self._told, delivered - lag):
            n = settle(self._live, self._past, self._field, delivered - 1 - told, self._rows)
            parts.append(self._rows[:n].copy())
            numbers.append(int(self._field[0]["frames"][told % DEPTH]))
        return np.concatenate(parts), tuple(numbers)

    def _guess_walk(self, found: Detections) -> None:
        """Before anything is known: a particle walks by a third of its radius a frame."""
        radius = found["radius"][np.isfinite(found["radius"])]
        size = float(np.median(radius)) if radius.size else 3.0
        step = max(size / 3, 0.5) if self.options.search_range is None else self.options.search_range / 3
        self._field[0]["walk"], self._field[0]["var_drift"] = step**2, 0.25 * step**2
