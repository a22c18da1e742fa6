"""Detection on a device, the part that looks at frames: background, scaling, Gaussians, noise, peaks.

The functions of `kernels.tracking.backgrounds`, `scales` and `peaks`: a thread for each pixel, a block for
each cell or row. What a kernel finds out for the next one stays on the device, in ``state`` and ``counts``.
Peaks come in reading order, however many blocks there are: sums and lists depend on no order of threads; the
histogram of whole numbers, which any order gives alike, is the one that is made by atomics.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64, int32, int64

from ..tracking.backgrounds import FLOOR as FLOOR_SHARE
from ..tracking.detect import NOTHING as NOTHING_SHARE
from ..tracking.peaks import BINS, MEDIAN
from .block_sums import block_total as _total

MAX_THREADS = 256
"""Of a block; a power of two."""
LEVEL, FLOOR, NOTHING, INVALID, SPREADS = 0, 1, 2, 3, 4
"""Places of the state, float64: mean magnitude of the background, the least that is taken for one, noise that
is none, pixels that are not finite, and from there on the noise after each Gaussian."""
FULL = 0
"""Place of the counts, int32: whether there were more peaks than room; behind it the particles after each
search."""
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
HUGE = np.float32(1e30)
BARS = BINS + 1


@cuda.jit(cache=True)
def cells(frame, cell, means, weights):  # type: ignore[no-untyped-def]
    """`backgrounds.cell_means`: a block for each cell."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    h, w = frame.shape
    ny, nx = means.shape
    for one in range(cuda.blockIdx.x, ny * nx, cuda.gridDim.x):
        cy, cx = one // nx, one % nx
        top, left = cy * cell, cx * cell
        tall = (h if cy == ny - 1 else top + cell) - top
        across = (w if cx == nx - 1 else left + cell) - left
        part, good = 0.0, 0.0
        for k in range(me, tall * across, wide):
            value = frame[top + k // across, left + k % across]
            if math.isfinite(value):
                part += float64(value)
                good += 1.0
        total, pixels = _total(part, shared, me), _total(good, shared, me)
        if me == 0:
            means[cy, cx] = float32(total / max(pixels, 1.0))
            weights[cy, cx] = float32(pixels)


@cuda.jit(cache=True)
def smooth(means, weights, reach, out):  # type: ignore[no-untyped-def]
    """`backgrounds.smooth_cells`."""
    ny, nx = means.shape
    for one in range(cuda.grid(1), ny * nx, cuda.gridsize(1)):
        y, x = one // nx, one % nx
        tall, wide = max(min(reach, y, ny - 1 - y), 1), max(min(reach, x, nx - 1 - x), 1)
        total, weight = ZERO, ZERO
        for j in range(max(y - tall, 0), min(y + tall + 1, ny)):
            for i in range(max(x - wide, 0), min(x + wide + 1, nx)):
                total += means[j, i] * weights[j, i]
                weight += weights[j, i]
        out[y, x] = total / weight if weight > ZERO else ZERO


@cuda.jit(cache=True)
def settle(background, weights, pixels, state, counts):  # type: ignore[no-untyped-def]
    """What the background says of the whole frame, by one block; no particles yet."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    ny, nx = background.shape
    part, good = 0.0, 0.0
    for one in range(me, ny * nx, wide):
        part += abs(float64(background[one // nx, one % nx]))
        good += float64(weights[one // nx, one % nx])
    level = _total(part, shared, me) / (ny * nx)
    known = _total(good, shared, me)
    if me == 0:
        state[LEVEL] = level
        state[FLOOR] = max(level * FLOOR_SHARE, 1e-6)
        state[NOTHING] = NOTHING_SHARE * math.sqrt(max(level, state[FLOOR]))
        state[INVALID] = pixels - known
    for k in range(me, counts.shape[0], wide):
        counts[k] = 0


@cuda.jit(device=True, inline="always")
def _first(place, cell, n):  # type: ignore[no-untyped-def]
    """The cell before a pixel, of n."""
    at = int64((place - HALF * float32(cell - 1)) / float32(cell))
    return min(max(at, 0), max(n - 2, 0))


@cuda.jit(device=True, inline="always")
def _part(place, cell, n):  # type: ignore[no-untyped-def]
    """How far a pixel is from that cell to the next."""
    if n < 2:
        return ZERO
    return (place - HALF * float32(cell - 1)) / float32(cell) - float32(_first(place, cell, n))


@cuda.jit(device=True, inline="always")
def _along(background, row, x, cell):  # type: ignore[no-untyped-def]
    """A row of the background at a column of pixels."""
    n = background.shape[1]
    left = _first(x, cell, n)
    low = background[row, left]
    return low + _part(x, cell, n) * (background[row, min(left + 1, n - 1)] - low)


@cuda.jit(device=True, inline="always")
def level_at(background, y, x, cell):  # type: ignore[no-untyped-def]
    """Background at a place, float32."""
    n = background.shape[0]
    top = _first(y, cell, n)
    above = _along(background, top, x, cell)
    return above + _part(y, cell, n) * (_along(background, min(top + 1, n - 1), x, cell) - above)


@cuda.jit(cache=True)
def scale(frame, background, cell, sign, state, out):  # type: ignore[no-untyped-def]
    """`backgrounds.scale_frame`."""
    h, w = frame.shape
    ny = background.shape[0]
    floor = float32(state[FLOOR])
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = float32(k // w), float32(k % w)
        top, part = _first(y, cell, ny), _part(y, cell, ny)
        above = _along(background, top, x, cell)
        below = _along(background, min(top + 1, ny - 1), x, cell)
        root, next_root = ONE / math.sqrt(max(above, floor)), ONE / math.sqrt(max(below, floor))
        share = min(max(part, ZERO), ONE)
        level = above + part * (below - above)
        value = sign * (frame[k // w, k % w] - level) * (root + share * (next_root - root))
        out[k // w, k % w] = value if abs(value) < HUGE else ZERO


@cuda.jit(cache=True)
def subtract(values, shift, cell):  # type: ignore[no-untyped-def]
    """`backgrounds.subtract_cells`."""
    h, w = values.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        values[k // w, k % w] -= level_at(shift, float32(k // w), float32(k % w), cell)


@cuda.jit(cache=True)
def halve(values, out):  # type: ignore[no-untyped-def]
    """`scales.halve`."""
    h, w = out.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = 2 * (k // w), 2 * (k % w)
        total = values[y, x] + values[y, x + 1] + values[y + 1, x] + values[y + 1, x + 1]
        out[k // w, k % w] = HALF * total


@cuda.jit(cache=True)
def down(values, taps, out):  # type: ignore[no-untyped-def]
    """The columns' half of `scales.blur`."""
    h, w = values.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        total = taps[0] * values[y, x]
        for i in range(1, taps.shape[0]):
            up = values[y - i, x] if y >= i else ZERO
            low = values[y + i, x] if y + i < h else ZERO
            total += taps[i] * (up + low)
        out[y, x] = total


@cuda.jit(cache=True)
def across(values, taps, out):  # type: ignore[no-untyped-def]
    """The rows' half of `scales.blur`."""
    h, w = values.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        y, x = k // w, k % w
        total = taps[0] * values[y, x]
        for i in range(1, taps.shape[0]):
            left = values[y, x - i] if x >= i else ZERO
            right = values[y, x + i] if x + i < w else ZERO
            total += taps[i] * (left + right)
        out[y, x] = total


@cuda.jit(cache=True)
def spread(response, white, state, place):  # type: ignore[no-untyped-def]
    """`peaks.spread_of` in that of white noise, by one block; 0 where nothing varies."""
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    bars = cuda.shared.array(BARS, int32)
    h, w = response.shape
    stride = 4 if h * w > 4096 else 1
    rows, columns = (h + stride - 1) // stride, (w + stride - 1) // stride
    part = 0.0
    for k in range(me, rows * columns, wide):
        part += abs(float64(response[k // columns * stride, k % columns * stride]))
    for k in range(me, BARS, wide):
        bars[k] = 0
    total, n = _total(part, shared, me), rows * columns
    if not total > 0.0:
        if me == 0:
            state[place] = 0.0
        return
    factor = BINS / 2 * n / total
    for k in range(me, n, wide):
        at = abs(float64(response[k // columns * stride, k % columns * stride])) * factor
        cuda.atomic.add(bars, int32(min(at, float64(BINS))), 1)
    cuda.syncthreads()
    if me == 0:
        below, k = 0, 0
        while 2 * (below + bars[k]) < n:
            below += bars[k]
            k += 1
        found = (k + (0.5 * n - below) / max(bars[k], 1)) / factor / MEDIAN / white
        state[place] = found if found > state[NOTHING] else 0.0


@cuda.jit(cache=True)
def crests(response, sign, factor, reach, state, place, marks, rows):  # type: ignore[no-untyped-def]
    """The peaks of `peaks.local_maxima` as 1 in ``marks`` (h, w) uint8, and how many each row has.

    A block for each row; ``factor`` times the noise is the least height. Without noise there are none.
    """
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    h, w = response.shape
    least, is_alive = float32(factor * state[place]), state[place] > 0.0
    for y in range(cuda.blockIdx.x, h, cuda.gridDim.x):
        found = 0.0
        for x in range(me, w, wide):
            value, mark = sign * response[y, x], 0
            if is_alive and value > least:
                mark = 1
                for j in range(max(y - reach, 0), min(y + reach + 1, h)):
                    for i in range(max(x - reach, 0), min(x + reach + 1, w)):
                        other = sign * response[j, i]
                        if other > value or (other == value and (j < y or (j == y and i < x))):
                            mark = 0
                            break
                    if mark == 0:
                        break
            marks[y, x] = mark
            found += mark
        total = _total(found, shared, me)
        if me == 0:
            rows[y] = int32(total)


@cuda.jit(device=True, inline="always")
def _vertex(before, middle, after):  # type: ignore[no-untyped-def]
    """Place of a parabola's vertex, within half a pixel."""
    bend = float64(before) - 2.0 * float64(middle) + float64(after)
    if bend >= 0.0:
        return 0.0
    return min(max(0.5 * (float64(before) - float64(after)) / bend, -0.5), 0.5)


@cuda.jit(cache=True)
def gather(  # type: ignore[no-untyped-def]
    response, sign, size, tall, white, log_radius, marks, rows, counts, before, particles, gains, moved
):
    """Particles at the peaks, behind the ``counts[before]`` that there are, in reading order.

    ``size``: pixels of the frame in one of the response; ``tall``: height of a response of 1. A block for
    each row.
    """
    me, wide = cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    h, w = response.shape
    room, first = particles.shape[0], counts[before]
    for y in range(cuda.blockIdx.x, h, cuda.gridDim.x):
        part = 0.0
        for j in range(me, y, wide):
            part += rows[j]
        at = first + int32(_total(part, shared, me))
        if y == h - 1 and me == 0:
            after = at + rows[y]
            counts[before + 1] = min(after, room)
            if after >= room:
                counts[FULL] = 1
        if rows[y] == 0 or at >= room:
            continue
        each = (w + wide - 1) // wide  # a run of pixels for each thread: so peaks stay in order
        start, stop = me * each, min((me + 1) * each, w)
        own = 0
        for x in range(start, stop):
            own += marks[y, x]
        shared[me] = own
        cuda.syncthreads()
        for other in range(me):
            at += int32(shared[other])
        cuda.syncthreads()
        for x in range(start, stop):
            if marks[y, x] == 0 or at >= room:
                continue
            value, py, px = sign * response[y, x], float64(y), float64(x)
            if 0 < y < h - 1:
                py += _vertex(sign * response[y - 1, x], value, sign * response[y + 1, x])
            if 0 < x < w - 1:
                px += _vertex(sign * response[y, x - 1], value, sign * response[y, x + 1])
            particles[at, 0] = (py + 0.5) * size - 0.5
            particles[at, 1] = (px + 0.5) * size - 0.5
            particles[at, 2] = float64(sign * value) * tall
            particles[at, 3] = log_radius
            gains[at] = (float64(value) / white) ** 2
            moved[at] = ONE
            at += 1


@cuda.jit(cache=True)
def rounded(values, factor, out):  # type: ignore[no-untyped-def]
    """`backgrounds.rounded`."""
    h, w = values.shape
    for k in range(cuda.grid(1), h * w, cuda.gridsize(1)):
        value = min(max(factor * values[k // w, k % w], -float32(127)), float32(127))
        out[k // w, k % w] = int32(value + HALF if value > ZERO else value - HALF)
