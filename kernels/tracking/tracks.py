"""What is known of each particle that is followed: rows of tables, in compiled code and outside it alike.

Positions are (y, x) in pixels, pixel centres whole numbers, origin top left; frames are counted as the series
counts them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Rows: TypeAlias = npt.NDArray[Any]
"""(n,) of one of the tables here."""

DEPTH = 16
"""Frames that each track remembers, as they were delivered."""


class State(IntEnum):
    """Of a track."""

    TENTATIVE = 0
    """Seen too little to be believed: may yet turn out to be noise."""
    CONFIRMED = 1
    ENDED = 2
    """Not found again; kept until its last rows have been told."""


class Sight(IntEnum):
    """How a track was seen in a frame."""

    NONE = 0
    """It was not yet there."""
    MEASURED = 1
    WEAK = 2
    """By a detection that would not have started a track."""
    MISSED = 3
    """Not seen: its place is interpolated between frames where it was."""


class EventKind(IntEnum):
    """What happened to a particle."""

    NUCLEATION = 0
    COALESCENCE = 1
    SPLITTING = 2
    DISSOLUTION = 3
    ENTRY = 4
    EXIT = 5
    LOST = 6


class Trouble(IntFlag):
    """What to know about a frame before its links are used."""

    OUT_OF_ORDER = 1
    """Its number is not above the last one's: it was refused, nothing has changed."""
    CROWDED = 2
    """More particles compete than can be weighed against each other: the nearest pairs were taken first."""
    JUMP = 4
    """The whole field moved further than particles do."""
    TOO_MANY = 8
    """More detections than are followed: the ones of the highest score were."""
    LOST_FRAMES = 16
    """Frames are missing before it."""
    LOST_FIELD = 32
    """Most particles were not found again, and no displacement of the field explains it."""


TRACK = np.dtype(
    [
        ("frame", "i8"),
        ("particle", "i8"),  # never given twice
        ("y", "f8"),  # where it is: filtered, and with `smooth` by what came later, px
        ("x", "f8"),
        ("measured_y", "f8"),  # of the detection alone, NaN in frames in which it was not seen
        ("measured_x", "f8"),
        ("variance", "f4"),  # of y and of x each, px^2
        ("radius", "f4"),  # of the detection, px; in frames in which it was not seen of the track
        ("mass", "f4"),  # counts
        ("score", "f4"),  # standard deviations
        ("detection", "i4"),  # its row in the frame's detections, -1 for none
        ("age", "i4"),  # frames since it was first seen
        ("sight", "u1"),  # `Sight`
        ("state", "u1"),  # `State`: of a provisional row TENTATIVE
    ]
)

EVENT = np.dtype(
    [
        ("frame", "i8"),  # when it happened
        ("told", "i8"),  # the frame that told it
        ("kind", "i4"),  # `EventKind`
        ("particle", "i8"),  # to whom it happened; of a coalescence who remains, of a splitting who was there
        ("other", "i8"),  # who is no more, or is new; -1 for none
        ("y", "f8"),  # px
        ("x", "f8"),
        ("radius", "f4"),  # of the particle then, px
        ("confidence", "f4"),  # 0 to 1
    ]
)

LIVE = np.dtype(
    [
        ("particle", "i8"),
        ("first", "i8"),  # frame numbers
        ("seen", "i8"),
        ("y", "f8"),  # filtered, at the newest frame
        ("x", "f8"),
        ("variance", "f8"),  # of y and of x each
        ("radius", "f8"),
        ("var_radius", "f8"),
        ("mass", "f8"),
        ("score", "f8"),  # expected of the next detection
        ("odds", "f8"),  # log odds that it is a particle and not noise
        ("growth_n", "f8"),  # sums of a straight line through its radii
        ("growth_t", "f8"),
        ("growth_tt", "f8"),
        ("growth_r", "f8"),
        ("growth_tr", "f8"),
        ("growth_rr", "f8"),
        ("growth_from", "i8"),  # frame
        ("first_y", "f8"),
        ("first_x", "f8"),
        ("first_radius", "f8"),
        ("first_score", "f8"),
        ("biggest", "f8"),  # radius
        ("hits", "u4"),  # one bit a delivered frame, the newest lowest
        ("missed", "i4"),  # delivered frames since it was seen
        ("age", "i4"),  # delivered frames since it was first seen
        ("sightings", "i8"),
        ("detection", "i4"),
        ("slot", "i4"),  # its row of `PAST`
        ("state", "u1"),
        ("sight", "u1"),
        ("is_told", "u1"),  # whether its beginning has been told as an event
        ("is_changed", "u1"),  # whether it has become one with another in the newest frame
    ]
)

PAST = np.dtype(
    [
        ("y", "f8"),  # filtered
        ("x", "f8"),
        ("variance", "f8"),
        ("measured_y", "f8"),
        ("measured_x", "f8"),
        ("radius", "f4"),
        ("mass", "f4"),
        ("score", "f4"),
        ("detection", "i4"),
        ("sight", "u1"),
        ("is_changed", "u1"),  # it became one with another here: where it was before says nothing
    ]
)
"""A track in one of the last DEPTH delivered frames."""
