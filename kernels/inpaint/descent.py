"""Conjugate gradients for a thin plate held by springs, in two passes over the image an iteration.

Solves (w + E) u = w y: E of `stencils`, w the samples' weights in units of the plate's stiffness; a pinned
sample is a spring that does not give. Knows arrays of deviations of the order of 1; no units, no budget.

The preconditioner is a multilevel one (Bramble, Pasciak & Xu, Math. Comp. 55 (1990) 1): the residual is
looked at on all grids of `grids`, divided by what a cell of each resists, and added up,

    z = t (r / 20 + P z1),    t = 20 / (20 + w),    z1 = P' t r / d1 + P z2, ...

where t says how far a pixel follows a bend of the coarse grid: the least energy of one pixel between its
spring and its neighbours; pinned pixels do not follow (t = 0). d is the energy of a cell's spline,
8.6 / 4^level (20 for a pixel), plus what its springs take up, w t a pixel (20 if pinned). The number of
iterations then hardly depends on the gaps between samples: 10 % at random, 256 x 256, take 12 instead of 60
to within 0.01 dB; spiral arms with whole corners unknown 60 instead of thousands.

As z is a sum over grids, so is r z, and z itself is never stored: the pass that makes the next direction
reads it from the first coarse grid, row by row, on its way through the stencil.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from .grids import Grids, cells, expand_row, grid, grids, shrink, shrink_row
from .stencils import FULL, GHOSTS, bend_row, row_terms, set_ghosts

Floats = npt.NDArray[np.float32]

STIFF = np.float32(FULL)
SPLINE = np.float32(8.6)
"""Bending energy of a quadratic B-spline of cells of one pixel."""
STIFFEST = np.float32(1e9)
"""Spring beyond which float32 sees no difference to a pin."""
SUMS = {"reassoc", "contract", "nsz"}
"""Sums of a row in as many lanes as the machine has; rows are added up in float64."""


class Plate(NamedTuple):
    """One channel on its way: 26 bytes a pixel beside the weights."""

    image: Floats
    """(ny, nx) the estimate."""
    residual: Floats
    """(ny, nx); of pinned pixels the force that holds them."""
    direction: Floats
    """(ny, nx + 2 GHOSTS)"""
    bent: Floats
    """(ny, nx) the matrix times the direction."""
    loose: Floats
    """(ny, nx) t above."""
    weight: Floats
    """(ny, nx), times ``pull`` = w above."""
    coarse: Floats
    """Residuals, then corrections, of the coarse grids."""
    soft: Floats
    """1 / d above, of the coarse grids."""
    table: Grids
    terms: Floats
    """See `row_terms`."""


def plate(weight: Floats, pull: float, tension: float) -> Plate:
    """A plate held by ``pull`` times the weight at each pixel; infinite: pinned where the weight is > 0."""
    ny, nx = weight.shape
    table = grids((ny, nx))
    planes, rest = _carved(4 * ny * nx, ny * (nx + 2 * GHOSTS), cells(table), cells(table))
    image, residual, bent, loose = planes.reshape(4, ny, nx)
    direction = rest[0].reshape(ny, nx + 2 * GHOSTS)
    terms = row_terms(ny, tension)
    made = Plate(image, residual, direction, bent, loose, weight, rest[1], rest[2], table, terms)
    _loosen(weight, np.float32(pull), loose)
    _soften(made, np.float32(pull))
    return made


def _carved(first: int, *sizes: int) -> tuple[Floats, list[Floats]]:
    """Arrays out of one piece of memory, which the C library keeps when it is freed: from pieces of 1 MB it
    gives pages back, 1 ms for 512 x 512 when they are wanted again."""
    ends = np.cumsum([first, *sizes])
    memory = np.empty(ends[-1], np.float32)
    return memory[:first], [memory[end - size : end] for end, size in zip(ends[1:], sizes, strict=True)]


@njit(nogil=True, cache=True, error_model="numpy")
def _loosen(weight, pull, loose):  # type: ignore[no-untyped-def]
    one, none = np.float32(1), np.float32(0)
    if np.isinf(pull):
        for i in range(weight.shape[0]):
            for j in range(weight.shape[1]):
                loose[i, j] = none if weight[i, j] > 0 else one
        return
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            loose[i, j] = STIFF / (STIFF + min(weight[i, j] * pull, STIFFEST))


@njit(nogil=True, cache=True)
def _take_up(weight, pull, loose, taken):  # type: ignore[no-untyped-def]
    """What each pixel's spring takes up of a bend: w t, 20 where it is pinned, into ``taken``."""
    if np.isinf(pull):
        for i in range(taken.shape[0]):
            for j in range(taken.shape[1]):
                taken[i, j] = STIFF - STIFF * loose[i, j]
        return
    for i in range(taken.shape[0]):
        for j in range(taken.shape[1]):
            taken[i, j] = min(pull * weight[i, j], STIFFEST) * loose[i, j]


