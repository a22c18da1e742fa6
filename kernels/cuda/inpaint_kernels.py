"""The functions of `kernels.inpaint.descent` for a device: a thin plate by conjugate gradients.

The same plate (`stencils`), the same grids and the same preconditioner, all channels in one launch: a block's
second index is its channel. An iteration is `turn`, `step`, one `shrink` and one `correct` for each large
grid, and `bottom` for all the small ones. A direction is made and bent in one launch: each block makes that
of its tile and of two pixels around it. No atomics: blocks write their sums down, and whoever needs a total
adds them up in one order, so that equal samples give equal images.

``planes`` (5, c, ny nx) float32 are an image each. ``pyramid`` (c + 2, cells) float32 has in each row the
grids of ``table`` (`grids.grids`, with the image itself as level 0) one after the other:

- row c of each channel: at first the matrix times the direction, then the residual on all grids, then its
  corrections;
- row SOFT: how far pixels follow a bend (t of `descent`), and 1 / d of the coarse grids;
- row WEIGHT: visits.

``sums`` (c, rows, blocks) float64 and ``state`` (c, 10) float64 as named below.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64

from ..inpaint.descent import SPLINE, STIFF, STIFFEST
from ..inpaint.stencils import FULL
from . import inpaint_grids as grids
from .block_sums import block_total as _total
from .inpaint_grids import SOFT, WEIGHT

MAX_THREADS = 256
"""Of a block; a power of two."""
MAX_BLOCKS = 512
"""Of a channel: about four for each multiprocessor of a large device; every block adds up as many sums."""
ROWS, COLUMNS = 16, 32
"""Of a tile: two pixels a thread, and 256 x 256 are 128 tiles, one for each multiprocessor."""
HALO = 2
TILE = (ROWS + 2 * HALO, COLUMNS + 2 * HALO)

IMAGE, RESIDUAL, DIRECTION, OTHER, DATA = range(5)
"""Planes; directions take turns between two, since neighbours read the old one."""
WEIGHTS, VALUES, SQUARES, ENERGY, PULLED, FREED = range(6)
"""Rows of the sums; after the last one those of the large coarse grids, which r z is made of."""
TOTAL, MEAN, SPREAD, SCALE, ENOUGH, RZ, BETA, ALPHA, RUNNING, DONE = range(10)
"""Columns of the state."""

ZERO, ONE, QUARTER = np.float32(0), np.float32(1), np.float32(0.25)
PER_FULL = np.float32(1 / FULL)


@cuda.jit(device=True, inline="always")
def _all_of(sums, c, row, shared, me):  # type: ignore[no-untyped-def]
    """What all blocks of the launch before have written down."""
    part = 0.0
    for block in range(me, sums.shape[2], cuda.blockDim.x):
        part += sums[c, row, block]
    return _total(part, shared, me)


@cuda.jit(device=True, inline="always")
def _note(part, sums, c, row, shared, me):  # type: ignore[no-untyped-def]
    """Write down this block's sum."""
    found = _total(part, shared, me)
    if me == 0:
        sums[c, row, cuda.blockIdx.x] = found


@cuda.jit(device=True, inline="always")
def _spring(weight, pull):  # type: ignore[no-untyped-def]
    return min(pull * weight, STIFFEST)


@cuda.jit(device=True, inline="always")
def _loose(weight, pull):  # type: ignore[no-untyped-def]
    """How far a pixel follows a bend; ``pull`` 0 means pinned."""
    if pull == ZERO:
        return ZERO if weight > ZERO else ONE
    return STIFF / (STIFF + _spring(weight, pull))


# -- samples


@cuda.jit(cache=True)
def sift(planes, pyramid):  # type: ignore[no-untyped-def]
    """No weight where it is negative or not finite, or where a channel's value is not finite."""
    row = pyramid.shape[0] + WEIGHT
    for k in range(cuda.grid(1), planes.shape[2], cuda.gridsize(1)):
        weight = pyramid[row, k]
        good = math.isfinite(weight) and weight > ZERO
        for c in range(planes.shape[1]):
            good = good and math.isfinite(planes[DATA, c, k])
        if not good:
            pyramid[row, k] = ZERO


