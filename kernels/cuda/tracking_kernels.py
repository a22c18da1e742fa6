"""Detection on a device, the part that looks at particles: who touches whom, the fit, who stays, measuring.

The functions of `kernels.tracking.refine` and `shapes`: a block for each particle. Particles are fitted in
turn, each in the residual of the others, as on the processor and in the same order: one waits for those
before it that it may touch, so that particles that do not touch are fitted at once, and the numbers are the
processor's but for rounding. Turns are taken from one counter, and a turn waits for earlier ones only, which
running blocks have: nothing waits for ever, however many blocks run at a time. Threads of a block add up in
one order; nothing depends on which block is first.

``rule`` (9,) float64: ln radius of the profile's first row, its step, the blur's variance, the reach beyond
the radius, px, the expected ln radius and its standard deviation, counts that are saturated, the least gain
of a particle that stays in the noise's variance, and the widest radius.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64, int32

from ..tracking.detect import OVERFIT
from ..tracking.refine import LONGEST, SETTLED, STRETCH
from .block_sums import block_total as _total
from .tracking_frames import MAX_THREADS, ONE, SPREADS, ZERO, level_at

START, STEP, VARIANCE, REACH, TYPICAL, TOLERANCE, SATURATION, LEAST, WIDEST = range(9)
MOST_TOUCHING = 64
"""Particles in a list of neighbours; who has more waits for all."""
LINES = 16
"""Sums that a block makes at once."""
STAYS, GOES = 0, 1
"""Marks."""
COLUMNS = 19
"""Of the table: y, x, height, ln radius, `shapes.MEASURED` columns, last step, background, saturated and not
finite pixels, mark."""
LAST_STEP, BACKGROUND, SATURATED, INVALID, MARK = 14, 15, 16, 17, 18
OVERLAPPING = 2
"""A mark of one that stays."""
TWO, THREE, FOUR, HALF = np.float32(2), np.float32(3), np.float32(4), np.float32(0.5)
LONG, FAR, SLOW = np.float32(LONGEST), np.float32(STRETCH), np.float32(SETTLED)


@cuda.jit(device=True, inline="always")
def _noise(state, first, second):  # type: ignore[no-untyped-def]
    """That of the first search, and where there was a second one, what the residual has."""
    noise = state[SPREADS + first]
    if second < 0:
        return noise
    other = state[SPREADS + second]
    return min(noise, OVERFIT * other) if other > 0.0 else 0.0


@cuda.jit(device=True, inline="always")
def _all_totals(shared, n, me):  # type: ignore[no-untyped-def]
    """Add up ``n`` lines of (LINES, threads), by halves; totals in their first column."""
    half = cuda.blockDim.x // 2
    while half > 0:
        cuda.syncthreads()
        if me < half:
            for k in range(n):
                shared[k, me] += shared[k, me + half]
        half //= 2
    cuda.syncthreads()


@cuda.jit(cache=True)
def touching(particles, counts, place, fits, rule, near, many, turns):  # type: ignore[no-untyped-def]
    """Who may touch whom while all are fitted ``fits`` times: lists (n, MOST_TOUCHING), their length."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    here = cuda.shared.array(1, int32)
    n = counts[place]
    grown, far = STRETCH * fits, rule[REACH] + LONGEST * fits + 1.0
    for k in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        if me == 0:
            here[0] = 0
        cuda.syncthreads()
        y, x = particles[k, 0], particles[k, 1]
        own = min(math.exp(float32(particles[k, 3] + grown)), float32(rule[WIDEST])) + float32(2.0 * far)
        for j in range(me, n, wide):
            apart = own + min(math.exp(float32(particles[j, 3] + grown)), float32(rule[WIDEST]))
            if j != k and abs(particles[j, 0] - y) < apart and abs(particles[j, 1] - x) < apart:
                at = cuda.atomic.add(here, 0, 1)
                if at < MOST_TOUCHING:
                    near[k, at] = j
        cuda.syncthreads()
        if me == 0:
            many[k] = here[0]
            turns[k] = 0
        cuda.syncthreads()
    if cuda.blockIdx.x == 0 and me == 0:
        turns[turns.shape[0] - 1] = 0


