"""How fast particles grow or shrink: straight lines through their radii, from sums that each track keeps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float64, from_dtype, int64, njit, void

from .field import FIELDS, LIVES
from .tracks import Rows, State

GROWTH = np.dtype([("particle", "i8"), ("radius", "f4"), ("rate", "f4"), ("error", "f4"), ("frames", "i8")])
"""px and px per frame, the standard error of the rate, and over how many sightings it was taken."""
LEAST = 8
"""Sightings without which no rate is told."""
CONFIRMED = int(State.CONFIRMED)


@njit(void(LIVES, int64, float64[::1]), nogil=True, cache=True)
def line(live: Any, i: Any, told: Any) -> Any:
    """Least squares through the radii of track i since it last became one with another.

    ``told`` (2,) filled: rate and its standard error, px per frame; NaN where there are too few.
    """
    one = live[i]
    n, t = one.growth_n, one.growth_t
    told[0] = told[1] = math.nan
    if n < LEAST:
        return
    wide = one.growth_tt - t * t / n
    rate = (one.growth_tr - t * one.growth_r / n) / wide
    rest = max(one.growth_rr - one.growth_r**2 / n - rate * rate * wide, 0.0) / (n - 2)
    told[0], told[1] = rate, math.sqrt(rest / wide) + 1e-9


@njit(int64(LIVES, FIELDS, from_dtype(GROWTH)[::1]), nogil=True, cache=True)
def rates(live: Any, field: Any, rows: Any) -> Any:
    """Rows of `GROWTH` of the confirmed particles whose rate is known; returns how many."""
    n, told = 0, np.empty(2)
    for i in range(field[0].live):
        if live[i].state != CONFIRMED:
            continue
        line(live, i, told)
        if math.isfinite(told[0]):
            row = rows[n]
            row.particle, row.radius, row.frames = live[i].particle, live[i].radius, int(live[i].growth_n)
            row.rate, row.error = told[0], told[1]
            n += 1
    return n


def mean_rate(rows: Rows) -> float:
    """px per frame, of all particles, each weighted by how well its own is known; NaN for none."""
    weight = 1 / np.square(rows["error"].astype(np.float64) + 1e-4)
    return float((weight * rows["rate"]).sum() / weight.sum()) if len(rows) else math.nan
