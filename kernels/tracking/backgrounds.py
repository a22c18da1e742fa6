"""Frames without their background, in standard deviations of the counting noise.

The background is that of cells: their means, smoothed by a running box over neighbours and interpolated. What
was found in a frame can be taken out of the cells a second time, so that particles do not weigh on it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Values = npt.NDArray[np.float32]
Places = npt.NDArray[np.float64]

FAST = {"contract", "arcp"}
FLOOR = 1 / 64
"""Least background, in the mean of the frame: the noise of darker places would be taken for nothing."""


@njit("i8(f4[:,::1], i8, f4[:,::1], f4[:,::1])", nogil=True, cache=True)
def cell_means(frame: Values, cell: int, means: Values, counts: Values) -> int:
    """Means of the finite pixels of cells of ``cell`` x ``cell`` pixels, those at the far edges wider.

    Parameters
    ----------
    frame : (h, w) float32.
    means, counts : (ny, nx) float32, written: the mean (0 where no pixel is finite) and its pixels;
        `cells_of` gives their shape.

    Returns
    -------
    int
        Pixels that are not finite.
    """
    h, w = frame.shape
    ny, nx = means.shape
    column = np.empty(w, np.float32)
    bad = 0
    for cy in range(ny):
        top, bottom = cy * cell, h if cy == ny - 1 else (cy + 1) * cell
        column[:] = 0
        for y in range(top, bottom):
            line = frame[y]
            for x in range(w):
                column[x] += line[x]
        for cx in range(nx):
            left, right = cx * cell, w if cx == nx - 1 else (cx + 1) * cell
            total = np.float32(0)
            for x in range(left, right):
                total += column[x]
            pixels = (bottom - top) * (right - left)
            if not math.isfinite(total):
                total = np.float32(0)
                for y in range(top, bottom):
                    for x in range(left, right):
                        if math.isfinite(frame[y, x]):
                            total += frame[y, x]
                        else:
                            pixels -= 1
                bad += (bottom - top) * (right - left) - pixels
            means[cy, cx] = total / max(pixels, 1)
            counts[cy, cx] = pixels
    return bad


@njit("void(f4[:,::1], f4[:,::1], i8, f4[:,::1])", nogil=True, cache=True)
def smooth_cells(means: Values, counts: Values, reach: int, out: Values) -> None:
    """Running box of 2 ``reach`` + 1 cells, weighted by their pixels; near an edge smaller, 1 cell at least.

    Where no pixel of the box is finite: 0.
    """
    ny, nx = means.shape
    sums, weights = np.empty((ny, nx), np.float32), np.empty((ny, nx), np.float32)
    for y in range(ny):
        r = max(min(reach, y, ny - 1 - y), 1)
        total, weight = sums[y], weights[y]
        total[:] = 0
        weight[:] = 0
        for j in range(max(y - r, 0), min(y + r + 1, ny)):
            values, pixels = means[j], counts[j]
            for x in range(nx):
                total[x] += values[x] * pixels[x]
                weight[x] += pixels[x]
    total, weight = np.empty(nx, np.float32), np.empty(nx, np.float32)
    for y in range(ny):
        values, pixels, to = sums[y], weights[y], out[y]
        total[:] = 0
        weight[:] = 0
        for d in range(2 * reach + 1):
            n = nx - 2 * reach
            for x in range(n):
                total[reach + x] += values[d + x]
                weight[reach + x] += pixels[d + x]
        for x in range(nx):
            r = min(reach, x, nx - 1 - x)
            if r < reach:
                total[x] = weight[x] = np.float32(0)
                for i in range(max(x - max(r, 1), 0), min(x + max(r, 1) + 1, nx)):
                    total[x] += values[i]
                    weight[x] += pixels[i]
        for x in range(nx):
            to[x] = total[x] / weight[x] if weight[x] > 0 else np.float32(0)


@njit("f4[:,::1](f4[:,::1], i8, i8)", nogil=True, cache=True, fastmath=FAST)
def _along_rows(cells: Values, cell: int, w: int) -> Values:
    """(ny, w): the rows of the cells (ny, nx) straight between their centres, and on beyond the outermost."""
    ny, nx = cells.shape
    out = np.empty((ny, w), np.float32)
    half, inverse = 0.5 * (cell - 1), 1.0 / cell
    for y in range(ny):
        line, to = cells[y], out[y]
        if nx == 1:
            to[:] = line[0]
        for k in range(nx - 1):
            first = 0 if k == 0 else math.ceil(k * cell + half)
            last = w if k == nx - 2 else math.ceil((k + 1) * cell + half)
            rise = (line[k + 1] - line[k]) * np.float32(inverse)
            begin = line[k] + rise * np.float32(first - half - k * cell)
            for i in range(last - first):
                to[first + i] = begin + np.float32(i) * rise
    return out


@njit("void(f4[:,::1], f4[:,::1], i8, f4, f4, f4[:,::1])", nogil=True, cache=True, fastmath=FAST)
def scale_frame(frame: Values, cells: Values, cell: int, floor: float, sign: float, out: Values) -> None:
    """``sign (frame - background) / sqrt(background)``: Poisson counts have noise of one level everywhere.

    One over the root is that of the rows of cells, straight between them: a division a pixel costs four times
    all the rest.

    Parameters
    ----------
    frame : (h, w) float32.
    cells : (ny, nx) float32, `smooth_cells`; straight between their centres, and on beyond the outermost.
    floor : least background under the root (> 0).
    sign : 1: bright particles rise, -1: dark ones do.
    out : (h, w) float32, written; 0 where the frame is not finite.
    """
    h, w = frame.shape
    ny = cells.shape[0]
    rows, roots = _along_rows(cells, cell, w), np.empty((ny, w), np.float32)
    half = 0.5 * (cell - 1)
    for y in range(ny):
        for x in range(w):
            roots[y, x] = sign / math.sqrt(max(rows[y, x], floor))
    for y in range(h):
        cy = min(max(int((y - half) / cell), 0), max(ny - 2, 0))
        part = np.float32((y - half) / cell - cy) if ny > 1 else np.float32(0)
        after = min(cy + 1, ny - 1)
        above, below, line, to = rows[cy], rows[after], frame[y], out[y]
        root, next_root = roots[cy], roots[after]
        share = min(max(part, np.float32(0)), np.float32(1))
        for x in range(w):
            level = above[x] + part * (below[x] - above[x])
            value = (line[x] - level) * (root[x] + share * (next_root[x] - root[x]))
            to[x] = value if abs(value) < np.float32(1e30) else np.float32(0)


@njit("void(f4[:,::1], f4[:,::1], i8)", nogil=True, cache=True, fastmath={"contract"})
def subtract_cells(values: Values, cells: Values, cell: int) -> None:
    """Take interpolated cells, as `scale_frame` does, from values (h, w) in place."""
    h, w = values.shape
    ny = cells.shape[0]
    rows = _along_rows(cells, cell, w)
    half = 0.5 * (cell - 1)
    for y in range(h):
        cy = min(max(int((y - half) / cell), 0), max(ny - 2, 0))
        part = np.float32((y - half) / cell - cy) if ny > 1 else np.float32(0)
        above, below, line = rows[cy], rows[min(cy + 1, ny - 1)], values[y]
        for x in range(w):
            line[x] -= above[x] + part * (below[x] - above[x])


@njit("void(f4[:,::1], f4, i1[:,::1])", nogil=True, cache=True)
def rounded(values: Values, scale: float, out: npt.NDArray[np.int8]) -> None:
    """``scale`` times the values (h, w), to the nearest whole number from -127 to 127."""
    most, half = np.float32(127), np.float32(0.5)
    for y in range(values.shape[0]):
        line, to = values[y], out[y]
        for x in range(values.shape[1]):
            value = min(max(scale * line[x], -most), most)
            to[x] = np.int8(value + half if value > 0 else value - half)


def cells_of(shape: tuple[int, int], cell: int) -> tuple[int, int]:
    """(ny, nx) of the cells of a frame."""
    return max(shape[0] // cell, 1), max(shape[1] // cell, 1)


@njit("f8[::1](f4[:,::1], i8, f8[::1], f8[::1])", nogil=True, cache=True)
def level_at(cells: Values, cell: int, y: Places, x: Places) -> Places:
    """Background at places (n,), as `scale_frame` interpolates it."""
    (ny, nx), half, out = cells.shape, 0.5 * (cell - 1), np.empty(len(y))
    for k in range(len(y)):
        at_y, at_x = (y[k] - half) / cell, (x[k] - half) / cell
        cy, cx = min(max(int(at_y), 0), max(ny - 2, 0)), min(max(int(at_x), 0), max(nx - 2, 0))
        fy, fx = at_y - cy if ny > 1 else 0.0, at_x - cx if nx > 1 else 0.0
        above, below, right = cells[cy], cells[min(cy + 1, ny - 1)], min(cx + 1, nx - 1)
        top = above[cx] + fx * (above[right] - above[cx])
        out[k] = top + fy * (below[cx] + fx * (below[right] - below[cx]) - top)
    return out
