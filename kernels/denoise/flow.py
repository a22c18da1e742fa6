"""What moves on its own: displacements between estimates of two frames, and images moved by them.

Blocks are compared at all whole displacements within a reach (block matching: Jain & Jain, IEEE Trans.
Commun. 29 (1981) 1799) and the best is refined by a parabola through its neighbours. Knows no noise model.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from .workers import ALONE, Workers

Image = npt.NDArray[np.float32]
Field = npt.NDArray[np.float32]
"""(2, h, w) displacements (y, x) in px, from a pixel to where it was."""
Costs = npt.NDArray[np.float32]
"""(2 reach + 1, 2 reach + 1, rows, columns): mean square difference of each block at each displacement."""

BAND = 16
"""Rows of cells that a thread takes."""
CELL = 4
"""px, side of the cells that have a displacement each; blocks are 3 x 3 of them."""
REACH = 3
"""px, the most that anything moves between two frames, the drift of the whole apart."""
GAIN = 0.01
"""Mean square difference that a displacement must save: below, cells rest."""
DISTANCE = 0.001
"""Mean square difference that a displacement of 1 px must save; of n px: n^2 times that."""


def block_flow(now: Image, before: Image, workers: Workers = ALONE) -> Field:
    """Where the pixels of a frame were in the frame before.

    Parameters
    ----------
    now, before : (h, w) float32, finite, in standard deviations of a raw pixel's noise, mostly free of it.
    workers : that share the work; the result is the same for any number.

    Returns
    -------
    (2, h, w) float32; (0, 0) where nothing is gained by moving, and at a side of fewer than CELL pixels.
    """
    flow = np.zeros((2, *now.shape), np.float32)
    found = cell_flow(now, before, workers)
    if found.any():
        smooth = np.zeros_like(found)
        _smooth(found, smooth)
        height, each = now.shape[0], CELL * BAND
        workers.map(lambda top: _spread(smooth, top, min(top + each, height), flow), range(0, height, each))
    return flow


def cell_flow(now: Image, before: Image, workers: Workers = ALONE) -> Field:
    """(2, h // CELL, w // CELL): `block_flow` before neighbours are averaged."""
    places, rows, columns = 2 * REACH + 1, now.shape[0] // CELL, now.shape[1] // CELL
    costs = np.empty((places, places, rows, columns), np.float32)
    found = np.empty((2, rows, columns), np.float32)
    wide = np.pad(before, REACH, mode="edge")
    bands = [(first, min(first + BAND, rows)) for first in range(0, rows, BAND)]
    workers.map(lambda band: _cell_costs(now, wide, *band, costs), bands)
    workers.map(lambda band: _best(costs, *band, found), bands)
    return found


def rigid_flow(shift: npt.ArrayLike, shape: tuple[int, int]) -> Field:
    """(2, h, w) of which every pixel is ``shift``, px (y, x)."""
    flow = np.empty((2, *shape), np.float32)
    flow[:] = np.asarray(shift, np.float32)[:, None, None]
    return flow


def moved(image: Image, flow: Field) -> Image:
    """The image at ``pixel + flow``: cubic convolution (Keys, IEEE Trans. ASSP 29 (1981) 1153, a = -1/2).

    Whole displacements copy; beyond the border its pixels are repeated. Noise of variance 1 has 0.64 left
    after a shift by half a pixel along one axis (bilinear: 0.5; a sinc: 1).

    Parameters
    ----------
    image : (h, w) float32.
    flow : (2, h, w) float32.
    """
    out = np.empty_like(image)
    _move(image, flow, out)
    return out


@njit("void(f4[:, ::1], f4[:, ::1], i8, i8, f4[:, :, :, ::1])", nogil=True, cache=True)
def _cell_costs(now: Image, before: Image, first: int, stop: int, costs: Costs) -> None:
    """Sums of squares in rows of cells; ``before`` has REACH pixels more on each side."""
    places, _, _, columns = costs.shape
    width = CELL * columns
    squares = np.empty(width, np.float32)
    for r in range(first, stop):
        for dy in range(places):
            for dx in range(places):
                squares[:] = 0
                for y in range(CELL * r, CELL * r + CELL):
                    here, there = now[y], before[y + dy, dx : dx + width]
                    for x in range(width):
                        off = here[x] - there[x]
                        squares[x] += off * off
                sums = costs[dy, dx, r]
                for c in range(columns):
                    left, right = squares[CELL * c] + squares[CELL * c + 1], np.float32(0)
                    for x in range(CELL * c + 2, CELL * c + CELL):
                        right += squares[x]
                    sums[c] = left + right


@njit("f8(f4[:], i8)", nogil=True, cache=True)
def _summit(line: Image, at: int) -> float:
    """Where the parabola through a least value and its neighbours is least, within half a step."""
    if at == 0 or at == line.size - 1:
        return 0.0
    bend = line[at - 1] - 2 * line[at] + line[at + 1]
    if not bend > 1e-9:
        return 0.0
    place: float = min(max(0.5 * (line[at - 1] - line[at + 1]) / bend, -0.5), 0.5)
    return place


@njit("void(f4[:, :, :, ::1], i8, f4[:, :, ::1])", nogil=True, cache=True)
def _block_costs(costs: Costs, r: int, blocks: Costs) -> None:
    """Of the blocks (places, places, columns) of a row, with what their displacements must save."""
    places, _, rows, columns = costs.shape
    low, high = max(r - 1, 0), min(r + 2, rows)
    line, share = np.zeros(columns + 2, np.float32), np.empty(columns, np.float32)
    for c in range(columns):
        share[c] = 1 / (CELL * CELL * (high - low) * (min(c + 2, columns) - max(c - 1, 0)))
    for dy in range(places):
        for dx in range(places):
            far, block = np.float32(DISTANCE * ((dy - REACH) ** 2 + (dx - REACH) ** 2)), blocks[dy, dx]
            line[1 : columns + 1] = costs[dy, dx, low]
            for i in range(low + 1, high):
                row = costs[dy, dx, i]
                for c in range(columns):
                    line[c + 1] += row[c]
            for c in range(columns):
                block[c] = share[c] * (line[c] + line[c + 1] + line[c + 2]) + far


@njit("void(f4[:, :, :, ::1], i8, i8, f4[:, :, ::1])", nogil=True, cache=True)
def _best(costs: Costs, first: int, last: int, found: Field) -> None:
    """Displacement (y, x) of each cell of some rows, 0 where it rests."""
    places, _, _, columns = costs.shape
    blocks = np.empty((places, places, columns), np.float32)
    at, least = np.empty(columns, np.int32), np.empty(columns, np.float32)
    for r in range(first, last):
        _block_costs(costs, r, blocks)
        at[:] = REACH * places + REACH
        least[:] = blocks[REACH, REACH]
        for k in range(places * places):
            block = blocks[k // places, k % places]
            for c in range(columns):
                at[c] = np.int32(k) if block[c] < least[c] else at[c]
                least[c] = min(block[c], least[c])
        for c in range(columns):
            y, x = at[c] // places, at[c] % places
            if blocks[REACH, REACH, c] - least[c] > GAIN:
                found[0, r, c] = y - REACH + _summit(blocks[:, x, c], y)
                found[1, r, c] = x - REACH + _summit(blocks[y, :, c], x)
            else:
                found[0, r, c] = found[1, r, c] = 0


@njit("void(f4[:, :, ::1], f4[:, :, ::1])", nogil=True, cache=True)
def _smooth(found: Field, smooth: Field) -> None:
    """Cells that move take the mean of those around them that do."""
    _, rows, columns = found.shape
    for r in range(rows):
        for c in range(columns):
            y, x, n = 0.0, 0.0, 0
            if found[0, r, c] == 0 and found[1, r, c] == 0:
                continue
            for i in range(max(r - 1, 0), min(r + 2, rows)):
                for j in range(max(c - 1, 0), min(c + 2, columns)):
                    if found[0, i, j] != 0 or found[1, i, j] != 0:
                        y += found[0, i, j]
                        x += found[1, i, j]
                        n += 1
            smooth[0, r, c], smooth[1, r, c] = y / n, x / n


@njit("void(f4[:, :, ::1], i8, i8, f4[:, :, ::1])", nogil=True, cache=True)
def _spread(smooth: Field, first: int, last: int, flow: Field) -> None:
    """Displacements of rows of pixels, which lie between cells."""
    _, rows, columns = smooth.shape
    width = flow.shape[2]
    for y in range(first, last):
        v = min(max((y + 0.5) / CELL - 0.5, 0.0), rows - 1.0)
        r = min(int(v), max(rows - 2, 0))
        below = min(r + 1, rows - 1)
        fy = np.float32(v - r)
        for x in range(width):
            u = min(max((x + 0.5) / CELL - 0.5, 0.0), columns - 1.0)
            c = min(int(u), max(columns - 2, 0))
            beside = min(c + 1, columns - 1)
            fx = np.float32(u - c)
            for a in range(2):
                top = smooth[a, r, c] + fx * (smooth[a, r, beside] - smooth[a, r, c])
                bottom = smooth[a, below, c] + fx * (smooth[a, below, beside] - smooth[a, below, c])
                flow[a, y, x] = top + fy * (bottom - top)


@njit("UniTuple(f8, 4)(f8)", nogil=True, cache=True)
def _cubic(t: float) -> tuple[float, float, float, float]:
    """Weights of the pixels -1, 0, 1, 2 for a place t in 0..1."""
    return (
        t * (-0.5 + t * (1 - 0.5 * t)),
        1 + t * t * (1.5 * t - 2.5),
        t * (0.5 + t * (2 - 1.5 * t)),
        t * t * (0.5 * t - 0.5),
    )


@njit("void(f4[:, ::1], f4[:, :, ::1], f4[:, ::1])", nogil=True, cache=True)
def _move(image: Image, flow: Field, out: Image) -> None:
    """See `moved`."""
    height, width = image.shape
    for y in range(height):
        for x in range(width):
            if flow[0, y, x] == 0 and flow[1, y, x] == 0:
                out[y, x] = image[y, x]
                continue
            v = min(max(y + flow[0, y, x], 0.0), height - 1.0)
            u = min(max(x + flow[1, y, x], 0.0), width - 1.0)
            r, c = int(v), int(u)
            down, along = _cubic(v - r), _cubic(u - c)
            total = 0.0
            for i in range(4):
                row = image[min(max(r - 1 + i, 0), height - 1)]
                line = 0.0
                for j in range(4):
                    line += along[j] * row[min(max(c - 1 + j, 0), width - 1)]
                total += down[i] * line
            out[y, x] = total
