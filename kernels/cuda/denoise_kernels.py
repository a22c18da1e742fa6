"""The functions of `kernels.denoise` for a device: noise evened out, spikes, memories, what moved, patches.

A thread for each pixel or cell, a block for each patch. Nothing is added up by atomics: a patch is written
down as it is, and each pixel adds up those that cover it in one order, so that equal frames give equal
pictures. All images are float32, C-contiguous; ``planes`` are several of them, (n, h, w).

Sums over pixels are written down by block, (blocks,) float64, for the host to add up.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64

from ..denoise.flow import CELL, DISTANCE, GAIN, REACH
from ..denoise.patches import THRESHOLD
from ..denoise.spikes import RATIO
from ..noise import ROOTS_LEAST
from .block_sums import block_total as _total

MAX_THREADS = 256
"""Of a block; a power of two."""
MAX_AREA = 256
"""Pixels of the largest patch, 16 x 16."""
PLACES = 2 * REACH + 1
ZERO, ONE = np.float32(0), np.float32(1)
BOUND = np.float32(THRESHOLD * THRESHOLD)
TINY = np.float32(1e-20)
ROOT = math.sqrt(1.5)


# -- noise


@cuda.jit(cache=True)
def stabilise(values, gain, offset, base, out):  # type: ignore[no-untyped-def]
    """`NoiseModel.stabilise`; ``base`` is 3/8 and the read noise's square in electrons. NaN stays."""
    h, w = values.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        inside = (float64(values[y, x]) - offset) / gain + base
        out[y, x] = float32(2.0 * math.sqrt(inside if inside > 0.0 or math.isnan(inside) else 0.0))


@cuda.jit(cache=True)
def unstabilise(values, gain, offset, base, out):  # type: ignore[no-untyped-def]
    """`NoiseModel.unstabilise`; ``base`` is 1/8 and the read noise's square in electrons. NaN stays."""
    h, w = values.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        d = float64(values[y, x])
        if d < ROOTS_LEAST:
            d = ROOTS_LEAST
        bend = (0.25 * ROOT + (-1.375 + 0.625 * ROOT / d) / d) / d
        electrons = 0.25 * d * d + bend - base
        out[y, x] = float32(gain * (electrons if electrons > 0.0 or math.isnan(electrons) else 0.0) + offset)


@cuda.jit(cache=True)
def complete(values, past, out):  # type: ignore[no-untyped-def]
    """Pixels that are not finite are taken from the past."""
    h, w = values.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        out[y, x] = values[y, x] if math.isfinite(values[y, x]) else past[y, x]


# -- spikes


@cuda.jit(cache=True)
def find_spikes(frame, gain, offset, base, excess, found):  # type: ignore[no-untyped-def]
    """`kernels.denoise.spikes.find_spikes` as 0 and 1, found (h, w) uint8."""
    h, w = frame.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        found[y, x] = 0
        electrons = (float64(frame[y, x]) - offset) / gain
        lifted = electrons + base
        rest = 2.0 * math.sqrt(lifted if lifted > 0.0 else 0.0) - excess
        if not (math.isfinite(electrons) and rest > 0.0):
            continue
        least = offset + gain * min(electrons / RATIO, rest * rest / 4.0 - base)
        near, known = 0, 0
        for i in range(max(y - 2, 0), min(y + 3, h)):
            for j in range(max(x - 2, 0), min(x + 3, w)):
                if math.isfinite(frame[i, j]):
                    known += 1
                    if float64(frame[i, j]) >= least:
                        near += 1
        if known > 3 and near <= 3:
            found[y, x] = 1


@cuda.jit(device=True, inline="always")
def _ranked(frame, spikes, y, x, rank):  # type: ignore[no-untyped-def]
    """The value of a rank among the neighbours that are finite and no spikes, by counting."""
    h, w = frame.shape
    chosen = math.nan
    for i in range(max(y - 2, 0), min(y + 3, h)):
        for j in range(max(x - 2, 0), min(x + 3, w)):
            value = frame[i, j]
            if not math.isfinite(value) or spikes[i, j] != 0:
                continue
            less, alike = 0, 0
            for m in range(max(y - 2, 0), min(y + 3, h)):
                for n in range(max(x - 2, 0), min(x + 3, w)):
                    if math.isfinite(frame[m, n]) and spikes[m, n] == 0:
                        if frame[m, n] < value:
                            less += 1
                        elif frame[m, n] == value:
                            alike += 1
            if less <= rank and rank < less + alike:
                chosen = value
    return chosen