@cuda.jit(cache=True)
def add_up(planes, pyramid, sums):  # type: ignore[no-untyped-def]
    """Sums of the weights and of the weighted values."""
    c, me = cuda.blockIdx.y, cuda.threadIdx.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    row = pyramid.shape[0] + WEIGHT
    weights, values = 0.0, 0.0
    for k in range(cuda.grid(1), planes.shape[2], cuda.gridsize(1)):
        weight = float64(pyramid[row, k])
        if weight > 0.0:
            weights += weight
            values += weight * float64(planes[DATA, c, k])
    _note(weights, sums, c, WEIGHTS, shared, me)
    _note(values, sums, c, VALUES, shared, me)


@cuda.jit(cache=True)
def scatter(planes, pyramid, sums, state):  # type: ignore[no-untyped-def]
    """Mean, and the sum of the weighted squares about it."""
    c, me = cuda.blockIdx.y, cuda.threadIdx.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    row = pyramid.shape[0] + WEIGHT
    total = _all_of(sums, c, WEIGHTS, shared, me)
    mean = _all_of(sums, c, VALUES, shared, me) / (total if total > 0.0 else 1.0)
    squares = 0.0
    for k in range(cuda.grid(1), planes.shape[2], cuda.gridsize(1)):
        weight = float64(pyramid[row, k])
        if weight > 0.0:
            off = float64(planes[DATA, c, k]) - mean
            squares += weight * off * off
    _note(squares, sums, c, SQUARES, shared, me)
    if me == 0 and cuda.blockIdx.x == 0:
        state[c, TOTAL], state[c, MEAN] = total, mean


@cuda.jit(cache=True)
def prepare(planes, pyramid, sums, state, pull, is_warm):  # type: ignore[no-untyped-def]
    """Deviations in units of their spread: the start, and the samples as residual and on level 0."""
    c, me = cuda.blockIdx.y, cuda.threadIdx.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    row = pyramid.shape[0] + WEIGHT
    mean, total = state[c, MEAN], state[c, TOTAL]
    spread = math.sqrt(_all_of(sums, c, SQUARES, shared, me) / (total if total > 0.0 else 1.0))
    per_spread = 1.0 / spread if spread > 0.0 else 0.0
    energy = 0.0
    for k in range(cuda.grid(1), planes.shape[2], cuda.gridsize(1)):
        weight = pyramid[row, k]
        known = weight > ZERO
        target = float32((float64(planes[DATA, c, k]) - mean) * per_spread) if known else ZERO
        start = float32((float64(planes[IMAGE, c, k]) - mean) * per_spread) if is_warm else ZERO
        pinned = known and pull == ZERO
        planes[IMAGE, c, k] = target if pinned else start
        planes[RESIDUAL, c, k] = target
        pyramid[c, k] = target
        held = STIFF if pinned else _spring(weight, pull) * _loose(weight, pull)
        energy += float64(held * target * target)
    _note(energy, sums, c, ENERGY, shared, me)
    if me == 0 and cuda.blockIdx.x == 0:
        state[c, SPREAD], state[c, RUNNING] = spread, 1.0


@cuda.jit(cache=True)
def finish(planes, pyramid, state, pull):  # type: ignore[no-untyped-def]
    """The image in the unit of the samples; NaN without any, pinned ones as they came."""
    c, row = cuda.blockIdx.y, pyramid.shape[0] + WEIGHT
    mean = state[c, MEAN] if state[c, TOTAL] > 0.0 else math.nan
    for k in range(cuda.grid(1), planes.shape[2], cuda.gridsize(1)):
        if pull == ZERO and pyramid[row, k] > ZERO:
            planes[IMAGE, c, k] = planes[DATA, c, k]
        else:
            planes[IMAGE, c, k] = float32(mean + state[c, SPREAD] * float64(planes[IMAGE, c, k]))


# -- grids


@cuda.jit(cache=True)
def shrink(pyramid, table, level, sums, state):  # type: ignore[no-untyped-def]
    """The residual on a large coarse grid, and its part of r z."""
    c, me = cuda.blockIdx.y, cuda.threadIdx.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    if state[c, RUNNING] > 0.0:
        found = grids.shrink_to(pyramid, table, level, c, cuda.grid(1), cuda.gridsize(1))
        _note(found, sums, c, FREED + level, shared, me)


@cuda.jit(cache=True)
def correct(pyramid, table, level, state):  # type: ignore[no-untyped-def]
    """The corrections of a large coarse grid."""
    if state[cuda.blockIdx.y, RUNNING] > 0.0:
        grids.correct_on(pyramid, table, level, cuda.blockIdx.y, cuda.grid(1), cuda.gridsize(1))


