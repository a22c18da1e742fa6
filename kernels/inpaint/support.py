"""What the samples can tell, pixel by pixel: how far the nearest one is, how large the gaps are, and where a
picture shows finer things than that. Knows the picture and where samples are; not how it was made.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.float32]

NEAR = 16
"""Columns that are looked at on either side: a fifth of the envelope's time for a tenth of the pixels."""
LEAST_CONTRAST = 0.1
"""Parts whose standard deviation is less than this share of the picture's hold no features."""


def distance_to(sampled: Mask) -> Map:
    """Exact Euclidean distance (px) from each pixel to the nearest sampled one; inf where there is none.

    Linear in the pixels: distances along the columns, then along the rows by looking around where samples are
    near, else the lower envelope of parabolas (Felzenszwalb & Huttenlocher, Theory of Computing 8 (2012) 415,
    in whole numbers). Takes 4 bytes a pixel
    beside the distances while it runs.

    Parameters
    ----------
    sampled : (ny, nx)
    """
    distance = np.empty(sampled.shape, np.float32)
    _distance(np.ascontiguousarray(sampled), distance)
    return distance


def mean_around(plane: Map, radius: int, out: Map | None = None) -> Map:
    """(ny, nx) mean over the pixels within ``radius`` along both axes, fewer at the border."""
    mean = np.empty_like(plane) if out is None else out
    _box_mean(plane, radius, mean)
    return mean


def sampling_gap(distance: Map) -> Map:
    """Width (px, at least 1) of the gaps between the samples around each pixel.

    2 sqrt(3 <d^2>) of the distances d around: for lines L apart just L, for a share f of the pixels at random
    1.95 / sqrt(f), which is what their larger holes measure: random samples need be twice as dense.

    Parameters
    ----------
    distance : (ny, nx) of `distance_to`; where it is inf so is the gap.
    """
    if not np.isfinite(distance).all():
        return np.full_like(distance, np.inf)
    radius = int(np.clip(math.ceil(3 * float(distance.mean())), 2, 32))
    width: Map = np.maximum(2 * np.sqrt(3 * mean_around(distance * distance, radius)), np.float32(1))
    return width


def too_fine(image: Map, gap: Map) -> tuple[Mask, float]:
    """Where the picture holds features finer than the samples there can tell by themselves.

    That is where the local wavelength, 2 pi sqrt(variance / mean square gradient), is less than two gaps.
    Such features come from the solver's prior, or from noise: a lattice may be right nonetheless, but the
    samples around do not prove it. Parts with next to no contrast do not count.

    Parameters
    ----------
    image : (ny, nx) float32; NaN is unknown and never too fine.
    gap : (ny, nx) of `sampling_gap`.

    Returns
    -------
    fine : (ny, nx) bool
    share : of the finite pixels
    """
    finite = np.isfinite(image)
    known = image if finite.all() else image[finite]
    if not known.size:
        return np.zeros(image.shape, bool), 0.0
    plane = image - known.mean()
    plane[~finite] = 0
    highest = max(float(plane.max()), -float(plane.min()))
    if not highest:
        return np.zeros(image.shape, bool), 0.0
    plane /= np.float32(highest)  # squares then fit float32 whatever the samples' unit
    width = float(gap.mean())  # of the window; a median would cost more than all the rest
    radius = int(np.clip(math.ceil(width), 2, 32)) if math.isfinite(width) else 32
    least = (LEAST_CONTRAST * float(known.std(dtype=np.float64)) / highest) ** 2
    fine = _finer(plane, gap, radius, least) & finite
    return fine, float(np.count_nonzero(fine) / known.size)


def _finer(plane: Map, gap: Map, radius: int, least: float) -> Mask:
    """See `too_fine`; ``plane`` has no mean and is written over, ``least`` is a variance."""
    squares, slopes = np.empty_like(plane), np.empty_like(plane)
    _energies(plane, squares, slopes)
    mean = mean_around(plane, radius)
    variance = mean_around(squares, radius, plane)  # in the memory of what is no longer wanted
    slope = mean_around(slopes, radius, squares)
    mean *= mean
    variance -= mean
    with np.errstate(invalid="ignore", over="ignore"):  # an infinite gap where nothing varies
        slope *= gap
        slope *= gap
    finer: Mask = variance > least
    variance *= np.float32(math.pi**2)
    finer &= slope > variance
    return finer