@cuda.jit(cache=True)
def line_up(turns):  # type: ignore[no-untyped-def]
    """All turns begin anew."""
    for k in range(cuda.grid(1), turns.shape[0], cuda.gridsize(1)):
        turns[k] = 0


@cuda.jit(device=True, inline="always")
def _wait(turns, k, j, stage):  # type: ignore[no-untyped-def]
    """Until particle j has been where k needs it: one before it in this stage, one behind it in the last."""
    needed = stage + 1 if j < k else stage
    while cuda.atomic.max(turns, j, 0) < needed:
        pass


@cuda.jit(device=True, inline="always")
def _row(table, rule, log_radius):  # type: ignore[no-untyped-def]
    """Row of the profile's table before a radius, and how far it is to the next."""
    last = table.shape[0] - 1
    at = min(max((log_radius - rule[START]) / rule[STEP], 0.0), float64(last))
    row = min(int32(at), last - 1)
    return row, float32(at - row)


@cuda.jit(device=True, inline="always")
def _between(table, row, part, i):  # type: ignore[no-untyped-def]
    return table[row, i] + part * (table[row + 1, i] - table[row, i])


@cuda.jit(device=True, inline="always")
def _begin(place, half):  # type: ignore[no-untyped-def]
    return max(int32(math.ceil(place - half)), 0)


@cuda.jit(device=True, inline="always")
def _end(place, half, n):  # type: ignore[no-untyped-def]
    return min(int32(place + half) + 1, n)


@cuda.jit(device=True, inline="always")
def _height(u, c0, c1, c2, c3, c4):  # type: ignore[no-untyped-def]
    return math.exp(-HALF * u) * (c0 + u * (c1 + u * (c2 + u * (c3 + u * c4))))


@cuda.jit(device=True, inline="always")
def _draw(residual, table, rule, y, x, tall, log_radius, me):  # type: ignore[no-untyped-def]
    """Add a particle of height ``tall`` to the residual, by all threads of a block."""
    row, part = _row(table, rule, log_radius)
    c0, c1, c2 = _between(table, row, part, 0), _between(table, row, part, 1), _between(table, row, part, 2)
    c3, c4 = _between(table, row, part, 3), _between(table, row, part, 4)
    radius = math.exp(float32(log_radius))
    half = float64(radius) + rule[REACH]
    inverse = ONE / (radius * radius / float32(5) + float32(rule[VARIANCE]))
    top, left = _begin(y, half), _begin(x, half)
    rows, columns = _end(y, half, residual.shape[0]) - top, _end(x, half, residual.shape[1]) - left
    for k in range(me, max(rows, 0) * max(columns, 0), cuda.blockDim.x):
        j, i = top + k // columns, left + k % columns
        dy, dx = float32(j - y), float32(i - x)
        residual[j, i] += tall * _height((dy * dy + dx * dx) * inverse, c0, c1, c2, c3, c4)


@cuda.jit(device=True, inline="always")
def _pull(residual, table, rule, y, x, log_radius, shared, me):  # type: ignore[no-untyped-def]
    """`refine.pulls`, into the first column of the shared lines."""
    row, part = _row(table, rule, log_radius)
    c0, c1, c2 = _between(table, row, part, 0), _between(table, row, part, 1), _between(table, row, part, 2)
    c3, c4, per = _between(table, row, part, 3), _between(table, row, part, 4), float32(1.0 / rule[STEP])
    d0, d1 = (table[row + 1, 0] - table[row, 0]) * per, (table[row + 1, 1] - table[row, 1]) * per
    d2, d3 = (table[row + 1, 2] - table[row, 2]) * per, (table[row + 1, 3] - table[row, 3]) * per
    d4 = (table[row + 1, 4] - table[row, 4]) * per
    radius = math.exp(float32(log_radius))
    half = float64(radius) + rule[REACH]
    s2 = radius * radius / float32(5) + float32(rule[VARIANCE])
    inverse, wide = ONE / s2, TWO * radius * radius / (float32(5) * s2)
    top, left = _begin(y, half), _begin(x, half)
    rows, columns = _end(y, half, residual.shape[0]) - top, _end(x, half, residual.shape[1]) - left
    a, b, g, f = ZERO, ZERO, ZERO, ZERO
    for k in range(me, max(rows, 0) * max(columns, 0), cuda.blockDim.x):
        j, i = top + k // columns, left + k % columns
        dy, dx = float32(j - y), float32(i - x)
        u = (dy * dy + dx * dx) * inverse
        p = c0 + u * (c1 + u * (c2 + u * (c3 + u * c4)))
        fall = c1 + u * (TWO * c2 + u * (THREE * c3 + u * FOUR * c4)) - HALF * p
        grow = d0 + u * (d1 + u * (d2 + u * (d3 + u * d4))) - wide * u * fall
        d = residual[j, i] * math.exp(-HALF * u)
        a += d * fall * dy
        b += d * fall * dx
        g += d * p
        f += d * grow
    shared[0, me], shared[1, me], shared[2, me], shared[3, me] = -TWO * a * inverse, -TWO * b * inverse, g, f
    _all_totals(shared, 4, me)


