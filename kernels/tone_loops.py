"""The compiled loops of `tones`: rows under a tent, areas of a row, bytes. Knows arrays only.

A tent is made of two neighbouring cells of as many pixels as an area: the rising half of one, the falling
half of the next. Each row is read once and goes into both halves of its cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, njit, types

BLIND = 2
FIRST = 3
DTYPES = ("uint8", "uint16", "uint32", "float32", "float64")
SHORT = ("uint8", "uint16", "float32")
"""Types that are summed as 32-bit floats, the others as 64: of 16 bits under a tent of 15 they are exact."""


def _array(name: str, dimensions: int = 2) -> types.Array:
    return types.Array(from_dtype(np.dtype(name)), dimensions, "C", readonly=True)


def _signatures(is_mean: bool, has_mask: bool) -> list[Any]:
    """Of a kernel, for images of all types."""
    window = types.UniTuple(types.int64, 6)
    mask = (_array("uint8" if is_mean else "bool"), types.boolean) if has_mask else ()
    end = (_array("uint8", 1), *((types.int64,) if has_mask else ()), types.Array(types.uint8, 2, "C"))
    made: list[Any] = []
    for name in DTYPES:
        reals = _array("float32" if name in SHORT else "float64", 1)
        shares = (reals,) * (2 if is_mean and not has_mask else 0)
        made.append(types.boolean(_array(name), *mask, window, *shares, reals, *end))
    return made


@njit(nogil=True)
def _bytes(values, line, curve, places, made):  # type: ignore[no-untyped-def]
    """Of a row; whether all were finite. In two steps, a million takes 0.4 ms instead of 1.8."""
    finite, none = True, line[2] - line[2]
    for j in range(len(values)):
        finite &= values[j] - values[j] == 0
        place = (values[j] - line[0]) * line[1] * line[2]
        place = place if place > none else none  # NaN too, of sums beyond the largest float
        place = place if place < line[2] else line[2]
        places[j] = np.uint32(np.int32(place + line[3]))
    for j in range(len(values)):
        made[j] = curve[places[j]]
    return finite


@njit(
    types.void(_array("uint8"), _array("uint32", 1), types.Array(types.uint32, 2, "C")),
    nogil=True,
    cache=True,
)
def colour(pixels, words, made):  # type: ignore[no-untyped-def]
    """Each byte's word."""
    for i in range(pixels.shape[0]):
        row, out = pixels[i], made[i]
        for j in range(len(row)):
            out[j] = words[row[j]]