@njit(nogil=True, cache=True, error_model="numpy")
def _soften(plate, pull):  # type: ignore[no-untyped-def]
    """1 / d of every cell."""
    table, soft = plate.table, plate.soft
    if not len(table):
        return
    taken = plate.bent
    _take_up(plate.weight, pull, plate.loose, taken)
    shrink(taken, grid(soft, table, 0))
    for level in range(1, len(table)):
        shrink(grid(soft, table, level - 1), grid(soft, table, level))
    bend, end = SPLINE, 0
    for level in range(len(table)):
        bend *= np.float32(0.25)
        start, end = end, end + table[level, 1] * table[level, 2]
        for k in range(start, end):
            soft[k] = np.float32(1) / (soft[k] + bend)


@njit(nogil=True, cache=True)
def begin(plate, pull, tension):  # type: ignore[no-untyped-def]
    """The residual of the image that is there, where it now holds what samples want (finite elsewhere); r z.

    Here and below ``pull`` is 0 for a pinned plate: what holds it needs no arithmetic.
    """
    begin_rows(plate, pull, tension, 0, plate.image.shape[0])
    return _move(plate, np.float32(0))


@njit(nogil=True, cache=True)
def begin_rows(plate, pull, tension, first, stop):  # type: ignore[no-untyped-def]
    """Residuals of a band, of those rows that need no direction of another band's."""
    image, direction = plate.image, plate.direction
    ny, nx = image.shape
    low, high = first + 2 if first > 0 else 0, stop - 2 if stop < ny else ny
    for i in range(first, stop + 2):
        if i < stop:
            for j in range(nx):
                direction[i, j + GHOSTS] = image[i, j]
            set_ghosts(direction, i, nx)
        if low <= i - 2 < high:
            _pull_back(plate, pull, tension, i - 2)


@njit(nogil=True, cache=True)
def begin_seam(plate, pull, tension, at):  # type: ignore[no-untyped-def]
    """Residuals of the four rows around the end of a band, once all directions are there."""
    for k in range(at - 2, at + 2):
        _pull_back(plate, pull, tension, k)


@njit(nogil=True, cache=True)
def _pull_back(plate, pull, tension, k):  # type: ignore[no-untyped-def]
    image, residual, bent, weight = plate.image, plate.residual, plate.bent, plate.weight
    bend_row(plate.direction, k, plate.terms, tension, bent)
    for j in range(image.shape[1]):
        held = min(pull * weight[k, j], STIFFEST) * (residual[k, j] - image[k, j])
        residual[k, j] = held - bent[k, j]


@njit(nogil=True, cache=True)
def descend(plate, pull, tension, rz, beta, iterations, enough):  # type: ignore[no-untyped-def]
    """Up to so many iterations, until r z is ``enough``; (done, r z, beta of the next direction)."""
    done = 0
    while done < iterations and rz > enough:
        pq = _turn(plate, pull, tension, np.float32(beta))
        if not pq > 0:
            break
        after = _move(plate, np.float32(rz / pq))
        done += 1
        beta, rz = after / rz, after
    return done, rz, beta


@njit(nogil=True, cache=True)
def _turn(plate, pull, tension, beta):  # type: ignore[no-untyped-def]
    """The next direction p = z + beta p, and q = (w + E) p two rows behind; p q."""
    ny = plate.image.shape[0]
    sums = np.empty(ny)
    turn_rows(plate, pull, tension, beta, 0, ny, sums)
    return total_of(sums)


@njit(nogil=True, cache=True)
def turn_rows(plate, pull, tension, beta, first, stop, sums):  # type: ignore[no-untyped-def]
    """`_turn` for a band: directions of its rows, q of those that need no direction of another band's."""
    residual, loose, direction, bent = plate.residual, plate.loose, plate.direction, plate.bent
    terms, weight, table = plate.terms, plate.weight, plate.table
    ny, nx = residual.shape
    mix, row = np.empty(nx + 3, np.float32), np.zeros(nx, np.float32)
    deep = len(table) > 0
    coarse = grid(plate.coarse, table, 0) if deep else residual
    low, high = first + 2 if first > 0 else 0, stop - 2 if stop < ny else ny
    for i in range(first, stop + 2):
        if i < stop:
            if deep:
                expand_row(coarse, i, mix, row)
            _lead(residual, loose, i, row, beta, direction)
            set_ghosts(direction, i, nx)
        k = i - 2
        if low <= k < high:
            bend_row(direction, k, terms, tension, bent)
            sums[k] = _pull(weight, pull, direction, k, bent)


@njit(nogil=True, cache=True)
def turn_seam(plate, pull, tension, at, sums):  # type: ignore[no-untyped-def]
    """q of the four rows around the end of a band, once all directions are there."""
    for k in range(at - 2, at + 2):
        bend_row(plate.direction, k, plate.terms, tension, plate.bent)
        sums[k] = _pull(plate.weight, pull, plate.direction, k, plate.bent)


