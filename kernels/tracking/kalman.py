"""Where a particle is: a random walk on a field that moves as a whole, seen with an error.

Position alone is the state (Kalman, J. Basic Eng. 82 (1960) 35): of Brownian motion the last step says
nothing about the next, so there is no velocity but the field's. What came later is used by the backward pass
of Rauch, Tung & Striebel, AIAA J. 3 (1965) 1445, over the frames that a track remembers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float64, int64, njit, void

from .field import DETECTIONS, FIELDS, LIVES, PASTS
from .tracks import DEPTH, Sight, State

MISSED, MEASURED, WEAK, NONE = (int(s) for s in (Sight.MISSED, Sight.MEASURED, Sight.WEAK, Sight.NONE))
ENDED = int(State.ENDED)

LEAST_VARIANCE = 1e-4
"""px^2, of a detection: nothing is known better than to 0.01 px."""
DEFAULT_VARIANCE = 0.04
"""px^2, of a detection that does not say."""
DEFAULT_RADIUS_VARIANCE = 0.25
RADIUS_WALK = 0.01
"""px^2 per frame: variance of the change of a radius."""


@njit(float64(DETECTIONS, int64), nogil=True, cache=True)
def variance_of(found: Any, j: Any) -> Any:
    """Of y and of x each, px^2: the mean of a detection's own."""
    value = 0.5 * (found[j].var_y + found[j].var_x)
    return max(value, LEAST_VARIANCE) if math.isfinite(value) else DEFAULT_VARIANCE


@njit(void(LIVES, FIELDS, float64), nogil=True, cache=True)
def predict(live: Any, field: Any, passed: Any) -> Any:
    """Move all tracks with the field; their places become unsure by ``passed`` frames."""
    for i in range(field[0].live):
        live[i].y += field[0].shift_y
        live[i].x += field[0].shift_x
        live[i].variance += field[0].walk * passed
        live[i].var_radius += RADIUS_WALK * passed


@njit(void(LIVES, int64, DETECTIONS, int64), nogil=True, cache=True)
def correct(live: Any, i: Any, found: Any, j: Any) -> Any:
    """Take detection j into track i."""
    noise = variance_of(found, j)
    gain = live[i].variance / (live[i].variance + noise)
    live[i].y += gain * (found[j].y - live[i].y)
    live[i].x += gain * (found[j].x - live[i].x)
    live[i].variance *= 1 - gain
    if math.isfinite(found[j].radius):
        noise = found[j].var_radius if found[j].var_radius > 0 else DEFAULT_RADIUS_VARIANCE
        if not math.isfinite(live[i].radius):
            live[i].radius, live[i].var_radius = found[j].radius, noise
        gain = live[i].var_radius / (live[i].var_radius + noise)
        live[i].radius += gain * (found[j].radius - live[i].radius)
        live[i].var_radius *= 1 - gain
    if math.isfinite(found[j].mass):
        share = 0.2 if math.isfinite(live[i].mass) else 1.0
        live[i].mass = (live[i].mass if share < 1 else 0.0) * (1 - share) + share * found[j].mass


@njit(void(PASTS, LIVES, FIELDS, int64, int64, float64[::1]), nogil=True, cache=True)
def smooth(past: Any, live: Any, field: Any, i: Any, back: Any, place: Any) -> Any:
    """Where track i was ``back`` delivered frames ago, by all frames from then on.

    Parameters
    ----------
    back : < DEPTH, and not before the track's first frame.
    place : (3,) filled: y, x, variance of each, px and px^2.
    """
    newest, slot = (field[0].delivered - 1) % DEPTH, live[i].slot
    y, x, variance = past[slot, newest].y, past[slot, newest].x, past[slot, newest].variance
    for ago in range(1, back + 1):
        k = (newest - ago) % DEPTH
        later = (k + 1) % DEPTH
        own = past[slot, k].variance
        if past[slot, later].is_changed:
            y, x, variance = past[slot, k].y, past[slot, k].x, own
            continue
        spread = own + field[0].walks[later]
        gain = own / spread if spread > 0 else 0.0
        y = past[slot, k].y + gain * (y - field[0].shifts_y[later] - past[slot, k].y)
        x = past[slot, k].x + gain * (x - field[0].shifts_x[later] - past[slot, k].x)
        variance = own + gain * gain * (variance - spread)
    place[0], place[1], place[2] = y, x, max(variance, 0.0)


@njit(void(LIVES, PASTS, FIELDS, DETECTIONS), nogil=True, cache=True)
def remember(live: Any, past: Any, field: Any, found: Any) -> Any:
    """Write the present state of all tracks into what they remember of the newest delivered frame."""
    k = (field[0].delivered - 1) % DEPTH
    for i in range(field[0].live):
        row, j = past[live[i].slot, k], live[i].detection
        row.y, row.x, row.variance, row.detection = live[i].y, live[i].x, live[i].variance, j
        if j >= 0:
            row.measured_y, row.measured_x = found[j].y, found[j].x
            row.radius, row.mass, row.score = found[j].radius, found[j].mass, found[j].score
        else:
            row.measured_y = row.measured_x = np.nan
            row.radius, row.mass, row.score = live[i].radius, live[i].mass, np.nan
        row.sight, row.is_changed = live[i].sight, live[i].is_changed
