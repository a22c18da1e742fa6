"""What frames tell of their detector: counts, pixels at the limit, pixels that never change or always lead.

Knows arrays only. Series, masks and warnings are the consumer's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import from_dtype, njit, types

from .masks import Mask

Counter = npt.NDArray[np.uint8]
"""(h, w) counts that stay at 255."""
SHARP = 3
"""A pixel leads where it is above all its neighbours by more than so many times their range: what optics draw
is at least as wide as a pixel, and falls off less steeply."""
ALIVE = 24
"""Changes from which on a neighbour counts as alive. With as many expected a live pixel has none in one of
10^10 cases."""
NEIGHBOURS = 0.75
"""Share of the neighbours that have to be alive: 6 of 8, as beside a dead column; at the edge of an aperture
it is 5 at most."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Of the live, finite pixels of one frame."""

    pixels: int
    total: float
    """Sum of their counts; exact for integers up to 2^53."""
    reached: int
    """Pixels at or above the limit."""


def survey(frame: npt.NDArray[Any], limit: float = np.inf, live: Mask | None = None) -> Survey:
    """Sum and saturation of a frame in one pass.

    Parameters
    ----------
    frame : (h, w) of a type of `reduce.DTYPES`; may be read-only.
    limit : counts from which on the detector does not count right.
    live : (h, w) bool, optional; what the others hold makes no difference.
    """
    zero = np.float64(0) if frame.dtype.kind == "f" else np.int64(0)
    pixels, total, reached = _survey(_read_only(frame), _shown(live), float(limit), zero)
    return Survey(int(pixels), float(total), int(reached))


def watch(frame: npt.NDArray[Any], last: npt.NDArray[Any], changes: Counter, leads: Counter) -> None:
    """Enter a frame into the counters of a detector's pixels.

    Parameters
    ----------
    frame, last : (h, w) this frame, and the one that was entered before.
    changes : (h, w) how often a pixel was not as before; changed in place.
    leads : (h, w) how often it was above its eight neighbours by more than `SHARP` times their range; changed
        in place. Pixels on the border are not looked at.
    """
    _watch(_read_only(frame), _read_only(last), changes, leads)


def dead_pixels(changes: Counter, live: Mask | None, most: int) -> tuple[npt.NDArray[np.int64], int]:
    """Live pixels that never changed while `NEIGHBOURS` of their live neighbours did, `ALIVE` times each.

    Returns
    -------
    (k, 2) places (y, x) of the first ``most`` of them, and how many there are.
    """
    return _found(_dead, changes, live, most, ALIVE)


def hot_pixels(
    leads: Counter, frames: int, live: Mask | None, most: int
) -> tuple[npt.NDArray[np.int64], int]:
    """Live pixels that led in at least 31 of 32 of so many frames; as `dead_pixels`."""
    return _found(_hot, leads, live, most, frames - frames // 32)


def warm_up(dtype: npt.DTypeLike) -> None:
    """Compile what frames of one pixel type need here, or load it from numba's cache."""
    pixel = from_dtype(np.dtype(dtype))
    frame, counter = types.Array(pixel, 2, "C", readonly=True), types.Array(types.uint8, 2, "C")
    zero = types.float64 if np.dtype(dtype).kind == "f" else types.int64
    known, places = types.Array(types.uint8, 2, "C", readonly=True), types.Array(types.int64, 2, "C")
    for live in (types.none, types.Array(types.boolean, 2, "C", readonly=True)):
        _survey.compile((frame, live, types.float64, zero))
        _dead.compile((known, live, types.int64, places))
        _hot.compile((known, live, types.int64, places))
    _watch.compile((frame, frame, counter, counter))


def _found(
    look: Any, counter: Counter, live: Mask | None, most: int, limit: int
) -> tuple[npt.NDArray[np.int64], int]:
    places = np.empty((most, 2), np.int64)
    count = int(look(_read_only(counter), _shown(live), limit, places))
    return places[: min(count, most)], count


def _read_only(frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = np.ascontiguousarray(frame).view()
    view.flags.writeable = False
    return view


def _shown(live: Mask | None) -> Mask | None:
    return None if live is None else _read_only(live)


# "reassoc" lets the sum of floats run in several lanes; NaN and infinity keep their meaning.
@njit(nogil=True, cache=True, fastmath={"reassoc"})
def _survey(frame, live, limit, zero):  # type: ignore[no-untyped-def]
    pixels, reached, total = 0, 0, 0.0
    for y in range(frame.shape[0]):
        row_total = zero
        for x in range(frame.shape[1]):
            value = frame[y, x]
            counts = np.isfinite(value)
            if live is not None:
                counts = counts & live[y, x]
            pixels += counts
            reached += counts & (np.float64(value) >= limit)
            row_total += value if counts else zero
        total += np.float64(row_total)
    return pixels, total, reached


@njit(nogil=True, cache=True)
def _watch(frame, last, changes, leads):  # type: ignore[no-untyped-def]
    h, w = frame.shape
    for y in range(h):
        for x in range(w):
            changes[y, x] += np.uint8((frame[y, x] != last[y, x]) & (changes[y, x] < 255))
        if y == 0 or y == h - 1:
            continue
        above, row, below = frame[y - 1], frame[y], frame[y + 1]
        for x in range(1, w - 1):
            high = max(above[x - 1], above[x], above[x + 1], row[x - 1], row[x + 1])
            high = max(high, below[x - 1], below[x], below[x + 1])
            low = min(above[x - 1], above[x], above[x + 1], row[x - 1], row[x + 1])
            low = min(low, below[x - 1], below[x], below[x + 1])
            ahead = np.float64(row[x]) - np.float64(high)
            leading = (ahead > 0.0) & (ahead > SHARP * (np.float64(high) - np.float64(low)))
            leads[y, x] += np.uint8(leading & (leads[y, x] < 255))


@njit(nogil=True, cache=True)
def _dead(changes, live, alive, places):  # type: ignore[no-untyped-def]
    h, w = changes.shape
    count = 0
    for y in range(h):
        for x in range(w):
            if changes[y, x] > 0 or (live is not None and not live[y, x]):
                continue
            around, moving = 0, 0
            for v in range(max(0, y - 1), min(h, y + 2)):
                for u in range(max(0, x - 1), min(w, x + 2)):
                    counts = (v != y) | (u != x)
                    if live is not None:
                        counts = counts & live[v, u]
                    around += counts
                    moving += counts & (changes[v, u] >= alive)
            if moving > 0 and moving >= NEIGHBOURS * around:
                if count < len(places):
                    places[count, 0], places[count, 1] = y, x
                count += 1
    return count


@njit(nogil=True, cache=True)
def _hot(leads, live, least, places):  # type: ignore[no-untyped-def]
    count = 0
    for y in range(leads.shape[0]):
        for x in range(leads.shape[1]):
            if leads[y, x] < least or (live is not None and not live[y, x]):
                continue
            if count < len(places):
                places[count, 0], places[count, 1] = y, x
            count += 1
    return count
