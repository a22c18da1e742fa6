"""Second thoughts: a frame's rows become final a few frames later, when more is known.

By then a provisional track is confirmed or was noise, a gap is closed or was the end, and places are those
that all frames since then agree on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit, void

from .field import FIELDS, LIVES, PASTS, TRACKS
from .kalman import NONE, smooth
from .tracks import DEPTH, State

TENTATIVE, CONFIRMED, ENDED = (int(s) for s in State)


@njit(void(TRACKS, int64, LIVES, int64, PASTS, int64), nogil=True, cache=True)
def _tell(rows: Any, n: Any, live: Any, i: Any, past: Any, k: Any) -> Any:
    row, then = rows[n], past[live[i].slot, k]
    row.particle, row.state = live[i].particle, live[i].state
    row.measured_y, row.measured_x = then.measured_y, then.measured_x
    row.radius, row.mass, row.score = then.radius, then.mass, then.score
    row.detection, row.sight = then.detection, then.sight


@njit(int64(LIVES, PASTS, FIELDS, TRACKS), nogil=True, cache=True)
def newest(live: Any, past: Any, field: Any, rows: Any) -> Any:
    """Rows of the particles seen in the newest frame, provisional ones too; returns how many."""
    n, k = 0, (field[0].delivered - 1) % DEPTH
    for i in range(field[0].live):
        if live[i].state == ENDED or live[i].missed:
            continue
        _tell(rows, n, live, i, past, k)
        rows[n].frame = field[0].frame
        rows[n].y, rows[n].x, rows[n].variance = live[i].y, live[i].x, live[i].variance
        rows[n].age = field[0].frame - live[i].first
        n += 1
    return n


@njit(int64(LIVES, PASTS, FIELDS, int64, TRACKS), nogil=True, cache=True)
def settle(live: Any, past: Any, field: Any, back: Any, rows: Any) -> Any:
    """Final rows of the frame ``back`` delivered frames ago; returns how many.

    Of confirmed tracks, from their first sighting to their last: frames between in which they were not seen
    have rows too (`Sight.MISSED`). Provisional tracks that may still be confirmed have none: ``back`` is
    more than the frames that confirming takes.
    """
    n, k = 0, (field[0].delivered - 1 - back) % DEPTH
    place = np.empty(3)
    for i in range(field[0].live):
        if live[i].state == TENTATIVE or past[live[i].slot, k].sight == NONE or back < live[i].missed:
            continue
        _tell(rows, n, live, i, past, k)
        smooth(past, live, field, i, back, place)
        rows[n].frame = field[0].frames[k]
        rows[n].y, rows[n].x, rows[n].variance = place[0], place[1], place[2]
        rows[n].age = field[0].frames[k] - live[i].first
        n += 1
    return n
