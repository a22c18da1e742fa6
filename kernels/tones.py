"""From the pixels of an image to the bytes of a picture, in one pass: crop, mean or maximum, levels, curve.

Zooming out never picks pixels. The mean is taken under a tent, twice as wide as what it stands for: the
fringes that areas side by side still make of a fine lattice are then the square of themselves (of 4.2 px, at
five to one, 3 % and not 16 %). The maximum of an area keeps single events that a mean would bury. Knows
arrays only, no windows and no colours.

A byte from `FIRST` on is a value on its way through the curve. 0 and 1 are the two tones of the checker that
stands for "no value here", `BLIND` is an area of which the detector sees nothing.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import from_dtype, njit, types

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Part = tuple[int, int, int, int]
"""Top, left, bottom and right of a part of an image: rows top..bottom - 1, columns left..right - 1."""
Areas = Literal["mean", "max"]
AREAS: tuple[str, ...] = get_args(Areas)

BLIND = 2
FIRST = 3
STEPS = 256 - FIRST
PLACES = 1 << 16
"""Entries of a curve. Over three decades of a logarithm the darkest of them is half a byte wide."""
DTYPES = ("uint8", "uint16", "uint32", "float32", "float64")
SHORT = ("uint8", "uint16", "float32")
"""Types that are summed as 32-bit floats, the others as 64: of 16 bits under a tent of 15 they are exact."""
BEYOND = 1e6
"""Spans from the levels at which values are as good as at any other distance, once their sums overflow."""
NARROWEST = 1e-300


def tones(
    image: npt.NDArray[Any],
    levels: tuple[float, float],
    curve: Bytes,
    *,
    part: Part | None = None,
    factor: tuple[int, int] = (1, 1),
    areas: Areas = "mean",
    valid: Flags | None = None,
    is_masked: bool = False,
    cell: int = 4,
) -> Bytes:
    """Bytes of a part of an image.

    Parameters
    ----------
    image : (h, w) real; may be read-only. Types beyond `DTYPES` are taken as float64.
    levels : values of the first and of the last entry of the curve, low < high.
    curve : (PLACES,) bytes from FIRST on, by the place of a value between the levels.
    part : what is wanted; None = all. Areas begin at its top left corner; a mean knows what lies around it.
    factor : pixels of the image along y and x of an area; those at the lower and right edge may be smaller.
    areas : "mean" under the tent of `tent` about each area, or "max" of its pixels.
    valid : (h, w) bool; None = all. Others are left out, as values that are not finite are.
    is_masked : whether pixels that are not valid are blind ones of a detector, which is said by `BLIND`.
    cell : bytes along a square of the checker, which stands still where a part begins at a whole area.

    Returns
    -------
    (ceil(height of part / factor), ceil(width / factor)) uint8. An area without a value is the checker, or
    `BLIND` where none of its pixels is valid.

    Raises
    ------
    ValueError
        For levels that are not finite or not rising, a part outside of the image, and arrays that do not fit.
    """
    top, left, bottom, right = _checked(image, levels, curve, part, factor, areas, valid)
    if image.dtype == bool:
        image = image.view(np.uint8)
    elif image.dtype.name not in DTYPES or not image.dtype.isnative:
        image = image.astype(np.float64)
    image = np.ascontiguousarray(image)
    made = np.empty((-(-(bottom - top) // factor[0]), -(-(right - left) // factor[1])), np.uint8)
    if made.size:
        window = (top, left, bottom, right, *factor)
        _fill(image, areas, valid, is_masked, window, levels, curve, cell, made)
    return made


def _fill(
    image: npt.NDArray[Any],
    areas: Areas,
    valid: Flags | None,
    is_masked: bool,
    window: tuple[int, ...],
    levels: tuple[float, float],
    curve: Bytes,
    cell: int,
    made: Bytes,
) -> None:
    """Without a mask there is a shorter way, until a value turns up that is not finite."""
    mask = valid
    if mask is None:
        if _made(image, areas, None, False, window, levels, curve, cell, made):
            return
        mask = np.isfinite(image)
    is_masked &= valid is not None
    if not _made(image, areas, np.ascontiguousarray(mask), is_masked, window, levels, curve, cell, made):
        low, high = levels
        with np.errstate(all="ignore"):
            places = (0.5 * image.astype(np.float64) - 0.5 * low) / (0.5 * high - 0.5 * low)
        places = np.clip(places, -BEYOND, BEYOND)
        _made(places, areas, np.ascontiguousarray(mask), is_masked, window, (0.0, 1.0), curve, cell, made)


def _made(
    image: npt.NDArray[Any],
    areas: Areas,
    mask: Flags | None,
    is_masked: bool,
    window: tuple[int, ...],
    levels: tuple[float, float],
    curve: Bytes,
    cell: int,
    made: Bytes,
) -> bool:
    """Whether all sums were finite; if not, the picture is of no use."""
    real = np.dtype(np.float32 if image.dtype.name in SHORT else np.float64)
    with np.errstate(over="ignore"):
        # Halves, since the distance between the largest floats is none.
        slope = 0.5 / max(0.5 * levels[1] - 0.5 * levels[0], NARROWEST)
        line = np.array([levels[0], slope, PLACES - 1, 0.5]).astype(real)
    if areas == "max":
        if mask is None:
            return bool(_max_all(image, window, line, curve, made))
        return bool(_max_some(image, mask, is_masked, window, line, curve, cell, made))
    weights = tuple(np.arange(1, each + 1).astype(real) for each in window[4:])
    if mask is None:
        shares = _shares(image, window, made.shape, real)
        return bool(_mean_all(image, window, *weights, *shares, line, curve, made))
    return bool(_mean_some(image, mask, is_masked, window, *weights, line, curve, cell, made))


def tent(factor: int) -> npt.NDArray[np.int64]:
    """Weights of the pixels about the middle of an area of ``factor`` pixels.

    (2 factor,) of an even number: 1, 2, ... factor, factor, ... 1, (2 factor - 1,) of an odd one: 1, 2, ...
    factor, ... 1. That is a box under another one: it lets as much through of a period as a box does squared.
    The first pixel is factor // 2 before the area.
    """
    return np.convolve(np.ones(factor, np.int64), np.ones(factor + 1 - factor % 2, np.int64))


def _shares(
    image: npt.NDArray[Any], window: tuple[int, ...], shape: tuple[int, ...], real: np.dtype[Any]
) -> list[npt.NDArray[Any]]:
    """Down and across, one over the weight of the pixels that the image has under the tent of each area."""
    shares = []
    for begin, factor, count, size in zip(window[:2], window[4:], shape, image.shape, strict=True):
        taps = tent(factor)
        places = begin - factor // 2 + np.arange(count)[:, None] * factor + np.arange(len(taps))
        shares.append((1.0 / (((places >= 0) & (places < size)) @ taps)).astype(real))
    return shares


def _checked(
    image: npt.NDArray[Any],
    levels: tuple[float, float],
    curve: Bytes,
    part: Part | None,
    factor: tuple[int, int],
    areas: str,
    valid: Flags | None,
) -> Part:
    if image.ndim != 2 or image.dtype.kind not in "buif":
        raise ValueError(f"tones of {image.dtype} {image.shape}: wants real values (h, w)")
    if valid is not None and (valid.shape != image.shape or valid.dtype != bool):
        raise ValueError(f"valid pixels {valid.dtype} {valid.shape} for an image of shape {image.shape}")
    if not (np.isfinite(levels).all() and levels[0] < levels[1]):
        raise ValueError(f"levels {levels[0]}..{levels[1]}: wants finite low < high")
    if curve.shape != (PLACES,) or curve.dtype != np.uint8:
        raise ValueError(f"a curve is uint8 ({PLACES},); this is {curve.dtype} {curve.shape}")
    if areas not in AREAS or min(factor) < 1:
        raise ValueError(f"areas {areas!r} of {factor} pixels: one of {', '.join(AREAS)}, at least (1, 1)")
    h, w = image.shape
    top, left, bottom, right = part or (0, 0, h, w)
    if not (0 <= top <= bottom <= h and 0 <= left <= right <= w):
        raise ValueError(f"part {part} of an image of shape {image.shape}")
    return top, left, bottom, right


def _array(name: str, dimensions: int = 2) -> types.Array:
    return types.Array(from_dtype(np.dtype(name)), dimensions, "C", readonly=True)


def _signatures(is_mean: bool, has_mask: bool) -> list[Any]:
    """Of a kernel, for images of all types."""
    window = types.UniTuple(types.int64, 6)
    mask = (_array("bool"), types.boolean) if has_mask else ()
    end = (_array("uint8", 1), *((types.int64,) if has_mask else ()), types.Array(types.uint8, 2, "C"))
    made: list[Any] = []
    for name in DTYPES:
        reals = _array("float32" if name in SHORT else "float64", 1)
        tents = (reals,) * (0 if not is_mean else 2 if has_mask else 4)
        made.append(types.boolean(_array(name), *mask, window, *tents, reals, *end))
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


@njit(inline="always")
def _nothing(is_blind, i, j, cell):  # type: ignore[no-untyped-def]
    """What an area without a value is shown as."""
    return np.uint8(BLIND) if is_blind else np.uint8(((i // cell) ^ (j // cell)) & 1)


@njit(inline="always")
def _any(flags, j, factor):  # type: ignore[no-untyped-def]
    """Whether a column of an area is flagged."""
    found = False
    for k in range(j * factor, min(len(flags), (j + 1) * factor)):
        found |= flags[k]
    return found


# A tent is made of two neighbouring cells, the rising half of one and the falling half of the next. Summed
# from its last row on, a cell's sum of sums is its rising half: no row is taken twice, none is multiplied.
@njit(nogil=True)
def _add_cell(image, begin, rows, left, sums, rising):  # type: ignore[no-untyped-def]
    """Of a cell's rows, each column's sum, and its sum under the rising half of a tent."""
    n, real = len(sums), sums.dtype.type
    sums[:] = 0
    rising[:] = 0
    y, end = min(image.shape[0], begin + rows) - 1, max(0, begin)
    while y - 3 >= end:
        row3, row2 = image[y, left : left + n], image[y - 1, left : left + n]
        row1, row0 = image[y - 2, left : left + n], image[y - 3, left : left + n]
        for k in range(n):
            sum3 = sums[k] + real(row3[k])
            sum2 = sum3 + real(row2[k])
            sum1 = sum2 + real(row1[k])
            sum0 = sum1 + real(row0[k])
            sums[k] = sum0
            rising[k] += sum3 + sum2 + sum1 + sum0
        y -= 4
    while y >= end:
        row = image[y, left : left + n]
        for k in range(n):
            sums[k] += real(row[k])
            rising[k] += sums[k]
        y -= 1
    for _ in range(begin, 0):
        for k in range(n):
            rising[k] += sums[k]


@njit(nogil=True)
def _add_some(image, valid, begin, rows, left, sums, rising):  # type: ignore[no-untyped-def]
    """As `_add_cell`, of values that are valid and finite, in the first row; in the second, how many."""
    n = sums.shape[1]
    sums[:] = 0
    rising[:] = 0
    values, counts = sums[0], sums[1]
    real = sums.dtype.type
    none, one = real(0), real(1)
    for y in range(begin + rows - 1, begin - 1, -1):
        if 0 <= y < image.shape[0]:
            row, sound = image[y, left : left + n], valid[y, left : left + n]
            for k in range(n):
                counted = sound[k] & (row[k] - row[k] == 0)
                values[k] += real(row[k]) if counted else none
                counts[k] += one if counted else none
                rising[0, k] += values[k]
                rising[1, k] += counts[k]
        else:
            for k in range(n):
                rising[0, k] += values[k]
                rising[1, k] += counts[k]


@njit(nogil=True)
def _see(image, valid, begin, end, left, counted, sound):  # type: ignore[no-untyped-def]
    """Which columns of an area's own rows have a value, and which a valid pixel."""
    counted[:] = False
    sound[:] = False
    for y in range(begin, end):
        row, mask = image[y, left : left + len(sound)], valid[y, left : left + len(sound)]
        for k in range(len(sound)):
            counted[k] |= mask[k] & (row[k] - row[k] == 0)
            sound[k] |= mask[k]