@cuda.jit(cache=True)
def replace(frame, spikes, out, sums):  # type: ignore[no-untyped-def]
    """`kernels.denoise.spikes.without`; how many were replaced."""
    h, w = frame.shape
    me = cuda.threadIdx.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    count = 0.0
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        out[y, x] = frame[y, x]
        if spikes[y, x] == 0:
            continue
        count += 1.0
        others = 0
        for i in range(max(y - 2, 0), min(y + 3, h)):
            for j in range(max(x - 2, 0), min(x + 3, w)):
                if math.isfinite(frame[i, j]) and spikes[i, j] == 0:
                    others += 1
        low = _ranked(frame, spikes, y, x, (others - 1) // 2)
        high = _ranked(frame, spikes, y, x, others // 2)
        out[y, x] = float32(0.5) * (low + high) if others > 0 else math.nan
    found = _total(count, shared, me)
    if me == 0:
        sums[cuda.blockIdx.x] = found


@cuda.jit(cache=True)
def mark(hits, hot, frame, without_hot, spikes):  # type: ignore[no-untyped-def]
    """Hits that are not hot, which the detector's mean is taken without; hits and known hot pixels."""
    h, w = frame.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        is_hit, is_hot = hits[y, x] != 0, hot[y, x] != 0
        without_hot[y, x] = 1 if is_hit and not is_hot else 0
        spikes[y, x] = 1 if is_hit or (is_hot and math.isfinite(frame[y, x])) else 0


@cuda.jit(cache=True)
def remember(frame, weight, mean):  # type: ignore[no-untyped-def]
    """mean += weight (frame - mean), where the frame is finite."""
    h, w = frame.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        if math.isfinite(frame[y, x]):
            mean[y, x] += weight * (frame[y, x] - mean[y, x])


# -- memories


@cuda.jit(cache=True)
def recurse(frame, least_gain, wander, values, variance):  # type: ignore[no-untyped-def]
    """A step of `recursions`: their gain is what Kalman's is, at least ``least_gain``; 0 for a mean."""
    h, w = frame.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        if not math.isfinite(frame[y, x]):
            continue
        before = variance[y, x] + wander
        if math.isinf(before):
            values[y, x], variance[y, x] = frame[y, x], ONE
            continue
        gain = max(before / (before + ONE), least_gain)
        values[y, x] += gain * (frame[y, x] - values[y, x])
        rest = ONE - gain
        variance[y, x] = rest * rest * before + gain * gain


@cuda.jit(cache=True)
def take_apart(frame, memories, weights, is_first, layers):  # type: ignore[no-untyped-def]
    """`Memories.differences` of a frame: layers (n + 1, h, w) from memories (n, h, w)."""
    h, w = frame.shape
    n = memories.shape[0]
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        value = frame[y, x]
        last = value
        for m in range(n):
            after = value if is_first else memories[m, y, x] + weights[m] * (value - memories[m, y, x])
            layers[m, y, x] = last - after
            last = after
        layers[n, y, x] = last


@cuda.jit(cache=True)
def add_to(frame, weights, is_first, memories):  # type: ignore[no-untyped-def]
    """`Memories.add`."""
    h, w = frame.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        value = frame[y, x]
        for m in range(memories.shape[0]):
            before = value if is_first else memories[m, y, x]
            memories[m, y, x] = before + weights[m] * (value - before)


# -- patches


@cuda.jit(device=True, inline="always")
def _mirrored(place, n):  # type: ignore[no-untyped-def]
    """The pixel of an axis of n that goes on by its mirror images."""
    folded = place % (2 * n)
    return folded if folded < n else 2 * n - 1 - folded


@cuda.jit(device=True, inline="always")
def _columns(planes, layer, top, left, waves, own, half_way, me):  # type: ignore[no-untyped-def]
    """Cosines along y of a patch, into ``half_way``; whoever reads it need not wait for other threads."""
    side = waves.shape[0]
    h, w = planes.shape[1], planes.shape[2]
    for k in range(me, side * side, cuda.blockDim.x):
        own[k] = planes[layer, _mirrored(top + k // side, h), _mirrored(left + k % side, w)]
    cuda.syncthreads()
    for k in range(me, side * side, cuda.blockDim.x):
        found = ZERO
        for i in range(side):
            found += waves[k // side, i] * own[i * side + k % side]
        half_way[k] = found
    cuda.syncthreads()


@cuda.jit(device=True, inline="always")
def _term(half_way, waves, k):  # type: ignore[no-untyped-def]
    """A cosine of the patch."""
    side = waves.shape[0]
    found = ZERO
    for i in range(side):
        found += waves[k % side, i] * half_way[(k // side) * side + i]
    return found


@cuda.jit(cache=True)
def shrink(layers, pilot, noise, waves, step, weigh, patches, lefts):  # type: ignore[no-untyped-def]
    """A patch a block: its layers cut or weighed and added up, back in pixels; `kernels.denoise.patches`.

    ``waves`` (side, side) is the DCT-II, ``patches`` (n, side^2) and ``lefts`` (n,) what comes out: values,
    and the noise left in whole cosines.
    """
    side, me = waves.shape[0], cuda.threadIdx.x
    own = cuda.shared.array(MAX_AREA, float32)
    half_way = cuda.shared.array(MAX_AREA, float32)
    believed = cuda.shared.array(MAX_AREA, float32)
    total = cuda.shared.array(MAX_AREA, float32)
    shared = cuda.shared.array(MAX_THREADS, float64)
    margin, w = side - step, layers.shape[2]
    across = (w + 2 * margin + (-w) % step - side) // step + 1
    patch = cuda.blockIdx.x
    top, left = (patch // across) * step - margin, (patch % across) * step - margin
    spread = 0.0
    for k in range(me, side * side, cuda.blockDim.x):
        total[k] = ZERO
    for layer in range(noise.size):
        variance = noise[layer] * noise[layer]
        is_last = layer == noise.size - 1
        if weigh:
            _columns(pilot, layer, top, left, waves, own, half_way, me)
            for k in range(me, side * side, cuda.blockDim.x):
                believed[k] = _term(half_way, waves, k)
            cuda.syncthreads()
        _columns(layers, layer, top, left, waves, own, half_way, me)
        for k in range(me, side * side, cuda.blockDim.x):
            term = _term(half_way, waves, k)
            keeps = is_last and k == 0
            if weigh:
                power = believed[k] * believed[k] + TINY
                share = ONE if keeps else power / (power + variance)
            else:
                share = ONE if keeps or term * term > BOUND * variance else ZERO
            total[k] += share * term
            spread += float64(share * variance)
        cuda.syncthreads()
    left_over = _total(spread, shared, me)
    for k in range(me, side * side, cuda.blockDim.x):
        found = ZERO
        for i in range(side):
            found += waves[i, k // side] * total[i * side + k % side]
        half_way[k] = found
    cuda.syncthreads()
    for k in range(me, side * side, cuda.blockDim.x):
        found = ZERO
        for i in range(side):
            found += waves[i, k % side] * half_way[(k // side) * side + i]
        patches[patch, k] = found
    if me == 0:
        lefts[patch] = float32(left_over)


@cuda.jit(cache=True)
def join(patches, lefts, window, step, floor, values, variance):  # type: ignore[no-untyped-def]
    """Means of all patches: each pixel from those that cover it.

    A patch counts by the inverse of what is left in it and ``floor``.
    """
    h, w = values.shape
    side = window.size
    margin = side - step
    down = (h + 2 * margin + (-h) % step - side) // step + 1
    across = (w + 2 * margin + (-w) % step - side) // step + 1
    area = float32(side * side)
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w + margin, k % w + margin
        total, spread, weights = ZERO, ZERO, ZERO
        for i in range((y - side) // step + 1, min(y // step + 1, down)):
            for j in range((x - side) // step + 1, min(x // step + 1, across)):
                patch, dy, dx = i * across + j, y - i * step, x - j * step
                weight = window[dy] * window[dx] / (lefts[patch] + floor)
                total += weight * patches[patch, dy * side + dx]
                spread += weight * (lefts[patch] / area)
                weights += weight
        values[k // w, k % w] = total / weights
        variance[k // w, k % w] = spread / weights


# -- what moved


@cuda.jit(cache=True)
def cell_costs(now, before, costs):  # type: ignore[no-untyped-def]
    """Sums of squares (PLACES, PLACES, rows, columns) of cells at displacements; borders are repeated."""
    h, w = now.shape
    rows, columns = costs.shape[2], costs.shape[3]
    for k in range(cuda.grid(1), PLACES * PLACES * rows * columns, cuda.gridsize(1)):
        c, r = k % columns, (k // columns) % rows
        dx, dy = (k // (columns * rows)) % PLACES, k // (columns * rows * PLACES)
        total = ZERO
        for y in range(CELL * r, CELL * r + CELL):
            line = min(max(y + dy - REACH, 0), h - 1)
            for x in range(CELL * c, CELL * c + CELL):
                off = now[y, x] - before[line, min(max(x + dx - REACH, 0), w - 1)]
                total += off * off
        costs[dy, dx, r, c] = total


@cuda.jit(device=True, inline="always")
def _cost(costs, dy, dx, r, c):  # type: ignore[no-untyped-def]
    """Of a block of cells around one, with what the distance costs."""
    rows, columns = costs.shape[2], costs.shape[3]
    low, high, left, right = max(r - 1, 0), min(r + 2, rows), max(c - 1, 0), min(c + 2, columns)
    total = ZERO
    for i in range(low, high):
        for j in range(left, right):
            total += costs[dy, dx, i, j]
    share = float32(1.0 / (CELL * CELL * (high - low) * (right - left)))
    far = float32((dy - REACH) * (dy - REACH) + (dx - REACH) * (dx - REACH))
    return share * total + float32(DISTANCE) * far


@cuda.jit(device=True, inline="always")
def _summit(before, here, after):  # type: ignore[no-untyped-def]
    """Where the parabola through three values is least, within half a step."""
    bend = before - float32(2) * here + after
    if not bend > 1e-9:
        return 0.0
    return min(max(0.5 * float64(before - after) / float64(bend), -0.5), 0.5)


@cuda.jit(cache=True)
def best(costs, found):  # type: ignore[no-untyped-def]
    """Displacement (2, rows, columns) of each cell, 0 where it rests."""
    rows, columns = costs.shape[2], costs.shape[3]
    for k in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
        r, c = k // columns, k % columns
        rest = _cost(costs, REACH, REACH, r, c)
        y, x, least = REACH, REACH, rest
        for dy in range(PLACES):
            for dx in range(PLACES):
                cost = _cost(costs, dy, dx, r, c)
                if cost < least:
                    y, x, least = dy, dx, cost
        found[0, r, c], found[1, r, c] = ZERO, ZERO
        if rest - least > float32(GAIN):
            down, along = 0.0, 0.0
            if 0 < y < PLACES - 1:
                down = _summit(_cost(costs, y - 1, x, r, c), least, _cost(costs, y + 1, x, r, c))
            if 0 < x < PLACES - 1:
                along = _summit(_cost(costs, y, x - 1, r, c), least, _cost(costs, y, x + 1, r, c))
            found[0, r, c] = float32(y - REACH + down)
            found[1, r, c] = float32(x - REACH + along)


@cuda.jit(cache=True)
def smooth(found, smoothed):  # type: ignore[no-untyped-def]
    """Cells that move take the mean of those around them that do."""
    rows, columns = found.shape[1], found.shape[2]
    for k in range(cuda.grid(1), rows * columns, cuda.gridsize(1)):
        r, c = k // columns, k % columns
        y, x, n = 0.0, 0.0, 0
        if found[0, r, c] != ZERO or found[1, r, c] != ZERO:
            for i in range(max(r - 1, 0), min(r + 2, rows)):
                for j in range(max(c - 1, 0), min(c + 2, columns)):
                    if found[0, i, j] != ZERO or found[1, i, j] != ZERO:
                        y += float64(found[0, i, j])
                        x += float64(found[1, i, j])
                        n += 1
        smoothed[0, r, c] = float32(y / n) if n > 0 else ZERO
        smoothed[1, r, c] = float32(x / n) if n > 0 else ZERO


@cuda.jit(device=True, inline="always")
def _between(cells, axis, y, x):  # type: ignore[no-untyped-def]
    """The displacement of a pixel, between those of the cells around it."""
    rows, columns = cells.shape[1], cells.shape[2]
    v = min(max((y + 0.5) / CELL - 0.5, 0.0), rows - 1.0)
    u = min(max((x + 0.5) / CELL - 0.5, 0.0), columns - 1.0)
    r, c = min(int(v), max(rows - 2, 0)), min(int(u), max(columns - 2, 0))
    below, beside = min(r + 1, rows - 1), min(c + 1, columns - 1)
    fy, fx = float32(v - r), float32(u - c)
    top = cells[axis, r, c] + fx * (cells[axis, r, beside] - cells[axis, r, c])
    bottom = cells[axis, below, c] + fx * (cells[axis, below, beside] - cells[axis, below, c])
    return top + fy * (bottom - top)


@cuda.jit(device=True, inline="always")
def _tap(t, k):  # type: ignore[no-untyped-def]
    """Weight of the pixel k - 1 for a place t in 0..1: cubic convolution."""
    if k == 0:
        return t * (-0.5 + t * (1 - 0.5 * t))
    if k == 1:
        return 1 + t * t * (1.5 * t - 2.5)
    if k == 2:
        return t * (0.5 + t * (2 - 1.5 * t))
    return t * t * (0.5 * t - 0.5)


@cuda.jit(device=True, inline="always")
def _at(planes, n, y, x, dy, dx):  # type: ignore[no-untyped-def]
    """A plane at (y + dy, x + dx)."""
    if dy == ZERO and dx == ZERO:
        return planes[n, y, x]
    h, w = planes.shape[1], planes.shape[2]
    v = min(max(y + float64(dy), 0.0), h - 1.0)
    u = min(max(x + float64(dx), 0.0), w - 1.0)
    r, c = int(v), int(u)
    total = 0.0
    for i in range(4):
        line, row = 0.0, min(max(r - 1 + i, 0), h - 1)
        for j in range(4):
            line += _tap(u - c, j) * float64(planes[n, row, min(max(c - 1 + j, 0), w - 1)])
        total += _tap(v - r, i) * line
    return float32(total)


@cuda.jit(cache=True)
def move(planes, cells, out):  # type: ignore[no-untyped-def]
    """All planes at ``pixel + displacement``, by the cells' displacements."""
    count, h, w = planes.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        dy, dx = _between(cells, 0, y, x), _between(cells, 1, y, x)
        for n in range(count):
            out[n, y, x] = _at(planes, n, y, x, dy, dx)


@cuda.jit(cache=True)
def move_by(planes, dy, dx, out):  # type: ignore[no-untyped-def]
    """All planes at ``pixel + (dy, dx)``."""
    count, h, w = planes.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        for n in range(count):
            out[n, k // w, k % w] = _at(planes, n, k // w, k % w, dy, dx)


@cuda.jit(cache=True)
def squares(one, other, sums):  # type: ignore[no-untyped-def]
    """Sums of the squares of differences, one a block."""
    h, w = one.shape
    me = cuda.threadIdx.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    total = 0.0
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        off = one[k // w, k % w] - other[k // w, k % w]
        total += float64(off * off)
    found = _total(total, shared, me)
    if me == 0:
        sums[cuda.blockIdx.x] = found