@cuda.jit(cache=True)
def take_up(pyramid, n, pull):  # type: ignore[no-untyped-def]
    """What each pixel's spring takes up of a bend, into level 0 of the row SOFT."""
    soft, row = pyramid.shape[0] + SOFT, pyramid.shape[0] + WEIGHT
    for k in range(cuda.grid(1), n, cuda.gridsize(1)):
        loose = _loose(pyramid[row, k], pull)
        stiff = STIFF * (ONE - loose) if pull == ZERO else _spring(pyramid[row, k], pull) * loose
        pyramid[soft, k] = stiff


@cuda.jit(cache=True)
def gather(pyramid, table, first, last):  # type: ignore[no-untyped-def]
    """Levels ``first`` to ``last`` of the row SOFT, each from the one before; of several by one block."""
    for level in range(first, last + 1):
        soft = pyramid.shape[0] + SOFT
        grids.shrink_to(pyramid, table, level, soft, cuda.grid(1), cuda.gridsize(1))
        cuda.syncthreads()


@cuda.jit(cache=True)
def soften(pyramid, table, pull):  # type: ignore[no-untyped-def]
    """The row SOFT: t of the pixels, and 1 / d of cells from what their springs take up."""
    soft, row, n = pyramid.shape[0] + SOFT, pyramid.shape[0] + WEIGHT, table[0, 1] * table[0, 2]
    for k in range(cuda.grid(1), pyramid.shape[1], cuda.gridsize(1)):
        if k < n:
            pyramid[soft, k] = _loose(pyramid[row, k], pull)
        else:
            bend = SPLINE
            for level in range(1, table.shape[0]):
                if table[level, 0] <= k:
                    bend *= QUARTER
            pyramid[soft, k] = ONE / (pyramid[soft, k] + bend)