@cuda.jit(device=True, inline="always")
def _step(curves, table, rule, noise, particle, shared, out):  # type: ignore[no-untyped-def]
    """One particle's step of `refine.fit_together`; ``out``: its new four, and how far. One thread."""
    row, part = _row(table, rule, particle[3])
    height, share = particle[2], float64(part)
    slope2 = curves[row, 0] + share * (curves[row + 1, 0] - curves[row, 0])
    hh = curves[row, 1] + share * (curves[row + 1, 1] - curves[row, 1])
    hr = height * (curves[row, 2] + share * (curves[row + 1, 2] - curves[row, 2]))
    belief = (noise / rule[TOLERANCE]) * (noise / rule[TOLERANCE])
    rr = height * height * (curves[row, 3] + share * (curves[row + 1, 3] - curves[row, 3])) + belief
    pull = float64(shared[2, 0])
    grow_pull = height * float64(shared[3, 0]) + belief * (rule[TYPICAL] - particle[3])
    det = hh * rr - hr * hr
    up = (rr * pull - hr * grow_pull) / det
    grow = min(max((hh * grow_pull - hr * pull) / det, -STRETCH), STRETCH)
    last = rule[START] + rule[STEP] * (table.shape[0] - 1)
    grow = min(max(particle[3] + grow, rule[START]), last) - particle[3]
    per = height / (height * height * slope2 + 1e-9)
    dy, dx = per * float64(shared[0, 0]), per * float64(shared[1, 0])
    length = math.sqrt(dy * dy + dx * dx)
    if length > LONGEST:
        dy, dx, length = dy * LONGEST / length, dx * LONGEST / length, LONGEST
    out[0], out[1] = particle[0] + dy, particle[1] + dx
    out[2] = height + up if (height + up) * height > 0.0 else 0.0
    out[3] = particle[3] + grow
    out[4] = max(length, abs(grow)) if out[2] != 0.0 else 0.0