@njit("i8(i4[::1], i8, i8[::1], i8[::1])", nogil=True, cache=True)
def _envelope(
    along: npt.NDArray[np.int32], far: int, lowest: npt.NDArray[np.int64], begin: npt.NDArray[np.int64]
) -> int:
    """The parabolas of a row that are lowest somewhere, left to right, and the first column of each."""
    count = 0
    for x in range(along.size):
        if along[x] >= far:
            continue
        first = np.int64(0)
        while count:
            q = lowest[count - 1]
            higher, lower = np.int64(along[x]), np.int64(along[q])
            # the first column where x is nearer than q, rounded up
            rise = higher * higher + x * x - lower * lower - q * q
            first = -((-rise) // (2 * (x - q)))
            if first > begin[count - 1]:
                break
            count -= 1
            first = np.int64(0)
        if first < along.size:
            lowest[count], begin[count] = x, first
            count += 1
    return count


@njit("void(i4[::1], i8, i8[::1], i8[::1], f4[::1])", nogil=True, cache=True)
def _below(
    along: npt.NDArray[np.int32],
    count: int,
    lowest: npt.NDArray[np.int64],
    begin: npt.NDArray[np.int64],
    out: npt.NDArray[np.float32],
) -> None:
    """Distances of a row from its envelope."""
    if not count:
        out[:] = np.inf
        return
    for k in range(count):
        q = lowest[k]
        height = np.int64(along[q]) ** 2
        last = begin[k + 1] if k + 1 < count else out.size
        for x in range(begin[k], last):
            out[x] = math.sqrt(height + (x - q) ** 2)


@njit("void(i4[::1], i4, i4[::1])", nogil=True, cache=True)
def _look_beside(heights: npt.NDArray[np.int32], across: np.int32, best: npt.NDArray[np.int32]) -> None:
    for x in range(best.size):
        best[x] = min(best[x], heights[x] + across)


@njit("b1(i4[::1], i4[::1], i4[::1], f4[::1])", nogil=True, cache=True)
def _near(
    along: npt.NDArray[np.int32],
    heights: npt.NDArray[np.int32],
    best: npt.NDArray[np.int32],
    out: npt.NDArray[np.float32],
) -> bool:
    """Distances of a row by looking around, one column farther for all pixels at a time; False where a sample
    is farther than NEAR columns. ``heights`` and ``best`` are scratch."""
    nx = along.size
    for x in range(nx):
        height = min(along[x], np.int32(NEAR + 2))
        heights[x] = best[x] = height * height
    k, farthest = 1, best.max()
    while k * k < farthest:
        if k > NEAR:
            return False
        if k < nx:
            _look_beside(heights[: nx - k], np.int32(k * k), best[k:])
            _look_beside(heights[k:], np.int32(k * k), best[: nx - k])
        farthest = best.max()
        k += 1
    for x in range(nx):
        out[x] = math.sqrt(best[x])
    return True


@njit("void(b1[:, ::1], f4[:, ::1])", nogil=True, cache=True)
def _distance(sampled: Mask, out: Map) -> None:
    """Rows and columns hold fewer than 2^30 pixels: distances fit int32, their squares int64."""
    ny, nx = sampled.shape
    far = np.int32(1 << 30)
    along = np.empty((ny, nx), np.int32)
    for x in range(nx):
        along[0, x] = 0 if sampled[0, x] else far
    for y in range(1, ny):
        for x in range(nx):
            along[y, x] = 0 if sampled[y, x] else min(along[y - 1, x] + 1, far)
    for y in range(ny - 2, -1, -1):
        for x in range(nx):
            along[y, x] = min(along[y, x], along[y + 1, x] + 1)
    lowest, begin = np.empty(nx, np.int64), np.empty(nx + 1, np.int64)
    heights, best = np.empty(nx, np.int32), np.empty(nx, np.int32)
    for y in range(ny):
        if not _near(along[y], heights, best, out[y]):
            count = _envelope(along[y], far, lowest, begin)
            _below(along[y], count, lowest, begin, out[y])


@njit("void(f4[:, ::1], f4[:, ::1], f4[:, ::1])", nogil=True, cache=True)
def _energies(plane: Map, squares: Map, slopes: Map) -> None:
    """Square of the values and of their gradient: central differences, one-sided at the border."""
    ny, nx = plane.shape
    for y in range(ny):
        above, below = max(y - 1, 0), min(y + 1, ny - 1)
        down = np.float32(1 / max(below - above, 1))
        for x in range(nx):
            left, right = max(x - 1, 0), min(x + 1, nx - 1)
            gy = (plane[below, x] - plane[above, x]) * down
            gx = (plane[y, right] - plane[y, left]) * np.float32(1 / max(right - left, 1))
            squares[y, x] = plane[y, x] ** 2
            slopes[y, x] = gy * gy + gx * gx


@njit("void(f8[::1], i8, i8, f4[::1])", nogil=True, cache=True)
def _slide(columns: npt.NDArray[np.float64], radius: int, rows: int, out: npt.NDArray[np.float32]) -> None:
    """Means along a row of column sums."""
    nx = columns.size
    total = 0.0
    inside, share = max(nx - radius, 0), 1.0 / (rows * (2 * radius + 1))
    for x in range(min(radius, nx)):
        total += columns[x]
    for x in range(nx):
        if radius < x < inside:  # most of the row: no border to look at
            total += columns[x + radius] - columns[x - radius - 1]
            out[x] = total * share
            continue
        if x + radius < nx:
            total += columns[x + radius]
        if x > radius:
            total -= columns[x - radius - 1]
        width = min(x + radius, nx - 1) - max(x - radius, 0) + 1
        out[x] = total / (rows * width)


@njit("void(f4[:, ::1], i8, f4[:, ::1])", nogil=True, cache=True)
def _box_mean(values: Map, radius: int, out: Map) -> None:
    """Mean over (2 radius + 1)^2 pixels, less at the border; sums in double precision as they run on."""
    ny, nx = values.shape
    columns = np.zeros(nx, np.float64)
    for y in range(-radius, ny):
        if y + radius < ny:
            for x in range(nx):
                columns[x] += values[y + radius, x]
        if y > radius:
            for x in range(nx):
                columns[x] -= values[y - radius - 1, x]
        if y >= 0:
            rows = min(y + radius, ny - 1) - max(y - radius, 0) + 1
            _slide(columns, radius, rows, out[y])
