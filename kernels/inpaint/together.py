"""Two threads on a large plate: bands of rows, taken in turn by whoever is free.

What is computed is that of one thread, to the bit: sums are kept by row and added in the order of rows, and
the rows around the end of a band are worked out once both its sides are there. The caller's thread takes
every band that the other one does not: where no core is to spare, it does all of the work by itself.
Knows plates; no samples, no budgets.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import Any, Self

import numpy as np
from numba import njit

from ...atomics import fetch_add, load_acquire, store_release
from . import descent
from .descent import (
    Plate,
    begin,
    begin_rows,
    begin_seam,
    correct,
    descend,
    move_rows,
    move_seam,
    total_of,
    turn_rows,
    turn_seam,
)
from .stencils import FULL

LEAST, LEAST_ROWS = 1 << 17, 256
"""Pixels and rows from which on a second thread pays: at 256 x 256 a pass over the plate takes 0.06 ms."""
BANDS = 4
CLAIMS, DONE, KIND, WORDS = 0, 8, 16, 24
"""Places in the words that threads share, a cache line each: phase and next band of it; bands done; what is
done in this phase."""
BEGIN, TURN, MOVE = 0, 1, 2
SHIFT = 16
"""Bits of the next band, below those of the phase."""
OVER = 1 << 40
"""The phase after which there is none."""
PATIENCE = 10_000_000
"""Looks for a band in vain, some 10 ms, after which the second thread gives up: the first was put aside."""


class Descent:
    """A plate on its way down, by two threads where it is large and there is a core for the second.

    Parameters
    ----------
    plate : whose ``image`` and ``residual`` hold a guess and what samples want.
    pull, tension : as `descent.begin` has them.
    """

    def __init__(self, plate: Plate, pull: np.float32, tension: np.float32) -> None:
        self._held: tuple[Any, ...] = plate, pull, tension
        ny, nx = plate.image.shape
        self._words = np.zeros(WORDS, np.uint64)
        self._shared: tuple[Any, ...] = self._words, np.zeros(1, np.float32), np.empty(ny)
        self._pool = _second() if ny * nx >= LEAST and ny >= LEAST_ROWS else None
        self._helping: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the second thread go; it touches the plate no more."""
        self._words[CLAIMS] = OVER << SHIFT
        if self._helping is not None and not self._helping.cancel():
            self._helping.result()

    def begin(self) -> float:
        """See `descent.begin`."""
        if self._pool is None:
            return float(begin(*self._held))
        self._helping = self._pool.submit(_help, *self._held, *self._shared)
        return float(_begin(*self._held, *self._shared))

    def descend(self, rz: float, beta: float, iterations: int, enough: float) -> tuple[int, float, float]:
        """See `descent.descend`."""
        if self._pool is None:
            done, rz, beta = descend(*self._held, rz, beta, iterations, enough)
        else:
            done, rz, beta = _descend(*self._held, rz, beta, iterations, enough, *self._shared)
        return done, rz, beta


def warm_up() -> None:
    """Compile or load what two threads need: a plate of any size does."""
    small = descent.plate(np.ones((16, 16), np.float32), math.inf, 0.0)
    small.image[:] = small.residual[:] = 0
    shared = np.zeros(WORDS, np.uint64), np.zeros(1, np.float32), np.empty(16)
    held = small, np.float32(0), np.float32(0)
    _begin(*held, *shared)
    _descend(*held, 1.0, 0.0, 1, 0.0, *shared)
    shared[0][CLAIMS] = OVER << SHIFT
    _help(*held, *shared)


@cache
def _second() -> ThreadPoolExecutor | None:
    """The other thread; None where the machine has one core."""
    return ThreadPoolExecutor(1, "livem-plate") if (os.cpu_count() or 1) > 1 else None


