"""Detections of frame after frame joined to tracks, while the frames come.

A step is one compiled call: where the field has moved to, which detections each track may have, the most
likely assignment of all, what the tracks learn from it, who begins and who ends. It knows frame numbers, so
lost frames are time that has passed; and it knows no image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import boolean, float64, int32, int64, njit, void

from .assign import assign
from .displacement import LEAST, jump
from .field import DETECTIONS, FIELDS, LIVES, PASTS
from .kalman import MEASURED, MISSED, NONE, WEAK, correct, predict, remember, variance_of
from .mergers import merge
from .nearby import MOST, lay_out, nearest
from .odds import FIRST_ODDS, ODDS, found_probability, log_likelihood, newcomer_density, noise_density
from .table import Flag
from .tracks import DEPTH, State, Trouble

TENTATIVE, CONFIRMED, ENDED = (int(s) for s in State)
FLAG_WEAK = int(Flag.WEAK)
CROWDED, JUMP, LOST_FIELD = int(Trouble.CROWDED), int(Trouble.JUMP), int(Trouble.LOST_FIELD)
BASE = 80.0
"""Added to all costs so that none is below 0."""
STRANGE = 4.0
"""Times the usual squared displacement from which on the field itself is in doubt."""
OFTEN = 8
"""Frames after which spacing and size of the particles are looked at again."""
LOOKED_AT = 200
"""Particles whose neighbours are looked for then."""
NOT_NOISE = 6.0
"""Score that noise hardly reaches: where all is higher, noise is as frequent as if this were the lowest."""
FIRST_WALK = 5.0
"""Steps that the walk which sizes suggest is worth, where few particles teach another one."""
HALF_LIFE = 0.1
"""Weight of a new frame in what is learnt of the field, once much is known."""


@njit(float64(FIELDS), nogil=True, cache=True)
def _reach(field: Any) -> Any:
    """px that a particle may move from one frame to the next, at most."""
    return field[0].farthest if field[0].farthest > 0 else max(0.75 * field[0].spacing, 3.0)


@njit(void(FIELDS, DETECTIONS), nogil=True, cache=True)
def _look_around(field: Any, found: Any) -> Any:
    """Spacing and size of the particles of this frame, of those that are not weak."""
    y, x, radii, n, k = np.empty(len(found)), np.empty(len(found)), np.empty(len(found)), 0, 0
    for j in range(len(found)):
        if found[j].flags & FLAG_WEAK:
            continue
        y[n], x[n], n = found[j].y, found[j].x, n + 1
        if math.isfinite(found[j].radius):
            radii[k], k = found[j].radius, k + 1
    if n == 0:
        return
    share = 1.0 if field[0].spacing <= 0 else HALF_LIFE
    if k:
        field[0].size += share * (np.median(radii[:k]) - field[0].size)
    grid, first, order = np.empty(5), np.empty(2 * n + 65, np.int32), np.empty(n, np.int32)
    near, square, distances = np.empty(MOST, np.int32), np.empty(MOST), np.empty(n)
    farthest = 0.25 * (field[0].height + field[0].width)
    lay_out(y[:n], x[:n], max(math.sqrt(field[0].height * field[0].width / n), 1.0), grid, first, order)
    step, k = max(1, n // LOOKED_AT), 0
    for j in range(0, n, step):
        reach, count = grid[2], 0
        while count < 2 and reach < 2 * farthest:
            count = nearest(y[j], x[j], reach, y[:n], x[:n], grid, first, order, near, square)
            reach *= 2
        distances[k], k = (min(math.sqrt(square[1]), farthest) if count > 1 else farthest), k + 1
    field[0].spacing += share * (np.median(distances[:k]) - field[0].spacing)


@njit(
    int64(
        LIVES, FIELDS, DETECTIONS, float64, boolean, float64[::1], float64[::1], float64[::1], int32[::1],
        int32[::1], float64[::1], float64[::1], float64[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _pairs(
    live: Any, field: Any, found: Any, passed: Any, sure: Any, y: Any, x: Any, grid: Any, first: Any,
    order: Any, ey: Any, ex: Any, spread: Any,
) -> Any:  # fmt: skip
    """Displacements of tracks and detections that are each other's nearest; returns how many.

    Parameters
    ----------
    sure : confirmed tracks only.
    ey, ex, spread : (live,) filled: displacement beyond what is expected, px, and its variance but for the
        particle's own walk, px^2.
    """
    m, n = len(y), 0
    best, owner = np.full(m, np.inf), np.full(m, -1, np.int32)
    near, square = np.empty(MOST, np.int32), np.empty(MOST)
    mine = np.full(field[0].live, -1, np.int32)
    reach = _reach(field)
    for i in range(field[0].live):
        if live[i].missed or live[i].state == ENDED or (sure and live[i].state != CONFIRMED):
            continue
        wide = live[i].variance + (field[0].walk + field[0].var_drift) * passed + 0.1
        limit = min(field[0].gate * math.sqrt(wide), reach)
        count = nearest(
            live[i].y + field[0].shift_y,
            live[i].x + field[0].shift_x,
            limit,
            y,
            x,
            grid,
            first,
            order,
            near,
            square,
        )
        for q in range(count):
            j = near[q]
            if not found[j].flags & FLAG_WEAK:
                mine[i] = j
                if square[q] < best[j]:
                    best[j], owner[j] = square[q], i
                break
    for i in range(field[0].live):
        j = mine[i]
        if j >= 0 and owner[j] == i:
            ey[n], ex[n] = y[j] - live[i].y - field[0].shift_y, x[j] - live[i].x - field[0].shift_x
            spread[n] = live[i].variance + variance_of(found, j)
            n += 1
    return n


@njit(void(FIELDS, float64[::1], float64[::1], float64[::1], float64, float64, int64, float64),
      nogil=True, cache=True)  # fmt: skip
def _learn_walk(field: Any, ey: Any, ex: Any, spread: Any, my: Any, mx: Any, count: Any, passed: Any) -> Any:
    """How far particles walk, from displacements about the common one: half of them are below 1.177 sigma."""
    squares = np.empty(count)
    for k in range(count):
        squares[k] = (ey[k] - my) ** 2 + (ex[k] - mx) ** 2
    walk = max(np.median(squares) / (2 * math.log(2.0)) - np.mean(spread[:count]), 1e-3) / passed
    field[0].walk_weight = min(field[0].walk_weight + count, 2000.0)
    share = min(count / field[0].walk_weight, 1.0)
    field[0].walk += share * (walk - field[0].walk)


@njit(void(FIELDS, float64[::1], float64[::1], float64[::1], int64), nogil=True, cache=True)
def _learn_walk_of_few(field: Any, ey: Any, ex: Any, spread: Any, count: Any) -> Any:
    """The same of too few particles to tell it from the common displacement: both are their walk."""
    squares, blur = 0.0, 0.0
    for k in range(count):
        squares += (ey[k] ** 2 + ex[k] ** 2) / 2
        blur += spread[k]
    field[0].walk_weight = min(max(field[0].walk_weight, FIRST_WALK) + count, 2000.0)
    seen = max((squares - blur) / count, 1e-3)
    field[0].walk += count / field[0].walk_weight * (seen - field[0].walk)


@njit(
    float64(FIELDS, float64[::1], float64[::1], float64[::1], int64, float64), nogil=True, cache=True
)  # fmt: skip
def _strangeness(field: Any, ey: Any, ex: Any, spread: Any, count: Any, passed: Any) -> Any:
    """The median squared displacement of pairs over the expected one; 0 while nothing is known."""
    if count < LEAST or field[0].walk_weight < 50:
        return 0.0
    my, mx, squares = np.median(ey[:count]), np.median(ex[:count]), np.empty(count)
    for k in range(count):
        squares[k] = (ey[k] - my) ** 2 + (ex[k] - mx) ** 2
    expected = 2 * math.log(2.0) * (field[0].walk * passed + np.mean(spread[:count]))
    return np.median(squares) / expected


@njit(
    float64(
        LIVES, FIELDS, DETECTIONS, float64, float64[::1], float64[::1], float64[::1], float64[::1],
        int32[::1], int32[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def _displace(
    live: Any,
    field: Any,
    found: Any,
    passed: Any,
    hint: Any,
    y: Any,
    x: Any,
    grid: Any,
    first: Any,
    order: Any,
) -> Any:
    """Find the field's displacement in this frame and learn from it; returns its variance, px^2.

    Parameters
    ----------
    hint : (2,) what the caller knows of it, px; NaN: nothing.
    """
    n = max(field[0].live, 1)
    ey, ex, spread = np.empty(n), np.empty(n), np.empty(n)
    confirmed = 0
    for i in range(field[0].live):
        confirmed += live[i].state == CONFIRMED and live[i].missed == 0
    sure = confirmed >= LEAST
    told = math.isfinite(hint[0]) and math.isfinite(hint[1])
    field[0].shift_y = hint[0] if told else field[0].drift_y * passed
    field[0].shift_x = hint[1] if told else field[0].drift_x * passed
    count = _pairs(live, field, found, passed, sure, y, x, grid, first, order, ey, ex, spread)
    strange = _strangeness(field, ey, ex, spread, count, passed)
    if sure and (count < 0.5 * confirmed or strange > STRANGE) and len(y) >= LEAST:
        ty, tx, k = np.empty(n), np.empty(n), 0
        for i in range(field[0].live):
            if live[i].state == CONFIRMED and live[i].missed == 0:
                ty[k], tx[k] = live[i].y, live[i].x
                k += 1
        place, before = np.empty(2), (field[0].shift_y, field[0].shift_x)
        is_better = False
        if jump(ty, tx, k, y, x, grid, first, order, place):
            field[0].shift_y, field[0].shift_x = place[0], place[1]
            again = _pairs(live, field, found, passed, sure, y, x, grid, first, order, ey, ex, spread)
            now = _strangeness(field, ey, ex, spread, again, passed)
            is_better = again > 2 * count or (again > 0.5 * count and now < 0.5 * strange)
        if is_better:
            count, told, strange = again, True, now
            field[0].trouble |= JUMP
        else:
            field[0].shift_y, field[0].shift_x = before
            count = _pairs(live, field, found, passed, sure, y, x, grid, first, order, ey, ex, spread)
        if count < 0.5 * confirmed or strange > STRANGE:
            field[0].trouble |= LOST_FIELD
    if count < LEAST:
        if passed == 1 and count and not field[0].trouble & LOST_FIELD:
            _learn_walk_of_few(field, ey, ex, spread, count)
        return field[0].var_drift * passed
    my, mx = np.median(ey[:count]), np.median(ex[:count])
    noise = 1.57 * (np.mean(spread[:count]) + field[0].walk * passed) / count
    prior = 1e6 if told else max(field[0].var_drift, 1e-4) * passed
    gain = prior / (prior + noise)
    field[0].shift_y += gain * my
    field[0].shift_x += gain * mx
    if not told:
        field[0].drift_y += HALF_LIFE * gain * my / passed
        field[0].drift_x += HALF_LIFE * gain * mx / passed
        seen = max(0.5 * (my * my + mx * mx) - noise, 0.0) / passed
        field[0].var_drift += HALF_LIFE * (min(seen, 9 * field[0].var_drift + 0.1) - field[0].var_drift)
    if (passed == 1 or field[0].walk_weight == 0) and not field[0].trouble & LOST_FIELD:
        _learn_walk(field, ey, ex, spread, my, mx, count, passed)
    return (1 - gain) * prior


@njit(
    void(LIVES, FIELDS, int64, DETECTIONS, int64, float64), nogil=True, cache=True
)  # fmt: skip
def _take(live: Any, field: Any, i: Any, found: Any, j: Any, gained: Any) -> Any:
    """Track i has detection j, which adds ``gained`` to its odds."""
    correct(live, i, found, j)
    one = live[i]
    if math.isfinite(found[j].score):
        one.score += (0.15 if one.sightings > 3 else 1 / (one.sightings + 1)) * (found[j].score - one.score)
    one.odds = min(one.odds + gained, ODDS[2])
    one.hits = ((one.hits << 1) | 1) & 0xFFFFFFFF
    one.missed, one.detection = 0, j
    one.seen = field[0].frame
    one.sightings += 1
    one.sight = WEAK if found[j].flags & FLAG_WEAK else MEASURED
    if math.isfinite(found[j].radius):
        t, r = float(field[0].frame - one.growth_from), float(found[j].radius)
        one.growth_n += 1
        one.growth_t += t
        one.growth_tt += t * t
        one.growth_r += r
        one.growth_tr += t * r
        one.growth_rr += r * r
        if one.sightings > 3:
            one.biggest = max(one.biggest, one.radius)


@njit(void(LIVES, int64, DETECTIONS, int64), nogil=True, cache=True)
def _become(live: Any, i: Any, found: Any, j: Any) -> Any:
    """Track i is from now on the particle of detection j, which another one has become a part of."""
    one = live[i]
    one.y, one.x, one.variance = found[j].y, found[j].x, variance_of(found, j)
    if math.isfinite(found[j].radius):
        one.radius, one.var_radius = found[j].radius, max(one.var_radius, 0.1)
    one.growth_from = one.seen
    one.growth_n = one.growth_t = one.growth_tt = one.growth_r = one.growth_tr = one.growth_rr = 0.0
    one.is_changed = 1


@njit(void(LIVES, FIELDS, int64, DETECTIONS, int64, float64), nogil=True, cache=True)
def _begin(live: Any, field: Any, i: Any, found: Any, j: Any, odds: Any) -> Any:
    """Row i becomes a new track that begins with detection j."""
    one, frame = live[i], field[0].frame
    one.particle, one.first, one.seen = field[0].next_particle, frame, frame
    field[0].next_particle += 1
    one.y, one.x, one.variance = found[j].y, found[j].x, variance_of(found, j)
    one.radius = found[j].radius
    one.var_radius = found[j].var_radius if found[j].var_radius > 0 else 0.25
    one.mass, one.score, one.odds = found[j].mass, found[j].score, odds
    one.growth_from = frame
    one.growth_n = 1.0 if math.isfinite(one.radius) else 0.0
    one.growth_r = one.radius if math.isfinite(one.radius) else 0.0
    one.growth_rr = one.growth_r * one.growth_r
    one.growth_t = one.growth_tt = one.growth_tr = 0.0
    one.first_y, one.first_x, one.first_radius, one.first_score = one.y, one.x, one.radius, one.score
    one.biggest = one.growth_r
    one.hits, one.missed, one.age, one.sightings = 1, 0, 0, 1
    one.detection, one.state, one.sight = j, TENTATIVE, MEASURED
    one.is_told = one.is_changed = 0


@njit(boolean(LIVES, FIELDS, int64), nogil=True, cache=True)
def _is_over(live: Any, field: Any, i: Any) -> Any:
    """Whether track i, just moved on, is to be given up."""
    one = live[i]
    if one.state == CONFIRMED:
        return one.missed > field[0].gap or one.odds < ODDS[0]
    seen = 0
    for k in range(field[0].within):
        seen += (one.hits >> k) & 1
    if one.state == TENTATIVE and seen >= field[0].needed and one.odds >= ODDS[1]:
        one.state = CONFIRMED
        return False
    hopeless = one.age + 1 >= field[0].within and seen < field[0].needed
    return hopeless or one.missed >= field[0].within or one.odds < FIRST_ODDS[0] - 1


@njit(void(LIVES, FIELDS), nogil=True, cache=True)
def _sweep(live: Any, field: Any) -> Any:
    """Forget tracks that were noise, and ended ones of which all has been told; close the ranks."""
    kept = 0
    for i in range(field[0].live):
        over = live[i].state == ENDED and live[i].missed >= DEPTH - 1
        if live[i].state != ENDED and _is_over(live, field, i):
            over = live[i].state == TENTATIVE
            live[i].state = ENDED
        if over:
            continue
        if kept != i:
            spare = live[kept].slot
            live[kept] = live[i]
            live[i].slot = spare
        kept += 1
    field[0].live = kept


@njit(void(PASTS, int64), nogil=True, cache=True)
def _clear(past: Any, slot: Any) -> Any:
    for k in range(DEPTH):
        past[slot, k].sight = NONE


@njit(void(FIELDS, DETECTIONS, int32[::1]), nogil=True, cache=True)
def _learn_noise(field: Any, found: Any, owner: Any) -> Any:
    """How frequent maxima of noise are, by weak detections that no track took."""
    lowest, unused = np.inf, 0
    for j in range(len(found)):
        if math.isfinite(found[j].score):
            lowest = min(lowest, found[j].score)
        unused += owner[j] < 0
    if lowest == np.inf:
        return
    share = 0.5 if field[0].delivered < 5 else HALF_LIFE
    field[0].floor = lowest if field[0].delivered == 1 else field[0].floor + share * (lowest - field[0].floor)
    z = min(max(field[0].floor, 0.5), NOT_NOISE)
    level = max(unused, 0.1) / (field[0].height * field[0].width) * math.exp(0.5 * z * z)
    field[0].false_level += share * (level - field[0].false_level)


@njit(
    void(
        LIVES, PASTS, FIELDS, DETECTIONS, float64, float64[::1], float64[::1], float64[::1], int32[::1],
        int32[::1], int32[::1], int32[::1], float64[::1], float64[::1], float64[::1], int32[::1], int32[::1],
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def advance(
    live: Any, past: Any, field: Any, found: Any, passed: Any, hint: Any, y: Any, x: Any, first: Any,
    order: Any, start: Any, column: Any, cost: Any, gained: Any, miss: Any, taken: Any, owner: Any,
) -> Any:  # fmt: skip
    """One frame.

    Parameters
    ----------
    live, past : (capacity,) and (capacity, DEPTH), tracks; ``capacity`` >= tracks + detections.
    field : (1,), its ``frame`` is this one already.
    found : (m,) detections.
    passed : frames since the last one that was delivered.
    hint : (2,) px, displacement of the field; NaN: not known.
    y, x, order, owner : (m,); first : (cells + 1,); start, miss, taken : (capacity + 1,);
        column, cost, gained : (MOST * capacity,). Room to work in.
    """
    m, grid = len(found), np.empty(5)
    for j in range(m):
        y[j], x[j] = found[j].y, found[j].x
    lay_out(y, x, max(_reach(field), 4.0), grid, first, order)
    if field[0].delivered % OFTEN == 0 or field[0].spacing <= 0:
        _look_around(field, found)
    unsure = _displace(live, field, found, passed, hint, y, x, grid, first, order)
    predict(live, field, passed)
    k = field[0].delivered % DEPTH
    field[0].frames[k] = field[0].frame
    field[0].shifts_y[k], field[0].shifts_x[k] = field[0].shift_y, field[0].shift_x
    field[0].walks[k] = field[0].walk * passed
    field[0].delivered += 1
    n, reach = field[0].live, _reach(field)
    near, square = np.empty(MOST, np.int32), np.empty(MOST)
    known = 0
    for i in range(n):
        known += live[i].state == CONFIRMED
    fresh = newcomer_density(field, max(known, m // 2))
    edges = 0
    for i in range(n):
        start[i] = edges
        chance = found_probability(live, i, field)
        miss[i], found_log = BASE - math.log(1 - chance), math.log(chance)
        if live[i].state == ENDED:
            continue
        wide = live[i].variance + unsure
        limit = min(field[0].gate * math.sqrt(wide + 1.0), max(reach, 1.5 * reach * (live[i].missed > 0)))
        count = nearest(live[i].y, live[i].x, limit, y, x, grid, first, order, near, square)
        for q in range(count):
            j = near[q]
            if square[q] > field[0].gate ** 2 * (wide + variance_of(found, j)):
                continue
            own = log_likelihood(live, i, found, j, square[q], unsure) + found_log
            noise = noise_density(found[j].score, field) if math.isfinite(found[j].score) else 1e-12
            price = BASE - own + math.log(noise + fresh)
            if price < miss[i]:
                column[edges], cost[edges] = j, max(price, 0.0)
                gained[edges] = own
                edges += 1
    start[n] = edges
    greedy = assign(n, m, start, column, cost, miss, field[0].cap, taken, owner)
    field[0].greedy = greedy
    if greedy:
        field[0].trouble |= CROWDED
    merge(live, field, found, y, x, grid, first, order, taken, owner)
    for i in range(n):
        live[i].age += 1
        live[i].is_changed = 0
        j = taken[i]
        if j < -1:
            _become(live, i, found, -2 - j)
            _take(live, field, i, found, -2 - j, 1.0)
            continue
        if j >= 0 and live[i].state != ENDED:
            for e in range(start[i], start[i + 1]):
                if column[e] == j:
                    known = math.isfinite(found[j].score)
                    noise = noise_density(found[j].score, field) if known else 0.0
                    _take(live, field, i, found, j, gained[e] - math.log(noise + 1e-12))
            continue
        live[i].missed += 1
        live[i].detection, live[i].sight = -1, MISSED
        live[i].hits = (live[i].hits << 1) & 0xFFFFFFFF
        live[i].odds += math.log(1 - found_probability(live, i, field))
    _learn_noise(field, found, owner)
    for j in range(m):
        if owner[j] < 0 and not found[j].flags & FLAG_WEAK:
            noise = noise_density(found[j].score, field) if math.isfinite(found[j].score) else 0.0
            odds = math.log(fresh / (noise + 1e-12))
            _clear(past, live[field[0].live].slot)
            _begin(live, field, field[0].live, found, j, min(max(odds, FIRST_ODDS[0]), FIRST_ODDS[1]))
            field[0].live += 1
    remember(live, past, field, found)
    _sweep(live, field)
