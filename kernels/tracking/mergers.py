"""Two particles that become one: told from one that is not found by where the new one is, and how large.

The new one lies at the centre of the volumes of both, which is further than a particle walks, and has their
volume; the larger one goes on in it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float64, int32, int64, njit, void

from .field import DETECTIONS, FIELDS, LIVES
from .kalman import DEFAULT_RADIUS_VARIANCE, variance_of
from .nearby import MOST, nearest
from .odds import RADIUS_SPREAD
from .table import Flag
from .tracks import State

CONFIRMED = int(State.CONFIRMED)
FLAG_WEAK = int(Flag.WEAK)
CONTACT = 1.25
"""Distance of centres, in sums of radii, up to which particles touch; and their steps beside it."""
BETTER = 1.0
"""By how much in log likelihood a merger must explain a detection better than one particle does."""
MOST_MISSING = 256
"""With more particles out of sight than this it is the field that is lost, and no mergers are looked for."""
UNLIKELY = -1e9


@njit(float64(LIVES, int64), nogil=True, cache=True)
def _volume(live: Any, i: Any) -> Any:
    r = live[i].radius
    return r * r * r if math.isfinite(r) and r > 0 else 1.0


@njit(float64(float64, float64, float64, float64, DETECTIONS, int64, FIELDS), nogil=True, cache=True)
def _fit(y: Any, x: Any, radius: Any, variance: Any, found: Any, j: Any, field: Any) -> Any:
    """Log likelihood of detection j from a particle at (y, x), but for what all have in common."""
    square = ((found[j].y - y) ** 2 + (found[j].x - x) ** 2) / (variance + variance_of(found, j))
    if square > field[0].gate ** 2:
        return UNLIKELY
    value = -0.5 * square
    if math.isfinite(radius) and math.isfinite(found[j].radius):
        noise = found[j].var_radius if found[j].var_radius > 0 else DEFAULT_RADIUS_VARIANCE
        spread = noise + (0.5 * RADIUS_SPREAD * radius) ** 2
        value -= 0.5 * (found[j].radius - radius) ** 2 / spread
    return value


@njit(
    void(
        LIVES, FIELDS, DETECTIONS, float64[::1], float64[::1], float64[::1], int32[::1], int32[::1],
        int32[::1], int32[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def merge(
    live: Any,
    field: Any,
    found: Any,
    y: Any,
    x: Any,
    grid: Any,
    first: Any,
    order: Any,
    taken: Any,
    owner: Any,
) -> Any:
    """Give the detections of particles that have merged to the larger of both.

    Parameters
    ----------
    taken, owner : changed: what tracks have (``-2 - j``: detection j of a merger), whose detections are.
    """
    n, missing = field[0].live, 0
    for i in range(n):
        missing += live[i].state == CONFIRMED and live[i].missed == 0 and taken[i] == -1
    if missing > MOST_MISSING:
        return
    near, square = np.empty(MOST, np.int32), np.empty(MOST)
    for i in range(n):
        if live[i].state != CONFIRMED or live[i].missed or taken[i] != -1:
            continue
        best, partner, place = -0.5 * field[0].gate ** 2 - 4.0, -1, -1
        for k in range(n):
            if k == i or live[k].state != CONFIRMED or live[k].missed > 1 or taken[k] < -1:
                continue
            known = math.isfinite(live[i].radius) and math.isfinite(live[k].radius)
            touch = live[i].radius + live[k].radius if known else 2 * field[0].size
            touch = touch if math.isfinite(touch) and touch > 0 else 0.5 * field[0].spacing
            wide = live[i].variance + live[k].variance
            dy, dx = live[k].y - live[i].y, live[k].x - live[i].x
            limit = CONTACT * touch + 2 * math.sqrt(wide)
            if dy * dy + dx * dx > limit * limit:
                continue
            vi, vk = _volume(live, i), _volume(live, k)
            share = vk / (vi + vk)
            cy, cx = live[i].y + share * dy, live[i].x + share * dx
            radius = (vi + vk) ** (1 / 3) if known else math.nan
            spread = (1 - share) ** 2 * live[i].variance + share**2 * live[k].variance + 0.25
            if taken[k] >= 0:
                j = taken[k]
                if vi <= vk:
                    continue
                own = _fit(live[k].y, live[k].x, live[k].radius, live[k].variance, found, j, field)
                value = _fit(cy, cx, radius, spread, found, j, field)
                if value > own + BETTER and value > best:
                    best, partner, place = value, k, j
                continue
            for q in range(
                nearest(cy, cx, field[0].gate * math.sqrt(spread + 1), y, x, grid, first, order, near, square)
            ):
                j = near[q]
                if owner[j] >= 0 or found[j].flags & FLAG_WEAK:
                    continue
                value = _fit(cy, cx, radius, spread, found, j, field)
                if value > best:
                    best, partner, place = value, k, j
        if partner < 0:
            continue
        heir = i if _volume(live, i) >= _volume(live, partner) else partner
        if taken[partner] >= 0:
            taken[partner] = -1
        owner[place], taken[heir] = heir, -2 - place
