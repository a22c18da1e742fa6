"""What all particles of a field have in common: how it drifts, how far they walk, what noise looks like.

Learnt while frames come, from tracks that are sure; in one record that compiled code reads and writes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import from_dtype

from .table import DETECTION
from .tracks import DEPTH, EVENT, LIVE, PAST, TRACK

Field: TypeAlias = npt.NDArray[Any]

FIELD = np.dtype(
    [
        # As chosen
        ("height", "f8"),  # of the frame, px
        ("width", "f8"),
        ("gate", "f8"),  # standard deviations
        ("farthest", "f8"),  # px from frame to frame, at most; 0: half of the way to the nearest neighbour
        ("gap", "i8"),  # delivered frames for which a track may be out of sight
        ("needed", "i8"),  # sightings in `within` frames that confirm a track
        ("within", "i8"),
        ("lag", "i8"),  # delivered frames until a row is final
        ("cap", "i8"),  # tracks of a component that are weighed against each other exactly
        # As learnt
        ("frame", "i8"),  # the newest, -1: none yet
        ("delivered", "i8"),
        ("next_particle", "i8"),
        ("live", "i8"),  # rows in use
        ("drift_y", "f8"),  # px per frame
        ("drift_x", "f8"),
        ("var_drift", "f8"),  # of one frame's displacement about it, px^2
        ("walk", "f8"),  # variance of a particle's own step in a frame, of y and of x each, px^2
        ("walk_weight", "f8"),  # steps that it was learnt from
        ("false_level", "f8"),  # noise: false_level * z * exp(-z^2 / 2) detections per px^2 and score z
        ("floor", "f8"),  # the lowest score of a detection
        ("spacing", "f8"),  # median distance of nearest neighbours, px
        ("size", "f8"),  # median radius, px
        ("shift_y", "f8"),  # of this frame against the one before, px
        ("shift_x", "f8"),
        ("trouble", "i8"),
        ("greedy", "i8"),  # tracks that were joined greedily
        ("events", "i8"),  # rows of events of this frame
        # The last delivered frames
        ("frames", "i8", (DEPTH,)),
        ("shifts_y", "f8", (DEPTH,)),
        ("shifts_x", "f8", (DEPTH,)),
        ("walks", "f8", (DEPTH,)),
    ]
)

FIELDS = from_dtype(FIELD)[::1]
DETECTIONS = from_dtype(DETECTION)[::1]
LIVES = from_dtype(LIVE)[::1]
PASTS = from_dtype(PAST)[:, ::1]
TRACKS = from_dtype(TRACK)[::1]
EVENTS = from_dtype(EVENT)[::1]
