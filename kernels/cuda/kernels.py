"""The functions that run on the device: sums of lists of pixels, a CUDA block for each piece and frame.

No atomics: pieces are written down and added in order by a second, small kernel. Integers are exact, floats
are added in one order always. First moments of integers are added as two halves of 32 bits, as on the
processor (`kernels.runs`), and rounded once.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float64, int64

from .tables import MOMENTS, START, STOP, WEIGHTS

MAX_THREADS = 128
"""Of a block; a power of two."""
LOW = 0xFFFF_FFFF


@cuda.jit(device=True, inline="always")
def _add_threads(shared, me):  # type: ignore[no-untyped-def]
    """Sum each row of shared (k, threads) into its first place, by halves: for thread 0 to read.

    Inlined by numba: a call would hand the array over through slow memory.
    """
    half = cuda.blockDim.x // 2
    while half > 0:
        cuda.syncthreads()
        if me < half:
            for k in range(shared.shape[0]):
                shared[k, me] += shared[k, me + half]
        half //= 2


@cuda.jit(cache=True)
def sum_integers(frames, width, pixels, weights, pieces, partial):  # type: ignore[no-untyped-def]
    """partial (n, p, 3) int64: sum, and sums of y and of x times the pixel, of frames (n, h * w)."""
    piece, frame, me = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
    shared = cuda.shared.array((3, MAX_THREADS), int64)
    start, stop = pieces[piece, START], pieces[piece, STOP]
    weighted, moments = pieces[piece, WEIGHTS], pieces[piece, MOMENTS]
    total, vertical, horizontal = np.int64(0), np.int64(0), np.int64(0)
    for i in range(start + me, stop, cuda.blockDim.x):
        place = np.int64(pixels[i])
        value = np.int64(frames[frame, place])
        if weighted >= 0:
            value *= weights[weighted + i - start]
        total += value
        if moments != 0:
            y = place // width
            vertical += value * y
            horizontal += value * (place - y * width)
    shared[0, me], shared[1, me], shared[2, me] = total, vertical, horizontal
    _add_threads(shared, me)
    if me == 0:
        for k in range(3):
            partial[frame, piece, k] = shared[k, 0]


@cuda.jit(cache=True)
def sum_floats(frames, width, pixels, weights, pieces, partial):  # type: ignore[no-untyped-def]
    """The same in float64, (n, p, 4): the last is how many pixels are not finite, which are left out."""
    piece, frame, me = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
    shared = cuda.shared.array((4, MAX_THREADS), float64)
    start, stop = pieces[piece, START], pieces[piece, STOP]
    weighted, moments = pieces[piece, WEIGHTS], pieces[piece, MOMENTS]
    total, vertical, horizontal, bad = 0.0, 0.0, 0.0, 0.0
    for i in range(start + me, stop, cuda.blockDim.x):
        place = np.int64(pixels[i])
        value = np.float64(frames[frame, place])
        if not math.isfinite(value):
            bad += 1.0
            continue
        if weighted >= 0:
            value *= weights[weighted + i - start]
        total += value
        if moments != 0:
            y = place // width
            vertical += value * np.float64(y)
            horizontal += value * np.float64(place - y * width)
    shared[0, me], shared[1, me], shared[2, me], shared[3, me] = total, vertical, horizontal, bad
    _add_threads(shared, me)
    if me == 0:
        for k in range(4):
            partial[frame, piece, k] = shared[k, 0]


@cuda.jit(cache=True)
def join_integers(partial, rows, sums, moments):  # type: ignore[no-untyped-def]
    """Rows from their pieces: sums (n, r) int64, moments (n, d, 2) float64 of the first rows."""
    place = cuda.grid(1)
    count = rows.size - 1
    if place >= partial.shape[0] * count:
        return
    frame, row = place // count, place % count
    total = np.int64(0)
    for piece in range(rows[row], rows[row + 1]):
        total += partial[frame, piece, 0]
    sums[frame, row] = total
    if row >= moments.shape[1]:
        return
    for axis in range(2):
        low, high = np.int64(0), np.int64(0)
        for piece in range(rows[row], rows[row + 1]):
            value = partial[frame, piece, 1 + axis]
            low += value & LOW
            high += value >> 32
        high += low >> 32
        moments[frame, row, axis] = np.float64(high) * 4294967296.0 + np.float64(low & LOW)


@cuda.jit(cache=True)
def join_floats(partial, rows, sums, moments, excluded):  # type: ignore[no-untyped-def]
    """The same of floats, with excluded (n, r) int64."""
    place = cuda.grid(1)
    count = rows.size - 1
    if place >= partial.shape[0] * count:
        return
    frame, row = place // count, place % count
    total, bad = 0.0, 0.0
    for piece in range(rows[row], rows[row + 1]):
        total += partial[frame, piece, 0]
        bad += partial[frame, piece, 3]
    sums[frame, row] = total
    excluded[frame, row] = np.int64(bad)
    if row >= moments.shape[1]:
        return
    for axis in range(2):
        moment = 0.0
        for piece in range(rows[row], rows[row + 1]):
            moment += partial[frame, piece, 1 + axis]
        moments[frame, row, axis] = moment