@njit(inline="always")
def _nothing(is_blind, i, j, cell):  # type: ignore[no-untyped-def]
    """What an area without a value is shown as."""
    return np.uint8(BLIND) if is_blind else np.uint8(((i // cell) ^ (j // cell)) & 1)


@njit(inline="always")
def _any(flags, j, factor):  # type: ignore[no-untyped-def]
    """All flags of an area's columns."""
    found = flags[j * factor]
    for k in range(j * factor + 1, min(len(flags), (j + 1) * factor)):
        found |= flags[k]
    return found


@njit(inline="always")
def _cell_of(factor, row0, row1, row2, row3, row4, sums, rising):  # type: ignore[no-untyped-def]
    """Of 2 to 5 rows; what a constant factor leaves out is no part of the loop."""
    real, top = sums.dtype.type, factor - factor % 2
    for k in range(len(sums)):
        value0, value1 = real(row0[k]), real(row1[k])
        up = value0 + real(2) * value1
        down = real(top) * value0 + real(top - 1) * value1
        if factor > 2:
            up += real(3) * real(row2[k])
        if factor > 3:
            down += real(top - 2) * real(row2[k])
            up += real(4) * real(row3[k])
            down += real(top - 3) * real(row3[k])
        if factor > 4:
            up += real(5) * real(row4[k])
        sums[k] = rising[k] + down
        rising[k] = up


@njit(nogil=True)
def _any_cell(image, begin, factor, left, sums, rising):  # type: ignore[no-untyped-def]
    """`_add_cell` of any number of rows, some of which the image may not have; four at a time."""
    n, real = len(sums), sums.dtype.type
    for k in range(n):
        sums[k] = rising[k]
        rising[k] = real(0)
    y, end = max(0, begin), min(image.shape[0], begin + factor)
    while y < end:
        up, down, one = real(y - begin + 1), real(factor - factor % 2 - (y - begin)), real(1)
        if y + 4 <= end:
            row0, row1 = image[y, left : left + n], image[y + 1, left : left + n]
            row2, row3 = image[y + 2, left : left + n], image[y + 3, left : left + n]
            for k in range(n):
                value0, value1, value2, value3 = real(row0[k]), real(row1[k]), real(row2[k]), real(row3[k])
                two, three = one + one, one + one + one
                rising[k] += up * value0 + (up + one) * value1 + (up + two) * value2 + (up + three) * value3
                sums[k] += (
                    down * value0 + (down - one) * value1 + (down - two) * value2 + (down - three) * value3
                )
            y += 4
        else:
            row = image[y, left : left + n]
            for k in range(n):
                rising[k] += up * real(row[k])
                sums[k] += down * real(row[k])
            y += 1


# The usual factors are constants of the compiler: rows are then read once, and many areas taken at once.
@njit(nogil=True)
def _add_cell(image, begin, factor, left, sums, rising):  # type: ignore[no-untyped-def]
    """Columns under the tents between the cell before and this one.

    ``rising``: sums under the rising half, of the cell before on entry, of this one afterwards.
    """
    if begin < 0 or begin + factor > image.shape[0] or factor < 2 or factor > 5:
        _any_cell(image, begin, factor, left, sums, rising)
        return
    right, last = left + len(sums), begin + factor - 1
    row0, row1 = image[begin, left:right], image[begin + 1, left:right]
    row2, row3 = image[min(begin + 2, last), left:right], image[min(begin + 3, last), left:right]
    row4 = image[last, left:right]
    if factor == 2:
        _cell_of(2, row0, row1, row2, row3, row4, sums, rising)
    elif factor == 3:
        _cell_of(3, row0, row1, row2, row3, row4, sums, rising)
    elif factor == 4:
        _cell_of(4, row0, row1, row2, row3, row4, sums, rising)
    else:
        _cell_of(5, row0, row1, row2, row3, row4, sums, rising)


@njit(inline="always")
def _halves_of(columns, factor, rising, falling):  # type: ignore[no-untyped-def]
    real = columns.dtype.type
    for j in range(len(rising)):
        value = columns[j * factor]
        up, down = value, real(factor - factor % 2) * value
        for k in range(1, factor):
            value = columns[j * factor + k]
            up += real(k + 1) * value
            down += real(factor - factor % 2 - k) * value
        rising[j], falling[j] = up, down


@njit(nogil=True)
def _across(columns, factor, rising, falling, made):  # type: ignore[no-untyped-def]
    """Columns under the tents of all areas of a row; ``columns`` begins with the first cell."""
    if factor == 1:
        made[:] = columns[: len(made)]
        return
    if factor == 2:
        _halves_of(columns, 2, rising, falling)
    elif factor == 3:
        _halves_of(columns, 3, rising, falling)
    elif factor == 4:
        _halves_of(columns, 4, rising, falling)
    elif factor == 5:
        _halves_of(columns, 5, rising, falling)
    elif factor == 6:
        _halves_of(columns, 6, rising, falling)
    elif factor == 7:
        _halves_of(columns, 7, rising, falling)
    elif factor == 8:
        _halves_of(columns, 8, rising, falling)
    else:
        _halves_of(columns, factor, rising, falling)
    for j in range(len(made)):
        made[j] = rising[j] + falling[j + 1]


@njit(inline="always")
def _in_image(left, factor, count, width):  # type: ignore[no-untyped-def]
    """Where the cells of a row of areas begin, and which of their columns the image has."""
    begin = left - factor // 2
    return begin, max(0, begin), min(width, begin + (count + 1) * factor)


@njit(_signatures(is_mean=True, has_mask=False), nogil=True, cache=True)
def mean_all(image, window, down_shares, shares, line, curve, made):  # type: ignore[no-untyped-def]
    """Whether all means were finite; if not, the picture is of no use."""
    top, left, _, _, down, across = window
    count, real = made.shape[1], line.dtype
    begin, first, last = _in_image(left, across, count, image.shape[1])
    columns = np.zeros((count + 1) * across, real)
    inner, rising = columns[first - begin : last - begin], np.zeros(last - first, real)
    totals, places = np.empty(count, real), np.empty(count, np.uint32)
    row_rising, row_falling = np.empty(count + 1, real), np.empty(count + 1, real)
    _add_cell(image, top - down // 2, down, first, inner, rising)
    for i in range(made.shape[0]):
        _add_cell(image, top - down // 2 + (i + 1) * down, down, first, inner, rising)
        _across(columns, across, row_rising, row_falling, totals)
        for j in range(count):
            totals[j] *= down_shares[i] * shares[j]
        if not _bytes(totals, line, curve, places, made[i]):
            return False
    return True


VALID, COUNTED = 1, 2


@njit(nogil=True)
def _keep(image, valid, begin, left, kept, flags):  # type: ignore[no-untyped-def]
    """A cell's rows, 0 where a pixel is left out, and what each pixel is; whether that has changed."""
    n, none = kept.shape[1], image.dtype.type(0)
    differs = np.uint8(0)
    for t in range(len(kept)):
        y, known, rest = begin + t, flags[t], kept[t]
        if 0 <= y < image.shape[0]:
            row, sound = image[y, left : left + n], valid[y, left : left + n]
            for k in range(n):
                rest[k] = row[k] if (sound[k] != 0) & (row[k] - row[k] == 0) else none
            for k in range(n):  # bytes all the way: a third of the time that it takes in words
                counted = np.uint8(np.uint8(row[k] - row[k] == 0) & sound[k])
                flag = np.uint8(sound[k] + np.uint8(counted << np.uint8(1)))
                differs = np.uint8(differs | np.uint8(flag ^ known[k]))
                known[k] = flag
        else:
            rest[:] = none
            for k in range(n):
                differs = np.uint8(differs | known[k])
                known[k] = np.uint8(0)
    return differs != 0


@njit(nogil=True)
def _see(flags, begin, end, seen):  # type: ignore[no-untyped-def]
    """Add what there is in some rows of a cell."""
    for t in range(begin, end):
        known = flags[t]
        for k in range(len(seen)):
            seen[k] = np.uint8(seen[k] | known[k])


@njit(nogil=True)
def _weigh(columns, across, seen, halves, own, scales):  # type: ignore[no-untyped-def]
    """What each area of a row has, and one over its weight; whether one has nothing."""
    _across(columns, across, halves[0], halves[1], scales)
    has_holes, one = False, scales.dtype.type(1)
    for j in range(len(own)):
        own[j] = _any(seen, j, across)
        has_holes |= own[j] & np.uint8(COUNTED) == 0
    for j in range(len(own)):
        scales[j] = one / (scales[j] if scales[j] > one else one)
    return has_holes


@njit(_signatures(is_mean=True, has_mask=True), nogil=True, cache=True)
def mean_some(image, valid, is_masked, window, line, curve, cell, made):  # type: ignore[no-untyped-def]
    """As `mean_all`; pixels that are not valid or not finite are left out.

    Most rows of most masks are as those before: weights are made anew only where one of them differs.
    """
    top, left, bottom, right, down, across = window
    count, real = made.shape[1], line.dtype
    begin, first, last = _in_image(left, across, count, image.shape[1])
    width, total = last - first, (count + 1) * across
    columns, number_columns = np.zeros(total, real), np.zeros(total, real)
    inner, numbers = columns[first - begin : last - begin], number_columns[first - begin : last - begin]
    rising, number_rising = np.zeros(width, real), np.zeros(width, real)
    kept, flags = np.empty((down, width), image.dtype), np.zeros((down, width), np.uint8)
    seen, own = np.zeros(width, np.uint8), np.zeros(count, np.uint8)
    totals, scales, places = np.empty(count, real), np.empty(count, real), np.empty(count, np.uint32)
    halves = np.empty((2, count + 1), real)
    differed = has_holes = True
    for i in range(-1, made.shape[0]):
        y = top - down // 2 + (i + 1) * down
        differs = _keep(image, valid, y, first, kept, flags) | (i < 0) | (y + down > bottom)
        _add_cell(kept, 0, down, 0, inner, rising)
        changed = differs | differed
        if changed:
            _add_cell(flags // np.uint8(COUNTED), 0, down, 0, numbers, number_rising)
            _see(flags, 0, min(down // 2, bottom - y), seen)
        if i >= 0:
            if changed:
                has_holes = _weigh(
                    number_columns, across, seen[left - first : right - first], halves, own, scales
                )
            _across(columns, across, halves[0], halves[1], totals)
            for j in range(count):
                totals[j] *= scales[j]
            if not _bytes(totals, line, curve, places, made[i]):
                return False
            for j in range(count if has_holes else 0):
                if own[j] & COUNTED == 0:
                    is_blind = is_masked and own[j] & VALID == 0
                    made[i, j] = _nothing(is_blind, top // down + i, left // across + j, cell)
        if changed:
            seen[:] = 0
            _see(flags, down // 2, min(down, bottom - y), seen)
        differed = differs
    return True


@njit(inline="always")
def _peaks_of(columns, factor, made):  # type: ignore[no-untyped-def]
    whole = len(columns) // factor
    for j in range(whole):
        peak = columns[j * factor]
        for k in range(1, factor):
            peak = columns[j * factor + k] if columns[j * factor + k] > peak else peak
        made[j] = peak
    if whole < len(made):
        made[whole] = columns[whole * factor :].max()


@njit(nogil=True)
def _peaks(columns, factor, made):  # type: ignore[no-untyped-def]
    """The largest of the columns of each area of a row."""
    if factor == 2:
        _peaks_of(columns, 2, made)
    elif factor == 3:
        _peaks_of(columns, 3, made)
    elif factor == 4:
        _peaks_of(columns, 4, made)
    elif factor == 5:
        _peaks_of(columns, 5, made)
    else:
        _peaks_of(columns, factor, made)


@njit(_signatures(is_mean=False, has_mask=False), nogil=True, cache=True)
def max_all(image, window, line, curve, made):  # type: ignore[no-untyped-def]
    """Whether all maxima were finite; if not, the picture is of no use."""
    top, left, bottom, right, down, across = window
    columns, peaks = np.empty(right - left, image.dtype), np.empty(made.shape[1], line.dtype)
    places = np.empty(made.shape[1], np.uint32)
    for i in range(made.shape[0]):
        begin, end = top + i * down, min(bottom, top + (i + 1) * down)
        columns[:] = image[begin, left:right]
        for y in range(begin + 1, end):
            row = image[y, left:right]
            for k in range(len(columns)):
                columns[k] = row[k] if row[k] > columns[k] else columns[k]
        _peaks(columns, across, peaks)
        if not _bytes(peaks, line, curve, places, made[i]):
            return False
    return True


@njit(_signatures(is_mean=False, has_mask=True), nogil=True, cache=True)
def max_some(image, valid, is_masked, window, line, curve, cell, made):  # type: ignore[no-untyped-def]
    """As `max_all`; pixels that are not valid or not finite are left out."""
    top, left, bottom, right, down, across = window
    real = line.dtype.type
    columns, sound = np.empty(right - left, line.dtype), np.empty(right - left, np.bool_)
    peaks, lowest = np.empty(made.shape[1], line.dtype), real(-np.inf)
    places = np.empty(made.shape[1], np.uint32)
    for i in range(made.shape[0]):
        columns[:] = lowest
        sound[:] = False
        for y in range(top + i * down, min(bottom, top + (i + 1) * down)):
            row, mask = image[y, left:right], valid[y, left:right]
            for k in range(len(columns)):
                counted = mask[k] & (row[k] - row[k] == 0)
                value = real(row[k])
                columns[k] = value if counted & (value > columns[k]) else columns[k]
                sound[k] |= mask[k]
        _peaks(columns, across, peaks)
        _bytes(peaks, line, curve, places, made[i])
        for j in range(made.shape[1]):
            if not peaks[j] > lowest:
                blind = is_masked and not _any(sound, j, across)
                made[i, j] = _nothing(blind, top // down + i, left // across + j, cell)
    return True