@njit(inline="always")
def _cells_of(columns, factor, weights, sums, rising):  # type: ignore[no-untyped-def]
    for j in range(len(sums)):
        total, under = columns[j * factor], weights[0] * columns[j * factor]
        for k in range(1, factor):
            total += columns[j * factor + k]
            under += weights[k] * columns[j * factor + k]
        sums[j], rising[j] = total, under


# The usual factors are constants of the compiler: it then takes many areas of a row at once.
@njit(nogil=True)
def _across(columns, factor, weights, whole, sums, rising, made):  # type: ignore[no-untyped-def]
    """Columns under the tents of all areas of a row; ``columns`` begins with the first cell."""
    if factor == 1:
        made[:] = columns[: len(made)]
        return
    if factor == 2:
        _cells_of(columns, 2, weights, sums, rising)
    elif factor == 3:
        _cells_of(columns, 3, weights, sums, rising)
    elif factor == 4:
        _cells_of(columns, 4, weights, sums, rising)
    elif factor == 5:
        _cells_of(columns, 5, weights, sums, rising)
    else:
        _cells_of(columns, factor, weights, sums, rising)
    for j in range(len(made)):
        made[j] = rising[j] + whole * sums[j + 1] - rising[j + 1]


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


@njit(inline="always")
def _in_image(left, factor, count, width):  # type: ignore[no-untyped-def]
    """Where the cells of a row of areas begin, and which of their columns the image has."""
    begin = left - factor // 2
    return begin, max(0, begin), min(width, begin + (count + 1) * factor)