@cuda.jit(cache=True)
def take_turns(  # type: ignore[no-untyped-def]
    residual, profile, curves, rule, state, first_noise, second_noise, particles, moved, near, many, counts,
    begin, place, fits, turns,
):  # fmt: skip
    """Take the particles from ``counts[begin]`` on out of the residual, then fit all ``fits`` times."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array((LINES, MAX_THREADS), float32)
    turn = cuda.shared.array(1, int32)
    new = cuda.shared.array(5, float64)
    n, noise = counts[place], _noise(state, first_noise, second_noise)
    if n == 0 or noise == 0.0:
        return
    while True:
        if me == 0:
            turn[0] = cuda.atomic.add(turns, turns.shape[0] - 1, 1)
        cuda.syncthreads()
        ticket = turn[0]
        cuda.syncthreads()
        if ticket >= (fits + 1) * n:
            return
        stage, k = ticket // n, ticket % n
        if many[k] > MOST_TOUCHING:
            for j in range(me, n, wide):
                _wait(turns, k, j, stage)
        else:
            for q in range(me, many[k], wide):
                _wait(turns, k, near[k, q], stage)
        if me == 0:
            _wait(turns, k, k, stage)
        cuda.threadfence()
        cuda.syncthreads()
        y, x, height, log_radius = particles[k, 0], particles[k, 1], particles[k, 2], particles[k, 3]
        if stage == 0:
            if begin < 0 or k >= counts[begin]:
                _draw(residual, profile, rule, y, x, -float32(height), log_radius, me)
        elif moved[k] >= SLOW:
            _pull(residual, profile, rule, y, x, log_radius, shared, me)
            if me == 0:
                _step(curves, profile, rule, noise, particles[k], shared, new)
            cuda.syncthreads()
            _draw(residual, profile, rule, y, x, float32(height), log_radius, me)
            cuda.syncthreads()
            _draw(residual, profile, rule, new[0], new[1], -float32(new[2]), new[3], me)
            if me == 0:
                for i in range(4):
                    particles[k, i] = new[i]
                moved[k] = new[4]
        cuda.syncthreads()
        if me == 0:
            cuda.threadfence()
            cuda.atomic.max(turns, k, stage + 1)


@cuda.jit(cache=True)
def put_back(  # type: ignore[no-untyped-def]
    residual, profile, rule, particles, near, many, marks, counts, place, turns
):
    """Add the particles that go to the residual, in turn."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    turn = cuda.shared.array(1, int32)
    n = counts[place]
    while True:
        if me == 0:
            turn[0] = cuda.atomic.add(turns, turns.shape[0] - 1, 1)
        cuda.syncthreads()
        k = turn[0]
        cuda.syncthreads()
        if k >= n:
            return
        if marks[k] == GOES:
            if many[k] > MOST_TOUCHING:
                for j in range(me, k, wide):
                    _wait(turns, k, j, 0)
            else:
                for q in range(me, many[k], wide):
                    _wait(turns, k, near[k, q], 0)
            cuda.threadfence()
            cuda.syncthreads()
            _draw(residual, profile, rule, particles[k, 0], particles[k, 1], float32(particles[k, 2]),
                  particles[k, 3], me)  # fmt: skip
        cuda.syncthreads()
        if me == 0:
            cuda.threadfence()
            cuda.atomic.max(turns, k, 1)


@cuda.jit(cache=True)
def lone_gains(curves, profile, rule, particles, counts, place, gains):  # type: ignore[no-untyped-def]
    """`refine.lone_gains`."""
    for k in range(cuda.grid(1), counts[place], cuda.gridsize(1)):
        row, part = _row(profile, rule, particles[k, 3])
        curve = curves[row, 1] + float64(part) * (curves[row + 1, 1] - curves[row, 1])
        gains[k] = particles[k, 2] * particles[k, 2] * curve


@cuda.jit(cache=True)
def judge(  # type: ignore[no-untyped-def]
    rule, state, first_noise, second_noise, particles, gains, counts, place, same, is_pruning, marks
):
    """Who goes: the weak where it is pruned, and of two that are one particle the one of smaller gain.

    Two are one where their centres are nearer than ``same`` of the larger radius; of equals the later goes.
    One that goes takes the weaker ones along, where the processor, which looks at pairs in turn, may let them
    stay.
    """
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    n, noise = counts[place], _noise(state, first_noise, second_noise)
    for k in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        y, x, own, beaten = particles[k, 0], particles[k, 1], math.exp(float32(particles[k, 3])), 0.0
        for j in range(me, n, wide):
            dy, dx = particles[j, 0] - y, particles[j, 1] - x
            limit = float64(float32(same) * max(own, math.exp(float32(particles[j, 3]))))
            is_same = j != k and dy * dy + dx * dx < limit * limit
            if is_same and (gains[j] > gains[k] or (gains[j] == gains[k] and j < k)):
                beaten = 1.0
        is_beaten = _total(beaten, shared, me) > 0.0
        if me == 0:
            is_weak = is_pruning and not gains[k] > rule[LEAST] * noise * noise
            marks[k] = GOES if is_beaten or is_weak else STAYS