@njit(nogil=True, cache=True)
def total_of(sums):  # type: ignore[no-untyped-def]
    """In the order of rows."""
    total = 0.0
    for k in range(sums.size):
        total += sums[k]
    return total


@njit(nogil=True, cache=True, fastmath={"contract"})
def _lead(residual, loose, i, correction, beta, direction):  # type: ignore[no-untyped-def]
    scale = np.float32(1 / FULL)
    for j in range(correction.size):
        step = loose[i, j] * (residual[i, j] * scale + correction[j])
        direction[i, j + GHOSTS] = step + beta * direction[i, j + GHOSTS]


@njit(nogil=True, cache=True, fastmath=SUMS)
def _pull(weight, pull, direction, i, bent):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    if pull != 0:
        for j in range(bent.shape[1]):
            bent[i, j] += min(pull * weight[i, j], STIFFEST) * direction[i, j + GHOSTS]
    for j in range(bent.shape[1]):
        total += bent[i, j] * direction[i, j + GHOSTS]
    return total


@njit(nogil=True, cache=True)
def _move(plate, alpha):  # type: ignore[no-untyped-def]
    """A step along the direction, and the new residual seen on all grids; r z."""
    ny = plate.image.shape[0]
    sums = np.empty(ny)
    move_rows(plate, alpha, 0, ny, sums)
    return total_of(sums) / FULL + correct(plate)


@njit(nogil=True, cache=True)
def move_rows(plate, alpha, first, stop, sums):  # type: ignore[no-untyped-def]
    """`_move` for a band that begins with an even row: the first coarse grid where it needs no other band."""
    image, residual, loose, direction = plate.image, plate.residual, plate.loose, plate.direction
    bent, table = plate.bent, plate.table
    ny, nx = image.shape
    free, scratch = np.empty((4, nx), np.float32), np.zeros(nx + 3, np.float32)
    deep = len(table) > 0
    coarse = grid(plate.coarse, table, 0) if deep else residual
    low = first // 2 + 1 if first > 0 else 0
    for i in range(first, stop):
        sums[i] = _step(alpha, direction, bent, loose, i, image, residual, free)
        if deep and i % 2 == 0 and i // 2 - 1 >= low:
            shrink_row(free, ny, i // 2 - 1, scratch, coarse)
    if deep and stop == ny:
        shrink_row(free, ny, coarse.shape[0] - 1, scratch, coarse)


@njit(nogil=True, cache=True)
def move_seam(plate, at):  # type: ignore[no-untyped-def]
    """The two rows of the first coarse grid around the end of a band, once all residuals are there."""
    ny, nx = plate.image.shape
    free, scratch = np.empty((4, nx), np.float32), np.zeros(nx + 3, np.float32)
    coarse = grid(plate.coarse, plate.table, 0)
    for i in range(at - 3, at + 3):
        _hold(plate.residual, plate.loose, i, free)
        if i == at or i == at + 2:
            shrink_row(free, ny, i // 2 - 1, scratch, coarse)


@njit(nogil=True, cache=True)
def _hold(residual, loose, i, free):  # type: ignore[no-untyped-def]
    for j in range(free.shape[1]):
        free[i % 4, j] = loose[i, j] * residual[i, j]


@njit(nogil=True, cache=True, fastmath=SUMS)
def _step(alpha, direction, bent, loose, i, image, residual, free):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for j in range(image.shape[1]):
        image[i, j] += alpha * direction[i, j + GHOSTS]
    for j in range(image.shape[1]):
        left = residual[i, j] - alpha * bent[i, j]
        held = loose[i, j] * left
        residual[i, j] = left
        free[i % 4, j] = held
        total += held * left
    return total


@njit(nogil=True, cache=True)
def correct(plate):  # type: ignore[no-untyped-def]
    """Residuals on the coarse grids become corrections, each with those of coarser grids; their r z."""
    table, coarse, soft = plate.table, plate.coarse, plate.soft
    for level in range(1, len(table)):
        shrink(grid(coarse, table, level - 1), grid(coarse, table, level))
    mix, row = np.empty(plate.image.shape[1] + 3, np.float32), np.zeros(plate.image.shape[1], np.float32)
    rz = 0.0
    for level in range(len(table) - 1, -1, -1):
        here = grid(coarse, table, level)
        inverse = grid(soft, table, level)
        deeper = level + 1 < len(table)
        above = grid(coarse, table, level + 1) if deeper else here
        correction = row[: here.shape[1]]
        correction[:] = 0
        for i in range(here.shape[0]):
            if deeper:
                expand_row(above, i, mix, correction)
            rz += _yield(here, i, inverse, correction)
    return rz


@njit(nogil=True, cache=True, fastmath=SUMS)
def _yield(residual, i, soft, correction):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for j in range(correction.size):
        value = residual[i, j] * soft[i, j]
        total += value * residual[i, j]
        residual[i, j] = value + correction[j]
    return total
