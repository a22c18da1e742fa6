"""What happens to particles: told from how tracks begin and end, a few frames later, with its time.

A coalescence keeps volume: who remains has afterwards the cube root of the sum of the cubes of both radii,
and lies at the centre of both volumes. A splitting is one read backwards. What fades away or comes up from
nothing dissolves or nucleates; at the frame's edge it leaves or enters; the rest is lost, and said to be.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float64, int64, njit, void

from .field import EVENTS, FIELDS, LIVES, PASTS
from .growth import line
from .kalman import DEFAULT_RADIUS_VARIANCE, MEASURED, NONE, WEAK
from .mergers import CONTACT
from .tracks import DEPTH, EventKind, State

TENTATIVE, CONFIRMED, ENDED = (int(s) for s in State)
NUCLEATION, COALESCENCE, SPLITTING, DISSOLUTION, ENTRY, EXIT, LOST = (int(k) for k in EventKind)
BEGUN, OVER = 1, 2
"""Bits of what has been told of a track."""
PRIOR = 0.5
"""Log odds that a particle that is gone while it touched another one has become part of it."""
LEAST_ODDS = -0.5
"""Below them a particle that is gone has not become part of the other."""
TOUCHING = 3.0
"""Log odds against that a particle dissolves just while it touches another."""
STEADY = 0.85, 4.0, 4.0
"""Log odds of fading, negative, from which on a particle does not go for nothing; by how much less it then
takes for having become part of another, for each log odds beyond; and how much less at most."""
AT_EDGE = 1.0
"""Log odds by which a coalescence at the edge of the frame must be likelier than that the particle left."""
SPLIT = 1.0
"""Log odds from which on a newcomer that touches another is a part of it."""
CALM = 100
"""Beginnings or ends of a frame; with more the field was lost or found, and none is looked into."""
SURE = 6.0
"""Log odds that one kind of evidence can give at most."""
WIDE = 0.06
"""Scatter of a radius beside its measured variance, relative."""


@njit(float64(float64), nogil=True, cache=True)
def chance(odds: Any) -> Any:
    """Probability of log odds."""
    return 1 / (1 + math.exp(-min(max(odds, -30.0), 30.0)))


@njit(float64(float64), nogil=True, cache=True)
def _bounded(odds: Any) -> Any:
    return min(max(odds, -SURE), SURE)


@njit(void(PASTS, FIELDS, int64, int64, int64, float64[::1]), nogil=True, cache=True)
def radius_between(past: Any, field: Any, slot: Any, oldest: Any, latest: Any, told: Any) -> Any:
    """Mean measured radius of the track in a slot, from ``oldest`` to ``latest`` delivered frames ago.

    Parameters
    ----------
    told : (2,) filled: px, NaN where it was not measured; and in how many frames it was.
    """
    total, n = 0.0, 0
    for ago in range(latest, min(oldest, DEPTH - 1, field[0].delivered - 1) + 1):
        row = past[slot, (field[0].delivered - 1 - ago) % DEPTH]
        if (row.sight == MEASURED or row.sight == WEAK) and math.isfinite(row.radius):
            total, n = total + row.radius, n + 1
    told[0], told[1] = (total / n if n else math.nan), n


@njit(float64(float64, float64, float64, float64, float64), nogil=True, cache=True)
def _volume_odds(small: Any, before: Any, after: Any, n_before: Any, n_after: Any) -> Any:
    """Log odds that a particle took in another (of radius ``small``), against that it stayed as it was."""
    if not (n_before > 0 and n_after > 0 and math.isfinite(small)):
        return 0.0
    joined = (before**3 + small**3) ** (1 / 3)
    spread = DEFAULT_RADIUS_VARIANCE * (1 / n_before + 1 / n_after) + (WIDE * joined) ** 2
    return _bounded(0.5 * ((after - before) ** 2 - (after - joined) ** 2) / spread)


@njit(
    float64(LIVES, PASTS, FIELDS, int64, int64, int64, float64, float64[::1]), nogil=True, cache=True
)  # fmt: skip
def _partner_odds(live: Any, past: Any, field: Any, i: Any, k: Any, ago: Any, radius: Any, place: Any) -> Any:
    """Log odds that what track i was, ``ago`` delivered frames ago, was at the next frame a part of track k.

    Parameters
    ----------
    ago : of a splitting negative: the part came into being at -ago.
    radius : px, of track i.
    place : (3,) filled: y, x, radius of the whole.
    """
    backwards = ago < 0
    then = -ago if backwards else ago
    together, apart = (then + 1, then) if backwards else (then - 1, then)
    newest = field[0].delivered - 1
    if together < 0 or together >= min(DEPTH, field[0].delivered):
        return -math.inf
    mine, other = past[live[i].slot, (newest - apart) % DEPTH], past[live[k].slot, (newest - apart) % DEPTH]
    whole = past[live[k].slot, (newest - together) % DEPTH]
    if other.sight == NONE or whole.sight == NONE:
        return -math.inf
    wide = mine.variance + other.variance + 2 * field[0].walk
    apart_by = math.hypot(mine.y - other.y, mine.x - other.x)
    far = CONTACT * (2 * live[k].radius + radius) + field[0].spacing + 3 * math.sqrt(wide)
    if apart_by > far:
        return -math.inf
    alone, joined = np.empty(2), np.empty(2)
    if backwards:
        radius_between(past, field, live[k].slot, then, max(then - 4, 0), alone)
        radius_between(past, field, live[k].slot, then + 5, then + 1, joined)
    else:
        radius_between(past, field, live[k].slot, then + 4, then, alone)
        radius_between(past, field, live[k].slot, then - 1, max(then - 5, 0), joined)
    size = alone[0] if alone[1] > 0 else live[k].radius
    known = math.isfinite(size) and math.isfinite(radius)
    touch = CONTACT * (size + radius) if known else field[0].spacing
    if apart_by > touch + 3 * math.sqrt(wide):
        return -math.inf
    far = max(apart_by - touch, 0.0)
    share = radius**3 / (radius**3 + size**3) if known else 0.5
    sign = -1.0 if backwards else 1.0
    later = (newest - (apart if backwards else together)) % DEPTH
    cy = other.y + share * (mine.y - other.y) + sign * field[0].shifts_y[later]
    cx = other.x + share * (mine.x - other.x) + sign * field[0].shifts_x[later]
    sy, sx = other.y + sign * field[0].shifts_y[later], other.x + sign * field[0].shifts_x[later]
    spread = whole.variance + other.variance + 0.25 * mine.variance + field[0].walk + 0.1
    moved = (whole.y - sy) ** 2 + (whole.x - sx) ** 2 - (whole.y - cy) ** 2 - (whole.x - cx) ** 2
    place[0], place[1] = whole.y, whole.x
    place[2] = joined[0] if joined[1] > 0 else math.nan
    odds = PRIOR - far * far / (2 * wide) + _bounded(0.5 * moved / spread)
    if whole.is_changed and not backwards:
        odds += 2.0
    return odds + _volume_odds(radius, alone[0], joined[0], alone[1], joined[1])


@njit(float64(FIELDS, float64, float64), nogil=True, cache=True)
def _inside(field: Any, y: Any, x: Any) -> Any:
    """px from the nearest edge of the frame."""
    return min(min(y, field[0].height - 1 - y), min(x, field[0].width - 1 - x))


@njit(void(LIVES, FIELDS, EVENTS, int64, int64, int64, float64, float64, float64, float64, float64),
      nogil=True, cache=True)  # fmt: skip
def _write(
    live: Any, field: Any, events: Any, kind: Any, i: Any, k: Any, frame: Any, y: Any, x: Any, radius: Any,
    confidence: Any,
) -> Any:  # fmt: skip
    n = field[0].events
    if n == len(events):
        return
    row = events[n]
    row.kind, row.particle, row.other = kind, live[i].particle, live[k].particle if k >= 0 else -1
    row.frame, row.told, row.y, row.x = int(frame), field[0].frame, y, x
    row.radius, row.confidence = radius, confidence
    field[0].events += 1


@njit(void(LIVES, PASTS, FIELDS, EVENTS, int64), nogil=True, cache=True)
def _began(live: Any, past: Any, field: Any, events: Any, i: Any) -> Any:
    """Tell how track i, just confirmed, came to be."""
    one = live[i]
    if one.age + 1 >= field[0].delivered - field[0].within - 1:
        return
    ago = min(one.age, DEPTH - 2)
    edge = 1.5 * max(one.radius if math.isfinite(one.radius) else 0.0, 2.0) + 3 * math.sqrt(field[0].walk)
    inside = _inside(field, one.first_y, one.first_x)
    if inside < edge:
        odds = 1.0 + 3 * (edge - inside) / edge
        _write(live, field, events, ENTRY, i, -1, one.first, one.first_y, one.first_x, one.first_radius,
               chance(odds))  # fmt: skip
        return
    best, other, place, there = 0.0, -1, np.empty(3), np.empty(3)
    for k in range(field[0].live):
        if k == i or live[k].state == TENTATIVE or live[k].age <= ago + 1:
            continue
        odds = _partner_odds(live, past, field, i, k, -ago, one.radius, place)
        if odds > best and odds > SPLIT:
            best, other = odds, k
            there[:] = place
    if other >= 0:
        _write(
            live,
            field,
            events,
            SPLITTING,
            other,
            i,
            one.first,
            there[0],
            there[1],
            there[2],
            chance(best - 1),
        )
        return
    for k in range(field[0].live):
        if live[k].state == ENDED and live[k].particle != one.particle:
            gate = field[0].gate * math.sqrt(live[k].variance + field[0].walk)
            if live[k].missed < DEPTH - 1 and math.hypot(live[k].y - one.y, live[k].x - one.x) < gate:
                return
    odds = 1.0
    if math.isfinite(one.radius) and field[0].size > 0:
        odds = 10 * (0.95 - one.radius / field[0].size)
    _write(live, field, events, NUCLEATION, i, -1, one.first, one.first_y, one.first_x, one.first_radius,
           chance(odds))  # fmt: skip


@njit(float64(LIVES, FIELDS, int64), nogil=True, cache=True)
def fading(live: Any, field: Any, i: Any) -> Any:
    """Log odds that track i was about to dissolve: small, faint and shrinking."""
    one = live[i]
    if not math.isfinite(one.radius):
        return -1.0
    odds = 6 * (0.75 - one.radius / max(one.biggest, 1e-6)) + 4 * (
        0.65 - one.radius / max(field[0].size, 1e-6)
    )
    told = np.empty(2)
    line(live, i, told)
    if math.isfinite(told[0]):
        odds += min(max(-0.5 * told[0] / told[1], -3.0), 3.0)
    if math.isfinite(one.score):
        odds += min(max(0.7 * (field[0].floor + 1.5 - one.score), -3.0), 2.0)
    return odds


@njit(void(LIVES, PASTS, FIELDS, EVENTS, int64), nogil=True, cache=True)
def _ended(live: Any, past: Any, field: Any, events: Any, i: Any) -> Any:
    """Tell what has become of track i, just given up."""
    one = live[i]
    ago = min(one.missed, DEPTH - 1)
    newest = field[0].delivered - 1
    last = past[live[i].slot, (newest - ago) % DEPTH]
    after = field[0].frames[(newest - ago + 1) % DEPTH]
    here = past[live[i].slot, (newest - ago + 1) % DEPTH]
    edge = max(one.radius if math.isfinite(one.radius) else 0.0, 2.0) + 2 * math.sqrt(field[0].walk)
    edge += math.hypot(field[0].drift_y, field[0].drift_x)
    inside = _inside(field, here.y, here.x)
    left = 1 + 3 * (edge - inside) / edge if inside < edge else -math.inf
    radii = np.empty(2)
    radius_between(past, field, live[i].slot, ago + 5, ago, radii)
    radius = radii[0] if radii[1] > 0 else one.radius
    best, other, place, there = -math.inf, -1, np.empty(3), np.empty(3)
    for k in range(field[0].live):
        if k == i or live[k].state != CONFIRMED or live[k].missed > 2:
            continue
        odds = _partner_odds(live, past, field, i, k, ago, radius, place)
        if odds > best:
            best, other = odds, k
            there[:] = place
    if left > -math.inf and best < left + AT_EDGE:
        _write(live, field, events, EXIT, i, -1, after, last.y, last.x, one.radius, chance(left))
        return
    faded = fading(live, field, i)
    least = LEAST_ODDS - min(max(STEADY[1] * (-STEADY[0] - faded), 0.0), STEADY[2])
    if other >= 0 and best > least and best + TOUCHING > faded:
        _write(live, field, events, COALESCENCE, other, i, after, there[0], there[1], there[2], chance(best))
        return
    kind = DISSOLUTION if faded > 0 else LOST
    _write(live, field, events, kind, i, -1, after, here.y, here.x, radius, chance(abs(faded)))


@njit(int64(LIVES, PASTS, FIELDS, EVENTS), nogil=True, cache=True)
def happenings(live: Any, past: Any, field: Any, events: Any) -> Any:
    """Write what the newest frame has told of beginnings and ends; returns how many events.

    Each is told once, up to the room there is: a field that is lost ends all tracks, and is told for itself.
    """
    field[0].events = 0
    begun, over = 0, 0
    for i in range(field[0].live):
        begun += live[i].state == CONFIRMED and not live[i].is_told & BEGUN
        over += live[i].state == ENDED and not live[i].is_told & OVER
    for i in range(field[0].live):
        if live[i].state == CONFIRMED and not live[i].is_told & BEGUN:
            live[i].is_told |= BEGUN
            if begun <= CALM:
                _began(live, past, field, events, i)
        if live[i].state == ENDED and not live[i].is_told & OVER:
            live[i].is_told |= OVER
            if over <= CALM:
                _ended(live, past, field, events, i)
            else:
                _write(
                    live,
                    field,
                    events,
                    LOST,
                    i,
                    -1,
                    field[0].frame,
                    live[i].y,
                    live[i].x,
                    live[i].radius,
                    0.5,
                )
    return field[0].events