@cuda.jit(cache=True)
def push(pyramid, table, level):  # type: ignore[no-untyped-def]
    """Push-pull, down: weighted means of 2 x 2 of the level before."""
    c, weights = cuda.blockIdx.y, pyramid.shape[0] + WEIGHT
    start, ny, nx = table[level, 0], table[level, 1], table[level, 2]
    fine, fine_ny, fine_nx = table[level - 1, 0], table[level - 1, 1], table[level - 1, 2]
    for k in range(cuda.grid(1), ny * nx, cuda.gridsize(1)):
        total, values = 0.0, 0.0
        for y in range(2 * (k // nx), min(2 * (k // nx) + 2, fine_ny)):
            for x in range(2 * (k % nx), min(2 * (k % nx) + 2, fine_nx)):
                weight = float64(pyramid[weights, fine + y * fine_nx + x])
                total += weight
                values += weight * float64(pyramid[c, fine + y * fine_nx + x])
        pyramid[c, start + k] = float32(values / (total if total > 0.0 else 1.0))
        if c == 0:
            pyramid[weights, start + k] = float32(total)


@cuda.jit(cache=True)
def pull_up(planes, pyramid, table, level, softness):  # type: ignore[no-untyped-def]
    """Push-pull, up: each cell's own mean as far as its weight goes, else the coarser grid; at level 0 into
    the image."""
    c, weights = cuda.blockIdx.y, pyramid.shape[0] + WEIGHT
    start, ny, nx = table[level, 0], table[level, 1], table[level, 2]
    above, rows, columns = table[level + 1, 0], table[level + 1, 1], table[level + 1, 2]
    for k in range(cuda.grid(1), ny * nx, cuda.gridsize(1)):
        value = grids.expanded(pyramid, c, above, rows, columns, k // nx, k % nx)
        weight = pyramid[weights, start + k]
        if weight > ZERO:
            own, share = pyramid[c, start + k], weight / (weight + softness)
            value = own if share == ONE else value + share * (own - value)
        if level > 0:
            pyramid[c, start + k] = value
        else:
            planes[IMAGE, c, k] = value


# -- the plate


@cuda.jit(device=True, inline="always")
def _ghosts(tile, x0, nx, me):  # type: ignore[no-untyped-def]
    """Continue the rows of a tile straight on beyond the image, as `stencils.set_ghosts`."""
    last = nx - 1 - x0 + HALO
    for r in range(me, ROWS + 2 * HALO, cuda.blockDim.x):
        if x0 == 0:
            before = tile[r, HALO] - tile[r, HALO + 1] if nx > 1 else ZERO
            tile[r, 1] = tile[r, HALO] + before
            tile[r, 0] = tile[r, HALO] + before + before
        if last + 1 < COLUMNS + 2 * HALO:
            after = tile[r, last] - tile[r, last - 1] if nx > 1 else ZERO
            tile[r, last + 1] = tile[r, last] + after
            if last + 2 < COLUMNS + 2 * HALO:
                tile[r, last + 2] = tile[r, last] + after + after


@cuda.jit(device=True, inline="always")
def _bent(tile, r, s, terms, i, j, nx, tension):  # type: ignore[no-untyped-def]
    """Pixel (i, j) of E times the plate in a tile, which has it at (r, s): `stencils.bend_row`."""
    t1, u1 = terms[i, 3], terms[i, 5]
    value = terms[i, 0] * tile[r, s] + terms[i, 1] * (tile[r, s - 1] + tile[r, s + 1])
    value += terms[i, 2] * tile[r - 1, s] + t1 * (tile[r - 1, s - 1] + tile[r - 1, s + 1])
    value += terms[i, 4] * tile[r + 1, s] + u1 * (tile[r + 1, s - 1] + tile[r + 1, s + 1])
    value += terms[i, 6] * tile[r - 2, s] + terms[i, 7] * tile[r + 2, s]
    value += tile[r, s - 2] + tile[r, s + 2]
    if nx > 1 and (j == 0 or j == nx - 1):
        inner = s + 1 if j == 0 else s - 1
        value += (t1 + u1 + tension) * (tile[r, s] - tile[r, inner])
        value -= t1 * (tile[r - 1, s] - tile[r - 1, inner]) + u1 * (tile[r + 1, s] - tile[r + 1, inner])
    return value


@cuda.jit(cache=True)
def hold(planes, pyramid, table, terms, pull, tension):  # type: ignore[no-untyped-def]
    """The residual of the image that is there, from what samples want: `descent.begin`."""
    c, me = cuda.blockIdx.y, cuda.threadIdx.x
    tile = cuda.shared.array(TILE, float32)
    ny, nx, row = table[0, 1], table[0, 2], pyramid.shape[0] + WEIGHT
    across, width = (nx + COLUMNS - 1) // COLUMNS, COLUMNS + 2 * HALO
    for at in range(cuda.blockIdx.x, across * ((ny + ROWS - 1) // ROWS), cuda.gridDim.x):
        y0, x0 = at // across * ROWS, at % across * COLUMNS
        for k in range(me, (ROWS + 2 * HALO) * width, cuda.blockDim.x):
            r, s = k // width, k % width
            i, j = y0 + r - HALO, x0 + s - HALO
            inside = i >= 0 and i < ny and j >= 0 and j < nx
            tile[r, s] = planes[IMAGE, c, i * nx + j] if inside else ZERO
        cuda.syncthreads()
        _ghosts(tile, x0, nx, me)
        cuda.syncthreads()
        for k in range(me, ROWS * COLUMNS, cuda.blockDim.x):
            r, s = k // COLUMNS, k % COLUMNS
            i, j = y0 + r, x0 + s
            if i < ny and j < nx:
                place = i * nx + j
                held = _spring(pyramid[row, place], pull) * (
                    planes[RESIDUAL, c, place] - planes[IMAGE, c, place]
                )
                bent = _bent(tile, r + HALO, s + HALO, terms, i, j, nx, tension)
                planes[RESIDUAL, c, place] = held - bent
        cuda.syncthreads()


@cuda.jit(cache=True)
def turn(planes, pyramid, table, terms, sums, state, old, pull, tension):  # type: ignore[no-untyped-def]
    """The next direction p = z + beta p and, on level 0, q = (w + E) p; the sum of p q."""
    c, me = cuda.blockIdx.y, cuda.threadIdx.x
    tile = cuda.shared.array(TILE, float32)
    shared = cuda.shared.array(MAX_THREADS, float64)
    if not state[c, RUNNING] > 0.0:
        return
    beta, new, pq = float32(state[c, BETA]), DIRECTION + OTHER - old, 0.0
    ny, nx, last = table[0, 1], table[0, 2], table.shape[0] - 1
    soft, row = pyramid.shape[0] + SOFT, pyramid.shape[0] + WEIGHT
    above, rows, columns = table[min(1, last), 0], table[min(1, last), 1], table[min(1, last), 2]
    across, width = (nx + COLUMNS - 1) // COLUMNS, COLUMNS + 2 * HALO
    for at in range(cuda.blockIdx.x, across * ((ny + ROWS - 1) // ROWS), cuda.gridDim.x):
        y0, x0 = at // across * ROWS, at % across * COLUMNS
        for k in range(me, (ROWS + 2 * HALO) * width, cuda.blockDim.x):
            r, s = k // width, k % width
            i, j = y0 + r - HALO, x0 + s - HALO
            value = ZERO
            if i >= 0 and i < ny and j >= 0 and j < nx:
                place = i * nx + j
                value = planes[RESIDUAL, c, place] * PER_FULL
                if last > 0:
                    value += grids.expanded(pyramid, c, above, rows, columns, i, j)
                value *= pyramid[soft, place]
                if beta != ZERO:
                    value += beta * planes[old, c, place]
                if r >= HALO and r < ROWS + HALO and s >= HALO and s < COLUMNS + HALO:
                    planes[new, c, place] = value
            tile[r, s] = value
        cuda.syncthreads()
        _ghosts(tile, x0, nx, me)
        cuda.syncthreads()
        for k in range(me, ROWS * COLUMNS, cuda.blockDim.x):
            r, s = k // COLUMNS, k % COLUMNS
            i, j = y0 + r, x0 + s
            if i < ny and j < nx:
                direction = tile[r + HALO, s + HALO]
                value = _bent(tile, r + HALO, s + HALO, terms, i, j, nx, tension)
                value += _spring(pyramid[row, i * nx + j], pull) * direction
                pyramid[c, i * nx + j] = value
                pq += float64(value * direction)
        cuda.syncthreads()
    _note(pq, sums, c, PULLED, shared, me)


@cuda.jit(cache=True)
def step(planes, pyramid, sums, state, new, is_first):  # type: ignore[no-untyped-def]
    """A step along the direction; what pixels follow of the new residual on level 0, and its part of r z."""
    c, me = cuda.blockIdx.y, cuda.threadIdx.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    if not state[c, RUNNING] > 0.0:
        return
    soft, alpha, free = pyramid.shape[0] + SOFT, ZERO, 0.0
    if not is_first:
        pq = _all_of(sums, c, PULLED, shared, me)
        alpha = float32(state[c, RZ] / pq) if pq > 0.0 else ZERO
    for k in range(cuda.grid(1), planes.shape[2], cuda.gridsize(1)):
        left = planes[RESIDUAL, c, k]
        if alpha != ZERO:
            planes[IMAGE, c, k] += alpha * planes[new, c, k]
            left -= alpha * pyramid[c, k]
            planes[RESIDUAL, c, k] = left
        held = pyramid[soft, k] * left
        pyramid[c, k] = held
        free += float64(held * left)
    _note(free / FULL, sums, c, FREED, shared, me)
    if me == 0 and cuda.blockIdx.x == 0:
        state[c, ALPHA] = float64(alpha)


@cuda.jit(cache=True)
def bottom(pyramid, table, first, sums, state, is_first, share):  # type: ignore[no-untyped-def]
    """All small grids, from level ``first`` on, by one block; then r z, and whether it is enough.

    At the first call that is r z below ``share`` times the energy of the samples.
    """
    c, me, threads = cuda.blockIdx.y, cuda.threadIdx.x, cuda.blockDim.x
    shared = cuda.shared.array(MAX_THREADS, float64)
    if not state[c, RUNNING] > 0.0:
        return
    rz = 0.0
    for level in range(first, table.shape[0]):
        rz += grids.shrink_to(pyramid, table, level, c, me, threads)
        cuda.syncthreads()
    rz = _total(rz, shared, me)
    for level in range(first):
        rz += _all_of(sums, c, FREED + level, shared, me)
    energy = _all_of(sums, c, ENERGY, shared, me)
    for level in range(table.shape[0] - 1, first - 1, -1):
        grids.correct_on(pyramid, table, level, c, me, threads)
        cuda.syncthreads()
    if me == 0:
        went = state[c, ALPHA] != 0.0
        if is_first:
            state[c, SCALE], state[c, ENOUGH] = energy, share * energy
        state[c, BETA] = rz / state[c, RZ] if went else 0.0
        state[c, DONE] = state[c, DONE] + 1.0 if went else 0.0 if is_first else state[c, DONE]
        state[c, RZ] = rz
        if not (rz > state[c, ENOUGH] and (went or is_first)):
            state[c, RUNNING] = 0.0