@njit(nogil=True, cache=True)
def _begin(plate, pull, tension, words, steps, sums):  # type: ignore[no-untyped-def]
    ny = plate.image.shape[0]
    _all_bands(plate, pull, tension, words, steps, sums, BEGIN)
    for at in range(_height(ny), ny, _height(ny)):
        begin_seam(plate, pull, tension, at)
    return _move(plate, pull, tension, words, steps, sums, 0.0)


@njit(nogil=True, cache=True)
def _descend(plate, pull, tension, rz, beta, iterations, enough, words, steps, sums):  # type: ignore[no-untyped-def]
    ny = plate.image.shape[0]
    done = 0
    while done < iterations and rz > enough:
        steps[0] = beta
        _all_bands(plate, pull, tension, words, steps, sums, TURN)
        for at in range(_height(ny), ny, _height(ny)):
            turn_seam(plate, pull, tension, at, sums)
        pq = total_of(sums)
        if not pq > 0:
            break
        after = _move(plate, pull, tension, words, steps, sums, rz / pq)
        done += 1
        beta, rz = after / rz, after
    return done, rz, beta


@njit(nogil=True, cache=True)
def _move(plate, pull, tension, words, steps, sums, alpha):  # type: ignore[no-untyped-def]
    ny = plate.image.shape[0]
    steps[0] = alpha
    _all_bands(plate, pull, tension, words, steps, sums, MOVE)
    for at in range(_height(ny), ny, _height(ny)):
        move_seam(plate, at)
    return total_of(sums) / FULL + correct(plate)


@njit(nogil=True, cache=True)
def _height(ny):  # type: ignore[no-untyped-def]
    """Rows of a band, an even number; the last may have fewer."""
    return 2 * (-(-ny // (2 * BANDS)))


@njit(nogil=True, cache=True)
def _all_bands(plate, pull, tension, words, steps, sums, kind):  # type: ignore[no-untyped-def]
    """Open a phase, take bands until none is left, and wait for those that the other thread has taken."""
    address = words.ctypes.data
    phase = (load_acquire(address + 8 * CLAIMS) >> np.uint64(SHIFT)) + np.uint64(1)
    words[KIND] = kind
    store_release(address + 8 * DONE, np.uint64(0))
    store_release(address + 8 * CLAIMS, phase << np.uint64(SHIFT))
    while _take_band(plate, pull, tension, words, steps, sums):
        pass
    while load_acquire(address + 8 * DONE) < np.uint64(BANDS):
        pass


@njit(nogil=True, cache=True)
def _take_band(plate, pull, tension, words, steps, sums):  # type: ignore[no-untyped-def]
    """Do the next band of the open phase; False where there is none."""
    address = words.ctypes.data
    mask = np.uint64((1 << SHIFT) - 1)
    if load_acquire(address + 8 * CLAIMS) & mask >= np.uint64(BANDS):
        return False
    claim = fetch_add(address + 8 * CLAIMS, np.uint64(1))
    if claim & mask >= np.uint64(BANDS) or claim >= np.uint64(OVER << SHIFT):
        return False
    ny, band = plate.image.shape[0], np.int64(claim & mask)
    height = _height(ny)
    first, stop = band * height, min((band + 1) * height, ny)
    kind = words[KIND]
    if kind == TURN:
        turn_rows(plate, pull, tension, steps[0], first, stop, sums)
    elif kind == MOVE:
        move_rows(plate, steps[0], first, stop, sums)
    else:
        begin_rows(plate, pull, tension, first, stop)
    fetch_add(address + 8 * DONE, np.uint64(1))
    return True


@njit(nogil=True, cache=True)
def _help(plate, pull, tension, words, steps, sums):  # type: ignore[no-untyped-def]
    """The second thread's part: bands as long as there are any."""
    address = words.ctypes.data
    vain = 0
    while vain < PATIENCE:
        claims = load_acquire(address + 8 * CLAIMS)
        if claims >= np.uint64(OVER << SHIFT):
            return
        if claims >= np.uint64(1 << SHIFT) and _take_band(plate, pull, tension, words, steps, sums):
            vain = 0
        else:
            vain += 1