@njit(_signatures(is_mean=True, has_mask=False), nogil=True, cache=True)
def _mean_all(image, window, down_weights, weights, down_shares, shares, line, curve, made):  # type: ignore[no-untyped-def]
    """Whether all means were finite; if not, the picture is of no use."""
    top, left, _, _, down, across = window
    begin, first, last = _in_image(left, across, made.shape[1], image.shape[1])
    columns = np.zeros((made.shape[1] + 1) * across, weights.dtype)
    inner = columns[first - begin : last - begin]
    sums, rising, before = np.empty_like(inner), np.empty_like(inner), np.empty_like(inner)
    totals, places = np.empty(made.shape[1], weights.dtype), np.empty(made.shape[1], np.uint32)
    row_sums, row_rising = np.empty(len(totals) + 1, weights.dtype), np.empty(len(totals) + 1, weights.dtype)
    # A tent of an odd number has one pixel at its top, that of an even number two.
    down_whole = down_weights[down - 1] + (weights[0] - down % 2 * weights[0])
    whole = weights[across - 1] + (weights[0] - across % 2 * weights[0])
    _add_cell(image, top - down // 2, down, first, sums, before)
    for i in range(made.shape[0]):
        _add_cell(image, top - down // 2 + (i + 1) * down, down, first, sums, rising)
        for k in range(len(inner)):
            inner[k] = before[k] + down_whole * sums[k] - rising[k]
        before, rising = rising, before
        _across(columns, across, weights, whole, row_sums, row_rising, totals)
        for j in range(len(totals)):
            totals[j] *= down_shares[i] * shares[j]
        if not _bytes(totals, line, curve, places, made[i]):
            return False
    return True


@njit(_signatures(is_mean=True, has_mask=True), nogil=True, cache=True)
def _mean_some(image, valid, is_masked, window, down_weights, weights, line, curve, cell, made):  # type: ignore[no-untyped-def]
    """As `_mean_all`; pixels that are not valid or not finite are left out."""
    top, left, bottom, right, down, across = window
    begin, first, last = _in_image(left, across, made.shape[1], image.shape[1])
    columns = np.zeros((2, (made.shape[1] + 1) * across), weights.dtype)
    inner = columns[:, first - begin : last - begin]
    sums = np.empty(inner.shape, weights.dtype)
    rising, before = np.empty_like(sums), np.empty_like(sums)
    totals, places = np.empty((2, made.shape[1]), weights.dtype), np.empty(made.shape[1], np.uint32)
    row_sums, row_rising = np.empty(len(places) + 1, weights.dtype), np.empty(len(places) + 1, weights.dtype)
    down_whole = down_weights[down - 1] + (weights[0] - down % 2 * weights[0])
    whole = weights[across - 1] + (weights[0] - across % 2 * weights[0])
    counted, sound = np.empty(right - left, np.bool_), np.empty(right - left, np.bool_)
    _add_some(image, valid, top - down // 2, down, first, sums, before)
    for i in range(made.shape[0]):
        _add_some(image, valid, top - down // 2 + (i + 1) * down, down, first, sums, rising)
        for each in range(2):
            for k in range(inner.shape[1]):
                inner[each, k] = before[each, k] + down_whole * sums[each, k] - rising[each, k]
            _across(columns[each], across, weights, whole, row_sums, row_rising, totals[each])
        before, rising = rising, before
        _see(image, valid, top + i * down, min(bottom, top + (i + 1) * down), left, counted, sound)
        for j in range(made.shape[1]):
            totals[0, j] /= max(totals[1, j], weights[0])
        if not _bytes(totals[0], line, curve, places, made[i]):
            return False
        for j in range(0 if counted.all() else made.shape[1]):
            if not _any(counted, j, across):
                blind = is_masked and not _any(sound, j, across)
                made[i, j] = _nothing(blind, top // down + i, left // across + j, cell)
    return True


@njit(_signatures(is_mean=False, has_mask=False), nogil=True, cache=True)
def _max_all(image, window, line, curve, made):  # type: ignore[no-untyped-def]
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
def _max_some(image, valid, is_masked, window, line, curve, cell, made):  # type: ignore[no-untyped-def]
    """As `_max_all`; pixels that are not valid or not finite are left out."""
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
