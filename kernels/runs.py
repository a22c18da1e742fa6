"""The kernels over runs: one pass over each frame, in the order of the memory, for all regions of a table.

Knows tables of runs (`cells.RunTable`) and blocks of frames; what the regions are for is nobody's business.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .run_sums import float_run, integer_run, weighted_float_run, weighted_integer_run
from .vector import STEP_BYTES

LOW = 0xFFFF_FFFF


@njit(nogil=True, cache=True)
def integer_regions(block, levers, runs, keep, with_moments, offsets, members, cells, wanted, sums, moments):  # type: ignore[no-untyped-def]
    """Sums (n, d) and first moments (n, d, 2) of every region, exact; ``cells`` is scratch (c, 5).

    First moments are kept as two halves of 32 bits, since those of large saturated frames of 32-bit pixels do
    not fit 64; they are rounded once, at the end.
    """
    pixels, width = block.shape[1] * block.shape[2], block.shape[2]
    step = STEP_BYTES // block.itemsize
    for f in range(block.shape[0]):
        cells[:] = 0
        for r in range(runs.shape[0]):
            y, x0, x1 = np.int64(runs[r, 0]), np.int64(runs[r, 1]), np.int64(runs[r, 2])
            cell, holes = runs[r, 3], runs[r, 4] != 0
            place = y * width + x0
            start, length = f * pixels + place, x1 - x0
            if place + length < step:
                total, moment = _plain_integers(block[f, y], keep, place, x0, x1, holes)
            elif with_moments[cell]:
                total, moment = integer_run(block, keep, levers, start, place, length, holes)
            else:  # the compiler leaves the moment out of this copy of the loop
                total, moment = integer_run(block, keep, levers, start, place, length, holes)[0], 0
            cells[cell, 0] += total
            if with_moments[cell]:
                _count(cells, cell, 1, y * total)
                _count(cells, cell, 3, x0 * total + moment)
        for d in range(offsets.size - 1):
            _merge(cells, members, offsets[d], offsets[d + 1], wanted[d], sums[f, d : d + 1], moments[f, d])


@njit(nogil=True, cache=True)
def float_regions(block, levers, runs, with_moments, sums, moments, excluded):  # type: ignore[no-untyped-def]
    """The same of floats, without pixels that are not finite: cells are regions here."""
    pixels, width = block.shape[1] * block.shape[2], block.shape[2]
    step = STEP_BYTES // block.itemsize
    for f in range(block.shape[0]):
        for r in range(runs.shape[0]):
            y, x0, x1 = np.int64(runs[r, 0]), np.int64(runs[r, 1]), np.int64(runs[r, 2])
            d = runs[r, 3]
            place = y * width + x0
            if y * width + x1 < step:
                total, moment, bad = _plain_floats(block[f, y], x0, x1)
            elif with_moments[d]:
                total, moment, bad = float_run(block, levers, f * pixels + place, x1 - x0)
            else:
                total, _, bad = float_run(block, levers, f * pixels + place, x1 - x0)
                moment = 0.0
            sums[f, d] += total
            excluded[f, d] += bad
            if with_moments[d]:
                moments[f, d, 0] += y * total
                moments[f, d, 1] += x0 * total + moment


@njit(nogil=True, cache=True)
def weighted_integers(block, weights, runs, bias, sums):  # type: ignore[no-untyped-def]
    """Adds to ``sums`` (n, k) every pixel less ``bias`` times its weight (k, h * w), exact."""
    pixels, width = block.shape[1] * block.shape[2], block.shape[2]
    step = STEP_BYTES // block.itemsize
    for f in range(block.shape[0]):
        for r in range(runs.shape[0]):
            y, x0, x1, k = np.int64(runs[r, 0]), np.int64(runs[r, 1]), np.int64(runs[r, 2]), runs[r, 3]
            place = y * width + x0
            if y * width + x1 < step:
                for x in range(x0, x1):
                    sums[f, k] += (np.int64(block[f, y, x]) - bias) * np.int64(weights[k, place + x - x0])
            else:
                sums[f, k] += weighted_integer_run(
                    block, weights, f * pixels + place, k * pixels + place, x1 - x0
                )


@njit(nogil=True, cache=True)
def weighted_floats(block, weights, runs, sums, excluded):  # type: ignore[no-untyped-def]
    """The same in float64, without pixels that are not finite."""
    pixels, width = block.shape[1] * block.shape[2], block.shape[2]
    step = STEP_BYTES // block.itemsize
    for f in range(block.shape[0]):
        for r in range(runs.shape[0]):
            y, x0, x1, k = np.int64(runs[r, 0]), np.int64(runs[r, 1]), np.int64(runs[r, 2]), runs[r, 3]
            place = y * width + x0
            if y * width + x1 < step:
                total, bad = _plain_weighted(block[f, y], weights[k], place, x0, x1)
            else:
                total, bad = weighted_float_run(
                    block, weights, f * pixels + place, k * pixels + place, x1 - x0
                )
            sums[f, k] += total
            excluded[f, k] += bad


@njit(nogil=True, cache=True)
def _count(cells, cell, column, value):  # type: ignore[no-untyped-def]
    cells[cell, column] += value & LOW
    cells[cell, column + 1] += value >> 32


@njit(nogil=True, cache=True)
def _merge(cells, members, first, stop, with_moments, total, moments):  # type: ignore[no-untyped-def]
    for i in range(first, stop):
        total[0] += cells[members[i], 0]
    if not with_moments:
        return
    for axis in range(2):
        low, high = np.int64(0), np.int64(0)
        for i in range(first, stop):
            low += cells[members[i], 1 + 2 * axis]
            high += cells[members[i], 2 + 2 * axis]
        high += low >> 32
        moments[axis] = np.float64(high) * 4294967296.0 + np.float64(low & LOW)


@njit(nogil=True, cache=True)
def _plain_integers(row, keep, place, x0, x1, holes):  # type: ignore[no-untyped-def]
    """For the first pixels of a frame, before which there is nothing that a step could begin with."""
    total, moment = np.int64(0), np.int64(0)
    for x in range(x0, x1):
        if not holes or keep[place + x - x0]:
            total += np.int64(row[x])
            moment += (x - x0) * np.int64(row[x])
    return total, moment


@njit(nogil=True, cache=True)
def _plain_floats(row, x0, x1):  # type: ignore[no-untyped-def]
    total, moment, bad = 0.0, 0.0, np.int64(0)
    for x in range(x0, x1):
        value = np.float64(row[x])
        if value - value == 0.0:
            total += value
            moment += (x - x0) * value
        else:
            bad += 1
    return total, moment, bad


@njit(nogil=True, cache=True)
def _plain_weighted(row, weights, place, x0, x1):  # type: ignore[no-untyped-def]
    total, bad = 0.0, np.int64(0)
    for x in range(x0, x1):
        value = np.float64(row[x])
        if value - value == 0.0:
            total += value * weights[place + x - x0]
        else:
            bad += 1
    return total, bad