@cuda.jit(cache=True)
def overlaps(particles, counts, place, marks, table):  # type: ignore[no-untyped-def]
    """Marks in the table, and which of those that stay overlap another one's disc."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    n = counts[place]
    for k in range(cuda.blockIdx.x, n, cuda.gridDim.x):
        y, x, own, found = particles[k, 0], particles[k, 1], math.exp(float32(particles[k, 3])), 0.0
        for j in range(me, n, wide):
            dy, dx = particles[j, 0] - y, particles[j, 1] - x
            limit = float64(own + math.exp(float32(particles[j, 3])))
            if j != k and marks[j] == STAYS and dy * dy + dx * dx < limit * limit:
                found = 1.0
        total = _total(found, shared, me)
        if me == 0:
            table[k + 1, MARK] = marks[k] if marks[k] != STAYS or total == 0.0 else OVERLAPPING


@cuda.jit(cache=True)
def keep(particles, gains, marks, counts, place, out, out_gains, out_moved):  # type: ignore[no-untyped-def]
    """Those that stay, in their order, as if they had not been fitted; ``counts[place + 1]``. One block."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, int32)
    n = counts[place]
    each = (n + wide - 1) // wide
    start, stop = me * each, min((me + 1) * each, n)
    own = 0
    for k in range(start, stop):
        own += marks[k] == STAYS
    shared[me] = own
    cuda.syncthreads()
    at = 0
    for other in range(me):
        at += shared[other]
    if me == wide - 1:
        counts[place + 1] = at + own
    for k in range(start, stop):
        if marks[k] == STAYS:
            for i in range(4):
                out[at, i] = particles[k, i]
            out_gains[at], out_moved[at] = gains[k], ONE
            at += 1


@cuda.jit(device=True, inline="always")
def _is_whole(y, x, half, shape):  # type: ignore[no-untyped-def]
    """Whether all pixels of a particle are in the frame, as `shapes.measure` asks."""
    return min(y, x) >= half and y + half <= shape[0] - 1 and x + half <= shape[1] - 1


@cuda.jit(device=True, inline="always")
def _own(curves, row, share, inverse, tall, shared):  # type: ignore[no-untyped-def]
    """`shapes._whole`: what a particle's own pixels add to the totals of `measure`. One thread."""
    turned = _between(curves, row, share, 0) / float64(FOUR * inverse * inverse)
    shared[1, 0], shared[2, 0], shared[4, 0] = turned, turned, _between(curves, row, share, 1)
    shared[5, 0], shared[6, 0] = _between(curves, row, share, 2), _between(curves, row, share, 3)
    shared[7, 0] += tall * float32(_between(curves, row, share, 4))
    moment = tall * float32(_between(curves, row, share, 5))
    shared[10, 0] += moment
    shared[11, 0] += moment


@cuda.jit(cache=True)
def measure(  # type: ignore[no-untyped-def]
    residual, frame, background, cell, profile, curves, rule, particles, moved, counts, place, gains, table
):
    """`shapes.measure`, and what the table of the frame has besides: a row each, from the second on.

    As there, what the pixels of a particle itself add up to comes from the table of lone ones where all of
    them are in the frame.
    """
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array((LINES, MAX_THREADS), float32)
    for n in range(cuda.blockIdx.x, counts[place], cuda.gridDim.x):
        y, x, tall, log_radius = particles[n, 0], particles[n, 1], float32(particles[n, 2]), particles[n, 3]
        row, part = _row(profile, rule, log_radius)
        c0, c1 = _between(profile, row, part, 0), _between(profile, row, part, 1)
        c2, c3 = _between(profile, row, part, 2), _between(profile, row, part, 3)
        c4, per = _between(profile, row, part, 4), float32(1.0 / rule[STEP])
        d0, d1 = (profile[row + 1, 0] - profile[row, 0]) * per, (profile[row + 1, 1] - profile[row, 1]) * per
        d2, d3 = (profile[row + 1, 2] - profile[row, 2]) * per, (profile[row + 1, 3] - profile[row, 3]) * per
        d4 = (profile[row + 1, 4] - profile[row, 4]) * per
        radius = math.exp(float32(log_radius))
        half = float64(radius) + rule[REACH]
        s2 = radius * radius / float32(5) + float32(rule[VARIANCE])
        inverse, widen = ONE / s2, TWO * radius * radius / (float32(5) * s2)
        top, left = _begin(y, half), _begin(x, half)
        rows, columns = _end(y, half, residual.shape[0]) - top, _end(x, half, residual.shape[1]) - left
        is_whole = _is_whole(y, x, half, residual.shape)
        drawn = ZERO if is_whole else tall
        for i in range(15):
            shared[i, me] = ZERO
        for k in range(me, max(rows, 0) * max(columns, 0), wide):
            j, i = top + k // columns, left + k % columns
            dy, dx = float32(j - y), float32(i - x)
            r2 = dy * dy + dx * dx
            u = r2 * inverse
            e = math.exp(-HALF * u)
            p = c0 + u * (c1 + u * (c2 + u * (c3 + u * c4)))
            q, left_over = e * p, residual[j, i]
            seen = e * (left_over + drawn * q)
            shared[0, me] += q * left_over
            if not is_whole:
                fall = c1 + u * (TWO * c2 + u * (THREE * c3 + u * FOUR * c4)) - HALF * p
                grow = e * (d0 + u * (d1 + u * (d2 + u * (d3 + u * d4))) - widen * u * fall)
                t = e * fall
                shared[1, me] += t * t * dy * dy
                shared[2, me] += t * t * dx * dx
                shared[3, me] += t * t * dx * dy
                shared[4, me] += q * q
                shared[5, me] += q * grow
                shared[6, me] += grow * grow
            shared[7, me] += seen
            shared[8, me] += seen * dy
            shared[9, me] += seen * dx
            shared[10, me] += seen * dy * dy
            shared[11, me] += seen * dx * dx
            shared[12, me] += seen * dx * dy
            if r2 < radius * radius:
                value = frame[j, i]
                if not math.isfinite(value):
                    shared[14, me] += ONE
                elif float64(value) >= rule[SATURATION]:
                    shared[13, me] += ONE
        _all_totals(shared, 15, me)
        if me == 0:
            if is_whole:
                _own(curves, row, float64(part), inverse, tall, shared)
            for i in range(4):
                table[n + 1, i] = particles[n, i]
            height, hh = float64(tall), float64(shared[4, 0])
            slope = 4.0 * height * height * float64(inverse) * float64(inverse)
            gain = 2.0 * height * (float64(shared[0, 0]) + height * hh) - height * height * hh
            gains[n] = gain
            table[n + 1, 4] = gain
            table[n + 1, 5], table[n + 1, 6] = slope * shared[1, 0], slope * shared[2, 0]
            table[n + 1, 7], table[n + 1, 8] = slope * shared[3, 0], hh
            table[n + 1, 9], table[n + 1, 10] = height * shared[5, 0], height * height * shared[6, 0]
            mass = float64(shared[7, 0])
            if mass * height > 0.0:
                cy, cx = shared[8, 0] / mass, shared[9, 0] / mass
                table[n + 1, 11] = shared[10, 0] / mass - cy * cy
                table[n + 1, 12] = shared[11, 0] / mass - cx * cx
                table[n + 1, 13] = shared[12, 0] / mass - cy * cx
            else:
                table[n + 1, 11] = table[n + 1, 12] = table[n + 1, 13] = math.nan
            table[n + 1, LAST_STEP] = moved[n]
            table[n + 1, BACKGROUND] = level_at(background, float32(y), float32(x), cell)
            table[n + 1, SATURATED], table[n + 1, INVALID] = shared[13, 0], shared[14, 0]
        cuda.syncthreads()


@cuda.jit(cache=True)
def sum_up(state, counts, place, first_noise, second_noise, table):  # type: ignore[no-untyped-def]
    """The table's first row: what is known of the frame. One thread."""
    if cuda.grid(1) == 0:
        for i in range(SPREADS):
            table[0, i] = state[i]
        noise = _noise(state, first_noise, second_noise)
        table[0, SPREADS], table[0, SPREADS + 1] = noise, state[SPREADS + first_noise]
        table[0, SPREADS + 2], table[0, SPREADS + 3] = counts[place], counts[0]
